/* What scripts cannot show of the server engine: packets, faults of the spool, cancelling, peers that do not read. */
#include "base/disk_sim.h"
#include "smtp/server.h"
#include "smtp/test_tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define START "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"

struct world {
    struct virtual_clock clock;
    struct loop *loop;
    struct smtp_server_params params;
    struct smtp_server_ops ops;
    struct disk *disk;
    int open;
    size_t mails, messages;
    uint64_t held;
    uint64_t size; /* of the newest message */
    struct stream *stream;
    enum err result;
    bool done;
};

static void role_mail(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    struct world *w = ctx;
    (void)reply;
    assert_ptr_equal(smtp_session_transaction(session), t);
    w->mails++;
    w->open++;
}

static void role_rcpt(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_recipient *r,
                      struct smtp_reply *reply) {
    (void)ctx;
    (void)session;
    (void)reply;
    r->user = &t->user;
}

static enum err role_spool(void *ctx, struct smtp_session *session, struct file **out) {
    struct world *w = ctx;
    (void)session;
    return disk_open(w->disk, ".", DISK_WRITE | DISK_TEMPORARY, out);
}

static enum err role_account(void *ctx, struct smtp_session *session, uint64_t octets) {
    (void)session;
    ((struct world *)ctx)->held = octets;
    return ERR_OK;
}

static void role_data(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply) {
    struct world *w = ctx;
    (void)session;
    w->messages++;
    w->size = t->body_size;
    assert_ptr_equal(t->recipients[0].user, &t->user);
    *reply = (struct smtp_reply){250, VIEW("2.0.0"), VIEW("Accepted")};
}

static void role_end(void *ctx, struct smtp_session *session, struct smtp_transaction *t) {
    (void)session;
    (void)t;
    ((struct world *)ctx)->open--;
}

static void world_init(struct world *w) {
    *w = (struct world){0};
    virtual_clock_init(&w->clock, 0);
    w->loop = loop_new_virtual(&w->clock, NULL, NULL);
    w->disk = disk_sim_new();
    assert_non_null(w->loop);
    w->ops = (struct smtp_server_ops){.mail = role_mail,
                                      .rcpt = role_rcpt,
                                      .spool = role_spool,
                                      .account_spool = role_account,
                                      .data = role_data,
                                      .transaction_end = role_end};
    w->params = (struct smtp_server_params){
        .ops = &w->ops, .ctx = w, .hostname = VIEW("mx"), .recipients_max = 10, .idle_us = 300 * US_PER_S};
}

static void world_fini(struct world *w) {
    assert_int_equal(w->open, 0);
    assert_int_equal(w->held, 0);
    disk_free(w->disk);
    loop_free(w->loop);
}

static enum err run_tape(struct world *w, struct tape *tape) {
    struct stream *stream = &tape->stream;
    return smtp_session_run(&w->params, &stream, NULL);
}

/* RFC2920-3.2: replies to what came together go out together. */
static void test_batches(void **state) {
    (void)state;
    struct world w;
    struct tape tape;
    world_init(&w);
    tape_init(&tape, w.loop, VIEW(START "RCPT TO:<e@f>\r\nNOOP\r\nRSET\r\nQUIT\r\n"), 4096);
    assert_int_equal(run_tape(&w, &tape), ERR_OK);
    assert_int_equal(tape.writes, 2); /* the greeting, and all the rest */
    buf_fini(&tape.out);
    world_fini(&w);
}

/* The 354 does not wait for more input. */
static void test_data_is_flushed(void **state) {
    (void)state;
    struct world w;
    struct tape tape;
    world_init(&w);
    tape_init(&tape, w.loop, VIEW(START "DATA\r\nx\r\n.\r\nQUIT\r\n"), 4096);
    assert_int_equal(run_tape(&w, &tape), ERR_OK);
    assert_int_equal(tape.writes, 3); /* the greeting; up to 354; the rest */
    assert_int_equal(w.messages, 1);
    buf_fini(&tape.out);
    world_fini(&w);
}

static bool has(const struct tape *tape, const char *text) {
    return view_find(buf_view(&tape->out), view_cstr(text)) >= 0;
}

/* Every operation of the spool fails in turn: never a message, always a temporary reply, and the session goes on. */
static void test_spool_faults(void **state) {
    (void)state;
    struct buf in;
    buf_init(&in, 4 * 1024 * 1024);
    buf_put_str(&in, START "DATA\r\n");
    for (size_t i = 0; i < 40000; i++)
        buf_put_str(&in, "0123456789\r\n");
    buf_put_str(&in, ".\r\n" START "DATA\r\nsmall\r\n.\r\nQUIT\r\n");
    static const enum err errors[] = {ERR_IO, ERR_FULL};
    for (size_t kind = 0; kind < ARRAY_LEN(errors); kind++) {
        size_t failures = 0;
        for (uint64_t n = 1;; n++) {
            struct world w;
            struct tape tape;
            world_init(&w);
            disk_sim_fail_at(w.disk, n, errors[kind]);
            tape_init(&tape, w.loop, buf_view(&in), 10000);
            assert_int_equal(run_tape(&w, &tape), ERR_OK);
            bool failed = w.messages == 1;
            if (failed) {
                failures++;
                assert_int_equal(w.size, 7);
                assert_true(has(&tape, errors[kind] == ERR_FULL ? "\r\n452 4.3.1 " : "\r\n451 4.3.0 "));
            } else {
                assert_int_equal(w.messages, 2);
            }
            buf_fini(&tape.out);
            world_fini(&w);
            if (!failed)
                break;
        }
        assert_true(failures > 2); /* opening, and several writes */
    }
    buf_fini(&in);
}

/* Pipelined input behind the final dot, more than a read holds, is not lost. */
static void test_input_behind_data(void **state) {
    (void)state;
    struct buf in;
    buf_init(&in, 4 * 1024 * 1024);
    buf_put_str(&in, START "DATA\r\n");
    for (size_t i = 0; i < 3000; i++)
        buf_put_str(&in, "0123456789\r\n");
    buf_put_str(&in, ".\r\n");
    for (size_t i = 0; i < 8000; i++)
        buf_put_str(&in, "NOOP\r\n");
    buf_put_str(&in, "QUIT\r\n");
    for (size_t piece = 1000; piece < 70000; piece += 3331) {
        struct world w;
        struct tape tape;
        world_init(&w);
        tape_init(&tape, w.loop, buf_view(&in), piece);
        assert_int_equal(run_tape(&w, &tape), ERR_OK);
        assert_int_equal(w.messages, 1);
        assert_int_equal(w.size, 36000);
        size_t lines = 0;
        for (size_t i = 0; i < tape.out.n; i++)
            lines += tape.out.p[i] == '\n';
        assert_int_equal(lines, 1 + 6 + 2 + 1 + 1 + 8000 + 1);
        buf_fini(&tape.out);
        world_fini(&w);
    }
    buf_fini(&in);
}

/* The peer is gone at each write in turn: the session ends, and so does the transaction. */
static void test_peer_gone(void **state) {
    (void)state;
    for (size_t writes = 1; writes < 8; writes++) {
        struct world w;
        struct tape tape;
        world_init(&w);
        tape_init(&tape, w.loop, VIEW(START "DATA\r\nx\r\n.\r\n" START), 1);
        tape.writes_max = writes;
        assert_int_equal(run_tape(&w, &tape), ERR_CLOSED);
        buf_fini(&tape.out);
        world_fini(&w);
    }
}

/* ---- on coroutines ---- */

static void serve(void *arg) {
    struct world *w = arg;
    w->result = smtp_session_run(&w->params, &w->stream, NULL);
    w->done = true;
}

struct sender {
    struct stream *stream;
    struct view text;
};

static void send_and_wait(void *arg) {
    struct sender *sender = arg;
    if (stream_write(sender->stream, sender->text, US_NEVER) == ERR_OK)
        (void)!co_sleep(100000 * US_PER_S);
}

static bool never(void *ctx) {
    (void)ctx;
    return false;
}

/* Cancelled wherever it waits, a session unwinds and ends its transaction. */
static void test_cancel(void **state) {
    (void)state;
    static const struct view texts[] = {VIEW_INIT(""), VIEW_INIT("EHLO c\r\nMAIL"), VIEW_INIT(START),
                                        VIEW_INIT(START "DATA\r\n"), VIEW_INIT(START "DATA\r\ntext\r\n.\r")};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct world w;
        world_init(&w);
        struct stream *client;
        struct co_group *group = co_group_new(w.loop);
        assert_int_equal(stream_new_pair(w.loop, 65536, &client, &w.stream), ERR_OK);
        struct sender sender = {client, texts[i]};
        assert_int_equal(co_spawn(w.loop, group, "server", serve, &w, NULL), ERR_OK);
        assert_int_equal(co_spawn(w.loop, group, "client", send_and_wait, &sender, NULL), ERR_OK);
        assert_false(loop_run_until(w.loop, never, NULL, US_PER_S));
        co_group_cancel(group);
        loop_run(w.loop);
        assert_true(w.done);
        assert_int_equal(w.result, ERR_CANCELED);
        co_group_free(group);
        stream_free(client);
        stream_free(w.stream);
        world_fini(&w);
    }
}

/* A peer that sends and never reads: its replies fill the pipe, and the idle time ends it. */
static void test_slow_reader(void **state) {
    (void)state;
    struct world w;
    world_init(&w);
    struct stream *client;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < 10000; i++)
        buf_put_str(&text, "NOOP\r\n");
    assert_int_equal(stream_new_pair(w.loop, 4096, &client, &w.stream), ERR_OK);
    struct sender sender = {client, buf_view(&text)};
    assert_int_equal(co_spawn(w.loop, NULL, "server", serve, &w, NULL), ERR_OK);
    struct co_group *group = co_group_new(w.loop);
    assert_int_equal(co_spawn(w.loop, group, "client", send_and_wait, &sender, NULL), ERR_OK);
    assert_false(loop_run_until(w.loop, never, NULL, 2000 * US_PER_S));
    assert_true(w.done);
    assert_int_equal(w.result, ERR_TIMEOUT);
    co_group_cancel(group);
    loop_run(w.loop);
    co_group_free(group);
    stream_free(client);
    stream_free(w.stream);
    buf_fini(&text);
    world_fini(&w);
}

/* Woken while it waits, a session is saved with the half of a command it has; in a transaction it waits on. */
static void test_save_idle(void **state) {
    (void)state;
    static const struct view texts[] = {VIEW_INIT("EHLO c\r\nNOO"), VIEW_INIT(START "NOO")};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct world w;
        world_init(&w);
        bool saving = false;
        struct buf saved;
        buf_init_secret(&saved, SMTP_SAVED_MAX);
        w.params.saving = &saving;
        w.params.saved = &saved;
        struct stream *client;
        struct co_group *group = co_group_new(w.loop);
        assert_int_equal(stream_new_pair(w.loop, 65536, &client, &w.stream), ERR_OK);
        struct sender sender = {client, texts[i]};
        assert_int_equal(co_spawn(w.loop, group, "server", serve, &w, NULL), ERR_OK);
        assert_int_equal(co_spawn(w.loop, group, "client", send_and_wait, &sender, NULL), ERR_OK);
        assert_false(loop_run_until(w.loop, never, NULL, US_PER_S));
        saving = true;
        stream_interrupt(w.stream);
        assert_false(loop_run_until(w.loop, never, NULL, 2 * US_PER_S));
        assert_int_equal(w.done, i == 0);
        if (i == 0) {
            assert_int_equal(w.result, ERR_AGAIN);
            assert_true(view_ends(buf_view(&saved), VIEW("NOO")));
            /* Whatever is not a saved session is refused. */
            struct tape tape;
            for (size_t n = 1; n < saved.n; n++) {
                w.params.restore = view_sub(buf_view(&saved), 0, n);
                tape_init(&tape, w.loop, VIEW("P\r\nQUIT\r\n"), 100);
                assert_int_equal(run_tape(&w, &tape), ERR_SYNTAX);
                assert_int_equal(tape.out.n, 0);
            }
            w.params.restore = buf_view(&saved);
            saving = false;
            tape_init(&tape, w.loop, VIEW("P\r\nQUIT\r\n"), 100);
            assert_int_equal(run_tape(&w, &tape), ERR_OK);
            assert_true(view_eq(buf_view(&tape.out), VIEW("250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n")));
            buf_fini(&tape.out);
        }
        co_group_cancel(group);
        loop_run(w.loop);
        co_group_free(group);
        stream_free(client);
        stream_free(w.stream);
        buf_fini(&saved);
        world_fini(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),      cmocka_unit_test(test_data_is_flushed),
        cmocka_unit_test(test_spool_faults), cmocka_unit_test(test_input_behind_data),
        cmocka_unit_test(test_peer_gone),    cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_slow_reader),  cmocka_unit_test(test_save_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
