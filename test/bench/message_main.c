/*
 * bench_message: messages read with their full structure: the tree, ENVELOPE
 * and BODYSTRUCTURE. Beside it GMime, when it was there at build time, makes its
 * tree of the same octets in turns with us (and is asked for nothing more).
 */
#include "bench/bench.h"

#include "message/stream_parse.h"
#include "message/structure.h"

#ifdef BENCH_GMIME
#include <gmime/gmime.h>
#endif

#define OUT_MAX ((size_t)4 * 1024 * 1024)
#define KINDS_OCTETS_MAX ((size_t)1024 * 1024 * 1024)

struct options {
    uint64_t large, small, rounds, ms;
    struct view what, reader;
};

/* Messages one after the other. */
struct load {
    const char *what;
    struct buf bytes;
    struct vec ends; /* of size_t */
};

/* ---- the messages ---- */

static void put_header(struct buf *out, struct random *random, uint64_t number) {
    unsigned long long id = random_u64(random);
    for (unsigned i = 0; i < 4; i++)
        buf_printf(
            out,
            "Received: from relay%u.example.net (relay%u.example.net [192.0.2.%u])\r\n\tby mx%u.example.org with "
            "ESMTPS id %llx\r\n\tfor <reader@example.org>; Tue, 24 Nov 2026 10:00:%02u +0000\r\n",
            i, i, i + 1, i, id + i, i);
    buf_printf(out,
               "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=2026;\r\n"
               "\th=from:to:subject:date:message-id:mime-version:content-type;\r\n"
               "\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n"
               "\tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzR\r\n"
               "\t dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzR==\r\n"
               "Authentication-Results: mx.example.org; dkim=pass header.d=example.net;\r\n"
               "\tspf=pass smtp.mailfrom=writer@example.net; dmarc=pass\r\n"
               "Return-Path: <writer@example.net>\r\n"
               "From: \"A. Writer\" <writer@example.net>\r\n"
               "To: Reader <reader@example.org>, \"Second Reader\" <second@example.org>,\r\n third@example.com\r\n"
               "Cc: Archive: archive@example.org, log@example.org;\r\n"
               "Reply-To: writer@example.net\r\n"
               "Subject: =?utf-8?q?Nachricht_f=C3=BCr_alle?= number %llu\r\n"
               "Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
               "Message-ID: <%llx.%llu@load.example>\r\n"
               "In-Reply-To: <%llx.before@load.example>\r\n"
               "References: <%llx.first@load.example>\r\n <%llx.before@load.example>\r\n"
               "List-Id: A list of the load <list.load.example>\r\n"
               "List-Unsubscribe: <https://load.example/unsubscribe/%llx>\r\n"
               "X-Mailer: bench\r\nX-Spam-Status: No, score=-1.9\r\nMIME-Version: 1.0\r\n",
               (unsigned long long)number, id, (unsigned long long)number, id, id, id, id);
}

static void put_base64_lines(struct buf *out, struct random *random, size_t size) {
    uint8_t octets[57]; /* a line of 76 */
    for (size_t done = 0; done < size && buf_err(out) == ERR_OK; done += 78) {
        random_fill(random, octets, sizeof(octets));
        buf_put_base64(out, view_of(octets, sizeof(octets)));
        buf_put(out, VIEW("\r\n"));
    }
}

static void put_text_lines(struct buf *out, struct random *random, size_t size) {
    struct buf message;
    buf_init(&message, size + 4096);
    bench_put_message(&message, random, 1, size + 400);
    struct view text = buf_view(&message);
    ssize_t body = view_find(text, VIEW("\r\n\r\n"));
    buf_put(out, view_sub(view_skip(text, (size_t)body + 4), 0, size));
    buf_put(out, VIEW("\r\n"));
    buf_fini(&message);
}

static void put_plain(struct buf *out, struct random *random, uint64_t number, size_t size) {
    size_t start = out->n;
    put_header(out, random, number);
    buf_put_str(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    if (out->n - start < size)
        put_text_lines(out, random, size - (out->n - start));
}

static void put_alternative(struct buf *out, struct random *random, const char *boundary) {
    buf_printf(out, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n", boundary);
    buf_printf(out, "--%s\r\nContent-Type: text/plain; charset=\"utf-8\"; format=flowed\r\n\r\n", boundary);
    put_text_lines(out, random, 1500);
    buf_printf(
        out,
        "--%s\r\nContent-Type: text/html; charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
        boundary);
    put_text_lines(out, random, 6000);
    buf_printf(out, "--%s--\r\n", boundary);
}

/* What people send: text in two forms, a picture, a document, now and then a forwarded message. */
static void put_multipart(struct buf *out, struct random *random, uint64_t number) {
    put_header(out, random, number);
    buf_printf(out, "Content-Type: multipart/mixed; boundary=\"outer-%llu\"\r\n\r\n", (unsigned long long)number);
    buf_printf(out, "--outer-%llu\r\n", (unsigned long long)number);
    put_alternative(out, random, "inner-0123456789abcdef");
    buf_printf(out,
               "--outer-%llu\r\nContent-Type: image/png; name=\"picture.png\"\r\nContent-Transfer-Encoding: base64\r\n"
               "Content-ID: <picture@load.example>\r\nContent-Disposition: inline; filename=\"picture.png\"\r\n\r\n",
               (unsigned long long)number);
    put_base64_lines(out, random, 8000);
    if (number % 3 == 0) {
        buf_printf(out, "--outer-%llu\r\nContent-Type: message/rfc822\r\n\r\n", (unsigned long long)number);
        put_header(out, random, number + 1);
        put_alternative(out, random, "other-0123456789abcdef");
    }
    buf_printf(out,
               "--outer-%llu\r\nContent-Type: application/pdf; name=\"=?utf-8?q?Gr=C3=BC=C3=9Fe=2Epdf?=\"\r\n"
               "Content-Transfer-Encoding: base64\r\n"
               "Content-Disposition: attachment;\r\n filename*=utf-8''Gr%%C3%%BC%%C3%%9Fe.pdf; size=20000\r\n\r\n",
               (unsigned long long)number);
    put_base64_lines(out, random, 20000);
    buf_printf(out, "--outer-%llu--\r\n", (unsigned long long)number);
}

static void put_large(struct buf *out, struct random *random, size_t size) {
    put_header(out, random, 1);
    buf_put_str(out,
                "Content-Type: multipart/mixed; boundary=\"outer\"\r\n\r\n--outer\r\nContent-Type: text/plain\r\n\r\n");
    put_text_lines(out, random, 2000);
    buf_put_str(out, "--outer\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n"
                     "Content-Disposition: attachment; filename=a.zip\r\n\r\n");
    put_base64_lines(out, random, size);
    buf_put_str(out, "--outer--\r\n");
}

static void load_end(struct load *load) {
    size_t *end = vec_add(&load->ends);
    if (end == NULL || buf_err(&load->bytes) != ERR_OK)
        bench_die("messages", "no memory");
    *end = load->bytes.n;
}

static void load_init(struct load *load, const char *what) {
    load->what = what;
    buf_init(&load->bytes, KINDS_OCTETS_MAX);
    load->ends = VEC_OF(size_t, 1000000);
}

static void load_fini(struct load *load) {
    buf_fini(&load->bytes);
    vec_fini(&load->ends);
}

/* ---- the readers ---- */

struct reader_state {
    struct arena *arena, *scratch;
    struct buf out;
    uint64_t parts; /* seen, so that nothing is left out */
};

typedef void read_fn(struct reader_state *state, struct view bytes);

static void put_structure(struct reader_state *s, const struct message *message) {
    buf_clear(&s->out);
    structure_put_envelope(&s->out, s->scratch, message_part_header(message, message->root));
    structure_put_body(&s->out, s->scratch, message, true);
    if (buf_err(&s->out) != ERR_OK || message->degraded)
        bench_die("structure", "did not fit");
    s->parts += message->part_count;
    arena_clear(s->arena);
    arena_clear(s->scratch);
}

static void read_whole(struct reader_state *s, struct view bytes) {
    struct message message;
    if (message_parse(s->arena, bytes, &message) != ERR_OK)
        bench_die("message_parse", "failed");
    put_structure(s, &message);
}

static void read_stream(struct reader_state *s, struct view bytes) {
    struct message message;
    struct message_source_memory source;
    message_source_memory_init(&source, bytes);
    if (message_parse_source(s->arena, &source.source, &message) != ERR_OK)
        bench_die("message_parse_source", "failed");
    put_structure(s, &message);
}

#ifdef BENCH_GMIME
static void count_part(GMimeObject *parent, GMimeObject *part, gpointer data) {
    (void)parent;
    (void)part;
    ++*(uint64_t *)data;
}

static void read_gmime(struct reader_state *s, struct view bytes) {
    /* The octets are not copied: GMime reads ours and refers to them. */
    GByteArray array = {.data = (guint8 *)(uintptr_t)bytes.p, .len = (guint)bytes.n};
    GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(&array);
    g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    if (message == NULL)
        bench_die("GMime", "no message");
    s->parts++;
    g_mime_message_foreach(message, count_part, &s->parts);
    g_object_unref(message);
    g_object_unref(parser);
    g_object_unref(stream);
}
#endif

static const struct {
    const char *name;
    read_fn *read;
} readers[] = {
    {"veredus", read_whole},
    {"veredus, as a stream", read_stream},
#ifdef BENCH_GMIME
    {"GMime", read_gmime},
#endif
};

/* All messages again and again for so long; one line. */
static void measure(const struct load *load, size_t reader, struct reader_state *state, uint64_t ms) {
    struct buf out;
    uint64_t messages = 0, octets = 0;
    int64_t start_us = bench_now_us(), us = 0;
    do {
        size_t from = 0;
        for (size_t i = 0; i < load->ends.n; i++) {
            size_t end = *VEC_AT(&load->ends, size_t, i);
            readers[reader].read(state, view_sub(buf_view(&load->bytes), from, end - from));
            octets += end - from;
            messages++;
            from = end;
        }
        us = bench_now_us() - start_us;
    } while ((uint64_t)us < ms * 1000);
    buf_init(&out, 65536);
    buf_put(&out, VIEW("{\"bench\":\"message\",\"what\":"));
    bench_put_text(&out, view_cstr(load->what));
    buf_put(&out, VIEW(",\"reader\":"));
    bench_put_text(&out, view_cstr(readers[reader].name));
    buf_printf(
        &out, ",\"messages\":%llu,\"octets\":%llu,\"us\":%lld,\"messages_per_second\":%.1f,\"octets_per_second\":%.0f}",
        (unsigned long long)messages, (unsigned long long)octets, (long long)us, (double)messages * 1e6 / (double)us,
        (double)octets * 1e6 / (double)us);
    bench_print(&out);
    buf_fini(&out);
}

static bool is_wanted(struct view wanted, const char *name) {
    return wanted.p == NULL || view_eq(wanted, view_cstr(name));
}

int main(int argc, char **argv) {
    struct options o = {.large = 64, .small = 5120, .rounds = 5, .ms = 500};
    const struct bench_option options[] = {
        {"--large", BENCH_NUMBER, &o.large, 900, "megabytes of the large message"},
        {"--small", BENCH_NUMBER, &o.small, 1000000, "octets of a small message"},
        {"--rounds", BENCH_NUMBER, &o.rounds, 1000, "how often each is measured, in turns"},
        {"--what", BENCH_TEXT, &o.what, 0, "only these messages"},
        {"--reader", BENCH_TEXT, &o.reader, 0, "only this reader"},
        {"--ms", BENCH_NUMBER, &o.ms, 60000, "how long each is measured"},
    };
    bench_options(argc, argv, options, ARRAY_LEN(options));
    struct random_seeded random;
    random_seeded_init(&random, 20261125);
    struct load loads[3];
    load_init(&loads[0], "large attachment");
    put_large(&loads[0].bytes, &random.random, (size_t)o.large * 1000000);
    load_end(&loads[0]);
    load_init(&loads[1], "small");
    load_init(&loads[2], "multipart");
    for (uint64_t i = 0; i < 500; i++) {
        put_plain(&loads[1].bytes, &random.random, i, (size_t)o.small);
        load_end(&loads[1]);
        put_multipart(&loads[2].bytes, &random.random, i);
        load_end(&loads[2]);
    }
#ifdef BENCH_GMIME
    g_mime_init();
#endif
    struct reader_state state = {.arena = arena_new("bench", MESSAGE_ARENA_BUDGET),
                                 .scratch = arena_new("scratch", MESSAGE_ARENA_BUDGET)};
    if (state.arena == NULL || state.scratch == NULL)
        bench_die("arena", "no memory");
    buf_init(&state.out, OUT_MAX);
    for (uint64_t round = 0; round < o.rounds; round++)
        for (size_t i = 0; i < ARRAY_LEN(loads); i++)
            for (size_t k = 0; k < ARRAY_LEN(readers); k++)
                if (is_wanted(o.what, loads[i].what) && is_wanted(o.reader, readers[k].name))
                    measure(&loads[i], k, &state, o.ms);
    buf_fini(&state.out);
    arena_free(state.arena);
    arena_free(state.scratch);
    for (size_t i = 0; i < ARRAY_LEN(loads); i++)
        load_fini(&loads[i]);
    return 0;
}
