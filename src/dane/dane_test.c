/* The search for TLSA records: each case of RFC 7672, and what an attacker could make of it. */
#include "dane/dane.h"

#include "dns/table_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A table with zones: what passes through one under "insecure." is not signed, under "bogus." does not validate, under "dead."
 * has no answer. All else is secure. */
struct zones {
    struct dns_client client;
    struct dns_table table;
    unsigned tlsa_asked;
};

static struct zones zones;
static struct arena *arena;

static bool is_in(struct view name, struct view zone) {
    return view_eq(name, zone) || (view_ends(name, zone) && name.p[name.n - zone.n - 1] == '.');
}

static enum err look(struct dns_client *client, struct view name, uint16_t type, struct arena *a,
                     struct dns_answer *out) {
    struct zones *z = (struct zones *)client;
    z->tlsa_asked += type == DNS_TLSA;
    TRY(dns_table_lookup(&z->table.client, name, type, a, out));
    struct view ends[] = {name, out->canonical};
    out->security = DNS_SECURE;
    for (size_t i = 0; i < 2; i++) {
        if (is_in(ends[i], VIEW("insecure")))
            out->security = DNS_INSECURE;
        if (is_in(ends[i], VIEW("bogus")) || is_in(ends[i], VIEW("dead"))) {
            bool is_bogus = is_in(ends[i], VIEW("bogus"));
            *out = (struct dns_answer){.status = DNS_TEMPORARY,
                                       .security = is_bogus ? DNS_BOGUS : DNS_INSECURE,
                                       .canonical = name,
                                       .why_bogus = is_bogus ? VIEW("signature expired") : VIEW_NONE};
            return ERR_OK;
        }
    }
    return ERR_OK;
}

static void add_tlsa(const char *name, uint8_t usage, uint8_t selector, uint8_t matching) {
    struct buf data;
    buf_init(&data, 100);
    buf_put_byte(&data, usage);
    buf_put_byte(&data, selector);
    buf_put_byte(&data, matching);
    for (size_t i = 0; i < (matching == 2 ? 64 : 32); i++)
        buf_put_byte(&data, (uint8_t)i);
    dns_table_add_data(&zones.table, view_cstr(name), DNS_TLSA, buf_view(&data));
    buf_fini(&data);
}

static void add(const char *name, uint16_t type, const char *text) {
    dns_table_add(&zones.table, view_cstr(name), type, view_cstr(text));
}

static int set_up(void **state) {
    (void)state;
    zones = (struct zones){.client = {look}};
    dns_table_init(&zones.table);
    arena = arena_new("test", 1 << 20);
    return arena ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    dns_table_fini(&zones.table);
    arena_free(arena);
    return 0;
}

static struct dane_result discover(const char *host) {
    struct dane_query query = {.host = view_cstr(host), .port = 25, .mx_security = DNS_SECURE};
    struct dane_result result;
    zones.tlsa_asked = 0;
    assert_int_equal(dane_discover(&zones.client, &query, arena, &result), ERR_OK);
    assert_true(result.steps_n <= DANE_STEPS_MAX);
    return result;
}

/* RFC7672-2.2.2 and 2.2.3 */
static void cases(void **state) {
    (void)state;
    add("mx.good", DNS_A, "192.0.2.1");
    add_tlsa("_25._tcp.mx.good", 3, 1, 1);
    add("six.good", DNS_AAAA, "2001:db8::1");
    add_tlsa("_25._tcp.six.good", 3, 1, 1);
    add("bare.good", DNS_A, "192.0.2.1");
    add("cert.good", DNS_A, "192.0.2.1");
    add("_25._tcp.cert.good", DNS_CNAME, "shared.good");
    add_tlsa("shared.good", 2, 0, 1);
    add("pkix.good", DNS_A, "192.0.2.1");
    add_tlsa("_25._tcp.pkix.good", 0, 0, 1);
    add_tlsa("_25._tcp.pkix.good", 1, 1, 1);
    add("noaddress.good", DNS_TXT, "x");
    add_tlsa("_25._tcp.noaddress.good", 3, 1, 1);
    add("plain.insecure", DNS_A, "192.0.2.1");
    add_tlsa("_25._tcp.plain.insecure", 3, 1, 1);
    add("mx.bogus", DNS_A, "192.0.2.1");
    add("mx.dead", DNS_A, "192.0.2.1");
    /* the records have trouble, the addresses do not */
    add("away.good", DNS_A, "192.0.2.1");
    add("_25._tcp.away.good", DNS_CNAME, "x.dead");
    add("forged.good", DNS_A, "192.0.2.1");
    add("_25._tcp.forged.good", DNS_CNAME, "x.bogus");
    add("unsigned.good", DNS_A, "192.0.2.1");
    add("_25._tcp.unsigned.good", DNS_CNAME, "x.insecure");
    add_tlsa("x.insecure", 3, 1, 1);
    /* aliases */
    add("alias.good", DNS_CNAME, "mx.good");
    add("aliasbare.good", DNS_CNAME, "bare.good");
    add_tlsa("_25._tcp.aliasbare.good", 3, 1, 1);
    add("hosted.good", DNS_CNAME, "plain.insecure");
    add_tlsa("_25._tcp.hosted.good", 3, 1, 1);
    add("hostedbare.good", DNS_CNAME, "plain.insecure");
    add("alias.insecure", DNS_CNAME, "mx.good");
    add_tlsa("_25._tcp.alias.insecure", 3, 1, 1);
    add("first.good", DNS_CNAME, "middle.good");
    add("middle.good", DNS_CNAME, "bare.good");
    add_tlsa("_25._tcp.middle.good", 3, 1, 1);
    add("aliasbogus.good", DNS_CNAME, "target.good");
    add("target.good", DNS_A, "192.0.2.1");
    add("_25._tcp.target.good", DNS_CNAME, "x.bogus");
    add_tlsa("_25._tcp.aliasbogus.good", 3, 1, 1);
    static const struct {
        const char *host, *base;
        enum dane_status status;
        enum dane_action action;
        unsigned tlsa_asked;
    } table[] = {
        {"mx.good", "mx.good", DANE_SECURE, DANE_AUTHENTICATE, 1},
        {"mx.good.", "mx.good", DANE_SECURE, DANE_AUTHENTICATE, 1},
        {"six.good", "six.good", DANE_SECURE, DANE_AUTHENTICATE, 1},
        {"bare.good", "", DANE_NONE, DANE_OPPORTUNISTIC, 1},
        {"cert.good", "cert.good", DANE_SECURE, DANE_AUTHENTICATE, 1}, /* RFC7672-2.2.3: the base stays */
        {"pkix.good", "pkix.good", DANE_SECURE, DANE_ENCRYPT, 1},      /* RFC7672-2.2: secure, all unusable */
        {"noaddress.good", "", DANE_NONE, DANE_OPPORTUNISTIC, 0},
        {"nothing.good", "", DANE_NONE, DANE_OPPORTUNISTIC, 0},
        {"plain.insecure", "", DANE_INSECURE, DANE_OPPORTUNISTIC, 0}, /* RFC7672-2.2.2: SHOULD NOT ask */
        {"mx.bogus", "", DANE_BOGUS, DANE_DEFER, 0},
        {"mx.dead", "", DANE_TEMPORARY, DANE_DEFER, 0},
        {"away.good", "", DANE_TEMPORARY, DANE_DEFER, 1}, /* RFC7672-2.1.2 */
        {"forged.good", "", DANE_BOGUS, DANE_DEFER, 1},
        {"unsigned.good", "", DANE_INSECURE, DANE_OPPORTUNISTIC, 1},
        {"alias.good", "mx.good", DANE_SECURE, DANE_AUTHENTICATE, 1},
        {"aliasbare.good", "aliasbare.good", DANE_SECURE, DANE_AUTHENTICATE, 2},
        {"hosted.good", "hosted.good", DANE_SECURE, DANE_AUTHENTICATE, 1}, /* RFC7672-2.2.2: insecure CNAME */
        {"hostedbare.good", "", DANE_NONE, DANE_OPPORTUNISTIC, 1},
        {"alias.insecure", "", DANE_INSECURE, DANE_OPPORTUNISTIC, 0},
        {"first.good", "", DANE_NONE, DANE_OPPORTUNISTIC, 2}, /* RFC7672-2.2.3: names between are no base */
        {"aliasbogus.good", "", DANE_BOGUS, DANE_DEFER, 1},   /* not the next candidate */
        {"192.0.2.1", "", DANE_NONE, DANE_OPPORTUNISTIC, 0},  /* RFC7672-2.2 */
        {"[192.0.2.1]", "", DANE_NONE, DANE_OPPORTUNISTIC, 0},
        {"no name..at all", "", DANE_NONE, DANE_OPPORTUNISTIC, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        print_message("%s\n", table[i].host);
        struct dane_result result = discover(table[i].host);
        assert_int_equal(result.status, table[i].status);
        assert_int_equal(dane_action(&result), table[i].action);
        assert_int_equal(zones.tlsa_asked, table[i].tlsa_asked);
        assert_true(view_eq(result.base, view_cstr(table[i].base)));
        if (result.status == DANE_SECURE) {
            assert_true(result.names_n >= 1 && view_eq(result.names[0], result.base));
            assert_true(result.records_n >= 1);
        }
    }
    assert_true(view_eq(discover("forged.good").why_bogus, VIEW("signature expired")));
    assert_false(discover("noaddress.good").has_address);
    assert_true(discover("mx.good").has_address);
}

/* One family without an answer does not hide the other, whose zones are the same; none with an address is no answer. */
static void families(void **state) {
    (void)state;
    add("mx.good", DNS_A, "192.0.2.1");
    add("mx.good", DNS_TABLE_TIMEOUT, "");
    add("_25._tcp.mx.good", DNS_TXT, "x");
    struct dane_result result = discover("mx.good");
    assert_int_equal(result.status, DANE_NONE);
    add("silent.good", DNS_TABLE_TIMEOUT, "");
    result = discover("silent.good");
    assert_int_equal(result.status, DANE_TEMPORARY);
    assert_int_equal(zones.tlsa_asked, 0);
}

/* RFC7672-2.2.1 */
static void insecure_mx(void **state) {
    (void)state;
    add("mx.good", DNS_A, "192.0.2.1");
    add_tlsa("_25._tcp.mx.good", 2, 0, 1);
    struct dane_query query = {.host = VIEW("mx.good"),
                               .port = 25,
                               .next_hop = VIEW("domain.insecure"),
                               .next_hop_canonical = VIEW("other.insecure"),
                               .mx_security = DNS_INSECURE};
    struct dane_result result;
    assert_int_equal(dane_discover(&zones.client, &query, arena, &result), ERR_OK);
    assert_int_equal(result.status, DANE_INSECURE);
    assert_int_equal(result.steps_n, 0);
    query.use_insecure_mx = true;
    assert_int_equal(dane_discover(&zones.client, &query, arena, &result), ERR_OK);
    assert_int_equal(result.status, DANE_SECURE);
    assert_false(result.is_mx_secure);
    assert_int_equal(result.names_n, 1); /* RFC7672-3.2.2: only the exchanger's name */
    query.mx_security = DNS_BOGUS;
    assert_int_equal(dane_discover(&zones.client, &query, arena, &result), ERR_OK);
    assert_int_equal(result.status, DANE_BOGUS);
}

/* RFC7672-3.2.2 */
static void names(void **state) {
    (void)state;
    add("mx.good", DNS_A, "192.0.2.1");
    add_tlsa("_25._tcp.mx.good", 2, 0, 1);
    add_tlsa("_2525._tcp.mx.good", 2, 0, 1);
    add("alias.good", DNS_CNAME, "mx.good");
    static const struct {
        const char *host, *next_hop, *canonical, *names[DANE_NAMES_MAX];
    } table[] = {
        {"mx.good", "good", "", {"mx.good", "good", ""}},
        {"mx.good", "good", "good", {"mx.good", "good", ""}},
        {"mx.good", "www.good", "good", {"mx.good", "www.good", "good"}},
        {"alias.good", "good", "", {"mx.good", "good", ""}},
        {"alias.good", "", "", {"mx.good", "alias.good", ""}}, /* no MX: the host is the next hop */
        {"mx.good", "", "", {"mx.good", "", ""}},
        {"mx.good", "MX.GOOD", "mx.good", {"mx.good", "", ""}},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        for (unsigned port = 25; port <= 2525; port += 2500) {
            struct dane_query query = {.host = view_cstr(table[i].host),
                                       .port = (uint16_t)port,
                                       .next_hop = view_cstr(table[i].next_hop),
                                       .next_hop_canonical = view_cstr(table[i].canonical),
                                       .mx_security = DNS_SECURE};
            struct dane_result result;
            assert_int_equal(dane_discover(&zones.client, &query, arena, &result), ERR_OK);
            assert_int_equal(result.status, DANE_SECURE);
            assert_true(result.is_mx_secure);
            for (size_t k = 0; k < DANE_NAMES_MAX; k++)
                assert_true(view_eq(k < result.names_n ? result.names[k] : VIEW_NONE, view_cstr(table[i].names[k])));
        }
}

/* A record that is none still says that there is TLS: RFC7672-2.2.3. */
static void broken_records(void **state) {
    (void)state;
    add("mx.good", DNS_A, "192.0.2.1");
    dns_table_add_data(&zones.table, VIEW("_25._tcp.mx.good"), DNS_TLSA, VIEW("\x03\x01"));
    struct dane_result result = discover("mx.good");
    assert_int_equal(result.status, DANE_SECURE);
    assert_int_equal(result.records_n, 0);
    assert_int_equal(dane_action(&result), DANE_ENCRYPT);
}

static void failures(void **state) {
    (void)state;
    add("mx.good", DNS_A, "192.0.2.1");
    struct dane_query query = {.host = VIEW("mx.good"), .port = 25, .mx_security = DNS_SECURE};
    struct dane_result result;
    static const enum err errors[] = {ERR_AGAIN, ERR_CANCELED, ERR_NO_MEMORY};
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        zones.table.fail = errors[i];
        assert_int_equal(dane_discover(&zones.client, &query, arena, &result), errors[i]);
    }
    zones.table.fail = ERR_OK;
    for (size_t budget = 0; budget < 20000; budget += 97) {
        struct arena *small = arena_new("small", budget);
        enum err err = dane_discover(&zones.client, &query, small, &result);
        assert_true(err == ERR_OK || err == ERR_LIMIT || err == ERR_NO_MEMORY);
        arena_free(small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(families, set_up, tear_down),
        cmocka_unit_test_setup_teardown(insecure_mx, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
