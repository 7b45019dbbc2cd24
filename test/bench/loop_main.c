/*
 * bench_loop: what the loop itself costs: switches between coroutines, their
 * making and ending, round trips over a channel in process and over a socket,
 * one at a time and many.
 */
#include "bench/bench.h"

#include "loop/channel.h"
#include "loop/loop.h"

#include <stdlib.h>

#define MANY 16 /* askers on one channel */

#define R_echo(F, S) F(S, U64, number) F(S, VIEW, text, 1000)
RECORD_DECLARE(echo);
RECORD_DEFINE(echo);
static const struct message_type echo_message = {
    .code = 1, .name = "echo", .request = &echo_record, .reply = &echo_record};

struct bench {
    struct loop *loop;
    struct channel *client, *server;
    uint64_t each, running;
};

static void end_one(struct bench *b) {
    if (--b->running == 0)
        loop_stop(b->loop);
}

static void switcher(void *arg) {
    struct bench *b = arg;
    for (uint64_t i = 0; i < b->each; i++)
        if (co_yield () != ERR_OK)
            bench_die("co_yield", "failed");
    end_one(b);
}

static void nothing(void *arg) {
    (void)arg;
}

static void maker(void *arg) {
    struct bench *b = arg;
    for (uint64_t i = 0; i < b->each; i++)
        if (co_spawn(b->loop, NULL, "nothing", nothing, NULL, NULL) != ERR_OK || co_yield () != ERR_OK)
            bench_die("co_spawn", "failed");
    end_one(b);
}

static void asker(void *arg) {
    struct bench *b = arg;
    struct arena *arena = arena_new("ask", 65536);
    for (uint64_t i = 0; i < b->each; i++) {
        struct echo request = {
            .number = i,
            .text = VIEW("a hundred octets or so are what most messages between roles have, names, ids and numbers")};
        struct echo reply;
        if (channel_call(b->client, &echo_message, &request, NULL, 0, US_NEVER, arena, &reply, NULL) != ERR_OK ||
            reply.number != i)
            bench_die("channel_call", "failed");
        arena_clear(arena);
    }
    arena_free(arena);
    end_one(b);
}

static enum err serve_echo(void *ctx, struct call *call, void *reply,
                           struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)reply_handles;
    *(struct echo *)reply = *(const struct echo *)call->request;
    return ERR_OK;
}

/* `n` coroutines run `body`; prints what one step of one of them took. */
static void measure(struct bench *b, const char *what, uint64_t n, void (*body)(void *), uint64_t total) {
    struct buf out;
    b->each = MAX(total / n, (uint64_t)1);
    b->running = n;
    int64_t start_us = bench_now_us();
    for (uint64_t i = 0; i < n; i++)
        if (co_spawn(b->loop, NULL, what, body, b, NULL) != ERR_OK)
            bench_die("co_spawn", "failed");
    loop_run(b->loop);
    int64_t took_us = MAX(bench_now_us() - start_us, (int64_t)1);
    buf_init(&out, 10000);
    buf_printf(&out,
               "{\"bench\":\"loop\",\"what\":\"%s\",\"at_a_time\":%llu,\"steps\":%llu,\"ns_per_step\":%.1f,\"steps_per_"
               "second\":%.0f}",
               what, (unsigned long long)n, (unsigned long long)(b->each * n),
               (double)took_us * 1e3 / (double)(b->each * n), (double)(b->each * n) * 1e6 / (double)took_us);
    bench_print(&out);
    buf_fini(&out);
}

static void open_channel(struct bench *b, bool over_socket) {
    static const struct channel_handler handlers[] = {{&echo_message, serve_echo}};
    int fds[2];
    enum err err = over_socket ? channel_socketpair(fds) : channel_new_pair(b->loop, &b->client, &b->server);
    if (err == ERR_OK && over_socket)
        err = channel_new_fd(b->loop, fds[0], &b->client);
    if (err == ERR_OK && over_socket)
        err = channel_new_fd(b->loop, fds[1], &b->server);
    if (err == ERR_OK)
        err = channel_start(b->server, "server", handlers, ARRAY_LEN(handlers), NULL, NULL);
    if (err == ERR_OK)
        err = channel_start(b->client, "client", NULL, 0, NULL, NULL);
    if (err != ERR_OK)
        bench_die("a channel", err_name(err));
}

static void settle(void *arg) {
    struct bench *b = arg;
    for (int i = 0; i < 10; i++)
        if (co_yield () != ERR_OK)
            break;
    loop_stop(b->loop);
}

static void close_channel(struct bench *b) {
    channel_free(b->client);
    channel_free(b->server);
    if (co_spawn(b->loop, NULL, "settle", settle, b, NULL) == ERR_OK)
        loop_run(b->loop);
}

int main(int argc, char **argv) {
    uint64_t steps = 200000;
    const struct bench_option options[] = {
        {"--steps", BENCH_NUMBER, &steps, 100000000, "of each measurement (200000)"}};
    bench_options(argc, argv, options, ARRAY_LEN(options));
    struct bench b = {.loop = loop_new(NULL)};
    if (b.loop == NULL)
        bench_die("loop_new", "failed");
    measure(&b, "switch", 2, switcher, steps * 5);
    measure(&b, "switch", 1000, switcher, steps * 5);
    measure(&b, "spawn", 1, maker, steps);
    open_channel(&b, false);
    measure(&b, "call in process", 1, asker, steps);
    measure(&b, "call in process", MANY, asker, steps);
    close_channel(&b);
    open_channel(&b, true);
    measure(&b, "call over a socket", 1, asker, steps);
    measure(&b, "call over a socket", MANY, asker, steps);
    close_channel(&b);
    loop_free(b.loop);
    return 0;
}
