/*
 * A role is killed at each packet in turn: one story of three messages is played
 * again for every packet that travels between roles, and at that packet one of
 * the roles that matter dies. What got a 250 is there once; what got none is
 * there at most once; everything works afterwards.
 *
 * The short form takes every 7th packet; SIM_LONG takes all.
 */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const ACCOUNTS[] = {"user@localhost", "anna@localhost"};
#define MESSAGES 3

struct story {
    struct channel_tap tap;
    struct sim *sim;
    uint64_t packets, kill_at; /* 0: nobody */
    enum role victim;
    bool counting;
    bool accepted[MESSAGES];
    bool well_after;
};

static bool on_packet(struct channel_tap *tap, const char *channel, uint16_t code, bool is_reply, int64_t *delay_us) {
    (void)channel;
    (void)code;
    (void)is_reply;
    (void)delay_us;
    struct story *story = (struct story *)tap;
    if (story->counting && ++story->packets == story->kill_at)
        (void)sim_kill(story->sim, story->victim, 0);
    return true;
}

static bool send_one(struct sim *sim, const char *id, size_t octets) {
    struct sim_client client;
    if (sim_smtp_open(sim, &client) != ERR_OK)
        return false;
    struct buf message;
    buf_init(&message, 1 << 20);
    buf_printf(&message, "Subject: %s\r\nFrom: s@example.net\r\n\r\n", id);
    while (message.n < octets)
        buf_put_str(&message, "The same line again and again, to make it long.\r\n");
    buf_put_str(&message, "end");
    unsigned code = 0;
    enum err err = sim_smtp_send(&client, "s@example.net", ACCOUNTS, 2, buf_view(&message), &code);
    buf_fini(&message);
    sim_close(&client);
    return err == ERR_OK && code == 250;
}

static void play(struct sim *sim, void *arg) {
    struct story *story = arg;
    if (sim_start(sim) == ERR_OK) {
        story->counting = true;
        for (unsigned i = 0; i < MESSAGES; i++) {
            char id[40];
            (void)snprintf(id, sizeof(id), "packet-%u-", i);
            story->accepted[i] = send_one(sim, id, i == 1 ? 300000 : 1000);
        }
        story->counting = false;
        /* The victim is back, and mail flows. */
        for (int i = 0; !story->well_after && i < 100; i++) {
            story->well_after = send_one(sim, "afterwards", 500);
            if (!story->well_after)
                (void)!co_sleep(500 * US_PER_MS);
        }
        struct sim_client imap;
        bool ok = false;
        if (sim_imap_login(sim, "user@localhost", &imap) == ERR_OK) {
            (void)!sim_imap(&imap, "SELECT INBOX", NULL, &ok);
            sim_close(&imap);
        }
        story->well_after = story->well_after && ok;
        (void)!co_sleep(600 * US_PER_S); /* what went to the queue */
    }
    sim_stop(sim);
}

static void run(struct story *story) {
    struct sim sim;
    sim_init(&sim, 77, NULL, ACCOUNTS, 2);
    story->sim = &sim;
    story->tap.packet = on_packet;
    loop_set_channel_tap(sim.loop, &story->tap);
    if (!sim_run(&sim, play, story))
        fail_msg("stuck after killing %s at packet %llu", role_name(story->victim), (unsigned long long)story->kill_at);
    struct disk *disk = sim_fini(&sim);
    for (unsigned i = 0; i < MESSAGES; i++)
        for (uint64_t account = 1; account <= 2; account++) {
            char text[40];
            int n = snprintf(text, sizeof(text), "Subject: packet-%u-\r", i);
            int count = sim_count_messages(disk, account, view_of(text, (size_t)n));
            if (count < 0 || count > 1 || (story->accepted[i] && count != 1))
                fail_msg("killing %s at packet %llu: message %u is %d times in account %llu, accepted %d",
                         role_name(story->victim), (unsigned long long)story->kill_at, i, count,
                         (unsigned long long)account, story->accepted[i]);
        }
    if (!story->well_after)
        fail_msg("killing %s at packet %llu: nothing works afterwards", role_name(story->victim),
                 (unsigned long long)story->kill_at);
    disk_free(disk);
}

static void kill_everywhere(enum role victim) {
    struct story whole = {.victim = victim};
    run(&whole);
    assert_true(whole.packets > 20);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_true(whole.accepted[i]);
    for (uint64_t at = 1 + (uint64_t)victim % 7; at <= whole.packets; at += getenv("SIM_LONG") ? 1 : 7) {
        struct story story = {.victim = victim, .kill_at = at};
        run(&story);
    }
}

static void test_kill_mailbox(void **state) {
    (void)state;
    kill_everywhere(ROLE_MAILBOX);
}
static void test_kill_edge(void **state) {
    (void)state;
    kill_everywhere(ROLE_EDGE);
}
static void test_kill_directory(void **state) {
    (void)state;
    kill_everywhere(ROLE_DIRECTORY);
}
static void test_kill_queue(void **state) {
    (void)state;
    kill_everywhere(ROLE_QUEUE);
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_mailbox),
        cmocka_unit_test(test_kill_edge),
        cmocka_unit_test(test_kill_directory),
        cmocka_unit_test(test_kill_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
