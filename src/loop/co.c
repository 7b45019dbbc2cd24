/* Coroutines: their lives, their groups, and waiting for each other. */
#include "loop/loop_internal.h"

#include <stdlib.h>

/* On virtual loops time does not pass within a turn; there co_breathe() yields at one call in so many. */
#define BREATHE_ONE_IN 8

/* The one thing that is not passed in: there is one thread, and on it one stack that runs. NULL: the main stack. */
static struct co *running;

/* ---- switching ---- */

struct co *co_current(void) {
    return running;
}

struct loop *co_loop(struct co *co) {
    return co->loop;
}

static void leave(struct co *co) {
    running = NULL;
    stack_leave(co->stack);
    running = co;
}

static void end(struct co *co) {
    co->state = CO_ENDED;
    running = NULL;
    stack_leave_forever(co->stack);
}

static void entry(void *arg) {
    struct co *co = arg;
    co->body(co->arg);
    end(co);
}

static void idle_unlist(struct co *co) {
    struct loop *loop = co->loop;
    if (!co->is_idle_listed)
        return;
    *(co->idle_prev ? &co->idle_prev->idle_next : &loop->idle_first) = co->idle_next;
    *(co->idle_next ? &co->idle_next->idle_prev : &loop->idle_last) = co->idle_prev;
    co->is_idle_listed = false;
}

static void idle_list(struct co *co) {
    struct loop *loop = co->loop;
    if (loop->virtual_clock != NULL)
        return;
    co->idle_since_us = loop->now_us;
    co->idle_prev = loop->idle_last;
    co->idle_next = NULL;
    *(loop->idle_last ? &loop->idle_last->idle_next : &loop->idle_first) = co;
    loop->idle_last = co;
    co->is_idle_listed = true;
}

static void group_leave(struct co *co) {
    struct co_group *group = co->group;
    if (group == NULL)
        return;
    *(co->group_prev ? &co->group_prev->group_next : &group->first) = co->group_next;
    if (co->group_next != NULL)
        co->group_next->group_prev = co->group_prev;
    if (--group->n == 0)
        waitq_wake_all(&group->empty);
}

static void co_free(struct co *co) {
    struct loop *loop = co->loop;
    timer_heap_disarm(&loop->timers, &co->timer);
    timer_heap_forget(&loop->timers);
    group_leave(co);
    stack_put(&loop->stacks, co->stack);
    loop->cos--;
    free(co);
}

void co_run(struct co *co) {
    struct loop *loop = co->loop;
    BUG_IF(running != NULL || co->state != CO_READY);
    idle_unlist(co);
    const char *name = co->name;
    loop_turn_begins(loop);
    for (;;) {
        co->state = CO_RUNNING;
        running = co;
        stack_enter(co->stack);
        BUG_IF(running != NULL);
        if (loop->main_fn == NULL)
            break;
        void (*fn)(void *) = loop->main_fn;
        loop->main_fn = NULL;
        fn(loop->main_arg);
    }
    const char *place = co->place;
    if (co->state == CO_ENDED)
        co_free(co);
    else if (co->state == CO_SUSPENDED)
        idle_list(co);
    loop_turn_ends(loop, name, place);
}

void co_on_main(void (*fn)(void *arg), void *arg) {
    struct co *co = running;
    if (co == NULL) {
        fn(arg);
        return;
    }
    co->loop->main_fn = fn;
    co->loop->main_arg = arg;
    leave(co);
}

/* ---- waiting ---- */

enum err co_wait(enum co_wait wait, int64_t deadline_us) {
    struct co *co = running;
    BUG_IF(co == NULL);
    if (co->is_canceled && wait != CO_WAIT_SHIELDED)
        return ERR_CANCELED;
    if (deadline_us <= loop_now_us(co->loop))
        return ERR_TIMEOUT;
    co->state = CO_SUSPENDED;
    co->wait = wait;
    timer_heap_arm(&co->loop->timers, &co->timer, deadline_us);
    leave(co);
    co->wait = CO_WAIT_NONE;
    return co->result;
}

void co_wake(struct co *co, enum err result) {
    BUG_IF(co->state != CO_SUSPENDED);
    timer_heap_disarm(&co->loop->timers, &co->timer);
    co->result = result;
    co->state = CO_READY;
    loop_ready_push(co->loop, co);
}

static void time_out(struct timer_node *node) {
    struct co *co = (struct co *)((uint8_t *)node - offsetof(struct co, timer));
    co_wake(co, ERR_TIMEOUT);
}

enum err co_suspend(int64_t deadline_us) {
    struct co *co = running;
    BUG_IF(co == NULL);
    if (co->is_canceled)
        return ERR_CANCELED;
    if (co->is_resumed) {
        co->is_resumed = false;
        return ERR_OK;
    }
    return co_wait(CO_WAIT_RESUME, deadline_us);
}

void co_resume(struct co *co) {
    if (co->wait != CO_WAIT_RESUME)
        co->is_resumed = true;
    else if (co->state == CO_SUSPENDED)
        co_wake(co, ERR_OK);
    else if (co->result == ERR_TIMEOUT) /* the deadline passed, but it has not seen that yet */
        co->result = ERR_OK;
}

void co_cancel(struct co *co) {
    co->is_canceled = true;
    if (co->state == CO_SUSPENDED && co->wait != CO_WAIT_SHIELDED)
        co_wake(co, ERR_CANCELED);
}

bool co_is_canceled(const struct co *co) {
    return co->is_canceled;
}

enum err co_sleep(int64_t for_us) {
    BUG_IF(running == NULL);
    int64_t now_us = loop_now_us(running->loop), until_us;
    if (__builtin_add_overflow(now_us, for_us, &until_us))
        until_us = US_NEVER;
    enum err err = co_wait(CO_WAIT_INTERNAL, until_us);
    return err == ERR_TIMEOUT ? ERR_OK : err;
}

enum err co_yield (void) {
    struct co *co = running; BUG_IF(co == NULL); if (co->is_canceled) return ERR_CANCELED; co->state = CO_READY;
    loop_ready_push(co->loop, co);
    leave(co);
    return co->is_canceled ? ERR_CANCELED : ERR_OK;
}

enum err co_breathe(void) {
    struct co *co = running;
    if (co == NULL)
        return ERR_OK;
    if (co->is_canceled)
        return ERR_CANCELED;
    struct loop *loop = co->loop;
    if (loop->virtual_clock != NULL)
        return loop->random != NULL && random_below(loop->random, BREATHE_ONE_IN) == 0 ? co_yield () : ERR_OK;
    return loop->clock->mono_us(loop->clock) - loop->turn_start_us < BREATHE_BUDGET_US ? ERR_OK : co_yield ();
}

void co_set_place(const char *place) {
    if (running != NULL)
        running->place = place;
}

void co_set_trace(uint64_t trace) {
    if (running != NULL)
        running->trace = trace;
}

uint64_t co_trace(void) {
    return running != NULL ? running->trace : 0;
}

/* ---- making them ---- */

enum err co_spawn(struct loop *loop, struct co_group *group, const char *name, void (*body)(void *arg), void *arg,
                  struct co **out) {
    if (group != NULL && group->is_canceled)
        return ERR_CANCELED;
    if (loop->cos >= CO_MAX)
        return ERR_LIMIT;
    TRY(loop_ready_reserve(loop));
    TRY(timer_heap_reserve(&loop->timers));
    struct co *co = malloc(sizeof(*co));
    struct stack *stack = co == NULL ? NULL : stack_get(&loop->stacks, entry, co);
    if (stack == NULL) {
        timer_heap_forget(&loop->timers);
        free(co);
        return ERR_NO_MEMORY;
    }
    *co = (struct co){.loop = loop,
                      .group = group,
                      .name = name,
                      .body = body,
                      .arg = arg,
                      .stack = stack,
                      .trace = co_trace(),
                      .timer = {.fire = time_out}};
    if (group != NULL) {
        co->group_next = group->first;
        if (group->first != NULL)
            group->first->group_prev = co;
        group->first = co;
        group->n++;
    }
    loop->cos++;
    loop_ready_push(loop, co);
    if (out != NULL)
        *out = co;
    return ERR_OK;
}

/* ---- groups ---- */

struct co_group *co_group_new(struct loop *loop) {
    struct co_group *group = malloc(sizeof(*group));
    if (group != NULL)
        *group = (struct co_group){.loop = loop};
    return group;
}

void co_group_cancel(struct co_group *group) {
    group->is_canceled = true;
    for (struct co *co = group->first; co != NULL; co = co->group_next)
        co_cancel(co);
}

size_t co_group_count(const struct co_group *group) {
    return group->n;
}

enum err co_group_wait(struct co_group *group, int64_t deadline_us) {
    BUG_IF(running != NULL && running->group == group);
    while (group->n > 0)
        TRY(waitq_wait(&group->empty, deadline_us));
    return ERR_OK;
}

void co_group_end(struct co_group *group) {
    if (group == NULL)
        return;
    BUG_IF(running != NULL && running->group == group);
    co_group_cancel(group);
    while (group->n > 0)
        waitq_wait_shielded(&group->empty);
    co_group_free(group);
}

void co_group_free(struct co_group *group) {
    if (group == NULL)
        return;
    BUG_IF(group->n > 0);
    free(group);
}

/* ---- queues ---- */

/* Lives on the stack of the coroutine that waits. */
struct waiter {
    struct waiter *prev, *next;
    struct co *co;
    bool is_queued;
};

static void enqueue(struct waitq *queue, struct waiter *waiter) {
    *waiter = (struct waiter){.prev = queue->last, .co = running, .is_queued = true};
    *(queue->last ? &queue->last->next : &queue->first) = waiter;
    queue->last = waiter;
}

static void dequeue(struct waitq *queue, struct waiter *waiter) {
    if (!waiter->is_queued)
        return;
    *(waiter->prev ? &waiter->prev->next : &queue->first) = waiter->next;
    *(waiter->next ? &waiter->next->prev : &queue->last) = waiter->prev;
    waiter->is_queued = false;
}

static enum err wait_in(struct waitq *queue, enum co_wait wait, int64_t deadline_us) {
    BUG_IF(running == NULL);
    struct waiter waiter;
    enqueue(queue, &waiter);
    enum err err = co_wait(wait, deadline_us);
    dequeue(queue, &waiter);
    return err;
}

enum err waitq_wait(struct waitq *queue, int64_t deadline_us) {
    return wait_in(queue, CO_WAIT_INTERNAL, deadline_us);
}

void waitq_wait_shielded(struct waitq *queue) {
    BUG_IF(wait_in(queue, CO_WAIT_SHIELDED, US_NEVER) != ERR_OK);
}

/* Wakes a waiter; false when it was cancelled and a wake would be lost on it. */
static bool wake(struct waitq *queue, struct waiter *waiter) {
    struct co *co = waiter->co;
    if (co->state == CO_SUSPENDED)
        co_wake(co, ERR_OK);
    else if (co->result == ERR_TIMEOUT) /* it has not seen its deadline pass; the wake wins */
        co->result = ERR_OK;
    else
        return false;
    dequeue(queue, waiter);
    return true;
}

void waitq_wake_one(struct waitq *queue) {
    for (struct waiter *waiter = queue->first; waiter != NULL; waiter = waiter->next)
        if (wake(queue, waiter))
            return;
}

void waitq_wake_all(struct waitq *queue) {
    for (struct waiter *waiter = queue->first, *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        (void)wake(queue, waiter);
    }
}
