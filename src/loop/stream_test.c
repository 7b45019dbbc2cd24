/* Streams in memory and over sockets, buffered input, and the pump. */
#include "loop/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_US (60 * US_PER_S) /* longer than any of this takes on the machine's clock */

struct world {
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    bool is_real;
    struct stream *a, *b, *c, *d; /* a to b and c to d are pairs */
    struct stream *s;             /* for a single actor */
    struct co_group *group;
    size_t n, got;
    int64_t us;
    enum err err, err2;
    int events;
    int left; /* actors that still run, on the machine's clock */
};

static void make_pair(struct world *w, size_t capacity, struct stream **a, struct stream **b) {
    if (!w->is_real) {
        assert_int_equal(stream_new_pair(w->loop, capacity, a, b), ERR_OK);
        return;
    }
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(stream_new_socket(w->loop, fds[0], a), ERR_OK);
    assert_int_equal(stream_new_socket(w->loop, fds[1], b), ERR_OK);
    assert_int_equal((*a)->peer.family, 0); /* a local socket has no address */
}

static void world_init(struct world *w, uint64_t seed, size_t capacity) {
    *w = (struct world){0};
    virtual_clock_init(&w->clock, 0);
    random_seeded_init(&w->random, seed);
    w->loop = loop_new_virtual(&w->clock, seed ? &w->random.random : NULL, NULL);
    make_pair(w, capacity, &w->a, &w->b);
    make_pair(w, capacity, &w->c, &w->d);
    w->group = co_group_new(w->loop);
}

static void world_init_real(struct world *w) {
    *w = (struct world){.is_real = true};
    random_seeded_init(&w->random, 1);
    w->loop = loop_new(NULL);
    make_pair(w, 0, &w->a, &w->b);
    make_pair(w, 0, &w->c, &w->d);
    w->group = co_group_new(w->loop);
}

static void world_fini(struct world *w) {
    stream_free(w->a);
    stream_free(w->b);
    stream_free(w->c);
    stream_free(w->d);
    stream_free(NULL);
    co_group_free(w->group);
    loop_free(w->loop);
}

static void spawn(struct world *w, void (*body)(void *)) {
    w->left++;
    assert_int_equal(co_spawn(w->loop, NULL, "actor", body, w, NULL), ERR_OK);
}

static void done(struct world *w) {
    if (--w->left == 0 && w->is_real)
        loop_stop(w->loop);
}

static int64_t soon(struct world *w) {
    return loop_now_us(w->loop) + LONG_US;
}

static uint8_t pattern(size_t i) {
    return (uint8_t)(i * 31 + i / 251);
}

/* Writes w->n octets of the pattern to w->a in pieces of many sizes, then says goodbye. */
static void writes_pattern(void *arg) {
    struct world *w = arg;
    uint8_t p[3000];
    for (size_t at = 0; at < w->n;) {
        size_t drawn = 1 + (size_t)random_below(&w->random.random, sizeof(p)), n = MIN(w->n - at, drawn);
        for (size_t i = 0; i < n; i++)
            p[i] = pattern(at + i);
        assert_int_equal(stream_write(w->a, view_of(p, n), soon(w)), ERR_OK);
        at += n;
    }
    stream_shutdown(w->a);
    stream_shutdown(w->a); /* twice is once */
    assert_int_equal(stream_write(w->a, VIEW("x"), soon(w)), ERR_CLOSED);
    done(w);
}

static void reads_pattern_from(struct world *w, struct stream *s) {
    uint8_t p[1000];
    enum err err;
    size_t got;
    while ((err = stream_read(s, p, 1 + (size_t)random_below(&w->random.random, sizeof(p)), soon(w), &got)) == ERR_OK) {
        assert_true(got >= 1);
        for (size_t i = 0; i < got; i++)
            assert_int_equal(p[i], pattern(w->got + i));
        w->got += got;
    }
    assert_int_equal(err, ERR_CLOSED);
    assert_int_equal(stream_read(s, p, 1, soon(w), &got), ERR_CLOSED); /* and stays so */
}

static void reads_pattern(void *arg) {
    struct world *w = arg;
    reads_pattern_from(w, w->b);
    done(w);
}

static void test_pair_carries(void **state) {
    (void)state;
    static const size_t capacities[] = {1, 2, 7, 1000, 65536};
    for (size_t i = 0; i < ARRAY_LEN(capacities); i++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            struct world w;
            world_init(&w, seed, capacities[i]);
            w.n = capacities[i] < 10 ? 1000 : 200 * 1000;
            spawn(&w, writes_pattern);
            spawn(&w, reads_pattern);
            loop_run(w.loop);
            assert_int_equal(w.got, w.n);
            world_fini(&w);
        }
    }
}

static void test_socket_carries(void **state) {
    (void)state;
    struct world w;
    world_init_real(&w);
    w.n = 5 * 1000 * 1000;
    spawn(&w, writes_pattern);
    spawn(&w, reads_pattern);
    loop_run(w.loop);
    assert_int_equal(w.got, w.n);
    world_fini(&w);
}

/* ---- how reads and writes end ---- */

static void writes_to_nobody(void *arg) {
    struct world *w = arg;
    static const uint8_t p[1000 * 1000];
    int64_t start_us = loop_now_us(w->loop);
    w->err = stream_write(w->a, view_of(p, sizeof(p)), start_us + 1000);
    assert_true(loop_now_us(w->loop) >= start_us + 1000);
    done(w);
}

static void test_back_pressure(void **state) {
    (void)state;
    for (int is_real = 0; is_real < 2; is_real++) {
        struct world w;
        if (is_real)
            world_init_real(&w);
        else
            world_init(&w, 0, 100);
        spawn(&w, writes_to_nobody);
        loop_run(w.loop);
        assert_int_equal(w.err, ERR_TIMEOUT);
        if (!is_real)
            assert_int_equal(w.clock.mono_us, 1000);
        world_fini(&w);
    }
}

static void reads_once(void *arg) {
    struct world *w = arg;
    uint8_t p[10];
    w->got = 99;
    w->err = stream_read(w->s, p, sizeof(p), w->us, &w->got);
    w->events++;
    done(w);
}

static void interrupts(void *arg) {
    struct world *w = arg;
    stream_interrupt(w->s);
    done(w);
}

static void frees_peer(void *arg) {
    struct world *w = arg;
    stream_free(w->b);
    w->b = NULL;
    done(w);
}

static void writes_x(void *arg) {
    struct world *w = arg;
    assert_int_equal(stream_write(w->b, VIEW("x"), soon(w)), ERR_OK);
    done(w);
}

static void test_read_ends(void **state) {
    (void)state;
    for (int is_real = 0; is_real < 2; is_real++) {
        struct world w;
        if (is_real)
            world_init_real(&w);
        else
            world_init(&w, 0, 100);
        w.s = w.a;
        w.us = soon(&w);
        /* a pending read is interrupted */
        spawn(&w, reads_once);
        spawn(&w, interrupts);
        loop_run(w.loop);
        assert_int_equal(w.err, ERR_AGAIN);
        assert_int_equal(w.got, 99); /* out parameters are set on ERR_OK only */
        /* the next read is, once */
        stream_interrupt(w.a);
        stream_interrupt(w.a);
        spawn(&w, reads_once);
        loop_run(w.loop);
        assert_int_equal(w.err, ERR_AGAIN);
        /* the deadline */
        w.us = loop_now_us(w.loop) + 1;
        spawn(&w, reads_once);
        loop_run(w.loop);
        assert_int_equal(w.err, ERR_TIMEOUT);
        /* what is there can be read after the deadline */
        spawn(&w, writes_x);
        loop_run(w.loop);
        w.us = 0;
        spawn(&w, reads_once);
        loop_run(w.loop);
        assert_int_equal(w.err, ERR_OK);
        assert_int_equal(w.got, 1);
        /* cancelled while it waits */
        w.us = soon(&w);
        struct co *co;
        w.left++;
        assert_int_equal(co_spawn(w.loop, NULL, "actor", reads_once, &w, &co), ERR_OK);
        co_cancel(co);
        loop_run(w.loop);
        assert_int_equal(w.err, ERR_CANCELED);
        /* the peer goes away */
        spawn(&w, reads_once);
        spawn(&w, frees_peer);
        loop_run(w.loop);
        assert_int_equal(w.err, ERR_CLOSED);
        assert_int_equal(w.events, 6);
        world_fini(&w);
    }
}

static void writes_on(void *arg) {
    struct world *w = arg;
    static const uint8_t p[1000];
    do
        w->err = stream_write(w->a, view_of(p, sizeof(p)), soon(w));
    while (w->err == ERR_OK);
    done(w);
}

static void test_write_to_closed(void **state) {
    (void)state;
    for (int is_real = 0; is_real < 2; is_real++) {
        struct world w;
        if (is_real)
            world_init_real(&w);
        else
            world_init(&w, 0, 100);
        spawn(&w, writes_on);
        spawn(&w, frees_peer);
        loop_run(w.loop);
        assert_int_equal(w.err, ERR_CLOSED);
        world_fini(&w);
    }
}

static void test_take_fd(void **state) {
    (void)state;
    struct world w;
    world_init_real(&w);
    int other = stream_dup_fd(w.a); /* leaves the stream as it is */
    assert_true(other >= 0);
    assert_int_equal(close(other), 0);
    int fd = stream_take_fd(w.a);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hello", 5), 5);
    assert_int_equal(stream_new_socket(w.loop, fd, &w.a), ERR_OK); /* and back */
    w.s = w.b;
    w.us = soon(&w);
    spawn(&w, reads_once);
    loop_run(w.loop);
    assert_int_equal(w.err, ERR_OK);
    assert_int_equal(w.got, 5);
    world_fini(&w);
    world_init(&w, 0, 10);
    assert_int_equal(stream_dup_fd(w.a), -1);
    assert_int_equal(stream_take_fd(w.a), -1);
    world_fini(&w);
}

/* ---- buffered input ---- */

static void fills(void *arg) {
    struct world *w = arg;
    struct input in;
    input_init(&in, w->b, 10);
    assert_int_equal(input_pending(&in).n, 0);
    assert_int_equal(input_fill(&in, US_NEVER), ERR_OK);
    assert_true(view_eq(input_pending(&in), VIEW("0123456789")));
    assert_int_equal(input_fill(&in, US_NEVER), ERR_LIMIT);
    struct view first = view_sub(input_pending(&in), 0, 4);
    input_consume(&in, 4);
    assert_true(view_eq(first, VIEW("0123"))); /* valid until more is read */
    assert_true(view_eq(input_pending(&in), VIEW("456789")));
    /* in front: into the room of what was consumed, and beyond it */
    assert_int_equal(input_unread(&in, VIEW("ab")), ERR_OK);
    assert_true(view_eq(input_pending(&in), VIEW("ab456789")));
    assert_int_equal(input_unread(&in, VIEW("cdX")), ERR_LIMIT);
    assert_int_equal(input_unread(&in, VIEW("")), ERR_OK);
    input_consume(&in, 5);
    assert_int_equal(input_fill(&in, US_NEVER), ERR_OK); /* moves it to the front */
    assert_true(view_eq(input_pending(&in), VIEW("789ABCDEFG")));
    input_consume(&in, 3);
    assert_int_equal(input_unread(&in, VIEW("3456789")), ERR_LIMIT);
    input_consume(&in, 4);
    assert_int_equal(input_unread(&in, VIEW("3456789")), ERR_OK); /* just fits */
    assert_true(view_eq(input_pending(&in), VIEW("3456789EFG")));
    input_discard(&in);
    assert_int_equal(input_pending(&in).n, 0);
    assert_int_equal(input_unread(&in, VIEW("again")), ERR_OK);
    assert_true(view_eq(input_pending(&in), VIEW("again")));
    assert_int_equal(input_fill(&in, US_NEVER), ERR_OK);
    assert_true(view_eq(input_pending(&in), VIEW("againHIJ")));
    assert_int_equal(input_fill(&in, US_NEVER), ERR_CLOSED);
    assert_true(view_eq(input_pending(&in), VIEW("againHIJ")));
    input_fini(&in);
    w->events++;
}

static void feeds(void *arg) {
    struct world *w = arg;
    assert_int_equal(stream_write(w->a, VIEW("0123456789ABCDEFGHIJ"), US_NEVER), ERR_OK);
    stream_shutdown(w->a);
}

static void test_input(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0, 1000);
    spawn(&w, fills);
    spawn(&w, feeds);
    loop_run(w.loop);
    assert_int_equal(w.events, 1);
    world_fini(&w);
}

static void fills_much(void *arg) {
    struct world *w = arg;
    struct input in;
    input_init(&in, w->b, 100 * 1000);
    in.buf.secret = true;
    enum err err;
    while ((err = input_fill(&in, soon(w))) == ERR_OK) {
        /* Consumes some of it, as lines would be. */
        size_t n = (size_t)random_below(&w->random.random, input_pending(&in).n + 1);
        if (input_pending(&in).n > 50 * 1000)
            n = input_pending(&in).n;
        for (size_t i = 0; i < n; i++)
            assert_int_equal(input_pending(&in).p[i], pattern(w->got + i));
        input_consume(&in, n);
        w->got += n;
    }
    assert_int_equal(err, ERR_CLOSED);
    w->got += input_pending(&in).n;
    input_fini(&in);
    done(w);
}

static void test_input_of_much(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 5, 100 * 1000);
    w.n = 1000 * 1000;
    spawn(&w, writes_pattern);
    spawn(&w, fills_much);
    loop_run(w.loop);
    assert_int_equal(w.got, w.n);
    world_fini(&w);
}

/* ---- the pump: a -- b ==pump== c -- d ---- */

static void pumps(void *arg) {
    struct world *w = arg;
    w->err2 = stream_pump(w->b, w->c, w->group, w->us);
    w->events++;
    done(w);
}

/* Reads all at the far end, then answers with as much the other way. */
static void far_end(void *arg) {
    struct world *w = arg;
    reads_pattern_from(w, w->d);
    assert_int_equal(w->got, w->n);
    uint8_t p[777];
    for (size_t at = 0; at < w->n;) {
        size_t n = MIN(w->n - at, sizeof(p));
        for (size_t i = 0; i < n; i++)
            p[i] = pattern(at + i);
        assert_int_equal(stream_write(w->d, view_of(p, n), soon(w)), ERR_OK);
        at += n;
    }
    stream_shutdown(w->d);
    done(w);
}

static void near_end(void *arg) {
    struct world *w = arg;
    w->left++;
    writes_pattern(w);
    /* Half-closed: the answer comes all the same. */
    while (w->got < w->n)
        assert_int_equal(co_sleep(1000), ERR_OK);
    w->got = 0;
    reads_pattern_from(w, w->a);
    assert_int_equal(w->got, w->n);
    w->events += 10;
    done(w);
}

static void test_pump(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct world w;
        if (seed < 9)
            world_init(&w, seed, 1 + seed * 500);
        else
            world_init_real(&w);
        w.us = LONG_US;
        w.n = seed == 0 ? 5000 : 300 * 1000;
        spawn(&w, pumps);
        spawn(&w, near_end);
        spawn(&w, far_end);
        loop_run(w.loop);
        assert_int_equal(w.err2, ERR_OK);
        assert_int_equal(w.events, 11);
        world_fini(&w);
    }
}

static void writes_slowly(void *arg) {
    struct world *w = arg;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(co_sleep(90), ERR_OK);
        assert_int_equal(stream_write(i % 2 ? w->a : w->d, VIEW("tick"), US_NEVER), ERR_OK);
        stream_interrupt(w->b); /* means nothing to a pump */
    }
}

static void test_pump_silence(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0, 1000);
    w.us = 100;
    spawn(&w, pumps);
    spawn(&w, writes_slowly);
    loop_run(w.loop);
    assert_int_equal(w.err2, ERR_TIMEOUT);
    assert_int_equal(w.clock.mono_us, 5 * 90 + 100); /* from the last octet in either direction */
    world_fini(&w);
}

static void test_pump_stuck(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0, 10);
    w.us = 100;
    w.n = 1000;
    spawn(&w, pumps); /* nobody reads at d */
    spawn(&w, writes_on);
    assert_false(loop_run_until(w.loop, NULL, NULL, 1000));
    assert_int_equal(w.err2, ERR_TIMEOUT);
    assert_int_equal(w.events, 1);
    stream_free(w.b);
    w.b = NULL;
    loop_run(w.loop);
    assert_int_equal(w.err, ERR_CLOSED);
    world_fini(&w);
}

static void far_end_breaks(void *arg) {
    struct world *w = arg;
    assert_int_equal(co_sleep(50), ERR_OK);
    stream_free(w->d);
    w->d = NULL;
}

static void near_end_ticks(void *arg) {
    struct world *w = arg;
    assert_int_equal(co_sleep(60), ERR_OK);
    assert_int_equal(stream_write(w->a, VIEW("tick"), US_NEVER), ERR_OK);
}

static void test_pump_broken(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world w;
        world_init(&w, seed, 100);
        w.us = LONG_US;
        spawn(&w, pumps);
        spawn(&w, far_end_breaks);
        spawn(&w, near_end_ticks);
        loop_run(w.loop);
        /* d's end was a half-close; writing to it then fails, and ends both directions at once. */
        assert_int_equal(w.err2, ERR_CLOSED);
        assert_int_equal(w.clock.mono_us, 60);
        assert_int_equal(co_group_count(w.group), 0);
        world_fini(&w);
    }
}

static void test_pump_canceled(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        for (int which = 0; which < 3; which++) {
            struct world w;
            world_init(&w, seed, 100);
            w.us = LONG_US;
            struct co *co;
            w.left++;
            assert_int_equal(co_spawn(w.loop, NULL, "pumps", pumps, &w, &co), ERR_OK);
            if (which != 2) /* the third is cancelled before it began */
                assert_false(loop_run_until(w.loop, NULL, NULL, 5));
            if (which == 1)
                co_group_cancel(w.group);
            else
                co_cancel(co);
            loop_run(w.loop);
            assert_int_equal(w.events, 1);
            assert_int_equal(w.err2, ERR_CANCELED);
            assert_int_equal(co_group_count(w.group), 0);
            assert_int_equal(w.clock.mono_us, which == 2 ? 0 : 5);
            world_fini(&w);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_carries),
        cmocka_unit_test(test_socket_carries),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_read_ends),
        cmocka_unit_test(test_write_to_closed),
        cmocka_unit_test(test_take_fd),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_input_of_much),
        cmocka_unit_test(test_pump),
        cmocka_unit_test(test_pump_silence),
        cmocka_unit_test(test_pump_stuck),
        cmocka_unit_test(test_pump_broken),
        cmocka_unit_test(test_pump_canceled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
