/*
 * The client engine talks to the server engine: every message of the MIME
 * conformance set, and made ones of all sizes, arrive octet for octet, or are not
 * sent at all when they hold what RFC5321-2.3.8 forbids.
 */
#include "smtp/client.h"
#include "smtp/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES CONFORMANCE_DIR "/mime"
#define TEXT_MAX ((size_t)64 * 1024 * 1024)

struct world {
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    struct stream *client, *server;
    struct view text;
    enum err client_result, server_result;
    struct smtp_outcome outcomes[2];
    struct arena *arena;
    struct buf arrived;
    size_t messages;
    bool eightbit;
    int mode;
};

static void role_mail(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    struct world *w = ctx;
    (void)session;
    (void)reply;
    assert_true(view_eq(t->sender.whole, VIEW("a@example.com")));
    /* RFC1870-5: what is declared is what comes */
    assert_true(t->declared_size == w->text.n || t->declared_size == w->text.n + 2);
}

static void role_rcpt(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_recipient *r,
                      struct smtp_reply *reply) {
    (void)ctx;
    (void)session;
    (void)t;
    (void)r;
    (void)reply;
}

static enum err role_spool(void *ctx, struct smtp_session *session, struct file **out) {
    (void)ctx;
    (void)session;
    return file_new_memory("loopback", out);
}

static void role_data(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    struct world *w = ctx;
    (void)session;
    w->messages++;
    w->eightbit = t->eightbit;
    assert_int_equal(t->recipients_n, 2);
    assert_int_equal(t->declared_size, t->body_size);
    if (t->body_file != NULL) {
        size_t got;
        uint8_t *to = buf_room(&w->arrived, (size_t)t->body_size);
        assert_non_null(to);
        assert_int_equal(file_read(t->body_file, to, (size_t)t->body_size, 0, &got), ERR_OK);
        buf_added(&w->arrived, got);
    } else {
        buf_put(&w->arrived, t->body);
    }
    *reply = (struct smtp_reply){250, VIEW("2.0.0"), VIEW("Accepted")};
}

#define MODE_LINES 0  /* DATA */
#define MODE_CHUNKS 1 /* the server has CHUNKING: large messages use it */
#define MODE_BINARY 2 /* RFC3030-3: every octet arrives */

static void serve(void *arg) {
    struct world *w = arg;
    const struct smtp_server_ops ops = {.mail = role_mail, .rcpt = role_rcpt, .spool = role_spool, .data = role_data};
    const struct smtp_server_params params = {
        .ops = &ops,
        .ctx = w,
        .hostname = VIEW("mx.example.org"),
        .recipients_max = 10,
        .idle_us = 300 * US_PER_S,
        .extensions = w->mode == MODE_LINES ? 0 : SMTP_OFFER_CHUNKING | SMTP_OFFER_BINARYMIME};
    w->server_result = smtp_session_run(&params, &w->server, NULL);
    stream_free(w->server);
}

static void send_message(void *arg) {
    struct world *w = arg;
    static const struct view recipients[] = {VIEW_INIT("b@example.org"), VIEW_INIT("\"c d\"@[192.0.2.1]")};
    const struct smtp_client_params params = {.hostname = VIEW("client.example")};
    /* A part in front, the rest in the file, cut anywhere. */
    size_t cut = (size_t)random_below(&w->random.random, w->text.n + 1);
    struct file *body;
    assert_int_equal(file_new_memory("loopback", &body), ERR_OK);
    assert_int_equal(file_write(body, view_skip(w->text, cut), 0), ERR_OK);
    const struct smtp_envelope envelope = {.sender = VIEW("a@example.com"),
                                           .recipients = recipients,
                                           .recipients_n = ARRAY_LEN(recipients),
                                           .prefix = view_sub(w->text, 0, cut),
                                           .body = body,
                                           .binary = w->mode == MODE_BINARY,
                                           .size = w->text.n};
    bool sent_dot;
    w->client_result = smtp_client_send(&params, &w->client, &envelope, w->arena, w->outcomes, &sent_dot);
    assert_int_equal(sent_dot, w->client_result == ERR_OK);
    file_unref(body);
    stream_free(w->client);
}

static bool is_honest(struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        bool bare_cr = v.p[i] == '\r' && (i + 1 == v.n || v.p[i + 1] != '\n');
        bool bare_lf = v.p[i] == '\n' && (i == 0 || v.p[i - 1] != '\r');
        if (v.p[i] == 0 || bare_cr || bare_lf)
            return false;
    }
    return true;
}

/* Returns whether the message could be sent. */
static bool pass(struct view text, int mode, size_t capacity, uint64_t seed) {
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->text = text;
    w->mode = mode;
    virtual_clock_init(&w->clock, 0);
    random_seeded_init(&w->random, seed);
    w->loop = loop_new_virtual(&w->clock, &w->random.random, NULL);
    w->arena = arena_new("loopback", 65536);
    assert_true(w->loop != NULL && w->arena != NULL);
    buf_init(&w->arrived, TEXT_MAX);
    assert_int_equal(stream_new_pair(w->loop, capacity, &w->client, &w->server), ERR_OK);
    assert_int_equal(co_spawn(w->loop, NULL, "server", serve, w, NULL), ERR_OK);
    assert_int_equal(co_spawn(w->loop, NULL, "client", send_message, w, NULL), ERR_OK);
    loop_run(w->loop);
    bool honest = mode == MODE_BINARY || is_honest(text);
    if (honest) {
        assert_int_equal(w->client_result, ERR_OK);
        assert_int_equal(w->server_result, ERR_OK);
        assert_int_equal(w->messages, 1);
        for (size_t i = 0; i < ARRAY_LEN(w->outcomes); i++)
            assert_int_equal(w->outcomes[i].reply, 250);
        assert_true(view_starts(buf_view(&w->arrived), text));
        struct view more = view_skip(buf_view(&w->arrived), text.n);
        bool by_chunks = mode == MODE_BINARY || (mode == MODE_CHUNKS && text.n >= 262144);
        bool has_end = by_chunks || text.n == 0 || view_ends(text, VIEW("\r\n"));
        assert_true(has_end ? more.n == 0 : view_eq(more, VIEW("\r\n")));
        bool eightbit = mode == MODE_BINARY;
        for (size_t i = 0; i < text.n; i++)
            eightbit |= text.p[i] >= 0x80;
        assert_int_equal(w->eightbit, eightbit);
    } else {
        assert_int_equal(w->client_result, ERR_PERMANENT);
        assert_int_equal(w->messages, 0);
    }
    buf_fini(&w->arrived);
    arena_free(w->arena);
    loop_free(w->loop);
    free(w);
    return honest;
}

static void read_file(const char *path, struct buf *out) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (size_t n = 1; n > 0;) {
        uint8_t *to = buf_room(out, 65536);
        assert_non_null(to);
        n = fread(to, 1, 65536, f);
        buf_added(out, n);
    }
    fclose(f);
}

/* Line ends as SMTP has them, the way a client makes them before it submits. */
static void with_crlf(struct view in, struct buf *out) {
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r'))
            buf_put_byte(out, '\r');
        buf_put_byte(out, in.p[i]);
    }
}

/* nftw() has no argument for its function. */
static size_t files_seen, files_sent;

static int each_file(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st;
    (void)where;
    struct view name = view_cstr(path);
    if (type != FTW_F || view_ends(name, VIEW(".txt")) || view_ends(name, VIEW(".json")))
        return 0;
    struct buf raw, text;
    buf_init(&raw, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    read_file(path, &raw);
    (void)pass(buf_view(&raw), MODE_LINES, 65536, files_seen);
    (void)pass(buf_view(&raw), MODE_BINARY, 3000, files_seen);
    with_crlf(buf_view(&raw), &text);
    files_sent += pass(buf_view(&text), MODE_LINES, 1000, files_seen);
    files_seen++;
    buf_fini(&raw);
    buf_fini(&text);
    return 0;
}

static void test_conformance(void **state) {
    (void)state;
    files_seen = files_sent = 0;
    if (nftw(MESSAGES, each_file, 16, FTW_PHYS) != 0 || files_seen == 0)
        skip();
    assert_true(files_sent > files_seen / 2);
}

static void test_made(void **state) {
    (void)state;
    static const size_t sizes[] = {0,     1,     2,      3,      100,    4096,    65535,
                                   65536, 65537, 262143, 262144, 262145, 1000003, 2500000};
    static const char *const pieces[] = {".", "..", "\r\n", "\r\n.\r\n", "text ", "\xc3\xa9", "\r\n..", "\r\n\r\n"};
    struct random_seeded random;
    random_seeded_init(&random, 1);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t round = 0; round < 4; round++) {
            struct buf text;
            buf_init(&text, TEXT_MAX);
            while (text.n < sizes[i])
                buf_put_str(&text, pieces[random_below(&random.random, ARRAY_LEN(pieces))]);
            for (int mode = MODE_LINES; mode <= MODE_BINARY; mode++)
                assert_true(pass(buf_view(&text), mode, round % 2 == 0 ? 65536 : 777, round));
            buf_fini(&text);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_conformance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
