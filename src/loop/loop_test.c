/* Coroutines, timers, waiting, and the loop on both clocks. */
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* What happened, one letter an event. */
struct trace {
    struct loop *loop;
    struct buf text;
};

struct world {
    struct virtual_clock clock;
    struct random_seeded random;
    struct trace trace;
    struct loop *loop;
};

static void world_init(struct world *w, uint64_t seed) {
    virtual_clock_init(&w->clock, 0);
    random_seeded_init(&w->random, seed);
    w->loop = loop_new_virtual(&w->clock, seed ? &w->random.random : NULL, NULL);
    assert_non_null(w->loop);
    w->trace.loop = w->loop;
    buf_init(&w->trace.text, 100000);
}

static void world_fini(struct world *w) {
    buf_fini(&w->trace.text);
    loop_free(w->loop);
}

static void assert_trace(struct world *w, const char *expected) {
    buf_put_byte(&w->trace.text, 0);
    assert_string_equal((const char *)w->trace.text.p, expected);
    buf_clear(&w->trace.text);
}

struct actor {
    struct trace *trace;
    char letter;
    int n;
    int64_t us;
    struct waitq *queue;
    enum err result;
    struct co *co;
    struct co_group *group;
};

static void say(struct actor *a) {
    buf_put_byte(&a->trace->text, (uint8_t)a->letter);
}

static void fired(void *ctx) {
    say(ctx);
}

/* ---- switching ---- */

static void yields(void *arg) {
    struct actor *a = arg;
    for (int i = 0; i < a->n; i++) {
        say(a);
        assert_int_equal(co_yield (), ERR_OK);
    }
}

static void test_first_come(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct actor a = {.trace = &w.trace, .letter = 'a', .n = 3}, b = {.trace = &w.trace, .letter = 'b', .n = 2};
    struct co *co;
    assert_int_equal(co_spawn(w.loop, NULL, "a", yields, &a, &co), ERR_OK);
    assert_ptr_equal(co_loop(co), w.loop);
    assert_int_equal(co_spawn(w.loop, NULL, "b", yields, &b, NULL), ERR_OK);
    assert_null(co_current());
    loop_run(w.loop);
    assert_null(co_current());
    assert_trace(&w, "ababa");
    world_fini(&w);
}

/* ---- stacks ---- */

/* Goes down until `bytes` of stack lie between base and here; the pattern of each frame must survive. */
static __attribute__((noinline)) unsigned descend(uintptr_t base, size_t bytes, unsigned depth) {
    uint8_t here[256];
    memset(here, (int)depth, sizeof(here));
    __asm__ volatile("" : : "r"(here) : "memory");
    unsigned reached = base - (uintptr_t)__builtin_frame_address(0) >= bytes ? depth : descend(base, bytes, depth + 1);
    assert_int_equal(here[100], (uint8_t)depth);
    return reached;
}

static void goes_deep(void *arg) {
    struct actor *a = arg;
    for (int i = 0; i < 3; i++) {
        assert_true(descend((uintptr_t)__builtin_frame_address(0), CO_STACK_SIZE / 100 * 95, 0) > 100);
        assert_int_equal(co_yield (), ERR_OK);
    }
    double third = 1.0 / (double)a->n; /* the floating-point state survives switches as well */
    assert_int_equal(co_yield (), ERR_OK);
    assert_true(third * 3 > 0.99 && third * 3 < 1.01);
    say(a);
}

static void goes_too_deep(void *arg) {
    (void)arg;
    (void)descend((uintptr_t)__builtin_frame_address(0), SIZE_MAX / 2, 0);
}

/* Below a stack there is a page that nobody may touch: running over ends the process instead of spoiling a neighbour. */
static void test_guard_page(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (setrlimit(RLIMIT_CORE, &none) != 0 || null < 0 || dup2(null, STDERR_FILENO) < 0)
            _exit(0);
        struct virtual_clock clock;
        virtual_clock_init(&clock, 0);
        struct loop *loop = loop_new_virtual(&clock, NULL, NULL);
        /* cmocka's handler would run on the stack that has no room. */
        struct sigaction action = {.sa_handler = SIG_DFL};
        if (loop == NULL || sigaction(SIGSEGV, &action, NULL) != 0 ||
            co_spawn(loop, NULL, "deep", goes_too_deep, NULL, NULL) != ERR_OK)
            _exit(0);
        loop_run(loop);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void test_deep_recursion(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct actor a = {.trace = &w.trace, .letter = 'a', .n = 3};
    for (int i = 0; i < 4; i++)
        assert_int_equal(co_spawn(w.loop, NULL, "deep", goes_deep, &a, NULL), ERR_OK);
    loop_run(w.loop);
    assert_trace(&w, "aaaa");
    world_fini(&w);
}

static void on_main(void *arg) {
    struct actor *a = arg;
    assert_null(co_current());
    assert_int_equal(co_breathe(), ERR_OK);
    uint8_t much[CO_STACK_SIZE * 2]; /* more than a coroutine has */
    memset(much, a->letter, sizeof(much));
    a->n += much[sizeof(much) - 1] == (uint8_t)a->letter;
    co_resume(a->co); /* not suspended: remembered */
}

static void asks_main(void *arg) {
    struct actor *a = arg;
    for (int i = 0; i < 100; i++) {
        co_on_main(on_main, a);
        assert_ptr_equal(co_current(), a->co);
    }
    say(a);
    assert_int_equal(co_suspend(0), ERR_OK);
    assert_int_equal(co_suspend(0), ERR_TIMEOUT); /* remembered once */
}

static void test_on_main(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct actor a = {.trace = &w.trace, .letter = 'a', .n = 0};
    struct actor b = {.trace = &w.trace, .letter = 'b', .n = 2};
    assert_int_equal(co_spawn(w.loop, NULL, "a", asks_main, &a, &a.co), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "b", yields, &b, NULL), ERR_OK);
    loop_run(w.loop);
    assert_int_equal(a.n, 100);
    assert_trace(&w, "abb"); /* nobody ran in between */
    co_on_main(fired, &a);   /* on the main stack it is a call */
    assert_trace(&w, "a");
    world_fini(&w);
}

/* ---- time ---- */

static void sleeps(void *arg) {
    struct actor *a = arg;
    assert_int_equal(co_sleep(a->us), ERR_OK);
    say(a);
    a->us = loop_now_us(a->trace->loop);
}

static void test_time_jumps(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    /* Years pass in no time. */
    struct actor a = {.trace = &w.trace, .letter = 'a', .us = 3 * 365 * 86400 * US_PER_S},
                 b = {.trace = &w.trace, .letter = 'b', .us = 5}, c = {.trace = &w.trace, .letter = 'c', .us = 1};
    struct actor t = {.trace = &w.trace, .letter = 't'}, u = {.trace = &w.trace, .letter = 'u'},
                 v = {.trace = &w.trace, .letter = 'v'};
    assert_int_equal(co_spawn(w.loop, NULL, "a", sleeps, &a, NULL), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "b", sleeps, &b, NULL), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "c", sleeps, &c, NULL), ERR_OK);
    struct timer *first = timer_new(w.loop, fired, &t), *second = timer_new(w.loop, fired, &u);
    struct timer *never = timer_new(w.loop, fired, &v);
    timer_arm(second, 3);
    timer_arm(first, 3); /* equal times: in the order of arming */
    timer_arm(never, 4);
    timer_disarm(never);
    timer_arm(never, US_NEVER);
    loop_run(w.loop);
    assert_trace(&w, "cutba");
    assert_int_equal(a.us, 3 * 365 * 86400 * US_PER_S);
    assert_int_equal(b.us, 5);
    timer_arm(first, 0); /* in the past: at once */
    loop_run(w.loop);
    assert_trace(&w, "t");
    assert_int_equal(w.clock.mono_us, a.us);
    timer_free(first);
    timer_free(second);
    timer_free(never);
    timer_free(NULL);
    world_fini(&w);
}

static void test_timers_in_order(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    enum { N = 500 };
    struct actor actors[N];
    struct random_seeded random;
    random_seeded_init(&random, 7);
    for (int i = 0; i < N; i++) {
        actors[i] = (struct actor){.trace = &w.trace, .letter = 'x', .us = (int64_t)random_below(&random.random, 100)};
        int64_t expected_us = actors[i].us;
        assert_int_equal(co_spawn(w.loop, NULL, "x", sleeps, &actors[i], NULL), ERR_OK);
        actors[i].n = (int)expected_us;
    }
    /* Others armed, moved and taken away meanwhile must not disturb them. */
    struct actor other = {.trace = &w.trace, .letter = '-'};
    struct timer *timers[N];
    for (int i = 0; i < N; i++) {
        timers[i] = timer_new(w.loop, fired, &other);
        timer_arm(timers[i], (int64_t)random_below(&random.random, 100));
    }
    for (int i = 0; i < N; i++)
        timer_arm(timers[i], 1000 + (int64_t)random_below(&random.random, 100));
    for (int i = 0; i < N; i += 2)
        timer_disarm(timers[(i * 7) % N]);
    loop_run(w.loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(actors[i].us, actors[i].n); /* woke exactly then */
        timer_free(timers[i]);
    }
    assert_int_equal(w.trace.text.n, N + N / 2);
    world_fini(&w);
}

static bool is_said(void *ctx) {
    return ((struct trace *)ctx)->text.n > 0;
}

static void test_run_until(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct actor a = {.trace = &w.trace, .letter = 'a', .us = 100};
    assert_int_equal(co_spawn(w.loop, NULL, "a", sleeps, &a, NULL), ERR_OK);
    assert_false(loop_run_until(w.loop, is_said, &w.trace, 99));
    assert_int_equal(w.clock.mono_us, 99); /* that time has passed */
    assert_true(loop_run_until(w.loop, is_said, &w.trace, 100));
    assert_true(loop_run_until(w.loop, is_said, &w.trace, 0)); /* true already */
    buf_clear(&w.trace.text);
    assert_false(loop_run_until(w.loop, is_said, &w.trace, US_NEVER)); /* quiet */
    assert_int_equal(w.clock.mono_us, 100);
    world_fini(&w);
}

/* ---- suspending, resuming, cancelling ---- */

static void suspends(void *arg) {
    struct actor *a = arg;
    a->result = co_suspend(a->us);
    say(a);
}

static void test_resume(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct actor a = {.trace = &w.trace, .letter = 'a', .us = 10}, b = {.trace = &w.trace, .letter = 'b', .us = 10},
                 c = {.trace = &w.trace, .letter = 'c', .us = US_NEVER};
    assert_int_equal(co_spawn(w.loop, NULL, "a", suspends, &a, &a.co), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "b", suspends, &b, &b.co), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "c", suspends, &c, &c.co), ERR_OK);
    co_resume(a.co); /* before it ever ran: not lost */
    assert_false(loop_run_until(w.loop, NULL, NULL, 5));
    co_resume(c.co);
    loop_run(w.loop);
    assert_trace(&w, "acb");
    assert_int_equal(a.result, ERR_OK);
    assert_int_equal(b.result, ERR_TIMEOUT);
    assert_int_equal(c.result, ERR_OK);
    world_fini(&w);
}

static void resumes(void *arg) {
    struct actor *a = arg;
    assert_int_equal(co_sleep(a->us), ERR_OK);
    if (a->co != NULL)
        co_resume(a->co);
}

/* The deadline and the resume fall on the same moment: the resume is not lost, and comes once. */
static void suspends_twice(void *arg) {
    struct actor *a = arg;
    a->result = co_suspend(10);
    enum err second = co_suspend(20);
    assert_true((a->result == ERR_OK) != (second == ERR_OK));
    say(a);
}

static void test_resume_at_deadline(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 40; seed++) {
        struct world w;
        world_init(&w, seed);
        struct actor a = {.trace = &w.trace, .letter = 'a'};
        assert_int_equal(co_spawn(w.loop, NULL, "a", suspends_twice, &a, &a.co), ERR_OK);
        struct actor b = {.trace = &w.trace, .letter = 'b', .us = 10, .co = a.co};
        assert_int_equal(co_spawn(w.loop, NULL, "b", resumes, &b, NULL), ERR_OK);
        loop_run(w.loop);
        assert_trace(&w, "a");
        world_fini(&w);
    }
}

/* Suspends in every way there is; each must say that it was cancelled, however often it is asked. */
static void suspends_everywhere(void *arg) {
    struct actor *a = arg;
    struct waitq queue = {0};
    struct co_group *none = co_group_new(a->trace->loop);
    int64_t deadline_us = US_NEVER;
    enum err first = ERR_OK;
    switch (a->n) {
    case 0:
        first = co_suspend(deadline_us);
        break;
    case 1:
        first = co_sleep(1000 * US_PER_S);
        break;
    case 2:
        first = waitq_wait(&queue, deadline_us);
        break;
    case 3:
        first = waitq_wait(a->queue, deadline_us);
        break;
    case 4:
        while (first == ERR_OK)
            first = co_yield ();
        break;
    case 5:
        first = co_group_wait(a->group, deadline_us);
        break;
    case 6: /* not even started */
        first = ERR_CANCELED;
        break;
    default:
        fail();
    }
    assert_int_equal(first, ERR_CANCELED);
    assert_true(co_is_canceled(co_current()));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(co_suspend(US_NEVER), ERR_CANCELED);
        assert_int_equal(co_sleep(1), ERR_CANCELED);
        assert_int_equal(co_yield (), ERR_CANCELED);
        assert_int_equal(co_breathe(), ERR_CANCELED);
        assert_int_equal(waitq_wait(&queue, US_NEVER), ERR_CANCELED);
    }
    assert_null(queue.first);
    assert_int_equal(co_group_wait(none, US_NEVER), ERR_OK); /* nothing to wait for */
    co_group_free(none);
    say(a);
}

static void waits_group(void *arg) {
    struct actor *a = arg;
    a->result = co_group_wait(a->group, a->us);
    say(a);
}

static void test_cancel_everywhere(void **state) {
    (void)state;
    for (int n = 0; n <= 6; n++) {
        struct world w;
        world_init(&w, 0);
        struct waitq queue = {0};
        struct co_group *group = co_group_new(w.loop), *busy = co_group_new(w.loop);
        struct actor sleeper = {.trace = &w.trace, .letter = 's', .us = 50};
        assert_int_equal(co_spawn(w.loop, busy, "s", sleeps, &sleeper, NULL), ERR_OK);
        struct actor a = {.trace = &w.trace, .letter = 'a', .n = n, .queue = &queue, .group = busy};
        assert_int_equal(co_spawn(w.loop, group, "a", suspends_everywhere, &a, &a.co), ERR_OK);
        struct actor g = {.trace = &w.trace, .letter = 'g', .us = US_NEVER, .group = group};
        assert_int_equal(co_spawn(w.loop, NULL, "g", waits_group, &g, NULL), ERR_OK);
        if (n != 6 && n != 4)
            assert_false(loop_run_until(w.loop, NULL, NULL, 10));
        assert_int_equal(co_group_count(group), 1);
        co_group_cancel(group);
        assert_int_equal(co_spawn(w.loop, group, "a", suspends, &a, NULL), ERR_CANCELED);
        loop_run(w.loop);
        assert_trace(&w, "ags");
        assert_int_equal(g.result, ERR_OK);
        assert_int_equal(w.clock.mono_us, 50);
        assert_null(queue.first);
        co_group_free(group);
        co_group_free(busy);
        world_fini(&w);
    }
}

static void unwinds_slowly(void *arg) {
    struct actor *a = arg;
    assert_int_equal(co_suspend(US_NEVER), ERR_CANCELED);
    say(a);
}

/* A cancelled coroutine that waits for its own children all the same, since they use its stack. */
static void ends_its_group(void *arg) {
    struct actor *a = arg;
    struct co_group *children = co_group_new(a->trace->loop);
    struct actor child = {.trace = a->trace, .letter = 'c'};
    for (int i = 0; i < 3; i++)
        assert_int_equal(co_spawn(a->trace->loop, children, "child", unwinds_slowly, &child, NULL), ERR_OK);
    assert_int_equal(co_group_wait(children, US_NEVER), ERR_CANCELED);
    co_group_end(children);
    say(a);
}

static void test_group_end(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world w;
        world_init(&w, seed);
        struct actor a = {.trace = &w.trace, .letter = 'a'};
        assert_int_equal(co_spawn(w.loop, NULL, "a", ends_its_group, &a, &a.co), ERR_OK);
        assert_false(loop_run_until(w.loop, NULL, NULL, 1));
        co_cancel(a.co);
        loop_run(w.loop);
        assert_trace(&w, "ccca");
        world_fini(&w);
    }
}

static void test_group_wait_deadline(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct co_group *group = co_group_new(w.loop);
    struct actor s = {.trace = &w.trace, .letter = 's', .us = 20},
                 g = {.trace = &w.trace, .letter = 'g', .us = 10, .group = group};
    assert_int_equal(co_spawn(w.loop, group, "s", sleeps, &s, NULL), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "g", waits_group, &g, NULL), ERR_OK);
    loop_run(w.loop);
    assert_trace(&w, "gs");
    assert_int_equal(g.result, ERR_TIMEOUT);
    co_group_free(group);
    co_group_end(NULL);
    world_fini(&w);
}

/* ---- queues ---- */

static void waits(void *arg) {
    struct actor *a = arg;
    a->result = waitq_wait(a->queue, a->us);
    say(a);
}

static void test_waitq_is_fair(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct waitq queue = {0};
    struct actor actors[5];
    for (int i = 0; i < 5; i++) {
        actors[i] =
            (struct actor){.trace = &w.trace, .letter = (char)('a' + i), .us = i == 1 ? 10 : US_NEVER, .queue = &queue};
        assert_int_equal(co_spawn(w.loop, NULL, "w", waits, &actors[i], &actors[i].co), ERR_OK);
    }
    assert_false(loop_run_until(w.loop, NULL, NULL, 5));
    co_resume(actors[0].co); /* is not what it waits for */
    assert_false(loop_run_until(w.loop, NULL, NULL, 6));
    assert_int_equal(w.trace.text.n, 0);
    co_cancel(actors[2].co);
    waitq_wake_one(&queue); /* a */
    waitq_wake_one(&queue); /* b */
    waitq_wake_one(&queue); /* not c, which is cancelled: d */
    assert_false(loop_run_until(w.loop, NULL, NULL, 20));
    assert_trace(&w, "cabd");
    waitq_wake_one(&queue);
    waitq_wake_one(&queue); /* nobody is there: nothing happens */
    loop_run(w.loop);
    assert_trace(&w, "e");
    assert_int_equal(actors[1].result, ERR_OK);
    assert_int_equal(actors[2].result, ERR_CANCELED);
    assert_null(queue.first);
    waitq_wake_all(&queue);
    world_fini(&w);
}

static void wakes_one(void *ctx) {
    waitq_wake_one(ctx);
}

/* The wake comes after the deadline's timer fired and before the coroutine ran: it wins, since nobody else is there. */
static void test_wake_at_deadline(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct waitq queue = {0};
    struct actor a = {.trace = &w.trace, .letter = 'a', .us = 10, .queue = &queue};
    assert_int_equal(co_spawn(w.loop, NULL, "a", waits, &a, NULL), ERR_OK);
    assert_false(loop_run_until(w.loop, NULL, NULL, 5));
    struct timer *timer = timer_new(w.loop, wakes_one, &queue);
    timer_arm(timer, 10);
    loop_run(w.loop);
    assert_int_equal(a.result, ERR_OK);
    assert_trace(&w, "a");
    timer_free(timer);
    world_fini(&w);
}

/* N tokens, N takers with deadlines and cancels all around: every token is taken by exactly one, or is left. */
struct tokens {
    struct waitq queue;
    int left, taken;
};
struct taker {
    struct loop *loop;
    struct tokens *tokens;
    int64_t deadline_us;
};

static void takes(void *arg) {
    struct taker *t = arg;
    while (t->tokens->left == 0) {
        enum err err = waitq_wait(&t->tokens->queue, t->deadline_us);
        if (err != ERR_OK)
            return;
    }
    t->tokens->left--;
    t->tokens->taken++;
}

static void gives(void *arg) {
    struct taker *t = arg;
    if (co_sleep(t->deadline_us) != ERR_OK)
        return;
    t->tokens->left++;
    waitq_wake_one(&t->tokens->queue);
}

static void test_no_wake_is_lost(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct world w;
        world_init(&w, seed);
        enum { N = 20 };
        struct tokens tokens = {0};
        struct taker takers[N], patient[N], givers[N];
        struct co *cos[N];
        for (int i = 0; i < N; i++) {
            /* Some give up in the very moment in which a token comes, some are cancelled then; as many wait on. */
            takers[i] = (struct taker){w.loop, &tokens, 1 + (int64_t)random_below(&w.random.random, 4)};
            patient[i] = (struct taker){w.loop, &tokens, US_NEVER};
            givers[i] = (struct taker){w.loop, &tokens, 1 + (int64_t)random_below(&w.random.random, 4)};
            assert_int_equal(co_spawn(w.loop, NULL, "t", takes, &takers[i], &cos[i]), ERR_OK);
            assert_int_equal(co_spawn(w.loop, NULL, "p", takes, &patient[i], NULL), ERR_OK);
            assert_int_equal(co_spawn(w.loop, NULL, "g", gives, &givers[i], NULL), ERR_OK);
        }
        assert_false(loop_run_until(w.loop, NULL, NULL, 0));
        for (int i = 0; i < N; i += 3)
            co_cancel(cos[i]);
        loop_run_until(w.loop, NULL, NULL, 100);
        assert_int_equal(tokens.taken, N);
        assert_int_equal(tokens.left, 0);
        /* The others still wait: enough tokens for them. */
        tokens.left = 2 * N;
        waitq_wake_all(&tokens.queue);
        loop_run(w.loop);
        world_fini(&w);
    }
}

/* ---- the schedule ---- */

static void wanders(void *arg) {
    struct actor *a = arg;
    for (int i = 0; i < 20; i++) {
        say(a);
        assert_int_equal(i % 3 == 0 ? co_sleep(i % 4) : i % 3 == 1 ? co_yield () : co_breathe(), ERR_OK);
    }
}

static void run_schedule(uint64_t seed, struct buf *out) {
    struct world w;
    world_init(&w, seed);
    struct actor actors[8];
    for (int i = 0; i < 8; i++) {
        actors[i] = (struct actor){.trace = &w.trace, .letter = (char)('a' + i)};
        assert_int_equal(co_spawn(w.loop, NULL, "w", wanders, &actors[i], NULL), ERR_OK);
    }
    loop_run(w.loop);
    buf_put(out, buf_view(&w.trace.text));
    world_fini(&w);
}

static void test_seed_decides(void **state) {
    (void)state;
    struct buf once, again, other;
    buf_init(&once, 1000);
    buf_init(&again, 1000);
    buf_init(&other, 1000);
    run_schedule(42, &once);
    run_schedule(42, &again);
    run_schedule(43, &other);
    assert_int_equal(once.n, 160);
    assert_true(view_eq(buf_view(&once), buf_view(&again)));
    assert_false(view_eq(buf_view(&once), buf_view(&other)));
    buf_fini(&once);
    buf_fini(&again);
    buf_fini(&other);
}

static void defers_again(void *ctx) {
    struct actor *a = ctx;
    say(a);
    if (--a->n > 0)
        assert_int_equal(loop_defer(a->trace->loop, defers_again, a), ERR_OK);
}

static void test_tasks(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct actor a = {.trace = &w.trace, .letter = 'a', .n = 3}, b = {.trace = &w.trace, .letter = 'b', .n = 2};
    assert_int_equal(loop_defer(w.loop, defers_again, &a), ERR_OK);
    assert_int_equal(loop_defer(w.loop, defers_again, &b), ERR_OK);
    loop_run(w.loop);
    assert_trace(&w, "ababa");
    assert_int_equal(loop_defer(w.loop, defers_again, &a), ERR_OK); /* freed with the loop */
    world_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_come),
        cmocka_unit_test(test_deep_recursion),
        cmocka_unit_test(test_guard_page),
        cmocka_unit_test(test_on_main),
        cmocka_unit_test(test_time_jumps),
        cmocka_unit_test(test_timers_in_order),
        cmocka_unit_test(test_run_until),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_resume_at_deadline),
        cmocka_unit_test(test_cancel_everywhere),
        cmocka_unit_test(test_group_end),
        cmocka_unit_test(test_group_wait_deadline),
        cmocka_unit_test(test_waitq_is_fair),
        cmocka_unit_test(test_wake_at_deadline),
        cmocka_unit_test(test_no_wake_is_lost),
        cmocka_unit_test(test_seed_decides),
        cmocka_unit_test(test_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
