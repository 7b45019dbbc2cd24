/*
 * The supervisor: who runs where. It parses no peer's bytes. It starts every
 * role through a spawner (processes, or in process for the simulation), makes
 * all channels, keeps the listening sockets, hands out mailboxes by grant, and
 * restarts what died, with back-off.
 */
#ifndef ROLES_SUPERVISOR_H
#define ROLES_SUPERVISOR_H

#include "config/config.h"
#include "roles/role.h"

/* How a role comes to life. */
struct spawned;
struct spawn_request {
    enum role role;
    uint32_t index;
    uint64_t account;  /* mailbox */
    struct view title; /* "mailbox user@localhost" */
};
struct spawner {
    /* *channel is the supervisor's end, not started. exited is called once when the role is gone. May suspend. */
    enum err (*start)(struct spawner *spawner, const struct spawn_request *request, struct channel **channel,
                      struct spawned **out);
    void (*kill)(struct spawner *spawner, struct spawned *spawned); /* hard; exited still follows */
    void (*on_exit)(struct spawner *spawner, struct spawned *spawned, void (*exited)(void *ctx, int status), void *ctx);
    /* A mailbox ended without leave: what mailboxes are made from is made anew (fresh address layout). */
    void (*mailbox_crashed)(struct spawner *spawner);
    /* A new channel between two roles, both ends fit for travelling as handles. */
    enum err (*pair)(struct spawner *spawner, struct channel **a, struct channel **b);
    /* Another handle of a listener, to give to a (re)started edge. */
    enum err (*listener)(struct spawner *spawner, size_t index, uint32_t edge, struct listener **out);
};

#define SUPERVISOR_BACKOFF_FIRST_US (100 * US_PER_MS)
#define SUPERVISOR_BACKOFF_MAX_US (10 * US_PER_S)
#define SUPERVISOR_STEADY_US (10 * US_PER_S) /* a role that lived this long starts again at once */
#define SUPERVISOR_MAILBOXES_MAX 20000

struct supervisor;
struct supervisor_params {
    struct loop *loop;
    struct random *random;
    const struct log *log;
    const struct config *config;
    struct spawner *spawner;
    struct view certificate_pem, key_pem, trust_anchor; /* contents; empty when not configured */
    const struct seed_account *seeds;                   /* localserve */
    size_t seeds_n;
};
enum err supervisor_new(const struct supervisor_params *params, struct supervisor **out) MUST_CHECK;
/* On a coroutine: starts all roles; ERR_OK when every listener accepts. */
enum err supervisor_start(struct supervisor *supervisor, struct buf *why) MUST_CHECK;
/* On a coroutine: asks every role to stop, waits up to grace_us, kills the rest. */
void supervisor_stop(struct supervisor *supervisor, int64_t grace_us);
void supervisor_free(struct supervisor *supervisor);
/* A control connection from the CLI: goes to directory. Takes the stream over. */
void supervisor_control(struct supervisor *supervisor, struct stream *stream, uint32_t uid, uint32_t pid);

#endif
