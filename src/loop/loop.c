/*
 * The loop: turns of fired timers, tasks, coroutines and (on the machine's
 * clock) descriptor events. On a virtual clock time jumps when nothing can run.
 */
#include "loop/loop_internal.h"
#include "loop/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READY_FIRST 64
/* A coroutine that waits this long gives back what its stack does not use. */
#define IDLE_TRIM_US (1 * US_PER_S)
#define IDLE_TRIM_AT_ONCE 256 /* stacks trimmed a turn: well below a millisecond */

/* ---- making and freeing ---- */

static struct loop *new_common(struct clock *clock, const struct log *log) {
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return NULL;
    loop->clock = clock;
    loop->log = log;
    loop->epoll_fd = -1;
    loop->now_us = clock->mono_us(clock);
    return loop;
}

struct loop *loop_new(const struct log *log) {
    struct loop *loop = new_common(clock_system(), log);
    if (loop == NULL)
        return NULL;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return NULL;
    }
    return loop;
}

struct loop *loop_new_virtual(struct virtual_clock *clock, struct random *random, const struct log *log) {
    struct loop *loop = new_common(&clock->clock, log);
    if (loop == NULL)
        return NULL;
    loop->virtual_clock = clock;
    loop->random = random;
    return loop;
}

void loop_free(struct loop *loop) {
    if (loop == NULL)
        return;
    BUG_IF(loop->cos > 0 || loop->is_running);
    while (loop->task_first != NULL) {
        struct task *task = loop->task_first;
        loop->task_first = task->next;
        free(task);
    }
    stack_pool_fini(&loop->stacks);
    timer_heap_fini(&loop->timers);
    free(loop->ready);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop);
}

/* ---- time ---- */

struct clock *loop_clock(struct loop *loop) {
    return loop->clock;
}

int64_t loop_now_us(struct loop *loop) {
    if (loop->virtual_clock != NULL || !loop->is_running)
        loop->now_us = loop->clock->mono_us(loop->clock);
    return loop->now_us;
}

int64_t loop_wall_us(struct loop *loop) {
    return loop->clock->wall_us(loop->clock);
}

/* ---- the watchdog ---- */

void loop_turn_begins(struct loop *loop) {
    loop->now_us = loop->clock->mono_us(loop->clock);
    loop->turn_start_us = loop->now_us;
}

void loop_turn_ends(struct loop *loop, const char *name, const char *place) {
    loop->now_us = loop->clock->mono_us(loop->clock);
    int64_t took_us = loop->now_us - loop->turn_start_us;
    if (loop->virtual_clock != NULL) /* whoever moves a virtual clock within a turn did not work that long */
        return;
    if (took_us > loop->longest_us) {
        loop->longest_us = took_us;
        loop->longest_name = name;
    }
    if (took_us > LOOP_SLOW_TURN_US && loop->log != NULL)
        log_event(loop->log, LOG_WARN, "loop.slow", LF_TEXT("co", name), LF_TEXT("place", place ? place : "-"),
                  LF_I64("us", took_us));
}

int64_t loop_longest_turn_us(struct loop *loop, const char **name) {
    if (name != NULL)
        *name = loop->longest_name != NULL ? loop->longest_name : "none";
    return loop->longest_us;
}

/* ---- the ring of runnable coroutines ---- */

static struct co **ready_slot(struct loop *loop, size_t i) {
    return &loop->ready[(loop->ready_at + i) & (loop->ready_cap - 1)];
}

enum err loop_ready_reserve(struct loop *loop) {
    if (loop->cos < loop->ready_cap)
        return ERR_OK;
    size_t cap = loop->ready_cap == 0 ? READY_FIRST : loop->ready_cap * 2;
    struct co **ring = malloc(cap * sizeof(struct co *));
    if (ring == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < loop->ready_n; i++)
        ring[i] = *ready_slot(loop, i);
    free(loop->ready);
    loop->ready = ring;
    loop->ready_cap = cap;
    loop->ready_at = 0;
    return ERR_OK;
}

void loop_ready_push(struct loop *loop, struct co *co) {
    BUG_IF(loop->ready_n >= loop->ready_cap);
    *ready_slot(loop, loop->ready_n++) = co;
}

static struct co *ready_pop(struct loop *loop) {
    struct co **first = ready_slot(loop, 0);
    if (loop->random != NULL && loop->ready_n > 1) {
        struct co **drawn = ready_slot(loop, random_below(loop->random, loop->ready_n));
        struct co *co = *drawn;
        *drawn = *first;
        *first = co;
    }
    struct co *co = *first;
    loop->ready_at = (loop->ready_at + 1) & (loop->ready_cap - 1);
    loop->ready_n--;
    return co;
}

/* ---- tasks ---- */

enum err loop_defer(struct loop *loop, void (*fn)(void *ctx), void *ctx) {
    struct task *task = malloc(sizeof(*task));
    if (task == NULL)
        return ERR_NO_MEMORY;
    *task = (struct task){NULL, fn, ctx};
    *(loop->task_last ? &loop->task_last->next : &loop->task_first) = task;
    loop->task_last = task;
    return ERR_OK;
}

static void run_tasks(struct loop *loop) {
    /* Those there are now: a task may defer itself again. */
    struct task *task = loop->task_first;
    loop->task_first = loop->task_last = NULL;
    while (task != NULL) {
        struct task *next = task->next;
        void (*fn)(void *) = task->fn;
        void *ctx = task->ctx;
        free(task);
        loop_turn_begins(loop);
        fn(ctx);
        loop_turn_ends(loop, "task", NULL);
        task = next;
    }
}

static void fire_timers(struct loop *loop) {
    struct timer_heap *heap = &loop->timers;
    int64_t now_us = loop_now_us(loop);
    uint64_t before = heap->seq; /* one that is armed again meanwhile waits for the next turn */
    while (heap->n > 0 && heap->p[0]->at_us <= now_us && heap->p[0]->seq < before) {
        struct timer_node *node = heap->p[0];
        timer_heap_disarm(heap, node);
        loop_turn_begins(loop);
        node->fire(node);
        loop_turn_ends(loop, "timer", NULL);
    }
}

/* ---- turns ---- */

static bool has_work(const struct loop *loop) {
    return loop->ready_n > 0 || loop->task_first != NULL;
}

static int64_t next_timer_us(const struct loop *loop) {
    return loop->timers.n > 0 ? loop->timers.p[0]->at_us : US_NEVER;
}

static int64_t next_trim_us(const struct loop *loop) {
    return loop->idle_first != NULL ? loop->idle_first->idle_since_us + IDLE_TRIM_US : US_NEVER;
}

static void trim_idle(struct loop *loop) {
    for (int i = 0; i < IDLE_TRIM_AT_ONCE; i++) {
        struct co *co = loop->idle_first;
        if (co == NULL || next_trim_us(loop) > loop->now_us)
            break;
        loop->idle_first = co->idle_next;
        *(loop->idle_first ? &loop->idle_first->idle_prev : &loop->idle_last) = NULL;
        co->is_idle_listed = false;
        stack_trim(co->stack);
    }
}

static void run_ready(struct loop *loop) {
    /* Those that are runnable now; who becomes runnable meanwhile waits for the events to be looked at. */
    for (size_t n = loop->ready_n; n > 0 && !loop->is_stopped; n--)
        co_run(ready_pop(loop));
}

static void run_real(struct loop *loop) {
    while (!loop->is_stopped) {
        int64_t until_us = has_work(loop) ? 0 : MIN(next_timer_us(loop), next_trim_us(loop));
        watch_poll(loop, until_us);
        fire_timers(loop);
        run_tasks(loop);
        run_ready(loop);
        trim_idle(loop);
    }
}

static bool run_virtual(struct loop *loop, bool (*condition)(void *), void *ctx, int64_t until_us) {
    struct virtual_clock *clock = loop->virtual_clock;
    while (!loop->is_stopped) {
        if (condition != NULL && condition(ctx))
            return true;
        if (loop->task_first != NULL) {
            run_tasks(loop);
        } else if (loop->ready_n > 0) {
            co_run(ready_pop(loop));
        } else {
            int64_t at_us = next_timer_us(loop);
            if (at_us > until_us || at_us == US_NEVER) {
                if (until_us != US_NEVER && until_us > clock->mono_us)
                    virtual_clock_advance(clock, until_us - clock->mono_us);
                return false;
            }
            if (at_us > clock->mono_us)
                virtual_clock_advance(clock, at_us - clock->mono_us);
            fire_timers(loop);
        }
    }
    return condition != NULL && condition(ctx);
}

void loop_run(struct loop *loop) {
    BUG_IF(loop->is_running || co_current() != NULL);
    loop->is_running = true;
    if (loop->virtual_clock != NULL)
        (void)run_virtual(loop, NULL, NULL, US_NEVER);
    else
        run_real(loop);
    loop->is_running = false;
    loop->is_stopped = false;
}

bool loop_run_until(struct loop *loop, bool (*condition)(void *), void *ctx, int64_t until_us) {
    BUG_IF(loop->virtual_clock == NULL || loop->is_running || co_current() != NULL);
    loop->is_running = true;
    bool is_met = run_virtual(loop, condition, ctx, until_us);
    loop->is_running = false;
    loop->is_stopped = false;
    return is_met;
}

void loop_stop(struct loop *loop) {
    loop->is_stopped = true;
}
