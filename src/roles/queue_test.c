/*
 * The queue role between played neighbours, on a virtual clock and a simulated
 * disk: days of retries in milliseconds, and every restart.
 */
#include "roles/queue_testing.h"

#include <stdio.h>

/* ---- deliveries ---- */

static void scenario_remote(struct stage *stage) {
    struct world *w = world_new(stage);
    struct queue_target targets[] = {world_remote(VIEW("a@One.test")), world_remote(VIEW("b@one.TEST")),
                                     world_remote(VIEW("c@two.test"))};
    assert_int_equal(world_submit_id(w, 1, VIEW("me@local.test"), targets, 3), ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 2); /* one a domain, without case */
    for (size_t i = 0; i < 2; i++) {
        bool is_one = strcmp(w->attempts[i].domain, "one.test") == 0;
        assert_int_equal(w->attempts[i].recipients, is_one ? 2 : 1);
        assert_string_equal(w->attempts[i].first, is_one ? "a@One.test" : "c@two.test");
        assert_string_equal(w->attempts[i].sender, "me@local.test");
    }
    assert_int_equal(w->deliveries_n, 0);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

static void scenario_local(struct stage *stage) {
    struct world *w = world_new(stage);
    assert_int_equal(world_submit(w, VIEW("x@remote.test"), world_local(7, VIEW("me@local.test"))), ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->deliveries_n, 1);
    struct seen_delivery *d = &w->deliveries[0];
    assert_int_equal(d->account, 7);
    assert_int_equal(d->id[0], 1); /* the edge's own id: what it committed is not committed again */
    /* RFC5321-4.4 */
    assert_true(
        view_eq(buf_view(&d->text),
                VIEW("Return-Path: <x@remote.test>\r\nDelivered-To: me@local.test\r\n" WORLD_PREFIX WORLD_BODY)));
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* A body that does not fit a packet arrives as a file and leaves as one. */
static void scenario_large(struct stage *stage) {
    struct world *w = world_new(stage);
    static uint8_t large[300000];
    memset(large, 'x', sizeof(large));
    struct file *file;
    uint8_t id[MESSAGE_ID_SIZE] = {9};
    assert_int_equal(file_new_memory("large", &file), ERR_OK);
    assert_int_equal(file_write(file, view_of(large, sizeof(large)), 0), ERR_OK);
    struct queue_target target = world_local(7, VIEW("me@local.test"));
    struct queue_submit submit = {
        .delivery_id = view_of(id, sizeof(id)), .size = sizeof(large), .targets = &target, .targets_n = 1};
    struct queue_submit_result result;
    struct handle handle = HANDLE_OF_FILE(file);
    assert_int_equal(channel_call(w->edge, &message_queue_submit, &submit, &handle, 1,
                                  loop_now_us(stage->loop) + ROLE_CALL_US, NULL, &result, NULL),
                     ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->deliveries_n, 1);
    assert_true(view_ends(buf_view(&w->deliveries[0].text), view_of(large, sizeof(large))));
    world_free(w);
}

/* ---- failures and reports ---- */

static void refuse(struct world *w, struct view recipient, struct attempt_outcome *outcome) {
    (void)w;
    if (!view_starts(recipient, VIEW("good")))
        *outcome = (struct attempt_outcome){.reply = 550,
                                            .status = VIEW("5.1.1"),
                                            .text = VIEW("no\r\nX-Injected: such user"),
                                            .host = VIEW("mx.remote.test")};
}

static void scenario_failure(struct stage *stage) {
    struct world *w = world_new(stage);
    struct queue_target targets[] = {world_remote(VIEW("bad1@one.test")), world_remote(VIEW("good@one.test")),
                                     world_remote(VIEW("bad2@one.test"))};
    w->courier = refuse;
    assert_int_equal(world_submit_id(w, 1, VIEW("me@local.test"), targets, 3), ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 1);
    assert_int_equal(w->deliveries_n, 1); /* one report for both */
    struct seen_delivery *d = &w->deliveries[0];
    assert_int_equal(d->account, 7);
    assert_string_equal(d->recipient, "me@local.test");
    assert_string_equal(d->sender, ""); /* RFC5321-6.1: a report has the null sender */
    assert_true(text_has(d, "Return-Path: <>\r\n"));
    assert_true(text_has(d, "report-type=delivery-status"));
    assert_true(text_has(d, "To: me@local.test") || text_has(d, "To: <me@local.test>"));
    assert_true(text_has(d, "Final-Recipient: rfc822;bad1@one.test") ||
                text_has(d, "Final-Recipient: rfc822; bad1@one.test"));
    assert_true(text_has(d, "bad2@one.test"));
    assert_false(text_has(d, "good@one.test"));
    assert_true(text_has(d, "Action: failed"));
    assert_true(text_has(d, "Status: 5.1.1"));
    assert_true(text_has(d, "mx.remote.test"));
    assert_false(text_has(d, "\nX-Injected"));
    assert_true(text_has(d, "Subject: the subject")); /* the header comes back, the text does not */
    assert_true(text_has(d, WORLD_PREFIX));
    assert_false(text_has(d, "The text"));
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* A report to a remote sender is a message like others; when it fails, silence. */
static void scenario_remote_report(struct stage *stage) {
    struct world *w = world_new(stage);
    w->courier = refuse;
    assert_int_equal(world_submit(w, VIEW("away@remote.test"), world_remote(VIEW("bad@one.test"))), ERR_OK);
    world_pause(3600 * US_PER_S);
    assert_int_equal(w->attempts_n, 2);
    assert_string_equal(w->attempts[1].first, "away@remote.test");
    assert_string_equal(w->attempts[1].sender, "");
    assert_int_equal(w->deliveries_n, 0);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

static void scenario_nobody(struct stage *stage) {
    struct world *w = world_new(stage);
    w->courier = refuse;
    assert_int_equal(world_submit_id(w, 1, VIEW_NONE,
                                     &(struct queue_target){.kind = RECIPIENT_REMOTE, .address = VIEW("bad@one.test")},
                                     1),
                     ERR_OK);
    assert_int_equal(world_submit_id(w, 2, VIEW("stranger@no.test"),
                                     &(struct queue_target){.kind = RECIPIENT_REMOTE, .address = VIEW("bad@one.test")},
                                     1),
                     ERR_OK);
    struct queue_target quiet = world_remote(VIEW("bad@one.test"));
    quiet.notify = QUEUE_NOTIFY_NEVER;
    assert_int_equal(world_submit_id(w, 3, VIEW("me@local.test"), &quiet, 1), ERR_OK);
    world_pause(3600 * US_PER_S);
    assert_int_equal(w->attempts_n, 3);
    assert_int_equal(w->deliveries_n, 0);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* What only we can refuse. */
static void scenario_own_refusals(struct stage *stage) {
    struct world *w = world_new(stage);
    world_sleep(w);
    w->config.relay = false;
    world_wake(w);
    assert_int_equal(world_submit_id(w, 1, VIEW("me@local.test"),
                                     &(struct queue_target){.kind = RECIPIENT_REMOTE, .address = VIEW("x@one.test")},
                                     1),
                     ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 0);
    assert_int_equal(w->deliveries_n, 1);
    assert_true(text_has(&w->deliveries[0], "Status: 5.7.1"));
    world_sleep(w);
    w->config.relay = true;
    world_wake(w);
    assert_int_equal(
        world_submit_id(w, 2, VIEW("me@local.test"),
                        &(struct queue_target){.kind = RECIPIENT_REMOTE, .address = VIEW("without-a-domain")}, 1),
        ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 0);
    assert_int_equal(w->deliveries_n, 2);
    assert_true(text_has(&w->deliveries[1], "Status: 5.1.3"));
    world_free(w);
}

static void scenario_mailbox_refuses(struct stage *stage) {
    struct world *w = world_new(stage);
    w->verdict = VERDICT_REJECT;
    assert_int_equal(world_submit(w, VIEW("away@remote.test"), world_local(8, VIEW("full@local.test"))), ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->deliveries_n, 0);
    assert_int_equal(w->attempts_n, 1); /* the report */
    assert_string_equal(w->attempts[0].first, "away@remote.test");
    w->verdict = VERDICT_ACCEPT;
    w->no_mailbox = true;
    assert_int_equal(
        world_submit_id(
            w, 2, VIEW("away@remote.test"),
            &(struct queue_target){.kind = RECIPIENT_LOCAL, .account = 9, .address = VIEW("gone@local.test")}, 1),
        ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 2);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

static void scenario_mailbox_later(struct stage *stage) {
    struct world *w = world_new(stage);
    w->verdict = VERDICT_LATER;
    assert_int_equal(world_submit(w, VIEW("away@remote.test"), world_local(7, VIEW("me@local.test"))), ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->deliveries_n, 0);
    w->verdict = VERDICT_ACCEPT;
    w->mailbox_full = true;
    world_pause(2 * RETRY_US);
    assert_int_equal(w->deliveries_n, 0);
    w->mailbox_full = false;
    world_pause(10 * RETRY_US);
    assert_int_equal(w->deliveries_n, 1);
    assert_int_equal(w->doubled, 0);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* ---- the schedule ---- */

static void defer(struct world *w, struct view recipient, struct attempt_outcome *outcome) {
    (void)w;
    (void)recipient;
    *outcome = (struct attempt_outcome){
        .reply = 451, .status = VIEW("4.7.1"), .text = VIEW("greylisted"), .host = VIEW("mx.remote.test")};
}

static void scenario_schedule(struct stage *stage) {
    struct world *w = world_new(stage);
    w->courier = defer;
    assert_int_equal(world_submit(w, VIEW("me@local.test"), world_remote(VIEW("x@one.test"))), ERR_OK);
    world_pause(2 * LIFE_US);
    /* Doubling from a minute, each up to a tenth longer, and the last try when the lifetime is over. */
    int64_t gap_us = RETRY_US;
    assert_true(w->attempts_n >= 8);
    assert_true(w->attempts[0].at_us < US_PER_S);
    for (size_t i = 1; i + 1 < w->attempts_n; i++, gap_us = MIN(gap_us * 2, QUEUE_RETRY_MAX_US)) {
        int64_t got_us = w->attempts[i].at_us - w->attempts[i - 1].at_us;
        assert_true(got_us >= gap_us);
        assert_true(got_us <= gap_us + gap_us / 10 + 3 * US_PER_S);
    }
    int64_t last_us = w->attempts[w->attempts_n - 1].at_us;
    assert_true(last_us >= LIFE_US && last_us <= LIFE_US + 2 * US_PER_S);
    /* One word about the delay, after four hours, and one about the end. */
    assert_int_equal(w->deliveries_n, 2);
    assert_true(text_has(&w->deliveries[0], "Action: delayed"));
    assert_true(text_has(&w->deliveries[0], "Will-Retry-Until: "));
    assert_true(text_has(&w->deliveries[1], "Action: failed"));
    assert_true(text_has(&w->deliveries[1], "Status: 5.4.7"));
    assert_true(text_has(&w->deliveries[1], "greylisted"));
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* The schedule, and what the sender was told, outlive the process. */
static void scenario_schedule_restarts(struct stage *stage) {
    struct world *w = world_new(stage);
    w->courier = defer;
    assert_int_equal(world_submit(w, VIEW("me@local.test"), world_remote(VIEW("x@one.test"))), ERR_OK);
    for (int i = 0; i < 14; i++) {
        world_pause(LIFE_US / 12);
        world_kill(w, i % 2 == 0);
        world_wake(w);
    }
    assert_true(w->attempts_n >= 10 && w->attempts_n <= 16);
    assert_int_equal(w->deliveries_n, 2);
    assert_true(text_has(&w->deliveries[0], "Action: delayed"));
    assert_true(text_has(&w->deliveries[1], "Action: failed"));
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

static void scenario_concurrency(struct stage *stage) {
    struct world *w = world_new(stage);
    world_add_courier(w, 1);
    w->hangs = true;
    for (uint8_t i = 1; i <= 30; i++)
        assert_int_equal(
            world_submit_id(w, i, VIEW("me@local.test"),
                            &(struct queue_target){.kind = RECIPIENT_REMOTE, .address = VIEW("x@busy.test")}, 1),
            ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->under_way, QUEUE_REMOTE_JOBS);
    /* Another domain does not wait behind it. */
    assert_int_equal(world_submit_id(w, 31, VIEW("me@local.test"),
                                     &(struct queue_target){.kind = RECIPIENT_REMOTE, .address = VIEW("x@idle.test")},
                                     1),
                     ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->under_way, QUEUE_REMOTE_JOBS + 1);
    assert_string_equal(w->attempts[w->attempts_n - 1].domain, "idle.test");
    world_release(w);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 31);
    assert_int_equal(w->under_way_most, QUEUE_REMOTE_JOBS + 1);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* More than memory holds, over many domains and messages. */
static void scenario_many(struct stage *stage) {
    struct world *w = world_new(stage);
    static char addresses[100][32];
    struct queue_target targets[100];
    w->hangs = true;
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(addresses[i], sizeof(addresses[i]), "x%u@d%u.test", i, i % 4);
        targets[i] = world_remote(view_cstr(addresses[i]));
    }
    for (unsigned m = 0; m < 25; m++)
        assert_int_equal(world_submit_id(w, (uint8_t)m, VIEW("me@local.test"), targets, 100), ERR_OK);
    world_pause(US_PER_S);
    world_release(w);
    world_pause(60 * US_PER_S);
    unsigned recipients = 0;
    for (size_t i = 0; i < w->attempts_n; i++)
        recipients += w->attempts[i].recipients;
    assert_int_equal(recipients, 2500);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* ---- neighbours that go away ---- */

static void scenario_courier_dies(struct stage *stage) {
    struct world *w = world_new(stage);
    w->hangs = true;
    assert_int_equal(world_submit(w, VIEW("me@local.test"), world_remote(VIEW("x@one.test"))), ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 1);
    channel_free(w->couriers[0]);
    w->couriers[0] = NULL;
    world_pause(US_PER_S);
    world_release(w);
    world_add_courier(w, 0);
    world_pause(2 * QUEUE_LOST_US);
    assert_int_equal(w->attempts_n, 2); /* soon, not at the next retry */
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

static void scenario_directory_away(struct stage *stage) {
    struct world *w = world_new(stage);
    w->courier = refuse;
    w->directory_away = true;
    assert_int_equal(world_submit(w, VIEW("me@local.test"), world_remote(VIEW("bad@one.test"))), ERR_OK);
    world_pause(10 * QUEUE_REPORT_RETRY_US);
    assert_int_equal(w->deliveries_n, 0);
    w->directory_away = false;
    world_pause(2 * QUEUE_REPORT_RETRY_US);
    assert_int_equal(w->deliveries_n, 1); /* late, and once */
    world_pause(10 * QUEUE_REPORT_RETRY_US);
    assert_int_equal(w->deliveries_n, 1);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* ---- the disk ---- */

static void scenario_full(struct stage *stage) {
    struct world *w = world_new(stage);
    assert_int_equal(world_submit(w, VIEW("me@local.test"), world_local(7, VIEW("me@local.test"))),
                     ERR_OK); /* files and tables are there */
    world_pause(US_PER_S);
    disk_sim_full(w->disk, true);
    struct queue_target target = world_remote(VIEW("x@one.test"));
    enum err err = ERR_OK;
    for (uint8_t i = 2; err == ERR_OK && i < 100; i++) /* the log may have room for a few */
        err = world_submit_id(w, i, VIEW("me@local.test"), &target, 1);
    assert_int_equal(err, ERR_FULL);
    disk_sim_full(w->disk, false);
    world_pause(60 * US_PER_S);
    size_t before = w->attempts_n;
    assert_int_equal(world_submit_id(w, 200, VIEW("me@local.test"), &target, 1), ERR_OK);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, before + 1);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* What was delivered is not sent again because its outcome could not be written at once. */
static void scenario_full_settling(struct stage *stage) {
    struct world *w = world_new(stage);
    w->hangs = true;
    for (uint8_t i = 1; i <= 40; i++)
        assert_int_equal(
            world_submit_id(w, i, VIEW("me@local.test"),
                            &(struct queue_target){.kind = RECIPIENT_REMOTE, .address = VIEW("x@one.test")}, 1),
            ERR_OK);
    world_pause(US_PER_S);
    disk_sim_full(w->disk, true);
    w->courier = refuse; /* reports need room */
    world_release(w);
    world_pause(120 * US_PER_S);
    disk_sim_full(w->disk, false);
    world_pause(120 * US_PER_S);
    assert_int_equal(w->attempts_n, 40);
    assert_int_equal(w->deliveries_n, 40);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

struct submitter {
    struct world *w;
    uint8_t id;
    unsigned *left;
};

static void submitter_body(void *arg) {
    struct submitter *s = arg;
    struct queue_target target = world_remote(VIEW("x@one.test"));
    assert_int_equal(world_submit_id(s->w, s->id, VIEW("me@local.test"), &target, 1), ERR_OK);
    (*s->left)--;
}

static void scenario_group(struct stage *stage) {
    struct world *w = world_new(stage);
    struct submitter submitters[20];
    unsigned left = 20;
    w->hangs = true;
    assert_int_equal(world_submit_id(w, 100, VIEW("me@local.test"),
                                     &(struct queue_target){.kind = RECIPIENT_REMOTE, .address = VIEW("x@one.test")},
                                     1),
                     ERR_OK);
    uint64_t before = disk_sim_syncs(w->disk);
    for (uint8_t i = 0; i < 20; i++) {
        submitters[i] = (struct submitter){w, i, &left};
        assert_int_equal(co_spawn(stage->loop, NULL, "submitter", submitter_body, &submitters[i], NULL), ERR_OK);
    }
    while (left)
        world_pause(US_PER_MS);
    assert_true(disk_sim_syncs(w->disk) - before <= 6); /* not 20 */
    world_release(w);
    world_free(w);
}

/* ---- killed at any moment ---- */

/* Two recipients that fail and one mailbox: whatever happens, the mail arrives once and the sender hears once. */
static void scenario_kill(struct stage *stage) {
    struct world *w = world_new(stage);
    w->courier = refuse;
    struct queue_target targets[] = {world_remote(VIEW("bad1@one.test")), world_local(8, VIEW("you@local.test")),
                                     world_remote(VIEW("bad2@one.test"))};
    assert_int_equal(world_submit_id(w, 1, VIEW("me@local.test"), targets, 3), ERR_OK);
    for (int i = 0; i < 6; i++) {
        /* Nothing takes time on this loop: a few switches are a moment anywhere in the work. */
        for (uint64_t n = random_below(&stage->random.random, 40); n > 0; n--)
            assert_int_equal(co_yield (), ERR_OK);
        world_kill(w, random_below(&stage->random.random, 2) == 0);
        world_wake(w);
    }
    world_pause(10 * 60 * US_PER_S);
    unsigned mails = 0, reports = 0;
    for (size_t i = 0; i < w->deliveries_n; i++) {
        mails += w->deliveries[i].account == 8;
        reports += w->deliveries[i].account == 7;
    }
    assert_int_equal(mails, 1);
    assert_int_equal(reports, 1);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* ---- what an edge must not do ---- */

static void scenario_bad_submits(struct stage *stage) {
    struct world *w = world_new(stage);
    uint8_t id[MESSAGE_ID_SIZE] = {1};
    struct queue_target good = world_remote(VIEW("x@one.test")), nameless = world_remote(VIEW_NONE),
                        no_account = world_local(0, VIEW("me@local.test"));
    const struct queue_submit bad[] = {
        {.delivery_id = view_of(id, 5), .targets = &good, .targets_n = 1},
        {.delivery_id = view_of(id, sizeof(id))},
        {.delivery_id = view_of(id, sizeof(id)), .targets = &nameless, .targets_n = 1},
        {.delivery_id = view_of(id, sizeof(id)), .targets = &no_account, .targets_n = 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct queue_submit_result result;
        assert_int_equal(channel_call(w->edge, &message_queue_submit, &bad[i], NULL, 0,
                                      loop_now_us(stage->loop) + ROLE_CALL_US, NULL, &result, NULL),
                         ERR_SYNTAX);
    }
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 0);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

static enum err submit_over(struct world *w, struct channel *edge, uint64_t session, struct queue_target *targets,
                            uint32_t n) {
    uint8_t id[MESSAGE_ID_SIZE] = {5};
    struct queue_submit submit = {.delivery_id = view_of(id, sizeof(id)),
                                  .session = session,
                                  .sender = VIEW("me@local.test"),
                                  .body = VIEW(WORLD_BODY),
                                  .targets = targets,
                                  .targets_n = n};
    struct queue_submit_result result;
    return channel_call(edge, &message_queue_submit, &submit, NULL, 0,
                        loop_now_us(w->stage->loop) + ROLE_MAILBOX_CALL_US, NULL, &result, NULL);
}

/* Remote targets wait for directory's word; the edge it is asked about is the channel's. */
static void scenario_relay(struct stage *stage) {
    struct world *w = world_new(stage);
    struct channel *third = lodger_connect(&w->queue, ROLE_EDGE, 3, NULL, 0, NULL);
    struct queue_target mixed[] = {world_local(7, VIEW("me@local.test")),
                                   world_remote(VIEW("x@one.test")),
                                   {.kind = 77, .address = VIEW("y@one.test")}};
    assert_int_equal(submit_over(w, third, 0, mixed, 1), ERR_OK);
    assert_int_equal(w->relay_asked, 0); /* nothing leaves the house */
    world_pause(US_PER_S);
    assert_int_equal(w->deliveries_n, 1);
    static const struct {
        enum err said, answered;
    } table[] = {{ERR_DENIED, ERR_DENIED},   {ERR_AGAIN, ERR_AGAIN},     {ERR_TIMEOUT, ERR_AGAIN},
                 {ERR_NO_MEMORY, ERR_AGAIN}, {ERR_PERMANENT, ERR_AGAIN}, {ERR_CANCELED, ERR_AGAIN}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        w->relay = table[i].said;
        assert_int_equal(submit_over(w, third, 99, mixed, 3), table[i].answered);
        assert_int_equal(w->relay_asked, i + 1);
        assert_int_equal(w->relay_last.edge, 3);
        assert_int_equal(w->relay_last.session, 99);
        assert_int_equal(w->relay_last.addresses_n, 2); /* what is not local is remote, whatever it calls itself */
        assert_string_equal(w->relay_first, "x@one.test");
        assert_string_equal(w->relay_sender, "me@local.test");
    }
    /* directory is away for longer than a call waits */
    channel_free(w->directory);
    w->directory = NULL;
    assert_int_equal(submit_over(w, w->edge, 99, mixed, 3), ERR_AGAIN);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 0);
    assert_int_equal(w->deliveries_n, 1); /* not even the local part of what was denied */
    w->directory =
        lodger_connect(&w->queue, ROLE_DIRECTORY, 0, world_directory_handlers, ARRAY_LEN(world_directory_handlers), w);
    w->relay = ERR_OK;
    assert_int_equal(submit_over(w, w->edge, 0, mixed, 3), ERR_OK);
    assert_int_equal(w->relay_last.edge, 0);
    world_pause(US_PER_S);
    assert_int_equal(w->attempts_n, 1);
    channel_free(third);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

/* An edge goes away while directory thinks: nothing is stored, and its peer is not used any more (the sanitizer looks). */
static enum err slow_relay(void *ctx, struct call *call, void *reply,
                           struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)call;
    (void)reply;
    (void)reply_handles;
    struct world *w = ctx;
    w->relay_asked++;
    return co_sleep(US_PER_S);
}

struct leaver {
    struct world *w;
    struct channel *edge;
    enum err err;
};

static void leaver_body(void *arg) {
    struct leaver *leaver = arg;
    struct queue_target target = world_remote(VIEW("x@one.test"));
    leaver->err = submit_over(leaver->w, leaver->edge, 1, &target, 1);
}

static void scenario_relay_edge_dies(struct stage *stage) {
    struct world *w = world_new(stage);
    static const struct channel_handler slow[] = {{&message_relay_check, slow_relay}};
    channel_free(w->directory);
    w->directory = lodger_connect(&w->queue, ROLE_DIRECTORY, 0, slow, ARRAY_LEN(slow), w);
    struct leaver leaver = {.w = w, .edge = lodger_connect(&w->queue, ROLE_EDGE, 1, NULL, 0, NULL), .err = ERR_OK};
    assert_int_equal(co_spawn(stage->loop, NULL, "leaver", leaver_body, &leaver, NULL), ERR_OK);
    world_pause(US_PER_S / 2);
    assert_int_equal(w->relay_asked, 1);
    channel_free(leaver.edge);
    /* its next life: what the earlier one left is dropped */
    struct channel *next = lodger_connect(&w->queue, ROLE_EDGE, 1, NULL, 0, NULL);
    world_pause(5 * US_PER_S);
    assert_int_equal(leaver.err, ERR_AGAIN);
    assert_int_equal(w->attempts_n, 0);
    channel_free(next);
    world_sleep(w);
    assert_int_equal(world_stored(w), 0);
    world_free(w);
}

#define SCENARIO(name)                                      \
    static void test_##name(void **state) {                 \
        (void)state;                                        \
        for (uint64_t seed = 1; seed <= 3; seed++)          \
            stage_play(false, seed, scenario_##name, NULL); \
    }
SCENARIO(remote)
SCENARIO(local)
SCENARIO(large)
SCENARIO(failure)
SCENARIO(remote_report)
SCENARIO(nobody)
SCENARIO(own_refusals)
SCENARIO(mailbox_refuses)
SCENARIO(mailbox_later)
SCENARIO(schedule)
SCENARIO(schedule_restarts)
SCENARIO(concurrency)
SCENARIO(many)
SCENARIO(courier_dies)
SCENARIO(directory_away)
SCENARIO(full)
SCENARIO(full_settling)
SCENARIO(group)
SCENARIO(bad_submits)
SCENARIO(relay)
SCENARIO(relay_edge_dies)

#define KILL_SEEDS 60
static void test_kill(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= KILL_SEEDS; seed++) {
        print_message("kill seed %llu\r", (unsigned long long)seed); /* the last one shown is the one that failed */
        stage_play(false, seed, scenario_kill, NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remote),
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_remote_report),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_own_refusals),
        cmocka_unit_test(test_mailbox_refuses),
        cmocka_unit_test(test_mailbox_later),
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_schedule_restarts),
        cmocka_unit_test(test_concurrency),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_courier_dies),
        cmocka_unit_test(test_directory_away),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_settling),
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_bad_submits),
        cmocka_unit_test(test_relay),
        cmocka_unit_test(test_relay_edge_dies),
        cmocka_unit_test(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
