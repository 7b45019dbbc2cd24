/* Networks: the machine's on loopback with ports of the kernel's choice, and the simulated one. */
#include "loop/net.h"
#include "loop/net_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIG ((size_t)1024 * 1024)

struct party {
    struct loop *loop;
    struct net *net;
    struct listener *listener;
    struct netaddr to;
    int64_t deadline_us;
    enum err err;
    struct netaddr from; /* connects from there */
    struct netaddr peer, local;
    uint8_t *sent, *received;
    size_t received_n;
    bool stop;
};

static struct netaddr addr_of(const char *text) {
    struct netaddr addr;
    assert_int_equal(netaddr_parse(view_cstr(text), 0, &addr), ERR_OK);
    return addr;
}

/* Reads to the end and sends it all back. */
static void serve_echo(void *arg) {
    struct party *p = arg;
    struct stream *s;
    p->err = listener_accept(p->listener, p->deadline_us, &s);
    if (p->err != ERR_OK)
        return;
    p->peer = s->peer;
    p->local = s->local;
    enum err err;
    size_t got;
    while ((err = stream_read(s, p->received + p->received_n, BIG - p->received_n + 1, US_NEVER, &got)) == ERR_OK)
        p->received_n += got;
    assert_int_equal(err, ERR_CLOSED);
    assert_int_equal(stream_write(s, view_of(p->received, p->received_n), US_NEVER), ERR_OK);
    stream_free(s);
}

static void ask_echo(void *arg) {
    struct party *p = arg;
    struct stream *s;
    p->err = net_connect(p->net, &p->to, NULL, p->deadline_us, &s);
    assert_int_equal(p->err, ERR_OK);
    p->peer = s->peer;
    p->local = s->local;
    assert_int_equal(stream_write(s, view_of(p->sent, BIG), US_NEVER), ERR_OK);
    stream_shutdown(s);
    enum err err;
    size_t got;
    while ((err = stream_read(s, p->received + p->received_n, BIG - p->received_n + 1, US_NEVER, &got)) == ERR_OK)
        p->received_n += got;
    assert_int_equal(err, ERR_CLOSED);
    stream_free(s);
    if (p->stop)
        loop_stop(p->loop);
}

static void echo_over(struct loop *loop, struct net *net, const char *address, bool stop) {
    struct netaddr local = addr_of(address);
    struct listener *listener;
    assert_int_equal(net_listen(net, &local, &listener), ERR_OK);
    assert_true(listener->local.port != 0);
    assert_true(netaddr_ip_eq(&listener->local, &local));
    struct listener *second;
    assert_int_equal(net_listen(net, &listener->local, &second), ERR_EXISTS);

    struct party server = {.loop = loop, .net = net, .listener = listener, .deadline_us = US_NEVER};
    struct party client = {.loop = loop, .net = net, .to = listener->local, .deadline_us = US_NEVER, .stop = stop};
    server.received = malloc(BIG + 1);
    client.received = malloc(BIG + 1);
    client.sent = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        client.sent[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(co_spawn(loop, NULL, "server", serve_echo, &server, NULL), ERR_OK);
    assert_int_equal(co_spawn(loop, NULL, "client", ask_echo, &client, NULL), ERR_OK);
    loop_run(loop);
    assert_int_equal(server.err, ERR_OK);
    assert_int_equal(client.received_n, BIG);
    assert_memory_equal(client.received, client.sent, BIG);
    assert_true(netaddr_ip_eq(&client.local, &server.peer) && client.local.port == server.peer.port);
    assert_true(netaddr_ip_eq(&client.peer, &server.local) && client.peer.port == server.local.port);
    free(server.received);
    free(client.received);
    free(client.sent);
    listener_free(listener);
}

static void test_loopback(void **state) {
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct net *net = net_new(loop);
    echo_over(loop, net, "127.0.0.1", true);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        close(fd);
        struct netaddr six = addr_of("::1");
        fd = net_listen_fd(&six);
        if (fd >= 0) { /* a machine without IPv6 has no ::1 */
            close(fd);
            echo_over(loop, net, "::1", true);
        }
    }
    net_free(net);
    loop_free(loop);
}

static void test_sim_echo(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct virtual_clock clock;
        struct random_seeded random;
        virtual_clock_init(&clock, 0);
        random_seeded_init(&random, seed);
        struct loop *loop = loop_new_virtual(&clock, &random.random, NULL);
        struct net *net = net_new_sim(loop, &random.random);
        net_sim_set_latency(net, 0, (int64_t)seed * 10 * US_PER_MS);
        echo_over(loop, net, "192.0.2.1", false);
        echo_over(loop, net, "2001:db8::1", false);
        assert_true(clock.mono_us > 0);
        net_free(net);
        loop_free(loop);
    }
}

/* ---- what goes wrong on the machine ---- */

static void tries_connect(void *arg) {
    struct party *p = arg;
    struct stream *s = NULL;
    p->err = net_connect(p->net, &p->to, p->from.family != 0 ? &p->from : NULL, p->deadline_us, &s);
    if (p->err == ERR_OK) {
        p->local = s->local;
        stream_free(s);
    }
    if (p->stop)
        loop_stop(p->loop);
}

static void tries_accept(void *arg) {
    struct party *p = arg;
    struct stream *s = NULL;
    p->err = listener_accept(p->listener, p->deadline_us, &s);
    if (p->err == ERR_OK) {
        p->peer = s->peer;
        stream_free(s);
    }
    if (p->stop)
        loop_stop(p->loop);
}

static void run_party(struct party *p, void (*body)(void *)) {
    p->stop = true;
    assert_int_equal(co_spawn(p->loop, NULL, "party", body, p, NULL), ERR_OK);
    loop_run(p->loop);
}

static void test_loopback_errors(void **state) {
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct net *net = net_new(loop);
    struct netaddr any = addr_of("127.0.0.1");
    struct party p = {.loop = loop, .net = net};
    assert_int_equal(net_listen(net, &any, &p.listener), ERR_OK);
    assert_true(p.listener->ops->fd(p.listener) >= 0);
    p.to = p.listener->local;

    /* nobody comes */
    p.deadline_us = loop_now_us(loop) + 1;
    run_party(&p, tries_accept);
    assert_int_equal(p.err, ERR_TIMEOUT);

    /* from an address of ours */
    p.from = addr_of("127.0.0.2");
    p.deadline_us = loop_now_us(loop) + 60 * US_PER_S;
    run_party(&p, tries_connect);
    assert_int_equal(p.err, ERR_OK);
    assert_true(p.local.port != 0);
    run_party(&p, tries_accept); /* the peer is gone already, but known */
    assert_int_equal(p.err, ERR_OK);
    assert_true(netaddr_ip_eq(&p.peer, &(struct netaddr){4, {127, 0, 0, 2}, 0}));
    p.from = addr_of("192.0.2.1"); /* not ours */
    run_party(&p, tries_connect);
    assert_int_equal(p.err, ERR_IO);
    p.from = (struct netaddr){0};

    /* a listening descriptor travels */
    int fd = dup(p.listener->ops->fd(p.listener));
    listener_free(p.listener);
    assert_int_equal(listener_new_fd(loop, fd, &p.listener), ERR_OK);
    assert_int_equal(p.listener->local.port, p.to.port);
    run_party(&p, tries_connect);
    assert_int_equal(p.err, ERR_OK);
    run_party(&p, tries_accept);
    assert_int_equal(p.err, ERR_OK);

    /* too few descriptors, and then enough again: the connection was not lost */
    run_party(&p, tries_connect);
    assert_int_equal(p.err, ERR_OK);
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(0);
    assert_true(lowest >= 0);
    close(lowest);
    few = (struct rlimit){(rlim_t)lowest, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    run_party(&p, tries_accept);
    enum err accepted = p.err;
    run_party(&p, tries_connect);
    enum err connected = p.err;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(accepted, ERR_FULL);
    assert_int_equal(connected, ERR_FULL);
    run_party(&p, tries_accept);
    assert_int_equal(p.err, ERR_OK);

    /* nobody listens any more */
    listener_free(p.listener);
    run_party(&p, tries_connect);
    assert_int_equal(p.err, ERR_CLOSED);
    struct netaddr none = {0};
    p.to = none;
    run_party(&p, tries_connect);
    assert_int_equal(p.err, ERR_IO);
    assert_int_equal(net_listen_fd(&none), -EAFNOSUPPORT);
    struct netaddr foreign = addr_of("192.0.2.1");
    assert_int_equal(net_listen(net, &foreign, &p.listener), ERR_NOT_FOUND);
    listener_free(NULL);
    net_free(net);
    net_free(NULL);
    loop_free(loop);
}

static void cancels(void *arg) {
    co_cancel(arg);
}

/* A full backlog answers nobody: connecting then waits, until its deadline or until it is cancelled. */
static void test_connect_waits(void **state) {
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct net *net = net_new(loop);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct netaddr any = addr_of("127.0.0.1");
    struct sockaddr_storage sa = {0};
    socklen_t n = (socklen_t)netaddr_to_sockaddr(&any, &sa);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(listen(fd, 0), 0);
    n = sizeof(sa);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    struct party p = {.loop = loop, .net = net};
    assert_int_equal(netaddr_from_sockaddr(&sa, &p.to), ERR_OK);
    int i = 0;
    for (p.err = ERR_OK; p.err == ERR_OK && i < 10; i++) {
        p.deadline_us = loop_now_us(loop) + 20 * US_PER_MS;
        run_party(&p, tries_connect);
    }
    assert_int_equal(p.err, ERR_TIMEOUT);
    assert_true(i > 1); /* the first ones fit */
    struct co *co;
    p.deadline_us = US_NEVER;
    assert_int_equal(co_spawn(loop, NULL, "party", tries_connect, &p, &co), ERR_OK);
    assert_int_equal(loop_defer(loop, cancels, co), ERR_OK);
    loop_run(loop);
    assert_int_equal(p.err, ERR_CANCELED);
    close(fd);
    net_free(net);
    loop_free(loop);
}

/* ---- the simulated network's rules ---- */

struct sim {
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    struct net *net;
    struct netaddr addr;
};

static void sim_init(struct sim *s, uint64_t seed) {
    virtual_clock_init(&s->clock, 0);
    random_seeded_init(&s->random, seed);
    s->loop = loop_new_virtual(&s->clock, &s->random.random, NULL);
    s->net = net_new_sim(s->loop, &s->random.random);
    s->addr = addr_of("192.0.2.1:25");
}

static void sim_fini(struct sim *s) {
    net_free(s->net);
    loop_free(s->loop);
}

static enum err sim_try(struct sim *s, int64_t deadline_us) {
    struct party p = {.loop = s->loop, .net = s->net, .to = s->addr, .deadline_us = deadline_us};
    assert_int_equal(co_spawn(s->loop, NULL, "party", tries_connect, &p, NULL), ERR_OK);
    loop_run(s->loop);
    return p.err;
}

static void test_sim_fates(void **state) {
    (void)state;
    struct sim s;
    sim_init(&s, 1);
    assert_int_equal(sim_try(&s, US_NEVER), ERR_CLOSED); /* nobody listens */
    struct listener *listener, *second;
    struct netaddr any = addr_of("0.0.0.0:25");
    assert_int_equal(net_listen(s.net, &any, &listener), ERR_OK);
    assert_int_equal(net_listen(s.net, &any, &second), ERR_EXISTS);
    assert_int_equal(net_listen(s.net, &s.addr, &second), ERR_EXISTS);
    assert_int_equal(listener->ops->fd(listener), -1);
    assert_int_equal(sim_try(&s, US_NEVER), ERR_OK);
    assert_int_equal(s.clock.mono_us, 0);
    net_sim_set_latency(s.net, 40, 40);
    assert_int_equal(sim_try(&s, US_NEVER), ERR_OK);
    assert_int_equal(s.clock.mono_us, 80); /* there and back */
    assert_int_equal(sim_try(&s, 80 + 79), ERR_TIMEOUT);
    assert_int_equal(s.clock.mono_us, 159);
    assert_int_equal(net_sim_set_fate(s.net, &s.addr, NET_SIM_REFUSED), ERR_OK);
    assert_int_equal(sim_try(&s, US_NEVER), ERR_CLOSED);
    assert_int_equal(net_sim_set_fate(s.net, &s.addr, NET_SIM_UNREACHABLE), ERR_OK);
    assert_int_equal(sim_try(&s, US_NEVER), ERR_IO);
    assert_int_equal(net_sim_set_fate(s.net, &s.addr, NET_SIM_BLACKHOLE), ERR_OK);
    assert_int_equal(sim_try(&s, 5000), ERR_TIMEOUT);
    assert_int_equal(s.clock.mono_us, 5000);
    assert_int_equal(net_sim_set_fate(s.net, &s.addr, NET_SIM_REACHED), ERR_OK);
    assert_int_equal(sim_try(&s, US_NEVER), ERR_OK);
    /* the rule of all ports; that of one port wins */
    struct netaddr host = addr_of("192.0.2.1");
    assert_int_equal(net_sim_set_fate(s.net, &host, NET_SIM_REFUSED), ERR_OK);
    assert_int_equal(sim_try(&s, US_NEVER), ERR_OK);
    s.addr.port = 26;
    assert_int_equal(sim_try(&s, US_NEVER), ERR_CLOSED);
    listener_free(listener); /* with connections that nobody accepted */
    sim_fini(&s);
}

/* Ten lines each way; which of them arrive before the connection breaks? */
struct talk {
    struct sim *s;
    struct listener *listener;
    int client_lines, server_lines;
    size_t server_octets;
    enum err client_err, server_err;
    struct listener *relay;
    struct co_group *group;
    enum err relay_err;
};

static void client_talks(void *arg) {
    struct talk *t = arg;
    struct stream *s;
    t->client_err = net_connect(t->s->net, &t->s->addr, NULL, US_NEVER, &s);
    if (t->client_err != ERR_OK)
        return;
    uint8_t p[10];
    size_t got;
    while (t->client_lines < 10) {
        if ((t->client_err = stream_write(s, VIEW("1234567"), US_NEVER)) != ERR_OK)
            break;
        if ((t->client_err = stream_read(s, p, sizeof(p), US_NEVER, &got)) != ERR_OK)
            break;
        t->client_lines++;
    }
    stream_free(s);
}

static void server_talks(void *arg) {
    struct talk *t = arg;
    struct stream *s;
    t->server_err = listener_accept(t->listener, 1000 * US_PER_S, &s);
    if (t->server_err != ERR_OK)
        return;
    uint8_t p[7];
    for (;;) {
        size_t n = 0, got;
        while (n < sizeof(p) && (t->server_err = stream_read(s, p + n, sizeof(p) - n, US_NEVER, &got)) == ERR_OK)
            n += got;
        t->server_octets += n;
        if (t->server_err != ERR_OK)
            break;
        t->server_lines++;
        if ((t->server_err = stream_write(s, VIEW("ok"), US_NEVER)) != ERR_OK)
            break;
    }
    stream_free(s);
}

static uint64_t run_talk(struct talk *t, uint64_t seed, uint64_t cut_at) {
    struct sim s;
    sim_init(&s, seed);
    net_sim_set_latency(s.net, 10, 50);
    *t = (struct talk){.s = &s};
    assert_int_equal(net_listen(s.net, &s.addr, &t->listener), ERR_OK);
    assert_int_equal(net_sim_set_cut(s.net, &s.addr, cut_at), ERR_OK);
    assert_int_equal(co_spawn(s.loop, NULL, "client", client_talks, t, NULL), ERR_OK);
    assert_int_equal(co_spawn(s.loop, NULL, "server", server_talks, t, NULL), ERR_OK);
    loop_run(s.loop);
    uint64_t writes = net_sim_writes(s.net);
    listener_free(t->listener);
    sim_fini(&s);
    return writes;
}

static void test_sim_cut(void **state) {
    (void)state;
    struct talk t;
    assert_int_equal(run_talk(&t, 1, 0), 20);
    assert_int_equal(t.client_lines, 10);
    assert_int_equal(t.server_lines, 10);
    assert_int_equal(t.client_err, ERR_OK);
    assert_int_equal(t.server_err, ERR_CLOSED);
    for (uint64_t n = 1; n <= 20; n++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            assert_int_equal(run_talk(&t, seed, n), n);
            assert_int_equal(t.client_err, ERR_CLOSED);
            assert_int_equal(t.server_err, ERR_CLOSED);
            assert_int_equal(t.client_lines, (int)((n - 1) / 2));
            assert_int_equal(t.server_lines, (int)(n / 2));
            assert_true(t.server_octets < 7 * ((size_t)n / 2 + 1));
        }
    }
}

static void breaks(void *arg) {
    struct talk *t = arg;
    assert_int_equal(co_sleep(100), ERR_OK);
    struct netaddr host = t->s->addr;
    host.port = 0;
    assert_int_equal(net_sim_break(t->s->net, &host), 1);
}

static void test_sim_break(void **state) {
    (void)state;
    struct sim s;
    sim_init(&s, 3);
    net_sim_set_latency(s.net, 30, 30);
    net_sim_set_capacity(s.net, 5); /* each line takes two ways */
    struct talk t = {.s = &s};
    assert_int_equal(net_listen(s.net, &s.addr, &t.listener), ERR_OK);
    assert_int_equal(co_spawn(s.loop, NULL, "client", client_talks, &t, NULL), ERR_OK);
    assert_int_equal(co_spawn(s.loop, NULL, "server", server_talks, &t, NULL), ERR_OK);
    assert_int_equal(co_spawn(s.loop, NULL, "breaks", breaks, &t, NULL), ERR_OK);
    loop_run(s.loop);
    assert_int_equal(t.client_err, ERR_CLOSED);
    assert_int_equal(t.server_err, ERR_CLOSED);
    assert_int_equal(s.clock.mono_us, 100);
    assert_int_equal(t.server_octets, 5); /* 60: connected; 90: five octets arrive; 120: the rest would */
    listener_free(t.listener);
    sim_fini(&s);
}

/* Many pieces under way at once, each with its own time of arrival. */
static void sends_pieces(void *arg) {
    struct talk *t = arg;
    struct stream *s;
    t->client_err = net_connect(t->s->net, &t->s->addr, NULL, US_NEVER, &s);
    assert_int_equal(t->client_err, ERR_OK);
    for (uint8_t i = 0; i < 200; i++) {
        assert_int_equal(stream_write(s, view_of(&i, 1), US_NEVER), ERR_OK);
        assert_int_equal(co_sleep(1), ERR_OK);
    }
    stream_free(s); /* what is under way arrives all the same */
}

static void counts_pieces(void *arg) {
    struct talk *t = arg;
    struct stream *s;
    assert_int_equal(listener_accept(t->listener, US_NEVER, &s), ERR_OK);
    uint8_t p[200];
    size_t got;
    while ((t->server_err = stream_read(s, p, sizeof(p), US_NEVER, &got)) == ERR_OK) {
        for (size_t i = 0; i < got; i++)
            assert_int_equal(p[i], t->server_octets + i);
        t->server_octets += got;
        t->server_lines++;
    }
    stream_free(s);
}

static void test_sim_pieces(void **state) {
    (void)state;
    struct sim s;
    sim_init(&s, 5);
    net_sim_set_latency(s.net, 1000, 1050);
    struct talk t = {.s = &s};
    assert_int_equal(net_listen(s.net, &s.addr, &t.listener), ERR_OK);
    assert_int_equal(co_spawn(s.loop, NULL, "client", sends_pieces, &t, NULL), ERR_OK);
    assert_int_equal(co_spawn(s.loop, NULL, "server", counts_pieces, &t, NULL), ERR_OK);
    loop_run(s.loop);
    assert_int_equal(t.server_err, ERR_CLOSED);
    assert_int_equal(t.server_octets, 200);
    assert_true(t.server_lines > 20);           /* they came one after the other */
    assert_true(s.clock.mono_us < 2100 + 1300); /* and were under way together */
    listener_free(t.listener);
    sim_fini(&s);
}

/* ---- cancelling at every step ---- */

struct step_counter {
    struct co_group *group;
    int left;
};

static bool cancels_at_step(void *ctx) {
    struct step_counter *counter = ctx;
    if (counter->left-- == 0)
        co_group_cancel(counter->group);
    return false;
}

/* A relay between client and server: what `edge` does for a mailbox. */
static void relays(void *arg) {
    struct talk *t = arg;
    struct stream *in, *out;
    struct netaddr back = t->s->addr;
    back.port++;
    if (listener_accept(t->relay, 1000 * US_PER_S, &in) != ERR_OK)
        return;
    if (net_connect(t->s->net, &back, NULL, US_NEVER, &out) == ERR_OK) {
        t->relay_err = stream_pump(in, out, t->group, 1000 * US_PER_S);
        stream_free(out);
    }
    stream_free(in);
}

static void test_cancel_at_every_step(void **state) {
    (void)state;
    int steps = 0;
    bool is_whole = false;
    for (; !is_whole; steps++) {
        struct sim s;
        sim_init(&s, 11);
        net_sim_set_latency(s.net, 0, 20);
        net_sim_set_capacity(s.net, 4);
        struct talk t = {.s = &s, .group = co_group_new(s.loop)};
        struct netaddr back = s.addr;
        back.port++;
        assert_int_equal(net_listen(s.net, &s.addr, &t.relay), ERR_OK);
        assert_int_equal(net_listen(s.net, &back, &t.listener), ERR_OK);
        assert_int_equal(co_spawn(s.loop, t.group, "client", client_talks, &t, NULL), ERR_OK);
        assert_int_equal(co_spawn(s.loop, t.group, "relay", relays, &t, NULL), ERR_OK);
        assert_int_equal(co_spawn(s.loop, t.group, "server", server_talks, &t, NULL), ERR_OK);
        struct step_counter counter = {t.group, steps};
        assert_false(loop_run_until(s.loop, cancels_at_step, &counter, US_NEVER));
        assert_int_equal(co_group_count(t.group), 0); /* all of them unwound, whatever they were at */
        is_whole = counter.left > 0;
        assert_int_equal(t.client_lines == 10, is_whole || t.client_err == ERR_OK);
        co_group_free(t.group);
        listener_free(t.relay);
        listener_free(t.listener);
        sim_fini(&s);
    }
    assert_true(steps > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback),      cmocka_unit_test(test_loopback_errors),
        cmocka_unit_test(test_connect_waits), cmocka_unit_test(test_sim_echo),
        cmocka_unit_test(test_sim_fates),     cmocka_unit_test(test_sim_cut),
        cmocka_unit_test(test_sim_break),     cmocka_unit_test(test_cancel_at_every_step),
        cmocka_unit_test(test_sim_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
