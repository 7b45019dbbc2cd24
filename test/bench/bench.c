/* Options, samples, JSON and message texts of the load generators. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

int64_t bench_now_us(void) {
    struct clock *clock = clock_system();
    return clock->mono_us(clock);
}

void bench_die(const char *what, const char *why) {
    (void)fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

/* ---- options ---- */

_Noreturn static void usage(const struct bench_option *options, size_t n, int status) {
    static const char *const values[] = {[BENCH_FLAG] = "", [BENCH_NUMBER] = " N", [BENCH_TEXT] = " TEXT"};
    FILE *f = status == 0 ? stdout : stderr;
    for (size_t i = 0; i < n; i++)
        (void)fprintf(f, "  %s%s  %s\n", options[i].name, values[options[i].kind], options[i].help);
    exit(status);
}

static const struct bench_option *find_option(const struct bench_option *options, size_t n, struct view name) {
    for (size_t i = 0; i < n; i++)
        if (view_eq(name, view_cstr(options[i].name)))
            return &options[i];
    return NULL;
}

void bench_options(int argc, char **argv, const struct bench_option *options, size_t n) {
    for (int i = 1; i < argc; i++) {
        struct view name = view_cstr(argv[i]);
        const struct bench_option *option = find_option(options, n, name);
        if (option == NULL) {
            bool is_help = view_eq(name, VIEW("--help"));
            if (!is_help)
                (void)fprintf(stderr, "bench: no such option: %s\n", argv[i]);
            usage(options, n, is_help ? 0 : 2);
        }
        if (option->kind == BENCH_FLAG) {
            *(bool *)option->out = true;
            continue;
        }
        struct view value = view_cstr(argv[i + 1 < argc ? ++i : argc]);
        if (option->kind == BENCH_TEXT) {
            *(struct view *)option->out = value;
        } else if (view_to_u64(value, option->max, option->out) != ERR_OK) {
            (void)fprintf(stderr, "bench: %s needs a number up to %llu\n", option->name,
                          (unsigned long long)option->max);
            usage(options, n, 2);
        }
    }
}

void bench_raise_descriptors(size_t least) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        bench_die("getrlimit", "failed");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < least)
        bench_die("too few descriptors", "raise the hard limit (ulimit -Hn) or ask for fewer connections");
}

/* ---- samples ---- */

void bench_samples_init(struct bench_samples *samples) {
    samples->us = VEC_OF(int64_t, BENCH_SAMPLES_MAX);
}

void bench_samples_fini(struct bench_samples *samples) {
    vec_fini(&samples->us);
}

void bench_samples_add(struct bench_samples *samples, int64_t us) {
    int64_t *room = vec_add(&samples->us);
    if (room != NULL)
        *room = us;
}

static int compare_samples(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

void bench_put_samples(struct buf *out, struct bench_samples *samples) {
    static const struct {
        const char *name;
        size_t of_hundred;
    } shown[] = {{"min", 0}, {"p50", 50}, {"p90", 90}, {"p99", 99}, {"max", 100}};
    size_t n = samples->us.n;
    if (n > 0)
        qsort(samples->us.p, n, sizeof(int64_t), compare_samples);
    buf_printf(out, "{\"n\":%zu", n);
    for (size_t i = 0; i < ARRAY_LEN(shown) && n > 0; i++)
        buf_printf(out, ",\"%s\":%lld", shown[i].name,
                   (long long)*VEC_AT(&samples->us, int64_t, (n - 1) * shown[i].of_hundred / 100));
    buf_put_byte(out, '}');
}

void bench_put_text(struct buf *out, struct view text) {
    buf_put_byte(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '"' || c == '\\')
            buf_put_byte(out, '\\');
        buf_put_byte(out, c >= 0x20 && c < 0x7f ? c : '?');
    }
    buf_put_byte(out, '"');
}

void bench_print(struct buf *out) {
    if (buf_err(out) != ERR_OK)
        bench_die("output", err_name(buf_err(out)));
    (void)printf("%.*s\n", VIEW_FMT(buf_view(out)));
    (void)fflush(stdout);
    buf_clear(out);
}

/* ---- addresses and messages ---- */

void bench_put_pattern(struct buf *out, struct view pattern, uint64_t number) {
    for (size_t i = 0; i < pattern.n; i++) {
        if (pattern.p[i] == '%')
            buf_put_u64(out, number);
        else
            buf_put_byte(out, pattern.p[i]);
    }
}

void bench_put_message(struct buf *out, struct random *random, uint64_t number, size_t size) {
    static const char *const words[] = {"the",    "letter",  "of",       "yesterday", "we",     "should",  "meet",
                                        "about",  "harbour", "Thursday", "budget",    "with",   "regards", "please",
                                        "find",   "these",   "numbers",  "and",       "a",      "journey", "answer",
                                        "which",  "came",    "from",     "Lisbon",    "before", "noon",    "because",
                                        "nobody", "knew",    "how",      "expensive"};
    size_t start = out->n, line = 0;
    uint64_t id = random_u64(random);
    buf_printf(
        out,
        "From: Bench <bench@load.example>\r\nTo: Reader <reader@load.example>\r\nSubject: Message %llu of the load\r\n"
        "Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%llx.%llu@load.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n",
        (unsigned long long)number, (unsigned long long)id, (unsigned long long)number);
    while (buf_err(out) == ERR_OK && out->n - start + 2 < size) {
        /* One draw gives six words and a number, which keeps compression as for people's mail. */
        uint64_t draw = random_u64(random);
        for (unsigned i = 0; i < 6; i++, draw >>= 5) {
            const char *word = words[draw % ARRAY_LEN(words)];
            size_t before = out->n;
            buf_put_str(out, word);
            buf_put_byte(out, ' ');
            line += out->n - before;
        }
        if (line > 60) {
            buf_printf(out, "%llu\r\n", (unsigned long long)(draw & 0xffffff));
            line = 0;
        }
    }
    if (buf_err(out) == ERR_OK && size > 2 && out->n - start > size - 2)
        out->n = start + size - 2;
    if (out->n > start && out->p[out->n - 1] == '\r')
        out->p[out->n - 1] = 'x';
    buf_put_str(out, "\r\n");
}
