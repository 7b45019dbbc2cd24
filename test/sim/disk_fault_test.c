/*
 * Disks that fail: each operation in turn with an error, and a disk that is full
 * for a while. A 250 is never said for what is not there, a refusal is temporary, and the server
 * recovers by itself.
 *
 * The short form takes every 9th operation; SIM_LONG takes all.
 */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const ACCOUNTS[] = {"user@localhost", "anna@localhost"};
#define MESSAGES 4

struct story {
    uint64_t fail_at, operations;
    enum err fail_with;
    unsigned codes[MESSAGES];
    bool well_after, imap_ok[3];
};

/* The reply to the message, 0 when there was none. */
static unsigned send_one(struct sim *sim, const char *id, size_t octets) {
    struct sim_client client;
    if (sim_smtp_open(sim, &client) != ERR_OK)
        return 0;
    struct buf message;
    buf_init(&message, 1 << 20);
    buf_printf(&message, "Subject: %s\r\nFrom: s@example.net\r\n\r\n", id);
    while (message.n < octets)
        buf_put_str(&message, "The same line again and again, to make it long.\r\n");
    buf_put_str(&message, "end");
    unsigned code = 0;
    if (sim_smtp_send(&client, "s@example.net", ACCOUNTS, 2, buf_view(&message), &code) != ERR_OK)
        code = 0;
    buf_fini(&message);
    sim_close(&client);
    return code;
}

static bool works(struct sim *sim) {
    for (int i = 0; i < 100; i++) {
        if (send_one(sim, "afterwards", 500) == 250)
            return true;
        if (co_sleep(1 * US_PER_S) != ERR_OK)
            return false;
    }
    return false;
}

static void play_failing(struct sim *sim, void *arg) {
    struct story *story = arg;
    if (sim_start(sim) == ERR_OK && send_one(sim, "before", 500) == 250) {
        uint64_t before = disk_sim_operations(sim->disk);
        disk_sim_fail_at(sim->disk, story->fail_at, story->fail_with);
        for (unsigned i = 0; i < MESSAGES; i++) {
            char id[40];
            (void)snprintf(id, sizeof(id), "fault-%u-", i);
            story->codes[i] = send_one(sim, id, i % 2 ? 300000 : 1000);
        }
        story->operations = disk_sim_operations(sim->disk) - before;
        disk_sim_fail_at(sim->disk, 0, ERR_IO);
        story->well_after = works(sim);
        (void)!co_sleep(600 * US_PER_S); /* what went to the queue */
    }
    sim_stop(sim);
}

static void judge(const struct story *story, struct disk *disk) {
    for (unsigned i = 0; i < MESSAGES; i++) {
        unsigned code = story->codes[i];
        bool is_sane = code == 0 || code == 250 || code / 100 == 4;
        for (uint64_t account = 1; account <= 2; account++) {
            char text[40];
            int n = snprintf(text, sizeof(text), "Subject: fault-%u-\r", i);
            int count = sim_count_messages(disk, account, view_of(text, (size_t)n));
            if (!is_sane || count < 0 || count > 1 || (code == 250 && count != 1))
                fail_msg("operation %llu fails with %s: message %u is %d times in account %llu, the reply was %u",
                         (unsigned long long)story->fail_at, err_name(story->fail_with), i, count,
                         (unsigned long long)account, code);
        }
    }
    if (!story->well_after)
        fail_msg("operation %llu fails with %s: nothing works afterwards", (unsigned long long)story->fail_at,
                 err_name(story->fail_with));
}

static void run_failing(struct story *story) {
    struct sim sim;
    sim_init(&sim, 21, NULL, ACCOUNTS, 2);
    sim.quiet = true; /* roles say that their disk fails: they must */
    if (!sim_run(&sim, play_failing, story))
        fail_msg("stuck with operation %llu", (unsigned long long)story->fail_at);
    struct disk *disk = sim_fini(&sim);
    judge(story, disk);
    disk_free(disk);
}

static void fail_everywhere(enum err err) {
    struct story whole = {.fail_with = err};
    run_failing(&whole);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(whole.codes[i], 250);
    for (uint64_t at = 1; at <= whole.operations; at += getenv("SIM_LONG") ? 1 : 9) {
        struct story story = {.fail_at = at, .fail_with = err};
        run_failing(&story);
    }
}

static void test_every_operation_fails(void **state) {
    (void)state;
    fail_everywhere(ERR_IO);
}
static void test_every_operation_finds_no_space(void **state) {
    (void)state;
    fail_everywhere(ERR_FULL);
}

/* ---- a full disk ---- */

static void play_full(struct sim *sim, void *arg) {
    struct story *story = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    assert_int_equal(send_one(sim, "before", 500), 250);
    struct sim_client imap;
    bool ok = false;
    assert_int_equal(sim_imap_login(sim, "user@localhost", &imap), ERR_OK);
    assert_int_equal(sim_imap(&imap, "SELECT INBOX", NULL, &ok), ERR_OK);
    disk_sim_full(sim->disk, true);
    for (unsigned i = 0; i < MESSAGES; i++) {
        char id[40];
        (void)snprintf(id, sizeof(id), "fault-%u-", i);
        story->codes[i] = send_one(sim, id, i % 2 ? 300000 : 1000);
    }
    assert_int_equal(sim_imap(&imap, "CREATE Full", NULL, &story->imap_ok[0]), ERR_OK);
    assert_int_equal(sim_imap(&imap, "FETCH 1 (FLAGS BODY.PEEK[])", NULL, &story->imap_ok[1]),
                     ERR_OK); /* reading goes on */
    disk_sim_full(sim->disk, false);
    story->well_after = works(sim);
    assert_int_equal(sim_imap(&imap, "CREATE Space", NULL, &story->imap_ok[2]), ERR_OK);
    sim_close(&imap);
    (void)!co_sleep(600 * US_PER_S);
    sim_stop(sim);
}

static void test_full_disk(void **state) {
    (void)state;
    struct sim sim;
    struct story story = {.fail_with = ERR_FULL};
    sim_init(&sim, 22, NULL, ACCOUNTS, 2);
    sim.quiet = true;
    assert_true(sim_run(&sim, play_full, &story));
    struct disk *disk = sim_fini(&sim);
    judge(&story, disk);
    disk_free(disk);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(story.codes[i] / 100, 4);
    assert_false(story.imap_ok[0]);
    assert_true(story.imap_ok[1]);
    assert_true(story.imap_ok[2]);
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operation_fails),
        cmocka_unit_test(test_every_operation_finds_no_space),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
