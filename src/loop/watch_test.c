/* The loop on the machine's clock: descriptors, signals, the watchdog, and what ten thousand coroutines weigh. */
#include "loop/loop.h"
#include "loop/loop_internal.h"
#include "loop/signal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_US (60 * US_PER_S) /* longer than any of this takes */

struct ear {
    struct loop *loop;
    struct watch *watch;
    int fd;
    int wakes;
    size_t octets;
    enum err err;
    struct ear *other;
    bool frees_other;
};

static void make_pair(struct loop *loop, struct ear *a, struct ear *b) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *a = (struct ear){.loop = loop, .fd = fds[0]};
    *b = (struct ear){.loop = loop, .fd = fds[1]};
    assert_int_equal(watch_new(loop, a->fd, &a->watch), ERR_OK);
    assert_int_equal(watch_new(loop, b->fd, &b->watch), ERR_OK);
}

static void drop(struct ear *ear) {
    watch_free(ear->watch);
    ear->watch = NULL;
    close(ear->fd);
}

static void reads_all(void *arg) {
    struct ear *ear = arg;
    uint8_t p[1000];
    for (;;) {
        ssize_t n = read(ear->fd, p, sizeof(p));
        if (n == 0)
            break;
        if (n > 0) {
            ear->octets += (size_t)n;
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(watch_wait(ear->watch, WATCH_READ, loop_now_us(ear->loop) + LONG_US), ERR_OK);
        ear->wakes++;
    }
    loop_stop(ear->loop);
}

static void writes_much(void *arg) {
    struct ear *ear = arg;
    static const uint8_t p[5000];
    for (size_t left = 3 * 1000 * 1000; left > 0;) {
        ssize_t n = write(ear->fd, p, MIN(left, sizeof(p)));
        if (n > 0) {
            left -= (size_t)n;
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(watch_wait(ear->watch, WATCH_WRITE, loop_now_us(ear->loop) + LONG_US), ERR_OK);
        ear->wakes++;
    }
    assert_int_equal(shutdown(ear->fd, SHUT_WR), 0);
}

static void test_read_and_write(void **state) {
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct ear a, b;
    make_pair(loop, &a, &b);
    assert_int_equal(co_spawn(loop, NULL, "read", reads_all, &a, NULL), ERR_OK);
    assert_int_equal(co_spawn(loop, NULL, "write", writes_much, &b, NULL), ERR_OK);
    loop_run(loop);
    assert_int_equal(a.octets, 3 * 1000 * 1000);
    assert_true(a.wakes > 1 && b.wakes > 1); /* both had to wait */
    drop(&a);
    drop(&b);
    loop_free(loop);
}

static void waits_once(void *arg) {
    struct ear *ear = arg;
    ear->err = watch_wait(ear->watch, WATCH_READ, loop_now_us(ear->loop) + LONG_US);
    loop_stop(ear->loop);
}

static void waits_briefly(void *arg) {
    struct ear *ear = arg;
    ear->err = watch_wait(ear->watch, WATCH_READ, loop_now_us(ear->loop) + 1);
    loop_stop(ear->loop);
}

static void interrupts(void *arg) {
    watch_interrupt(((struct ear *)arg)->watch);
}

static void test_interrupt_cancel_timeout(void **state) {
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct ear a, b;
    make_pair(loop, &a, &b);
    assert_int_equal(co_spawn(loop, NULL, "a", waits_once, &a, NULL), ERR_OK);
    assert_int_equal(co_spawn(loop, NULL, "b", interrupts, &a, NULL), ERR_OK);
    loop_run(loop);
    assert_int_equal(a.err, ERR_AGAIN);
    watch_interrupt(a.watch); /* nobody waits: the next one is interrupted, once */
    assert_int_equal(co_spawn(loop, NULL, "a", waits_once, &a, NULL), ERR_OK);
    loop_run(loop);
    assert_int_equal(a.err, ERR_AGAIN);
    assert_int_equal(co_spawn(loop, NULL, "a", waits_briefly, &a, NULL), ERR_OK);
    loop_run(loop);
    assert_int_equal(a.err, ERR_TIMEOUT);
    struct co *co;
    assert_int_equal(co_spawn(loop, NULL, "a", waits_once, &a, &co), ERR_OK);
    co_cancel(co);
    loop_run(loop);
    assert_int_equal(a.err, ERR_CANCELED);
    /* An edge that came while nobody waited is not lost. */
    assert_int_equal(write(b.fd, "x", 1), 1);
    assert_int_equal(co_spawn(loop, NULL, "a", waits_once, &a, NULL), ERR_OK);
    loop_run(loop);
    assert_int_equal(a.err, ERR_OK);
    drop(&a);
    drop(&b);
    loop_free(loop);
}

static void hears(void *ctx) {
    struct ear *ear = ctx;
    uint8_t p[10];
    assert_null(co_current());
    ssize_t n = read(ear->fd, p, sizeof(p));
    if (n <= 0) /* the edge of being writable */
        return;
    ear->octets += (size_t)n;
    if (ear->frees_other)
        drop(ear->other);
    loop_stop(ear->loop);
}

static void test_callbacks(void **state) {
    (void)state;
    /* Two are ready in the same turn; whichever comes first takes the other away. */
    struct loop *loop = loop_new(NULL);
    struct ear a, b, c, d;
    make_pair(loop, &a, &b);
    make_pair(loop, &c, &d);
    watch_on_ready(a.watch, hears, &a);
    watch_on_ready(c.watch, hears, &c);
    a.frees_other = c.frees_other = true;
    a.other = &c;
    c.other = &a;
    assert_int_equal(write(b.fd, "x", 1), 1);
    assert_int_equal(write(d.fd, "x", 1), 1);
    loop_run(loop);
    assert_int_equal(a.octets + c.octets, 1);
    drop(a.watch != NULL ? &a : &c);
    drop(&b);
    drop(&d);
    loop_free(loop);
}

/* ---- signals ---- */

struct heard {
    struct loop *loop;
    int numbers[3], n;
};

static void heard_signal(void *ctx, int number) {
    struct heard *heard = ctx;
    heard->numbers[heard->n++] = number;
    if (heard->n == 2)
        loop_stop(heard->loop);
}

static void test_signals(void **state) {
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct heard heard = {.loop = loop};
    sigset_t mask, before, after;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &before), 0);
    struct signals *signals;
    assert_int_equal(signals_new(loop, &mask, heard_signal, &heard, &signals), ERR_OK);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    loop_run(loop);
    assert_int_equal(heard.n, 2);
    assert_int_equal(heard.numbers[0] + heard.numbers[1], SIGHUP + SIGTERM);
    signals_free(signals);
    signals_free(NULL);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &after), 0);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    loop_free(loop);
}

/* ---- the watchdog ---- */

struct catcher {
    struct log_sink sink; /* first */
    char line[400];
    int n;
};

static void catch_line(struct log_sink *sink, enum log_level level, struct view line) {
    struct catcher *catcher = (struct catcher *)sink;
    assert_int_equal(level, LOG_WARN);
    size_t n = MIN(line.n, sizeof(catcher->line) - 1);
    memcpy(catcher->line, line.p, n);
    catcher->line[n] = 0;
    catcher->n++;
}

static void works_long(void *arg) {
    struct loop *loop = arg;
    struct clock *clock = loop_clock(loop);
    co_set_place("sort");
    for (int64_t end_us = clock->mono_us(clock) + LOOP_SLOW_TURN_US + 1000; clock->mono_us(clock) < end_us;)
        ;
    loop_stop(loop);
}

static void test_watchdog(void **state) {
    (void)state;
    struct catcher catcher = {{.write = catch_line, .least = LOG_DEBUG}, {0}, 0};
    struct log log;
    log_init(&log, &catcher.sink, clock_system());
    struct loop *loop = loop_new(&log);
    const char *name;
    assert_int_equal(loop_longest_turn_us(loop, &name), 0);
    assert_string_equal(name, "none");
    assert_int_equal(co_spawn(loop, NULL, "long work", works_long, loop, NULL), ERR_OK);
    loop_run(loop);
    assert_true(loop_longest_turn_us(loop, &name) > LOOP_SLOW_TURN_US);
    assert_string_equal(name, "long work");
    assert_true(catcher.n >= 1);
    assert_true(view_find(view_cstr(catcher.line), VIEW("loop.slow co=\"long work\" place=sort us=")) > 0);
    loop_free(loop);
}

struct breather {
    struct loop *loop;
    int turns;
    bool is_done;
};

static void breathes(void *arg) {
    struct breather *b = arg;
    struct clock *clock = loop_clock(b->loop);
    /* Work without an end: only the other one's turns end it, or a bound far above what they take. */
    for (int64_t end_us = clock->mono_us(clock) + 30 * US_PER_S; b->turns < 2 && clock->mono_us(clock) < end_us;)
        assert_int_equal(co_breathe(), ERR_OK);
    b->is_done = true;
}

static void counts_turns(void *arg) {
    struct breather *b = arg;
    while (!b->is_done) {
        b->turns++;
        assert_int_equal(co_yield (), ERR_OK);
    }
    loop_stop(b->loop);
}

static void test_breathe(void **state) {
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct breather b = {.loop = loop};
    assert_int_equal(co_spawn(loop, NULL, "b", breathes, &b, NULL), ERR_OK);
    assert_int_equal(co_spawn(loop, NULL, "c", counts_turns, &b, NULL), ERR_OK);
    loop_run(loop);
    assert_true(b.turns >= 2);
    loop_free(loop);
}

/* ---- weight ---- */

struct crowd {
    struct loop *loop;
    struct waitq queue, all_there;
    int there, n;
    struct co_group *group;
};

static __attribute__((noinline)) void member_waits(struct crowd *crowd) {
    uint8_t some[512]; /* what a session keeps while it waits for a command */
    memset(some, 1, sizeof(some));
    __asm__ volatile("" : : "r"(some) : "memory");
    if (++crowd->there == crowd->n)
        waitq_wake_all(&crowd->all_there);
    assert_int_equal(waitq_wait(&crowd->queue, loop_now_us(crowd->loop) + LONG_US), ERR_OK);
}

static void member(void *arg) {
    member_waits(arg);
}

static size_t resident(void) {
    unsigned long long pages = 0;
    char line[200];
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    fclose(f);
    struct view head, tail = view_cstr(line), second;
    assert_true(view_split(tail, ' ', &head, &tail));
    assert_true(view_split(tail, ' ', &second, &tail));
    assert_int_equal(view_to_u64(second, UINT64_MAX, (uint64_t *)&pages), ERR_OK);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void measures(void *arg) {
    struct crowd *crowd = arg;
    while (crowd->there < crowd->n)
        assert_int_equal(waitq_wait(&crowd->all_there, US_NEVER), ERR_OK);
    crowd->there = (int)(resident() / 1024);
    waitq_wake_all(&crowd->queue);
    assert_int_equal(co_group_wait(crowd->group, US_NEVER), ERR_OK);
    loop_stop(crowd->loop);
}

static void test_ten_thousand(void **state) {
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct crowd crowd = {.loop = loop, .n = 10000};
    size_t before = resident();
    struct co_group *group = crowd.group = co_group_new(loop);
    for (int i = 0; i < crowd.n; i++)
        assert_int_equal(co_spawn(loop, group, "member", member, &crowd, NULL), ERR_OK);
    assert_int_equal(co_spawn(loop, NULL, "measure", measures, &crowd, NULL), ERR_OK);
    loop_run(loop);
    size_t each = ((size_t)crowd.there * 1024 - before) / (size_t)crowd.n;
    printf("a suspended coroutine: %zu octets resident\n", each);
#ifndef VEREDUS_SANITIZE
    assert_true(each <= 8192);
#endif
    co_group_free(group);
    loop_free(loop);
}

/* ---- giving back ---- */

/* The machine's clock, moved. */
struct shifted_clock {
    struct clock clock; /* first */
    int64_t by_us;
};

static int64_t shifted_mono_us(struct clock *clock) {
    return clock_system()->mono_us(clock_system()) + ((struct shifted_clock *)clock)->by_us;
}

static int64_t shifted_wall_us(struct clock *clock) {
    return clock_system()->wall_us(clock_system()) + ((struct shifted_clock *)clock)->by_us;
}

struct idler {
    struct loop *loop;
    struct shifted_clock clock;
    struct waitq queue;
    struct co *deep;
    size_t before, after;
    bool is_done;
};

static size_t resident_octets(struct co *co) {
    struct view memory = stack_memory(co->stack);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
    unsigned char in_core[4096];
    assert_true(memory.n / page <= sizeof(in_core));
    assert_int_equal(mincore((void *)(uintptr_t)memory.p, memory.n, in_core), 0);
    for (size_t i = 0; i < memory.n / page; i++)
        n += (in_core[i] & 1u) * page;
    return n;
}

static __attribute__((noinline)) void touch_much(void) {
    uint8_t much[128 * 1024];
    memset(much, 1, sizeof(much));
    __asm__ volatile("" : : "r"(much) : "memory");
}

static void was_deep(void *arg) {
    struct idler *idler = arg;
    touch_much();
    assert_int_equal(waitq_wait(&idler->queue, US_NEVER), ERR_OK);
    touch_much();
    idler->is_done = true;
    loop_stop(idler->loop);
}

static void lets_time_pass(void *arg) {
    struct idler *idler = arg;
    assert_int_equal(co_yield (), ERR_OK);
    idler->before = resident_octets(idler->deep);
    idler->clock.by_us += 10 * US_PER_S;
    for (int i = 0; i < 3; i++)
        assert_int_equal(co_yield (), ERR_OK);
    idler->after = resident_octets(idler->deep);
    waitq_wake_one(&idler->queue);
}

static void test_idle_stacks_shrink(void **state) {
    (void)state;
    struct idler idler = {.loop = loop_new(NULL), .clock = {{shifted_mono_us, shifted_wall_us}, 0}};
    idler.loop->clock = &idler.clock.clock;
    assert_int_equal(co_spawn(idler.loop, NULL, "deep", was_deep, &idler, &idler.deep), ERR_OK);
    assert_int_equal(co_spawn(idler.loop, NULL, "time", lets_time_pass, &idler, NULL), ERR_OK);
    loop_run(idler.loop);
    assert_true(idler.is_done);
    assert_true(idler.before >= 128 * 1024);
#if defined(__x86_64__) || defined(__aarch64__)
    assert_true(idler.after <= 16 * 1024);
#endif
    loop_free(idler.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_and_write), cmocka_unit_test(test_interrupt_cancel_timeout),
        cmocka_unit_test(test_callbacks),      cmocka_unit_test(test_signals),
        cmocka_unit_test(test_watchdog),       cmocka_unit_test(test_breathe),
        cmocka_unit_test(test_ten_thousand),   cmocka_unit_test(test_idle_stacks_shrink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
