/* Arenas: budgets, alignment, zeroing, growing, reuse. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool is_zero(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

static void memory_is_zeroed_and_aligned(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 1 << 20);
    assert_string_equal(arena_name(arena), "test");
    assert_int_equal(arena_budget(arena), 1 << 20);
    /* The second turn gets memory that was used before. */
    for (int turn = 0; turn < 2; turn++) {
        for (size_t n = 0; n < 300; n++) {
            uint8_t *p = arena_alloc(arena, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            assert_true(is_zero(p, n));
            memset(p, 0xee, n);
        }
        assert_true(arena_used(arena) >= 299 * 300 / 2);
        arena_clear(arena);
        assert_int_equal(arena_used(arena), 0);
    }
    uint8_t *big = arena_alloc(arena, 200000);
    assert_true(is_zero(big, 200000));
    arena_free(arena);
    arena_free(NULL);
}

static void the_budget_is_exact(void **state) {
    (void)state;
    static const size_t budgets[] = {0, 1, 15, 16, 17, 100, 1023, 1024, 5000};
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        struct arena *arena = arena_new("test", budgets[i]);
        assert_null(arena_alloc(arena, budgets[i] + 1));
        assert_non_null(arena_alloc(arena, budgets[i]));
        assert_int_equal(arena_used(arena), budgets[i]);
        assert_null(arena_alloc(arena, 1));
        assert_non_null(arena_alloc(arena, 0));
        arena_clear(arena);
        assert_non_null(arena_alloc(arena, budgets[i]));
        arena_free(arena);
    }
    /* Many small ones: never more than the budget. */
    struct arena *arena = arena_new("test", 1000);
    size_t count = 0;
    while (arena_alloc(arena, 1) != NULL)
        count++;
    assert_int_equal(count, 63); /* 62 of 16 octets, and the last 8 */
    arena_free(arena);
}

static void overflow_is_an_error(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", SIZE_MAX);
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_array(arena, SIZE_MAX / 2, 3));
    assert_null(arena_grow(arena, NULL, 0, SIZE_MAX / 2, 3));
    assert_non_null(arena_array(arena, 3, 5));
    arena_free(arena);
}

static void growing_keeps_content(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 100000);
    uint32_t *p = arena_grow(arena, NULL, 0, 1, sizeof(*p));
    size_t moved = 0;
    for (uint32_t n = 1; n < 2000; n++) {
        p[n - 1] = n;
        /* In place while it is the last one; after something else it has to move. */
        if (n % 500 == 0)
            assert_non_null(arena_alloc(arena, 8));
        uint32_t *grown = arena_grow(arena, p, n, n + 1, sizeof(*p));
        assert_non_null(grown);
        assert_int_equal(grown[n], 0);
        moved += grown != p;
        p = grown;
    }
    for (uint32_t n = 1; n < 2000; n++)
        assert_int_equal(p[n - 1], n);
    assert_true(moved >= 3 && moved < 20);
    arena_free(arena);

    arena = arena_new("test", 64);
    p = arena_array(arena, 4, 4);
    assert_non_null(arena_grow(arena, p, 4, 16, 4)); /* in place, up to the budget */
    assert_int_equal(arena_used(arena), 64);
    assert_null(arena_grow(arena, p, 16, 17, 4));
    arena_free(arena);
}

static void copies_and_texts(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 20);
    struct view v = VIEW_NONE;
    uint8_t source[3] = {'a', 0, 'b'};
    assert_int_equal(arena_view(arena, view_of(source, 3), &v), ERR_OK);
    source[0] = 'x';
    assert_true(view_eq(v, VIEW("a\0b")));
    assert_null(arena_cstr(arena, VIEW("a\0b")));
    char *s = arena_cstr(arena, VIEW("hello"));
    assert_string_equal(s, "hello");
    assert_int_equal(arena_printf(arena, &v, "%d-%s", 42, "x"), ERR_OK);
    assert_true(view_eq(v, VIEW("42-x")));
    assert_int_equal(arena_used(arena), 3 + 6 + 5);
    struct view before = v;
    assert_int_equal(arena_view(arena, VIEW("1234567"), &v), ERR_LIMIT);
    assert_int_equal(arena_printf(arena, &v, "123456"), ERR_LIMIT);
    assert_null(arena_cstr(arena, VIEW("123456")));
    assert_true(v.p == before.p && v.n == before.n);
    assert_int_equal(arena_printf(arena, &v, "12345"), ERR_OK);
    assert_int_equal(arena_view(arena, VIEW_NONE, &v), ERR_OK);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(the_budget_is_exact),
        cmocka_unit_test(overflow_is_an_error),
        cmocka_unit_test(growing_keeps_content),
        cmocka_unit_test(copies_and_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
