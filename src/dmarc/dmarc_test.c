/* Policy discovery, alignment and verdicts over zones in a table; the examples of RFC9989-4.10 and RFC9989-B among them. */
#include "dmarc/dmarc.h"

#include "dns/table_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

static struct arena *arena;
static struct dns_table table;

static void zone(const char *domain, const char *record) {
    struct view name;
    assert_int_equal(arena_printf(arena, &name, "_dmarc.%s", domain), ERR_OK);
    dns_table_add(&table, name, DNS_TXT, view_cstr(record));
}

/* The two-label rule, which is enough of a public suffix list here; "co.test" is a suffix too. */
static size_t suffix_rule(const struct dmarc_suffixes *suffixes, struct view domain) {
    (void)suffixes;
    size_t labels = view_ends(domain, VIEW(".co.test")) ? 3 : 2, n = 0;
    if (view_eq(domain, VIEW("co.test")))
        return 0;
    while (n < domain.n) {
        if (domain.p[domain.n - n - 1] == '.' && --labels == 0)
            return n;
        n++;
    }
    return labels == 1 ? n : 0;
}
static const struct dmarc_suffixes suffixes = {suffix_rule};

struct given {
    const char *author, *dkim, *spf; /* identifiers that passed, or NULL */
    bool temporary, list;
};

static struct dmarc_verdict check(struct given g) {
    struct dmarc_identifier ids[2];
    struct dmarc_query query = {
        .author = view_cstr(g.author), .identifiers = ids, .identifiers_temporary = g.temporary};
    if (g.spf != NULL)
        ids[query.identifiers_n++] = (struct dmarc_identifier){DMARC_SPF, view_cstr(g.spf)};
    if (g.dkim != NULL)
        ids[query.identifiers_n++] = (struct dmarc_identifier){DMARC_DKIM, view_cstr(g.dkim)};
    struct dmarc_env env = {.dns = &table.client, .suffixes = g.list ? &suffixes : NULL};
    struct dmarc_verdict verdict;
    table.asked = 0;
    assert_int_equal(dmarc_check(&env, &query, arena, &verdict), ERR_OK);
    for (size_t i = 0; i < verdict.steps_n; i++)
        print_message("    %.*s: %.*s\n", VIEW_FMT(verdict.steps[i].name), VIEW_FMT(verdict.steps[i].text));
    print_message("  %s %s: %s (%.*s)\n", g.author, dmarc_result_name(verdict.result),
                  dmarc_policy_name(verdict.policy), VIEW_FMT(verdict.reason));
    return verdict;
}

static void assert_name(struct view got, const char *expected) {
    if (!view_eq(got, view_cstr(expected)))
        fail_msg("%.*s is not %s", VIEW_FMT(got), expected);
}

static void organizational_domains(void **state) {
    (void)state;
    zone("mail.example.com", "v=DMARC1; p=none");
    zone("example.com", "v=DMARC1; p=none");
    zone("psdn.example.net", "v=DMARC1; p=none; psd=n");
    zone("example.net", "v=DMARC1; p=none");
    zone("psd", "v=DMARC1; p=none; psd=y");
    zone("own.psd", "v=DMARC1; p=none; psd=y");
    static const struct {
        const char *domain, *organizational;
    } rows[] = {
        {"a.mail.example.com", "example.com"}, /* RFC9989-4.10.2's examples */
        {"a.psdn.example.net", "psdn.example.net"},
        {"a.mail.example.psd", "example.psd"},
        {"example.com", "example.com"},
        {"com", "com"},
        {"nothing.example.org", "nothing.example.org"}, /* "the initial target domain is the Organizational Domain" */
        {"psd", "psd"},                                 /* its own record has psd=y, but that is where it started */
        {"own.psd", "own.psd"},
        {"x.own.psd", "x.own.psd"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dmarc_env env = {.dns = &table.client};
        struct view out;
        print_message("%s\n", rows[i].domain);
        assert_int_equal(dmarc_organizational(&env, view_cstr(rows[i].domain), arena, &out), ERR_OK);
        assert_name(out, rows[i].organizational);
    }
    struct dmarc_env env = {.dns = &table.client, .suffixes = &suffixes};
    struct view out;
    assert_int_equal(dmarc_organizational(&env, VIEW("nothing.example.org"), arena, &out), ERR_OK);
    assert_name(out, "example.org");
    dns_table_add_data(&table, VIEW("_dmarc.example.org"), DNS_TABLE_TIMEOUT, VIEW_NONE);
    assert_int_equal(dmarc_organizational(&env, VIEW("nothing.example.org"), arena, &out), ERR_AGAIN);
}

/* RFC9989-4.10: eight questions, and which. */
static void long_names(void **state) {
    (void)state;
    struct dmarc_verdict v = check((struct given){"a.b.c.d.e.f.g.h.i.j.mail.example.com", NULL, NULL, false, false});
    static const char *const asked[] = {
        "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "_dmarc.g.h.i.j.mail.example.com",
        "_dmarc.h.i.j.mail.example.com",
        "_dmarc.i.j.mail.example.com",
        "_dmarc.j.mail.example.com",
        "_dmarc.mail.example.com",
        "_dmarc.example.com",
        "_dmarc.com",
    };
    assert_int_equal(v.result, DMARC_NONE);
    assert_int_equal(table.asked, 8);
    assert_int_equal(v.steps_n, 8);
    for (size_t i = 0; i < 8; i++)
        assert_name(v.steps[i].name, asked[i]);
    /* Eight labels: the parent comes next, no label is jumped over. */
    v = check((struct given){"a.b.c.d.e.f.example.com", NULL, NULL, false, false});
    assert_int_equal(table.asked, 8);
    assert_name(v.steps[1].name, "_dmarc.b.c.d.e.f.example.com");
    /* A name that leaves no room for "_dmarc." has no record, and is no error. */
    struct buf name;
    buf_init(&name, 300);
    for (int i = 0; i < 62; i++)
        buf_put_str(&name, "abc.");
    buf_put_str(&name, "test");
    zone("test", "v=DMARC1; p=reject");
    struct dmarc_query query = {.author = buf_view(&name)};
    struct dmarc_env env = {.dns = &table.client};
    assert_int_equal(dmarc_check(&env, &query, arena, &v), ERR_OK);
    assert_int_equal(v.result, DMARC_FAIL);
    buf_fini(&name);
}

static void verdicts(void **state) {
    (void)state;
    zone("example.com", "v=DMARC1; p=reject; sp=quarantine");
    zone("strict.test", "v=DMARC1; p=reject; adkim=s; aspf=s");
    zone("testing.test", "v=DMARC1; p=reject; t=y; sp=quarantine; np=none");
    zone("broken.test", "v=DMARC1; p=whatever");
    zone("double.test", "v=DMARC1; p=reject");
    zone("double.test", "v=DMARC1; p=none");
    zone("noise.test", "v=spf1 -all");
    zone("noise.test", "v=DMARC1; p=quarantine");
    zone("sub.example.com", "v=DMARC1; p=none");
    dns_table_add(&table, VIEW("www.testing.test"), DNS_A, VIEW("192.0.2.1"));
    const enum dmarc_policy n = DMARC_POLICY_NONE, q = DMARC_POLICY_QUARANTINE, r = DMARC_POLICY_REJECT;
    const struct {
        struct given given;
        enum dmarc_result result;
        enum dmarc_policy policy;
        const char *record;
    } rows[] = {
        /* RFC9989-B.1.1 and B.1.2 */
        {{"example.com", NULL, "example.com", false, false}, DMARC_PASS, n, "example.com"},
        {{"example.com", NULL, "mail.example.com", false, false}, DMARC_PASS, n, "example.com"},
        {{"mail.example.com", NULL, "example.com", false, false}, DMARC_PASS, n, "example.com"},
        {{"example.com", NULL, "example.net", false, false}, DMARC_FAIL, r, "example.com"},
        {{"example.com", "example.com", NULL, false, false}, DMARC_PASS, n, "example.com"},
        {{"example.com", "mail.example.com", NULL, false, false}, DMARC_PASS, n, "example.com"},
        {{"example.com", "sample.net", NULL, false, false}, DMARC_FAIL, r, "example.com"},
        {{"example.com", NULL, NULL, false, false}, DMARC_FAIL, r, "example.com"},
        {{"Example.COM", "EXAMPLE.com", NULL, false, false}, DMARC_PASS, n, NULL},
        {{"mail.example.com", NULL, NULL, false, false}, DMARC_FAIL, q, "example.com"},
        {{"sub.example.com", "example.com", NULL, false, false}, DMARC_PASS, n, "sub.example.com"},
        {{"sub.example.com", "notexample.com", NULL, false, false}, DMARC_FAIL, n, "sub.example.com"},
        {{"strict.test", "strict.test", NULL, false, false}, DMARC_PASS, n, "strict.test"},
        {{"strict.test", "mail.strict.test", "mail.strict.test", false, false}, DMARC_FAIL, r, "strict.test"},
        {{"testing.test", NULL, NULL, false, false}, DMARC_FAIL, q, "testing.test"},
        {{"www.testing.test", NULL, NULL, false, false}, DMARC_FAIL, n, "testing.test"},
        {{"not.testing.test", NULL, NULL, false, false}, DMARC_FAIL, n, "testing.test"},
        {{"broken.test", NULL, NULL, false, false}, DMARC_PERMERROR, n, "broken.test"},
        {{"double.test", NULL, NULL, false, false}, DMARC_NONE, n, NULL},
        {{"noise.test", NULL, NULL, false, false}, DMARC_FAIL, q, "noise.test"},
        {{"nobody.test", "nobody.test", NULL, false, false}, DMARC_NONE, n, NULL},
        /* RFC9989-5.3.6: errors below the verdict make it one, but not against a pass. */
        {{"example.com", NULL, NULL, true, false}, DMARC_TEMPERROR, r, "example.com"},
        {{"example.com", "example.com", NULL, true, false}, DMARC_PASS, n, "example.com"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dmarc_verdict v = check(rows[i].given);
        assert_int_equal(v.result, rows[i].result);
        assert_int_equal(v.policy, rows[i].policy);
        if (rows[i].record != NULL)
            assert_name(v.record_domain, rows[i].record);
    }
    struct dmarc_verdict v = check((struct given){"www.testing.test", NULL, NULL, false, false});
    assert_true(v.author_exists);
    assert_int_equal(v.published, q);
    assert_int_equal(v.place, DMARC_AT_ORGANIZATION);
    v = check((struct given){"not.testing.test", NULL, NULL, false, false});
    assert_false(v.author_exists);
    v = check((struct given){"example.com", "mail.example.com", "example.com", false, false});
    assert_true(v.dkim_aligned && v.spf_aligned);
    assert_name(v.aligned_domain, "mail.example.com");
}

/* RFC9989-B.4.3: a suffix's policy holds for organizations that have none of their own, and suffixes keep them apart. */
static void public_suffixes(void **state) {
    (void)state;
    zone("suffix", "v=DMARC1; p=reject; psd=y; np=quarantine");
    zone("has.suffix", "v=DMARC1; p=none");
    dns_table_add(&table, VIEW("mega.suffix"), DNS_A, VIEW("192.0.2.1"));
    struct dmarc_verdict v = check((struct given){"mega.suffix", NULL, NULL, false, false});
    assert_int_equal(v.result, DMARC_FAIL);
    assert_int_equal(v.policy, DMARC_POLICY_REJECT);
    assert_int_equal(v.place, DMARC_AT_SUFFIX);
    assert_name(v.organizational, "mega.suffix");
    v = check((struct given){"ghost.suffix", NULL, NULL, false, false});
    assert_int_equal(v.policy, DMARC_POLICY_QUARANTINE);
    v = check((struct given){"mega.suffix", "giga.suffix", NULL, false, false});
    assert_int_equal(v.result, DMARC_FAIL);
    v = check((struct given){"a.mega.suffix", "b.mega.suffix", NULL, false, false});
    assert_int_equal(v.result, DMARC_PASS);
    v = check((struct given){"x.has.suffix", NULL, NULL, false, false});
    assert_int_equal(v.place, DMARC_AT_ORGANIZATION);
    assert_int_equal(v.policy, DMARC_POLICY_NONE);
}

/* Domains that published for RFC 7489: a record at the subdomain, none where a tree walk would find the organization. */
static void suffix_list(void **state) {
    (void)state;
    zone("news.shop.test", "v=DMARC1; p=reject");
    zone("shop.co.test", "v=DMARC1; p=reject");
    zone("news.bound.test", "v=DMARC1; p=reject; psd=n");
    struct dmarc_verdict v = check((struct given){"news.shop.test", "shop.test", NULL, false, false});
    assert_int_equal(v.result, DMARC_FAIL);
    v = check((struct given){"news.shop.test", "shop.test", NULL, false, true});
    assert_int_equal(v.result, DMARC_PASS);
    assert_true(v.by_suffix_list);
    v = check((struct given){"news.shop.test", "shop.test", "news.shop.test", false, true});
    assert_false(v.by_suffix_list);
    v = check((struct given){"shop.co.test", "other.co.test", NULL, false, true});
    assert_int_equal(v.result, DMARC_FAIL);
    v = check((struct given){"news.bound.test", "bound.test", NULL, false, true}); /* the domain itself drew the line */
    assert_int_equal(v.result, DMARC_FAIL);
}

static void dns_trouble(void **state) {
    (void)state;
    zone("example.com", "v=DMARC1; p=reject; sp=none; np=reject");
    dns_table_add_data(&table, VIEW("_dmarc.down.example.com"), DNS_TABLE_TIMEOUT, VIEW_NONE);
    dns_table_add_data(&table, VIEW("gone.example.com"), DNS_TABLE_TIMEOUT, VIEW_NONE);
    dns_table_add_data(&table, VIEW("_dmarc.com"), DNS_TABLE_TIMEOUT, VIEW_NONE);
    struct dmarc_verdict v = check((struct given){"down.example.com", "down.example.com", NULL, false, false});
    assert_int_equal(v.result, DMARC_TEMPERROR);
    /* The author's own record is there; what is missing above it matters only to an identifier that needs it. */
    v = check((struct given){"example.com", "example.com", NULL, false, false});
    assert_int_equal(v.result, DMARC_PASS);
    v = check((struct given){"example.com", "other.test", NULL, false, false});
    assert_int_equal(v.result, DMARC_FAIL);
    v = check((struct given){"example.com", "a.example.com", NULL, false, false});
    assert_int_equal(v.result, DMARC_TEMPERROR);
    v = check((struct given){"gone.example.com", NULL, NULL, false, false});
    assert_int_equal(v.result, DMARC_TEMPERROR);
    table.fail = ERR_AGAIN;
    struct dmarc_env env = {.dns = &table.client};
    struct dmarc_query query = {.author = VIEW("example.com")};
    assert_int_equal(dmarc_check(&env, &query, arena, &v), ERR_AGAIN);
    table.fail = ERR_OK;
}

/* However many signatures, there is an end to the questions. */
static void budget(void **state) {
    (void)state;
    zone("example.com", "v=DMARC1; p=reject");
    struct dmarc_identifier ids[60];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        ids[i].mechanism = DMARC_DKIM;
        assert_int_equal(arena_printf(arena, &ids[i].domain, "a.b.c.d.e.x%zu.example.com", i), ERR_OK);
    }
    ids[ARRAY_LEN(ids) - 1].domain = VIEW("example.com"); /* comes too late */
    struct dmarc_query query = {.author = VIEW("example.com"), .identifiers = ids, .identifiers_n = ARRAY_LEN(ids)};
    struct dmarc_env env = {.dns = &table.client};
    struct dmarc_verdict v;
    table.asked = 0;
    zone("a.b.c.d.e.x0.example.com", "v=DMARC1; p=none; psd=n");
    for (size_t i = 0; i < ARRAY_LEN(ids) - 1; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "x%zu.example.com", i);
        zone(text, "v=DMARC1; p=none; psd=n");
    }
    assert_int_equal(dmarc_check(&env, &query, arena, &v), ERR_OK);
    assert_true(table.asked <= DMARC_LOOKUPS_MAX);
    assert_int_equal(v.result, DMARC_FAIL);
}

static void security(void **state) {
    (void)state;
    zone("example.com", "v=DMARC1; p=reject");
    table.security = DNS_SECURE;
    assert_true(check((struct given){"example.com", NULL, NULL, false, false}).is_secure);
    table.security = DNS_INSECURE;
    assert_false(check((struct given){"example.com", NULL, NULL, false, false}).is_secure);
}

static void targets(void **state) {
    (void)state;
    dns_table_add(&table, VIEW("example.com._report._dmarc.yes.test"), DNS_TXT, VIEW("v=DMARC1"));
    dns_table_add(&table, VIEW("example.com._report._dmarc.odd.test"), DNS_TXT, VIEW("hello"));
    dns_table_add_data(&table, VIEW("example.com._report._dmarc.down.test"), DNS_TABLE_TIMEOUT, VIEW_NONE);
    struct dmarc_env env = {.dns = &table.client};
    bool allows = false;
    assert_int_equal(dmarc_target_allows(&env, VIEW("example.com"), VIEW("yes.test"), arena, &allows), ERR_OK);
    assert_true(allows);
    assert_int_equal(dmarc_target_allows(&env, VIEW("example.com"), VIEW("odd.test"), arena, &allows), ERR_OK);
    assert_false(allows);
    assert_int_equal(dmarc_target_allows(&env, VIEW("example.com"), VIEW("no.test"), arena, &allows), ERR_OK);
    assert_false(allows);
    assert_int_equal(dmarc_target_allows(&env, VIEW("example.com"), VIEW("down.test"), arena, &allows), ERR_AGAIN);
}

/* RFC9989-5.3.1 */
static void authors(void **state) {
    (void)state;
    static const struct {
        const char *header;
        const char *domains; /* joined by spaces */
        bool has_bad;
    } rows[] = {
        {"From: A <a@Example.COM>\r\n", "example.com", false},
        {"From: a@example.com, b@example.com\r\n", "example.com", false},
        {"From: a@example.com, b@example.org\r\n", "example.com example.org", false},
        {"From: a@example.com\r\nFrom: b@example.org\r\n", "example.com example.org", false},
        {"from: \"a@evil.test\" <a@example.com>\r\n", "example.com", false},
        {"From: a@b\xc3\xbc"
         "cher.example\r\n",
         "xn--bcher-kva.example", false},
        {"From: Group: a@example.com;\r\n", "example.com", false},
        {"From: nobody\r\n", "", true},
        {"From: a@[192.0.2.1]\r\n", "", true},
        {"From: a@x..y, b@example.org\r\n", "example.org", true},
        {"Sender: a@example.com\r\n", "", false},
        {"From:\r\n", "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct view list[DMARC_AUTHORS_MAX];
        size_t n;
        bool has_bad;
        struct buf joined;
        buf_init(&joined, 4096);
        assert_int_equal(dmarc_authors(arena, view_cstr(rows[i].header), list, &n, &has_bad), ERR_OK);
        for (size_t k = 0; k < n; k++) {
            if (k > 0)
                buf_put_byte(&joined, ' ');
            buf_put(&joined, list[k]);
        }
        print_message("%s", rows[i].header);
        assert_name(buf_view(&joined), rows[i].domains);
        assert_int_equal(has_bad, rows[i].has_bad);
        buf_fini(&joined);
    }
}

static int begin(void **state) {
    (void)state;
    arena = arena_new("dmarc", 16 << 20);
    dns_table_init(&table);
    return arena == NULL;
}

static int end(void **state) {
    (void)state;
    dns_table_fini(&table);
    arena_free(arena);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(organizational_domains),
        TEST(long_names),
        TEST(verdicts),
        TEST(public_suffixes),
        TEST(suffix_list),
        TEST(dns_trouble),
        TEST(budget),
        TEST(security),
        TEST(targets),
        TEST(authors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
