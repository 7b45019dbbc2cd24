/* PROXY headers: a table, each whole, byte by byte and through a stream split at every octet. */
#include "loop/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define MARK "\r\n\r\n\0\r\nQUIT\n"
#define IP6_1 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define IP6_2 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"

struct proxy_case {
    struct view in;
    enum err err;
    size_t used;
    const char *peer, *local; /* NULL: they stay as they were */
};
#define OK4(in, n, peer, local) \
    { VIEW_INIT(in), ERR_OK, n, peer, local }
#define KEPT(in, n) \
    { VIEW_INIT(in), ERR_OK, n, NULL, NULL }
#define BAD(in) \
    { VIEW_INIT(in), ERR_SYNTAX, 0, NULL, NULL }
#define MORE(in) \
    { VIEW_INIT(in), ERR_AGAIN, 0, NULL, NULL }

static const struct proxy_case cases[] = {
    OK4("PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r\nEHLO x\r\n", 43, "192.0.2.1:4711", "198.51.100.2:25"),
    OK4("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", 56, "255.255.255.255:65535",
        "255.255.255.255:65535"),
    OK4("PROXY TCP4 192.0.2.1 198.51.100.2 0 25\r\n", 40, "192.0.2.1", "198.51.100.2:25"),
    OK4("PROXY TCP6 2001:db8::1 2001:db8::2 4711 993\r\n", 45, "[2001:db8::1]:4711", "[2001:db8::2]:993"),
    OK4("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        104, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
    KEPT("PROXY UNKNOWN\r\n", 15),
    KEPT("PROXY UNKNOWN\r\n\r\n", 15),
    KEPT("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", 59),
    MORE(""),
    MORE("PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r"),
    MORE("PROXY"),
    BAD("PROXY UNKNOWNX\r\n"),
    BAD("PROXY UNKNOWN \r \r\n"),
    BAD("PROXY \r\n"),
    BAD("PROXY  \r\n1234567"),
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\n"),
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 4711 25 \r\n"),
    BAD("PROXY TCP4  192.0.2.1 198.51.100.2 4711 25\r\n"),
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n"),
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 4711 65536\r\n"),
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 04711 25\r\n"),
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n"),
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 4711 \r\n"),
    BAD("PROXY TCP4 192.0.2.01 198.51.100.2 4711 25\r\n"),
    BAD("PROXY TCP4 192.0.2.1:5 198.51.100.2 4711 25\r\n"),
    BAD("PROXY TCP4 192.0.2.256 198.51.100.2 4711 25\r\n"),
    BAD("PROXY TCP4 2001:db8::1 2001:db8::2 4711 993\r\n"),
    BAD("PROXY TCP6 192.0.2.1 198.51.100.2 4711 25\r\n"),
    BAD("PROXY TCP6 [2001:db8::1] [2001:db8::2] 4711 993\r\n"),
    BAD("PROXY UDP4 192.0.2.1 198.51.100.2 4711 25\r\n"),
    BAD("PROXY TCP4 192.0.2.1\0 198.51.100.2 4711 25\r\n"),
    BAD("proxy TCP4 192.0.2.1 198.51.100.2 4711 25\r\n"),
    BAD("EHLO client.example\r\n"),
    BAD("\x16\x03\x01\x02"), /* a TLS handshake */
    /* 107 octets are the most: with the end, without it, and with an end that comes an octet too late */
    KEPT(
        "PROXY UNKNOWN 1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901\r\n",
        107),
    BAD("PROXY UNKNOWN 123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123"),
    MORE("PROXY UNKNOWN 12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"),
    BAD("PROXY UNKNOWN "
        "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012\r\n"),

    OK4(MARK "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\0\x19rest", 28, "192.0.2.1:4711", "198.51.100.2:25"),
    OK4(MARK "\x21\x21\0\x24" IP6_1 IP6_2 "\x12\x67\0\x19", 52, "[2001:db8::1]:4711", "[2001:db8::2]:25"),
    OK4(MARK "\x21\x21\0\x29" IP6_1 IP6_2 "\x12\x67\0\x19\x04\0\x02!!more", 57, "[2001:db8::1]:4711",
        "[2001:db8::2]:25"),
    KEPT(MARK "\x20\0\0\0", 16),
    KEPT(MARK "\x20\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\0\x19", 28), /* LOCAL: addresses are ignored */
    KEPT(MARK "\x20\x77\0\x02..", 18),
    KEPT(MARK "\x21\0\0\x03...", 19), /* UNSPEC */
    MORE(MARK),
    MORE(MARK "\x21"),
    MORE(MARK "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\0"),
    MORE("\r\n\r\n"),
    BAD("\r\n\r\n\r\n"),
    BAD(MARK "\x11"),           /* version 1 has no binary form */
    BAD(MARK "\x22\x11\0\x0c"), /* no such command */
    BAD(MARK "\x21\x12\0\x0c"), /* a datagram */
    BAD(MARK "\x21\x31\0\xd8"), /* a local socket */
    BAD(MARK "\x21\x11\0\x0b"), /* too short for its addresses */
    BAD(MARK "\x21\x21\0\x23"),
    BAD(MARK "\x21\x11\x02\x09"), /* 521: longer than any that we take */
    MORE(MARK "\x21\x11\x02\x08"),
};

static const struct netaddr before_peer = {4, {10, 0, 0, 1}, 1}, before_local = {4, {10, 0, 0, 2}, 2};

static void assert_addr(const struct netaddr *addr, const char *expected, const struct netaddr *before) {
    struct netaddr want = *before;
    if (expected != NULL)
        assert_int_equal(netaddr_parse(view_cstr(expected), 0, &want), ERR_OK);
    assert_true(netaddr_ip_eq(addr, &want));
    assert_int_equal(addr->port, want.port);
}

static void test_whole_and_bytewise(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct proxy_case *c = &cases[i];
        struct netaddr peer = before_peer, local = before_local;
        size_t used = 0;
        enum err err = proxy_parse(c->in, &used, &peer, &local);
        if (err != c->err || used != c->used)
            print_error("case %zu: %.*s: %s, %zu used\n", i, VIEW_FMT(c->in), err_name(err), used);
        assert_int_equal(err, c->err);
        assert_int_equal(used, c->used);
        assert_addr(&peer, c->peer, &before_peer);
        assert_addr(&local, c->local, &before_local);
        enum err piece = ERR_AGAIN;
        size_t n = 0;
        for (; n <= c->in.n && piece == ERR_AGAIN; n++)
            piece = proxy_parse(view_sub(c->in, 0, n), &used, &peer, &local);
        assert_int_equal(piece, c->err);
        if (c->err == ERR_OK)
            assert_int_equal(n - 1, c->used); /* not a byte earlier or later */
    }
}

/* The same through a stream: the header in two pieces, and nothing read beyond it. */
struct proxied_session {
    const struct proxy_case *c;
    size_t split;
    struct stream *client, *server;
    enum err err;
};

static void sends(void *arg) {
    struct proxied_session *s = arg;
    assert_int_equal(stream_write(s->client, view_sub(s->c->in, 0, s->split), US_NEVER), ERR_OK);
    assert_int_equal(co_sleep(1), ERR_OK);
    assert_int_equal(stream_write(s->client, view_skip(s->c->in, s->split), US_NEVER), ERR_OK);
    stream_shutdown(s->client);
}

static void receives(void *arg) {
    struct proxied_session *s = arg;
    struct input input;
    input_init(&input, s->server, 1000);
    s->server->peer = before_peer;
    s->server->local = before_local;
    s->err = proxy_read_header(&input, US_NEVER);
    assert_addr(&s->server->peer, s->c->peer, &before_peer);
    assert_addr(&s->server->local, s->c->local, &before_local);
    if (s->err == ERR_OK) {
        assert_int_equal(input_pending(&input).n, 0);
        struct view rest = view_skip(s->c->in, s->c->used);
        enum err err;
        while ((err = input_fill(&input, US_NEVER)) == ERR_OK)
            ;
        assert_int_equal(err, ERR_CLOSED);
        assert_true(view_eq(input_pending(&input), rest));
    }
    input_fini(&input);
}

static void test_through_a_stream(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t split = 0; split <= cases[i].in.n; split++) {
            struct virtual_clock clock;
            virtual_clock_init(&clock, 0);
            struct loop *loop = loop_new_virtual(&clock, NULL, NULL);
            struct proxied_session s = {.c = &cases[i], .split = split};
            assert_int_equal(stream_new_pair(loop, 1000, &s.client, &s.server), ERR_OK);
            assert_int_equal(co_spawn(loop, NULL, "client", sends, &s, NULL), ERR_OK);
            assert_int_equal(co_spawn(loop, NULL, "server", receives, &s, NULL), ERR_OK);
            loop_run(loop);
            /* Where the table wants more, the stream has ended. */
            assert_int_equal(s.err, s.c->err == ERR_AGAIN ? ERR_CLOSED : s.c->err);
            stream_free(s.client);
            stream_free(s.server);
            loop_free(loop);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_and_bytewise),
        cmocka_unit_test(test_through_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
