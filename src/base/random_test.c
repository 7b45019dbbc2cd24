/* Randomness: the seeded one repeats itself and no other seed; draws below a bound are even. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void seeds_repeat(void **state) {
    (void)state;
    struct random_seeded a, b, c;
    random_seeded_init(&a, 1);
    random_seeded_init(&b, 1);
    random_seeded_init(&c, 2);
    for (int i = 0; i < 100; i++) {
        uint64_t value = random_u64(&a.random);
        assert_int_equal(value, random_u64(&b.random));
        assert_int_not_equal(value, random_u64(&c.random));
        assert_int_not_equal(value, random_u64(&a.random));
        (void)random_u64(&b.random);
    }
    uint8_t x[19] = {0}, y[19] = {0};
    random_fill(&a.random, x, 18);
    random_fill(&b.random, y, 18);
    assert_memory_equal(x, y, 19);
    assert_int_equal(x[18], 0);
    random_fill(&a.random, x, 0);
}

static void draws_are_even(void **state) {
    (void)state;
    struct random_seeded rs;
    random_seeded_init(&rs, 3);
    unsigned counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t value = random_below(&rs.random, 7);
        assert_true(value < 7);
        counts[value]++;
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(counts[i], 9500, 10500);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(random_below(&rs.random, 1), 0);
        assert_true(random_below(&rs.random, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    }
}

static void the_kernel_fills_all(void **state) {
    (void)state;
    /* The chance that any octet is zero in all 20 turns is 256^-20. */
    uint8_t seen[600] = {0}, now[600];
    for (int turn = 0; turn < 20; turn++) {
        random_fill(random_system(), now, sizeof(now));
        for (size_t i = 0; i < sizeof(now); i++)
            seen[i] |= now[i];
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        assert_int_not_equal(seen[i], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(seeds_repeat), cmocka_unit_test(draws_are_even),
                                       cmocka_unit_test(the_kernel_fills_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
