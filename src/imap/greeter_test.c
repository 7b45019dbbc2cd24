/* The greeter over a stream pair on a virtual clock: whole, octet by octet. */
#include "imap/greeter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct world {
    struct virtual_clock clock;
    struct loop *loop;
    struct stream *client, *server, *secured_client;
    struct stream *owned; /* the server's end of now */
    bool encrypted, no_starttls, start_fails, is_resumed;
    struct view unread;
    size_t step; /* octets of one write */
    const char *input, *after_tls;
    struct buf transcript, handed;
    enum imap_greeter_end end;
    unsigned proofs;
};

static enum imap_auth_outcome auth(void *ctx, struct view authzid, struct view user, struct view password) {
    struct world *w = ctx;
    (void)authzid;
    w->proofs++;
    if (view_eq(user, VIEW("down")))
        return IMAP_AUTH_UNAVAILABLE;
    if (view_eq(user, VIEW("bot")))
        return IMAP_AUTH_REFUSED;
    return view_eq(user, VIEW("joe")) && view_eq(password, VIEW("s3\"cret")) ? IMAP_AUTH_OK : IMAP_AUTH_WRONG;
}

/* "TLS" is another pair here; the client changes over by reading what came on the old one first. */
static enum err starttls(void *ctx, struct stream *plain, struct stream **out) {
    struct world *w = ctx;
    struct stream *ours;
    stream_free(plain);
    assert_int_equal(stream_new_pair(w->loop, 4096, &ours, &w->secured_client), ERR_OK);
    ours->encrypted = true;
    w->owned = ours;
    *out = ours;
    return ERR_OK;
}

static enum err start(void *ctx, const struct imap_handover *handover) {
    struct world *w = ctx;
    if (w->start_fails)
        return ERR_AGAIN;
    assert_int_equal(record_encode(&imap_handover_record, handover, &w->handed), ERR_OK);
    return ERR_OK;
}

static void serve(void *arg) {
    struct world *w = arg;
    static const struct imap_greeter_ops ops = {.auth = auth, .starttls = starttls, .start = start};
    static const struct imap_greeter_ops plain_ops = {.auth = auth, .start = start};
    struct imap_greeter_params params = {.ops = w->no_starttls ? &plain_ops : &ops,
                                         .ctx = w,
                                         .host = VIEW("mx.test"),
                                         .is_resumed = w->is_resumed,
                                         .unread = w->unread};
    w->server->encrypted = w->encrypted;
    w->owned = w->server;
    w->end = imap_greeter_run(&params, &w->server);
    assert_true(w->end == IMAP_GREETER_HANDED_OVER ? w->server == NULL : w->server == w->owned);
    stream_free(w->owned);
    w->server = NULL;
}

static void write_all(struct world *w, struct stream *to, const char *text) {
    struct view v = view_cstr(text);
    while (v.n > 0) {
        struct view piece = view_sub(v, 0, w->step);
        if (stream_write(to, piece, US_NEVER) != ERR_OK)
            return;
        v = view_skip(v, piece.n);
        if (co_yield () != ERR_OK)
            return;
    }
}

static void read_all(struct world *w, struct stream *from) {
    uint8_t octets[512];
    size_t got;
    while (stream_read(from, octets, sizeof(octets), loop_now_us(w->loop) + US_PER_S, &got) == ERR_OK)
        buf_put(&w->transcript, view_of(octets, got));
}

static void talk(void *arg) {
    struct world *w = arg;
    write_all(w, w->client, w->input);
    read_all(w, w->client);
    stream_free(w->client);
    w->client = NULL;
    if (w->secured_client == NULL)
        return;
    buf_put_str(&w->transcript, "--tls--\r\n");
    write_all(w, w->secured_client, w->after_tls);
    read_all(w, w->secured_client);
    stream_free(w->secured_client);
}

static void run_world(struct world *w) {
    virtual_clock_init(&w->clock, INT64_C(1700000000) * US_PER_S);
    w->loop = loop_new_virtual(&w->clock, NULL, NULL);
    assert_non_null(w->loop);
    buf_init(&w->transcript, 100000);
    buf_init(&w->handed, 100000);
    assert_int_equal(stream_new_pair(w->loop, 4096, &w->server, &w->client), ERR_OK);
    assert_int_equal(co_spawn(w->loop, NULL, "greeter", serve, w, NULL), ERR_OK);
    assert_int_equal(co_spawn(w->loop, NULL, "client", talk, w, NULL), ERR_OK);
    loop_run(w->loop);
}

static void end_world(struct world *w) {
    buf_fini(&w->transcript);
    buf_fini(&w->handed);
    loop_free(w->loop);
}

static void check_text(struct world w, const char *expected) {
    const size_t steps[] = {4096, 1, 3, 7};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct world copy = w;
        copy.step = steps[i];
        run_world(&copy);
        if (!view_eq(buf_view(&copy.transcript), view_cstr(expected)))
            fail_msg("step %zu: got\n%.*s\nnot\n%s", steps[i], VIEW_FMT(buf_view(&copy.transcript)), expected);
        end_world(&copy);
    }
}

#define HELLO_PLAIN "* OK [CAPABILITY IMAP4rev1 LITERAL+ ID SASL-IR STARTTLS LOGINDISABLED] mx.test ready\r\n"
#define HELLO_TLS "* OK [CAPABILITY IMAP4rev1 LITERAL+ ID SASL-IR AUTH=PLAIN] mx.test ready\r\n"

static void test_any_state(void **state) {
    (void)state;
    check_text((struct world){.input = "a NOOP\r\nb capability\r\nc LOGOUT\r\nd NOOP\r\n"}, HELLO_PLAIN
               "a OK Nothing done\r\n"
               "* CAPABILITY IMAP4rev1 LITERAL+ ID SASL-IR STARTTLS LOGINDISABLED\r\nb OK Capabilities listed\r\n"
               "* BYE Goodbye\r\nc OK Logged out\r\n");
    check_text((struct world){.input = "a ID (\"name\" \"test\" \"x\" NIL)\r\n"}, HELLO_PLAIN
               "* ID (\"name\" \"Veredus\" \"version\" \"" VEREDUS_VERSION "\")\r\na OK Pleased to meet you\r\n");
    check_text((struct world){.input = "\r\na\r\nb SELECT x\r\n(\r\nc ID (\"a\r\n"}, HELLO_PLAIN
               "* BAD expected a tag\r\na BAD expected a space\r\nb BAD Unknown command, or not before login\r\n"
               "* BAD expected a tag\r\nc BAD unterminated quoted string\r\n");
}

/* RFC3501-6.2.3: no password in the clear; RFC3501-6.2.1: nothing that came in the clear counts afterwards. */
static void test_tls(void **state) {
    (void)state;
    struct world w = {.input = "a LOGIN joe \"s3\\\"cret\"\r\nb AUTHENTICATE PLAIN =\r\nc STARTTLS\r\nd LOGOUT\r\n",
                      .after_tls = "e STARTTLS\r\nf LOGIN joe wrong\r\ng LOGIN joe \"s3\\\"cret\"\r\nh NOO",
                      .step = 4096};
    run_world(&w);
    assert_true(view_eq(buf_view(&w.transcript),
                        VIEW(HELLO_PLAIN "a NO [PRIVACYREQUIRED] Passwords are taken over TLS only\r\n"
                                         "b NO [PRIVACYREQUIRED] Passwords are taken over TLS only\r\n"
                                         "c OK Begin TLS now\r\n--tls--\r\ne BAD TLS is active already\r\n"
                                         "f NO [AUTHENTICATIONFAILED] User name or password is wrong\r\n")));
    assert_int_equal(w.proofs, 2);
    assert_int_equal(w.end, IMAP_GREETER_HANDED_OVER);
    end_world(&w);
}

/* The hand-over keeps what came behind the login, split at every octet. */
static void test_handover(void **state) {
    (void)state;
    const char *input = "t0 ID (\"name\" \"x\")\r\nt1 AUTHENTICATE PLAIN AGpvZQBzMyJjcmV0\r\nt2 APPEND x {10+}\r\nabc";
    for (size_t step = 1; step < 80; step++) {
        struct world w = {.encrypted = true, .input = input, .step = step};
        struct arena *arena = arena_new("test", 100000);
        struct imap_handover h;
        run_world(&w);
        assert_int_equal(w.end, IMAP_GREETER_HANDED_OVER);
        assert_int_equal(record_decode(&imap_handover_record, buf_view(&w.handed), arena, &h), ERR_OK);
        assert_true(view_eq(h.tag, VIEW("t1")));
        assert_true(view_eq(h.command, VIEW("AUTHENTICATE")));
        assert_true(view_eq(h.user, VIEW("joe")));
        assert_true(h.encrypted);
        assert_int_equal(h.client_id_n, 1);
        assert_true(view_eq(h.client_id[0].value, VIEW("x")));
        /* What was read before the hand-over; the rest is still in the stream. */
        assert_true(view_starts(VIEW("t2 APPEND x {10+}\r\nabc"), h.unread));
        if (step >= 79)
            assert_true(h.unread.n > 0);
        arena_free(arena);
        end_world(&w);
    }
}

static void test_login_forms(void **state) {
    (void)state;
    /* RFC7888-3 and RFC3501-7.5: literals of both kinds */
    struct world w = {.encrypted = true, .input = "a LOGIN {3}\r\njoe {7+}\r\ns3\"cret\r\n", .step = 5};
    run_world(&w);
    assert_true(view_eq(buf_view(&w.transcript), VIEW(HELLO_TLS "+ go on\r\n")));
    assert_int_equal(w.end, IMAP_GREETER_HANDED_OVER);
    end_world(&w);
    /* RFC4959-3 without an initial response */
    w = (struct world){.encrypted = true, .input = "a AUTHENTICATE plain\r\nAGpvZQBzMyJjcmV0\r\n", .step = 5};
    run_world(&w);
    assert_true(view_eq(buf_view(&w.transcript), VIEW(HELLO_TLS "+ \r\n")));
    assert_int_equal(w.end, IMAP_GREETER_HANDED_OVER);
    end_world(&w);
    check_text((struct world){.encrypted = true,
                              .input = "a AUTHENTICATE PLAIN\r\n*\r\nb AUTHENTICATE PLAIN =\r\n"
                                       "c AUTHENTICATE PLAIN AAA\r\nd AUTHENTICATE GSSAPI\r\n"},
               HELLO_TLS
               "+ \r\na BAD Authentication cancelled\r\nb BAD not an answer of the PLAIN mechanism\r\n"
               "c BAD not an answer of the PLAIN mechanism\r\nd NO [CANNOT] This mechanism is not supported\r\n");
}

static void test_failures(void **state) {
    (void)state;
    check_text(
        (struct world){.encrypted = true, .start_fails = true, .input = "a LOGIN joe \"s3\\\"cret\"\r\nb NOOP\r\n"},
        HELLO_TLS "a NO [UNAVAILABLE] The mailbox cannot be opened now, try again\r\nb OK Nothing done\r\n");
    check_text((struct world){.encrypted = true, .input = "a LOGIN down x\r\nb LOGIN bot x\r\nc NOOP\r\n"},
               HELLO_TLS "a NO [UNAVAILABLE] Logging in is not possible now, try again\r\n"
                         "* BYE Too many failed logins from your network\r\n");
    struct world w = {.encrypted = true,
                      .step = 4096,
                      .input = "a LOGIN x y\r\na LOGIN x y\r\na LOGIN x y\r\na LOGIN x y\r\n"
                               "a LOGIN x y\r\na LOGIN x y\r\na LOGIN x y\r\na LOGIN x y\r\na LOGIN x y\r\na LOGIN x "
                               "y\r\na LOGIN x y\r\n"};
    run_world(&w);
    assert_int_equal(w.proofs, IMAP_LOGIN_ATTEMPTS_MAX);
    assert_true(view_ends(buf_view(&w.transcript), VIEW("* BYE Too many failed logins\r\n")));
    end_world(&w);
}

/* RFC8437-2: back from a mailbox there is no greeting, and what was pipelined is served. */
static void test_resumed(void **state) {
    (void)state;
    check_text((struct world){.is_resumed = true, .unread = VIEW("b NOOP\r\nc NO"), .input = "OP\r\n"},
               "b OK Nothing done\r\nc OK Nothing done\r\n");
}

/* RFC7888-4: a literal that is too large is read and dropped; a line that is too long, too. */
static void test_too_big(void **state) {
    (void)state;
    char *text = malloc(300000);
    assert_non_null(text);
    size_t n = 0;
    const char *head = "a LOGIN {100000+}\r\n";
    memcpy(text, head, 19);
    memset(text + 19, 'x', 100000);
    n = 100019;
    memcpy(text + n, " {3+}\r\nabc\r\nb NOOP\r\nc ", 22);
    n += 22;
    memset(text + n, 'y', 150000);
    n += 150000;
    memcpy(text + n, "\r\nd LOGIN {70000}\r\ne NOOP\r\n", 28);
    struct world w = {.encrypted = true, .input = text, .step = 4096};
    run_world(&w);
    assert_true(
        view_eq(buf_view(&w.transcript), VIEW(HELLO_TLS "a BAD The command is too long\r\nb OK Nothing done\r\n"
                                                        "c BAD The command is too long\r\n"
                                                        "d BAD The command is too long\r\ne OK Nothing done\r\n")));
    end_world(&w);
    free(text);
}

static void test_bad_and_silence(void **state) {
    (void)state;
    struct world w = {.step = 4096, .input = "x\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\n"};
    run_world(&w);
    assert_true(view_ends(buf_view(&w.transcript), VIEW("* BYE Too many bad commands\r\n")));
    end_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_state), cmocka_unit_test(test_tls),
        cmocka_unit_test(test_handover),  cmocka_unit_test(test_login_forms),
        cmocka_unit_test(test_failures),  cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_too_big),   cmocka_unit_test(test_bad_and_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
