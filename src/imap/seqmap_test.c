/* Sequence maps against a plain list of UIDs. */
#include "imap/seqmap.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_numbers(void **state) {
    (void)state;
    struct seqmap map;
    seqmap_init(&map);
    assert_int_equal(seqmap_last(&map), 0);
    assert_int_equal(seqmap_uid(&map, 1), 0);
    assert_int_equal(seqmap_add(&map, 10, 19), ERR_OK);
    assert_int_equal(seqmap_add(&map, 30, 30), ERR_OK);
    assert_int_equal(seqmap_count(&map), 11);
    assert_int_equal(seqmap_uid(&map, 1), 10);
    assert_int_equal(seqmap_uid(&map, 10), 19);
    assert_int_equal(seqmap_uid(&map, 11), 30);
    assert_int_equal(seqmap_uid(&map, 12), 0);
    assert_int_equal(seqmap_seq(&map, 30), 11);
    assert_int_equal(seqmap_seq(&map, 20), 0);
    assert_int_equal(seqmap_remove(&map, 12, 14), ERR_OK);
    assert_int_equal(seqmap_seq(&map, 15), 3);
    assert_int_equal(seqmap_seq(&map, 30), 8);
    assert_int_equal(seqmap_last(&map), 30);
    /* Joins three ranges. */
    assert_int_equal(seqmap_add(&map, 12, 29), ERR_OK);
    assert_int_equal(map.ranges.n, 1);
    assert_int_equal(seqmap_count(&map), 21);
    assert_int_equal(seqmap_add(&map, 0, 5), ERR_SYNTAX);
    assert_int_equal(seqmap_add(&map, 6, 5), ERR_SYNTAX);
    assert_int_equal(seqmap_add(&map, UINT32_MAX, UINT32_MAX), ERR_OK);
    assert_int_equal(seqmap_seq(&map, UINT32_MAX), 22);
    assert_int_equal(seqmap_remove(&map, 1, UINT32_MAX), ERR_OK);
    assert_int_equal(seqmap_count(&map), 0);
    seqmap_fini(&map);
}

/* RFC3501-2.3.1.2: a million messages in one range cost what one costs. */
static void test_large(void **state) {
    (void)state;
    struct seqmap map;
    seqmap_init(&map);
    assert_int_equal(seqmap_add(&map, 1, 1000000), ERR_OK);
    assert_int_equal(map.ranges.n, 1);
    struct seqmap gone;
    seqmap_init(&gone);
    for (uint32_t uid = 10 + (1000000 - 10) % 7; uid <= 1000000; uid += 7)
        assert_int_equal(seqmap_add(&gone, uid, uid), ERR_OK);
    assert_int_equal(seqmap_subtract(&map, &gone), ERR_OK);
    assert_int_equal(seqmap_common(&map, &gone), 0);
    seqmap_fini(&gone);
    uint32_t seq = 0;
    for (uint32_t uid = 1; uid <= 1000000; uid++) {
        if (uid >= 10 && (1000000 - uid) % 7 == 0)
            assert_int_equal(seqmap_seq(&map, uid), 0);
        else
            assert_int_equal(seqmap_seq(&map, uid), ++seq);
    }
    assert_int_equal(seqmap_count(&map), seq);
    seqmap_fini(&map);
}

#define UIDS 200

static void compare(struct seqmap *map, const bool *model) {
    uint32_t seq = 0, last = 0;
    for (uint32_t uid = 1; uid < UIDS; uid++) {
        assert_int_equal(seqmap_has(map, uid), model[uid]);
        if (model[uid]) {
            last = uid;
            assert_int_equal(seqmap_seq(map, uid), ++seq);
            assert_int_equal(seqmap_uid(map, seq), uid);
        } else {
            assert_int_equal(seqmap_seq(map, uid), 0);
        }
        uint32_t next = uid, previous = uid, a, b;
        while (next < UIDS && !model[next])
            next++;
        while (previous > 0 && !model[previous])
            previous--;
        assert_int_equal(seqmap_next_range(map, uid, &a, &b), next < UIDS);
        if (next < UIDS)
            assert_int_equal(a, next);
        assert_int_equal(seqmap_prev_range(map, uid, &a, &b), previous > 0);
        if (previous > 0)
            assert_int_equal(b, previous);
    }
    assert_int_equal(seqmap_count(map), seq);
    assert_int_equal(seqmap_last(map), last);
}

static void test_model(void **state) {
    (void)state;
    struct random_seeded random;
    struct seqmap map, other;
    bool models[2][UIDS] = {{false}};
    random_seeded_init(&random, 20261124);
    seqmap_init(&map);
    seqmap_init(&other);
    for (int round = 0; round < 3000; round++) {
        uint32_t first = 1 + (uint32_t)random_below(&random.random, UIDS - 1);
        uint32_t length = (uint32_t)random_below(&random.random, round % 3 == 0 ? 30 : 3);
        uint32_t last = MIN(UIDS - 1, first + length);
        bool add = random_below(&random.random, 2) == 0, on_other = random_below(&random.random, 4) == 0;
        struct seqmap *m = on_other ? &other : &map;
        bool *plain = models[on_other];
        assert_int_equal(add ? seqmap_add(m, first, last) : seqmap_remove(m, first, last), ERR_OK);
        for (uint32_t uid = first; uid <= last; uid++)
            plain[uid] = add;
        if (round % 50 == 49) {
            assert_int_equal(seqmap_subtract(&map, &other), ERR_OK);
            for (uint32_t uid = 1; uid < UIDS; uid++)
                models[0][uid] = models[0][uid] && !models[1][uid];
            compare(&map, models[0]);
        }
        if (round % 4 == 0) /* numbers are made lazily: not always asked for */
            compare(m, plain);
        uint32_t common = 0;
        for (uint32_t uid = 1; uid < UIDS; uid++)
            common += models[0][uid] && models[1][uid];
        assert_int_equal(seqmap_common(&map, &other), common);
    }
    seqmap_fini(&map);
    seqmap_fini(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
