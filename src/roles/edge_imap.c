/*
 * IMAP at the edge: until the peer is authenticated we speak; then its mailbox
 * does. A TLS session's octets are pumped through a pair of streams, a plain
 * one's descriptor travels. UNAUTHENTICATE (RFC8437) brings either back.
 */
#include "roles/edge.h"

#include "imap/greeter.h"

#include <string.h>
#include <unistd.h>

#define LOGIN_BUDGET (64 * 1024)
#define PUMP_CHUNK 16384          /* while octets flow */
#define PUMP_SMALL 512            /* on the stack, while a session idles */
#define RETURN_US (10 * US_PER_S) /* between the end of the pump and the session's return */

/* A session that lives in a mailbox. */
struct edge_session {
    struct edge_connection *c;
    struct channel *channel;
    struct stream *inner; /* our end of the pair; NULL when the descriptor travelled */
    bool released;        /* the mailbox wants no more of the client's octets */
    bool returned, gone;
    struct buf unread;     /* with `returned` */
    struct stream *stream; /* with `returned`, plain: the client's */
    struct waitq changed;
    bool up_running;
    uint8_t tail[2]; /* the last octets sent to the client */
};

struct edge_imap_run {
    struct edge_connection *c;
    struct arena *arena;
    struct edge_login login;
    struct edge_session session;
};

/* ---- the session's channel ---- */

static enum err on_release(void *ctx, struct call *call, void *reply,
                           struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)call;
    (void)reply;
    (void)reply_handles;
    struct edge_session *s = ctx;
    s->released = true;
    if (s->up_running && s->c->stream)
        stream_interrupt(s->c->stream);
    return ERR_OK;
}

static enum err on_return(void *ctx, struct call *call, void *reply, struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct edge_session *s = ctx;
    const struct session_return *back = call->request;
    if (s->returned || (s->inner && call->handles[0].kind != HANDLE_NONE)) /* a pumped session's stream never left */
        return ERR_SYNTAX;
    buf_clear(&s->unread);
    buf_put(&s->unread, back->handover);
    if (buf_err(&s->unread) != ERR_OK)
        return ERR_LIMIT;
    if (call->handles[0].kind == HANDLE_STREAM) {
        s->stream = call->handles[0].stream;
        call->handles[0].kind = HANDLE_NONE;
    }
    s->returned = true;
    waitq_wake_all(&s->changed);
    return ERR_OK;
}

static void on_session_closed(void *ctx, enum err why) {
    (void)why;
    struct edge_session *s = ctx;
    s->gone = true;
    waitq_wake_all(&s->changed);
}

static const struct channel_handler session_handlers[] = {{&message_session_release, on_release},
                                                          {&message_session_return, on_return}};

/* ---- the pump ---- */

/* One read's octets from one stream to the other. An idle session waits with a small buffer on its stack; `large` is
 * there only while octets come faster than that. */
static enum err pump_some(struct edge_session *s, struct stream *from, struct stream *to, int64_t deadline_us,
                          struct buf *large) {
    uint8_t small[PUMP_SMALL];
    bool is_large = large->cap > 0;
    uint8_t *p = is_large ? buf_room(large, PUMP_CHUNK) : small;
    size_t got;
    TRY(stream_read(from, p, is_large ? PUMP_CHUNK : PUMP_SMALL, deadline_us, &got));
    TRY(stream_write(to, view_of(p, got), loop_now_us(s->c->edge->env->loop) + EDGE_PUMP_IDLE_US));
    for (size_t i = got > 2 ? got - 2 : 0; i < got && from == s->inner; i++) {
        s->tail[0] = s->tail[1];
        s->tail[1] = p[i];
    }
    if (!is_large && got == PUMP_SMALL) {
        (void)buf_room(large, PUMP_CHUNK); /* without memory it goes on with the small one */
    } else if (is_large && got < PUMP_SMALL) {
        buf_fini(large);
        buf_init(large, PUMP_CHUNK);
    }
    return ERR_OK;
}

/* Client to mailbox. */
static void pump_up(void *arg) {
    struct edge_session *s = arg;
    struct loop *loop = s->c->edge->env->loop;
    struct buf large;
    buf_init(&large, PUMP_CHUNK);
    while (!s->released) {
        enum err err = pump_some(s, s->c->stream, s->inner, loop_now_us(loop) + EDGE_PUMP_IDLE_US, &large);
        if (err != ERR_OK && err != ERR_AGAIN)
            break;
    }
    buf_fini(&large);
    stream_shutdown(s->inner);
    s->up_running = false;
    waitq_wake_all(&s->changed);
}

/* Mailbox to client, on the connection's coroutine, until the mailbox closes its end. */
static void pump_down(struct edge_session *s) {
    struct buf large;
    buf_init(&large, PUMP_CHUNK);
    while (pump_some(s, s->inner, s->c->stream, US_NEVER, &large) == ERR_OK)
        ;
    buf_fini(&large);
}

static void session_pump(struct edge_session *s) {
    struct role_env *env = s->c->edge->env;
    struct co *up;
    s->up_running = co_spawn(env->loop, env->group, "edge.pump", pump_up, s, &up) == ERR_OK;
    if (s->up_running)
        pump_down(s);
    if (s->up_running)
        co_cancel(up);
    while (s->up_running) /* it uses our frame and the streams */
        waitq_wait_shielded(&s->changed);
}

/* After the pump: came the session back, or did it end? */
static void session_wait_return(struct edge_session *s) {
    int64_t deadline_us = loop_now_us(s->c->edge->env->loop) + RETURN_US;
    while (!s->returned && !s->gone && waitq_wait(&s->changed, deadline_us) == ERR_OK)
        ;
}

static void session_clear(struct edge_session *s) {
    if (s->channel)
        channel_free(s->channel);
    if (s->inner)
        stream_free(s->inner);
    if (s->stream)
        stream_free(s->stream);
    buf_fini(&s->unread);
    *s = (struct edge_session){0};
}

/* ---- the greeter's questions ---- */

static enum imap_auth_outcome on_auth(void *ctx, struct view authzid, struct view user, struct view password) {
    struct edge_imap_run *run = ctx;
    struct edge_connection *c = run->c;
    arena_clear(run->arena);
    if (authzid.n && !view_eq_nocase(authzid, user))
        return IMAP_AUTH_WRONG; /* RFC4616-2: acting for others is not offered */
    switch (edge_login_password(c, PROTOCOL_IMAP, user, password, run->arena, &run->login)) {
    case ERR_OK:
        return IMAP_AUTH_OK;
    case ERR_DENIED:
        return ++c->attempts >= c->edge->env->config->login_attempts_max ? IMAP_AUTH_REFUSED : IMAP_AUTH_WRONG;
    default:
        return IMAP_AUTH_UNAVAILABLE;
    }
}

static enum err on_starttls(void *ctx, struct stream *plain, struct stream **out) {
    struct edge_imap_run *run = ctx;
    struct stream *secured = NULL;
    enum err err = edge_start_tls(run->c, plain, &secured);
    run->c->stream = secured; /* what is handed over or pumped later; the plain one belongs to it, or is gone */
    if (err == ERR_OK)
        *out = secured;
    else
        stream_free(plain);
    return err;
}

/* The mailbox's end of the byte stream: the client's descriptor itself, or one of a pair. */
static enum err mailbox_end(struct edge_session *s, struct stream **theirs, bool *pumped) {
    struct edge_connection *c = s->c;
    struct role_env *env = c->edge->env;
    *pumped = true;
    if (!c->stream->encrypted) {
        int copy = stream_dup_fd(c->stream);
        if (copy >= 0) { /* ours stays, and the greeter's with it, until the mailbox has its own */
            TRY(stream_new_socket(env->loop, copy, theirs));
            (*theirs)->peer = c->stream->peer;
            (*theirs)->local = c->stream->local;
            *pumped = false;
            return ERR_OK;
        }
    }
    return role_stream_pair(env, &s->inner, theirs);
}

static enum err session_claim(struct edge_imap_run *run, struct channel **out) {
    struct role_env *env = run->c->edge->env;
    struct session_claim claim = {.grant = run->login.grant};
    struct nothing nothing;
    struct handle handles[CHANNEL_HANDLES_MAX] = {0};
    TRY(channel_call(env->supervisor, &message_session_claim, &claim, NULL, 0, loop_now_us(env->loop) + ROLE_CALL_US,
                     run->arena, &nothing, handles));
    if (handles[0].kind != HANDLE_CHANNEL) {
        handle_close(&handles[0]);
        return ERR_AGAIN;
    }
    *out = handles[0].channel;
    return ERR_OK;
}

static enum err session_offer(struct edge_imap_run *run, const struct imap_handover *handover) {
    struct edge_session *s = &run->session;
    struct role_env *env = run->c->edge->env;
    struct buf encoded;
    buf_init(&encoded, 100000);
    enum err err = record_encode(&imap_handover_record, handover, &encoded);
    struct session_open open = {.protocol = PROTOCOL_IMAP, .handover = buf_view(&encoded)};
    struct stream *theirs = NULL;
    if (err == ERR_OK)
        err = mailbox_end(s, &theirs, &open.pumped);
    if (err == ERR_OK) {
        struct handle handle = HANDLE_OF_STREAM(theirs);
        struct nothing nothing;
        err = channel_call(s->channel, &message_session_open, &open, &handle, 1, loop_now_us(env->loop) + ROLE_CALL_US,
                           run->arena, &nothing, NULL);
    }
    buf_fini(&encoded);
    return err;
}

static enum err on_start(void *ctx, const struct imap_handover *handover) {
    struct edge_imap_run *run = ctx;
    struct edge_session *s = &run->session;
    struct role_env *env = run->c->edge->env;
    *s = (struct edge_session){.c = run->c};
    buf_init(&s->unread, 200000);
    struct channel *channel;
    enum err err = session_claim(run, &channel);
    if (err == ERR_OK) {
        s->channel = channel;
        err = channel_start(channel, "session", session_handlers, ARRAY_LEN(session_handlers), s, env->group);
    }
    if (err == ERR_OK) {
        channel_on_close(channel, on_session_closed, s);
        struct imap_handover offered = *handover;
        offered.tls = view_cstr(run->c->tls_text); /* STARTTLS came after the greeter was told */
        err = session_offer(run, &offered);
    }
    if (err != ERR_OK) {
        log_event(&run->c->log, LOG_WARN, "imap.start", LF_ERR(err));
        session_clear(s);
    }
    return err;
}

static void on_note(void *ctx, const char *event, struct view user) {
    struct edge_imap_run *run = ctx;
    log_event(&run->c->log, LOG_INFO, event, LF_VIEW("user", user));
}

static const struct imap_greeter_ops edge_imap_ops = {
    .auth = on_auth, .starttls = on_starttls, .start = on_start, .note = on_note};

/* A mailbox that vanished: the client hears it if it is not in the middle of a response. */
static void say_bye(struct edge_connection *c, const struct edge_session *s) {
    if (s->tail[0] == '\r' && s->tail[1] == '\n')
        (void)!stream_write(c->stream, VIEW("* BYE [UNAVAILABLE] The mailbox had to restart; connect again\r\n"),
                            loop_now_us(c->edge->env->loop) + EDGE_GOODBYE_US);
}

void edge_imap(struct edge_connection *c) {
    struct edge_imap_run run = {.c = c, .arena = arena_new("imap.login", LOGIN_BUDGET)};
    struct buf unread;
    buf_init(&unread, 200000);
    bool resumed = false;
    while (run.arena && c->stream) {
        struct imap_greeter_params params = {
            .ops = &edge_imap_ops,
            .ctx = &run,
            .host = c->edge->env->config->hostname,
            .tls = view_cstr(c->tls_text),
            .allow_plain = c->listener->offer.plain_login,
            .is_resumed = resumed,
            .unread = buf_view(&unread),
            .append_max = c->edge->env->config->message_size_max,
            .stopping = &c->edge->stopping,
        };
        struct stream *stream = c->stream;
        enum imap_greeter_end end = imap_greeter_run(&params, &stream);
        if (end != IMAP_GREETER_HANDED_OVER) {
            c->stream = stream;
            break;
        }
        struct edge_session *s = &run.session;
        if (s->inner) {
            session_pump(s);
        } else { /* the mailbox has the descriptor now; ours must not keep the connection open */
            stream_free(c->stream);
            c->stream = NULL;
            while (!s->returned && !s->gone && waitq_wait(&s->changed, US_NEVER) == ERR_OK)
                ;
        }
        session_wait_return(s);
        if (!s->returned && !s->released && s->inner && s->gone)
            say_bye(c, s);
        bool returned = s->returned;
        if (returned) {
            buf_clear(&unread);
            buf_put(&unread, buf_view(&s->unread));
            if (s->stream) {
                c->stream = s->stream;
                s->stream = NULL;
            }
        }
        session_clear(s);
        if (!returned)
            break;
        resumed = true;
    }
    buf_fini(&unread);
    arena_free(run.arena);
}
