/*
 * The hand-over through the whole house, forth and back and forth again: a client that says everything in advance, cut in
 * two at every octet, hears the same each time (DESIGN.md section 2, "Hand-over after login"; RFC8437-2).
 */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const ACCOUNTS[] = {"user@localhost", "anna@localhost"};

static const struct view SAID = VIEW_INIT("a LOGIN {14+}\r\nuser@localhost veredus\r\n"
                                          "b SELECT INBOX\r\n"
                                          "c UNAUTHENTICATE\r\n"
                                          "d NOOP\r\n"
                                          "e LOGIN anna@localhost wrong\r\n"
                                          "f LOGIN anna@localhost {7+}\r\nveredus\r\n"
                                          "g STATUS INBOX (MESSAGES)\r\n"
                                          "h UNAUTHENTICATE\r\n"
                                          "i LOGIN user@localhost veredus\r\n"
                                          "j EXAMINE Sent\r\n"
                                          "k LOGOUT\r\n");

/* Everything until the server ends the session. */
static enum err hear(struct sim *sim, size_t cut, struct buf *out) {
    struct sim_client client;
    TRY(sim_connect(sim, SIM_IMAPS_PORT, true, &client));
    enum err err = sim_write(&client, view_sub(SAID, 0, cut));
    if (err == ERR_OK && cut % 3 != 0) /* the second half comes at once, soon, or when everything is quiet */
        err = co_sleep(cut % 3 == 1 ? 3 * US_PER_MS : 2 * US_PER_S);
    if (err == ERR_OK)
        err = sim_write(&client, view_skip(SAID, cut));
    while (err == ERR_OK) {
        struct view line;
        err = sim_read_line(&client, &line);
        if (err == ERR_OK) {
            buf_put(out, line);
            buf_put_byte(out, '\n');
        }
    }
    sim_close(&client);
    return err == ERR_CLOSED ? ERR_OK : err;
}

static void story(struct sim *sim, void *arg) {
    bool *done = arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct buf whole, cut;
    buf_init(&whole, 1 << 20);
    buf_init(&cut, 1 << 20);
    assert_int_equal(hear(sim, SAID.n, &whole), ERR_OK);
    static const char *const expected[] = {"a OK", "b OK", "c OK", "d OK", "e NO", "f OK",
                                           "g OK", "h OK", "i OK", "j OK", "k OK"};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "\n%s", expected[i]);
        if (view_find(buf_view(&whole), view_of(text, (size_t)n)) < 0)
            fail_msg("%s is missing in:\n%.*s", expected[i], VIEW_FMT(buf_view(&whole)));
    }
    for (size_t at = 0; at < SAID.n; at++) {
        buf_clear(&cut);
        assert_int_equal(hear(sim, at, &cut), ERR_OK);
        if (!view_eq(buf_view(&whole), buf_view(&cut)))
            fail_msg("cut at %zu:\n%.*s\ninstead of\n%.*s", at, VIEW_FMT(buf_view(&cut)), VIEW_FMT(buf_view(&whole)));
    }
    buf_fini(&whole);
    buf_fini(&cut);
    sim_stop(sim);
    *done = true;
}

static void test_every_octet(void **state) {
    (void)state;
    struct sim sim;
    bool done = false;
    sim_init(&sim, 41, NULL, ACCOUNTS, 2);
    sim.config.throttle_loopback = false; /* each round has a wrong password in it */
    assert_true(sim_run(&sim, story, &done));
    assert_true(done);
    disk_free(sim_fini(&sim));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_octet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
