/* Group commit: fsyncs counted, bad members alone, failed commits, cancelled waiters, watchers. */
#include "store/sqlite/store_testing.h"

#include <stdlib.h>
#include <string.h>

#define MAIL_SIZE 10240

/* A mail of MAIL_SIZE octets, different for each number and not easy to compress. */
static struct view make_mail(struct arena *arena, unsigned number) {
    struct random_seeded random;
    struct buf buf;
    struct view out;
    random_seeded_init(&random, number);
    buf_init(&buf, MAIL_SIZE + 100);
    buf_printf(&buf,
               "From: a@example.org\r\nTo: b@example.org\r\nSubject: number %u\r\nMessage-ID: <%u@example.org>\r\n\r\n",
               number, number);
    while (buf.n < MAIL_SIZE) {
        uint64_t word = random_u64(&random.random);
        buf_printf(&buf, "%llx %s", (unsigned long long)word, buf.n % 7 == 0 ? "\r\n" : "");
    }
    assert_int_equal(arena_view(arena, view_sub(buf_view(&buf), 0, MAIL_SIZE), &out), ERR_OK);
    buf_fini(&buf);
    return out;
}

static enum err deliver(struct fixture *f, unsigned number) {
    uint8_t id[DELIVERY_ID_SIZE] = {(uint8_t)number, (uint8_t)(number >> 8)};
    struct deliver_commit_args args = {
        .id = view_of(id, sizeof(id)), .recipient = VIEW("b@example.org"), .body = make_mail(f->arena, number)};
    struct deliver_commit_result result;
    return account_do_deliver_commit(f->account, &args, NULL, f->arena, &result);
}

struct counts {
    uint64_t syncs, checkpoint_syncs, commits, disk;
};
static struct counts count(struct fixture *f) {
    struct counts c;
    sqlite_account_counters(f->store, &c.syncs, &c.checkpoint_syncs, &c.commits);
    c.disk = disk_sim_syncs(f->disk);
    return c;
}

static void one_fsync_a_delivery(struct fixture *f) {
    assert_int_equal(deliver(f, 0), ERR_OK); /* the log is new: its name costs a directory sync once */
    struct counts before = count(f);
    for (unsigned i = 1; i <= 200; i++) {
        struct counts a = count(f);
        assert_int_equal(deliver(f, i), ERR_OK);
        struct counts b = count(f);
        assert_int_equal(b.syncs - a.syncs, 1);
    }
    if (f->loop != NULL)
        assert_int_equal(co_sleep(US_PER_S), ERR_OK);
    struct counts after = count(f);
    assert_int_equal(after.syncs - before.syncs, 200);
    assert_int_equal(after.commits - before.commits, 200);
    /* Nothing is synced that is not counted; there were checkpoints, small and few. */
    assert_int_equal(after.disk - before.disk,
                     after.syncs - before.syncs + after.checkpoint_syncs - before.checkpoint_syncs);
    assert_true(after.checkpoint_syncs - before.checkpoint_syncs >= 3);
    assert_true(after.checkpoint_syncs - before.checkpoint_syncs <= 100);
}

static void one_direct(void **state) {
    (void)state;
    fixture_run(WAY_DIRECT, one_fsync_a_delivery);
}
static void one_loop(void **state) {
    (void)state;
    fixture_run(WAY_LOOP, one_fsync_a_delivery);
}

struct worker {
    struct fixture *f;
    unsigned first, n;
    struct waitq *done;
    unsigned *left;
    enum err err; /* of the last call */
};

static void work(void *arg) {
    struct worker *w = arg;
    for (unsigned i = 0; i < w->n && w->err == ERR_OK; i++)
        w->err = deliver(w->f, w->first + i);
    if (--*w->left == 0)
        waitq_wake_all(w->done);
}

static void twenty_at_once(struct fixture *f) {
    struct worker workers[20];
    struct waitq done = {0};
    unsigned left = ARRAY_LEN(workers);
    assert_int_equal(deliver(f, 50000), ERR_OK);
    struct counts before = count(f);
    for (unsigned i = 0; i < ARRAY_LEN(workers); i++) {
        workers[i] = (struct worker){f, i * 100, 20, &done, &left, ERR_OK};
        assert_int_equal(co_spawn(f->loop, NULL, "worker", work, &workers[i], NULL), ERR_OK);
    }
    assert_int_equal(waitq_wait(&done, US_NEVER), ERR_OK);
    struct counts after = count(f);
    for (unsigned i = 0; i < ARRAY_LEN(workers); i++)
        assert_int_equal(workers[i].err, ERR_OK);
    assert_int_equal(mailbox_of(f, mailbox_id(f, VIEW("INBOX"))).exists, 401);
    uint64_t syncs = after.syncs - before.syncs;
    print_message("400 deliveries by 20 at once: %u fsyncs\n", (unsigned)syncs);
    assert_true(syncs * 10 < 400 * 3); /* under 0.3 a message */
}

static void twenty(void **state) {
    (void)state;
    fixture_run(WAY_LOOP, twenty_at_once);
}
static void twenty_channel(void **state) {
    (void)state;
    fixture_run(WAY_CHANNEL, twenty_at_once);
}

/* ---- members that fail ---- */

struct creator {
    struct fixture *f;
    struct view name;
    uint64_t id;
    enum err err;
    unsigned *left;
    struct waitq *done;
};

static void create_one(void *arg) {
    struct creator *c = arg;
    c->err = try_create(c->f, c->name, &c->id);
    if (--*c->left == 0)
        waitq_wake_all(c->done);
}

static void start_creators(struct fixture *f, struct creator *c, size_t n, unsigned *left, struct waitq *done,
                           struct co **cos) {
    *left = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        c[i].f = f;
        c[i].left = left;
        c[i].done = done;
        assert_int_equal(co_spawn(f->loop, NULL, "creator", create_one, &c[i], cos == NULL ? NULL : &cos[i]), ERR_OK);
    }
}

static void bad_member_is_alone(struct fixture *f) {
    struct creator c[] = {{.name = VIEW("one")},
                          {.name = VIEW("INBOX")},
                          {.name = VIEW("two")},
                          {.name = VIEW("a//b")},
                          {.name = VIEW("three")}};
    struct waitq done = {0};
    unsigned left;
    struct counts before = count(f);
    start_creators(f, c, ARRAY_LEN(c), &left, &done, NULL);
    assert_int_equal(waitq_wait(&done, US_NEVER), ERR_OK);
    static const enum err want[] = {ERR_OK, ERR_EXISTS, ERR_OK, ERR_SYNTAX, ERR_OK};
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        assert_int_equal(c[i].err, want[i]);
    assert_int_equal(count(f).commits - before.commits, 1);
    assert_true(c[0].id != c[2].id && c[2].id != c[4].id && c[0].id != c[4].id);
    assert_int_not_equal(mailbox_id(f, VIEW("three")), 0);
}

static void bad_member(void **state) {
    (void)state;
    fixture_run(WAY_LOOP, bad_member_is_alone);
}

struct test_watcher {
    struct account_watcher watcher;
    unsigned calls;
    uint64_t mailbox, modseq;
};
static void note(struct account_watcher *watcher, uint64_t mailbox, uint64_t modseq) {
    struct test_watcher *w = (struct test_watcher *)watcher;
    w->calls++;
    w->mailbox = mailbox;
    w->modseq = modseq;
}

/* When the commit's fsync fails, all members fail, nothing is told and nothing is there; then it goes on. */
static void commit_fails(struct fixture *f) {
    struct creator c[] = {{.name = VIEW("one")}, {.name = VIEW("two")}, {.name = VIEW("three")}};
    struct waitq done = {0};
    struct test_watcher w = {.watcher.changed = note};
    unsigned left;
    assert_int_equal(deliver(f, 1), ERR_OK);
    account_watch(f->account, &w.watcher);
    for (uint64_t n = 1;; n++) {
        disk_sim_fail_at(f->disk, n, ERR_IO);
        unsigned calls = w.calls;
        start_creators(f, c, ARRAY_LEN(c), &left, &done, NULL);
        assert_int_equal(waitq_wait(&done, US_NEVER), ERR_OK);
        disk_sim_fail_at(f->disk, 0, ERR_OK);
        if (c[0].err == ERR_OK) {
            assert_true(n > 3);
            break;
        }
        for (size_t i = 0; i < ARRAY_LEN(c); i++)
            assert_int_equal(c[i].err, ERR_IO);
        assert_int_equal(mailbox_id(f, VIEW("one")), 0);
        assert_int_equal(w.calls, calls);
    }
    assert_true(w.calls > 0);
    account_unwatch(f->account, &w.watcher);
}

static void failing_commit(void **state) {
    (void)state;
    fixture_run(WAY_LOOP, commit_fails);
}

/* A cancelled waiter leaves the queue, a cancelled leader still leads. */
static void cancelled_members(struct fixture *f) {
    for (size_t victim = 0; victim < 3; victim++) {
        struct creator c[] = {{.name = VIEW("one")}, {.name = VIEW("two")}, {.name = VIEW("three")}};
        struct waitq done = {0};
        struct co *cos[3];
        unsigned left;
        start_creators(f, c, ARRAY_LEN(c), &left, &done, cos);
        co_cancel(cos[victim]);
        assert_int_equal(waitq_wait(&done, US_NEVER), ERR_OK);
        for (size_t i = 0; i < ARRAY_LEN(c); i++) {
            assert_true(c[i].err == ERR_OK || (i == victim && c[i].err == ERR_CANCELED));
            struct mailbox_delete_args args = {mailbox_id(f, c[i].name)};
            struct nothing nothing;
            assert_int_equal(args.id != 0, c[i].err == ERR_OK);
            if (args.id != 0)
                assert_int_equal(account_do_mailbox_delete(f->account, &args, NULL, f->arena, &nothing), ERR_OK);
        }
    }
}

static void cancelled(void **state) {
    (void)state;
    fixture_run(WAY_LOOP, cancelled_members);
}

static void watchers_hear(struct fixture *f) {
    struct test_watcher w = {.watcher.changed = note};
    uint64_t inbox = mailbox_id(f, VIEW("INBOX"));
    account_watch(f->account, &w.watcher);
    assert_int_equal(deliver(f, 1), ERR_OK);
    if (f->loop != NULL)
        assert_int_equal(co_sleep(US_PER_MS), ERR_OK); /* over a channel the news may come after the reply */
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.mailbox, inbox);
    assert_int_equal(w.modseq, mailbox_of(f, inbox).highest_modseq);
    uint64_t id;
    assert_int_equal(try_create(f, VIEW("new"), &id), ERR_OK);
    if (f->loop != NULL)
        assert_int_equal(co_sleep(US_PER_MS), ERR_OK);
    assert_int_equal(w.mailbox, 0);
    account_unwatch(f->account, &w.watcher);
    assert_int_equal(deliver(f, 2), ERR_OK);
    assert_int_equal(w.calls, 2);
}

static void watchers(void **state) {
    (void)state;
    fixture_run(WAY_DIRECT, watchers_hear);
    fixture_run(WAY_LOOP, watchers_hear);
    fixture_run(WAY_CHANNEL, watchers_hear);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_direct),     cmocka_unit_test(one_loop),   cmocka_unit_test(twenty),
        cmocka_unit_test(twenty_channel), cmocka_unit_test(bad_member), cmocka_unit_test(failing_commit),
        cmocka_unit_test(cancelled),      cmocka_unit_test(watchers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
