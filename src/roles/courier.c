/*
 * The courier role: one envelope and one read-only file an attempt, to the mail
 * exchangers of one domain. It has no memory of its own: what came of an attempt
 * goes back to the queue, which decides.
 */
#include "roles/courier.h"

#include "base/vec.h"
#include "dns/mx.h"
#include "roles/peer_dns.h"
#include "smtp/client.h"

#include <stdlib.h>
#include <string.h>

#define CONNECT_US (30 * US_PER_S) /* RFC5321-4.5.3.2 has no time for connecting; the next host may be there */
#define CONNECTIONS_MAX 12         /* hosts' addresses that one attempt tries */
#define PEERS_MAX 16
#define ATTEMPT_BUDGET (2 * 1024 * 1024) /* octets: DNS answers of 16 hosts, replies of 100 recipients */
#define HOST_MAX 255

struct courier {
    struct role_env *env;
    struct tls_client *tls;
    struct role_peer resolver;
    struct vec peers; /* struct channel *: queues, of which one lives */
};

/* ---- an attempt ---- */

struct trip {
    struct courier *courier;
    const struct attempt *attempt;
    struct file *body;
    struct arena *arena;
    struct log log;
    int64_t deadline_us;
    struct attempt_outcome *outcomes;
    unsigned connections;
    /* What to say when no host takes it: of the last one that was tried. */
    struct attempt_outcome failure;
    /* of the connection under way */
    struct view host;
    bool tls_begun;
};

static void set_all(struct trip *trip, struct attempt_outcome outcome) {
    for (uint32_t i = 0; i < trip->attempt->recipients_n; i++)
        trip->outcomes[i] = outcome;
}

static struct attempt_outcome outcome_of(uint16_t reply, struct view status, struct view text, struct view host) {
    return (struct attempt_outcome){
        .reply = reply, .status = status, .text = text, .host = view_sub(host, 0, HOST_MAX)};
}

static void set_failure(struct trip *trip, struct view text) {
    trip->failure = outcome_of(451, VIEW("4.4.1"), text, trip->host);
}

static enum err trip_starttls(void *ctx, struct stream *plain, struct stream **out) {
    struct trip *trip = ctx;
    struct tls_facts facts;
    trip->tls_begun = true;
    const char *name = arena_cstr(trip->arena, trip->host);
    if (!name)
        return ERR_NO_MEMORY;
    return tls_connect(trip->courier->tls, plain, name, NULL, loop_now_us(trip->courier->env->loop) + TLS_HANDSHAKE_US,
                       out, &facts);
}

/* What one connection came to: ERR_OK: outcomes are set; others: it failed before any answer that counts. */
static enum err send_once(struct trip *trip, const struct netaddr *address, bool with_tls, bool *sent_dot) {
    struct role_env *env = trip->courier->env;
    const struct attempt *attempt = trip->attempt;
    struct stream *stream;
    *sent_dot = false;
    trip->tls_begun = false;
    trip->connections++;
    TRY(net_connect(env->net, address, NULL, MIN(loop_now_us(env->loop) + CONNECT_US, trip->deadline_us), &stream));
    struct view *recipients = ARENA_ARRAY(trip->arena, attempt->recipients_n, struct view);
    struct smtp_outcome *outcomes = ARENA_ARRAY(trip->arena, attempt->recipients_n, struct smtp_outcome);
    if (!recipients || !outcomes) {
        stream_free(stream);
        return ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < attempt->recipients_n; i++)
        recipients[i] = attempt->recipients[i].address;
    struct smtp_client_params params = {
        .hostname = env->config->hostname,
        .starttls = with_tls ? trip_starttls : NULL,
        .ctx = trip,
    };
    struct smtp_envelope envelope = {
        .sender = attempt->sender,
        .recipients = recipients,
        .recipients_n = attempt->recipients_n,
        .eightbit = (attempt->flags & QUEUE_FLAG_8BITMIME) != 0,
        .smtputf8 = (attempt->flags & QUEUE_FLAG_SMTPUTF8) != 0,
        .prefix = attempt->prefix,
        .body = trip->body,
        .size = attempt->size,
    };
    enum err err = smtp_client_send(&params, &stream, &envelope, trip->arena, outcomes, sent_dot);
    stream_free(stream);
    for (uint32_t i = 0; err == ERR_OK && i < attempt->recipients_n; i++)
        trip->outcomes[i] = outcome_of(outcomes[i].reply, view_sub(outcomes[i].status, 0, 16),
                                       view_sub(outcomes[i].text, 0, MESSAGE_TEXT_MAX), trip->host);
    return err;
}

static bool is_all_temporary(const struct trip *trip) {
    for (uint32_t i = 0; i < trip->attempt->recipients_n; i++)
        if (trip->outcomes[i].reply / 100 != 4)
            return false;
    return true;
}

static struct view failure_text(enum err err) {
    switch (err) {
    case ERR_TIMEOUT:
        return VIEW("The server did not answer in time");
    case ERR_SYNTAX:
    case ERR_LIMIT:
        return VIEW("The server does not speak SMTP");
    case ERR_CLOSED:
        return VIEW("The server refused or ended the connection");
    default:
        return VIEW("The server cannot be reached");
    }
}

/* True when the trip is over: outcomes are set, or nothing more may be tried. */
static bool try_address(struct trip *trip, const struct netaddr *address, enum err *err) {
    bool sent_dot;
    *err = send_once(trip, address, true, &sent_dot);
    if (*err != ERR_OK && *err != ERR_CANCELED && !sent_dot && trip->tls_begun)
        /* RFC3207-4.1, RFC7435-3: encryption that fails must not cost the message where it was not promised. */
        *err = send_once(trip, address, false, &sent_dot);
    if (*err == ERR_CANCELED || *err == ERR_NO_MEMORY)
        return true;
    log_event(&trip->log, LOG_INFO, "courier.connection", LF_VIEW("host", trip->host), LF_ERR(*err),
              LF_U64("reply", *err == ERR_OK ? trip->outcomes[0].reply : 0));
    if (*err == ERR_OK) {
        if (!is_all_temporary(trip))
            return true;
        trip->failure = trip->outcomes[0]; /* RFC5321-5.1: the next host may take what this one cannot now */
        trip->failure.reply = 0;           /* each recipient has its own */
        return false;
    }
    if (*err == ERR_PERMANENT) {
        *err = ERR_OK;
        set_all(trip,
                outcome_of(
                    554, VIEW("5.6.0"),
                    VIEW("The message cannot be sent as it is: it has bare CR or LF, or needs what the server lacks"),
                    trip->host));
        return true;
    }
    set_failure(trip, failure_text(*err));
    if (sent_dot) { /* perhaps delivered: trying the next host now would double it for sure */
        set_all(trip, trip->failure);
        *err = ERR_OK;
        return true;
    }
    return false;
}

bool courier_may_connect(const struct netaddr *address, bool localserve) {
    if (netaddr_is_loopback(address))
        return localserve; /* a developer's own server; otherwise a record that points at us from outside */
    return !netaddr_is_private(address);
}

/* True when the trip is over. */
static bool try_host(struct trip *trip, struct dns_client *dns, struct view host, bool *any_address, enum err *err) {
    const struct role_configure *config = trip->courier->env->config;
    struct mx_addresses addresses;
    trip->host = host;
    *err = mx_addresses(dns, host, trip->courier->env->random, trip->arena, &addresses);
    if (*err != ERR_OK)
        return true;
    if (addresses.n == 0 && addresses.is_temporary)
        trip->failure = outcome_of(451, VIEW("4.4.3"), VIEW("The name of the mail server could not be resolved"), host);
    *any_address = *any_address || addresses.n || addresses.is_temporary;
    for (size_t i = 0; i < addresses.n && trip->connections < CONNECTIONS_MAX &&
                       loop_now_us(trip->courier->env->loop) < trip->deadline_us;
         i++) {
        struct netaddr address = addresses.list[i];
        address.port = config->relay_port ? config->relay_port : SMTP_PORT;
        if (!courier_may_connect(&address, config->localserve)) {
            if (trip->failure.status.n == 0)
                trip->failure =
                    outcome_of(550, VIEW("5.4.4"), VIEW("The mail server's address is private or our own"), host);
            continue;
        }
        if (try_address(trip, &address, err))
            return true;
    }
    return false;
}

static enum err try_hosts(struct trip *trip, struct dns_client *dns, const struct mx *mx) {
    bool any_address = false;
    enum err err = ERR_OK;
    for (size_t i = 0; i < mx->n; i++)
        if (try_host(trip, dns, mx->hosts[i], &any_address, &err))
            return err;
    if (!any_address)
        /* RFC5321-5.1: a host without an address. */
        trip->failure =
            outcome_of(550, VIEW("5.4.4"), VIEW("None of the domain's mail servers has an address"), trip->host);
    if (trip->failure.reply) /* else the recipients have what the last server said */
        set_all(trip, trip->failure);
    return ERR_OK;
}

/* RFC5321-4.1.3: "[192.0.2.1]" or "[IPv6:...]" names its host. */
static enum err try_literal(struct trip *trip, struct view domain) {
    struct netaddr address;
    struct view text = view_sub(domain, 1, domain.n - 2);
    if (view_starts_nocase(text, VIEW("IPv6:")))
        text = view_skip(text, 5);
    const struct role_configure *config = trip->courier->env->config;
    if (domain.n < 3 || netaddr_parse(text, 0, &address) != ERR_OK || address.port != 0) {
        set_all(trip, outcome_of(553, VIEW("5.1.2"), VIEW("The address literal is not valid"), VIEW_NONE));
        return ERR_OK;
    }
    address.port = config->relay_port ? config->relay_port : SMTP_PORT;
    trip->host = text;
    if (!courier_may_connect(&address, config->localserve)) {
        set_all(trip, outcome_of(550, VIEW("5.4.4"), VIEW("The address is private or our own"), text));
        return ERR_OK;
    }
    enum err err;
    if (!try_address(trip, &address, &err) && trip->failure.reply)
        set_all(trip, trip->failure);
    return err == ERR_CANCELED || err == ERR_NO_MEMORY ? err : ERR_OK;
}

static enum err try_domain(struct trip *trip) {
    struct role_env *env = trip->courier->env;
    struct peer_dns dns;
    peer_dns_init(&dns, trip->courier->env->loop, &trip->courier->resolver, &message_dns_lookup, trip->deadline_us);
    struct view domain = trip->attempt->domain;
    if (view_starts(domain, VIEW("[")))
        return try_literal(trip, domain);
    struct mx mx;
    TRY(mx_lookup(&dns.client, domain, env->config->localserve ? VIEW_NONE : env->config->hostname, env->random,
                  trip->arena, &mx));
    switch (mx.status) {
    case MX_OK:
        return try_hosts(trip, &dns.client, &mx);
    case MX_NULL: /* RFC7505-4.2 */
        set_all(trip, outcome_of(556, VIEW("5.1.10"), VIEW("The domain takes no mail (null MX)"), VIEW_NONE));
        break;
    case MX_NO_DOMAIN:
        set_all(trip, outcome_of(550, VIEW("5.1.2"), VIEW("The domain does not exist"), VIEW_NONE));
        break;
    case MX_NO_HOST:
        set_all(trip, outcome_of(550, VIEW("5.1.2"), VIEW("The domain has no mail server"), VIEW_NONE));
        break;
    case MX_LOOP:
        set_all(trip,
                outcome_of(550, VIEW("5.4.6"),
                           VIEW("The domain's mail server is this one, which does not host the domain"), VIEW_NONE));
        break;
    case MX_TEMPORARY:
        set_all(trip,
                outcome_of(451, VIEW("4.4.3"), VIEW("The domain's mail servers could not be looked up"), VIEW_NONE));
        break;
    }
    return ERR_OK;
}

static enum err handle_attempt(void *ctx, struct call *call, void *reply,
                               struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct courier *courier = ctx;
    struct attempt_result *result = reply;
    const struct attempt *attempt = call->request;
    if (attempt->recipients_n == 0 || call->handles[0].kind != HANDLE_FILE)
        return ERR_SYNTAX;
    struct trip trip = {
        .courier = courier,
        .attempt = attempt,
        .body = call->handles[0].file,
        .arena = arena_new("attempt", ATTEMPT_BUDGET),
        .deadline_us = MIN(call->deadline_us, loop_now_us(courier->env->loop) + COURIER_ATTEMPT_US),
        .outcomes = ARENA_ARRAY(call->arena, attempt->recipients_n, struct attempt_outcome),
        .failure = outcome_of(451, VIEW_NONE, VIEW("No mail server could be tried"), VIEW_NONE),
    };
    if (!trip.arena || !trip.outcomes) {
        arena_free(trip.arena);
        return ERR_NO_MEMORY;
    }
    log_child(&trip.log, &courier->env->log, LF_VIEW("domain", attempt->domain));
    enum err err = try_domain(&trip);
    /* The texts live in the trip's arena, the reply in the call's. */
    for (uint32_t i = 0; err == ERR_OK && i < attempt->recipients_n; i++) {
        struct attempt_outcome *outcome = &trip.outcomes[i];
        err = arena_view(call->arena, outcome->status, &outcome->status);
        if (err == ERR_OK)
            err = arena_view(call->arena, outcome->text, &outcome->text);
        if (err == ERR_OK)
            err = arena_view(call->arena, outcome->host, &outcome->host);
    }
    arena_free(trip.arena);
    result->outcomes = trip.outcomes;
    result->outcomes_n = attempt->recipients_n;
    return err;
}

/* ---- life ---- */

static const struct channel_handler queue_handlers[] = {{&message_attempt, handle_attempt}};

static enum err courier_prepare(struct role_env *env, struct buf *why) {
    enum err err = tls_library_new((struct tls_library **)&env->prepared);
    if (err != ERR_OK)
        buf_put_str(why, "OpenSSL cannot be set up");
    return err;
}

static void courier_unprepare(struct role_env *env) {
    tls_library_free(env->prepared);
    env->prepared = NULL;
}

static enum err courier_start(struct role_env *env, struct buf *why) {
    struct courier *courier = calloc(1, sizeof(*courier));
    if (!courier)
        return ERR_NO_MEMORY;
    env->state = courier;
    courier->env = env;
    courier->peers = VEC_OF(struct channel *, PEERS_MAX);
    enum err err = tls_client_new(env->prepared, &courier->tls);
    if (err != ERR_OK)
        buf_put_str(why, "no TLS client context");
    return err;
}

static void courier_offer(struct role_env *env, const struct channel_offer *offer, struct channel *channel) {
    struct courier *courier = env->state;
    bool is_queue = offer->peer == ROLE_QUEUE;
    if (!is_queue && offer->peer != ROLE_RESOLVER) {
        channel_free(channel);
        return;
    }
    for (size_t i = courier->peers.n; is_queue && i-- > 0;) { /* an earlier queue's, which ended */
        struct channel *old = *VEC_AT(&courier->peers, struct channel *, i);
        if (!channel_is_open(old)) {
            channel_free(old);
            vec_remove(&courier->peers, i, 1);
        }
    }
    struct channel **slot = is_queue ? vec_add(&courier->peers) : NULL;
    if (is_queue)
        channel_set_handlers_max(channel, COURIER_ATTEMPTS_MAX);
    if ((is_queue && !slot) ||
        channel_start(channel, role_name((enum role)offer->peer), is_queue ? queue_handlers : NULL,
                      is_queue ? ARRAY_LEN(queue_handlers) : 0, courier, env->group) != ERR_OK) {
        channel_free(channel);
        courier->peers.n -= slot != NULL;
        return;
    }
    if (is_queue)
        *slot = channel;
    else
        role_peer_set(&courier->resolver, channel);
}

static void courier_stop(struct role_env *env) {
    struct courier *courier = env->state;
    for (size_t i = 0; i < courier->peers.n; i++)
        channel_free(*VEC_AT(&courier->peers, struct channel *, i));
    vec_fini(&courier->peers);
    role_peer_fini(&courier->resolver);
    tls_client_free(courier->tls);
    free(courier);
    env->state = NULL;
}

const struct role_def role_courier = {
    .role = ROLE_COURIER,
    .prepare = courier_prepare,
    .start = courier_start,
    .offer = courier_offer,
    .stop = courier_stop,
    .unprepare = courier_unprepare,
};
