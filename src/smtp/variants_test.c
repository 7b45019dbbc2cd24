/*
 * Smuggling: every string of up to six of CR, LF, NUL, dot and a letter, in the
 * middle of a message, through the server engine and through the client engine.
 * A message ends at CRLF "." CRLF and nowhere else, a message with a bare CR, a
 * bare LF or a NUL gets in nowhere, and the client sends none (RFC5321-2.3.8). In
 * chunks they are data, stay what they are, and end nothing (RFC3030-2).
 */
#include "smtp/client.h"
#include "smtp/server.h"
#include "smtp/test_tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define VARIANT_MAX 6
static const uint8_t alphabet[] = {'\r', '\n', 0, '.', 'a'};

static size_t variants_n(size_t length) {
    size_t n = 1;
    while (length-- > 0)
        n *= sizeof(alphabet);
    return n;
}

static struct view variant(size_t length, size_t number, uint8_t to[VARIANT_MAX]) {
    for (size_t i = 0; i < length; i++) {
        to[i] = alphabet[number % sizeof(alphabet)];
        number /= sizeof(alphabet);
    }
    return view_of(to, length);
}

/* What an honest reader sees: every CR has its LF, every LF its CR, no NUL. */
static bool is_honest(struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == 0)
            return false;
        if (v.p[i] == '\r' && (i + 1 == v.n || v.p[i + 1] != '\n'))
            return false;
        if (v.p[i] == '\n' && (i == 0 || v.p[i - 1] != '\r'))
            return false;
    }
    return true;
}

/* ---- server ---- */

struct role {
    size_t mails, messages;
    bool bare;
    struct buf text; /* of the first message */
};

static void role_mail(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    (void)session;
    (void)t;
    (void)reply;
    ((struct role *)ctx)->mails++;
}

static void role_rcpt(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_recipient *r,
                      struct smtp_reply *reply) {
    (void)ctx;
    (void)session;
    (void)t;
    (void)r;
    (void)reply;
}

static void role_data(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    (void)session;
    struct role *role = ctx;
    if (role->messages++ == 0)
        buf_put(&role->text, t->body);
    role->bare = t->bare;
    reply->code = 250;
}

static void serve(struct loop *loop, struct view in, size_t piece, struct role *role) {
    const struct smtp_server_ops ops = {.mail = role_mail, .rcpt = role_rcpt, .data = role_data};
    const struct smtp_server_params params = {.kind = SMTP_KIND_MX,
                                              .ops = &ops,
                                              .ctx = role,
                                              .hostname = VIEW("mx"),
                                              .recipients_max = 10,
                                              .extensions = SMTP_OFFER_CHUNKING | SMTP_OFFER_BINARYMIME,
                                              .idle_us = US_PER_S};
    struct tape tape;
    tape_init(&tape, loop, in, piece);
    struct stream *stream = &tape.stream;
    *role = (struct role){0};
    buf_init(&role->text, 4096);
    assert_int_equal(smtp_session_run(&params, &stream, NULL), ERR_OK);
    buf_fini(&tape.out);
}

static void check_server(struct loop *loop, struct view v, size_t piece) {
    struct buf in;
    struct role role;
    buf_init(&in, 4096);
    buf_put_str(&in, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx");
    size_t text_at = in.n;
    buf_put(&in, v);
    buf_put_str(&in, "MAIL FROM:<evil@b>\r\n.\r\nRSET\r\nQUIT\r\n");
    serve(loop, buf_view(&in), piece, &role);
    struct view text = view_skip(buf_view(&in), text_at - 1); /* with the x */
    ssize_t end = view_find(text, VIEW("\r\n.\r\n"));
    assert_true(end >= 0);
    bool ends_early = (size_t)end + 5 <= 1 + v.n;
    /* The text up to the CRLF of its last line; a CR before that CRLF is bare. */
    struct view kept = view_sub(text, 0, (size_t)end + 2);
    bool honest = is_honest(kept);
    assert_int_equal(role.messages, honest ? 1 : 0);
    /* The second MAIL is a command only behind a real end, and only when it stands at the start of a line then. */
    bool is_command = ends_early && (size_t)end + 5 == 1 + v.n;
    if (ends_early && !is_command) {
        struct view rest = view_sub(text, (size_t)end + 5, 1 + v.n - ((size_t)end + 5));
        is_command = view_ends(rest, VIEW("\n"));
    }
    assert_int_equal(role.mails, is_command ? 2 : 1);
    if (honest) {
        /* Its lines come with one dot less. */
        struct buf want;
        buf_init(&want, 4096);
        for (size_t i = 0; i < kept.n; i++)
            if (!(kept.p[i] == '.' && i >= 2 && kept.p[i - 1] == '\n'))
                buf_put_byte(&want, kept.p[i]);
        assert_true(view_eq(buf_view(&want), buf_view(&role.text)));
        buf_fini(&want);
    }
    buf_fini(&role.text);
    buf_fini(&in);
}

/* The variant at the end of one chunk, or cut by two of them at each place. */
static void check_chunks(struct loop *loop, struct view v, size_t cut, size_t piece) {
    struct buf in, want;
    struct role role;
    buf_init(&in, 4096);
    buf_init(&want, 4096);
    buf_put_str(&want, "x");
    buf_put(&want, v);
    buf_put_str(&want, "MAIL FROM:<evil@b>\r\n");
    buf_put_str(&in, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    buf_printf(&in, "BDAT %zu\r\n", cut);
    buf_put(&in, view_sub(buf_view(&want), 0, cut));
    buf_printf(&in, "BDAT %zu LAST\r\n", want.n - cut);
    buf_put(&in, view_skip(buf_view(&want), cut));
    buf_put_str(&in, "QUIT\r\n");
    serve(loop, buf_view(&in), piece, &role);
    assert_int_equal(role.mails, 1);
    assert_int_equal(role.messages, 1);
    assert_true(view_eq(buf_view(&want), buf_view(&role.text)));
    assert_int_equal(role.bare, !is_honest(buf_view(&want)));
    buf_fini(&role.text);
    buf_fini(&want);
    buf_fini(&in);
}

/* ---- client ---- */

static void check_client(struct loop *loop, struct view v) {
    static const struct view recipient = VIEW_INIT("c@d");
    static const struct view replies =
        VIEW_INIT("220 mx\r\n250 mx\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n221 bye\r\n");
    struct buf body;
    buf_init(&body, 4096);
    buf_put_str(&body, "x");
    buf_put(&body, v);
    buf_put_str(&body, "MAIL FROM:<evil@b>\r\n");
    const struct smtp_client_params params = {.hostname = VIEW("client")};
    const struct smtp_envelope envelope = {
        .sender = VIEW("a@b"), .recipients = &recipient, .recipients_n = 1, .prefix = buf_view(&body)};
    struct arena *arena = arena_new("variants", 65536);
    struct smtp_outcome outcome;
    bool sent_dot;
    struct tape tape;
    tape_init(&tape, loop, replies, replies.n);
    tape.by_line = true;
    struct stream *stream = &tape.stream;
    enum err err = smtp_client_send(&params, &stream, &envelope, arena, &outcome, &sent_dot);
    if (is_honest(buf_view(&body))) {
        assert_int_equal(err, ERR_OK);
        assert_int_equal(outcome.reply, 250);
        /* Our own server takes it for one message, octet for octet. */
        struct role role;
        serve(loop, buf_view(&tape.out), tape.out.n, &role);
        assert_int_equal(role.mails, 1);
        assert_int_equal(role.messages, 1);
        assert_true(view_eq(buf_view(&role.text), buf_view(&body)));
        buf_fini(&role.text);
    } else {
        assert_int_equal(err, ERR_PERMANENT);
        assert_int_equal(tape.out.n, 0);
        assert_false(sent_dot);
    }
    buf_fini(&tape.out);
    buf_fini(&body);
    arena_free(arena);
}

/* ---- all of them ---- */

/* Sent as binary it arrives whole, at our own server too. */
static void check_client_chunks(struct loop *loop, struct view v) {
    static const struct view recipient = VIEW_INIT("c@d");
    static const struct view replies =
        VIEW_INIT("220 mx\r\n250-mx\r\n250-CHUNKING\r\n250 BINARYMIME\r\n250 ok\r\n250 ok\r\n250 done\r\n221 bye\r\n");
    struct buf body;
    buf_init(&body, 4096);
    buf_put_str(&body, "x");
    buf_put(&body, v);
    buf_put_str(&body, "MAIL FROM:<evil@b>\r\n");
    const struct smtp_client_params params = {.hostname = VIEW("client")};
    const struct smtp_envelope envelope = {
        .sender = VIEW("a@b"), .recipients = &recipient, .recipients_n = 1, .binary = true, .prefix = buf_view(&body)};
    struct arena *arena = arena_new("variants", 65536);
    struct smtp_outcome outcome;
    bool sent_dot;
    struct tape tape;
    tape_init(&tape, loop, replies, replies.n);
    tape.by_line = true;
    struct stream *stream = &tape.stream;
    assert_int_equal(smtp_client_send(&params, &stream, &envelope, arena, &outcome, &sent_dot), ERR_OK);
    assert_int_equal(outcome.reply, 250);
    struct role role;
    serve(loop, buf_view(&tape.out), tape.out.n, &role);
    assert_int_equal(role.mails, 1);
    assert_int_equal(role.messages, 1);
    assert_true(view_eq(buf_view(&role.text), buf_view(&body)));
    buf_fini(&role.text);
    buf_fini(&tape.out);
    buf_fini(&body);
    arena_free(arena);
}

static void each_variant(void (*check)(struct loop *loop, struct view v)) {
    struct virtual_clock clock;
    virtual_clock_init(&clock, 0);
    struct loop *loop = loop_new_virtual(&clock, NULL, NULL);
    assert_non_null(loop);
    for (size_t length = 0; length <= VARIANT_MAX; length++)
        for (size_t number = 0; number < variants_n(length); number++) {
            uint8_t octets[VARIANT_MAX];
            check(loop, variant(length, number, octets));
        }
    loop_free(loop);
}

static void server_whole(struct loop *loop, struct view v) {
    check_server(loop, v, 65536);
}

static void server_bytes(struct loop *loop, struct view v) {
    check_server(loop, v, 1);
}

static void server_chunks(struct loop *loop, struct view v) {
    check_chunks(loop, v, 1 + v.n, 65536);
    for (size_t cut = 0; v.n < VARIANT_MAX && cut <= v.n + 1; cut++)
        check_chunks(loop, v, cut, 3);
}

static void test_server_chunks(void **state) {
    (void)state;
    each_variant(server_chunks);
}

static void test_server_whole(void **state) {
    (void)state;
    each_variant(server_whole);
}

static void test_server_bytes(void **state) {
    (void)state;
    each_variant(server_bytes);
}

static void test_client(void **state) {
    (void)state;
    each_variant(check_client);
}

static void test_client_chunks(void **state) {
    (void)state;
    each_variant(check_client_chunks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_whole), cmocka_unit_test(test_server_bytes),  cmocka_unit_test(test_server_chunks),
        cmocka_unit_test(test_client),       cmocka_unit_test(test_client_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
