/*
 * The resolver role: libunbound, the only place that speaks to DNS servers. It
 * answers `courier` and `edge` over channels and holds nothing but its cache.
 *
 * With --dns it forwards everything to that server; answers count as insecure
 * unless a trust anchor was given too. Without, it resolves from the root, and
 * the root's own trust anchor validates.
 */
#include "roles/role.h"

#include "base/vec.h"
#include "roles/unbound.h"

#include <stdlib.h>

#define LOOKUP_US (15 * US_PER_S) /* the longest anybody waits; the library goes on and caches what comes */
#define LOOKUP_MARGIN 4           /* one part of the asker's own time: a reply must still travel */
#define PEERS_MAX 256
#define HANDLERS_MAX 1000 /* questions of one peer at once: half of what the library gets */

struct resolver {
    struct role_env *env;
    struct unbound *unbound;
    struct vec peers; /* struct channel * */
};

static enum err handle_lookup(void *ctx, struct call *call, void *reply,
                              struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct resolver *resolver = ctx;
    const struct dns_question *question = call->request;
    int64_t now_us = loop_now_us(resolver->env->loop), asked_us = MAX(call->deadline_us - now_us, (int64_t)0);
    int64_t deadline_us = now_us + MIN(LOOKUP_US, asked_us - asked_us / LOOKUP_MARGIN);
    return unbound_lookup(resolver->unbound, question->name, question->type, deadline_us, call->arena, reply);
}

static const struct channel_handler courier_handlers[] = {{&message_dns_lookup, handle_lookup}};
static const struct channel_handler edge_handlers[] = {{&message_dns_lookup_edge, handle_lookup}};

/* ---- life ---- */

static void resolver_unprepare(struct role_env *env) {
    unbound_free(env->prepared);
    env->prepared = NULL;
}

static enum err resolver_prepare(struct role_env *env, struct buf *why) {
    struct unbound *unbound;
    TRY(unbound_new(why, &unbound));
    env->prepared = unbound;
    return ERR_OK;
}

static enum err resolver_start(struct role_env *env, struct buf *why) {
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return ERR_NO_MEMORY;
    env->state = resolver;
    resolver->env = env;
    resolver->unbound = env->prepared;
    resolver->peers = VEC_OF(struct channel *, PEERS_MAX);
    struct unbound_config config = {.dns = env->config->dns, .trust_anchor = env->config->trust_anchor};
    return unbound_start(resolver->unbound, env->loop, &env->log, &config, why);
}

static void resolver_stop(struct role_env *env) {
    struct resolver *resolver = env->state;
    for (size_t i = 0; i < resolver->peers.n; i++)
        channel_free(*VEC_AT(&resolver->peers, struct channel *, i));
    vec_fini(&resolver->peers);
    unbound_stop(resolver->unbound);
    free(resolver);
    env->state = NULL;
}

static void drop_closed(struct resolver *resolver) {
    for (size_t i = resolver->peers.n; i-- > 0;) {
        struct channel *channel = *VEC_AT(&resolver->peers, struct channel *, i);
        if (channel_is_open(channel))
            continue;
        channel_free(channel);
        vec_remove(&resolver->peers, i, 1);
    }
}

static void resolver_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    struct resolver *resolver = env->state;
    const struct channel_handler *handlers = offer->peer == ROLE_COURIER ? courier_handlers
                                             : offer->peer == ROLE_EDGE  ? edge_handlers
                                                                         : NULL;
    drop_closed(resolver);
    struct channel **slot = handlers ? vec_add(&resolver->peers) : NULL;
    if (!slot) {
        channel_free(channel);
        return;
    }
    *slot = channel;
    channel_set_handlers_max(channel, HANDLERS_MAX); /* most of them only wait for a server somewhere */
    if (channel_start(channel, role_name((enum role)offer->peer), handlers, 1, resolver, env->group) != ERR_OK) {
        channel_free(channel);
        resolver->peers.n--;
    }
}

const struct role_def role_resolver = {
    .role = ROLE_RESOLVER,
    .prepare = resolver_prepare,
    .start = resolver_start,
    .offer = resolver_offer,
    .stop = resolver_stop,
    .unprepare = resolver_unprepare,
};
