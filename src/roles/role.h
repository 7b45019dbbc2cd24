/*
 * What a role is: one set of functions over an environment. Nothing in a role
 * is global, so the same code runs as a confined process (roles/process.c) or
 * with all others in one process on a virtual clock (test/sim).
 *
 * Life: prepare() before confinement (files, libraries); then the ritual; then
 * the supervisor sends role_configure, and start() runs on a coroutine; then
 * channels and listeners arrive by offer() and listen(); role_stop or EOF on the
 * supervisor's channel ends it: after role_stop quiesce() says goodbye, then the
 * group is cancelled and stop() is called.
 */
#ifndef ROLES_ROLE_H
#define ROLES_ROLE_H

#include "base/disk.h"
#include "base/log.h"
#include "base/random.h"
#include "confine/role.h"
#include "loop/channel.h"
#include "loop/net.h"
#include "roles/messages.h"

#define ROLE_CALL_US (20 * US_PER_S)         /* deadline of a call between roles where nothing else says one */
#define ROLE_QUIESCE_US (2 * US_PER_S)       /* for goodbyes after role_stop; well below SERVE_GRACE_US */
#define ROLE_MAILBOX_CALL_US (60 * US_PER_S) /* of a delivery */

struct role_env {
    enum role role;
    uint32_t index;
    struct loop *loop;
    struct random *random;
    struct log log;
    struct disk *disk; /* this role's own directory, or NULL */
    struct net *net;   /* NULL for roles that never touch the network */
    struct co_group *group;
    struct channel *supervisor;
    const struct role_configure *config; /* lives as long as the role */
    void *prepared;
    void *state;    /* the role's own, set by start() */
    void *life;     /* role_run's */
    bool simulated; /* no descriptors: all roles on one virtual loop */
};

struct role_def {
    enum role role;
    /* Before confinement. *prepared is handed to start() in env->prepared. Text for people in why. */
    enum err (*prepare)(struct role_env *env, struct buf *why);
    /* On a coroutine. When it returns ERR_OK the role is ready. */
    enum err (*start)(struct role_env *env, struct buf *why);
    /* A new channel to a peer; takes it over. The role calls channel_start with its handlers for that peer and purpose. */
    void (*offer)(struct role_env *env, const struct channel_offer *offer, struct channel *channel);
    void (*listen)(struct role_env *env, const struct listener_offer *offer, struct listener *listener);
    /* Messages on the supervisor's channel besides the common ones (NULL-terminated by n = 0). */
    const struct channel_handler *supervisor_handlers;
    size_t supervisor_handlers_n;
    /* After role_stop only, may be NULL: says goodbye to clients, and may wait for them until the deadline. Requests still come, offers do not. */
    void (*quiesce)(struct role_env *env, int64_t deadline_us);
    /* Frees state; no coroutine of the role's group runs any more. */
    void (*stop)(struct role_env *env);
    void (*unprepare)(struct role_env *env);
};

/* One const table, indexed by enum role; entries may be NULL (web). */
extern const struct role_def *const role_defs[ROLE_COUNT];
extern const struct role_def role_resolver, role_directory, role_edge, role_mailbox, role_queue, role_courier,
    role_postmaster;

/* Runs a role over a channel to its supervisor in env (all fields but config, state, supervisor handlers set): starts the channel, waits for
 * role_configure, start(), serves offers, returns after role_stop or EOF, when everything of the role is gone. On a coroutine. */
void role_run(const struct role_def *def, struct role_env *env, struct channel *supervisor);

/* The role ends by itself, as after role_stop: role_run() returns once everything of it is gone. */
void role_leave(struct role_env *env);

/* Two ends of a local stream: a socketpair, or memory when simulated. */
enum err role_stream_pair(struct role_env *env, struct stream **a, struct stream **b) MUST_CHECK;

/* A peer's channel that may be replaced when the peer restarts: calls wait (up to their deadline) for the first offer. */
struct role_peer {
    struct channel *channel;
    struct waitq arrived;
};
/* Takes a started channel; frees the one before. */
void role_peer_set(struct role_peer *peer, struct channel *channel);
void role_peer_fini(struct role_peer *peer);
/* channel_call over it, waiting for a channel when there is none; ERR_AGAIN when the peer died during the call (the caller decides about retrying). */
enum err role_peer_call(struct role_peer *peer, const struct message_type *type, const void *request,
                        struct handle *handles, size_t n, int64_t deadline_us, struct arena *arena, void *reply,
                        struct handle reply_handles[CHANNEL_HANDLES_MAX]) MUST_CHECK;

#endif
