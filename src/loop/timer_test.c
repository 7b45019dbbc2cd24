/* The heap of timers under random arming and disarming: always a heap, always fires in order. */
#include "loop/loop_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define NODES 60

static void assert_heap(const struct timer_heap *heap, const struct timer_node *nodes, const bool *is_armed) {
    size_t armed = 0;
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(nodes[i].index != 0, is_armed[i]);
        if (is_armed[i])
            assert_ptr_equal(heap->p[nodes[i].index - 1], &nodes[i]);
        armed += is_armed[i];
    }
    assert_int_equal(heap->n, armed);
    for (size_t i = 1; i < heap->n; i++) {
        const struct timer_node *parent = heap->p[(i - 1) / 2], *child = heap->p[i];
        assert_true(parent->at_us < child->at_us || (parent->at_us == child->at_us && parent->seq < child->seq));
    }
}

static void test_random_arming(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct random_seeded random;
        random_seeded_init(&random, seed);
        struct timer_heap heap = {0};
        struct timer_node nodes[NODES] = {0};
        bool is_armed[NODES] = {0};
        for (size_t i = 0; i < NODES; i++)
            assert_int_equal(timer_heap_reserve(&heap), ERR_OK);
        for (int step = 0; step < 500; step++) {
            size_t i = (size_t)random_below(&random.random, NODES);
            if (random_below(&random.random, 3) == 0) {
                timer_heap_disarm(&heap, &nodes[i]);
                is_armed[i] = false;
            } else {
                int64_t at_us = (int64_t)random_below(&random.random, 40);
                timer_heap_arm(&heap, &nodes[i], at_us == 0 ? US_NEVER : at_us);
                is_armed[i] = at_us != 0;
            }
            assert_heap(&heap, nodes, is_armed);
        }
        int64_t last_us = 0;
        while (heap.n > 0) {
            struct timer_node *first = heap.p[0];
            assert_true(first->at_us >= last_us);
            last_us = first->at_us;
            timer_heap_disarm(&heap, first);
        }
        for (size_t i = 0; i < NODES; i++)
            timer_heap_forget(&heap);
        timer_heap_fini(&heap);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_arming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
