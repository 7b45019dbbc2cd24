/*
 * The control socket in the simulated house: pieces, silence, too many at once,
 * and a directory that dies: what was answered is there afterwards.
 */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PIPE (256 * 1024)
#define LINE_MAX_OCTETS (1024 * 1024)
#define CONNECTIONS 16 /* CONTROL_CONNECTIONS_MAX of roles/directory_control.c */
#define IDLE_S 30      /* and its CONTROL_IDLE_US */

static const char *const ACCOUNTS[] = {"user@localhost"};

struct control {
    struct sim *sim;
    struct stream *stream;
    struct input input;
};

static void control_open(struct sim *sim, struct control *c) {
    struct stream *theirs;
    c->sim = sim;
    assert_int_equal(stream_new_pair(sim->loop, PIPE, &c->stream, &theirs), ERR_OK);
    input_init(&c->input, c->stream, LINE_MAX_OCTETS);
    supervisor_control(sim->supervisor, theirs, 0, 1);
}

static void control_close(struct control *c) {
    input_fini(&c->input);
    stream_free(c->stream);
}

static enum err control_write(struct control *c, struct view v) {
    return stream_write(c->stream, v, loop_now_us(c->sim->loop) + 60 * US_PER_S);
}

/* A line into out (emptied), without its newline. */
static enum err control_read(struct control *c, struct buf *out) {
    ssize_t end;
    while ((end = view_find_byte(input_pending(&c->input), '\n')) < 0)
        TRY(input_fill(&c->input, loop_now_us(c->sim->loop) + 120 * US_PER_S));
    buf_clear(out);
    buf_put(out, view_sub(input_pending(&c->input), 0, (size_t)end));
    input_consume(&c->input, (size_t)end + 1);
    return ERR_OK;
}

static bool control_says(struct control *c, const char *request, const char *answer) {
    struct buf line;
    buf_init(&line, LINE_MAX_OCTETS);
    bool good = control_write(c, view_cstr(request)) == ERR_OK && control_read(c, &line) == ERR_OK &&
                view_find(buf_view(&line), view_cstr(answer)) >= 0;
    if (!good)
        print_error("%sgot: %.*s\n", request, VIEW_FMT(buf_view(&line)));
    buf_fini(&line);
    return good;
}

#define ADD "{\"id\":1,\"op\":\"domain.add\",\"domain\":\"example.org\"}\n"
#define LIST "{\"id\":2,\"op\":\"domain.list\"}\n"

static void story_pieces(struct sim *sim, void *arg) {
    (void)arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct control c;
    struct buf line;
    buf_init(&line, LINE_MAX_OCTETS);
    control_open(sim, &c);
    struct view request = VIEW(ADD);
    for (size_t i = 0; i < request.n; i++) {
        assert_int_equal(control_write(&c, view_sub(request, i, 1)), ERR_OK);
        assert_int_equal(co_yield (), ERR_OK);
    }
    assert_int_equal(control_read(&c, &line), ERR_OK);
    assert_true(view_starts(buf_view(&line), VIEW("{\"id\":1,\"ok\":true,")));
    assert_true(control_says(&c, ADD, "\"error\":\"exists\""));
    /* then it says nothing, and is closed: not before its time, nor long after */
    int64_t before_us = loop_now_us(sim->loop);
    assert_int_equal(control_read(&c, &line), ERR_CLOSED);
    int64_t waited_us = loop_now_us(sim->loop) - before_us;
    assert_true(waited_us >= (IDLE_S - 1) * US_PER_S && waited_us <= (IDLE_S + 5) * US_PER_S);
    control_close(&c);
    buf_fini(&line);
    sim_stop(sim);
}

static void story_many(struct sim *sim, void *arg) {
    (void)arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct control c[CONNECTIONS + 1];
    struct buf line;
    buf_init(&line, LINE_MAX_OCTETS);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        control_open(sim, &c[i]);
        assert_true(control_says(&c[i], LIST, "\"name\":\"localhost\""));
    }
    control_open(sim, &c[CONNECTIONS]);
    assert_int_equal(control_read(&c[CONNECTIONS], &line), ERR_CLOSED);
    assert_true(control_says(&c[0], LIST, "\"name\":\"localhost\"")); /* the others go on */
    control_close(&c[CONNECTIONS]);
    control_close(&c[1]);
    assert_int_equal(co_sleep(US_PER_S), ERR_OK);
    control_open(sim, &c[1]); /* and there is room again */
    assert_true(control_says(&c[1], LIST, "\"name\":\"localhost\""));
    for (size_t i = 0; i < CONNECTIONS; i++)
        control_close(&c[i]);
    buf_fini(&line);
    sim_stop(sim);
}

static void story_killed(struct sim *sim, void *arg) {
    (void)arg;
    assert_int_equal(sim_start(sim), ERR_OK);
    struct control c;
    struct buf line;
    buf_init(&line, LINE_MAX_OCTETS);
    control_open(sim, &c);
    assert_true(control_says(&c, ADD, "\"ok\":true"));
    assert_true(sim_kill(sim, ROLE_DIRECTORY, 0));
    assert_int_equal(control_read(&c, &line), ERR_CLOSED);
    control_close(&c);
    bool found = false;
    for (unsigned i = 0; i < 100 && !found; i++) { /* the supervisor starts it again after a pause */
        assert_int_equal(co_sleep(US_PER_S), ERR_OK);
        control_open(sim, &c);
        found = control_write(&c, VIEW(LIST)) == ERR_OK && control_read(&c, &line) == ERR_OK &&
                view_find(buf_view(&line), VIEW("\"example.org\"")) >= 0;
        control_close(&c);
    }
    assert_true(found);
    buf_fini(&line);
    sim_stop(sim);
}

static void play(void (*story)(struct sim *sim, void *arg)) {
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct sim sim;
        sim_init(&sim, seed, NULL, ACCOUNTS, ARRAY_LEN(ACCOUNTS));
        if (!sim_run(&sim, story, NULL))
            fail_msg("seed %llu got stuck", (unsigned long long)seed);
        disk_free(sim_fini(&sim));
    }
}

static void test_pieces(void **state) {
    (void)state;
    play(story_pieces);
}

static void test_many(void **state) {
    (void)state;
    play(story_many);
}

static void test_killed(void **state) {
    (void)state;
    play(story_killed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces), cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
