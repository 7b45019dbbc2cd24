/*
 * The serving side of a channel: the peer's requests and one-way messages wait
 * in a backlog in the order they came, and each is served on a coroutine of its
 * own. They also begin in that order, whatever order the loop draws: a
 * coroutine takes what has waited longest when it begins.
 */
#include "loop/channel_internal.h"

#include <stdlib.h>
#include <string.h>

struct served {
    struct served *prev, *next;   /* in the backlog or among the running */
    struct served *next_starting; /* running, and no coroutine has begun with it */
    struct channel *channel;
    const struct channel_handler *handler;
    uint64_t id;
    bool is_one_way, is_begun, is_canceled;
    struct co *co;
    struct call call;
    size_t n; /* the record's octets */
    uint8_t octets[];
};

static const struct channel_handler *find_handler(const struct channel *c, uint16_t code) {
    for (size_t i = 0; i < c->handlers_n; i++) {
        if (c->handlers[i].type->code == code)
            return &c->handlers[i];
    }
    return NULL;
}

static size_t handles_of(const struct served *s) {
    size_t n = 0;
    for (size_t i = 0; i < CHANNEL_HANDLES_MAX; i++)
        n += s->call.handles[i].kind != HANDLE_NONE;
    return n;
}

static void backlog_add(struct channel *c, struct served *s) {
    s->prev = c->backlog_last;
    s->next = NULL;
    *(c->backlog_last ? &c->backlog_last->next : &c->backlog_first) = s;
    c->backlog_last = s;
    c->backlog_n++;
    c->backlog_bytes += s->n;
    c->backlog_handles += handles_of(s);
}

static void backlog_remove(struct channel *c, struct served *s) {
    *(s->prev ? &s->prev->next : &c->backlog_first) = s->next;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it cannot know that prev and next agree */
    *(s->next ? &s->next->prev : &c->backlog_last) = s->prev;
    c->backlog_n--;
    c->backlog_bytes -= s->n;
    c->backlog_handles -= handles_of(s);
}

static void running_add(struct channel *c, struct served *s) {
    s->prev = NULL;
    s->next = c->running;
    if (c->running != NULL)
        c->running->prev = s;
    c->running = s;
    c->running_n++;
}

static void running_remove(struct channel *c, struct served *s) {
    *(s->prev ? &s->prev->next : &c->running) = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    c->running_n--;
}

static void served_free(struct served *s) {
    handles_close(s->call.handles, CHANNEL_HANDLES_MAX);
    wipe(s->octets, s->n);
    free(s);
}

/* ---- replies ---- */

/* Answers a request, with the record only on ERR_OK. Takes the handles. */
static void answer(struct channel *c, const struct served *s, enum err err, const void *reply, struct handle *handles,
                   size_t n) {
    struct packet header = {.kind = PACKET_REPLY, .code = s->handler->type->code, .id = s->id, .err = err};
    struct outgoing *out;
    if (s->is_one_way || c->is_severed) {
        handles_close(handles, n);
        return;
    }
    if (err != ERR_OK) {
        handles_close(handles, n);
        err = outgoing_new(c, header, NULL, NULL, NULL, 0, &out);
    } else {
        err = outgoing_new(c, header, s->handler->type->reply, reply, handles, n, &out);
        if (err != ERR_OK) { /* a record or a handle that cannot travel: say so instead */
            header.err = err;
            err = outgoing_new(c, header, NULL, NULL, NULL, 0, &out);
        }
    }
    if (err == ERR_OK)
        channel_queue(c, out);
    else /* a caller must not wait for a reply that never comes */
        channel_sever(c, ERR_CLOSED);
}

/* ---- serving ---- */

static enum err run(struct served *s, struct arena *arena, void **reply, struct handle *reply_handles) {
    struct channel *c = s->channel;
    const struct message_type *type = s->handler->type;
    if (s->is_canceled || co_is_canceled(s->co))
        return ERR_CANCELED;
    if (s->call.deadline_us <= loop_now_us(c->loop))
        return ERR_TIMEOUT;
    void *request = arena == NULL ? NULL : arena_alloc(arena, type->request->size);
    if (request == NULL)
        return ERR_NO_MEMORY;
    TRY(record_decode(type->request, view_of(s->octets, s->n), arena, request));
    if (type->reply != NULL) {
        *reply = arena_alloc(arena, type->reply->size);
        if (*reply == NULL)
            return ERR_NO_MEMORY;
    }
    s->call.channel = c;
    s->call.type = type;
    s->call.arena = arena;
    s->call.request = request;
    co_set_trace(s->call.trace);
    return s->handler->handle(c->ctx, &s->call, *reply, reply_handles);
}

static void body(void *arg) {
    struct channel *c = arg;
    struct served *s = c->starting_first;
    c->starting_first = s->next_starting;
    if (c->starting_first == NULL)
        c->starting_last = NULL;
    s->is_begun = true;
    s->co = co_current();
    channel_tell_closed(c);

    struct arena *arena = arena_new(s->handler->type->name, CHANNEL_CALL_BUDGET);
    struct handle reply_handles[CHANNEL_HANDLES_MAX] = {{HANDLE_NONE, {NULL}}};
    void *reply = NULL;
    enum err err = run(s, arena, &reply, reply_handles);
    running_remove(c, s);
    if (err == ERR_CANCELED && !s->is_canceled && co_is_canceled(s->co))
        err = ERR_AGAIN; /* we end; the asker did not give up, and may ask who comes after us */
    /* A message whose handler never saw it must not be lost in silence. */
    if (s->is_one_way && s->call.request == NULL && (err == ERR_NO_MEMORY || err == ERR_LIMIT))
        channel_sever(c, ERR_CLOSED);
    answer(c, s, err, reply, reply_handles, CHANNEL_HANDLES_MAX);
    served_free(s);
    arena_free(arena);
    serve_pump(c);
    channel_unref(c);
}

static void start(struct channel *c, struct served *s) {
    backlog_remove(c, s);
    running_add(c, s);
    channel_ref(c);
    /* With a loop that draws its order the name may be that of one that begins beside it. */
    if (co_spawn(c->loop, c->group, s->handler->type->name, body, c, NULL) == ERR_OK) {
        *(c->starting_last ? &c->starting_last->next_starting : &c->starting_first) = s;
        c->starting_last = s;
        return;
    }
    /* The group is ending, or memory is short: not now. */
    running_remove(c, s);
    answer(c, s, ERR_AGAIN, NULL, NULL, 0);
    served_free(s);
    channel_unref(c);
}

static bool may_start(const struct channel *c) {
    return c->backlog_first != NULL && c->running_n < c->running_max && c->replies_n < CHANNEL_QUEUE_MAX &&
           c->replies_bytes < CHANNEL_QUEUE_BYTES;
}

void serve_pump(struct channel *c) {
    if (c->is_pumping)
        return;
    c->is_pumping = true;
    while (may_start(c))
        start(c, c->backlog_first); /* NOLINT(clang-analyzer-unix.Malloc): as above */
    c->is_pumping = false;
    bool was_paused = c->is_paused;
    c->is_paused = c->backlog_n >= CHANNEL_BACKLOG_MAX || c->backlog_bytes >= CHANNEL_BACKLOG_BYTES ||
                   c->backlog_handles >= CHANNEL_BACKLOG_HANDLES;
    if (was_paused && !c->is_paused && !c->is_severed)
        c->transport->resume(c);
    channel_tell_closed(c);
}

enum err serve_receive(struct channel *c, const struct packet *packet, struct handle handles[CHANNEL_HANDLES_MAX]) {
    const struct channel_handler *handler = find_handler(c, packet->code);
    bool is_one_way = packet->kind == PACKET_ONE_WAY;
    if (handler == NULL || is_one_way != (handler->type->reply == NULL) ||
        packet->handles_n > handler->type->request_handles ||
        record_check(handler->type->request, packet->record) != ERR_OK)
        return ERR_SYNTAX;
    /* Ids grow, so none is used twice; and a peer keeps to what it may have outstanding. */
    if (!is_one_way && (packet->id <= c->peer_last_id || c->unanswered >= CHANNEL_PENDING_MAX))
        return ERR_SYNTAX;
    struct served *s = malloc(sizeof(*s) + packet->record.n);
    if (s == NULL)
        return ERR_NO_MEMORY;
    *s = (struct served){.channel = c, .handler = handler, .id = packet->id, .is_one_way = is_one_way};
    s->n = packet->record.n;
    if (s->n > 0)
        memcpy(s->octets, packet->record.p, s->n);
    s->call.trace = packet->trace;
    int64_t now_us = loop_now_us(c->loop);
    if (is_one_way || packet->remaining_us == PACKET_NEVER ||
        __builtin_add_overflow(now_us, (int64_t)packet->remaining_us, &s->call.deadline_us))
        s->call.deadline_us = US_NEVER;
    for (size_t i = 0; i < packet->handles_n; i++) {
        s->call.handles[i] = handles[i];
        handles[i].kind = HANDLE_NONE;
    }
    if (!is_one_way) {
        c->peer_last_id = packet->id;
        c->unanswered++;
    }
    backlog_add(c, s);
    serve_pump(c);
    return ERR_OK;
}

/* ---- cancelling ---- */

static void cancel_running(struct served *s) {
    s->is_canceled = true;
    if (s->is_begun && s->co != co_current())
        co_cancel(s->co);
}

enum err serve_cancel(struct channel *c, uint64_t id) {
    if (id > c->peer_last_id)
        return ERR_SYNTAX;
    for (struct served *s = c->running; s != NULL; s = s->next) {
        if (!s->is_one_way && s->id == id) {
            cancel_running(s);
            return ERR_OK;
        }
    }
    for (struct served *s = c->backlog_first; s != NULL; s = s->next) {
        if (s->is_one_way || s->id != id)
            continue;
        backlog_remove(c, s);
        answer(c, s, ERR_CANCELED, NULL, NULL, 0);
        served_free(s);
        serve_pump(c);
        return ERR_OK;
    }
    return ERR_OK; /* answered meanwhile */
}

void serve_cancel_all(struct channel *c, bool all) {
    for (struct served *s = c->backlog_first, *next; s != NULL; s = next) {
        next = s->next;
        if (s->is_one_way && !all)
            continue;
        backlog_remove(c, s);
        served_free(s);
    }
    for (struct served *s = c->running; s != NULL; s = s->next) {
        if (all || !s->is_one_way)
            cancel_running(s);
    }
}
