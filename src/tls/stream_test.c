/* The stream: large transfers both ways at once, both kinds of end, interruption, what is broken, memory. */
#include "tls/testing.h"

static const struct view localhost[] = {VIEW_INIT("localhost")};

struct mover {
    struct stream *stream;
    uint8_t *p; /* what is sent, or what came */
    size_t n, at, piece;
    enum err err;
};

/* Random pieces up to `piece`. */
static void sends(void *arg) {
    struct mover *m = arg;
    for (size_t i = 0; m->at < m->n && m->err == ERR_OK; i++) {
        size_t n = MIN(m->n - m->at, 1 + (i * 7919) % m->piece);
        m->err = stream_write(m->stream, view_of(m->p + m->at, n), US_NEVER);
        m->at += n;
    }
    if (m->err == ERR_OK)
        stream_shutdown(m->stream);
}

static void receives(void *arg) {
    struct mover *m = arg;
    size_t got;
    while ((m->err = stream_read(m->stream, m->p + m->at, MIN(m->n + 1 - m->at, m->piece), US_NEVER, &got)) == ERR_OK)
        m->at += got;
}

#define LARGE ((size_t)4 * 1024 * 1024)

static void test_both_ways(void **state) {
    (void)state;
    static const struct {
        size_t capacity, piece;
    } cases[] = {{600, 3000}, {4096, 100000}, {70000, 700}, {1 << 20, 1 << 20}};
    struct world w;
    world_init(&w, 2);
    world_add_self_signed(&w, 0, localhost, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct side a, b;
        sides_init(&w, &a, &b, cases[i].capacity);
        sides_shake(&w, &a, &b);
        assert_int_equal(a.err, ERR_OK);
        size_t n = cases[i].capacity < 1000 ? LARGE / 16 : LARGE;
        struct mover movers[4];
        for (size_t k = 0; k < 4; k++) {
            movers[k] =
                (struct mover){.stream = k % 2 ? b.tls : a.tls, .p = malloc(n + 1), .n = n, .piece = cases[i].piece};
            if (k < 2)
                random_fill(&w.random.random, movers[k].p, n);
            assert_int_equal(co_spawn(w.loop, NULL, "mover", k < 2 ? sends : receives, &movers[k], NULL), ERR_OK);
        }
        loop_run(w.loop);
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(movers[k].err, ERR_OK);
            assert_int_equal(movers[3 - k].err, ERR_CLOSED);
            assert_int_equal(movers[3 - k].at, n);
            assert_memory_equal(movers[k].p, movers[3 - k].p, n);
        }
        assert_false(tls_stream_is_truncated(a.tls) || tls_stream_is_truncated(b.tls));
        for (size_t k = 0; k < 4; k++)
            free(movers[k].p);
        sides_fini(&a, &b);
    }
    world_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
