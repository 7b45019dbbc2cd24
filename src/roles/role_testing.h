/*
 * What the tests of roles share: a loop, and one role living on it with the test
 * in the place of its supervisor and of its peers.
 */
#ifndef ROLES_ROLE_TESTING_H
#define ROLES_ROLE_TESTING_H

#include "roles/role.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEST_WALL_US (INT64_C(1795557600) * US_PER_S) /* 24 November 2026 */
#define TEST_LIMIT_US (INT64_C(40) * 86400 * US_PER_S)

struct stage {
    bool is_real; /* the machine's clock and descriptors */
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    void (*scenario)(struct stage *stage);
    void *ctx;
    bool is_finished;
};

static inline void stage_body(void *arg) {
    struct stage *stage = arg;
    stage->scenario(stage);
    stage->is_finished = true;
    if (stage->is_real)
        loop_stop(stage->loop);
}

static inline bool stage_is_finished(void *arg) {
    return ((struct stage *)arg)->is_finished;
}

/* Runs the scenario on a coroutine until it returns; whatever it made must be gone then. */
static inline void stage_play(bool is_real, uint64_t seed, void (*scenario)(struct stage *stage), void *ctx) {
    struct stage stage = {.is_real = is_real, .scenario = scenario, .ctx = ctx};
    virtual_clock_init(&stage.clock, TEST_WALL_US);
    random_seeded_init(&stage.random, seed);
    stage.loop = is_real ? loop_new(NULL) : loop_new_virtual(&stage.clock, &stage.random.random, NULL);
    assert_non_null(stage.loop);
    assert_int_equal(co_spawn(stage.loop, NULL, "scenario", stage_body, &stage, NULL), ERR_OK);
    if (is_real)
        loop_run(stage.loop);
    else
        assert_true(loop_run_until(stage.loop, stage_is_finished, &stage, TEST_LIMIT_US));
    assert_true(stage.is_finished);
    loop_free(stage.loop);
}

/* ---- one role ---- */

static inline void log_nothing(struct log_sink *sink, enum log_level level, struct view line) {
    (void)sink;
    (void)level;
    (void)line;
}

struct lodger {
    const struct role_def *def;
    struct role_env env;
    struct log_sink sink; /* its own: a role sets the level */
    struct channel *ours; /* the supervisor's end */
    struct channel *theirs;
    bool has_ended;
    struct waitq ended;
};

static inline void lodger_body(void *arg) {
    struct lodger *lodger = arg;
    role_run(lodger->def, &lodger->env, lodger->theirs);
    lodger->has_ended = true;
    waitq_wake_all(&lodger->ended);
}

/* env: disk, net, prepared and simulated as the test wants them. handlers: what the test serves as the supervisor. */
static inline void lodger_start(struct lodger *lodger, struct stage *stage, const struct role_def *def,
                                struct role_configure config, const struct channel_handler *handlers, size_t n,
                                void *ctx) {
    lodger->def = def;
    lodger->has_ended = false;
    lodger->env.role = def->role;
    lodger->env.loop = stage->loop;
    lodger->env.random = stage->is_real ? random_system() : &stage->random.random;
    lodger->sink = (struct log_sink){log_nothing, LOG_ERROR};
    log_init(&lodger->env.log, &lodger->sink, loop_clock(stage->loop));
    assert_int_equal(channel_new_pair(stage->loop, &lodger->ours, &lodger->theirs), ERR_OK);
    assert_int_equal(channel_start(lodger->ours, "test", handlers, n, ctx, NULL), ERR_OK);
    assert_int_equal(co_spawn(stage->loop, NULL, "role", lodger_body, lodger, NULL), ERR_OK);
    config.role = (uint8_t)def->role;
    struct nothing nothing;
    assert_int_equal(channel_call(lodger->ours, &message_role_configure, &config, NULL, 0,
                                  loop_now_us(stage->loop) + ROLE_CALL_US, NULL, &nothing, NULL),
                     ERR_OK);
}

/* Our end of a new channel to it, not started. */
static inline struct channel *lodger_offer(struct lodger *lodger, enum role peer, uint32_t index) {
    struct channel *near, *far;
    assert_int_equal(channel_new_pair(lodger->env.loop, &near, &far), ERR_OK);
    struct channel_offer offer = {.peer = (uint8_t)peer, .index = index, .purpose = CHANNEL_PEER};
    struct handle handle = HANDLE_OF_CHANNEL(far);
    assert_int_equal(channel_send(lodger->ours, &message_channel_offer, &offer, &handle, 1), ERR_OK);
    return near;
}

/* The same, started. */
static inline struct channel *lodger_connect(struct lodger *lodger, enum role peer, uint32_t index,
                                             const struct channel_handler *handlers, size_t n, void *ctx) {
    struct channel *near = lodger_offer(lodger, peer, index);
    assert_int_equal(channel_start(near, role_name(peer), handlers, n, ctx, NULL), ERR_OK);
    return near;
}

/* Ends it as the loss of its supervisor does, which must always be enough. */
static inline void lodger_stop(struct lodger *lodger) {
    channel_free(lodger->ours);
    while (!lodger->has_ended)
        assert_int_equal(waitq_wait(&lodger->ended, US_NEVER), ERR_OK);
}

#endif
