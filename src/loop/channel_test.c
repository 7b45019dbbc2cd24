/*
 * Channels over both transports: each scenario runs on a coroutine beside a
 * peer on the same loop, in process (virtual clock, seeded order) and over a
 * socketpair (the machine's clock).
 */
#include "loop/channel_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define R_leaf(F, S) F(S, U8, kind) F(S, VIEW, text, 20)
RECORD_DECLARE(leaf);
RECORD_DEFINE(leaf);
#define R_every(F, S) \
    F(S, U8, a)       \
    F(S, U16, b)      \
    F(S, U32, c)      \
    F(S, U64, d)      \
    F(S, I64, e) F(S, BOOL, f) F(S, VIEW, g, 100) F(S, ADDR, h) F(S, LIST, leaves, leaf, 10) F(S, RECORD, one, leaf)
RECORD_DECLARE(every);
RECORD_DEFINE(every);
#define R_number(F, S) F(S, U64, n)
RECORD_DECLARE(number);
RECORD_DEFINE(number);
#define R_blob(F, S) F(S, VIEW, data, 200000)
RECORD_DECLARE(blob);
RECORD_DEFINE(blob);
#define R_leaves(F, S) F(S, LIST, leaves, leaf, 100000)
RECORD_DECLARE(leaves);
RECORD_DEFINE(leaves);

static const struct message_type type_echo = {1, "echo", &every_record, &every_record, 4, 4};
static const struct message_type type_add = {2, "add", &number_record, &number_record, 0, 0};
static const struct message_type type_gate = {3, "gate", &number_record, &number_record, 1, 1};
static const struct message_type type_note = {4, "note", &number_record, NULL, 1, 0};
static const struct message_type type_blob = {5, "blob", &blob_record, &blob_record, 0, 0};
static const struct message_type type_fail = {6, "fail", &number_record, &number_record, 0, 1};
static const struct message_type type_relay = {7, "relay", &number_record, &number_record, 0, 0};
static const struct message_type type_trace = {8, "trace", &number_record, &number_record, 0, 0};
static const struct message_type type_leaves = {9, "leaves", &leaves_record, &number_record, 0, 0};
static const struct message_type type_free = {10, "free", &number_record, &number_record, 0, 0};
static const struct message_type type_unserved = {99, "unserved", &number_record, &number_record, 0, 0};

struct world {
    bool is_pair;
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    struct co_group *group;
    struct channel *a, *b; /* the scenario is at a; b is freed by a scenario that sets it to NULL */
    void (*scenario)(struct world *w);
    bool is_finished;

    unsigned closed_a, closed_b;
    enum err why_a, why_b;
    /* The gate: handlers wait until it is open. */
    bool is_open;
    struct waitq gate;
    unsigned at_gate, at_gate_most, canceled, served;
    uint64_t noted, notes_in_order, last_trace;
};

/* ---- handlers, the same on both sides ---- */

static enum err do_echo(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    memcpy(reply, call->request, sizeof(struct every));
    for (size_t i = 0; i < CHANNEL_HANDLES_MAX; i++) {
        handles[i] = call->handles[i];
        call->handles[i].kind = HANDLE_NONE;
    }
    return ERR_OK;
}

static enum err do_add(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)handles;
    uint64_t n = ((const struct number *)call->request)->n;
    for (uint64_t i = 0; i < n % 3; i++)
        TRY(co_yield ());
    ((struct number *)reply)->n = n + 1;
    return ERR_OK;
}

static enum err do_gate(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    struct world *w = ctx;
    enum err err = ERR_OK;
    w->at_gate++;
    w->at_gate_most = MAX(w->at_gate_most, w->at_gate);
    while (!w->is_open && err == ERR_OK)
        err = waitq_wait(&w->gate, US_NEVER);
    w->at_gate--;
    w->served++;
    if (err == ERR_CANCELED)
        w->canceled++;
    /* Answered with all it has even when nobody waits any more. */
    ((struct number *)reply)->n = ((const struct number *)call->request)->n;
    handles[0] = call->handles[0];
    call->handles[0].kind = HANDLE_NONE;
    return ERR_OK;
}

static enum err do_note(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    struct world *w = ctx;
    (void)handles;
    assert_null(reply);
    if (((const struct number *)call->request)->n == w->noted)
        w->notes_in_order++;
    w->noted++;
    return ERR_OK;
}

static enum err do_blob(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)handles;
    struct view data = ((const struct blob *)call->request)->data;
    ((struct blob *)reply)->data = data.n == 1 ? view_of(arena_alloc(call->arena, 150000), 150000) : data;
    return ERR_OK;
}

static enum err do_fail(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    struct world *w = ctx;
    (void)reply;
    enum err err = (enum err)((const struct number *)call->request)->n;
    if (err == ERR_OK) { /* a stream in memory has no descriptor to send */
        struct stream *other;
        handles[0].kind = HANDLE_STREAM;
        TRY(stream_new_pair(w->loop, 10, &handles[0].stream, &other));
        stream_free(other);
    }
    return err;
}

/* Asks the asker: its trace must come along. */
static enum err do_relay(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    struct world *w = ctx;
    (void)handles;
    struct number n = {0};
    w->last_trace = call->trace;
    return channel_call(call->channel, &type_trace, &n, NULL, 0, call->deadline_us, call->arena, reply, NULL);
}

static enum err do_trace(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)handles;
    ((struct number *)reply)->n = call->trace;
    return ERR_OK;
}

static enum err do_leaves(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)handles;
    ((struct number *)reply)->n = ((const struct leaves *)call->request)->leaves_n;
    return ERR_OK;
}

/* Ends its own channel, and goes on with what it does. */
static enum err do_free(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    struct world *w = ctx;
    (void)reply;
    (void)handles;
    assert_ptr_equal(call->channel, w->b);
    channel_free(w->b);
    w->b = NULL;
    assert_int_equal(co_sleep(1), ERR_OK);
    w->served++;
    return ERR_OK;
}

static const struct channel_handler handlers[] = {
    {&type_echo, do_echo},     {&type_add, do_add},   {&type_gate, do_gate},   {&type_note, do_note},
    {&type_blob, do_blob},     {&type_fail, do_fail}, {&type_relay, do_relay}, {&type_trace, do_trace},
    {&type_leaves, do_leaves}, {&type_free, do_free},
};

/* ---- the world ---- */

static void a_closed(void *ctx, enum err why) {
    struct world *w = ctx;
    assert_null(co_current());
    w->closed_a++;
    w->why_a = why;
}

static void b_closed(void *ctx, enum err why) {
    struct world *w = ctx;
    assert_null(co_current());
    w->closed_b++;
    w->why_b = why;
}

static void run_scenario(void *arg) {
    struct world *w = arg;
    w->scenario(w);
    channel_free(w->a);
    channel_free(w->b);
    co_group_end(w->group);
    w->is_finished = true;
    loop_stop(w->loop);
}

static void make_two(struct world *w, struct channel **a, struct channel **b) {
    int fds[2];
    if (w->is_pair) {
        assert_int_equal(channel_new_pair(w->loop, a, b), ERR_OK);
    } else {
        assert_int_equal(channel_socketpair(fds), ERR_OK);
        assert_int_equal(channel_new_fd(w->loop, fds[0], a), ERR_OK);
        assert_int_equal(channel_new_fd(w->loop, fds[1], b), ERR_OK);
    }
}

static void run_world(void (*scenario)(struct world *w), bool is_pair, uint64_t seed) {
    struct world w = {.is_pair = is_pair, .scenario = scenario};
    virtual_clock_init(&w.clock, 0);
    random_seeded_init(&w.random, seed);
    w.loop = is_pair ? loop_new_virtual(&w.clock, seed ? &w.random.random : NULL, NULL) : loop_new(NULL);
    assert_non_null(w.loop);
    w.group = co_group_new(w.loop);
    make_two(&w, &w.a, &w.b);
    channel_on_close(w.a, a_closed, &w);
    channel_on_close(w.b, b_closed, &w);
    assert_int_equal(channel_start(w.a, "a", handlers, ARRAY_LEN(handlers), &w, w.group), ERR_OK);
    assert_int_equal(channel_start(w.b, "b", handlers, ARRAY_LEN(handlers), &w, w.group), ERR_OK);
    assert_int_equal(co_spawn(w.loop, NULL, "scenario", run_scenario, &w, NULL), ERR_OK);
    loop_run(w.loop);
    assert_true(w.is_finished);
    loop_free(w.loop);
}

static void run_both(void (*scenario)(struct world *w)) {
    run_world(scenario, false, 0);
    for (uint64_t seed = 0; seed < 3; seed++)
        run_world(scenario, true, seed);
}

static int64_t in(struct world *w, int64_t us) {
    return loop_now_us(w->loop) + us;
}

static enum err call_number(struct world *w, const struct message_type *type, uint64_t n, int64_t deadline_us,
                            uint64_t *out) {
    struct number request = {n}, reply = {0};
    struct handle none[CHANNEL_HANDLES_MAX] = {{HANDLE_NONE, {NULL}}};
    enum err err = channel_call(w->a, type, &request, NULL, 0, deadline_us, NULL, &reply, none);
    if (err == ERR_OK && out != NULL)
        *out = reply.n;
    return err;
}

/* Lets everything that is under way happen. */
static void settle(struct world *w) {
    for (int i = 0; i < 50; i++)
        assert_int_equal(w->is_pair ? co_sleep(1) : co_yield (), ERR_OK);
}

/* A caller of its own: what it asked, and how that ended. */
struct caller {
    struct world *w;
    const struct message_type *type;
    uint64_t n, answer;
    int64_t deadline_us;
    enum err err;
    bool is_done;
    struct co *co;
};

static void run_caller(void *arg) {
    struct caller *caller = arg;
    caller->err = call_number(caller->w, caller->type, caller->n, caller->deadline_us, &caller->answer);
    caller->is_done = true;
}

static void spawn_caller(struct world *w, struct co_group *group, struct caller *caller) {
    caller->w = w;
    if (caller->deadline_us == 0)
        caller->deadline_us = US_NEVER;
    assert_int_equal(co_spawn(w->loop, group, "caller", run_caller, caller, &caller->co), ERR_OK);
}

/* ---- scenarios ---- */

static struct leaf sample_leaves[2] = {{1, VIEW_INIT("x\0y")}, {2, VIEW_INIT("")}};
static const struct every sample = {
    .a = 1,
    .b = 0x1234,
    .c = 0xdeadbeef,
    .d = UINT64_MAX,
    .e = INT64_MIN,
    .f = true,
    .g = VIEW_INIT("na\"me"),
    .h = {.family = 6, .ip = {[15] = 1}, .port = 25},
    .leaves = sample_leaves,
    .leaves_n = 2,
    .one = {9, VIEW_INIT("z")},
};

static void every_field(struct world *w) {
    struct arena *arena = arena_new("test", 10000);
    struct every reply;
    struct handle handles[CHANNEL_HANDLES_MAX];
    assert_int_equal(channel_call(w->a, &type_echo, &sample, NULL, 0, US_NEVER, arena, &reply, handles), ERR_OK);
    assert_true(record_equal(&every_record, &sample, &reply));
    for (size_t i = 0; i < CHANNEL_HANDLES_MAX; i++)
        assert_int_equal(handles[i].kind, HANDLE_NONE);
    /* Larger than the caller's budget: the caller's trouble, not the channel's. */
    struct arena *small = arena_new("small", 10);
    assert_int_equal(channel_call(w->a, &type_echo, &sample, NULL, 0, US_NEVER, small, &reply, handles), ERR_LIMIT);
    assert_true(channel_is_open(w->a));
    arena_free(small);
    arena_free(arena);
}

static void every_handle(struct world *w) {
    struct arena *arena = arena_new("test", 10000);
    struct every reply;
    struct handle handles[CHANNEL_HANDLES_MAX] = {{HANDLE_NONE, {NULL}}}, back[CHANNEL_HANDLES_MAX];
    struct file *file;
    assert_int_equal(file_new_memory("test", &file), ERR_OK);
    assert_int_equal(file_write(file, VIEW("content"), 0), ERR_OK);
    handles[0] = HANDLE_OF_FILE(file);
    struct stream *other_stream, *stream;
    struct net *net = w->is_pair ? net_new_sim(w->loop, NULL) : net_new(w->loop);
    struct listener *listener;
    struct netaddr local = {.family = 4, .ip = {127, 0, 0, 1}, .port = w->is_pair ? 99 : 0};
    assert_int_equal(net_listen(net, &local, &listener), ERR_OK);
    local = listener->local;
    assert_int_equal(net_connect(net, &local, NULL, US_NEVER, &other_stream), ERR_OK);
    assert_int_equal(listener_accept(listener, US_NEVER, &stream), ERR_OK);
    handles[1] = HANDLE_OF_STREAM(stream);
    struct channel *near, *far;
    make_two(w, &near, &far);
    handles[2] = HANDLE_OF_CHANNEL(far);
    handles[3] = HANDLE_OF_LISTENER(listener);
    assert_int_equal(channel_call(w->a, &type_echo, &sample, handles, 4, US_NEVER, arena, &reply, back), ERR_OK);

    for (size_t i = 0; i < CHANNEL_HANDLES_MAX; i++) {
        assert_int_equal(handles[i].kind, HANDLE_NONE);
        assert_int_equal(back[i].kind, HANDLE_FILE + i);
    }
    char text[20];
    size_t got;
    assert_int_equal(file_read(back[0].file, text, sizeof(text), 0, &got), ERR_OK);
    assert_int_equal(got, 7);
    assert_memory_equal(text, "content", 7);
    assert_int_equal(stream_write(other_stream, VIEW("ping"), US_NEVER), ERR_OK);
    assert_int_equal(stream_read(back[1].stream, text, sizeof(text), US_NEVER, &got), ERR_OK);
    assert_int_equal(got, 4);
    assert_int_equal(channel_start(near, "near", handlers, ARRAY_LEN(handlers), w, w->group), ERR_OK);
    assert_int_equal(channel_start(back[2].channel, "far", handlers, ARRAY_LEN(handlers), w, w->group), ERR_OK);
    struct number request = {41}, sum;
    assert_int_equal(channel_call(near, &type_add, &request, NULL, 0, US_NEVER, arena, &sum, NULL), ERR_OK);
    assert_int_equal(sum.n, 42);
    struct stream *again, *accepted;
    assert_int_equal(net_connect(net, &local, NULL, US_NEVER, &again), ERR_OK);
    assert_int_equal(listener_accept(back[3].listener, US_NEVER, &accepted), ERR_OK);

    stream_free(again);
    stream_free(accepted);
    stream_free(other_stream);
    handles_close(back, CHANNEL_HANDLES_MAX);
    channel_free(near);
    net_free(net);
    arena_free(arena);
}

/* What cannot travel is refused, in both directions, and everything goes on. */
static void handles_that_cannot_travel(struct world *w) {
    struct number request = {1}, reply;
    struct handle handle = HANDLE_OF_CHANNEL(NULL), back[CHANNEL_HANDLES_MAX];
    struct channel *near, *far;
    make_two(w, &near, &far);
    assert_int_equal(channel_start(far, "far", handlers, ARRAY_LEN(handlers), w, w->group), ERR_OK);
    handle.channel = far;
    w->is_open = true;
    assert_int_equal(channel_call(w->a, &type_gate, &request, &handle, 1, US_NEVER, NULL, &reply, back), ERR_PERMANENT);
    assert_int_equal(handle.kind, HANDLE_NONE);
    channel_free(near);
    if (!w->is_pair)
        assert_int_equal(call_number(w, &type_fail, ERR_OK, US_NEVER, NULL), ERR_PERMANENT);
    assert_int_equal(call_number(w, &type_add, 1, US_NEVER, NULL), ERR_OK);
}

static void errors_are_classes(struct world *w) {
    for (int err = ERR_OK + 1; err < ERR_COUNT; err++)
        assert_int_equal(call_number(w, &type_fail, (uint64_t)err, US_NEVER, NULL),
                         err == ERR_CANCELED ? ERR_AGAIN : err);
    assert_true(channel_is_open(w->a));
}

static void sizes(struct world *w) {
    static uint8_t octets[CHANNEL_PACKET_MAX];
    struct arena *arena = arena_new("test", CHANNEL_PACKET_MAX + 1000);
    struct blob request = {view_of(octets, CHANNEL_PACKET_MAX - 34)}, reply;
    struct handle back[CHANNEL_HANDLES_MAX];
    for (size_t i = 0; i < sizeof(octets); i++)
        octets[i] = (uint8_t)(i * 7);
    assert_int_equal(channel_call(w->a, &type_blob, &request, NULL, 0, US_NEVER, arena, &reply, back), ERR_OK);
    assert_true(view_eq(request.data, reply.data));
    request.data.n++;
    assert_int_equal(channel_call(w->a, &type_blob, &request, NULL, 0, US_NEVER, arena, &reply, back), ERR_LIMIT);
    /* A reply that is too large is an error for its caller only. */
    request.data.n = 1;
    assert_int_equal(channel_call(w->a, &type_blob, &request, NULL, 0, US_NEVER, arena, &reply, back), ERR_LIMIT);
    assert_true(channel_is_open(w->a) && channel_is_open(w->b));
    /* A good record of small elements that is over the handler's budget when decoded. */
    struct leaves many = {calloc(25000, sizeof(struct leaf)), 25000};
    assert_non_null(many.leaves);
    assert_true(25000 * sizeof(struct leaf) < CHANNEL_CALL_BUDGET);
    struct number count;
    assert_int_equal(channel_call(w->a, &type_leaves, &many, NULL, 0, US_NEVER, arena, &count, back), ERR_OK);
    assert_int_equal(count.n, 25000);
    free(many.leaves);
    arena_free(arena);
}

#define MANY 10000
static void many_calls(struct world *w) {
    struct caller *callers = calloc(MANY, sizeof(*callers));
    struct co_group *group = co_group_new(w->loop);
    assert_non_null(callers);
    for (size_t i = 0; i < MANY; i++) {
        callers[i].type = &type_add;
        callers[i].n = i;
        spawn_caller(w, group, &callers[i]);
        if (i % 500 == 499) {
            assert_int_equal(co_yield (), ERR_OK);
            assert_true(map_count(w->a->pending) <= CHANNEL_PENDING_MAX);
            assert_true(w->a->out_n <= CHANNEL_QUEUE_MAX);
        }
    }
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(callers[i].err, ERR_OK);
        assert_int_equal(callers[i].answer, i + 1);
    }
    assert_int_equal(map_count(w->a->pending), 0);
    assert_int_equal(w->b->unanswered, 0);
    co_group_free(group);
    free(callers);
}

static void one_way_in_order(struct world *w) {
    uint64_t sent = 0;
    for (int round = 0; round < 20; round++) {
        enum err err;
        do {
            struct number n = {sent};
            err = channel_send(w->a, &type_note, &n, NULL, 0);
            sent += err == ERR_OK;
        } while (err == ERR_OK && sent < 1000000);
        assert_int_equal(err, ERR_FULL);
        assert_true(w->a->out_n <= CHANNEL_QUEUE_MAX);
        while (w->noted < sent)
            assert_int_equal(co_sleep(1), ERR_OK);
    }
    assert_int_equal(w->notes_in_order, sent);
}

#define SLOW 3000
static void back_pressure(struct world *w) {
    struct caller *callers = calloc(SLOW, sizeof(*callers));
    struct co_group *group = co_group_new(w->loop);
    assert_non_null(callers);
    for (size_t i = 0; i < SLOW; i++) {
        callers[i].type = &type_gate;
        callers[i].n = i;
        spawn_caller(w, group, &callers[i]);
    }
    settle(w);
    /* Callers wait for room, the peer serves no more than it said, and nothing of it grows. */
    assert_int_equal(w->at_gate, CHANNEL_HANDLERS_MAX);
    assert_int_equal(map_count(w->a->pending), CHANNEL_PENDING_MAX);
    assert_true(w->b->backlog_n <= CHANNEL_BACKLOG_MAX);
    channel_set_handlers_max(w->b, CHANNEL_HANDLERS_MAX + 10);
    settle(w);
    assert_int_equal(w->at_gate, CHANNEL_HANDLERS_MAX + 10);
    /* One that waits for room gives up; the others get their turn all the same. */
    co_cancel(callers[SLOW - 1].co);
    settle(w);
    assert_true(callers[SLOW - 1].is_done);
    assert_int_equal(callers[SLOW - 1].err, ERR_CANCELED);
    w->is_open = true;
    waitq_wake_all(&w->gate);
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    for (size_t i = 0; i < SLOW - 1; i++) {
        assert_int_equal(callers[i].err, ERR_OK);
        assert_int_equal(callers[i].answer, i);
    }
    assert_int_equal(w->at_gate_most, CHANNEL_HANDLERS_MAX + 10);
    co_group_free(group);
    free(callers);
}

/* Requests of many octets: the peer reads no more than its backlog takes, the rest waits here, and all are served. */
struct blob_caller {
    struct world *w;
    enum err err;
};

static void run_blob_caller(void *arg) {
    static uint8_t octets[100000];
    struct blob_caller *caller = arg;
    struct arena *arena = arena_new("blob", 110000);
    struct blob request = {view_of(octets, sizeof(octets))}, reply;
    caller->err = channel_call(caller->w->a, &type_blob, &request, NULL, 0, US_NEVER, arena, &reply, NULL);
    arena_free(arena);
}

static void backlog_octets(struct world *w) {
    struct co_group *group = co_group_new(w->loop);
    struct caller callers[CHANNEL_HANDLERS_MAX];
    struct blob_caller blobs[60];
    memset(callers, 0, sizeof(callers));
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        callers[i].type = &type_gate;
        spawn_caller(w, group, &callers[i]);
    }
    settle(w);
    assert_int_equal(w->at_gate, CHANNEL_HANDLERS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
        blobs[i] = (struct blob_caller){w, ERR_BUG};
        assert_int_equal(co_spawn(w->loop, group, "blob", run_blob_caller, &blobs[i], NULL), ERR_OK);
    }
    settle(w);
    assert_true(w->b->is_paused);
    assert_true(w->b->backlog_bytes < CHANNEL_BACKLOG_BYTES + CHANNEL_PACKET_MAX);
    assert_true(w->a->out_bytes < CHANNEL_QUEUE_BYTES + CHANNEL_PACKET_MAX);
    w->is_open = true;
    waitq_wake_all(&w->gate);
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++)
        assert_int_equal(blobs[i].err, ERR_OK);
    assert_false(w->b->is_paused);
    co_group_free(group);
}

static void timeouts_and_cancels(struct world *w) {
    assert_int_equal(call_number(w, &type_gate, 1, in(w, -1), NULL), ERR_TIMEOUT);
    settle(w);
    assert_int_equal(w->served, 0); /* was not even sent */
    assert_int_equal(call_number(w, &type_gate, 1, in(w, 2000), NULL), ERR_TIMEOUT);
    while (w->served < 1)
        assert_int_equal(co_sleep(1), ERR_OK);
    assert_int_equal(w->canceled, 1);

    struct co_group *group = co_group_new(w->loop);
    struct caller caller = {.type = &type_gate, .n = 5};
    spawn_caller(w, group, &caller);
    settle(w);
    assert_int_equal(w->at_gate, 1);
    co_cancel(caller.co);
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    assert_int_equal(caller.err, ERR_CANCELED);
    settle(w);
    assert_int_equal(w->canceled, 2);
    /* Its late reply was dropped, and the channel is well. */
    assert_int_equal(map_count(w->a->pending), 0);
    uint64_t sum;
    assert_int_equal(call_number(w, &type_add, 1, US_NEVER, &sum), ERR_OK);
    assert_int_equal(sum, 2);
    co_group_free(group);
}

/* The reply to a cancelled request brings a handle: it is closed, not kept. */
static void late_reply_with_a_handle(struct world *w) {
    struct file *file;
    struct number request = {1}, reply;
    struct handle back[CHANNEL_HANDLES_MAX];
    assert_int_equal(file_new_memory("late", &file), ERR_OK);
    struct handle handle = HANDLE_OF_FILE(file_ref(file));
    assert_int_equal(channel_call(w->a, &type_gate, &request, &handle, 1, in(w, 2000), NULL, &reply, back),
                     ERR_TIMEOUT);
    while (map_count(w->a->pending) > 0)
        assert_int_equal(co_sleep(1), ERR_OK);
    assert_int_equal(file->refs, 1);
    file_unref(file);
    if (!w->is_pair) { /* no descriptor is left open: the lowest free one is the same as before */
        int before = dup(0);
        close(before);
        assert_int_equal(file_new_memory("late", &file), ERR_OK);
        handle = HANDLE_OF_FILE(file);
        assert_int_equal(channel_call(w->a, &type_gate, &request, &handle, 1, in(w, 2000), NULL, &reply, back),
                         ERR_TIMEOUT);
        while (map_count(w->a->pending) > 0)
            assert_int_equal(co_sleep(1), ERR_OK);
        int after = dup(0);
        close(after);
        assert_int_equal(before, after);
    }
}

static void the_peer_leaves(struct world *w) {
    struct co_group *group = co_group_new(w->loop);
    struct caller callers[10];
    memset(callers, 0, sizeof(callers));
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        callers[i].type = &type_gate;
        spawn_caller(w, group, &callers[i]);
    }
    settle(w);
    assert_int_equal(w->at_gate, ARRAY_LEN(callers));
    for (uint64_t i = 0; i < 5; i++) { /* what it said before it went is heard */
        struct number n = {i};
        assert_int_equal(channel_send(w->b, &type_note, &n, NULL, 0), ERR_OK);
    }
    channel_free(w->b);
    w->b = NULL;
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++)
        assert_int_equal(callers[i].err, ERR_AGAIN);
    settle(w);
    assert_int_equal(w->canceled, ARRAY_LEN(callers));
    assert_int_equal(w->notes_in_order, 5);
    assert_int_equal(w->closed_a, 1);
    assert_int_equal(w->why_a, ERR_CLOSED);
    assert_int_equal(w->closed_b, 0); /* who frees it knows */
    assert_false(channel_is_open(w->a));
    struct number n = {1};
    assert_int_equal(call_number(w, &type_add, 1, US_NEVER, NULL), ERR_AGAIN);
    assert_int_equal(channel_send(w->a, &type_note, &n, NULL, 0), ERR_AGAIN);
    co_group_free(group);
}

/* Our own end goes while calls wait in it. */
static void we_leave(struct world *w) {
    struct co_group *group = co_group_new(w->loop);
    struct caller *callers = calloc(SLOW, sizeof(*callers));
    assert_non_null(callers);
    for (size_t i = 0; i < SLOW; i++) {
        callers[i].type = &type_gate;
        spawn_caller(w, group, &callers[i]);
    }
    settle(w);
    channel_free(w->a);
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    w->a = NULL;
    for (size_t i = 0; i < SLOW; i++)
        assert_int_equal(callers[i].err, ERR_AGAIN);
    settle(w);
    assert_int_equal(w->closed_a, 0);
    assert_int_equal(w->closed_b, 1);
    assert_int_equal(w->at_gate, 0);
    free(callers);
    co_group_free(group);
}

static void traces_are_inherited(struct world *w) {
    uint64_t first, second, none;
    assert_int_equal(call_number(w, &type_relay, 0, US_NEVER, &first), ERR_OK);
    assert_int_equal(first, w->last_trace);
    assert_int_equal(call_number(w, &type_relay, 0, US_NEVER, &second), ERR_OK);
    assert_int_not_equal(first, second);
    assert_int_equal(call_number(w, &type_trace, 0, US_NEVER, &none), ERR_OK);
    assert_int_not_equal(none, second);
    co_set_trace(77);
    assert_int_equal(call_number(w, &type_trace, 0, US_NEVER, &none), ERR_OK);
    assert_int_equal(none, 77);
    struct caller child = {.type = &type_trace};
    struct co_group *group = co_group_new(w->loop);
    spawn_caller(w, group, &child);
    co_set_trace(0);
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    assert_int_equal(child.answer, 77);
    co_group_free(group);
}

/* Handlers that ask the asker, more than are served at a time, on both sides at once. */
static void calls_back_and_forth(struct world *w) {
    struct caller callers[300];
    struct co_group *group = co_group_new(w->loop);
    memset(callers, 0, sizeof(callers));
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        callers[i].type = &type_relay;
        spawn_caller(w, group, &callers[i]);
    }
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++)
        assert_int_equal(callers[i].err, ERR_OK);
    co_group_free(group);
}

static void a_handler_frees_its_channel(struct world *w) {
    assert_int_equal(call_number(w, &type_free, 0, US_NEVER, NULL), ERR_AGAIN);
    while (w->served == 0)
        assert_int_equal(co_sleep(1), ERR_OK);
    settle(w);
    assert_int_equal(w->closed_a, 1);
}

static void free_in_on_close(void *ctx, enum err why) {
    struct world *w = ctx;
    (void)why;
    channel_free(w->a);
    w->a = NULL;
    w->closed_a++;
}

static void told_late(struct world *w) {
    channel_on_close(w->a, NULL, NULL);
    channel_free(w->b);
    w->b = NULL;
    settle(w);
    assert_false(channel_is_open(w->a));
    channel_on_close(w->a, a_closed, w);
    settle(w);
    assert_int_equal(w->closed_a, 1);
}

static void freed_when_told(struct world *w) {
    channel_on_close(w->a, free_in_on_close, w);
    struct co_group *group = co_group_new(w->loop);
    struct caller caller = {.type = &type_gate};
    spawn_caller(w, group, &caller);
    settle(w);
    channel_free(w->b);
    w->b = NULL;
    assert_int_equal(co_group_wait(group, US_NEVER), ERR_OK);
    assert_int_equal(caller.err, ERR_AGAIN);
    settle(w);
    assert_int_equal(w->closed_a, 1);
    assert_null(w->a);
    co_group_free(group);
}

/* A role that is about to end does not begin with anything new. */
static void the_group_is_ending(struct world *w) {
    co_group_cancel(w->group);
    assert_int_equal(call_number(w, &type_add, 1, US_NEVER, NULL), ERR_AGAIN);
    assert_true(channel_is_open(w->a));
}

static void an_unknown_code(struct world *w) {
    assert_int_equal(call_number(w, &type_unserved, 1, US_NEVER, NULL), ERR_AGAIN);
    settle(w);
    assert_int_equal(w->why_b, ERR_SYNTAX);
    assert_int_equal(w->closed_b, 1);
    assert_int_equal(w->why_a, ERR_CLOSED);
}

static void not_started(struct world *w) {
    struct channel *near, *far;
    make_two(w, &near, &far);
    int fd = channel_take_fd(near);
    assert_true(w->is_pair ? fd == -1 : fd >= 0);
    if (w->is_pair)
        channel_free(near);
    else
        close(fd);
    assert_true(channel_is_open(far));
    assert_int_equal(channel_start(far, "far", handlers, ARRAY_LEN(handlers), w, w->group), ERR_OK);
    assert_int_equal(channel_take_fd(far), -1);
    settle(w);
    assert_false(channel_is_open(far));
    channel_free(far);
    /* What was said before the other end was started waits for it. */
    make_two(w, &near, &far);
    assert_int_equal(channel_start(near, "near", handlers, ARRAY_LEN(handlers), w, w->group), ERR_OK);
    struct number n = {0};
    assert_int_equal(channel_send(near, &type_note, &n, NULL, 0), ERR_OK);
    channel_free(near);
    settle(w);
    assert_int_equal(w->noted, 0);
    assert_int_equal(channel_start(far, "far", handlers, ARRAY_LEN(handlers), w, w->group), ERR_OK);
    settle(w);
    assert_int_equal(w->noted, 1);
    assert_false(channel_is_open(far));
    channel_free(far);
}

/* clang-format off */
#define SCENARIOS(X)                                                                                           \
    X(every_field) X(every_handle) X(handles_that_cannot_travel) X(errors_are_classes) X(sizes) X(many_calls)  \
    X(one_way_in_order) X(back_pressure) X(backlog_octets) X(timeouts_and_cancels) X(late_reply_with_a_handle) \
    X(the_peer_leaves) X(we_leave) X(traces_are_inherited) X(an_unknown_code) X(calls_back_and_forth)          \
    X(a_handler_frees_its_channel) X(freed_when_told) X(told_late) X(the_group_is_ending) X(not_started)
/* clang-format on */
#define TEST(name)                          \
    static void test_##name(void **state) { \
        (void)state;                        \
        run_both(name);                     \
    }
SCENARIOS(TEST)

int main(void) {
#define ENTRY(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {SCENARIOS(ENTRY)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
