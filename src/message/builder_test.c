/* The composer: what is written reads back equal, in lines that are short, in the smallest safe encoding. */
#include "message/testing.h"

#include "message/builder_testing.h"

#include <stdlib.h>

/* Seeds of the property test; VEREDUS_SEEDS asks for more. */
#define SEEDS 3000

/*
 * RFC5322-2.1.1, RFC5322-3.2.4, RFC5322-3.4, RFC5322-3.6, RFC2045-6.7, RFC2045-6.8, RFC2046-5.1.1, RFC2047-2,
 * RFC2047-5, RFC2047-6.2, RFC2183-2.3, RFC2231-3, RFC2231-4, RFC6532-3.2, RFC6854-2.1, RFC1847-2.1: random trees come
 * back equal.
 */
static void test_random_trees(void **state) {
    (void)state;
    const char *more = getenv("VEREDUS_SEEDS");
    uint64_t count = SEEDS;
    if (more != NULL)
        assert_int_equal(view_to_u64(view_cstr(more), UINT64_MAX, &count), ERR_OK);
    struct arena *arena = arena_new("test", 64 * 1024 * 1024);
    assert_non_null(arena);
    for (uint64_t seed = 0; seed < count; seed++) {
        struct random_seeded random;
        struct buf written;
        random_seeded_init(&random, seed);
        buf_init(&written, 64 * 1024 * 1024);
        struct choices choices = {.random = &random.random, .arena = arena};
        const char *error = round_trip(&choices, &written);
        if (error != NULL) {
            fail_msg("seed %llu: %s, in\n%.*s", (unsigned long long)seed, error, VIEW_FMT(buf_view(&written)));
        }
        buf_fini(&written);
        arena_clear(arena);
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
