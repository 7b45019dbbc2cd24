/* What the project's suite does not ask: limits to the unit, names in any script, texts that go out. */
#include "dns/table_testing.h"
#include "spf/record.h"
#include "spf/spf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct world {
    struct dns_table table;
    struct arena *arena;
    struct virtual_clock clock;
    struct spf_env env;
    struct spf_query query;
};

static void begin(struct world *w, const char *ip, const char *helo, const char *from) {
    *w = (struct world){.arena = arena_new("spf.test", SPF_ARENA)};
    dns_table_init(&w->table);
    virtual_clock_init(&w->clock, INT64_C(1700000000) * US_PER_S);
    w->env = (struct spf_env){.dns = &w->table.client, .clock = &w->clock.clock, .receiver = VIEW("mx.example.net")};
    w->query = (struct spf_query){.identity = SPF_MAIL_FROM, .helo = view_cstr(helo), .mail_from = view_cstr(from)};
    assert_int_equal(netaddr_parse(view_cstr(ip), 0, &w->query.ip), ERR_OK);
}

static void end(struct world *w) {
    dns_table_fini(&w->table);
    arena_free(w->arena);
}

static void add(struct world *w, const char *name, uint16_t type, const char *text) {
    dns_table_add(&w->table, view_cstr(name), type, view_cstr(text));
}

static struct spf_verdict check(struct world *w) {
    struct spf_verdict v;
    assert_int_equal(spf_check(&w->env, &w->query, w->arena, &v), ERR_OK);
    return v;
}

static void expect(struct world *w, enum spf_result result) {
    struct spf_verdict v = check(w);
    if (v.result != result)
        fail_msg("%s instead of %s: %.*s", spf_result_name(v.result), spf_result_name(result), VIEW_FMT(v.problem));
    if (result == SPF_TEMPERROR || result == SPF_PERMERROR)
        assert_true(v.problem.n > 0);
}

/* RFC7208-4.6.4: ten terms that ask, two voids, ten MX, ten PTR. */
static void test_limits(void **state) {
    (void)state;
    struct world w;
    for (unsigned terms = 9; terms <= 11; terms++) {
        struct buf text;
        begin(&w, "192.0.2.1", "h.example", "a@b.example");
        buf_init(&text, 1000);
        buf_put_str(&text, "v=spf1");
        for (unsigned i = 0; i < terms; i++)
            buf_put_str(&text, " a:other.example");
        buf_put_str(&text, " -all");
        dns_table_add(&w.table, VIEW("b.example"), DNS_TXT, buf_view(&text));
        add(&w, "other.example", DNS_A, "192.0.2.99");
        expect(&w, terms <= SPF_LOOKUPS_MAX ? SPF_FAIL : SPF_PERMERROR);
        buf_fini(&text);
        end(&w);
    }
    for (unsigned voids = 1; voids <= 3; voids++) {
        begin(&w, "192.0.2.1", "h.example", "a@b.example");
        add(&w, "b.example", DNS_TXT,
            voids == 1   ? "v=spf1 a:x.example -all"
            : voids == 2 ? "v=spf1 a:x.example mx:y.example -all"
                         : "v=spf1 a:x.example mx:y.example exists:z.example -all");
        expect(&w, voids <= SPF_VOIDS_MAX ? SPF_FAIL : SPF_PERMERROR);
        end(&w);
    }
    for (unsigned hosts = 0; hosts <= 1; hosts++) { /* an mx whose hosts have no address is a third void */
        begin(&w, "192.0.2.1", "h.example", "a@b.example");
        add(&w, "b.example", DNS_TXT, "v=spf1 a:x.example exists:y.example mx -all");
        add(&w, "b.example", DNS_MX, "10 one.example");
        add(&w, "b.example", DNS_MX, "10 two.example");
        if (hosts)
            add(&w, "two.example", DNS_A, "192.0.2.2");
        expect(&w, hosts ? SPF_FAIL : SPF_PERMERROR);
        end(&w);
    }
    for (unsigned names = 10; names <= 11; names++) {
        begin(&w, "192.0.2.1", "h.example", "a@b.example");
        add(&w, "b.example", DNS_TXT, "v=spf1 mx -all");
        for (unsigned i = 0; i < names; i++) {
            char name[40], mx[60];
            (void)snprintf(name, sizeof(name), "mx%u.example", i);
            (void)snprintf(mx, sizeof(mx), "10 %s", name);
            add(&w, "b.example", DNS_MX, mx);
            add(&w, name, DNS_A, i == 9 ? "192.0.2.1" : "192.0.2.9");
        }
        expect(&w, names <= SPF_NAMES_MAX ? SPF_PASS : SPF_PERMERROR);
        end(&w);
    }
    for (unsigned names = 10; names <= 11; names++) { /* the one that holds is the last */
        begin(&w, "192.0.2.1", "h.example", "a@b.example");
        add(&w, "b.example", DNS_TXT, "v=spf1 ptr -all");
        for (unsigned i = 0; i + 1 < names; i++)
            add(&w, "1.2.0.192.in-addr.arpa", DNS_PTR, "wrong.example");
        add(&w, "1.2.0.192.in-addr.arpa", DNS_PTR, "ok.b.example");
        add(&w, "ok.b.example", DNS_A, "192.0.2.1");
        expect(&w, names <= SPF_NAMES_MAX ? SPF_PASS : SPF_FAIL);
        end(&w);
    }
    begin(&w, "192.0.2.1", "h.example", "a@b.example"); /* RFC7505-3: a null MX is no host */
    add(&w, "b.example", DNS_TXT, "v=spf1 mx -all");
    add(&w, "b.example", DNS_MX, "0 .");
    expect(&w, SPF_FAIL);
    end(&w);
}

static enum err slow_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                            struct dns_answer *out) {
    struct world *w = (struct world *)client; /* the table is its first member */
    virtual_clock_advance(&w->clock, SPF_TIME_US / 2);
    return dns_table_lookup(client, name, type, arena, out);
}

/* RFC7208-4.6.4: time; and a resolver that is away is no verdict. */
static void test_time_and_absence(void **state) {
    (void)state;
    struct world w;
    begin(&w, "192.0.2.1", "h.example", "a@b.example");
    add(&w, "b.example", DNS_TXT, "v=spf1 a:c.example a:d.example -all");
    add(&w, "c.example", DNS_A, "192.0.2.2");
    add(&w, "d.example", DNS_A, "192.0.2.1");
    expect(&w, SPF_PASS);
    w.table.client.lookup = slow_lookup;
    expect(&w, SPF_TEMPERROR);
    static const enum err errs[] = {ERR_AGAIN, ERR_CANCELED, ERR_NO_MEMORY};
    for (size_t i = 0; i < ARRAY_LEN(errs); i++) {
        struct spf_verdict v;
        w.table.fail = errs[i];
        assert_int_equal(spf_check(&w.env, &w.query, w.arena, &v), errs[i]);
    }
    end(&w);
}

/* RFC7208-5: "IPv4-mapped IPv6 addresses" */
static void test_families(void **state) {
    (void)state;
    static const struct {
        const char *ip, *record;
        enum spf_result result;
    } cases[] = {
        {"::ffff:192.0.2.1", "v=spf1 ip4:192.0.2.1 -all", SPF_PASS},
        {"::ffff:192.0.2.1", "v=spf1 ip6:::ffff:192.0.2.1 -all", SPF_FAIL},
        {"::ffff:192.0.2.1", "v=spf1 a -all", SPF_PASS},
        {"2001:db8::1", "v=spf1 a -all", SPF_PASS},
        {"2001:db8::2", "v=spf1 a//126 -all", SPF_PASS},
        {"2001:db8::2", "v=spf1 a/0 -all", SPF_FAIL},
        {"2001:db8::2", "v=spf1 a/0//0 -all", SPF_PASS},
        {"192.0.2.129", "v=spf1 a/24 -all", SPF_PASS},
        {"192.0.2.129", "v=spf1 a/25 -all", SPF_FAIL},
        {"10.0.0.1", "v=spf1 ip4:192.0.2.1/0 -all", SPF_PASS},
        {"2001:db8::2", "v=spf1 exists:b.example -all", SPF_PASS},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        begin(&w, cases[i].ip, "h.example", "a@b.example");
        add(&w, "b.example", DNS_TXT, cases[i].record);
        add(&w, "b.example", DNS_A, "192.0.2.1");
        add(&w, "b.example", DNS_AAAA, "2001:db8::1");
        expect(&w, cases[i].result);
        end(&w);
    }
}

/* RFC8616-4 */
static void test_international(void **state) {
    (void)state;
    static const struct {
        const char *from, *record;
        enum spf_result result;
    } cases[] = {
        {"a@b\xc3\xbc"
         "cher.example",
         "v=spf1 exists:%{d}.ok.example -all", SPF_PASS},
        {"a@B\xc3\x9c"
         "CHER.example",
         "v=spf1 exists:%{o}.ok.example -all", SPF_PASS},
        {"j\xc3\xb6rg@xn--bcher-kva.example", "v=spf1 exists:%{d}.ok.example -all", SPF_PASS},
        {"j\xc3\xb6rg@xn--bcher-kva.example", "v=spf1 exists:%{l}.ok.example ?all", SPF_NEUTRAL},
        {"j\xc3\xb6rg@xn--bcher-kva.example", "v=spf1 include:%{s}.ok.example ?all", SPF_NEUTRAL},
        {"a@\xff\xfe.example", "v=spf1 +all", SPF_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        begin(&w, "192.0.2.1", "h.example", cases[i].from);
        add(&w, "xn--bcher-kva.example", DNS_TXT, cases[i].record);
        add(&w, "xn--bcher-kva.example.ok.example", DNS_A, "127.0.0.1");
        expect(&w, cases[i].result);
        end(&w);
    }
}

/* RFC7208-2.3, RFC7208-2.4, RFC7208-4.3 */
static void test_identities(void **state) {
    (void)state;
    struct world w;
    begin(&w, "192.0.2.1", "helo.example", "");
    add(&w, "helo.example", DNS_TXT, "v=spf1 exists:%{l}.%{o}.ok.example -all");
    add(&w, "postmaster.helo.example.ok.example", DNS_A, "127.0.0.1");
    expect(&w, SPF_PASS);
    w.query.mail_from = VIEW("a@other.example");
    expect(&w, SPF_NONE);
    w.query.identity = SPF_HELO;
    struct spf_verdict v = check(&w);
    assert_int_equal(v.result, SPF_PASS);
    assert_true(view_eq(v.sender, VIEW("postmaster@helo.example")));
    assert_true(view_eq(v.mechanism, VIEW("exists:%{l}.%{o}.ok.example")));
    assert_true(view_eq(v.mechanism_domain, VIEW("helo.example")));
    w.query.helo = VIEW("[192.0.2.1]");
    expect(&w, SPF_NONE);
    w.query.helo = VIEW("");
    expect(&w, SPF_NONE);
    w.query.helo = VIEW("localhost");
    expect(&w, SPF_NONE);
    end(&w);
}

/* RFC7208-6.2: bounded and harmless. */
static void test_explanations(void **state) {
    (void)state;
    static const struct {
        const char *text, *from, *expected;
    } cases[] = {
        {"Ask %{o} about %{i}.", "a@b.example", "Ask b.example about 192.0.2.1."},
        {"line\r\nbreak", "a@b.example", ""},
        {"\xc3\xa4", "a@b.example", ""},
        {"%{l}", "j\xc3\xb6rg@b.example", ""},
        {"%{x}", "a@b.example", ""},
    };
    struct world w;
    struct spf_verdict v;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(&w, "192.0.2.1", "h.example", cases[i].from);
        add(&w, "b.example", DNS_TXT, "v=spf1 -all exp=why.%{d}");
        add(&w, "why.b.example", DNS_TXT, cases[i].text);
        v = check(&w);
        assert_int_equal(v.result, SPF_FAIL);
        if (!view_eq(v.explanation, view_cstr(cases[i].expected)))
            fail_msg("%.*s", VIEW_FMT(v.explanation));
        end(&w);
    }
    begin(&w, "192.0.2.1", "h.example", "a@b.example");
    add(&w, "b.example", DNS_TXT, "v=spf1 -all exp=why.%{d}");
    struct buf lengthy;
    buf_init(&lengthy, 4000);
    while (lengthy.n < 3000)
        buf_put_str(&lengthy, "words ");
    dns_table_add(&w.table, VIEW("why.b.example"), DNS_TXT, buf_view(&lengthy));
    v = check(&w);
    assert_int_equal(v.explanation.n, SPF_EXPLANATION_MAX);
    add(&w, "why.b.example", DNS_TXT, "a second one");
    assert_int_equal(check(&w).explanation.n, 0);
    buf_fini(&lengthy);
    end(&w);
}

/* The story is told in order, and DNSSEC is carried. */
static void test_steps(void **state) {
    (void)state;
    struct world w;
    begin(&w, "192.0.2.1", "h.example", "a@b.example");
    w.env.trace = true;
    w.table.security = DNS_SECURE;
    add(&w, "b.example", DNS_TXT, "v=spf1 include:c.example -all");
    add(&w, "c.example", DNS_TXT, "v=spf1 ip4:192.0.2.1");
    struct spf_verdict v = check(&w);
    assert_int_equal(v.result, SPF_PASS);
    assert_true(v.is_secure);
    static const struct {
        unsigned depth;
        const char *term;
    } steps[] = {{0, ""}, {0, "include:c.example"}, {1, ""}, {1, "ip4:192.0.2.1"}, {0, "include:c.example"}};
    assert_int_equal(v.steps_n, ARRAY_LEN(steps));
    for (size_t i = 0; i < v.steps_n; i++) {
        assert_int_equal(v.steps[i].depth, steps[i].depth);
        assert_true(view_eq(v.steps[i].term, view_cstr(steps[i].term)));
        assert_true(v.steps[i].text.n > 0);
    }
    w.table.security = DNS_INSECURE;
    assert_false(check(&w).is_secure);
    end(&w);
}

/* RFC7208-9.1 */
static void test_field(void **state) {
    (void)state;
    struct world w;
    struct buf out;
    begin(&w, "192.0.2.1", "mail.example.org", "me@example.org");
    add(&w, "example.org", DNS_TXT, "v=spf1 ip4:192.0.2.0/24 -all");
    struct spf_verdict v = check(&w);
    buf_init(&out, 4096);
    buf_put_received_spf(&out, &w.env, &w.query, &v);
    const char *expected = "Received-SPF: pass (mx.example.net: domain of me@example.org designates\r\n"
                           "\t192.0.2.1 as permitted sender) receiver=mx.example.net; identity=mailfrom;\r\n"
                           "\tclient-ip=192.0.2.1; envelope-from=\"me@example.org\"; helo=mail.example.org;\r\n"
                           "\tmechanism=\"ip4:192.0.2.0/24\";\r\n";
    if (!view_eq(buf_view(&out), view_cstr(expected)))
        fail_msg("%.*s", VIEW_FMT(buf_view(&out)));
    w.query.helo = VIEW("a\"b\\c)\r\nX: y");
    w.query.mail_from = VIEW("(\r\n\"x\"@example.org");
    v = check(&w);
    buf_clear(&out);
    buf_put_received_spf(&out, &w.env, &w.query, &v);
    assert_true(view_find(buf_view(&out), VIEW("\r\nX")) < 0);
    assert_true(view_find(buf_view(&out), VIEW("helo=\"a\\\"b\\\\c)??X: y\";")) > 0);
    assert_true(view_find(buf_view(&out), VIEW("domain of ???\"x\"@example.org")) > 0);
    buf_fini(&out);
    end(&w);
}

/* RFC8601-2.7.2 */
static void test_authres(void **state) {
    (void)state;
    struct world w;
    begin(&w, "192.0.2.1", "helo.example", "me@b.example");
    add(&w, "b.example", DNS_TXT, "v=spf1 -all");
    add(&w, "helo.example", DNS_TXT, "v=spf1 moo");
    struct authres a = {.authserv_id = VIEW("mx.example.net"), .version = 1};
    struct spf_verdict v = check(&w);
    assert_int_equal(spf_add_authres(&v, &a, w.arena), ERR_OK);
    w.query.identity = SPF_HELO;
    struct spf_verdict helo = check(&w);
    assert_int_equal(spf_add_authres(&helo, &a, w.arena), ERR_OK);
    struct buf out;
    buf_init(&out, 2000);
    buf_put_authres(&out, &a);
    const char *expected = "Authentication-Results: mx.example.net;\r\n"
                           "\tspf=fail smtp.mailfrom=me@b.example;\r\n"
                           "\tspf=permerror\r\n"
                           "\treason=\"in the record of helo.example, \\\"moo\\\" is no known mechanism.\"\r\n"
                           "\tsmtp.helo=helo.example\r\n";
    if (!view_eq(buf_view(&out), view_cstr(expected)))
        fail_msg("%.*s", VIEW_FMT(buf_view(&out)));
    buf_fini(&out);
    end(&w);
}

/* RFC7208-8.4, RFC7208-8.6, RFC7208-8.7, RFC7372-3.2 */
static void test_replies(void **state) {
    (void)state;
    static const struct {
        enum spf_result result;
        unsigned code;
        const char *status;
    } cases[] = {
        {SPF_FAIL, 550, "5.7.23"}, {SPF_PERMERROR, 550, "5.7.24"}, {SPF_TEMPERROR, 451, "4.7.24"}, {SPF_PASS, 0, NULL},
        {SPF_NONE, 0, NULL},       {SPF_NEUTRAL, 0, NULL},         {SPF_SOFTFAIL, 0, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spf_reply r = spf_reply(cases[i].result);
        assert_int_equal(r.code, cases[i].code);
        if (cases[i].status)
            assert_string_equal(r.status, cases[i].status);
        else
            assert_null(r.status);
    }
    struct spf_verdict v = {
        .result = SPF_FAIL, .identity = SPF_MAIL_FROM, .domain = VIEW("b\r\n.example"), .explanation = VIEW("Ask us.")};
    struct buf out;
    buf_init(&out, 1000);
    buf_put_spf_reply_text(&out, &v);
    assert_true(
        view_eq(buf_view(&out), VIEW("SPF MAIL FROM check: b??.example does not let this address send its mail; "
                                     "b??.example explains: Ask us.")));
    buf_fini(&out);
}

/* RFC7208-12: what is no record, and where it says so. */
static void test_records(void **state) {
    (void)state;
    static const struct {
        const char *text, *problem; /* NULL: fine */
    } cases[] = {
        {"v=spf1", NULL},
        {"V=SPF1  ", NULL},
        {"v=spf1 a/24 a//64 a/24//64 a:x.example/0//0 -ALL", NULL},
        {"v=spf1 moo=%{c} x.y-z_1=a=b:c/d", NULL},
        {"v=spf1 redirect=a.example exp=b.example", NULL},
        {"v=spf10", "\"v=spf10\" does not begin with v=spf1."},
        {"v=spf1 a/33", "\"a/33\" has a wrong prefix length."},
        {"v=spf1 a/024", "\"a/024\" has a wrong prefix length."},
        {"v=spf1 a//129", "\"a//129\" has a wrong prefix length."},
        {"v=spf1 a/", "\"a/\" has a wrong prefix length."},
        {"v=spf1 a:", "\"a:\" has no well-formed domain."},
        {"v=spf1 ip4:192.0.2.1:25", "\"ip4:192.0.2.1:25\" needs an IPv4 address."},
        {"v=spf1 ip4", "\"ip4\" needs an address after a colon."},
        {"v=spf1 ip6:[::1]", "\"ip6:[::1]\" needs an IPv6 address."},
        {"v=spf1 ip6:::1/129", "\"ip6:::1/129\" has a wrong prefix length."},
        {"v=spf1 include", "\"include\" needs a domain after a colon."},
        {"v=spf1 all:x.example", "\"all:x.example\" takes no argument."},
        {"v=spf1 al", "\"al\" is no known mechanism."},
        {"v=spf1 -", "\"-\" is no known mechanism."},
        {"v=spf1 \ta", "\"\\x09a\" is no known mechanism."},
        {"v=spf1 redirect=a.example redirect=b.example", "\"redirect=b.example\" is there twice."},
        {"v=spf1 exp=", "\"exp=\" has no well-formed domain."},
        {"v=spf1 moo=%", "\"moo=%\" has a wrong macro."},
        {"v=spf1 =x", "\"=x\" is no known mechanism."},
    };
    struct arena *arena = arena_new("spf.test", SPF_ARENA);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spf_record record;
        struct view problem = VIEW_NONE;
        enum err err = spf_record_parse(view_cstr(cases[i].text), arena, &record, &problem);
        if (cases[i].problem ? err != ERR_SYNTAX || !view_eq(problem, view_cstr(cases[i].problem)) : err != ERR_OK)
            fail_msg("%s: %s %.*s", cases[i].text, err_name(err), VIEW_FMT(problem));
    }
    struct buf text;
    struct spf_record record;
    struct view problem;
    buf_init(&text, 2 * SPF_RECORD_MAX);
    buf_put_str(&text, "v=spf1");
    for (unsigned i = 0; i < SPF_TERMS_MAX; i++)
        buf_put_str(&text, " a");
    assert_int_equal(spf_record_parse(buf_view(&text), arena, &record, &problem), ERR_OK);
    buf_put_str(&text, " a");
    assert_int_equal(spf_record_parse(buf_view(&text), arena, &record, &problem), ERR_SYNTAX);
    while (text.n <= SPF_RECORD_MAX)
        buf_put_byte(&text, ' ');
    assert_int_equal(spf_record_parse(buf_view(&text), arena, &record, &problem), ERR_SYNTAX);
    buf_fini(&text);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_time_and_absence),
        cmocka_unit_test(test_families),   cmocka_unit_test(test_international),
        cmocka_unit_test(test_identities), cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_steps),      cmocka_unit_test(test_field),
        cmocka_unit_test(test_replies),    cmocka_unit_test(test_records),
        cmocka_unit_test(test_authres),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
