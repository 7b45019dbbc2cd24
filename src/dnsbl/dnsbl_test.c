/* DNS lists: names that are asked, answers, and the health of a list. */
#include "dns/table_testing.h"
#include "dnsbl/dnsbl.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define V6_NIBBLES "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
#define V6_TEST(n) n ".0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."

static struct netaddr ip(const char *text) {
    struct netaddr a = {0};
    assert_int_equal(netaddr_parse(view_cstr(text), 0, &a), ERR_OK);
    return a;
}

static void add(struct dns_table *t, const char *name, uint16_t type, const char *text) {
    dns_table_add(t, view_cstr(name), type, view_cstr(text));
}

/* RFC5782-2.1, RFC5782-2.3, RFC5782-2.4 */
static void test_addresses(void **state) {
    (void)state;
    struct dns_table t;
    struct arena *arena = arena_new("dnsbl.test", 1u << 20);
    dns_table_init(&t);
    add(&t, "99.2.0.192.bad.example", DNS_A, "127.0.0.2");
    add(&t, "99.2.0.192.bad.example", DNS_A, "127.0.0.10");
    add(&t, "99.2.0.192.bad.example", DNS_TXT, "Dynamic address,\r\nsee http://bad.example?192.0.2.99");
    add(&t, V6_NIBBLES "bad.example", DNS_A, "127.0.0.4");
    add(&t, "1.2.0.192.bad.example", DNS_A, "127.255.255.254");
    add(&t, "2.2.0.192.bad.example", DNS_A, "203.0.113.80");
    add(&t, "3.2.0.192.bad.example", DNS_TABLE_TIMEOUT, "");
    add(&t, "4.2.0.192.bad.example", DNS_TXT, "no address");
    static const struct {
        const char *ip;
        enum dnsbl_status status;
        size_t codes;
    } cases[] = {
        {"192.0.2.99", DNSBL_LISTED, 2},  {"::ffff:192.0.2.99", DNSBL_LISTED, 2}, {"2001:db8::1", DNSBL_LISTED, 1},
        {"192.0.2.1", DNSBL_REFUSED, 1},  {"192.0.2.2", DNSBL_BROKEN, 0},         {"192.0.2.3", DNSBL_TEMPORARY, 0},
        {"192.0.2.4", DNSBL_UNLISTED, 0}, {"192.0.2.5", DNSBL_UNLISTED, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dnsbl_answer a;
        struct netaddr who = ip(cases[i].ip);
        assert_int_equal(dnsbl_check_ip(&t.client, VIEW("bad.example"), &who, arena, &a), ERR_OK);
        if (a.status != cases[i].status || a.codes_n != cases[i].codes)
            fail_msg("%s: %s, %zu codes", cases[i].ip, dnsbl_status_name(a.status), a.codes_n);
        if (i == 0)
            assert_true(view_eq(a.reason, VIEW("Dynamic address,??see http://bad.example?192.0.2.99")));
    }
    /* A name that does not fit is nobody's fault, and a resolver that is away is no verdict. */
    struct dnsbl_answer a;
    struct netaddr who = ip("2001:db8::1");
    uint8_t zone[240];
    memset(zone, 'a', sizeof(zone));
    assert_int_equal(dnsbl_check_ip(&t.client, view_of(zone, sizeof(zone)), &who, arena, &a), ERR_OK);
    assert_int_equal(a.status, DNSBL_NO_QUESTION);
    assert_int_equal(dnsbl_check_domain(&t.client, VIEW("bad.example"), VIEW("a..b"), arena, &a), ERR_OK);
    assert_int_equal(a.status, DNSBL_NO_QUESTION);
    t.fail = ERR_AGAIN;
    assert_int_equal(dnsbl_check_ip(&t.client, VIEW("bad.example"), &who, arena, &a), ERR_AGAIN);
    dns_table_fini(&t);
    arena_free(arena);
}

/* RFC8904-2 */
static void test_authres(void **state) {
    (void)state;
    struct arena *arena = arena_new("dnsbl.test", 1u << 20);
    struct authres a = {.authserv_id = VIEW("a.example"), .version = 1};
    struct dnsbl_answer listed = {
        .status = DNSBL_LISTED, .codes_n = 2, .reason = VIEW("friend; https://l.example"), .is_secure = true};
    listed.codes[0] = ip("127.0.10.1");
    listed.codes[1] = ip("127.0.10.2");
    static const enum dnsbl_status others[] = {DNSBL_UNLISTED, DNSBL_TEMPORARY, DNSBL_REFUSED};
    assert_int_equal(dnsbl_add_authres(&listed, VIEW("l.example"), &a, arena), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct dnsbl_answer other = {.status = others[i]};
        assert_int_equal(dnsbl_add_authres(&other, VIEW("l.example"), &a, arena), ERR_OK);
    }
    struct buf out;
    buf_init(&out, 2000);
    buf_put_authres(&out, &a);
    const char *expected = "Authentication-Results: a.example;\r\n"
                           "\tdnswl=pass dns.zone=l.example policy.ip=\"127.0.10.1,127.0.10.2\"\r\n"
                           "\tpolicy.txt=\"friend; https://l.example\" dns.sec=yes;\r\n"
                           "\tdnswl=none dns.zone=l.example dns.sec=no;\r\n"
                           "\tdnswl=temperror dns.zone=l.example;\r\n"
                           "\tdnswl=permerror dns.zone=l.example\r\n";
    if (!view_eq(buf_view(&out), view_cstr(expected)))
        fail_msg("%.*s", VIEW_FMT(buf_view(&out)));
    buf_fini(&out);
    arena_free(arena);
}

/* RFC5782-3 */
static void test_domains(void **state) {
    (void)state;
    struct dns_table t;
    struct arena *arena = arena_new("dnsbl.test", 1u << 20);
    struct dnsbl_answer a;
    dns_table_init(&t);
    t.security = DNS_SECURE;
    add(&t, "spammer.example.names.example", DNS_A, "127.0.0.2");
    assert_int_equal(dnsbl_check_domain(&t.client, VIEW("names.example"), VIEW("Spammer.example."), arena, &a), ERR_OK);
    assert_int_equal(a.status, DNSBL_LISTED);
    assert_true(a.is_secure);
    assert_int_equal(a.reason.n, 0);
    assert_int_equal(dnsbl_check_domain(&t.client, VIEW("names.example"), VIEW("good.example"), arena, &a), ERR_OK);
    assert_int_equal(a.status, DNSBL_UNLISTED);
    dns_table_fini(&t);
    arena_free(arena);
}

/* RFC5782-5 */
static void test_health(void **state) {
    (void)state;
    static const struct {
        enum dnsbl_kind kind;
        const char *entries[3]; /* names that are listed; "!name": no answer */
        enum dnsbl_health health;
    } cases[] = {
        {DNSBL_IPV4, {"2.0.0.127.l.example"}, DNSBL_HEALTHY},
        {DNSBL_IPV4, {NULL}, DNSBL_DEAD},
        {DNSBL_IPV4, {"2.0.0.127.l.example", "1.0.0.127.l.example"}, DNSBL_LISTS_ALL},
        {DNSBL_IPV4, {"1.0.0.127.l.example"}, DNSBL_LISTS_ALL},
        {DNSBL_IPV4, {"!2.0.0.127.l.example"}, DNSBL_HEALTH_UNKNOWN},
        {DNSBL_IPV4, {"2.0.0.127.l.example", "!1.0.0.127.l.example"}, DNSBL_HEALTH_UNKNOWN},
        {DNSBL_IPV6, {V6_TEST("2.0.0") "l.example"}, DNSBL_HEALTHY},
        {DNSBL_IPV6, {V6_TEST("2.0.0") "l.example", V6_TEST("1.0.0") "l.example"}, DNSBL_LISTS_ALL},
        {DNSBL_DOMAINS, {"test.l.example"}, DNSBL_HEALTHY},
        {DNSBL_DOMAINS, {"test.l.example", "invalid.l.example"}, DNSBL_LISTS_ALL},
    };
    struct arena *arena = arena_new("dnsbl.test", 1u << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dns_table t;
        enum dnsbl_health health;
        dns_table_init(&t);
        for (size_t k = 0; k < 3 && cases[i].entries[k]; k++) {
            const char *name = cases[i].entries[k];
            if (*name == '!')
                add(&t, name + 1, DNS_TABLE_TIMEOUT, "");
            else
                add(&t, name, DNS_A, "127.0.0.2");
        }
        assert_int_equal(dnsbl_check_health(&t.client, VIEW("l.example"), cases[i].kind, arena, &health), ERR_OK);
        if (health != cases[i].health)
            fail_msg("case %zu: %s", i, dnsbl_health_name(health));
        dns_table_fini(&t);
        arena_clear(arena);
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses), cmocka_unit_test(test_domains),
                                       cmocka_unit_test(test_health), cmocka_unit_test(test_authres)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
