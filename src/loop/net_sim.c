/* The simulated network: connections are pairs of streams in memory, rules decide their fate. */
#include "loop/net_sim.h"
#include "loop/stream_pair.h"

#include "base/vec.h"

#include <stdlib.h>

#define SIM_CAPACITY ((size_t)64 * 1024)
#define SIM_BACKLOG 1024
#define SIM_RULES_MAX 4096
/* RFC6335-6: the dynamic ports */
#define SIM_PORT_FIRST 49152u
#define SIM_PORT_LAST 65535u

struct sim_net;
struct sim_rule {
    struct netaddr addr;
    enum net_sim_fate fate;
    uint64_t cut_at;
};
struct sim_connection {
    struct pair_hooks hooks; /* first */
    struct sim_net *net;
    struct sim_connection *prev, *next;
    struct netaddr server;
    uint64_t writes, cut_at;
    struct stream *client;
};
struct sim_listener {
    struct listener listener; /* first */
    struct sim_net *net;
    struct sim_listener *prev, *next;
    struct vec backlog; /* struct stream *: the servers' ends */
    struct waitq accepting;
};
struct sim_net {
    struct net net; /* first */
    struct random *random;
    int64_t least_us, most_us;
    size_t capacity;
    unsigned next_port;
    uint64_t writes;
    struct vec rules; /* struct sim_rule */
    struct sim_listener *listeners;
    struct sim_connection *connections;
    size_t references; /* the net itself, its listeners and connections: streams may outlive it */
};

static void sim_unref(struct sim_net *sim) {
    if (--sim->references > 0)
        return;
    vec_fini(&sim->rules);
    free(sim);
}

static bool is_any(const struct netaddr *addr) {
    static const uint8_t zero[16];
    return view_eq(view_of(addr->ip, addr->family == 4 ? 4 : 16), view_of(zero, addr->family == 4 ? 4 : 16));
}

static unsigned draw_port(struct sim_net *sim) {
    unsigned port = sim->next_port;
    sim->next_port = port == SIM_PORT_LAST ? SIM_PORT_FIRST : port + 1;
    return port;
}

static int64_t draw_delay_us(struct sim_net *sim) {
    if (sim->most_us <= sim->least_us)
        return sim->least_us;
    return sim->least_us + (int64_t)random_below(sim->random, (uint64_t)(sim->most_us - sim->least_us) + 1);
}

/* ---- rules ---- */

/* The rule made for exactly this port wins over that for all ports. */
static const struct sim_rule *rule_for(struct sim_net *sim, const struct netaddr *addr) {
    const struct sim_rule *found = NULL;
    VEC_EACH(&sim->rules, struct sim_rule, rule) {
        if (netaddr_ip_eq(&rule->addr, addr) &&
            (rule->addr.port == addr->port || (rule->addr.port == 0 && found == NULL)))
            found = rule;
    }
    return found;
}

static struct sim_rule *rule_make(struct sim_net *sim, const struct netaddr *addr) {
    VEC_EACH(&sim->rules, struct sim_rule, rule) {
        if (netaddr_ip_eq(&rule->addr, addr) && rule->addr.port == addr->port)
            return rule;
    }
    struct sim_rule *rule = vec_add(&sim->rules);
    if (rule != NULL)
        rule->addr = *addr;
    return rule;
}

void net_sim_set_latency(struct net *net, int64_t least_us, int64_t most_us) {
    struct sim_net *sim = (struct sim_net *)net;
    sim->least_us = least_us;
    sim->most_us = most_us;
}

enum err net_sim_set_fate(struct net *net, const struct netaddr *addr, enum net_sim_fate fate) {
    struct sim_rule *rule = rule_make((struct sim_net *)net, addr);
    if (rule == NULL)
        return ERR_NO_MEMORY;
    rule->fate = fate;
    return ERR_OK;
}

enum err net_sim_set_cut(struct net *net, const struct netaddr *addr, uint64_t nth) {
    struct sim_rule *rule = rule_make((struct sim_net *)net, addr);
    if (rule == NULL)
        return ERR_NO_MEMORY;
    rule->cut_at = nth;
    return ERR_OK;
}

size_t net_sim_break(struct net *net, const struct netaddr *addr) {
    struct sim_net *sim = (struct sim_net *)net;
    size_t n = 0;
    for (struct sim_connection *c = sim->connections; c != NULL; c = c->next) {
        if (netaddr_ip_eq(&c->server, addr) && (addr->port == 0 || addr->port == c->server.port)) {
            stream_pair_break(c->client);
            n++;
        }
    }
    return n;
}

uint64_t net_sim_writes(const struct net *net) {
    return ((const struct sim_net *)net)->writes;
}

void net_sim_set_capacity(struct net *net, size_t capacity) {
    ((struct sim_net *)net)->capacity = capacity;
}

/* ---- connections ---- */

static int64_t delay_us(struct pair_hooks *hooks) {
    return draw_delay_us(((struct sim_connection *)hooks)->net);
}

static size_t cut(struct pair_hooks *hooks, size_t n) {
    struct sim_connection *c = (struct sim_connection *)hooks;
    c->net->writes++;
    c->writes++;
    return c->writes == c->cut_at ? random_below(c->net->random, n) : n;
}

static void gone(struct pair_hooks *hooks) {
    struct sim_connection *c = (struct sim_connection *)hooks;
    *(c->prev ? &c->prev->next : &c->net->connections) = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    sim_unref(c->net);
    free(c);
}

static enum err make_connection(struct sim_net *sim, const struct netaddr *server, const struct netaddr *local,
                                struct stream **client_end, struct stream **server_end) {
    struct sim_connection *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return ERR_NO_MEMORY;
    c->hooks = (struct pair_hooks){.delay_us = delay_us, .cut = cut, .gone = gone};
    c->net = sim;
    c->server = *server;
    const struct sim_rule *rule = rule_for(sim, server);
    c->cut_at = rule != NULL ? rule->cut_at : 0;
    enum err err = stream_new_pair_hooked(sim->net.loop, sim->capacity, &c->hooks, client_end, server_end);
    if (err != ERR_OK) {
        free(c);
        return err;
    }
    c->client = *client_end;
    c->next = sim->connections;
    if (c->next != NULL)
        c->next->prev = c;
    sim->connections = c;
    sim->references++;
    struct netaddr client = local != NULL && local->family != 0 ? *local : *server;
    if (local == NULL || local->port == 0)
        client.port = (uint16_t)draw_port(sim);
    (*client_end)->local = (*server_end)->peer = client;
    (*client_end)->peer = (*server_end)->local = *server;
    return ERR_OK;
}

static struct sim_listener *listener_at(struct sim_net *sim, const struct netaddr *addr, bool is_exact) {
    struct sim_listener *found = NULL;
    for (struct sim_listener *l = sim->listeners; l != NULL; l = l->next) {
        const struct netaddr *local = &l->listener.local;
        if (local->port != addr->port || local->family != addr->family)
            continue;
        if (netaddr_ip_eq(local, addr))
            return l;
        if (is_any(local) || (is_exact && is_any(addr)))
            found = l;
    }
    return found;
}

static enum err sim_connect(struct net *net, const struct netaddr *peer, const struct netaddr *local,
                            int64_t deadline_us, struct stream **out) {
    struct sim_net *sim = (struct sim_net *)net;
    const struct sim_rule *rule = rule_for(sim, peer);
    if (rule != NULL && rule->fate == NET_SIM_BLACKHOLE) {
        TRY(co_sleep(deadline_us == US_NEVER ? US_NEVER : deadline_us - loop_now_us(net->loop)));
        return ERR_TIMEOUT;
    }
    /* There and back. */
    int64_t answer_us = loop_now_us(net->loop) + draw_delay_us(sim) + draw_delay_us(sim);
    TRY(co_sleep(MIN(answer_us, deadline_us) - loop_now_us(net->loop)));
    if (answer_us > deadline_us)
        return ERR_TIMEOUT;
    rule = rule_for(sim, peer); /* it may have changed meanwhile */
    if (rule != NULL && rule->fate != NET_SIM_REACHED)
        return rule->fate == NET_SIM_REFUSED ? ERR_CLOSED : rule->fate == NET_SIM_BLACKHOLE ? ERR_TIMEOUT : ERR_IO;
    struct sim_listener *listener = listener_at(sim, peer, false);
    if (listener == NULL)
        return ERR_CLOSED;
    struct stream **slot = vec_add(&listener->backlog);
    if (slot == NULL)
        return ERR_TIMEOUT; /* a full backlog drops the peer's SYN */
    enum err err = make_connection(sim, peer, local, out, slot);
    if (err != ERR_OK) {
        vec_remove(&listener->backlog, listener->backlog.n - 1, 1);
        return err;
    }
    waitq_wake_one(&listener->accepting);
    return ERR_OK;
}

/* ---- listeners ---- */

static enum err sim_accept(struct listener *listener, int64_t deadline_us, struct stream **out) {
    struct sim_listener *l = (struct sim_listener *)listener;
    TRY(co_breathe());
    while (l->backlog.n == 0)
        TRY(waitq_wait(&l->accepting, deadline_us));
    *out = *VEC_AT(&l->backlog, struct stream *, 0);
    vec_remove(&l->backlog, 0, 1);
    return ERR_OK;
}

static int sim_fd(struct listener *listener) {
    (void)listener;
    return -1;
}

static void sim_listener_free(struct listener *listener) {
    struct sim_listener *l = (struct sim_listener *)listener;
    BUG_IF(l->accepting.first != NULL);
    for (size_t i = 0; i < l->backlog.n; i++) {
        struct stream *stream = *VEC_AT(&l->backlog, struct stream *, i);
        stream_pair_break(stream);
        stream_free(stream);
    }
    vec_fini(&l->backlog);
    *(l->prev ? &l->prev->next : &l->net->listeners) = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    sim_unref(l->net);
    free(l);
}

static const struct listener_ops sim_listener_ops = {.accept = sim_accept, .fd = sim_fd, .free = sim_listener_free};

static enum err sim_listen(struct net *net, const struct netaddr *local, struct listener **out) {
    struct sim_net *sim = (struct sim_net *)net;
    struct netaddr addr = *local;
    if (addr.port == 0)
        addr.port = (uint16_t)draw_port(sim);
    if (listener_at(sim, &addr, true) != NULL)
        return ERR_EXISTS;
    struct sim_listener *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return ERR_NO_MEMORY;
    l->listener = (struct listener){.ops = &sim_listener_ops, .loop = net->loop, .local = addr};
    l->net = sim;
    l->backlog = VEC_OF(struct stream *, SIM_BACKLOG);
    l->next = sim->listeners;
    if (l->next != NULL)
        l->next->prev = l;
    sim->listeners = l;
    sim->references++;
    *out = &l->listener;
    return ERR_OK;
}

/* ---- the net ---- */

static void sim_free(struct net *net) {
    sim_unref((struct sim_net *)net);
}

static const struct net_ops sim_ops = {.listen = sim_listen, .connect = sim_connect, .free = sim_free};

struct net *net_new_sim(struct loop *loop, struct random *random) {
    struct sim_net *sim = calloc(1, sizeof(*sim));
    if (sim == NULL)
        return NULL;
    sim->net = (struct net){&sim_ops, loop};
    sim->random = random;
    sim->capacity = SIM_CAPACITY;
    sim->next_port = SIM_PORT_FIRST;
    sim->rules = VEC_OF(struct sim_rule, SIM_RULES_MAX);
    sim->references = 1;
    return &sim->net;
}
