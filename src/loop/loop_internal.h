/*
 * What the files of loop/ know of each other: the loop, its coroutines, timers
 * and stacks. Nothing outside of loop/ includes this.
 *
 * Two arrays must be able to take everything that exists, since making a
 * coroutine runnable and arming a timer cannot fail: the ring of runnable
 * coroutines (room for all coroutines) and the heap of timers (room for one
 * timer a coroutine and all struct timer). Both grow when something is made.
 */
#ifndef LOOP_LOOP_INTERNAL_H
#define LOOP_LOOP_INTERNAL_H

#include "loop/loop.h"
#include "loop/stack.h"

#define CO_MAX 100000 /* coroutines of one loop: ten times the connections that a role is built for */
#define BREATHE_BUDGET_US (2 * US_PER_MS) /* DESIGN section 3: what a turn may take before co_breathe() yields */

/* ---- timers ---- */

struct timer_node {
    int64_t at_us;
    uint64_t seq; /* of equal times the one armed first fires first */
    size_t index; /* in the heap, plus one; 0 when not armed */
    void (*fire)(struct timer_node *node);
};
struct timer_heap {
    struct timer_node **p;
    size_t n, cap;
    size_t nodes; /* how many may be armed at once */
    uint64_t seq;
};
/* Room for one more node; give it back with timer_heap_forget. */
enum err timer_heap_reserve(struct timer_heap *heap) MUST_CHECK;
void timer_heap_forget(struct timer_heap *heap);
void timer_heap_arm(struct timer_heap *heap, struct timer_node *node, int64_t at_us);
void timer_heap_disarm(struct timer_heap *heap, struct timer_node *node);
void timer_heap_fini(struct timer_heap *heap);

/* ---- coroutines ---- */

enum co_state { CO_READY, CO_RUNNING, CO_SUSPENDED, CO_ENDED };
/* What a coroutine waits for, that is, who may wake it. */
enum co_wait {
    CO_WAIT_NONE,     /* nothing: it runs, or yielded */
    CO_WAIT_RESUME,   /* co_resume(), from co_suspend() */
    CO_WAIT_INTERNAL, /* co_wake() of a waitq or watch; co_resume() is remembered for later */
    CO_WAIT_SHIELDED, /* the same, and cancelling does not wake it */
};
struct co {
    struct loop *loop;
    struct co_group *group;
    struct co *group_prev, *group_next;
    const char *name, *place;
    uint64_t trace;
    void (*body)(void *arg);
    void *arg;
    struct stack *stack;
    enum co_state state;
    enum co_wait wait;
    enum err result; /* of the wait that ended */
    bool is_canceled;
    bool is_resumed; /* a resume that came while it was not waiting for one */
    struct timer_node timer;
    struct co *idle_prev, *idle_next; /* in loop->idle, by the time it was suspended */
    int64_t idle_since_us;
    bool is_idle_listed;
};
struct co_group {
    struct loop *loop;
    struct co *first;
    size_t n;
    bool is_canceled;
    struct waitq empty;
};

/* Suspends the running coroutine until co_wake(), the deadline or (unless shielded) co_cancel(). */
enum err co_wait(enum co_wait wait, int64_t deadline_us) MUST_CHECK;
/* Makes a suspended coroutine runnable; its co_wait() returns result. */
void co_wake(struct co *co, enum err result);
/* Runs one coroutine until it suspends. On the main stack. */
void co_run(struct co *co);

/* ---- the loop ---- */

struct task {
    struct task *next;
    void (*fn)(void *ctx);
    void *ctx;
};
struct channel_tap;
struct loop {
    struct clock *clock;
    struct virtual_clock *virtual_clock; /* NULL on the machine's clock */
    struct random *random;
    const struct log *log;
    int epoll_fd; /* -1 when virtual */
    bool is_running, is_stopped;
    int64_t now_us;
    int64_t turn_start_us;

    struct co **ready; /* a ring: cap is a power of two */
    size_t ready_at, ready_n, ready_cap;
    size_t cos;
    struct timer_heap timers;
    struct task *task_first, *task_last;

    struct co *idle_first, *idle_last; /* suspended ones whose stacks were not trimmed yet */
    struct stack_pool stacks;
    void (*main_fn)(void *arg); /* what the running coroutine wants run on the main stack */
    void *main_arg;

    struct epoll_event *events; /* being handed out; NULL in between */
    int event_at, event_n;

    int64_t longest_us;
    const char *longest_name;

    struct channel_tap *tap;
};
void loop_ready_push(struct loop *loop, struct co *co);
/* Room for one more coroutine in the ring. */
enum err loop_ready_reserve(struct loop *loop) MUST_CHECK;
/* The watchdog: something called name ran from loop->turn_start_us until now. */
void loop_turn_begins(struct loop *loop);
void loop_turn_ends(struct loop *loop, const char *name, const char *place);

/* Storage for loop_set_channel_tap(). */
static inline void loop_put_tap(struct loop *loop, struct channel_tap *tap) {
    loop->tap = tap;
}
static inline struct channel_tap *loop_get_tap(const struct loop *loop) {
    return loop->tap;
}

#endif
