/*
 * The postmaster role: what must happen now and then. So far it asks the others
 * to clean up behind themselves.
 */
#include "roles/role.h"

#include <stdlib.h>

#define CLEANUP_FIRST_US (60 * US_PER_S) /* after the start: nobody waits for it */
#define CLEANUP_EVERY_US (600 * US_PER_S)
#define CLEANUP_CALL_US (60 * US_PER_S)

struct postmaster {
    struct role_env *env;
    struct role_peer directory, queue;
};

static void clean_up(struct postmaster *p, struct role_peer *peer, const struct message_type *type) {
    struct nothing nothing = {0};
    struct cleanup_result result;
    enum err err =
        role_peer_call(peer, type, &nothing, NULL, 0, loop_now_us(p->env->loop) + CLEANUP_CALL_US, NULL, &result, NULL);
    if (err == ERR_OK)
        log_event(&p->env->log, LOG_INFO, type->name, LF_U64("removed", result.removed));
    else if (err != ERR_CANCELED)
        log_event(&p->env->log, LOG_WARN, type->name, LF_ERR(err));
}

static void cleanup_body(void *arg) {
    struct postmaster *p = arg;
    enum err err = co_sleep(CLEANUP_FIRST_US);
    while (err == ERR_OK) {
        clean_up(p, &p->directory, &message_cleanup_directory);
        clean_up(p, &p->queue, &message_cleanup_queue);
        err = co_sleep(CLEANUP_EVERY_US);
    }
}

static enum err postmaster_start(struct role_env *env, struct buf *why) {
    (void)why;
    struct postmaster *p = calloc(1, sizeof(*p));
    if (!p)
        return ERR_NO_MEMORY;
    p->env = env;
    env->state = p;
    return co_spawn(env->loop, env->group, "postmaster.cleanup", cleanup_body, p, NULL);
}

static void postmaster_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    struct postmaster *p = env->state;
    struct role_peer *peer = offer->peer == ROLE_DIRECTORY ? &p->directory
                             : offer->peer == ROLE_QUEUE   ? &p->queue
                                                           : NULL;
    if (!peer || channel_start(channel, role_name((enum role)offer->peer), NULL, 0, env, env->group) != ERR_OK) {
        channel_free(channel);
        return;
    }
    role_peer_set(peer, channel);
}

static void postmaster_stop(struct role_env *env) {
    struct postmaster *p = env->state;
    role_peer_fini(&p->directory);
    role_peer_fini(&p->queue);
    free(p);
    env->state = NULL;
}

const struct role_def role_postmaster = {
    .role = ROLE_POSTMASTER,
    .start = postmaster_start,
    .offer = postmaster_offer,
    .stop = postmaster_stop,
};
