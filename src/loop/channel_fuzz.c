/*
 * Fuzzes a whole channel: the input is a row of packets (two octets of length
 * each) that reach a started channel in process, on a virtual clock. Whatever
 * comes, it is served, refused or ends that channel; nothing is left behind.
 */
#include "base/reader.h"
#include "loop/channel_internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define R_fuzz_item(F, S) F(S, U8, kind) F(S, VIEW, text, 20)
RECORD_DECLARE(fuzz_item);
RECORD_DEFINE(fuzz_item);
#define R_fuzz_query(F, S) F(S, U32, n) F(S, LIST, items, fuzz_item, 10)
RECORD_DECLARE(fuzz_query);
RECORD_DEFINE(fuzz_query);

static const struct message_type type_query = {1, "query", &fuzz_query_record, &fuzz_query_record, 1, 1};
static const struct message_type type_tell = {2, "tell", &fuzz_query_record, NULL, 1, 0};

static enum err serve_query(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)handles;
    const struct fuzz_query *query = call->request;
    if (query->n % 4 == 1)
        return co_sleep(10);
    if (query->n % 4 == 2)
        TRY(co_yield ());
    *(struct fuzz_query *)reply = *query;
    return ERR_OK;
}

static enum err serve_tell(void *ctx, struct call *call, void *reply, struct handle handles[CHANNEL_HANDLES_MAX]) {
    (void)ctx;
    (void)reply;
    (void)handles;
    (void)call;
    return ERR_OK;
}

static const struct channel_handler handlers[] = {{&type_query, serve_query}, {&type_tell, serve_tell}};

struct world {
    struct loop *loop;
    struct channel *channel, *other;
    struct co_group *group;
    struct view in;
};

/* Two requests of our own, so that replies have something to be about. */
static void ask(void *arg) {
    struct world *w = arg;
    struct arena *arena = arena_new("fuzz", 1000);
    struct fuzz_query query = {1, NULL, 0}, reply;
    (void)!channel_call(w->channel, &type_query, &query, NULL, 0, 100, arena, &reply, NULL);
    arena_free(arena);
}

static void feed(void *arg) {
    struct world *w = arg;
    struct reader r = reader_of(w->in);
    while (!reader_at_end(&r) && channel_is_open(w->channel)) {
        size_t n = MIN((size_t)reader_be16(&r), reader_rest(&r).n);
        struct view octets = reader_take(&r, n);
        struct packet packet;
        if (reader_err(&r) != ERR_OK)
            break;
        struct handle handles[CHANNEL_HANDLES_MAX] = {{HANDLE_NONE, {NULL}}};
        if (packet_parse(octets, &packet) != ERR_OK) {
            channel_sever(w->channel, ERR_SYNTAX);
            break;
        }
        for (size_t i = 0; i < packet.handles_n; i++) {
            if (packet.kinds[i] != HANDLE_NONE && file_new_memory("fuzz", &handles[i].file) == ERR_OK)
                handles[i].kind = HANDLE_FILE;
        }
        channel_receive(w->channel, &packet, handles);
        if (octets.n % 2 == 1 && co_yield () != ERR_OK)
            break;
    }
    (void)!co_sleep(1000);
    channel_free(w->channel);
    channel_free(w->other);
    co_group_end(w->group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct virtual_clock clock;
    struct random_seeded random;
    virtual_clock_init(&clock, 0);
    random_seeded_init(&random, size);
    struct world w = {.loop = loop_new_virtual(&clock, &random.random, NULL), .in = view_of(data, size)};
    BUG_IF(w.loop == NULL);
    w.group = co_group_new(w.loop);
    BUG_IF(channel_new_pair(w.loop, &w.channel, &w.other) != ERR_OK);
    BUG_IF(channel_start(w.channel, "fuzz", handlers, ARRAY_LEN(handlers), NULL, w.group) != ERR_OK);
    for (int i = 0; i < 2; i++)
        BUG_IF(co_spawn(w.loop, w.group, "ask", ask, &w, NULL) != ERR_OK);
    BUG_IF(co_spawn(w.loop, NULL, "feed", feed, &w, NULL) != ERR_OK);
    loop_run(w.loop);
    loop_free(w.loop);
    return 0;
}
