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
    } cases[] = {{2000, 3000}, {4096, 100000}, {70000, 700}, {1 << 20, 1 << 20}};
    struct world w;
    world_init(&w, 2);
    world_add_self_signed(&w, 0, localhost, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct side a, b;
        sides_init(&w, &a, &b, cases[i].capacity);
        sides_shake(&w, &a, &b);
        assert_int_equal(a.err, ERR_OK);
        size_t n = cases[i].capacity < 4000 ? LARGE / 16 : LARGE;
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

/* ---- ends ---- */

struct script {
    struct side *a, *b;
    bool is_done;
};

static struct tls_stream *inside(struct stream *stream) {
    return (struct tls_stream *)stream;
}

static void expect(struct stream *stream, const char *text) {
    uint8_t p[100];
    size_t got;
    struct view v = view_cstr(text);
    assert_int_equal(stream_read(stream, p, sizeof(p), US_NEVER, &got), ERR_OK);
    assert_true(view_eq(view_of(p, got), v));
}

static void say(struct stream *stream, const char *text) {
    assert_int_equal(stream_write(stream, view_cstr(text), US_NEVER), ERR_OK);
}

static enum err read_once(struct stream *stream, int64_t for_us) {
    uint8_t byte;
    size_t got;
    return stream_read(stream, &byte, 1, loop_now_us(stream->loop) + for_us, &got);
}

/* RFC8446-6.1: one direction ends, the other goes on. */
static void half_closes(void *arg) {
    struct script *s = arg;
    say(s->a->tls, "last");
    stream_shutdown(s->a->tls);
    stream_shutdown(s->a->tls);
    assert_int_equal(stream_write(s->a->tls, VIEW("more"), US_NEVER), ERR_CLOSED);
    expect(s->b->tls, "last");
    for (int i = 0; i < 2; i++)
        assert_int_equal(read_once(s->b->tls, US_PER_S), ERR_CLOSED);
    assert_false(tls_stream_is_truncated(s->b->tls));
    say(s->b->tls, "answer");
    expect(s->a->tls, "answer");
    /* It goes without its goodbye. */
    stream_shutdown(inside(s->b->tls)->inner);
    for (int i = 0; i < 2; i++)
        assert_int_equal(read_once(s->a->tls, US_PER_S), ERR_CLOSED);
    assert_true(tls_stream_is_truncated(s->a->tls));
    s->is_done = true;
}

/* What waits is woken and nothing is lost; a deadline leaves the stream whole. */
static void interrupts(void *arg) {
    struct script *s = arg;
    stream_interrupt(s->a->tls);
    assert_int_equal(read_once(s->a->tls, US_PER_S), ERR_AGAIN);
    assert_int_equal(read_once(s->a->tls, US_PER_S), ERR_TIMEOUT);
    /* A part of a record, then an interruption, then the rest. */
    struct tls_stream *b = inside(s->b->tls);
    size_t n = 0;
    ERR_clear_error();
    assert_int_equal(SSL_write_ex(b->ssl, "whole", 5, &n), 1);
    assert_int_equal(stream_write(b->inner, view_sub(buf_view(&b->out), 0, 9), US_NEVER), ERR_OK);
    assert_int_equal(read_once(s->a->tls, US_PER_S), ERR_TIMEOUT);
    stream_interrupt(s->a->tls);
    assert_int_equal(read_once(s->a->tls, US_PER_S), ERR_AGAIN);
    assert_int_equal(stream_write(b->inner, view_skip(buf_view(&b->out), 9), US_NEVER), ERR_OK);
    buf_clear(&b->out);
    expect(s->a->tls, "whole");
    say(s->b->tls, "more");
    expect(s->a->tls, "more");
    assert_int_equal(stream_take_fd(s->a->tls), -1);
    s->is_done = true;
}

/* RFC8446-5.2: a record that does not decrypt ends the connection, and only that one. */
static void breaks(void *arg) {
    struct script *s = arg;
    say(s->b->tls, "before");
    expect(s->a->tls, "before");
    assert_int_equal(stream_write(inside(s->b->tls)->inner,
                                  VIEW("\x17\x03\x03\x00\x20"
                                       "0123456789abcdef0123456789abcdef"),
                                  US_NEVER),
                     ERR_OK);
    assert_int_equal(read_once(s->a->tls, US_PER_S), ERR_SYNTAX);
    assert_int_equal(read_once(s->a->tls, US_PER_S), ERR_CLOSED);
    assert_int_equal(stream_write(s->a->tls, VIEW("x"), US_NEVER), ERR_CLOSED);
    /* The alert arrives. */
    assert_int_equal(read_once(s->b->tls, US_PER_S), ERR_SYNTAX);
    stream_shutdown(s->a->tls);
    s->is_done = true;
}

static void test_scripts(void **state) {
    (void)state;
    static void (*const scripts[])(void *) = {half_closes, interrupts, breaks};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct world w;
    world_init(&w, 3);
    world_add_self_signed(&w, 0, localhost, 1);
    for (size_t i = 0; i < ARRAY_LEN(scripts) * ARRAY_LEN(versions); i++) {
        SSL_CTX_set_max_proto_version(w.client->any, versions[i / ARRAY_LEN(scripts)]);
        struct side a, b, c, d;
        sides_init(&w, &a, &b, 4096);
        sides_shake(&w, &a, &b);
        sides_init(&w, &c, &d, 4096);
        sides_shake(&w, &c, &d);
        struct script s = {.a = &a, .b = &b}, other = {.a = &c, .b = &d};
        assert_int_equal(co_spawn(w.loop, NULL, "script", scripts[i % ARRAY_LEN(scripts)], &s, NULL), ERR_OK);
        assert_int_equal(co_spawn(w.loop, NULL, "other", half_closes, &other, NULL), ERR_OK);
        loop_run(w.loop);
        assert_true(s.is_done && other.is_done);
        sides_fini(&a, &b);
        sides_fini(&c, &d);
    }
    world_fini(&w);
}

/* ---- two coroutines ---- */

/* A writer that is stuck does not stop the reader, even when that one owes the peer an answer. */
static void test_stuck_writer(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 4);
    world_add_self_signed(&w, 0, localhost, 1);
    struct side a, b;
    sides_init(&w, &a, &b, 2000);
    sides_shake(&w, &a, &b);
    size_t n = 300000;
    struct mover out = {.stream = a.tls, .p = calloc(1, n + 1), .n = n, .piece = n};
    struct mover in = {.stream = a.tls, .p = malloc(n + 1), .n = n, .piece = 1000};
    struct mover up = {.stream = b.tls, .p = calloc(1, n + 1), .n = n, .piece = 5000};
    struct mover down = {.stream = b.tls, .p = malloc(n + 1), .n = n, .piece = 1000};
    assert_int_equal(co_spawn(w.loop, NULL, "out", sends, &out, NULL), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "in", receives, &in, NULL), ERR_OK);
    loop_run(w.loop);
    assert_true(inside(a.tls)->is_flushing);
    /* RFC8446-4.6.3: b asks for new keys, then sends: a must answer between two pieces of what it writes. */
    assert_int_equal(SSL_key_update(inside(b.tls)->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(co_spawn(w.loop, NULL, "up", sends, &up, NULL), ERR_OK);
    loop_run(w.loop);
    assert_true(inside(a.tls)->is_flushing);
    assert_int_equal(co_spawn(w.loop, NULL, "down", receives, &down, NULL), ERR_OK);
    loop_run(w.loop);
    assert_int_equal(in.at, n);
    assert_int_equal(down.at, n);
    assert_int_equal(out.err, ERR_OK);
    assert_int_equal(up.err, ERR_OK);
    sides_fini(&a, &b);

    /* Cancelled in the middle of a record: the stream is over for both. */
    sides_init(&w, &a, &b, 2000);
    sides_shake(&w, &a, &b);
    struct co *co;
    out = (struct mover){.stream = a.tls, .p = out.p, .n = n, .piece = n};
    assert_int_equal(co_spawn(w.loop, NULL, "out", sends, &out, &co), ERR_OK);
    loop_run(w.loop);
    co_cancel(co);
    loop_run(w.loop);
    assert_int_equal(out.err, ERR_CANCELED);
    in = (struct mover){.stream = a.tls, .p = in.p, .n = n, .piece = 1000};
    assert_int_equal(co_spawn(w.loop, NULL, "in", receives, &in, NULL), ERR_OK);
    loop_run(w.loop);
    assert_int_equal(in.err, ERR_CLOSED);
    stream_shutdown(a.tls); /* on the main stack: nothing is written, and nothing breaks */
    sides_fini(&a, &b);
    free(out.p);
    free(in.p);
    free(up.p);
    free(down.p);
    world_fini(&w);
}

/* How an edge serves a session that runs elsewhere. */
struct pumping {
    struct stream *tls, *other;
    struct co_group *group;
    enum err err;
};

static void pumps(void *arg) {
    struct pumping *p = arg;
    p->err = stream_pump(p->tls, p->other, p->group, 60 * US_PER_S);
}

static void echoes(void *arg) {
    struct mover *m = arg;
    size_t got;
    while ((m->err = stream_read(m->stream, m->p, m->piece, US_NEVER, &got)) == ERR_OK)
        assert_int_equal(stream_write(m->stream, view_of(m->p, got), US_NEVER), ERR_OK);
    stream_shutdown(m->stream);
}

static void test_pump(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 5);
    world_add_self_signed(&w, 0, localhost, 1);
    struct side a, b;
    sides_init(&w, &a, &b, 4096);
    sides_shake(&w, &a, &b);
    size_t n = LARGE / 4;
    struct pumping p = {.tls = a.tls, .group = co_group_new(w.loop)};
    struct mover echo = {.p = malloc(9000), .piece = 9000};
    struct mover out = {.stream = b.tls, .p = malloc(n), .n = n, .piece = 20000};
    struct mover in = {.stream = b.tls, .p = malloc(n + 1), .n = n, .piece = 20000};
    random_fill(&w.random.random, out.p, n);
    assert_int_equal(stream_new_pair(w.loop, 8192, &p.other, &echo.stream), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "pump", pumps, &p, NULL), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "echo", echoes, &echo, NULL), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "out", sends, &out, NULL), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "in", receives, &in, NULL), ERR_OK);
    loop_run(w.loop);
    assert_int_equal(p.err, ERR_OK);
    assert_int_equal(in.err, ERR_CLOSED);
    assert_int_equal(in.at, n);
    assert_memory_equal(in.p, out.p, n);
    assert_false(tls_stream_is_truncated(b.tls));
    co_group_free(p.group);
    stream_free(p.other);
    stream_free(echo.stream);
    sides_fini(&a, &b);
    free(echo.p);
    free(out.p);
    free(in.p);
    world_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_stuck_writer),
        cmocka_unit_test(test_pump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
