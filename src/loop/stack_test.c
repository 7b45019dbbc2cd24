/* Stacks: what they give back, and that switching keeps what it must keep. */
#include "loop/stack.h"

#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct traveller {
    struct stack *stack;
    int step;
    unsigned rounding;
};

static size_t resident_pages(const struct stack *stack) {
    struct view memory = stack_memory(stack);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
    unsigned char in_core[4096];
    assert_true(memory.n / page <= sizeof(in_core));
    assert_int_equal(mincore((void *)(uintptr_t)memory.p, memory.n, in_core), 0);
    for (size_t i = 0; i < memory.n / page; i++)
        n += in_core[i] & 1;
    return n;
}

static __attribute__((noinline)) void touch_much(void) {
    uint8_t much[100 * 1024];
    memset(much, 1, sizeof(much));
    __asm__ volatile("" : : "r"(much) : "memory");
}

static void travels(void *arg) {
    struct traveller *t = arg;
    uint8_t kept[1000];
    memset(kept, 7, sizeof(kept));
    __asm__ volatile("" : : "r"(kept) : "memory");
    touch_much();
    t->step = 1;
    stack_leave(t->stack);
    for (size_t i = 0; i < sizeof(kept); i++) /* what is in use survives */
        assert_int_equal(kept[i], 7);
    touch_much(); /* and what was given back is there again */
    t->step = 2;
    stack_leave_forever(t->stack);
}

static void test_trim(void **state) {
    (void)state;
    struct stack_pool pool = {0};
    struct traveller t = {0};
    t.stack = stack_get(&pool, travels, &t);
    assert_non_null(t.stack);
    stack_enter(t.stack);
    assert_int_equal(t.step, 1);
    assert_true(resident_pages(t.stack) >= 25);
#if defined(__x86_64__) || defined(__aarch64__)
    stack_trim(t.stack);
    assert_true(resident_pages(t.stack) <= 4);
    stack_trim(t.stack); /* nothing is left to give */
#endif
    stack_enter(t.stack);
    assert_int_equal(t.step, 2);
    stack_put(&pool, t.stack);
#ifndef VEREDUS_SANITIZE /* there each stack is used once */
    assert_int_equal(pool.n, 1);
    assert_true(resident_pages(t.stack) <= 4);
    struct traveller u = {0};
    u.stack = stack_get(&pool, travels, &u);
    assert_ptr_equal(u.stack, t.stack);
    stack_enter(u.stack);
    stack_enter(u.stack);
    stack_put(&pool, u.stack);
#endif
    stack_pool_fini(&pool);
    assert_int_equal(pool.n, 0);
}

static void test_pool_is_bounded(void **state) {
    (void)state;
    struct stack_pool pool = {0};
    struct stack *stacks[STACKS_KEPT + 10];
    struct traveller t[STACKS_KEPT + 10] = {0};
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
        t[i].stack = stacks[i] = stack_get(&pool, travels, &t[i]);
        assert_non_null(stacks[i]);
        stack_enter(stacks[i]);
        stack_enter(stacks[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++)
        stack_put(&pool, stacks[i]);
    assert_true(pool.n <= STACKS_KEPT);
    size_t pages = 0;
#ifndef VEREDUS_SANITIZE
    for (size_t i = 0; i < STACKS_KEPT; i++)
        pages += resident_pages(stacks[i]);
#endif
    assert_true(pages <= STACKS_WARM * 4);
    stack_pool_fini(&pool);
}

#if defined(__x86_64__)
/* The control words of both floating-point units belong to whoever set them. */
static unsigned control_words(void) {
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (mxcsr & 0x6000) | (x87 & 0x0c00);
}

static void set_rounding(unsigned mode) {
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    mxcsr = (mxcsr & ~0x6000u) | mode << 13;
    x87 = (uint16_t)((x87 & ~0x0c00u) | mode << 10);
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    __asm__ volatile("fldcw %0" : : "m"(x87));
}

static void rounds(void *arg) {
    struct traveller *t = arg;
    assert_int_equal(control_words(), 0);
    set_rounding(t->rounding);
    unsigned own = control_words();
    assert_true(own != 0);
    stack_leave(t->stack);
    assert_int_equal(control_words(), own);
    t->step = 1;
    stack_leave_forever(t->stack);
}

static void test_control_words(void **state) {
    (void)state;
    struct stack_pool pool = {0};
    struct traveller up = {.rounding = 2}, down = {.rounding = 1};
    up.stack = stack_get(&pool, rounds, &up);
    down.stack = stack_get(&pool, rounds, &down);
    for (int i = 0; i < 2; i++) {
        stack_enter(up.stack);
        assert_int_equal(control_words(), 0);
        stack_enter(down.stack);
        assert_int_equal(control_words(), 0);
    }
    assert_int_equal(up.step + down.step, 2);
    stack_put(&pool, up.stack);
    stack_put(&pool, down.stack);
    stack_pool_fini(&pool);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_pool_is_bounded),
#if defined(__x86_64__)
        cmocka_unit_test(test_control_words),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
