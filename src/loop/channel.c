/* Channels: lifetime, the queue of outgoing packets, our requests and the peer's replies. */
#include "loop/channel_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A request of ours, until its reply comes: also when nobody waits for it any more, since the peer answers each one. */
struct pending {
    const struct message_type *type;
    bool is_done, is_abandoned;
    struct waitq done;
    /* The caller's, while it waits. */
    struct arena *arena;
    void *reply;
    /* The outcome. */
    enum err err;
    struct handle handles[CHANNEL_HANDLES_MAX];
};

/* ---- lifetime ---- */

enum err channel_make(struct loop *loop, const struct transport *transport, struct channel **out) {
    static const uint8_t seed[16]; /* our own counter is the key: nobody else chooses it */
    struct channel *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return ERR_NO_MEMORY;
    *c = (struct channel){.loop = loop,
                          .transport = transport,
                          .refs = 1,
                          .fd = -1,
                          .name = "channel",
                          .running_max = CHANNEL_HANDLERS_MAX};
    c->pending = map_new(seed, CHANNEL_PENDING_MAX);
    if (c->pending == NULL) {
        free(c);
        return ERR_NO_MEMORY;
    }
    *out = c;
    return ERR_OK;
}

void channel_ref(struct channel *c) {
    c->refs++;
}

void channel_unref(struct channel *c) {
    if (--c->refs > 0)
        return;
    c->transport->destroy(c);
    timer_free(c->tell);
    map_free(c->pending);
    free(c);
}

static void tell(void *ctx) {
    struct channel *c = ctx;
    if (c->is_told || c->is_freed || c->closed == NULL)
        return;
    c->is_told = true;
    c->closed(c->closed_ctx, c->why);
}

void channel_tell_closed(struct channel *c) {
    if (c->is_severed && c->is_started && !c->is_freed && !c->is_told && c->backlog_first == NULL &&
        c->starting_first == NULL)
        timer_arm(c->tell, loop_now_us(c->loop));
}

static void fail_pending(struct channel *c) {
    size_t cursor = 0;
    void *value;
    while (map_next(c->pending, &cursor, NULL, &value)) {
        struct pending *p = value;
        if (p->is_abandoned) {
            free(p);
            continue;
        }
        p->is_done = true;
        p->err = ERR_AGAIN;
        waitq_wake_all(&p->done);
    }
    map_free(c->pending);
    c->pending = NULL;
}

void channel_sever(struct channel *c, enum err why) {
    if (c->is_severed)
        return;
    channel_ref(c);
    c->is_severed = true;
    c->why = why;
    c->transport->sever(c);
    for (struct outgoing *out; (out = channel_dequeue(c)) != NULL;)
        outgoing_free(out);
    fail_pending(c);
    waitq_wake_all(&c->room);
    serve_cancel_all(c, why == ERR_SYNTAX);
    serve_pump(c);
    channel_unref(c);
}

void channel_free(struct channel *c) {
    if (c == NULL)
        return;
    BUG_IF(c->is_freed);
    c->is_freed = true;
    channel_sever(c, ERR_CLOSED);
    serve_cancel_all(c, true);
    if (c->tell != NULL)
        timer_disarm(c->tell);
    channel_unref(c);
}

enum err channel_start(struct channel *c, const char *name, const struct channel_handler *handlers, size_t n, void *ctx,
                       struct co_group *group) {
    BUG_IF(c->is_started);
    if (c->tell == NULL)
        c->tell = timer_new(c->loop, tell, c);
    if (c->tell == NULL)
        return ERR_NO_MEMORY;
    c->name = name;
    c->handlers = handlers;
    c->handlers_n = n;
    c->ctx = ctx;
    c->group = group;
    c->is_started = true;
    enum err err = c->transport->start(c);
    if (err != ERR_OK)
        c->is_started = false;
    return err;
}

void channel_on_close(struct channel *c, void (*closed)(void *ctx, enum err why), void *ctx) {
    c->closed = closed;
    c->closed_ctx = ctx;
    channel_tell_closed(c); /* it may be over already */
}

void channel_set_handlers_max(struct channel *c, size_t n) {
    BUG_IF(n < 1 || n > CHANNEL_PENDING_MAX);
    c->running_max = n;
    serve_pump(c);
}

bool channel_is_open(const struct channel *c) {
    return !c->is_severed;
}

void channel_set_user(struct channel *c, void *user) {
    c->user = user;
}

void *channel_user(const struct channel *c) {
    return c->user;
}

int channel_take_fd(struct channel *c) {
    if (c->is_started || c->is_severed)
        return -1;
    int fd = c->transport->take_fd(c);
    if (fd >= 0)
        channel_free(c);
    return fd;
}

/* ---- the queue ---- */

void outgoing_free(struct outgoing *out) {
    if (out == NULL)
        return;
    handles_close(out->handles, CHANNEL_HANDLES_MAX);
    for (size_t i = 0; i < out->fds_n; i++)
        (void)close(out->fds[i]);
    buf_fini(&out->octets);
    free(out);
}

static void wake_room(struct channel *c) {
    if (c->is_severed)
        return;
    if (channel_queue_has_room(c) && map_count(c->pending) < CHANNEL_PENDING_MAX)
        waitq_wake_one(&c->room);
}

bool channel_queue_has_room(const struct channel *c) {
    return c->out_n < CHANNEL_QUEUE_MAX && c->out_bytes < CHANNEL_QUEUE_BYTES;
}

static size_t count_handles(const struct handle *handles, size_t n) {
    while (n > 0 && handles[n - 1].kind == HANDLE_NONE)
        n--;
    return n;
}

enum err outgoing_new(struct channel *c, struct packet header, const struct record_type *type, const void *record,
                      struct handle *handles, size_t n, struct outgoing **result) {
    struct outgoing *out = calloc(1, sizeof(*out));
    if (out == NULL) {
        handles_close(handles, n);
        return ERR_NO_MEMORY;
    }
    out->kind = header.kind;
    out->code = header.code;
    out->id = header.id;
    out->handles_n = header.handles_n = count_handles(handles, n);
    for (size_t i = 0; i < out->handles_n; i++) {
        out->handles[i] = handles[i];
        header.kinds[i] = handles[i].kind;
        handles[i].kind = HANDLE_NONE;
    }
    /* Secrets travel here too (proofs, keys): nothing of a packet stays behind in freed memory. */
    buf_init_secret(&out->octets, CHANNEL_PACKET_MAX);
    packet_put_header(&header, &out->octets);
    enum err err = record == NULL ? buf_err(&out->octets) : record_encode(type, record, &out->octets);
    if (err == ERR_OK)
        err = c->transport->pack(out);
    if (err != ERR_OK) {
        outgoing_free(out);
        return err;
    }
    *result = out;
    return ERR_OK;
}

void channel_queue(struct channel *c, struct outgoing *out) {
    if (c->is_severed) {
        outgoing_free(out);
        return;
    }
    out->next = NULL;
    *(c->out_last ? &c->out_last->next : &c->out_first) = out;
    c->out_last = out;
    c->out_n++;
    c->out_bytes += out->octets.n;
    if (out->kind == PACKET_REPLY) {
        c->replies_n++;
        c->replies_bytes += out->octets.n;
    }
    c->transport->flush(c);
}

static void uncount(struct channel *c, const struct outgoing *out) {
    c->out_n--;
    c->out_bytes -= out->octets.n;
    if (out->kind == PACKET_REPLY) {
        c->replies_n--;
        c->replies_bytes -= out->octets.n;
        c->unanswered--;
    }
}

struct outgoing *channel_dequeue(struct channel *c) {
    struct outgoing *out = c->out_first;
    if (out == NULL)
        return NULL;
    c->out_first = out->next;
    if (c->out_first == NULL)
        c->out_last = NULL;
    uncount(c, out);
    wake_room(c);
    return out;
}

/* Takes back a request that has not left; false when it has. */
static bool unqueue_request(struct channel *c, uint64_t id) {
    struct outgoing *before = NULL;
    for (struct outgoing *out = c->out_first; out != NULL; before = out, out = out->next) {
        if (out->kind != PACKET_REQUEST || out->id != id)
            continue;
        *(before ? &before->next : &c->out_first) = out->next;
        if (c->out_last == out)
            c->out_last = before;
        uncount(c, out);
        outgoing_free(out);
        return true;
    }
    return false;
}

/* ---- our requests ---- */

static enum err wait_for_room(struct channel *c, int64_t deadline_us) {
    for (;;) {
        if (co_is_canceled(co_current()))
            return ERR_CANCELED;
        if (c->is_severed)
            return ERR_AGAIN;
        if (deadline_us <= loop_now_us(c->loop))
            return ERR_TIMEOUT;
        if (channel_queue_has_room(c) && map_count(c->pending) < CHANNEL_PENDING_MAX)
            return ERR_OK;
        enum err err = waitq_wait(&c->room, deadline_us);
        if (err != ERR_OK) {
            wake_room(c); /* the room that was meant for this one is another's now */
            return err;
        }
    }
}

/* For calls that no request caused: enough to find the lines of one call in the logs of two roles. */
static uint64_t new_trace(struct channel *c) {
    uint64_t x = (uint64_t)loop_wall_us(c->loop) ^ (c->last_id << 48);
    x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    return x == 0 ? 1 : x;
}

static uint64_t trace_of_call(struct channel *c) {
    uint64_t trace = co_trace();
    return trace != 0 ? trace : new_trace(c);
}

/* Nobody waits for the reply any more; it will come all the same, unless the request had not left yet. */
static void abandon(struct channel *c, uint64_t id, struct pending *p) {
    if (c->transport->may_take_back && unqueue_request(c, id)) {
        (void)map_remove_u64(c->pending, id);
        free(p);
        wake_room(c);
        return;
    }
    p->is_abandoned = true;
    p->arena = NULL;
    p->reply = NULL;
    struct outgoing *out;
    struct packet header = {.kind = PACKET_CANCEL, .id = id};
    /* Without memory the peer works on in vain, and nothing else is lost. */
    if (outgoing_new(c, header, NULL, NULL, NULL, 0, &out) == ERR_OK)
        channel_queue(c, out);
}

static enum err send_request(struct channel *c, const struct message_type *type, const void *request,
                             struct handle *handles, size_t n, int64_t deadline_us, struct pending *p) {
    struct packet header = {
        .kind = PACKET_REQUEST,
        .code = type->code,
        .id = c->last_id + 1,
        .trace = trace_of_call(c),
        .remaining_us = deadline_us == US_NEVER ? PACKET_NEVER : (uint64_t)(deadline_us - loop_now_us(c->loop)),
    };
    struct outgoing *out;
    TRY(outgoing_new(c, header, type->request, request, handles, n, &out));
    enum err err = map_put_u64(c->pending, header.id, p);
    if (err != ERR_OK) {
        outgoing_free(out);
        return err;
    }
    c->last_id = header.id;
    channel_queue(c, out);
    wake_room(c);
    return ERR_OK;
}

static enum err ask(struct channel *c, const struct message_type *type, const void *request, struct handle *handles,
                    size_t n, int64_t deadline_us, struct arena *arena, void *reply,
                    struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    TRY(wait_for_room(c, deadline_us));
    struct pending *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return ERR_NO_MEMORY;
    *p = (struct pending){.type = type, .arena = arena, .reply = reply};
    enum err err = send_request(c, type, request, handles, n, deadline_us, p);
    if (err != ERR_OK) {
        free(p);
        return err;
    }
    uint64_t id = c->last_id;
    while (!p->is_done && err == ERR_OK)
        err = waitq_wait(&p->done, deadline_us);
    if (!p->is_done) {
        abandon(c, id, p);
        return err;
    }
    err = p->err;
    if (err == ERR_OK && reply_handles != NULL)
        memcpy(reply_handles, p->handles, sizeof(p->handles));
    else
        handles_close(p->handles, CHANNEL_HANDLES_MAX);
    free(p);
    return err;
}

enum err channel_call(struct channel *c, const struct message_type *type, const void *request, struct handle *handles,
                      size_t n, int64_t deadline_us, struct arena *arena, void *reply,
                      struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    BUG_IF(!c->is_started || type->reply == NULL || n > type->request_handles || co_current() == NULL);
    channel_ref(c); /* its owner may free it while we wait */
    enum err err = ask(c, type, request, handles, n, deadline_us, arena, reply, reply_handles);
    handles_close(handles, n);
    channel_unref(c);
    return err;
}

enum err channel_send(struct channel *c, const struct message_type *type, const void *request, struct handle *handles,
                      size_t n) {
    BUG_IF(!c->is_started || type->reply != NULL || n > type->request_handles);
    enum err err = ERR_OK;
    if (c->is_severed)
        err = ERR_AGAIN;
    else if (!channel_queue_has_room(c))
        err = ERR_FULL;
    if (err != ERR_OK) {
        handles_close(handles, n);
        return err;
    }
    struct packet header = {.kind = PACKET_ONE_WAY, .code = type->code, .trace = trace_of_call(c)};
    struct outgoing *out;
    TRY(outgoing_new(c, header, type->request, request, handles, n, &out));
    channel_queue(c, out);
    return ERR_OK;
}

/* ---- replies ---- */

/* Whether decoded records of the type refer to other memory. */
static bool refers(const struct record_type *type) {
    for (size_t i = 0; i < type->n; i++) {
        const struct field *field = &type->fields[i];
        if (field->kind == FIELD_VIEW || field->kind == FIELD_LIST ||
            (field->kind == FIELD_RECORD && refers(field->sub)))
            return true;
    }
    return false;
}

/* The record is known to be good: what fails here is the caller's budget. */
static enum err take_record(struct pending *p, struct view record) {
    if (refers(p->type->reply))
        TRY(arena_view(p->arena, record, &record));
    return record_decode(p->type->reply, record, p->arena, p->reply);
}

static enum err receive_reply(struct channel *c, const struct packet *packet, struct handle *handles) {
    struct pending *p = map_get_u64(c->pending, packet->id);
    /* Each request is answered once, also a cancelled one: an id that is not there was never used or was answered. */
    if (p == NULL || packet->code != p->type->code || packet->handles_n > p->type->reply_handles)
        return ERR_SYNTAX;
    if (packet->err == ERR_OK && record_check(p->type->reply, packet->record) != ERR_OK)
        return ERR_SYNTAX;
    (void)map_remove_u64(c->pending, packet->id);
    if (p->is_abandoned) {
        free(p);
        wake_room(c);
        return ERR_OK;
    }
    p->err = packet->err == ERR_OK ? take_record(p, packet->record) : packet->err;
    if (packet->err == ERR_CANCELED) /* not by us, or nobody would wait: the peer's role is ending */
        p->err = ERR_AGAIN;
    for (size_t i = 0; p->err == ERR_OK && i < packet->handles_n; i++) {
        p->handles[i] = handles[i];
        handles[i].kind = HANDLE_NONE;
    }
    p->is_done = true;
    waitq_wake_all(&p->done);
    wake_room(c);
    return ERR_OK;
}

void channel_receive(struct channel *c, const struct packet *packet, struct handle handles[CHANNEL_HANDLES_MAX]) {
    enum err err = ERR_SYNTAX;
    channel_ref(c);
    switch (packet->kind) {
    case PACKET_REQUEST:
    case PACKET_ONE_WAY:
        err = serve_receive(c, packet, handles);
        break;
    case PACKET_REPLY:
        err = receive_reply(c, packet, handles);
        break;
    case PACKET_CANCEL:
        err = serve_cancel(c, packet->id);
        break;
    }
    handles_close(handles, CHANNEL_HANDLES_MAX);
    if (err != ERR_OK)
        channel_sever(c, err == ERR_SYNTAX ? ERR_SYNTAX : ERR_CLOSED);
    channel_unref(c); /* NOLINT(clang-analyzer-unix.Malloc): the reference was taken above */
}
