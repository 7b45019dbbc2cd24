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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_sim_echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
