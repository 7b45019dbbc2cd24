/* Coroutines, timers, waiting, and the loop on both clocks. */
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

/* ---- switching ---- */

static void yields(void *arg) {
    struct actor *a = arg;
    for (int i = 0; i < a->n; i++) {
        say(a);
        assert_int_equal(co_yield(), ERR_OK);
    }
}

static void test_first_come(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 0);
    struct actor a = {&w.trace, 'a', .n = 3}, b = {&w.trace, 'b', .n = 2};
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
