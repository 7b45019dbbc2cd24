/* The hash map against a plain array, its limits and iteration; SipHash against its reference vectors. */
#include "base/map.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t seed[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* SipHash-2-4 of 00 01 02 ... under the key 00 01 ... 0f, from the paper and its reference program. */
static void reference_vectors(void **state) {
    (void)state;
    static const struct {
        size_t n;
        uint64_t hash;
    } cases[] = {
        {0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)}, {2, UINT64_C(0x0d6c8009d9a94f5a)},
        {3, UINT64_C(0x85676696d7fb7e2d)},  {7, UINT64_C(0xab0200f58b01d137)}, {8, UINT64_C(0x93f5f5799a932462)},
        {15, UINT64_C(0xa129ca6149be45e5)},
    };
    uint8_t in[16];
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(siphash(seed, view_of(in, cases[i].n)) == cases[i].hash);
}

static void put_get_remove(void **state) {
    (void)state;
    struct map *map = map_new(seed, 100);
    int a, b, c;
    assert_null(map_get(map, VIEW("x")));
    assert_null(map_remove(map, VIEW("x")));
    assert_int_equal(map_put(map, VIEW("x"), &a), ERR_OK);
    assert_int_equal(map_put(map, VIEW("x\0"), &b), ERR_OK); /* NUL is data */
    assert_int_equal(map_put(map, VIEW_NONE, &c), ERR_OK);
    assert_ptr_equal(map_get(map, VIEW("x")), &a);
    assert_ptr_equal(map_get(map, VIEW("x\0")), &b);
    assert_ptr_equal(map_get(map, VIEW("")), &c);
    assert_null(map_get(map, VIEW("X")));
    assert_int_equal(map_put(map, VIEW("x"), &b), ERR_OK);
    assert_int_equal(map_count(map), 3);
    assert_ptr_equal(map_remove(map, VIEW("x")), &b);
    assert_null(map_get(map, VIEW("x")));
    assert_ptr_equal(map_get(map, VIEW("x\0")), &b);
    assert_int_equal(map_count(map), 2);
    map_free(map);
    map_free(NULL);
}

static void keys_are_copied(void **state) {
    (void)state;
    struct map *map = map_new(seed, 10);
    for (size_t n = 1; n < 40; n += 5) { /* short ones and long ones */
        uint8_t key[40], same[40];
        memset(key, 'k', sizeof(key));
        memset(same, 'k', sizeof(same));
        assert_int_equal(map_put(map, view_of(key, n), &map), ERR_OK);
        memset(key, 'z', sizeof(key));
        assert_ptr_equal(map_get(map, view_of(same, n)), &map);
    }
    map_free(map);
}

static void the_limit_counts_entries(void **state) {
    (void)state;
    struct map *map = map_new(seed, 3);
    int v;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(map_put_u64(map, i, &v), ERR_OK);
    assert_int_equal(map_put_u64(map, 3, &v), ERR_LIMIT);
    assert_int_equal(map_put_u64(map, 2, map), ERR_OK); /* replacing is not adding */
    assert_ptr_equal(map_remove_u64(map, 0), &v);
    assert_int_equal(map_put_u64(map, 3, &v), ERR_OK);
    assert_null(map_get_u64(map, 0));
    assert_ptr_equal(map_get_u64(map, 2), map);
    map_free(map);
    map = map_new(seed, 0);
    assert_int_equal(map_put_u64(map, 1, &v), ERR_LIMIT);
    map_free(map);
}

static void like_a_plain_array(void **state) {
    (void)state;
    struct random_seeded rs;
    random_seeded_init(&rs, 11);
    struct map *map = map_new(seed, 1000);
    static char there[1000];
    size_t count = 0;
    memset(there, 0, sizeof(there));
    for (int step = 0; step < 50000; step++) {
        /* Waves: mostly adding, then mostly removing, so that it grows and shrinks and empties. */
        bool adding = random_below(&rs.random, 10) < (step / 5000 % 2 == 0 ? 8u : 2u);
        size_t i = random_below(&rs.random, 1000);
        char key[64];
        int n = snprintf(key, sizeof(key), i % 2 ? "%zu" : "a rather long key, number %zu", i);
        struct view v = view_of(key, (size_t)n);
        assert_ptr_equal(map_get(map, v), there[i] ? &there[i] : NULL);
        if (adding) {
            assert_int_equal(map_put(map, v, &there[i]), ERR_OK);
            count += !there[i];
            there[i] = 1;
        } else {
            assert_ptr_equal(map_remove(map, v), there[i] ? &there[i] : NULL);
            count -= there[i] != 0;
            there[i] = 0;
        }
        assert_int_equal(map_count(map), count);
    }
    size_t cursor = 0, seen = 0;
    void *value;
    while (map_next(map, &cursor, NULL, &value)) {
        assert_int_equal(*(char *)value, 1);
        *(char *)value = 2; /* once each */
        seen++;
    }
    assert_int_equal(seen, count);
    map_free(map);
}

static void removing_while_iterating(void **state) {
    (void)state;
    struct map *map = map_new(seed, 10000);
    static int values[5000];
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(map_put_u64(map, i, &values[i]), ERR_OK);
    size_t cursor = 0, seen = 0;
    struct view key;
    void *value;
    while (map_next(map, &cursor, &key, &value)) {
        int index = (int)((int *)value - values);
        assert_int_equal(key.n, 8);
        assert_int_equal(key.p[7], index & 255);
        if (index % 3 != 0)
            assert_ptr_equal(map_remove(map, key), value);
        seen++;
    }
    assert_int_equal(seen, 5000);
    assert_int_equal(map_count(map), 1667);
    cursor = 0;
    while (map_next(map, &cursor, &key, &value))
        assert_ptr_equal(map_remove(map, key), value);
    assert_int_equal(map_count(map), 0);
    assert_int_equal(map_put_u64(map, 1, &values[1]), ERR_OK);
    assert_ptr_equal(map_get_u64(map, 1), &values[1]);
    map_free(map);
}

static void many_entries(void **state) {
    (void)state;
    struct map *map = map_new(seed, 1000000);
    for (uint64_t i = 1; i <= 200000; i++)
        assert_int_equal(map_put_u64(map, i * 7919, (void *)(uintptr_t)i), ERR_OK);
    for (uint64_t i = 1; i <= 200000; i++)
        assert_int_equal((uintptr_t)map_get_u64(map, i * 7919), i);
    assert_null(map_get_u64(map, 5));
    map_free(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_vectors),  cmocka_unit_test(put_get_remove),
        cmocka_unit_test(keys_are_copied),    cmocka_unit_test(the_limit_counts_entries),
        cmocka_unit_test(like_a_plain_array), cmocka_unit_test(removing_while_iterating),
        cmocka_unit_test(many_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
