/* The postmaster's clock: first after a minute, then every ten, also past a neighbour that does not answer. */
#include "roles/role_testing.h"

struct counts {
    struct stage *stage;
    int64_t start_us, at_us[20];
    unsigned directory, queue;
    bool fails;
};

static enum err count_directory(void *ctx, struct call *call, void *reply,
                                struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)call;
    (void)reply;
    (void)reply_handles;
    struct counts *c = ctx;
    assert_true(c->directory < ARRAY_LEN(c->at_us));
    c->at_us[c->directory++] = loop_now_us(c->stage->loop) - c->start_us;
    return c->fails ? ERR_IO : ERR_OK;
}

static enum err count_queue(void *ctx, struct call *call, void *reply,
                            struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)call;
    (void)reply;
    (void)reply_handles;
    ((struct counts *)ctx)->queue++;
    return ERR_OK;
}

static void scenario(struct stage *stage) {
    static const struct channel_handler directory_handlers[] = {{&message_cleanup_directory, count_directory}};
    static const struct channel_handler queue_handlers[] = {{&message_cleanup_queue, count_queue}};
    struct counts c = {.stage = stage, .start_us = loop_now_us(stage->loop)};
    struct lodger lodger = {.env = {.simulated = true}};
    lodger_start(&lodger, stage, &role_postmaster, (struct role_configure){.hostname = VIEW("mail.test")}, NULL, 0,
                 NULL);
    struct channel *directory = lodger_connect(&lodger, ROLE_DIRECTORY, 0, directory_handlers, 1, &c);
    struct channel *queue = lodger_connect(&lodger, ROLE_QUEUE, 0, queue_handlers, 1, &c);
    assert_int_equal(co_sleep(59 * US_PER_S), ERR_OK);
    assert_int_equal(c.directory + c.queue, 0);
    assert_int_equal(co_sleep(2 * US_PER_S), ERR_OK);
    assert_int_equal(c.directory, 1);
    assert_int_equal(c.queue, 1);
    c.fails = true;
    assert_int_equal(co_sleep(600 * US_PER_S), ERR_OK);
    assert_int_equal(c.directory, 2);
    assert_int_equal(c.queue, 2);
    /* A directory that was started anew. */
    c.fails = false;
    channel_free(directory);
    directory = lodger_connect(&lodger, ROLE_DIRECTORY, 0, directory_handlers, 1, &c);
    assert_int_equal(co_sleep(600 * US_PER_S), ERR_OK);
    assert_int_equal(c.directory, 3);
    assert_int_equal(c.queue, 3);
    lodger_stop(&lodger);
    channel_free(directory);
    channel_free(queue);
}

static void test_clock(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        stage_play(false, seed, scenario, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
