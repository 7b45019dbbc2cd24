/*
 * The mailbox role: one account, as the only owner of its store. Sessions after
 * login, deliveries, clean-up; when nobody needs it, it leaves.
 */
#include "imap/session.h"
#include "message/words.h"
#include "roles/role.h"
#include "store/account_channel.h"
#include "store/sqlite/sqlite_account.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAILBOX_IDLE_US (30 * US_PER_S)      /* without session or delivery before it asks leave */
#define MAILBOX_QUIET_US (4 * US_PER_S)      /* then caches are given back */
#define MAILBOX_MAINTAIN_US (300 * US_PER_S) /* between two rounds of clean-up */
#define MAILBOX_SESSIONS_MAX 2000
#define MAILBOX_UNREAD_MAX 90000 /* octets of a session that go back to the edge */
#define MAILBOX_DOORS_PER_PEER 4 /* an edge or queue needs one, and for a moment a second; the oldest is closed */
#define MAILBOX_OPEN_US (60 * US_PER_S) /* between a session's offer and its start */
#define MAILBOX_DRAIN_US (10 * US_PER_S)

struct mailbox_role {
    struct role_env *env;
    struct account *account;
    struct account_watcher watcher; /* a delivery counts as use */
    uint64_t offers;
    int64_t used_us;
    struct delivery_door *doors;
    struct mailbox_session *sessions;
    size_t sessions_n;
    struct waitq session_ended;
    bool stopping;
};

/* A channel that delivers and cannot read. It goes when it is closed and its last handler, which uses it, has ended. */
struct delivery_door {
    struct account_server server; /* first: the handlers' context */
    struct mailbox_role *role;
    struct channel *channel;
    struct co_group *group; /* of its handlers */
    struct channel_handler handlers[ACCOUNT_HANDLERS];
    uint8_t peer;
    uint32_t index;
    bool closed;
    struct delivery_door *next;
};

/* One client after login. It ends with its coroutine, or with its channel when no session was opened over it. */
struct mailbox_session {
    struct mailbox_role *role;
    struct channel *channel;
    struct arena *arena; /* grant, hand-over */
    struct grant grant;
    struct imap_handover handover;
    struct stream *stream;
    struct imap_session *imap;
    struct log log;
    int64_t offered_us;
    bool pumped, started, closed;
    struct mailbox_session *next;
};

/* ---- sessions ---- */

static void session_free(struct mailbox_session *s) {
    struct mailbox_role *role = s->role;
    for (struct mailbox_session **at = &role->sessions; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            role->sessions_n--;
            break;
        }
    if (s->imap)
        imap_session_free(s->imap);
    if (s->stream)
        stream_free(s->stream);
    channel_free(s->channel);
    arena_free(s->arena);
    role->used_us = loop_now_us(role->env->loop);
    waitq_wake_all(&role->session_ended);
    free(s);
}

static enum err session_spool(void *ctx, uint64_t size, struct file **out) {
    (void)size;
    struct mailbox_session *s = ctx;
    return disk_open(s->role->env->disk, ".", DISK_WRITE | DISK_TEMPORARY | DISK_CREATE, out);
}

static void session_note(void *ctx, const char *event, struct view detail, enum err err) {
    struct mailbox_session *s = ctx;
    log_event(&s->log, err == ERR_OK ? LOG_DEBUG : LOG_WARN, event, LF_VIEW("detail", detail), LF_ERR(err));
}

static const struct imap_session_ops session_ops = {.spool = session_spool, .note = session_note};

/* RFC8437: everything that was received and not used goes back, in order: what the session held, then what the edge had already sent. */
static void session_give_back(struct mailbox_session *s) {
    struct loop *loop = s->role->env->loop;
    struct buf raw;
    buf_init(&raw, MAILBOX_UNREAD_MAX);
    buf_put(&raw, imap_session_unread(s->imap));
    struct handle handle = {.kind = HANDLE_NONE};
    size_t handles = 0;
    if (s->pumped) {
        struct session_release release = {0};
        enum err err = channel_send(s->channel, &message_session_release, &release, NULL, 0);
        int64_t deadline_us = loop_now_us(loop) + MAILBOX_DRAIN_US;
        while (err == ERR_OK) {
            uint8_t *room = buf_room(&raw, 1024);
            size_t got;
            err = room ? stream_read(s->stream, room, 1024, deadline_us, &got) : ERR_LIMIT;
            if (err == ERR_OK)
                buf_added(&raw, got);
            else if (err == ERR_AGAIN)
                err = ERR_OK;
        }
        if (err != ERR_CLOSED) { /* the edge never stopped, or sent too much: the session cannot go on safely */
            buf_fini(&raw);
            return;
        }
    } else {
        handle = HANDLE_OF_STREAM(s->stream);
        handles = 1;
        s->stream = NULL;
    }
    struct session_return back = {.handover = buf_view(&raw)};
    if (buf_err(&raw) == ERR_OK)
        (void)!channel_send(s->channel, &message_session_return, &back, &handle, handles);
    else if (handles)
        handle_close(&handle);
    buf_fini(&raw);
}

static void session_body(void *arg) {
    struct mailbox_session *s = arg;
    enum imap_session_end end = imap_session_run(s->imap);
    log_event(&s->log, LOG_INFO, "session.end", LF_U64("how", end));
    if (end == IMAP_SESSION_UNAUTHENTICATED) {
        session_give_back(s);
    } else if (s->pumped) { /* an end that was meant: the edge has nothing to apologise for */
        struct session_release release = {0};
        (void)!channel_send(s->channel, &message_session_release, &release, NULL, 0);
    }
    if (s->stream)
        stream_shutdown(s->stream);
    session_free(s);
}

static enum err session_begin(struct mailbox_session *s, struct call *call) {
    const struct session_open *open = call->request;
    struct role_env *env = s->role->env;
    struct view copy;
    TRY(arena_view(s->arena, open->handover, &copy));
    TRY(record_decode(&imap_handover_record, copy, s->arena, &s->handover));
    struct stream *stream = call->handles[0].stream;
    stream->peer = s->handover.peer;
    stream->local = s->handover.local;
    stream->encrypted = s->handover.encrypted;
    struct imap_session_params params = {
        .account = s->role->account,
        .stream = stream,
        .ops = &session_ops,
        .ctx = s,
        .charsets = env->prepared,
    };
    TRY(imap_session_new(&params, &s->handover, &s->imap));
    enum err err = co_spawn(env->loop, env->group, "imap.session", session_body, s, NULL);
    if (err != ERR_OK) {
        imap_session_free(s->imap);
        s->imap = NULL;
        return err;
    }
    s->stream = stream;
    s->pumped = open->pumped;
    s->started = true;
    call->handles[0].kind = HANDLE_NONE;
    return ERR_OK;
}

static enum err handle_session_open(void *ctx, struct call *call, void *reply,
                                    struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct mailbox_session *s = ctx;
    const struct session_open *open = call->request;
    if (s->role->stopping)
        return ERR_AGAIN;
    if (call->handles[0].kind != HANDLE_STREAM || s->started || open->protocol != s->grant.protocol ||
        open->protocol != PROTOCOL_IMAP)
        return ERR_SYNTAX;
    return session_begin(s, call);
}

static const struct channel_handler session_handlers[] = {{&message_session_open, handle_session_open}};

/* The edge is gone: a pumped session sees the end of its stream; one that never started ends here. */
static void session_channel_closed(void *ctx, enum err why) {
    (void)why;
    struct mailbox_session *s = ctx;
    s->closed = true;
}

static void session_offer(struct mailbox_role *role, const struct channel_offer *offer, struct channel *channel) {
    struct role_env *env = role->env;
    struct mailbox_session *s = role->sessions_n < MAILBOX_SESSIONS_MAX ? calloc(1, sizeof(*s)) : NULL;
    if (!s) {
        channel_free(channel);
        return;
    }
    s->role = role;
    s->channel = channel;
    s->offered_us = loop_now_us(env->loop);
    s->arena = arena_new("session", 512 * 1024);
    enum err err = s->arena ? record_copy(&grant_record, &offer->grant, s->arena, &s->grant) : ERR_NO_MEMORY;
    if (err == ERR_OK && s->grant.account != env->config->account)
        err = ERR_DENIED; /* not for us: the supervisor's mistake, nobody is let in by it */
    if (err == ERR_OK)
        err = channel_start(channel, "session", session_handlers, ARRAY_LEN(session_handlers), s, env->group);
    if (err != ERR_OK) {
        log_event(&env->log, LOG_ERROR, "session.offer", LF_ERR(err));
        channel_free(channel);
        arena_free(s->arena);
        free(s);
        return;
    }
    log_child(&s->log, &env->log, LF_VIEW("account", s->grant.address));
    channel_on_close(channel, session_channel_closed, s);
    s->next = role->sessions;
    role->sessions = s;
    role->sessions_n++;
}

/* ---- deliveries ---- */

static void door_closed(void *ctx, enum err why) {
    (void)why;
    struct delivery_door *door = ctx;
    door->closed = true;
}

static void door_close(struct delivery_door *door) {
    if (door->channel)
        channel_free(door->channel);
    door->channel = NULL;
    door->closed = true;
}

/* No handler runs any more. */
static void door_free(struct delivery_door *door) {
    account_server_stop(&door->server);
    door_close(door);
    co_group_free(door->group);
    free(door);
}

/* Whoever asks for ever more doors loses its older ones; nobody else's. */
static void close_surplus(struct mailbox_role *role, uint8_t peer, uint32_t index) {
    unsigned n = 0;
    for (struct delivery_door *door = role->doors; door; door = door->next) /* newest first */
        if (!door->closed && door->peer == peer && door->index == index && ++n >= MAILBOX_DOORS_PER_PEER)
            door_close(door);
}

static void door_offer(struct mailbox_role *role, const struct channel_offer *offer, struct channel *channel) {
    struct role_env *env = role->env;
    close_surplus(role, offer->peer, offer->index);
    struct delivery_door *door = calloc(1, sizeof(*door));
    struct co_group *group = co_group_new(env->loop);
    if (!door || !group) {
        channel_free(channel);
        co_group_free(group);
        free(door);
        return;
    }
    door->group = group;
    door->peer = offer->peer;
    door->index = offer->index;
    door->server = (struct account_server){.account = role->account, .rights = RIGHT_DELIVER, .channel = channel};
    door->role = role;
    door->channel = channel;
    size_t n = account_server_handlers(door->handlers);
    if (channel_start(channel, "delivery", door->handlers, n, &door->server, group) != ERR_OK) {
        door_free(door);
        return;
    }
    channel_on_close(channel, door_closed, door);
    door->next = role->doors;
    role->doors = door;
}

/* What closed since the last look. */
static void drop_closed(struct mailbox_role *role) {
    int64_t now_us = loop_now_us(role->env->loop);
    if (role->stopping)
        return;
    for (struct delivery_door **at = &role->doors; *at;) {
        struct delivery_door *door = *at;
        if (!door->closed || co_group_count(door->group)) {
            at = &door->next;
            continue;
        }
        *at = door->next;
        door_free(door);
    }
    for (struct mailbox_session *s = role->sessions, *next; s; s = next) {
        next = s->next;
        if (!s->started && (s->closed || now_us - s->offered_us > MAILBOX_OPEN_US))
            session_free(s);
    }
}

/* ---- life ---- */

static void account_used(struct account_watcher *watcher, uint64_t mailbox, uint64_t modseq) {
    (void)mailbox;
    (void)modseq;
    struct mailbox_role *role = (struct mailbox_role *)((uint8_t *)watcher - offsetof(struct mailbox_role, watcher));
    role->used_us = loop_now_us(role->env->loop);
}

static enum err maintain(struct mailbox_role *role, struct arena *arena) {
    struct maintain_result result = {.more = true};
    while (result.more) {
        struct maintain_args args = {0};
        arena_clear(arena);
        TRY(account_do_maintain(role->account, &args, NULL, arena, &result));
        TRY(co_yield ());
    }
    return ERR_OK;
}

static bool may_leave(struct mailbox_role *role, struct arena *arena) {
    struct role_env *env = role->env;
    struct leave_args args = {.offers_seen = role->offers};
    struct leave_result result;
    arena_clear(arena);
    enum err err = channel_call(env->supervisor, &message_leave, &args, NULL, 0, loop_now_us(env->loop) + ROLE_CALL_US,
                                arena, &result, NULL);
    return err == ERR_OK && result.may_leave;
}

static void housekeeping(void *arg) {
    struct mailbox_role *role = arg;
    struct role_env *env = role->env;
    struct arena *arena = arena_new("housekeeping", 65536);
    int64_t maintained_us = 0; /* 0: never */
    while (arena && co_sleep(MAILBOX_QUIET_US / 2) == ERR_OK) {
        drop_closed(role);
        int64_t now_us = loop_now_us(env->loop);
        int64_t quiet_us = now_us - role->used_us;
        bool idle = role->sessions_n == 0 && quiet_us >= MAILBOX_IDLE_US;
        bool rests = quiet_us >= MAILBOX_QUIET_US && maintained_us <= role->used_us;
        if (rests || now_us - maintained_us >= MAILBOX_MAINTAIN_US) {
            enum err err = maintain(role, arena);
            if (err != ERR_OK && err != ERR_CANCELED)
                log_event(&env->log, LOG_WARN, "maintain", LF_ERR(err));
            arena_clear(arena);
            (void)malloc_trim(0); /* a sleeping mailbox gives back what its work needed */
            maintained_us = loop_now_us(env->loop);
        }
        if (idle && role->sessions_n == 0 && may_leave(role, arena)) {
            role_leave(env);
            break;
        }
    }
    arena_free(arena);
}

static void mailbox_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    struct mailbox_role *role = env->state;
    role->offers++;
    role->used_us = loop_now_us(env->loop);
    drop_closed(role);
    if (offer->purpose == CHANNEL_SESSION)
        session_offer(role, offer, channel);
    else if (offer->purpose == CHANNEL_DELIVERY)
        door_offer(role, offer, channel);
    else
        channel_free(channel);
}

static enum err mailbox_prepare(struct role_env *env, struct buf *why) {
    struct charset_table *charsets = calloc(1, sizeof(*charsets));
    if (!charsets)
        return ERR_NO_MEMORY;
    enum err err = charset_prepare(charsets);
    if (err == ERR_NOT_FOUND) /* a libc without any converter: UTF-8 alone is read */
        err = ERR_OK;
    if (err == ERR_OK)
        err = sqlite_account_prepare();
    if (err != ERR_OK) {
        buf_put_str(why, "the character sets and the database library cannot be set up");
        free(charsets);
        return err;
    }
    env->prepared = charsets;
    return ERR_OK;
}

static void mailbox_unprepare(struct role_env *env) {
    charset_fini(env->prepared);
    free(env->prepared);
    env->prepared = NULL;
}

static enum err mailbox_start(struct role_env *env, struct buf *why) {
    struct mailbox_role *role = calloc(1, sizeof(*role));
    if (!role)
        return ERR_NO_MEMORY;
    env->state = role;
    role->env = env;
    role->used_us = loop_now_us(env->loop);
    struct sqlite_account_params params = {
        .loop = env->loop,
        .disk = env->disk,
        .clock = loop_clock(env->loop),
        .random = env->random,
        .log = &env->log,
        .charsets = env->prepared,
        .quota_octets = env->config->quota_octets,
        .size_max = env->config->message_size_max,
    };
    enum err err = sqlite_account_open(&params, &role->account);
    if (err != ERR_OK) {
        buf_put_str(
            why,
            err == ERR_AGAIN ? "another process still has this account; trying again"
            : err == ERR_PERMANENT
                ? "the account's database is damaged or from a newer version: run `veredus verify`, or restore a backup"
            : err == ERR_FULL ? "the disk is full: free some space"
                              : "the account's directory cannot be read or written: check its owner and the disk");
        return err;
    }
    role->watcher.changed = account_used;
    account_watch(role->account, &role->watcher);
    return co_spawn(env->loop, env->group, "mailbox.housekeeping", housekeeping, role, NULL);
}

static bool has_started_session(const struct mailbox_role *role) {
    for (const struct mailbox_session *s = role->sessions; s; s = s->next)
        if (s->started)
            return true;
    return false;
}

static void mailbox_quiesce(struct role_env *env, int64_t deadline_us) {
    struct mailbox_role *role = env->state;
    role->stopping = true;
    for (struct mailbox_session *s = role->sessions; s; s = s->next)
        if (s->started)
            imap_session_shutdown(s->imap, "The server is shutting down");
    while (has_started_session(role) && waitq_wait(&role->session_ended, deadline_us) == ERR_OK)
        ;
    for (struct delivery_door *door = role->doors; door; door = door->next) /* none comes or goes any more */
        (void)!co_group_wait(door->group, deadline_us);
}

static void mailbox_stop(struct role_env *env) {
    struct mailbox_role *role = env->state;
    while (role->sessions)
        session_free(role->sessions); /* NOLINT(clang-analyzer-unix.Malloc): each takes itself off the list */
    while (role->doors) {
        struct delivery_door *door = role->doors;
        role->doors = door->next;
        door_close(door);
        co_group_end(door->group);
        door->group = NULL;
        door_free(door);
    }
    if (role->account) {
        if (role->watcher.changed)
            account_unwatch(role->account, &role->watcher);
        account_free(role->account);
    }
    free(role);
    env->state = NULL;
}

const struct role_def role_mailbox = {
    .role = ROLE_MAILBOX,
    .prepare = mailbox_prepare,
    .start = mailbox_start,
    .offer = mailbox_offer,
    .quiesce = mailbox_quiesce,
    .stop = mailbox_stop,
    .unprepare = mailbox_unprepare,
};
