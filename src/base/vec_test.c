/* Growable arrays: order under insertion and removal, limits. */
#include "base/vec.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct thing {
    uint32_t id;
    char text[9];
};

static void limits(void **state) {
    (void)state;
    for (size_t limit = 0; limit < 40; limit++) {
        struct vec vec = VEC_OF(struct thing, limit);
        for (size_t i = 0; i < limit; i++) {
            struct thing *thing = vec_add(&vec);
            assert_non_null(thing);
            assert_int_equal(thing->id, 0);
            memset(thing, 0xff, sizeof(*thing));
        }
        assert_null(vec_add(&vec));
        assert_null(vec_insert(&vec, 0));
        assert_int_equal(vec.n, limit);
        assert_true(vec.cap <= limit);
        vec_clear(&vec);
        if (limit > 0)
            assert_int_equal(((struct thing *)vec_add(&vec))->id, 0);
        vec_fini(&vec);
        assert_null(vec.p);
    }
}

/* The same steps on a plain array must give the same. */
static void like_a_plain_array(void **state) {
    (void)state;
    struct random_seeded rs;
    random_seeded_init(&rs, 7);
    struct vec vec = VEC_OF(uint32_t, 200);
    uint32_t model[200];
    size_t n = 0;
    for (uint32_t step = 1; step < 5000; step++) {
        if (n < 200 && (n == 0 || random_below(&rs.random, 5) < 3)) {
            size_t at = random_below(&rs.random, n + 1);
            uint32_t *value = vec_insert(&vec, at);
            assert_int_equal(*value, 0);
            *value = step;
            memmove(model + at + 1, model + at, (n - at) * sizeof(*model));
            model[at] = step;
            n++;
        } else {
            size_t at = random_below(&rs.random, n), count = random_below(&rs.random, MIN(n - at, (size_t)4) + 1);
            vec_remove(&vec, at, count);
            memmove(model + at, model + at + count, (n - at - count) * sizeof(*model));
            n -= count;
        }
        assert_int_equal(vec.n, n);
        if (n > 0)
            assert_memory_equal(vec.p, model, n * sizeof(*model));
    }
    size_t seen = 0;
    VEC_EACH(&vec, uint32_t, it)
    assert_int_equal(*it, model[seen++]);
    assert_int_equal(seen, n);
    assert_int_equal(*VEC_AT(&vec, uint32_t, n - 1), model[n - 1]);
    vec_fini(&vec);
    VEC_EACH(&vec, uint32_t, none)
    fail_msg("an empty vector has element %u", *none);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(limits), cmocka_unit_test(like_a_plain_array)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
