/* Channels in process: what simulation does to them (delays, cuts), roles that end, and ends that nobody ran the loop for. */
#include "loop/channel_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define R_number(F, S) F(S, U64, n)
RECORD_DECLARE(number);
RECORD_DEFINE(number);

static const struct message_type type_add = {1, "add", &number_record, &number_record, 0, 0};
static const struct message_type type_note = {2, "note", &number_record, NULL, 1, 0};
static const struct message_type type_wait = {3, "wait", &number_record, &number_record, 0, 0};

struct world {
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    struct co_group *group;
    struct channel *a, *b;
    void (*scenario)(struct world *w);
    bool is_finished;
    unsigned closed_a, closed_b, waiting, canceled;
    uint64_t noted, in_order;
};

static enum err do_add(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)handles;
    ((struct number *)reply)->n = ((const struct number *)call->request)->n + 1;
    return ERR_OK;
}

static enum err do_note(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    struct world *w = ctx;
    (void)reply;
    (void)handles;
    w->in_order += ((const struct number *)call->request)->n == w->noted;
    w->noted++;
    return ERR_OK;
}

static enum err do_wait(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    struct world *w = ctx;
    (void)call;
    (void)reply;
    (void)handles;
    w->waiting++;
    enum err err = co_sleep(US_PER_S);
    w->waiting--;
    w->canceled += err == ERR_CANCELED;
    return err;
}

static const struct channel_handler handlers[] = {{&type_add, do_add}, {&type_note, do_note}, {&type_wait, do_wait}};

static void a_closed(void *ctx, enum err why) {
    assert_int_equal(why, ERR_CLOSED);
    ((struct world *)ctx)->closed_a++;
}

static void b_closed(void *ctx, enum err why) {
    assert_int_equal(why, ERR_CLOSED);
    ((struct world *)ctx)->closed_b++;
}

static void run_scenario(void *arg) {
    struct world *w = arg;
    w->scenario(w);
    channel_free(w->a);
    channel_free(w->b);
    co_group_end(w->group);
    w->is_finished = true;
}

static void run_world(void (*scenario)(struct world *w), uint64_t seed) {
    struct world w = {.scenario = scenario};
    virtual_clock_init(&w.clock, 0);
    random_seeded_init(&w.random, seed);
    w.loop = loop_new_virtual(&w.clock, &w.random.random, NULL);
    assert_non_null(w.loop);
    w.group = co_group_new(w.loop);
    assert_int_equal(channel_new_pair(w.loop, &w.a, &w.b), ERR_OK);
    channel_on_close(w.a, a_closed, &w);
    channel_on_close(w.b, b_closed, &w);
    assert_int_equal(channel_start(w.a, "a", handlers, ARRAY_LEN(handlers), &w, w.group), ERR_OK);
    assert_int_equal(channel_start(w.b, "b", handlers, ARRAY_LEN(handlers), &w, w.group), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "scenario", run_scenario, &w, NULL), ERR_OK);
    loop_run(w.loop);
    assert_true(w.is_finished);
    loop_free(w.loop);
}

static void run_seeds(void (*scenario)(struct world *w)) {
    for (uint64_t seed = 1; seed <= 20; seed++)
        run_world(scenario, seed);
}

static enum err ask(struct world *w, const struct message_type *type, int64_t for_us) {
    struct number n = {1}, reply;
    return channel_call(w->a, type, &n, NULL, 0, loop_now_us(w->loop) + for_us, NULL, &reply, NULL);
}

static void tell(struct world *w, uint64_t n) {
    struct number note = {n};
    assert_int_equal(channel_send(w->a, &type_note, &note, NULL, 0), ERR_OK);
}

/* ---- the tap ---- */

struct test_tap {
    struct channel_tap tap;
    struct random_seeded delays;
    int64_t least_us, spread_us;
    uint64_t seen, replies, cut_at;
};

static bool tap_packet(struct channel_tap *tap, const char *channel, uint16_t code, bool is_reply, int64_t *delay_us) {
    struct test_tap *t = (struct test_tap *)tap;
    assert_true(channel[0] == 'a' || channel[0] == 'b');
    assert_true(code <= type_wait.code);
    t->replies += is_reply;
    *delay_us = t->least_us;
    if (t->spread_us > 0)
        *delay_us += (int64_t)random_below(&t->delays.random, (uint64_t)t->spread_us);
    return ++t->seen != t->cut_at;
}

static void delays_keep_the_order(struct world *w) {
    struct test_tap tap = {.tap = {tap_packet}, .spread_us = 1000};
    random_seeded_init(&tap.delays, 5);
    loop_set_channel_tap(w->loop, &tap.tap);
    int64_t start_us = loop_now_us(w->loop);
    for (uint64_t i = 0; i < 100; i++)
        tell(w, i);
    assert_int_equal(ask(w, &type_add, US_PER_S), ERR_OK);
    assert_int_equal(w->in_order, 100);
    assert_true(loop_now_us(w->loop) > start_us);
    assert_true(loop_now_us(w->loop) <= start_us + 2000);
    assert_int_equal(tap.seen, 102);
    assert_int_equal(tap.replies, 1);
    loop_set_channel_tap(w->loop, NULL);
}

/* A request on its way arrives, also when its caller gave up meanwhile; the cancel comes behind it. */
static void given_up_on_the_way(struct world *w) {
    struct test_tap tap = {.tap = {tap_packet}, .least_us = 1000};
    loop_set_channel_tap(w->loop, &tap.tap);
    assert_int_equal(ask(w, &type_wait, 500), ERR_TIMEOUT);
    assert_int_equal(w->waiting, 0);
    assert_int_equal(co_sleep(700), ERR_OK);
    assert_int_equal(w->waiting, 1);
    assert_int_equal(co_sleep(2000), ERR_OK);
    assert_int_equal(w->waiting, 0);
    assert_int_equal(w->canceled, 1);
    assert_int_equal(map_count(w->a->pending), 0);
    loop_set_channel_tap(w->loop, NULL);
}

/* Cut at each packet in turn: the call fails or not, both ends learn of it once, nothing is left. */
static void cut_anywhere(struct world *w) {
    struct test_tap tap = {.tap = {tap_packet}, .spread_us = 100, .cut_at = 1 + w->random.seed % 12};
    random_seeded_init(&tap.delays, w->random.seed);
    loop_set_channel_tap(w->loop, &tap.tap);
    uint64_t done = 0;
    enum err err;
    while ((err = ask(w, &type_add, US_PER_S)) == ERR_OK)
        done++;
    assert_int_equal(err, ERR_AGAIN);
    assert_int_equal(done, (tap.cut_at - 1) / 2);
    assert_int_equal(tap.seen, tap.cut_at);
    assert_int_equal(co_sleep(1000), ERR_OK);
    assert_int_equal(w->closed_a, 1);
    assert_int_equal(w->closed_b, 1);
    loop_set_channel_tap(w->loop, NULL);
}

/* What was queued when an end was freed arrives, in order and with its delay, and then the end. */
static void last_words(struct world *w) {
    struct test_tap tap = {.tap = {tap_packet}, .least_us = 1000};
    loop_set_channel_tap(w->loop, &tap.tap);
    for (uint64_t i = 0; i < 100; i++)
        tell(w, i);
    channel_free(w->a);
    w->a = NULL;
    assert_int_equal(co_sleep(500), ERR_OK);
    assert_int_equal(w->noted, 0);
    assert_int_equal(w->closed_b, 0);
    assert_int_equal(co_sleep(1000), ERR_OK);
    assert_int_equal(w->in_order, 100);
    assert_int_equal(w->closed_b, 1);
    loop_set_channel_tap(w->loop, NULL);
}

/* ---- roles that end ---- */

struct caller {
    struct world *w;
    struct co *co;
    enum err err;
};

static void caller_body(void *arg) {
    struct caller *caller = arg;
    caller->err = ask(caller->w, &type_wait, 10 * US_PER_S);
}

/* The peer's role ends while it serves us: that is "again". ERR_CANCELED always means that the caller itself was cancelled. */
static void the_role_ends(struct world *w) {
    struct co_group *group = co_group_new(w->loop);
    struct caller left = {.w = w}, canceled = {.w = w};
    assert_int_equal(co_spawn(w->loop, group, "left", caller_body, &left, &left.co), ERR_OK);
    assert_int_equal(co_spawn(w->loop, group, "canceled", caller_body, &canceled, &canceled.co), ERR_OK);
    assert_int_equal(co_sleep(1000), ERR_OK);
    assert_int_equal(w->waiting, 2);
    co_cancel(canceled.co);
    assert_int_equal(co_sleep(1000), ERR_OK);
    assert_int_equal(canceled.err, ERR_CANCELED);
    assert_int_equal(w->waiting, 1);
    co_group_cancel(w->group); /* as role_run() does: the channel stands until the group is gone */
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    assert_int_equal(left.err, ERR_AGAIN);
    assert_int_equal(w->canceled, 2);
    assert_true(channel_is_open(w->a));
    co_group_free(group);
}

#define SEEDS(name)                         \
    static void test_##name(void **state) { \
        (void)state;                        \
        run_seeds(name);                    \
    }
SEEDS(delays_keep_the_order)
SEEDS(given_up_on_the_way)
SEEDS(cut_anywhere)
SEEDS(last_words)
SEEDS(the_role_ends)

/* ---- without the loop ---- */

/* Both ends freed in every state they can be in, and no turn after it: the sanitizer sees what is left. */
static void freed_without_a_turn(void **state) {
    (void)state;
    for (unsigned how = 0; how < 16; how++) {
        struct virtual_clock clock;
        virtual_clock_init(&clock, 0);
        struct loop *loop = loop_new_virtual(&clock, NULL, NULL);
        struct channel *ends[2], *sent[2];
        assert_int_equal(channel_new_pair(loop, &ends[0], &ends[1]), ERR_OK);
        assert_int_equal(channel_new_pair(loop, &sent[0], &sent[1]), ERR_OK);
        for (unsigned i = 0; i < 2; i++) {
            if ((how & 1u << i) == 0)
                continue;
            struct world w = {0};
            assert_int_equal(channel_start(ends[i], "end", handlers, ARRAY_LEN(handlers), &w, NULL), ERR_OK);
            struct number n = {i};
            struct handle handle = HANDLE_OF_CHANNEL(sent[i]); /* a handle on its way is closed too */
            assert_int_equal(channel_send(ends[i], &type_note, &n, how & 8 ? &handle : NULL, how & 8 ? 1 : 0), ERR_OK);
            if (how & 8)
                sent[i] = NULL;
        }
        channel_free(ends[how & 4 ? 1 : 0]);
        channel_free(ends[how & 4 ? 0 : 1]);
        channel_free(sent[0]);
        channel_free(sent[1]);
        loop_free(loop);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays_keep_the_order), cmocka_unit_test(test_given_up_on_the_way),
        cmocka_unit_test(test_cut_anywhere),          cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_the_role_ends),         cmocka_unit_test(freed_without_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
