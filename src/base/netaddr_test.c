/* Addresses: text forms both ways, against libc too; classes; sockaddrs. */
#include "base/netaddr.h"

#include "base/random.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct netaddr parse(const char *text) {
    struct netaddr addr = {0};
    assert_int_equal(netaddr_parse(view_cstr(text), 0, &addr), ERR_OK);
    return addr;
}

static bool shows(void (*put)(struct buf *, const struct netaddr *), const struct netaddr *addr, const char *text) {
    struct buf buf;
    buf_init(&buf, 100);
    put(&buf, addr);
    bool same = view_eq(buf_view(&buf), view_cstr(text));
    buf_fini(&buf);
    return same;
}

static void good_texts(void **state) {
    (void)state;
    static const struct {
        const char *text, *ip, *with_port, *literal;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", "127.0.0.1", "[127.0.0.1]"},
        {"255.255.255.255:65535", "255.255.255.255", "255.255.255.255:65535", "[255.255.255.255]"},
        {"0.0.0.0:0", "0.0.0.0", "0.0.0.0", "[0.0.0.0]"},
        {"::", "::", "::", "[IPv6:::]"},
        {"::1", "::1", "::1", "[IPv6:::1]"},
        {"[::1]", "::1", "::1", "[IPv6:::1]"},
        {"[::1]:25", "::1", "[::1]:25", "[IPv6:::1]"},
        {"1::", "1::", "1::", "[IPv6:1::]"},
        {"2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a", "2001:db8::8:800:200c:417a",
         "[IPv6:2001:db8::8:800:200c:417a]"},
        /* RFC5952-4.1: no leading zeros; RFC5952-4.2.2: one group of zeros stays */
        {"2001:0db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "[IPv6:2001:db8:0:1:1:1:1:1]"},
        {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "[IPv6:2001:db8:0:1:1:1:1:1]"},
        /* RFC5952-4.2.3: the longest run, the first of equals */
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1", "2001:0:0:1::1", "[IPv6:2001:0:0:1::1]"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "2001:db8::1:0:0:1", "[IPv6:2001:db8::1:0:0:1]"},
        {"0:0:1::", "0:0:1::", "0:0:1::", "[IPv6:0:0:1::]"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0", "[IPv6:1:2:3:4:5:6:7:0]"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", "[IPv6:0:2:3:4:5:6:7:8]"},
        {"::ffff:1.2.3.4", "::ffff:1.2.3.4", "::ffff:1.2.3.4", "[IPv6:::ffff:1.2.3.4]"},
        {"[::FFFF:102:304]:1", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:1", "[IPv6:::ffff:1.2.3.4]"},
        {"64:ff9b::1.2.3.4", "64:ff9b::102:304", "64:ff9b::102:304", "[IPv6:64:ff9b::102:304]"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304", "1:2:3:4:5:6:102:304", "[IPv6:1:2:3:4:5:6:102:304]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct netaddr addr = parse(cases[i].text);
        assert_true(shows(buf_put_ip, &addr, cases[i].ip));
        assert_true(shows(buf_put_netaddr, &addr, cases[i].with_port));
        assert_true(shows(buf_put_address_literal, &addr, cases[i].literal));
        struct netaddr again = parse(cases[i].with_port);
        assert_memory_equal(&again, &addr, sizeof(addr));
    }
    struct netaddr addr;
    assert_int_equal(netaddr_parse(VIEW("[::1]"), 25, &addr), ERR_OK);
    assert_int_equal(addr.port, 25);
    assert_int_equal(netaddr_parse(VIEW("1.2.3.4:26"), 25, &addr), ERR_OK);
    assert_int_equal(addr.port, 26);
    struct netaddr none = {0};
    assert_true(shows(buf_put_netaddr, &none, "none"));
}

static void bad_texts(void **state) {
    (void)state;
    static const struct view bad[] = {
        VIEW_INIT(""),
        VIEW_INIT("1.2.3"),
        VIEW_INIT("1.2.3.4.5"),
        VIEW_INIT("01.2.3.4"),
        VIEW_INIT("1.2.3.256"),
        VIEW_INIT("1.2.3.0004"),
        VIEW_INIT("1..2.3"),
        VIEW_INIT("1.2.3.4:"),
        VIEW_INIT("1.2.3.4:65536"),
        VIEW_INIT("1.2.3.4:-1"),
        VIEW_INIT("1.2.3.4:1x"),
        VIEW_INIT("1.2.3.4:025"),
        VIEW_INIT(" 1.2.3.4"),
        VIEW_INIT("1.2.3.4 "),
        VIEW_INIT("1.2.3.4\0"),
        VIEW_INIT("0x7f.1.1.1"),
        VIEW_INIT(":"),
        VIEW_INIT(":::"),
        VIEW_INIT("1"),
        VIEW_INIT("1:2"),
        VIEW_INIT("1:2:3:4:5:6:7"),
        VIEW_INIT("1:2:3:4:5:6:7:8:9"),
        VIEW_INIT("1:2:3:4:5:6:7:8::"),
        VIEW_INIT("::1:2:3:4:5:6:7:8"),
        VIEW_INIT("1:2:3:4::5:6:7:8"),
        VIEW_INIT("1::2::3"),
        VIEW_INIT("12345::"),
        VIEW_INIT("g::"),
        VIEW_INIT(":1::"),
        VIEW_INIT("1:"),
        VIEW_INIT("1::2:"),
        VIEW_INIT("[::1"),
        VIEW_INIT("::1]"),
        VIEW_INIT("[]"),
        VIEW_INIT("[1.2.3.4]"),
        VIEW_INIT("[::1]25"),
        VIEW_INIT("[::1]:"),
        VIEW_INIT("fe80::1%eth0"),
        VIEW_INIT("::1.2.3"),
        VIEW_INIT("::1.2.3.4:1"),
        VIEW_INIT("1:2:3:4:5:6:7:1.2.3.4"),
        VIEW_INIT("::1.2.3.4.5"),
        VIEW_INIT("[[::1]]"),
        VIEW_INIT("localhost"),
        VIEW_INIT("1.2.3.4::"),
        VIEW_INIT("::\0"),
    };
    struct netaddr addr = {.family = 42};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (netaddr_parse(bad[i], 1, &addr) != ERR_SYNTAX)
            fail_msg("accepted: %.*s", VIEW_FMT(bad[i]));
    }
    assert_int_equal(addr.family, 42);
}

/* Texts that are nearly addresses: libc and we must agree on which are, and on their octets. */
static void libc_agrees(void **state) {
    (void)state;
    static const char alphabet[] = "::::0011fF.2";
    struct random_seeded rs;
    random_seeded_init(&rs, 5);
    unsigned good = 0;
    for (int i = 0; i < 200000; i++) {
        char text[24];
        size_t n = 2 + random_below(&rs.random, sizeof(text) - 3);
        for (size_t k = 0; k < n; k++)
            text[k] = alphabet[random_below(&rs.random, sizeof(alphabet) - 1)];
        if (random_below(&rs.random, 2))
            memcpy(text, "::", 2);
        text[n] = '\0';
        uint8_t octets[16];
        struct netaddr addr;
        bool theirs = inet_pton(AF_INET6, text, octets) == 1;
        bool ours = netaddr_parse(view_of(text, n), 0, &addr) == ERR_OK && addr.family == 6;
        if (theirs != ours || (ours && memcmp(addr.ip, octets, 16) != 0))
            fail_msg("libc differs on %s", text);
        good += ours;
    }
    assert_true(good > 1000);
}

static void random_addresses_come_back(void **state) {
    (void)state;
    struct random_seeded rs;
    random_seeded_init(&rs, 6);
    for (int i = 0; i < 20000; i++) {
        struct netaddr addr = {.family = 6, .port = (uint16_t)random_below(&rs.random, 65536)}, back;
        for (size_t k = 0; k < 16; k++)
            addr.ip[k] = (uint8_t)(random_below(&rs.random, 3) == 0 ? random_u64(&rs.random) : 0);
        struct buf buf;
        buf_init(&buf, 100);
        buf_put_netaddr(&buf, &addr);
        assert_int_equal(netaddr_parse(buf_view(&buf), 0, &back), ERR_OK);
        assert_memory_equal(&addr, &back, sizeof(addr));
        buf_fini(&buf);
        struct sockaddr_storage sa;
        assert_int_equal(netaddr_to_sockaddr(&addr, &sa), sizeof(struct sockaddr_in6));
        assert_int_equal(netaddr_from_sockaddr(&sa, &back), ERR_OK);
        assert_true(back.family == 4 || memcmp(&addr, &back, sizeof(addr)) == 0);
    }
}

static void classes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool loopback, private;
    } cases[] = {
        {"127.0.0.1", true, true},
        {"127.255.0.9", true, true},
        {"128.0.0.1", false, false},
        {"0.0.0.0", false, true},
        {"10.1.2.3", false, true},
        {"11.0.0.0", false, false},
        {"172.15.0.1", false, false},
        {"172.16.0.1", false, true},
        {"172.31.0.1", false, true},
        {"172.32.0.1", false, false},
        {"192.168.1.1", false, true},
        {"192.169.1.1", false, false},
        {"169.254.1.1", false, true},
        {"::1", true, true},
        {"::", false, true},
        {"::2", false, false},
        {"fe80::1", false, true},
        {"febf::1", false, true},
        {"fec0::1", false, false},
        {"fc00::1", false, true},
        {"fdff::1", false, true},
        {"fe00::1", false, false},
        {"2001:db8::1", false, false},
        {"::ffff:127.0.0.1", true, true},
        {"::ffff:10.0.0.1", false, true},
        {"::ffff:8.8.8.8", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct netaddr addr = parse(cases[i].text);
        if (netaddr_is_loopback(&addr) != cases[i].loopback || netaddr_is_private(&addr) != cases[i].private)
            fail_msg("%s", cases[i].text);
    }
    struct netaddr none = {0}, a = parse("1.2.3.4:5"), b = parse("1.2.3.4:6"), c = parse("1.2.3.5:5");
    assert_false(netaddr_is_loopback(&none));
    assert_false(netaddr_is_private(&none));
    assert_true(netaddr_ip_eq(&a, &b));
    assert_false(netaddr_ip_eq(&a, &c));
    assert_false(netaddr_ip_eq(&a, &none));
    struct netaddr network = netaddr_network(&a);
    assert_true(shows(buf_put_netaddr, &network, "1.2.3.0"));
    a = parse("[2001:db8:1:2:3:4:5:6]:7");
    network = netaddr_network(&a);
    assert_true(shows(buf_put_netaddr, &network, "2001:db8:1:2::"));
    a = parse("::ffff:1.2.3.4");
    network = netaddr_network(&a);
    assert_true(shows(buf_put_netaddr, &network, "1.2.3.0"));
    network = netaddr_unmapped(&a);
    assert_true(shows(buf_put_netaddr, &network, "1.2.3.4"));
    a = parse("2001:db8::1");
    network = netaddr_unmapped(&a);
    assert_true(netaddr_ip_eq(&a, &network));
}

/* Two families with the same octets are two keys; two ports are one. */
static void keys(void **state) {
    (void)state;
    struct netaddr v4 = parse("32.1.13.184:1"), other_port = parse("32.1.13.184:2"), v6 = parse("2001:db8::");
    assert_true(view_eq(netaddr_key(&v4), netaddr_key(&other_port)));
    assert_false(view_eq(netaddr_key(&v4), netaddr_key(&v6)));
}

static void sockaddrs(void **state) {
    (void)state;
    struct sockaddr_storage sa;
    struct netaddr addr = parse("1.2.3.4:2525"), back = {0};
    assert_int_equal(netaddr_to_sockaddr(&addr, &sa), sizeof(struct sockaddr_in));
    struct sockaddr_in in;
    memcpy(&in, &sa, sizeof(in));
    assert_int_equal(in.sin_family, AF_INET);
    assert_int_equal(ntohs(in.sin_port), 2525);
    assert_int_equal(ntohl(in.sin_addr.s_addr), 0x01020304);
    assert_int_equal(netaddr_from_sockaddr(&sa, &back), ERR_OK);
    assert_memory_equal(&addr, &back, sizeof(addr));
    /* A mapped peer is known by its IPv4 address. */
    addr = parse("[::ffff:1.2.3.4]:2525");
    (void)netaddr_to_sockaddr(&addr, &sa);
    assert_int_equal(netaddr_from_sockaddr(&sa, &back), ERR_OK);
    assert_true(shows(buf_put_netaddr, &back, "1.2.3.4:2525"));
    memset(&sa, 0, sizeof(sa));
    sa.ss_family = AF_UNIX;
    assert_int_equal(netaddr_from_sockaddr(&sa, &back), ERR_SYNTAX);
    struct netaddr none = {0};
    assert_int_equal(netaddr_to_sockaddr(&none, &sa), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts),  cmocka_unit_test(bad_texts),
        cmocka_unit_test(libc_agrees), cmocka_unit_test(random_addresses_come_back),
        cmocka_unit_test(classes),     cmocka_unit_test(keys),
        cmocka_unit_test(sockaddrs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
