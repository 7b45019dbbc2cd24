/* Reverse mapping, names that hold, and names in any script. */
#include "dns/idna.h"
#include "dns/reverse.h"
#include "dns/table_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct netaddr ip(const char *text) {
    struct netaddr a = {0};
    assert_int_equal(netaddr_parse(view_cstr(text), 0, &a), ERR_OK);
    return a;
}

static void add(struct dns_table *t, const char *name, uint16_t type, const char *text) {
    dns_table_add(t, view_cstr(name), type, view_cstr(text));
}

/* RFC1035-3.5, RFC3596-2.5 */
static void test_reverse_names(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"192.0.2.1", "1.2.0.192.in-addr.arpa"},
        {"2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        struct netaddr a = ip(cases[i][0]);
        buf_init(&out, 100);
        buf_put_reverse_name(&out, &a);
        assert_true(view_eq(buf_view(&out), view_cstr(cases[i][1])));
        buf_fini(&out);
    }
}

/* RFC8601-3, RFC8601-2.7.3 */
static void test_iprev(void **state) {
    (void)state;
    struct dns_table t;
    struct arena *arena = arena_new("dns.test", 1u << 20);
    dns_table_init(&t);
    add(&t, "1.2.0.192.in-addr.arpa", DNS_PTR, "wrong.example");
    add(&t, "1.2.0.192.in-addr.arpa", DNS_PTR, "right.example");
    add(&t, "wrong.example", DNS_A, "192.0.2.9");
    add(&t, "right.example", DNS_A, "192.0.2.1");
    add(&t, "2.2.0.192.in-addr.arpa", DNS_PTR, "wrong.example");
    add(&t, "4.2.0.192.in-addr.arpa", DNS_TABLE_TIMEOUT, "");
    add(&t, "5.2.0.192.in-addr.arpa", DNS_PTR, "silent.example");
    add(&t, "silent.example", DNS_TABLE_TIMEOUT, "");
    add(&t, "6.2.0.192.in-addr.arpa", DNS_PTR, "silent.example");
    add(&t, "6.2.0.192.in-addr.arpa", DNS_PTR, "six.example");
    add(&t, "six.example", DNS_A, "192.0.2.6");
    add(&t, "7.2.0.192.in-addr.arpa", DNS_PTR, "a b.example");
    static const struct {
        const char *ip;
        enum iprev_result result;
        const char *name;
    } cases[] = {
        {"192.0.2.1", IPREV_PASS, "right.example"},
        {"::ffff:192.0.2.1", IPREV_PASS, "right.example"},
        {"192.0.2.2", IPREV_FAIL, "wrong.example"},
        {"192.0.2.3", IPREV_PERMERROR, ""},
        {"192.0.2.4", IPREV_TEMPERROR, ""},
        {"192.0.2.5", IPREV_TEMPERROR, "silent.example"},
        {"192.0.2.6", IPREV_PASS, "six.example"}, /* RFC7208-5.5: a name without an answer is passed over */
        {"192.0.2.7", IPREV_FAIL, ""},            /* no host has such a name */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct iprev found;
        struct netaddr a = ip(cases[i].ip);
        assert_int_equal(iprev_check(&t.client, &a, arena, &found), ERR_OK);
        if (found.result != cases[i].result || !view_eq(found.name, view_cstr(cases[i].name)))
            fail_msg("%s: %s %.*s", cases[i].ip, iprev_result_name(found.result), VIEW_FMT(found.name));
    }
    /* RFC8601-7.4: a hostile reverse mapping has us ask for ten names, no more. */
    for (unsigned i = 0; i < 100; i++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "n%u.example", i);
        add(&t, "8.2.0.192.in-addr.arpa", DNS_PTR, name);
    }
    struct dns_validated v;
    struct netaddr a = ip("192.0.2.8");
    t.asked = 0;
    assert_int_equal(dns_validate_names(&t.client, &a, arena, &v), ERR_OK);
    assert_int_equal(t.asked, 1 + DNS_VALIDATED_MAX);
    assert_int_equal(v.asked, DNS_VALIDATED_MAX);
    t.fail = ERR_AGAIN;
    assert_int_equal(dns_validate_names(&t.client, &a, arena, &v), ERR_AGAIN);
    dns_table_fini(&t);
    arena_free(arena);
}

/* RFC8616-3, RFC5890-2.3.2.1, RFC5891-4, RFC5891-5 */
static void test_idna(void **state) {
    (void)state;
    static const struct {
        const char *text, *ascii, *unicode; /* ascii NULL: no name */
    } cases[] = {
        {"Example.ORG.", "example.org", "example.org"},
        {"_dmarc.b\xc3\xbc"
         "cher.example",
         "_dmarc.xn--bcher-kva.example",
         "_dmarc.b\xc3\xbc"
         "cher.example"},
        {"B\xc3\x9c"
         "CHER.example",
         "xn--bcher-kva.example",
         "b\xc3\xbc"
         "cher.example"},
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example",
         "b\xc3\xbc"
         "cher.example"}, /* NFD */
        {"fa\xc3\x9f.example", "xn--fa-hia.example", "fa\xc3\x9f.example"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example",
         "b\xc3\xbc"
         "cher.example"},
        {"xn--a.example", "xn--a.example", "xn--a.example"}, /* no A-label, and no harm */
        {"a..b", NULL, NULL},
        {"", NULL, NULL},
        {"\xff.example", NULL, NULL},
        {"a\xe2\x80\xae"
         "b.example",
         NULL, NULL}, /* RFC5892-2.6: not for names */
        {"b\xc3\xbc"
         "cher..example",
         NULL, NULL},
    };
    struct arena *arena = arena_new("dns.test", 1u << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct view ascii, unicode;
        enum err err = dns_idna_to_ascii(view_cstr(cases[i].text), arena, &ascii);
        if ((err == ERR_OK) != (cases[i].ascii != NULL) || (err != ERR_OK && err != ERR_SYNTAX))
            fail_msg("%s: %s", cases[i].text, err_name(err));
        if (err != ERR_OK)
            continue;
        assert_int_equal(dns_idna_to_unicode(ascii, arena, &unicode), ERR_OK);
        if (!view_eq(ascii, view_cstr(cases[i].ascii)) || !view_eq(unicode, view_cstr(cases[i].unicode)))
            fail_msg("%s: %.*s %.*s", cases[i].text, VIEW_FMT(ascii), VIEW_FMT(unicode));
    }
    uint8_t lengthy[2000];
    memset(lengthy, 0xc3, sizeof(lengthy));
    struct view out;
    assert_int_equal(dns_idna_to_ascii(view_of(lengthy, sizeof(lengthy)), arena, &out), ERR_SYNTAX);
    memset(lengthy, 'a', sizeof(lengthy));
    assert_int_equal(dns_idna_to_ascii(view_of(lengthy, sizeof(lengthy)), arena, &out), ERR_SYNTAX);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reverse_names), cmocka_unit_test(test_iprev),
                                       cmocka_unit_test(test_idna)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
