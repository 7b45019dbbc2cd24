/*
 * Signs and seals messages, for the tests with other implementations:
 *
 *     auth_sign key SELECTOR DOMAIN KEYFILE            prints the record as a line of a zone
 *     auth_sign dkim HEADER/BODY DOMAIN OUTDIR SELECTOR=KEYFILE... -- FILE...
 *     auth_sign arc KEYS DOMAIN OUTDIR SELECTOR=KEYFILE -- FILE...
 *
 * Signed messages go to OUTDIR under the name that the file has, with CRLF. KEYS is
 * a file of "NAME RECORD" lines that the chain so far is verified with. What has no From
 * is left out.
 */
#include "arc/arc.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (64u << 20)
#define KEYS_MAX 4
#define RECORDS_MAX 16
#define NOW_US (1528637909 * US_PER_S)

struct app {
    struct dkim_signer signer; /* first: found again from it */
    struct dkim_crypto *crypto;
    struct arena *arena;
    struct dkim_sign_key keys[KEYS_MAX];
    struct dkim_private_key *privates[KEYS_MAX];
    size_t keys_n;
    struct dns_client dns;
    struct {
        struct view name, text;
    } records[RECORDS_MAX];
    size_t records_n;
};

static _Noreturn void die(const char *what) {
    (void)fprintf(stderr, "auth_sign: %s\n", what);
    exit(2);
}

static void slurp(const char *path, struct buf *out) {
    FILE *f = fopen(path, "rb");
    if (!f)
        die(path);
    size_t n;
    do {
        uint8_t *room = buf_room(out, 65536);
        if (!room)
            die("too large");
        n = fread(room, 1, 65536, f);
        buf_added(out, n);
    } while (n > 0);
    (void)fclose(f);
}

static enum err sign(struct dkim_signer *signer, struct view domain, struct view selector,
                     enum dkim_algorithm algorithm, const uint8_t *digest, struct buf *out) {
    struct app *app = (struct app *)signer;
    (void)domain;
    for (size_t i = 0; i < app->keys_n; i++)
        if (view_eq(app->keys[i].selector, selector) && app->keys[i].algorithm == algorithm)
            return dkim_private_key_sign(app->privates[i], digest, out);
    return ERR_NOT_FOUND;
}

static enum err lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                       struct dns_answer *out) {
    struct app *app = (struct app *)((uint8_t *)client - offsetof(struct app, dns));
    (void)type;
    *out = (struct dns_answer){.status = DNS_NXDOMAIN, .canonical = name};
    for (size_t i = 0; i < app->records_n; i++) {
        if (!view_eq_nocase(app->records[i].name, name))
            continue;
        struct buf wire;
        buf_init(&wire, 65536);
        for (struct view rest = app->records[i].text; rest.n > 0;) {
            struct view piece = view_sub(rest, 0, 255);
            buf_put_byte(&wire, (uint8_t)piece.n);
            buf_put(&wire, piece);
            rest = view_skip(rest, piece.n);
        }
        out->status = DNS_OK;
        out->data = ARENA_NEW(arena, struct dns_rdata);
        out->data_n = 1;
        enum err err = out->data ? arena_view(arena, buf_view(&wire), &out->data->data) : ERR_LIMIT;
        buf_fini(&wire);
        return err;
    }
    return ERR_OK;
}

static void add_key(struct app *app, struct view selector, const char *path) {
    struct buf pem;
    buf_init(&pem, FILE_MAX);
    if (app->keys_n == KEYS_MAX)
        die("too many keys");
    slurp(path, &pem);
    if (dkim_private_key_load(app->crypto, buf_view(&pem), &app->privates[app->keys_n]) != ERR_OK)
        die("no private key");
    app->keys[app->keys_n].selector = selector;
    app->keys[app->keys_n].algorithm = dkim_private_key_algorithm(app->privates[app->keys_n]);
    app->keys_n++;
    buf_fini(&pem);
}

static void print_record(struct app *app, struct view domain) {
    struct buf data, record, line;
    buf_init(&data, 4096);
    buf_init(&record, 8192);
    buf_init(&line, 16384);
    if (dkim_private_key_put_public(app->privates[0], &data) != ERR_OK)
        die("no public key");
    dkim_put_key_record(&record, app->keys[0].algorithm, buf_view(&data), false);
    dkim_put_zone_line(&line, app->keys[0].selector, domain, buf_view(&record));
    (void)printf("%.*s\n", VIEW_FMT(buf_view(&line)));
    buf_fini(&line);
    buf_fini(&record);
    buf_fini(&data);
}

static void read_records(struct app *app, const char *path) {
    struct buf text;
    buf_init(&text, FILE_MAX);
    slurp(path, &text);
    struct view rest, line;
    if (arena_view(app->arena, buf_view(&text), &rest) != ERR_OK)
        die("no memory");
    while (rest.n > 0 && app->records_n < RECORDS_MAX) {
        (void)view_split(rest, '\n', &line, &rest);
        if (view_split(view_trim(line), ' ', &app->records[app->records_n].name, &app->records[app->records_n].text))
            app->records_n++;
    }
    buf_fini(&text);
}

/* LF becomes CRLF, as dkim_input_fix_lines() does it. */
static void put_fixed(FILE *out, struct view message) {
    for (size_t i = 0; i < message.n; i++) {
        if (message.p[i] == '\n' && (i == 0 || message.p[i - 1] != '\r'))
            (void)fputc('\r', out);
        (void)fputc(message.p[i], out);
    }
}

static enum err make_fields(struct app *app, const char *how, bool is_arc, struct view domain, struct view message,
                            struct arena *arena, struct buf *out) {
    struct dkim_input *input;
    enum dkim_canon header = strncmp(how, "relaxed", 7) == 0 ? DKIM_RELAXED : DKIM_SIMPLE;
    enum dkim_canon body = is_arc || strstr(how, "/relaxed") ? DKIM_RELAXED : DKIM_SIMPLE;
    TRY(dkim_input_new(app->crypto, &input));
    dkim_input_fix_lines(input);
    enum err err = dkim_input_want(input, body, DKIM_BODY_WHOLE);
    if (err == ERR_OK)
        err = dkim_input_feed(input, message);
    if (err == ERR_OK)
        err = dkim_input_end(input);
    if (err == ERR_OK && !is_arc) {
        struct dkim_sign_options options = {
            .domain = domain, .header_canon = header, .body_canon = body, .now_us = NOW_US};
        err = dkim_sign(input, &options, app->keys, app->keys_n, &app->signer, arena, out);
    } else if (err == ERR_OK) {
        struct arc_report report;
        err = arc_verify(input, &app->dns, NOW_US, arena, &report);
        struct arc_seal_options options = {.domain = domain,
                                           .key = app->keys[0],
                                           .results =
                                               VIEW("mx.example.net; arc=none; spf=pass smtp.mfrom=a@example.org"),
                                           .now_us = NOW_US};
        if (err == ERR_OK)
            err = arc_seal(input, &report, &options, &app->signer, arena, out);
    }
    dkim_input_free(input);
    return err;
}

static void do_file(struct app *app, const char *how, bool is_arc, struct view domain, const char *folder,
                    const char *path) {
    struct buf message, fields;
    buf_init(&message, FILE_MAX);
    buf_init(&fields, 1 << 20);
    slurp(path, &message);
    struct arena *arena = arena_new("file", DKIM_ARENA_BUDGET);
    if (!arena)
        die("no memory");
    enum err err = make_fields(app, how, is_arc, domain, buf_view(&message), arena, &fields);
    if (err == ERR_OK) {
        char name[4096];
        const char *base = strrchr(path, '/');
        (void)snprintf(name, sizeof(name), "%s/%s", folder, base ? base + 1 : path);
        FILE *f = fopen(name, "wb");
        if (!f)
            die(name);
        (void)fwrite(fields.p, 1, fields.n, f);
        put_fixed(f, buf_view(&message));
        (void)fclose(f);
    } else {
        (void)printf("%s: %s\n", path, err_name(err));
    }
    arena_free(arena);
    buf_fini(&fields);
    buf_fini(&message);
}

int main(int argc, char **argv) {
    struct app app = {.signer = {.sign = sign}, .dns = {.lookup = lookup}, .arena = arena_new("all", 1 << 20)};
    if (argc < 5 || !app.arena || dkim_crypto_new(&app.crypto) != ERR_OK)
        die("usage: see sign_main.c");
    if (view_eq(view_cstr(argv[1]), VIEW("key"))) {
        add_key(&app, view_cstr(argv[2]), argv[4]);
        print_record(&app, view_cstr(argv[3]));
    } else {
        bool is_arc = view_eq(view_cstr(argv[1]), VIEW("arc"));
        if (is_arc)
            read_records(&app, argv[2]);
        int at = 5;
        for (; at < argc && !view_eq(view_cstr(argv[at]), VIEW("--")); at++) {
            struct view selector, path;
            if (!view_split(view_cstr(argv[at]), '=', &selector, &path))
                die("SELECTOR=KEYFILE");
            add_key(&app, selector, (const char *)path.p);
        }
        for (at++; at < argc; at++)
            do_file(&app, argv[2], is_arc, view_cstr(argv[3]), argv[4], argv[at]);
    }
    for (size_t i = 0; i < app.keys_n; i++)
        dkim_private_key_free(app.privates[i]);
    dkim_crypto_free(app.crypto);
    arena_free(app.arena);
    return 0;
}
