/*
 * The arrows between the greeter and the session (DESIGN.md section 2): login,
 * and UNAUTHENTICATE back (RFC8437-2), with everything the client sends in one
 * go, cut at every octet. However it is cut, the transcript is the same.
 */
#include "imap/greeter.h"
#include "session/imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct run {
    struct imap_world world;
    struct stream *server, *client;
    struct view first, second; /* the input, cut in two */
    struct buf transcript, handed;
    unsigned logins, returns;
};

static enum imap_auth_outcome auth(void *ctx, struct view authzid, struct view user, struct view password) {
    (void)ctx;
    (void)authzid;
    return view_eq(user, VIEW("joe")) && view_eq(password, VIEW("pw")) ? IMAP_AUTH_OK : IMAP_AUTH_WRONG;
}

static enum err start(void *ctx, const struct imap_handover *handover) {
    struct run *r = ctx;
    r->logins++;
    buf_clear(&r->handed);
    return record_encode(&imap_handover_record, handover, &r->handed);
}

/* Both processes' parts one after the other; between them only octets travel. */
static void serve(void *arg) {
    static const struct imap_greeter_ops ops = {.auth = auth, .start = start};
    struct run *r = arg;
    struct imap_greeter_params params = {.ops = &ops, .ctx = r, .host = VIEW("mx.test"), .allow_plain = true};
    struct buf unread;
    buf_init(&unread, IMAP_INPUT_MAX);
    for (;;) {
        struct stream *stream = r->server;
        if (imap_greeter_run(&params, &stream) != IMAP_GREETER_HANDED_OVER)
            break;
        struct imap_session_params session_params = {.account = r->world.account, .stream = r->server};
        struct arena *arena = arena_new("test", (size_t)1024 * 1024);
        struct imap_handover handover;
        struct imap_session *session;
        BUG_IF(record_decode(&imap_handover_record, buf_view(&r->handed), arena, &handover) != ERR_OK);
        BUG_IF(imap_session_new(&session_params, &handover, &session) != ERR_OK);
        enum imap_session_end end = imap_session_run(session);
        buf_clear(&unread);
        buf_put(&unread, imap_session_unread(session));
        imap_session_free(session);
        arena_free(arena);
        if (end != IMAP_SESSION_UNAUTHENTICATED)
            break;
        r->returns++;
        params.is_resumed = true;
        params.unread = buf_view(&unread);
    }
    buf_fini(&unread);
    stream_free(r->server);
}

static void client(void *arg) {
    struct run *r = arg;
    uint8_t octets[4096];
    size_t got;
    const struct view parts[] = {r->first, r->second};
    for (size_t i = 0; i < 2; i++) {
        if (parts[i].n > 0 && stream_write(r->client, parts[i], US_NEVER) != ERR_OK)
            break;
        if (co_sleep(US_PER_S) != ERR_OK)
            break;
    }
    while (stream_read(r->client, octets, sizeof(octets), loop_now_us(r->world.loop) + US_PER_S, &got) == ERR_OK)
        buf_put(&r->transcript, view_of(octets, got));
    stream_free(r->client);
}

static const char input[] = "a LOGIN joe {2+}\r\npw\r\n"
                            "b APPEND INBOX (\\Seen) {22+}\r\nSubject: x\r\n\r\nc NOOP\r\n\r\n"
                            "d STATUS {5+}\r\nINBOX (MESSAGES)\r\n"
                            "e UNAUTHENTICATE\r\n"
                            "f SELECT INBOX\r\n"
                            "g AUTHENTICATE PLAIN AGpvZQBwdw==\r\n"
                            "h FETCH 1 FLAGS\r\n"
                            "i UNAUTHENTICATE\r\n"
                            "j LOGIN {3+}\r\njoe {2+}\r\npw\r\n"
                            "k LOGOUT\r\n"
                            "l NOOP\r\n";
static const char output[] =
    "* OK [CAPABILITY IMAP4rev1 LITERAL+ ID SASL-IR AUTH=PLAIN] mx.test ready\r\n"
    "a OK [CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS MOVE UNSELECT UNAUTHENTICATE SPECIAL-USE "
    "CHILDREN] Logged in\r\n"
    "b OK [APPENDUID ";

/* The transcript for one cut; caller owns *out. */
static void run_cut(size_t cut, struct buf *out) {
    struct run *r = calloc(1, sizeof(*r));
    struct buf problems;
    assert_non_null(r);
    buf_init(&r->transcript, 100000);
    buf_init(&r->handed, 100000);
    buf_init(&problems, 100000);
    imap_world_init(&r->world, false, false);
    assert_int_equal(stream_new_pair(r->world.loop, 65536, &r->server, &r->client), ERR_OK);
    assert_int_equal(co_spawn(r->world.loop, NULL, "server", serve, r, NULL), ERR_OK);
    r->first = view_of(input, cut);
    r->second = view_of(input + cut, sizeof(input) - 1 - cut);
    imap_world_run(&r->world, client, r);
    imap_world_fini(&r->world, &problems);
    assert_int_equal(problems.n, 0);
    assert_int_equal(r->logins, 3);
    assert_int_equal(r->returns, 2);
    buf_put(out, buf_view(&r->transcript));
    buf_fini(&problems);
    buf_fini(&r->transcript);
    buf_fini(&r->handed);
    free(r);
}

static void test_every_cut(void **state) {
    (void)state;
    struct buf whole, other;
    buf_init(&whole, 100000);
    buf_init(&other, 100000);
    run_cut(0, &whole);
    assert_true(view_starts(buf_view(&whole), view_cstr(output)));
    assert_true(view_find(buf_view(&whole), VIEW("* STATUS INBOX (MESSAGES 1)\r\nd OK Status\r\n")) > 0);
    assert_true(view_find(buf_view(&whole), VIEW("f BAD Unknown command, or not before login\r\n")) > 0);
    assert_true(view_find(buf_view(&whole), VIEW("h BAD No mailbox is selected\r\n")) > 0);
    assert_true(view_ends(buf_view(&whole), VIEW("Logged in\r\n* BYE Goodbye\r\nk OK Logged out\r\n")));
    for (size_t cut = 1; cut < sizeof(input) - 1; cut++) {
        buf_clear(&other);
        run_cut(cut, &other);
        if (!view_eq(buf_view(&whole), buf_view(&other)))
            fail_msg("cut at %zu:\n%.*s\nnot\n%.*s", cut, VIEW_FMT(buf_view(&other)), VIEW_FMT(buf_view(&whole)));
    }
    buf_fini(&whole);
    buf_fini(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
