/*
 * The event loop and its coroutines: one loop a process, one thread, no locks.
 *
 * Sessions are straight-line code on coroutines: each waits by calling something
 * that suspends it (co_suspend and all that is built on it) with a deadline on
 * the loop's clock. Stacks are 256 KiB virtual with a guard page; pages touched
 * and not used any more are given back when a coroutine ends or has waited for a
 * second. Calls that never yield and may need deep stacks (SQLite, zstd) run on
 * the main stack through co_on_main().
 *
 * The loop works on the machine's clock with epoll, or on a virtual clock
 * without any descriptor (simulation): then time jumps to the next timer when
 * nothing is runnable, and the order of runnable coroutines is drawn from a
 * seeded generator.
 *
 * Cancelling: every suspending call of a cancelled coroutine returns
 * ERR_CANCELED at once, so its code unwinds on its ordinary error path.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/random.h"

struct loop;
struct co;
struct co_group;

#define CO_STACK_SIZE (256 * 1024)         /* virtual; guard page below */
#define LOOP_SLOW_TURN_US (20 * US_PER_MS) /* the watchdog logs longer turns (DESIGN section 3) */

/* A loop with epoll on the machine's clock. log may be NULL. NULL when descriptors or memory are out. */
struct loop *loop_new(const struct log *log);
/* A loop on a virtual clock, without descriptors. random decides the order of runnable coroutines (NULL: first come). */
struct loop *loop_new_virtual(struct virtual_clock *clock, struct random *random, const struct log *log);
/* All coroutines must have ended; timers, watches, groups and streams go before it. */
void loop_free(struct loop *loop);
struct clock *loop_clock(struct loop *loop);
int64_t loop_now_us(struct loop *loop); /* monotonic, read once a turn */
int64_t loop_wall_us(struct loop *loop);
/* Runs until loop_stop(), or (virtual) until nothing can ever run again. */
void loop_run(struct loop *loop);
/* Virtual loops: runs until condition(ctx) is true (NULL: never); false when the loop went quiet or `until_us` passed first. */
bool loop_run_until(struct loop *loop, bool (*condition)(void *), void *ctx, int64_t until_us);
void loop_stop(struct loop *loop);
/* The longest turn so far (one coroutine's run without suspending), for `./dev bench`; and what it was. */
int64_t loop_longest_turn_us(struct loop *loop, const char **name);

/* ---- coroutines ---- */

/* A set of coroutines that are cancelled and awaited together (a role, a connection). */
struct co_group *co_group_new(struct loop *loop);
/* Cancels all members; they unwind in the next turns. New members are refused (ERR_CANCELED). */
void co_group_cancel(struct co_group *group);
size_t co_group_count(const struct co_group *group);
/* Suspends the caller (not a member) until the group is empty. */
enum err co_group_wait(struct co_group *group, int64_t deadline_us) MUST_CHECK;
void co_group_free(struct co_group *group); /* must be empty */
/* Cancels the members, waits for them even when the caller is cancelled itself, and frees the group: for members that use
 * what the caller is about to free. NULL is fine. */
void co_group_end(struct co_group *group);

/* Makes a coroutine runnable. group may be NULL. name: constant, for logs. *out may be NULL; it is valid until the body returns.
 * ERR_NO_MEMORY, ERR_LIMIT, ERR_CANCELED. */
enum err co_spawn(struct loop *loop, struct co_group *group, const char *name, void (*body)(void *arg), void *arg,
                  struct co **out) MUST_CHECK;
/* The running coroutine, or NULL on the main stack. */
struct co *co_current(void);
struct loop *co_loop(struct co *co);
/* Suspends until co_resume (ERR_OK), the deadline (ERR_TIMEOUT) or co_cancel (ERR_CANCELED). A resume that came before is not lost. */
enum err co_suspend(int64_t deadline_us) MUST_CHECK;
/* Makes a suspended coroutine runnable; remembered once when it is not suspended. */
void co_resume(struct co *co);
void co_cancel(struct co *co);
bool co_is_canceled(const struct co *co);
enum err co_sleep(int64_t for_us) MUST_CHECK;
/* Lets others run. */
enum err co_yield (void) MUST_CHECK;
/* Yields only if this turn has used its work budget (2 ms): call it in every long loop. Free when on the main stack. */
enum err co_breathe(void) MUST_CHECK;
/* What the running coroutine is about (a command's name; a constant), for the watchdog's line. */
void co_set_place(const char *place);
/* The trace id of what the running coroutine does, 0 for none: set for each request served (loop/channel.h), inherited by
 * the coroutines it makes, and sent along with the requests it makes. 0 on the main stack. */
void co_set_trace(uint64_t trace);
uint64_t co_trace(void);
/* Runs fn on the main stack without yielding to others; fn must not suspend. Just calls it when already there. */
void co_on_main(void (*fn)(void *arg), void *arg);

/* ---- waiting for each other ---- */

/* A queue of waiting coroutines. Zero-initialised is empty and valid. */
struct waitq {
    struct waiter *first, *last;
};
enum err waitq_wait(struct waitq *queue, int64_t deadline_us) MUST_CHECK;
/* Waits without a deadline and also when the caller is cancelled: for what others still use (a frame, a stream). Whoever is waited for must
 * end by itself. */
void waitq_wait_shielded(struct waitq *queue);
void waitq_wake_one(struct waitq *queue);
void waitq_wake_all(struct waitq *queue);

/* ---- timers and tasks on the main stack ---- */

struct timer; /* fires once per arming */
struct timer *timer_new(struct loop *loop, void (*fire)(void *ctx), void *ctx);
void timer_arm(struct timer *timer, int64_t at_us); /* replaces an earlier arming */
void timer_disarm(struct timer *timer);
void timer_free(struct timer *timer);
/* Runs fn(ctx) on the main stack in a later turn. */
enum err loop_defer(struct loop *loop, void (*fn)(void *ctx), void *ctx) MUST_CHECK;

/* ---- descriptors (not on virtual loops) ---- */

struct watch; /* one descriptor, edge-triggered */
#define WATCH_READ 1u
#define WATCH_WRITE 2u
/* The descriptor must be non-blocking; still owned by the caller; free the watch before closing it. */
enum err watch_new(struct loop *loop, int fd, struct watch **out) MUST_CHECK;
/* Suspends until the descriptor may be ready in one of the directions. Call it only after an EAGAIN.
 * ERR_AGAIN when another coroutine called watch_interrupt(). */
enum err watch_wait(struct watch *watch, unsigned directions, int64_t deadline_us) MUST_CHECK;
void watch_interrupt(struct watch *watch);
/* Instead of a waiting coroutine: call ready(ctx) on the main stack at each edge. */
void watch_on_ready(struct watch *watch, void (*ready)(void *ctx), void *ctx);
/* For watch_on_ready: which edges to be called for (both at first). Asking for one again while it is ready gives an edge. */
void watch_want(struct watch *watch, unsigned directions);
void watch_free(struct watch *watch);

#endif
