/*
 * Every message of the conformance data goes in by APPEND and comes out by
 * FETCH octet for octet, whole, in pieces and by parts; its structure can be
 * read. And a client that reads slowly holds up nobody but itself.
 */
#include "message/corpus_testing.h"
#include "message/structure.h"
#include "session/imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct run {
    struct imap_world world;
    struct imap_peer *peer;
    struct view file;
    const char *name;
    uint32_t uid;
    char complaint[2000];
};

static void complain(struct run *r, const char *what, struct view got) {
    if (r->complaint[0] == '\0')
        snprintf(r->complaint, sizeof(r->complaint), "%s: %s: %.*s", r->name, what, (int)MIN(got.n, 500),
                 got.p == NULL ? "" : (const char *)got.p);
}

static void say(struct run *r, const char *text) {
    imap_world_send(&r->world, r->peer, view_cstr(text));
}

/* Reads to the tagged response, which must be OK. */
static void finish(struct run *r) {
    for (;;) {
        struct view line = imap_world_line(&r->world, r->peer);
        if (view_starts(line, VIEW("=t= ")) || line.n == 0) {
            if (!view_starts(line, VIEW("=t= OK")))
                complain(r, "not OK", line);
            return;
        }
    }
}

/* The literal of the next response, which stands at the end of a line. The octets live until more is received. */
static struct view literal(struct run *r) {
    struct view line = view_trim(imap_world_line(&r->world, r->peer));
    ssize_t at = view_rfind_byte(line, '{');
    if (at < 0 || line.p[line.n - 1] != '}') {
        complain(r, "no literal", line);
        return VIEW_NONE;
    }
    struct reader reader = reader_of(view_skip(line, (size_t)at + 1));
    return imap_world_octets(&r->world, r->peer, (size_t)reader_u64(&reader, 100000000));
}

static void append(struct run *r) {
    char text[100];
    snprintf(text, sizeof(text), "=t= APPEND INBOX {%zu+}\r\n", r->file.n);
    say(r, text);
    imap_world_send(&r->world, r->peer, r->file);
    say(r, "\r\n");
    finish(r);
    r->uid++;
}

static void read_back(struct run *r) {
    char text[200];
    snprintf(text, sizeof(text), "=t= UID FETCH %u BODY.PEEK[]\r\n", r->uid);
    say(r, text);
    if (!view_eq(literal(r), r->file))
        complain(r, "other octets came back", VIEW_NONE);
    finish(r);
    /* Header and text are the whole. */
    struct buf joined;
    buf_init(&joined, r->file.n + 1);
    static const char *const halves[] = {"HEADER", "TEXT"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(text, sizeof(text), "=t= UID FETCH %u BODY.PEEK[%s]\r\n", r->uid, halves[i]);
        say(r, text);
        buf_put(&joined, literal(r));
        finish(r);
    }
    if (!view_eq(buf_view(&joined), r->file))
        complain(r, "header and text are not the message", VIEW_NONE);
    buf_fini(&joined);
    size_t from = r->file.n / 3;
    snprintf(text, sizeof(text), "=t= UID FETCH %u BODY.PEEK[]<%zu.1000>\r\n", r->uid, from);
    say(r, text);
    if (!view_eq(literal(r), view_sub(r->file, from, 1000)))
        complain(r, "another piece came back", VIEW_NONE);
    finish(r);
    snprintf(text, sizeof(text),
             "=t= UID FETCH %u (ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[1] BODY.PEEK[1.1] BODY.PEEK[1.MIME] "
             "BODY.PEEK[2.HEADER] "
             "BODY.PEEK[HEADER.FIELDS (Subject From)])\r\n",
             r->uid);
    say(r, text);
    finish(r);
}

static void client(void *arg) {
    struct run *r = arg;
    r->peer = imap_world_open(&r->world, 0);
    (void)imap_world_line(&r->world, r->peer);
    append(r);
    say(r, "=t= EXAMINE INBOX\r\n");
    finish(r);
    read_back(r);
    say(r, "=t= SEARCH TEXT \"zzz not there\"\r\n");
    finish(r);
    struct view left = imap_world_close(&r->world, r->peer);
    if (left.n > 0)
        complain(r, "more than was asked for", left);
}

static void each_file(const char *name, struct view octets, void *arg) {
    unsigned *files = arg;
    struct buf problems;
    struct run *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    if (octets.n == 0) {
        free(r);
        return;
    }
    r->file = octets;
    r->name = name;
    buf_init(&problems, 100000);
    imap_world_init(&r->world, false, false);
    imap_world_run(&r->world, client, r);
    imap_world_fini(&r->world, &problems);
    if (r->complaint[0] != '\0')
        fail_msg("%s", r->complaint);
    if (problems.n > 0)
        fail_msg("%s: the store: %.*s", name, VIEW_FMT(buf_view(&problems)));
    buf_fini(&problems);
    free(r);
    (*files)++;
}

static void test_corpus(void **state) {
    (void)state;
    unsigned files = 0;
    if (corpus_each("", each_file, &files) == 0)
        skip();
    assert_true(files > 50);
}

#define LARGE ((size_t)300000)
#define ASKED 40

/* A client that asks for much and does not read: RFC3501 says nothing, but others must not notice. */
static void slow_client(void *arg) {
    struct run *r = arg;
    struct imap_peer *other = imap_world_open(&r->world, 1);
    r->peer = imap_world_open(&r->world, 0);
    (void)imap_world_line(&r->world, r->peer);
    (void)imap_world_line(&r->world, other);
    append(r);
    say(r, "=t= SELECT INBOX\r\n");
    finish(r);
    for (int i = 0; i < ASKED; i++)
        say(r, "=t= FETCH 1 BODY[]\r\n");
    struct imap_peer *slow = r->peer;
    size_t before = slow->received.n;
    r->peer = other;
    append(r);
    say(r, "=t= SELECT INBOX\r\n");
    finish(r);
    say(r, "=t= STORE 1:2 +FLAGS (\\Flagged)\r\n");
    finish(r);
    if (slow->received.n != before)
        complain(r, "the slow client has read", VIEW_NONE);
    if (co_sleep(60 * US_PER_S) != ERR_OK)
        return;
    r->peer = slow;
    for (int i = 0; i < ASKED && r->complaint[0] == '\0'; i++) {
        if (!view_eq(literal(r), r->file))
            complain(r, "other octets came back", VIEW_NONE);
        finish(r);
    }
    (void)imap_world_close(&r->world, slow);
    (void)imap_world_close(&r->world, other);
}

static void never_reads(void *arg) {
    struct run *r = arg;
    r->peer = imap_world_open(&r->world, 0);
    (void)imap_world_line(&r->world, r->peer);
    append(r);
    say(r, "=t= SELECT INBOX\r\n");
    finish(r);
    say(r, "=t= FETCH 1 BODY[]\r\n");
    if (co_sleep(6 * 60 * US_PER_S) != ERR_OK)
        return;
    if (r->peer->is_running)
        complain(r, "the session waits for ever", VIEW_NONE);
    (void)imap_world_close(&r->world, r->peer);
}

#define PARTS 900

/* Structures that are too long to be kept are made again from the message as it comes from the store: the same octets. */
static void many_parts(void *arg) {
    struct run *r = arg;
    struct buf structure;
    struct message message;
    struct arena *arena = arena_new("test", 4 * MESSAGE_ARENA_BUDGET);
    buf_init(&structure, 10000000);
    if (arena == NULL || message_parse(arena, r->file, &message) != ERR_OK) {
        complain(r, "no memory", VIEW_NONE);
        return;
    }
    r->peer = imap_world_open(&r->world, 0);
    (void)imap_world_line(&r->world, r->peer);
    append(r);
    say(r, "=t= EXAMINE INBOX\r\n");
    finish(r);
    for (int extensible = 0; extensible < 2; extensible++) {
        buf_clear(&structure);
        buf_put_str(&structure, extensible ? "* 1 FETCH (BODYSTRUCTURE " : "* 1 FETCH (BODY ");
        structure_put_body(&structure, arena, &message, extensible != 0);
        buf_put_str(&structure, ")\r\n");
        if (structure.n <= ACCOUNT_DERIVED_MAX)
            complain(r, "the structure is kept", VIEW_NONE);
        say(r, extensible ? "=t= FETCH 1 BODYSTRUCTURE\r\n" : "=t= FETCH 1 BODY\r\n");
        if (!view_eq(imap_world_octets(&r->world, r->peer, structure.n), buf_view(&structure)))
            complain(r, "another structure", VIEW_NONE);
        finish(r);
    }
    say(r, "=t= FETCH 1 (BODYSTRUCTURE BODY.PEEK[899])\r\n");
    if (!view_eq(literal(r), VIEW("This is part 899.")))
        complain(r, "another part", VIEW_NONE);
    finish(r);
    (void)imap_world_close(&r->world, r->peer);
    buf_fini(&structure);
    arena_free(arena);
}

static void run_with(void (*body)(void *arg), struct view octets) {
    struct run *r = calloc(1, sizeof(*r));
    struct buf problems;
    assert_non_null(r);
    r->name = "large";
    r->file = octets;
    buf_init(&problems, 100000);
    imap_world_init(&r->world, false, false);
    imap_world_run(&r->world, body, r);
    imap_world_fini(&r->world, &problems);
    if (r->complaint[0] != '\0')
        fail_msg("%s", r->complaint);
    assert_int_equal(problems.n, 0);
    buf_fini(&problems);
    free(r);
}

static void run_large(void (*body)(void *arg)) {
    uint8_t *octets = malloc(LARGE);
    assert_non_null(octets);
    for (size_t i = 0; i < LARGE; i++)
        octets[i] = (uint8_t)('a' + i % 23);
    run_with(body, view_of(octets, LARGE));
    free(octets);
}

static void test_many_parts(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 1000000);
    buf_put_str(&text, "Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n");
    for (int i = 1; i <= PARTS; i++)
        buf_printf(&text, "--b\r\nContent-Type: application/x; name=\"%0100d\"\r\n\r\nThis is part %d.\r\n", i, i);
    buf_put_str(&text, "--b--\r\n");
    run_with(many_parts, buf_view(&text));
    buf_fini(&text);
}

static void test_slow_client(void **state) {
    (void)state;
    run_large(slow_client);
}

static void test_never_reads(void **state) {
    (void)state;
    run_large(never_reads);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_parts),
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_never_reads),
        cmocka_unit_test(test_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
