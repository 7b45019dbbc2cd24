/*
 * Fuzz target: the greeter against a hostile client, on a virtual loop: any
 * octets, in pieces of any size. Logging in works with user "u" and password
 * "p" and hands over; the record must decode again. Nothing may hang or leak.
 */
#include "imap/greeter.h"

#include <stdlib.h>

struct world {
    struct loop *loop;
    struct stream *server, *client;
    struct view input;
    size_t step;
};

static enum imap_auth_outcome auth(void *ctx, struct view authzid, struct view user, struct view password) {
    (void)ctx;
    (void)authzid;
    return view_eq(user, VIEW("u")) && view_eq(password, VIEW("p")) ? IMAP_AUTH_OK : IMAP_AUTH_WRONG;
}

static enum err start(void *ctx, const struct imap_handover *handover) {
    struct buf out;
    struct imap_handover back;
    struct arena *arena = arena_new("fuzz", (size_t)1024 * 1024);
    (void)ctx;
    buf_init(&out, (size_t)256 * 1024);
    BUG_IF(arena == NULL || record_encode(&imap_handover_record, handover, &out) != ERR_OK);
    BUG_IF(record_decode(&imap_handover_record, buf_view(&out), arena, &back) != ERR_OK);
    BUG_IF(!record_equal(&imap_handover_record, handover, &back));
    buf_fini(&out);
    arena_free(arena);
    return ERR_OK;
}

static void serve(void *arg) {
    static const struct imap_greeter_ops ops = {.auth = auth, .start = start};
    struct world *w = arg;
    struct imap_greeter_params params = {.ops = &ops, .host = VIEW("h"), .allow_plain = true};
    struct stream *stream = w->server;
    (void)imap_greeter_run(&params, &stream);
    stream_free(w->server);
}

static void drain(void *arg) {
    struct world *w = arg;
    uint8_t octets[4096];
    size_t got;
    while (stream_read(w->client, octets, sizeof(octets), US_NEVER, &got) == ERR_OK)
        continue;
}

static void send(void *arg) {
    struct world *w = arg;
    struct view left = w->input;
    while (left.n > 0) {
        struct view piece = view_sub(left, 0, w->step);
        if (stream_write(w->client, piece, US_NEVER) != ERR_OK)
            break;
        left = view_skip(left, piece.n);
    }
    stream_shutdown(w->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct virtual_clock clock;
    struct world w = {.input = view_of(data + 1, size - 1), .step = 1 + (size_t)data[0] * 4};
    virtual_clock_init(&clock, 0);
    w.loop = loop_new_virtual(&clock, NULL, NULL);
    BUG_IF(w.loop == NULL || stream_new_pair(w.loop, 65536, &w.server, &w.client) != ERR_OK);
    BUG_IF(co_spawn(w.loop, NULL, "server", serve, &w, NULL) != ERR_OK);
    BUG_IF(co_spawn(w.loop, NULL, "drain", drain, &w, NULL) != ERR_OK);
    BUG_IF(co_spawn(w.loop, NULL, "send", send, &w, NULL) != ERR_OK);
    loop_run(w.loop);
    stream_free(w.client);
    loop_free(w.loop);
    return 0;
}
