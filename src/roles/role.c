/*
 * The life of a role between its supervisor's channel and its own functions, and
 * the peers it calls.
 */
#include "roles/role.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROLE_CONFIG_BUDGET (256 * 1024) /* octets of the snapshot, certificates and trust anchor included */
#define ROLE_HANDLERS_MAX 16

struct role_life {
    const struct role_def *def;
    struct arena *arena; /* the snapshot */
    struct role_configure config;
    bool configured, ending;
    bool started; /* start() was successful */
    bool asked;   /* by role_stop: there is time for goodbyes */
    struct waitq ended;
};

static void life_end(struct role_life *life) {
    life->ending = true;
    waitq_wake_all(&life->ended);
}

void role_leave(struct role_env *env) {
    life_end(env->life);
}

static enum err handle_configure(void *ctx, struct call *call, void *reply,
                                 struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct role_env *env = ctx;
    struct role_life *life = env->life;
    if (life->configured)
        return ERR_EXISTS;
    TRY(record_copy(&role_configure_record, call->request, life->arena, &life->config));
    life->configured = true;
    env->config = &life->config;
    env->index = life->config.index;
    if (!env->simulated) /* the simulated house has one sink for all */
        env->log.sink->least = (enum log_level)MIN(life->config.log_level, LOG_ERROR);
    struct buf why;
    buf_init(&why, 1000);
    enum err err = life->def->start(env, &why);
    if (err != ERR_OK)
        log_event(&env->log, LOG_ERROR, "role.start", LF_ERR(err), LF_VIEW("why", buf_view(&why)));
    buf_fini(&why);
    life->started = err == ERR_OK;
    return err;
}

static enum err handle_channel_offer(void *ctx, struct call *call, void *reply,
                                     struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct role_env *env = ctx;
    struct role_life *life = env->life;
    const struct channel_offer *offer = call->request;
    if (call->handles[0].kind != HANDLE_CHANNEL || !life->configured || life->ending || !life->def->offer)
        return ERR_SYNTAX;
    struct channel *channel = call->handles[0].channel;
    call->handles[0].kind = HANDLE_NONE;
    life->def->offer(env, offer, channel);
    return ERR_OK;
}

static enum err handle_listener_offer(void *ctx, struct call *call, void *reply,
                                      struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct role_env *env = ctx;
    struct role_life *life = env->life;
    if (call->handles[0].kind != HANDLE_LISTENER || !life->configured || life->ending || !life->def->listen)
        return ERR_SYNTAX;
    struct listener *listener = call->handles[0].listener;
    call->handles[0].kind = HANDLE_NONE;
    life->def->listen(env, call->request, listener);
    return ERR_OK;
}

static enum err handle_stop(void *ctx, struct call *call, void *reply,
                            struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)call;
    (void)reply;
    (void)reply_handles;
    struct role_env *env = ctx;
    ((struct role_life *)env->life)->asked = true;
    life_end(env->life);
    return ERR_OK;
}

static void supervisor_gone(void *ctx, enum err why) {
    (void)why;
    struct role_env *env = ctx;
    life_end(env->life);
}

void role_run(const struct role_def *def, struct role_env *env, struct channel *supervisor) {
    struct role_life life = {.def = def, .arena = arena_new("role.config", ROLE_CONFIG_BUDGET)};
    struct channel_handler handlers[ROLE_HANDLERS_MAX] = {
        {&message_role_configure, handle_configure},
        {&message_channel_offer, handle_channel_offer},
        {&message_listener_offer, handle_listener_offer},
        {&message_role_stop, handle_stop},
    };
    size_t n = 4;
    BUG_IF(n + def->supervisor_handlers_n > ROLE_HANDLERS_MAX);
    for (size_t i = 0; i < def->supervisor_handlers_n; i++)
        handlers[n++] = def->supervisor_handlers[i];
    env->life = &life;
    env->supervisor = supervisor;
    env->group = co_group_new(env->loop);
    if (life.arena && env->group && channel_start(supervisor, "supervisor", handlers, n, env, env->group) == ERR_OK) {
        channel_on_close(supervisor, supervisor_gone, env);
        while (!life.ending)
            waitq_wait_shielded(&life.ended);
    } else {
        log_plain(&env->log, LOG_ERROR, "role.channel");
    }
    life.ending = true;
    if (life.asked && life.started && def->quiesce)
        def->quiesce(env, loop_now_us(env->loop) + ROLE_QUIESCE_US);
    if (env->group) {
        co_group_cancel(env->group);
        (void)!co_group_wait(env->group, US_NEVER);
    }
    if (life.configured && env->state && def->stop)
        def->stop(env);
    channel_free(supervisor);
    if (env->group)
        co_group_free(env->group);
    arena_free(life.arena);
    env->group = NULL;
    env->supervisor = NULL;
    env->config = NULL;
    env->life = NULL;
}

#define ROLE_PAIR_CAPACITY 65536 /* octets in flight each way */

enum err role_stream_pair(struct role_env *env, struct stream **a, struct stream **b) {
    if (env->simulated)
        return stream_new_pair(env->loop, ROLE_PAIR_CAPACITY, a, b);
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return err_from_errno(errno);
    struct stream *first;
    enum err err = stream_new_socket(env->loop, fds[0], &first);
    if (err != ERR_OK) {
        (void)close(fds[1]);
        return err;
    }
    err = stream_new_socket(env->loop, fds[1], b);
    if (err != ERR_OK)
        stream_free(first);
    else
        *a = first;
    return err;
}

void role_peer_set(struct role_peer *peer, struct channel *channel) {
    if (peer->channel)
        channel_free(peer->channel);
    peer->channel = channel;
    waitq_wake_all(&peer->arrived);
}

void role_peer_fini(struct role_peer *peer) {
    if (peer->channel)
        channel_free(peer->channel);
    peer->channel = NULL;
}

enum err role_peer_call(struct role_peer *peer, const struct message_type *type, const void *request,
                        struct handle *handles, size_t n, int64_t deadline_us, struct arena *arena, void *reply,
                        struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    while (!peer->channel || !channel_is_open(peer->channel)) {
        enum err err = waitq_wait(&peer->arrived, deadline_us);
        if (err != ERR_OK) {
            for (size_t i = 0; i < n; i++)
                handle_close(&handles[i]);
            return err;
        }
    }
    return channel_call(peer->channel, type, request, handles, n, deadline_us, arena, reply, reply_handles);
}
