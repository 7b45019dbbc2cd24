/*
 * Deliveries through the whole simulated house: what got a 250 is there, once,
 * whatever is killed and whenever the power goes.
 */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const ACCOUNTS[] = {"user@localhost", "anna@localhost", "bert@example.org"};

static void put_message(struct buf *out, const char *id, size_t octets) {
    buf_printf(out,
               "From: Sender <sender@example.net>\r\nTo: user@localhost\r\nSubject: %s\r\nMessage-ID: "
               "<%s@example.net>\r\n\r\n",
               id, id);
    while (out->n < octets)
        buf_put_str(out, "A line of text that makes the message as long as it has to be.\r\n");
    buf_printf(out, "end of %s", id);
}

/* ---- one message, by every door ---- */

static void story_one(struct sim *sim, void *arg) {
    (void)arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client smtp, imap;
    struct buf message, out;
    buf_init(&message, 1 << 20);
    buf_init(&out, 1 << 20);
    put_message(&message, "first", 3000);
    assert_int_equal(sim_smtp_open(sim, &smtp), ERR_OK);
    unsigned code = 0;
    const char *const to[] = {"user@localhost", "bert@example.org"};
    assert_int_equal(sim_smtp_send(&smtp, "sender@example.net", to, 2, buf_view(&message), &code), ERR_OK);
    assert_int_equal(code, 250);
    const char *const nobody[] = {"nobody@localhost"};
    assert_int_equal(sim_smtp_send(&smtp, "sender@example.net", nobody, 1, buf_view(&message), &code), ERR_OK);
    assert_int_equal(code, 550);
    const char *const foreign[] = {"somebody@example.com"};
    assert_int_equal(sim_smtp_send(&smtp, "sender@example.net", foreign, 1, buf_view(&message), &code), ERR_OK);
    assert_int_equal(code, 550);
    sim_close(&smtp);
    bool ok = false;
    assert_int_equal(sim_imap_login(sim, "user@localhost", &imap), ERR_OK);
    assert_int_equal(sim_imap(&imap, "SELECT INBOX", &out, &ok), ERR_OK);
    assert_true(ok);
    assert_true(view_find(buf_view(&out), VIEW("* 1 EXISTS")) >= 0);
    buf_clear(&out);
    assert_int_equal(sim_imap(&imap, "FETCH 1 BODY.PEEK[]", &out, &ok), ERR_OK);
    assert_true(ok);
    assert_true(view_find(buf_view(&out), VIEW("end of first")) >= 0);
    assert_true(view_find(buf_view(&out), VIEW("Return-Path: <sender@example.net>")) >= 0);
    assert_true(view_find(buf_view(&out), VIEW("Delivered-To: user@localhost")) >= 0);
    assert_int_equal(sim_imap(&imap, "LOGOUT", NULL, &ok), ERR_OK);
    sim_close(&imap);
    struct sim_client wrong;
    assert_int_equal(sim_connect(sim, SIM_IMAPS_PORT, true, &wrong), ERR_OK);
    assert_int_equal(sim_imap(&wrong, NULL, NULL, &ok), ERR_OK);
    assert_int_equal(sim_imap(&wrong, "LOGIN user@localhost false", NULL, &ok), ERR_OK);
    assert_false(ok);
    assert_int_equal(sim_imap(&wrong, "LOGIN noone@localhost veredus", NULL, &ok), ERR_OK);
    assert_false(ok);
    sim_close(&wrong);
    buf_fini(&message);
    buf_fini(&out);
    sim_stop(sim);
}

static void test_one_message(void **state) {
    (void)state;
    struct sim sim;
    sim_init(&sim, 1, NULL, ACCOUNTS, 3);
    assert_true(sim_run(&sim, story_one, NULL));
    struct disk *disk = sim_fini(&sim);
    assert_int_equal(sim_count_messages(disk, 1, VIEW("end of first")), 1);
    assert_int_equal(sim_count_messages(disk, 2, VIEW("end of first")), 0);
    assert_int_equal(sim_count_messages(disk, 3, VIEW("end of first")), 1);
    disk_free(disk);
}

/* ---- kills ---- */

#define STORM_CLIENTS 4
#define STORM_MESSAGES 12 /* a client */

struct storm {
    struct sim *sim;
    bool accepted[STORM_CLIENTS][STORM_MESSAGES];
    unsigned running, kills;
    struct waitq done;
};
struct storm_client {
    struct storm *storm;
    unsigned number;
};

/* Sends each message until it gets a 250; one whose answer was lost is sent under another name, so every name is sent once. */
static void storm_client(void *arg) {
    struct storm_client *me = arg;
    struct storm *storm = me->storm;
    struct sim *sim = storm->sim;
    struct sim_client client = {0};
    struct buf message;
    buf_init(&message, 1 << 20);
    for (unsigned i = 0; i < STORM_MESSAGES; i++) {
        char id[40];
        (void)snprintf(id, sizeof(id), "m-%u-%u-", me->number, i);
        buf_clear(&message);
        put_message(&message, id, i % 5 == 4 ? 300000 : 2000); /* some as files */
        const char *to[2] = {ACCOUNTS[(me->number + i) % 3], ACCOUNTS[(me->number + i + 1) % 3]};
        for (int attempt = 0; attempt < 200; attempt++) {
            if (!client.stream && sim_smtp_open(sim, &client) != ERR_OK) {
                client.stream = NULL;
                if (co_sleep(500 * US_PER_MS) != ERR_OK)
                    break;
                continue;
            }
            unsigned code = 0;
            enum err err = sim_smtp_send(&client, "sender@example.net", to, 2, buf_view(&message), &code);
            if (err != ERR_OK) {
                sim_close(&client);
                break; /* perhaps delivered, perhaps not: both are allowed */
            }
            if (code == 250) {
                storm->accepted[me->number][i] = true;
                break;
            }
            sim_close(&client);
            if (co_sleep(1 * US_PER_S) != ERR_OK)
                break;
        }
        (void)!co_sleep((int64_t)random_below(&sim->random.random, 300) * US_PER_MS);
    }
    sim_close(&client);
    buf_fini(&message);
    storm->running--;
    waitq_wake_all(&storm->done);
}

static void story_storm(struct sim *sim, void *arg) {
    struct storm *storm = arg;
    storm->sim = sim;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct storm_client clients[STORM_CLIENTS];
    for (unsigned i = 0; i < STORM_CLIENTS; i++) {
        clients[i] = (struct storm_client){.storm = storm, .number = i};
        assert_int_equal(co_spawn(sim->loop, NULL, "client", storm_client, &clients[i], NULL), ERR_OK);
        storm->running++;
    }
    while (storm->running) {
        (void)!waitq_wait(&storm->done,
                          loop_now_us(sim->loop) + (int64_t)random_below(&sim->random.random, 1500) * US_PER_MS);
        if (storm->running && sim->kills < storm->kills)
            sim_kill_any(sim);
    }
    (void)!co_sleep(1200 * US_PER_S); /* what waits in the queue gets its turn */
    sim_stop(sim);
}

static void judge_storm(const struct storm *storm, struct disk *disk, uint64_t seed) {
    for (unsigned c = 0; c < STORM_CLIENTS; c++)
        for (unsigned i = 0; i < STORM_MESSAGES; i++) {
            char text[60];
            int n = snprintf(text, sizeof(text), "Subject: m-%u-%u-\r", c, i);
            for (unsigned j = 0; j < 2; j++) {
                uint64_t account = (c + i + j) % 3 + 1;
                int count = sim_count_messages(disk, account, view_of(text, (size_t)n));
                if (count < 0 || count > 1 || (storm->accepted[c][i] && count != 1))
                    fail_msg("seed %llu: message %u of client %u is %d times in account %llu, accepted %d",
                             (unsigned long long)seed, i, c, count, (unsigned long long)account, storm->accepted[c][i]);
            }
        }
}

static unsigned seeds(unsigned ordinary) {
    const char *text = getenv("SIM_SEEDS");
    uint32_t n;
    return text && view_to_u32(view_cstr(text), 1000000, &n) == ERR_OK ? n : ordinary;
}

static uint64_t storm(unsigned kills, uint64_t seed) {
    struct sim sim;
    struct storm story = {.kills = kills};
    sim_init(&sim, seed, NULL, ACCOUNTS, 3);
    net_sim_set_latency(sim.net, 100, 20 * US_PER_MS);
    if (!sim_run(&sim, story_storm, &story))
        fail_msg("seed %llu got stuck", (unsigned long long)seed);
    struct disk *disk = sim_fini(&sim);
    judge_storm(&story, disk, seed);
    disk_free(disk);
    return sim.story;
}

static void test_storm_without_kills(void **state) {
    (void)state;
    (void)storm(0, 11);
}

/* The same seed plays the same story to the last log line, kills included; another seed plays another. */
static void test_seeds_repeat(void **state) {
    (void)state;
    uint64_t first = storm(10, 4711), again = storm(10, 4711), other = storm(10, 4712);
    assert_true(first == again);
    assert_true(first != other);
}

static void test_storm_with_kills(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < seeds(6); seed++)
        (void)storm(15, 1000 + seed);
}

/* ---- power cuts ---- */

#define CUT_MESSAGES 6

struct cut_story {
    uint64_t skip; /* the sync that is not done, 0: none */
    uint64_t syncs;
    unsigned lost;
    uint64_t seed;
};

/* At every 250 the power goes: the disk, with only what was synced, has the message. Then at every IMAP OK. */
static void story_cut(struct sim *sim, void *arg) {
    struct cut_story *cut = arg;
    struct random_seeded coin;
    random_seeded_init(&coin, cut->seed);
    if (sim_start(sim) == ERR_OK) {
        uint64_t before = 0;
        struct sim_client client = {0};
        struct buf message;
        buf_init(&message, 1 << 20);
        if (sim_smtp_open(sim, &client) == ERR_OK) {
            for (unsigned i = 0; i < CUT_MESSAGES; i++) {
                if (i == 1) { /* the account is made: from here on every sync belongs to a promise */
                    before = disk_sim_syncs(sim->disk);
                    disk_sim_skip_sync(sim->disk, cut->skip);
                }
                char id[40], text[60];
                (void)snprintf(id, sizeof(id), "cut-%u-", i);
                int n = snprintf(text, sizeof(text), "Subject: cut-%u-\r", i);
                buf_clear(&message);
                put_message(&message, id, i % 3 == 2 ? 300000 : 2000);
                unsigned code = 0;
                if (sim_smtp_send(&client, "sender@example.net", &ACCOUNTS[0], 1, buf_view(&message), &code) !=
                        ERR_OK ||
                    code != 250)
                    break;
                for (int way = 0; way < 2; way++) { /* everything unsynced is lost; some of it is */
                    struct disk *image = disk_sim_power_cut(sim->disk, way ? &coin.random : NULL);
                    for (unsigned j = 0; j <= i; j++) {
                        n = snprintf(text, sizeof(text), "Subject: cut-%u-\r", j);
                        cut->lost += sim_count_messages(image, 1, view_of(text, (size_t)n)) != 1;
                    }
                    disk_free(image);
                }
            }
            sim_close(&client);
        }
        buf_fini(&message);
        cut->syncs = disk_sim_syncs(sim->disk) - before;
    }
    disk_sim_skip_sync(sim->disk, 0);
    sim_stop(sim);
}

static struct cut_story cut(uint64_t skip, uint64_t seed) {
    struct sim sim;
    struct cut_story story = {.skip = skip, .seed = seed};
    sim_init(&sim, seed, NULL, ACCOUNTS, 1);
    if (!sim_run(&sim, story_cut, &story))
        fail_msg("stuck with sync %llu left out", (unsigned long long)skip);
    disk_free(sim_fini(&sim));
    return story;
}

static void test_power_cut_at_every_250(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < seeds(3); seed++)
        assert_int_equal(cut(0, 50 + seed).lost, 0);
}

/* Any one fsync left out is noticed by the test above. (Those before, while SQLite makes a database, order its own steps; nothing was promised
 * yet, and store/sqlite has its own tests of power cuts there.) */
static void test_every_sync_is_needed(void **state) {
    (void)state;
    uint64_t syncs = cut(0, 50).syncs;
    unsigned unnoticed = 0;
    for (uint64_t n = 1; n <= syncs; n++) {
        struct cut_story story = cut(n, 50);
        if (story.lost == 0) {
            unnoticed++;
            fprintf(stderr, "sync %llu of %llu is not missed\n", (unsigned long long)n, (unsigned long long)syncs);
        }
    }
    assert_int_equal(unnoticed, 0);
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_message),
        cmocka_unit_test(test_storm_without_kills),
        cmocka_unit_test(test_seeds_repeat),
        cmocka_unit_test(test_storm_with_kills),
        cmocka_unit_test(test_power_cut_at_every_250),
        cmocka_unit_test(test_every_sync_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
