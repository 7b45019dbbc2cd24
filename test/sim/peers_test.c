/*
 * Peers that are slow, greedy or guessing, against the whole simulated house.
 */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const ACCOUNTS[] = {"user@localhost"};

static bool deliver(struct sim *sim, struct sim_client *smtp, const char *id, size_t octets) {
    struct buf message;
    buf_init(&message, 1 << 20);
    buf_printf(&message, "Subject: %s\r\n\r\n", id);
    while (message.n < octets)
        buf_put_str(&message, "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\r\n");
    buf_put_str(&message, "end");
    unsigned code = 0;
    enum err err = sim_smtp_send(smtp, "s@example.net", ACCOUNTS, 1, buf_view(&message), &code);
    buf_fini(&message);
    (void)sim;
    return err == ERR_OK && code == 250;
}

static uint64_t size_of(struct sim *sim, const char *path) {
    struct file *file;
    uint64_t size = 0;
    if (disk_open(sim->disk, path, DISK_READ, &file) != ERR_OK)
        return 0;
    if (file_size(file, &size) != ERR_OK)
        size = 0;
    file_unref(file);
    return size;
}

/* ---- a client that asks for everything and reads nothing ---- */

#define BIG_MESSAGES 40
#define BIG_OCTETS 200000
#define LOG_MAX \
    (6          \
     << 20) /* octets that the write-ahead log may take: a few checkpoints' worth, far less than what is written meanwhile */

static void story_slow(struct sim *sim, void *arg) {
    bool *done = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client smtp, slow, other;
    assert_int_equal(sim_smtp_open(sim, &smtp), ERR_OK);
    for (int i = 0; i < BIG_MESSAGES; i++)
        assert_true(deliver(sim, &smtp, "big", BIG_OCTETS));
    bool ok = false;
    assert_int_equal(sim_imap_login(sim, ACCOUNTS[0], &slow), ERR_OK);
    assert_int_equal(sim_imap(&slow, "SELECT INBOX", NULL, &ok), ERR_OK);
    assert_int_equal(sim_write(&slow, VIEW("x FETCH 1:* (BODY.PEEK[])\r\n")), ERR_OK);
    (void)!co_sleep(5 * US_PER_S); /* it is in the middle of it, and the client does not read */
    uint64_t written = 0, largest = 0;
    for (int i = 0; i < 150; i++) {
        assert_true(deliver(sim, &smtp, "meanwhile", 100000));
        written += 100000;
        uint64_t log = size_of(sim, "accounts/a0000000000000001/account.db-wal");
        largest = log > largest ? log : largest;
    }
    assert_true(written > 2 * (uint64_t)LOG_MAX);
    if (largest > LOG_MAX)
        fail_msg("the write-ahead log grew to %llu octets", (unsigned long long)largest);
    /* Another session of the same account is not held up. */
    assert_int_equal(sim_imap_login(sim, ACCOUNTS[0], &other), ERR_OK);
    assert_int_equal(sim_imap(&other, "SELECT INBOX", NULL, &ok), ERR_OK);
    assert_true(ok);
    sim_close(&other);
    /* The slow one gets everything in the end. */
    uint64_t got = 0;
    for (;;) {
        struct view line;
        assert_int_equal(sim_read_line(&slow, &line), ERR_OK);
        got += line.n;
        if (view_starts(line, VIEW("x ")))
            break;
    }
    assert_true(got > (uint64_t)BIG_MESSAGES * BIG_OCTETS / 2);
    sim_close(&slow);
    sim_close(&smtp);
    sim_stop(sim);
    *done = true;
}

static void test_slow_reader(void **state) {
    (void)state;
    struct sim sim;
    bool done = false;
    sim_init(&sim, 31, NULL, ACCOUNTS, 1);
    assert_true(sim_run(&sim, story_slow, &done));
    assert_true(done);
    disk_free(sim_fini(&sim));
}

/* ---- guessing passwords ---- */

#define GUESSES 12

static int64_t guess(struct sim *sim) {
    int64_t start_us = loop_now_us(sim->loop);
    for (int i = 0; i < GUESSES; i++) {
        struct sim_client client;
        bool ok = true;
        assert_int_equal(sim_connect(sim, SIM_IMAPS_PORT, true, &client), ERR_OK);
        assert_int_equal(sim_imap(&client, NULL, NULL, &ok), ERR_OK);
        assert_int_equal(
            sim_imap(&client, i % 2 ? "LOGIN user@localhost wrong" : "LOGIN nobody@localhost wrong", NULL, &ok),
            ERR_OK);
        assert_false(ok);
        sim_close(&client);
    }
    return loop_now_us(sim->loop) - start_us;
}

static void story_guess(struct sim *sim, void *arg) {
    int64_t *took_us = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    took_us[0] = guess(sim);
    took_us[1] = guess(sim);
    struct sim_client client; /* the right password still works from there, after the same wait */
    assert_int_equal(sim_imap_login(sim, ACCOUNTS[0], &client), ERR_OK);
    sim_close(&client);
    sim_stop(sim);
}

static void test_guessing_is_slowed_down(void **state) {
    (void)state;
    for (int throttled = 0; throttled < 2; throttled++) {
        struct sim sim;
        int64_t took_us[2] = {0};
        sim_init(&sim, 32, NULL, ACCOUNTS, 1);
        sim.config.throttle_loopback = throttled;
        assert_true(sim_run(&sim, story_guess, took_us));
        disk_free(sim_fini(&sim));
        if (throttled) {
            assert_true(took_us[0] > 30 * US_PER_S); /* 0.5, 1, 2, 4, 8, 10, 10 ... seconds after the first three */
            assert_true(took_us[1] > 100 * US_PER_S);
        } else { /* localserve on loopback */
            assert_true(took_us[1] < 5 * US_PER_S);
        }
    }
}

/* ---- more connections than allowed ---- */

static void story_crowd(struct sim *sim, void *arg) {
    bool *done = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct sim_client clients[8];
    unsigned refused = 0;
    for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
        unsigned code = 0;
        assert_int_equal(sim_connect(sim, SIM_SMTP_PORT, false, &clients[i]), ERR_OK);
        assert_int_equal(sim_smtp(&clients[i], NULL, &code), ERR_OK);
        refused += code == 421;
    }
    assert_int_equal(refused, 3);
    for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
        sim_close(&clients[i]);
    (void)!co_sleep(1 * US_PER_S);
    struct sim_client again;
    assert_int_equal(sim_smtp_open(sim, &again), ERR_OK);
    sim_close(&again);
    sim_stop(sim);
    *done = true;
}

static void test_too_many_connections(void **state) {
    (void)state;
    struct sim sim;
    bool done = false;
    sim_init(&sim, 33, NULL, ACCOUNTS, 1);
    sim.config.throttle_loopback = true;
    sim.config.connections_per_network = 5;
    assert_true(sim_run(&sim, story_crowd, &done));
    assert_true(done);
    disk_free(sim_fini(&sim));
}

int main(int argc, char **argv) {
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_guessing_is_slowed_down),
        cmocka_unit_test(test_too_many_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
