/*
 * The edge role: listeners, connections and their limits, TLS with keys that are
 * elsewhere.
 */
#include "roles/edge.h"

#include "dkim/crypto.h"
#include "dmarc/suffixes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAINS_BUDGET (512 * 1024)

/* ---- TLS ---- */

/* The one place where a library's callback suspends: OpenSSL asks for a signature, directory gives it. */
static enum err edge_sign(struct tls_signer *signer, uint64_t key, uint16_t scheme, struct view tbs, struct buf *out) {
    struct edge *edge = (struct edge *)((uint8_t *)signer - offsetof(struct edge, signer));
    struct arena *arena = arena_new("sign", 4096);
    if (!arena)
        return ERR_NO_MEMORY;
    struct tls_sign request = {.key = key, .scheme = scheme, .tbs = tbs};
    struct tls_signature result;
    enum err err = role_peer_call(&edge->directory, &message_tls_sign, &request, NULL, 0,
                                  loop_now_us(edge->env->loop) + ROLE_CALL_US, arena, &result, NULL);
    if (err == ERR_OK) {
        buf_put(out, result.signature);
        err = buf_err(out);
    }
    arena_free(arena);
    return err;
}

static enum err fetch_once(struct edge *edge) {
    struct role_env *env = edge->env;
    struct arena *arena = arena_new("chains", CHAINS_BUDGET);
    struct nothing nothing = {0};
    struct tls_chains chains;
    struct tls_server *server = NULL;
    enum err err = arena ? role_peer_call(&edge->directory, &message_tls_chains, &nothing, NULL, 0,
                                          loop_now_us(env->loop) + ROLE_CALL_US, arena, &chains, NULL)
                         : ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = tls_server_new(edge->library, &edge->signer, env->random, &server);
    for (uint32_t i = 0; err == ERR_OK && i < chains.chains_n; i++)
        err = tls_server_add_chain(server, chains.chains[i].key, chains.chains[i].certificates);
    arena_free(arena);
    if (err != ERR_OK) {
        tls_server_unref(server);
        return err;
    }
    tls_server_unref(edge->tls); /* connections that use it hold their own reference */
    edge->tls = server;
    waitq_wake_all(&edge->tls_ready);
    return ERR_OK;
}

/* Certificates, again after each restart of directory, and until they are there. */
static void fetch_chains(void *arg) {
    struct edge *edge = arg;
    while (edge->fetch_again) {
        edge->fetch_again = false;
        enum err err = fetch_once(edge);
        if (err == ERR_OK)
            continue;
        if (err == ERR_CANCELED)
            break;
        log_event(&edge->env->log, LOG_ERROR, "tls.chains", LF_ERR(err));
        edge->fetch_again = true;
        if (co_sleep(EDGE_CHAINS_RETRY_US) != ERR_OK)
            break;
    }
    edge->fetches = false;
}

static void ask_for_chains(struct edge *edge) {
    edge->fetch_again = true;
    if (!edge->fetches)
        edge->fetches = co_spawn(edge->env->loop, edge->env->group, "edge.chains", fetch_chains, edge, NULL) == ERR_OK;
    if (!edge->fetches)
        log_plain(&edge->env->log, LOG_ERROR, "tls.chains");
}

enum err edge_start_tls(struct edge_connection *c, struct stream *plain, struct stream **out) {
    struct edge *edge = c->edge;
    struct loop *loop = edge->env->loop;
    enum err err = ERR_OK;
    while (!edge->tls && err == ERR_OK)
        err = waitq_wait(&edge->tls_ready, loop_now_us(loop) + ROLE_CALL_US);
    struct stream *secure;
    if (err == ERR_OK) {
        struct tls_server *server = tls_server_ref(edge->tls);
        err = tls_accept(server, plain, loop_now_us(loop) + EDGE_TLS_US, &secure, &c->tls);
        tls_server_unref(server);
    }
    if (err != ERR_OK) {
        log_event(&c->log, LOG_INFO, "tls.failed", LF_ERR(err));
        return err;
    }
    (void)snprintf(c->tls_text, sizeof(c->tls_text), "%s %s", c->tls.version == 0x0304 ? "TLSv1.3" : "TLSv1.2",
                   c->tls.cipher);
    *out = secure;
    return ERR_OK;
}

/* ---- connections ---- */

static struct edge_network *network_enter(struct edge *edge, const struct netaddr *peer) {
    struct netaddr address = netaddr_network(peer);
    struct edge_network *network = map_get(edge->networks, netaddr_key(&address));
    if (!network) {
        network = calloc(1, sizeof(*network));
        if (!network || map_put(edge->networks, netaddr_key(&address), network) != ERR_OK) {
            free(network);
            return NULL;
        }
        network->network = address;
    }
    network->connections++;
    return network;
}

static void network_leave(struct edge *edge, struct edge_network *network) {
    if (network && --network->connections == 0) {
        (void)map_remove(edge->networks, netaddr_key(&network->network));
        free(network);
    }
}

/* One line that says why, in the listener's protocol; never to a TLS port. */
static void send_away(struct edge_connection *c) {
    if (c->listener->offer.implicit_tls)
        return;
    struct view line = c->listener->offer.protocol == PROTOCOL_IMAP
                           ? VIEW("* BYE [UNAVAILABLE] Too many connections; try again later\r\n")
                           : VIEW("421 4.3.2 Too many connections; try again later\r\n");
    (void)!stream_write(c->stream, line, loop_now_us(c->edge->env->loop) + EDGE_GOODBYE_US);
}

static enum err read_proxy(struct edge_connection *c) {
    struct input input;
    input_init(&input, c->stream, 1024);
    enum err err = proxy_read_header(&input, loop_now_us(c->edge->env->loop) + EDGE_TLS_US);
    if (err == ERR_OK &&
        input_pending(&input)
            .n) /* octets beyond the header would be lost: clients of ours wait for a greeting or a handshake */
        err = ERR_SYNTAX;
    input_fini(&input);
    c->peer = c->stream->peer;
    return err;
}

static bool is_over_limits(const struct edge_connection *c, const struct edge_network *network) {
    const struct role_configure *config = c->edge->env->config;
    if (c->edge->connections > config->connections_max || !network)
        return true;
    bool counted = config->throttle_loopback || !netaddr_is_loopback(&c->peer);
    return counted && network->connections > config->connections_per_network;
}

static void connection_opened(struct edge_connection *c) {
    struct edge *edge = c->edge;
    edge->connections++;
    c->co = co_current();
    c->next = edge->open;
    if (c->next)
        c->next->prev = c;
    edge->open = c;
}

static void connection_closed(struct edge_connection *c) {
    struct edge *edge = c->edge;
    *(c->prev ? &c->prev->next : &edge->open) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    edge->connections--;
    waitq_wake_all(&edge->closed);
    free(c);
}

static void connection_body(void *arg) {
    struct edge_connection *c = arg;
    struct edge *edge = c->edge;
    connection_opened(c);
    enum err err = c->listener->offer.proxy ? read_proxy(c) : ERR_OK;
    struct edge_network *network = network_enter(edge, &c->peer);
    struct buf peer;
    buf_init(&peer, 100);
    buf_put_netaddr(&peer, &c->peer);
    struct log numbered;
    log_child(&numbered, &edge->env->log, LF_U64("conn", ++edge->next_connection));
    log_child(&c->log, &numbered, LF_VIEW("peer", buf_view(&peer)));
    buf_fini(&peer);
    if (err == ERR_OK && is_over_limits(c, network)) {
        log_plain(&c->log, LOG_WARN, "connection.refused");
        send_away(c);
        err = ERR_LIMIT;
    }
    if (err == ERR_OK && c->listener->offer.implicit_tls)
        err = edge_start_tls(c, c->stream, &c->stream);
    if (err == ERR_OK) {
        c->speaks = true;
        if (c->listener->offer.protocol == PROTOCOL_IMAP)
            edge_imap(c);
        else
            edge_smtp(c);
    }
    if (c->stream) {
        stream_shutdown(c->stream);
        stream_free(c->stream);
    }
    network_leave(edge, network);
    connection_closed(c);
}

static void accept_all(struct edge_listener *l) {
    struct role_env *env = l->edge->env;
    for (;;) {
        struct stream *stream;
        enum err err = listener_accept(l->listener, US_NEVER, &stream);
        if (err == ERR_FULL) { /* out of descriptors: those who have one go on, the others wait in the kernel's queue */
            log_plain(&env->log, LOG_WARN, "accept.descriptors");
            err = co_sleep(EDGE_BUSY_US);
            if (err == ERR_OK)
                continue;
        }
        if (err == ERR_CANCELED)
            return;
        if (err !=
            ERR_OK) { /* a firewall's no, perhaps: an edge that accepts nothing any more would look well and be deaf */
            log_event(&env->log, LOG_ERROR, "accept", LF_ERR(err));
            if (co_sleep(EDGE_ACCEPT_RETRY_US) != ERR_OK)
                return;
            continue;
        }
        struct edge_connection *c = calloc(1, sizeof(*c));
        if (c) {
            *c = (struct edge_connection){.edge = l->edge, .listener = l, .stream = stream, .peer = stream->peer};
            err = co_spawn(env->loop, env->group, "edge.connection", connection_body, c, NULL);
        }
        if (!c || err != ERR_OK) {
            stream_free(stream);
            free(c);
        }
    }
}

static void listen_body(void *arg) {
    struct edge_listener *l = arg;
    accept_all(l);
    l->co = NULL;
}

/* ---- life ---- */

static void peer_closed(void *ctx, enum err why) {
    const struct role_env *env = ctx;
    log_event(&env->log, why == ERR_SYNTAX ? LOG_ERROR : LOG_DEBUG, "peer.closed", LF_ERR(why));
}

static void edge_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    struct edge *edge = env->state;
    struct role_peer *peer = offer->peer == ROLE_DIRECTORY  ? &edge->directory
                             : offer->peer == ROLE_QUEUE    ? &edge->queue
                             : offer->peer == ROLE_RESOLVER ? &edge->resolver
                                                            : NULL;
    if (!peer || channel_start(channel, role_name((enum role)offer->peer), NULL, 0, env, env->group) != ERR_OK) {
        channel_free(channel);
        return;
    }
    channel_on_close(channel, peer_closed, env);
    role_peer_set(peer, channel);
    if (peer == &edge->directory)
        ask_for_chains(edge);
}

static void edge_listen(struct role_env *env, const struct listener_offer *offer, struct listener *listener) {
    struct edge *edge = env->state;
    struct edge_listener *l = calloc(1, sizeof(*l));
    if (!l) {
        listener_free(listener);
        return;
    }
    *l = (struct edge_listener){.edge = edge, .listener = listener, .offer = *offer, .next = edge->listeners};
    edge->listeners = l;
    if (co_spawn(env->loop, env->group, "edge.listen", listen_body, l, &l->co) != ERR_OK)
        log_plain(&env->log, LOG_ERROR, "listen");
}

static enum err edge_prepare(struct role_env *env, struct buf *why) {
    struct edge_tools *tools = calloc(1, sizeof(*tools));
    if (!tools)
        return ERR_NO_MEMORY;
    env->prepared = tools;
    enum err err = tls_library_new(&tools->library);
    if (err == ERR_OK)
        err = dkim_crypto_new(&tools->crypto);
    if (err != ERR_OK) {
        buf_put_str(why, "OpenSSL cannot be set up");
        return err;
    }
    err = dmarc_suffixes_new(NULL, &tools->suffixes);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void edge_unprepare(struct role_env *env) {
    struct edge_tools *tools = env->prepared;
    if (!tools)
        return;
    dmarc_suffixes_free(tools->suffixes);
    dkim_crypto_free(tools->crypto);
    tls_library_free(tools->library);
    free(tools);
    env->prepared = NULL;
}

static enum err edge_start(struct role_env *env, struct buf *why) {
    (void)why;
    struct edge *edge = calloc(1, sizeof(*edge));
    if (!edge)
        return ERR_NO_MEMORY;
    env->state = edge;
    edge->env = env;
    edge->tools = env->prepared;
    edge->library = edge->tools->library;
    edge->signer.sign = edge_sign;
    uint8_t seed[16];
    random_fill(env->random, seed, sizeof(seed));
    edge->networks = map_new(seed, EDGE_NETWORKS_MAX);
    if (!edge->networks)
        return ERR_NO_MEMORY;
    return doors_init(&edge->doors, env, &message_mailbox_request);
}

/* SMTP says 421, IMAP says BYE: before login here, after it in the mailboxes, whose end of the session is ours too. */
static void edge_quiesce(struct role_env *env, int64_t deadline_us) {
    struct edge *edge = env->state;
    edge->stopping = true;
    for (struct edge_listener *l = edge->listeners; l; l = l->next)
        if (l->co)
            co_cancel(l->co);
    for (struct edge_connection *c = edge->open; c; c = c->next)
        if (!c->speaks) /* a handshake, or a header that may never come */
            co_cancel(c->co);
        else if (c->stream)
            stream_interrupt(c->stream);
    while (edge->open && waitq_wait(&edge->closed, deadline_us) == ERR_OK)
        ;
}

static void edge_stop(struct role_env *env) {
    struct edge *edge = env->state;
    while (edge->listeners) {
        struct edge_listener *l = edge->listeners;
        edge->listeners = l->next;
        listener_free(l->listener);
        free(l);
    }
    doors_fini(&edge->doors);
    role_peer_fini(&edge->directory);
    role_peer_fini(&edge->queue);
    role_peer_fini(&edge->resolver);
    tls_server_unref(edge->tls);
    map_free(edge->networks);
    free(edge);
    env->state = NULL;
}

const struct role_def role_edge = {
    .role = ROLE_EDGE,
    .prepare = edge_prepare,
    .start = edge_start,
    .offer = edge_offer,
    .listen = edge_listen,
    .quiesce = edge_quiesce,
    .stop = edge_stop,
    .unprepare = edge_unprepare,
};
