/* MTA-STS: records, policies, patterns, and what is remembered. */
#include "mtasts/mtasts.h"

#include "dns/table_testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY_US (86400 * US_PER_S)

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new("test", 4 << 20);
    return arena ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

/* RFC8461-3.1 */
static void records(void **state) {
    (void)state;
    static const struct {
        const char *text, *id; /* id NULL: syntax */
        bool is_one;
    } table[] = {
        {"v=STSv1; id=20160831085700Z;", "20160831085700Z", true}, /* the RFC's example */
        {"v=STSv1;id=1", "1", true},
        {"v=STSv1 \t; \t id=1 \t; ", "1", true},
        {"v=STSv1; a=b; id=1; c_.-=x:y", "1", true},
        {"v=STSv1; id=1; id=2", "1", true}, /* RFC8461-3.2: the first counts */
        {"v=STSv1; id=1; id=!", "1", true},
        {"v=STSv1; id=12345678901234567890123456789012", "12345678901234567890123456789012", true},
        {"v=STSv1; id=123456789012345678901234567890123", NULL, true},
        {"v=STSv1; id=!; id=2", NULL, true},
        {"v=STSv1;", NULL, true},
        {"v=STSv1; id=", NULL, true},
        {"v=STSv1; id = 1", NULL, true},
        {"v=STSv1; ID=1", NULL, true}, /* %s"id=" */
        {"v=STSv1; id=a-b", NULL, true},
        {"v=STSv1; id=1 2", NULL, true},
        {"v=STSv1; id=1;;", NULL, true},
        {"v=STSv1; =x; id=1", NULL, true},
        {"v=STSv1; .a=x; id=1", NULL, true},
        {"v=STSv1; a=; id=1", NULL, true},
        {"v=STSv1; a; id=1", NULL, true},
        {"v=STSv1; a=x=y; id=1", NULL, true},
        {"v=STSv1; a2345678901234567890123456789012=x; id=1", "1", true},
        {"v=STSv1; a23456789012345678901234567890123=x; id=1", NULL, true},
        {"v=STSv1; a=\xc3\xa4; id=1", NULL, true}, /* US-ASCII */
        {"v=STSv1", NULL, false},
        {"v=STSv10; id=1", NULL, false},
        {"v=stsv1; id=1", NULL, false},
        {" v=STSv1; id=1", NULL, false},
        {"id=1; v=STSv1;", NULL, false},
        {"v=TLSRPTv1; rua=mailto:a@b", NULL, false},
        {"", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct view id = VIEW_NONE;
        print_message("%s\n", table[i].text);
        assert_int_equal(mtasts_record_is_one(view_cstr(table[i].text)), table[i].is_one);
        assert_int_equal(mtasts_record_parse(view_cstr(table[i].text), &id), table[i].id ? ERR_OK : ERR_SYNTAX);
        assert_true(view_eq(id, view_cstr(table[i].id)));
    }
}

static void discovery(void **state) {
    (void)state;
    struct dns_table table;
    static const struct {
        const char *texts[3];
        enum mtasts_found found;
        uint32_t candidates;
    } cases[] = {
        {{"v=STSv1; id=1;"}, MTASTS_RECORD, 1},
        {{"something else", "v=STSv1; id=1;", "v=STSv2; id=1;"}, MTASTS_RECORD, 1},
        {{"v=STSv1; id=1;", "v=STSv1; id=1;"}, MTASTS_INVALID, 2}, /* RFC8461-3.1: not one */
        {{"v=STSv1; id=;"}, MTASTS_INVALID, 1},
        {{"something else"}, MTASTS_NOTHING, 0},
        {{NULL}, MTASTS_NOTHING, 0},
    };
    struct mtasts_discovery found;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        dns_table_init(&table);
        for (size_t k = 0; k < 3 && cases[i].texts[k]; k++)
            dns_table_add(&table, VIEW("_mta-sts.example.com"), DNS_TXT, view_cstr(cases[i].texts[k]));
        assert_int_equal(mtasts_discover(&table.client, VIEW("example.com"), arena, &found), ERR_OK);
        assert_int_equal(found.found, cases[i].found);
        assert_int_equal(found.candidates, cases[i].candidates);
        assert_true(view_eq(found.id, found.found == MTASTS_RECORD ? VIEW("1") : VIEW_NONE));
        /* RFC8461-3.4: never the parent's */
        assert_int_equal(mtasts_discover(&table.client, VIEW("mail.example.com"), arena, &found), ERR_OK);
        assert_int_equal(found.found, MTASTS_NOTHING);
        dns_table_fini(&table);
    }
    dns_table_init(&table);
    dns_table_add(&table, VIEW("_mta-sts.dead.example"), DNS_TABLE_TIMEOUT, VIEW_NONE);
    assert_int_equal(mtasts_discover(&table.client, VIEW("dead.example"), arena, &found), ERR_OK);
    assert_int_equal(found.found, MTASTS_NO_ANSWER);
    assert_int_equal(mtasts_discover(&table.client, VIEW("no name"), arena, &found), ERR_OK);
    assert_int_equal(found.found, MTASTS_NOTHING);
    table.fail = ERR_AGAIN;
    assert_int_equal(mtasts_discover(&table.client, VIEW("example.com"), arena, &found), ERR_AGAIN);
    dns_table_fini(&table);
}

/* RFC8461-3.2 */
static void policies(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        enum mtasts_mode mode;
        size_t mx_n;
        uint32_t max_age_s;
    } table[] = {
        {"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: "
         "backupmx.example.com\r\nmax_age: 604800\r\n",
         ERR_OK, MTASTS_ENFORCE, 3, 604800},
        {"version: STSv1\nmode: testing\nmx: a.example\nmax_age: 1", ERR_OK, MTASTS_TESTING, 1, 1},
        {"max_age:1\nmx:a.example\nmode:none\nversion:STSv1", ERR_OK, MTASTS_NONE, 1, 1},
        {"version: STSv1\nmode: none\nmax_age: 0\n", ERR_OK, MTASTS_NONE, 0, 0},
        {"version: STSv1 \nmode: \t none\t\nmax_age: 5 \n\n", ERR_OK, MTASTS_NONE, 0, 5},
        {"version: STSv1\nmode: none\nmax_age: 31557600\n", ERR_OK, MTASTS_NONE, 0, MTASTS_MAX_AGE_MAX},
        {"version: STSv1\nmode: none\nmax_age: 9999999999\n", ERR_OK, MTASTS_NONE, 0, MTASTS_MAX_AGE_MAX},
        {"version: STSv1\nmode: none\nmode: enforce\nmax_age: 5\nmax_age: x\nversion: 2\n", ERR_OK, MTASTS_NONE, 0, 5},
        {"version: STSv1\nmode: none\nmax_age: 5\nnew.thing_-1: a \xc3\xa4 b\n", ERR_OK, MTASTS_NONE, 0, 5},
        {"version: STSv1\nmode: enforce\nmx: A.Example\nmx: _x.example\nmax_age: 5\n", ERR_OK, MTASTS_ENFORCE, 2, 5},
        {"", ERR_SYNTAX, 0, 0, 0},
        {"<html>\n", ERR_SYNTAX, 0, 0, 0},
        {"mode: none\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv2\nmode: none\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: stsv1\nmode: none\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"Version: STSv1\nmode: none\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: report\nmx: a.example\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: none\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: none\nmax_age: -1\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: none\nmax_age: 1d\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: none\nmax_age: 00000000001\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0}, /* no mx */
        {"version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: *\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: .example\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: a.example, b.example\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx: b\xc3\xbc.example\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: enforce\nmx:\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: none\nmax_age: 5\nno colon\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\nmode: none\nmax_age: 5\nx: \xff\n", ERR_SYNTAX, 0, 0, 0},
        {"version: STSv1\rmode: none\rmax_age: 5\r", ERR_SYNTAX, 0, 0, 0},
        {" version: STSv1\nmode: none\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
        {"version : STSv1\nmode: none\nmax_age: 5\n", ERR_SYNTAX, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct mtasts_policy policy = {0};
        const char *why = NULL;
        print_message("%s\n", table[i].text);
        assert_int_equal(mtasts_policy_parse(arena, view_cstr(table[i].text), &policy, &why), table[i].err);
        assert_true((why != NULL) == (table[i].err != ERR_OK));
        assert_int_equal(policy.mode, table[i].mode);
        assert_int_equal(policy.mx_n, table[i].mx_n);
        assert_int_equal(policy.max_age_s, table[i].max_age_s);
    }
}

static void limits(void **state) {
    (void)state;
    struct buf text;
    struct mtasts_policy policy;
    const char *why;
    buf_init(&text, 10 * MTASTS_POLICY_MAX);
    buf_put_str(&text, "version: STSv1\nmode: enforce\nmax_age: 5\n");
    for (size_t i = 0; i < MTASTS_MX_MAX; i++)
        buf_printf(&text, "mx: mx%zu.example\n", i);
    assert_int_equal(mtasts_policy_parse(arena, buf_view(&text), &policy, &why), ERR_OK);
    assert_int_equal(policy.mx_n, MTASTS_MX_MAX);
    assert_true(mtasts_policy_has(&policy, VIEW("mx0.example")));
    assert_true(mtasts_policy_has(&policy, VIEW("mx999.example")));
    buf_put_str(&text, "mx: more.example\n");
    assert_int_equal(mtasts_policy_parse(arena, buf_view(&text), &policy, &why), ERR_SYNTAX);
    buf_clear(&text);
    buf_put_str(&text, "version: STSv1\nmode: none\nmax_age: 5\nx: ");
    while (text.n < MTASTS_POLICY_MAX)
        buf_put_byte(&text, 'x');
    assert_int_equal(mtasts_policy_parse(arena, buf_view(&text), &policy, &why), ERR_OK);
    buf_put_byte(&text, 'x');
    assert_int_equal(mtasts_policy_parse(arena, buf_view(&text), &policy, &why), ERR_LIMIT);
    buf_fini(&text);
}

/* RFC8461-4.1 */
static void patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *host;
        bool matches;
    } table[] = {
        {"mail.example.com", "mail.example.com", true},
        {"mail.example.com", "MAIL.example.COM", true},
        {"mail.example.com", "mail.example.com.", true},
        {"mail.example.com", "xmail.example.com", false},
        {"mail.example.com", "a.mail.example.com", false},
        {"*.example.com", "mail.example.com", true}, /* the RFC's three examples */
        {"*.example.com", "example.com", false},
        {"*.example.com", "foo.bar.example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.example.com", "mailexample.com", false},
        {"*.com", "example.com", true},
        {"*.com", "com", false},
        {"mail.example.com", "", false},
        {"*.example.com", "", false},
        {"*.example.com", "*.example.com", true}, /* a literal host: DNS has none */
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct view mx = view_cstr(table[i].pattern), host = view_cstr(table[i].host);
        struct mtasts_policy policy = {.mode = MTASTS_ENFORCE, .mx = &mx, .mx_n = 1};
        print_message("%s %s\n", table[i].pattern, table[i].host);
        assert_int_equal(mtasts_policy_has(&policy, host), table[i].matches);
        /* RFC8461-5 */
        assert_int_equal(mtasts_action(&policy, host), table[i].matches ? MTASTS_VERIFY : MTASTS_NOT_LISTED);
        policy.mode = MTASTS_TESTING;
        assert_int_equal(mtasts_action(&policy, host), table[i].matches ? MTASTS_TEST : MTASTS_TEST_NOT_LISTED);
        policy.mode = MTASTS_NONE;
        assert_int_equal(mtasts_action(&policy, host), MTASTS_NO_MATTER);
    }
    assert_int_equal(mtasts_action(NULL, VIEW("a.example")), MTASTS_NO_MATTER);
}

static void media_types(void **state) {
    (void)state;
    assert_true(mtasts_media_type_is_right(VIEW("text/plain")));
    assert_true(mtasts_media_type_is_right(VIEW("Text/Plain ; charset=utf-8; x=y")));
    assert_false(mtasts_media_type_is_right(VIEW("text/html")));
    assert_false(mtasts_media_type_is_right(VIEW("text/plainly")));
    assert_false(mtasts_media_type_is_right(VIEW("")));
}

/* RFC8461-3.3 and 5.1: hour by hour */
static void plans(void **state) {
    (void)state;
    enum { CACHED = 1, FETCH = 2, WARN = 4 };
    static const int64_t now_us = INT64_C(1790000000) * US_PER_S, week_s = 7 * 86400;
    static const struct {
        const char *what;
        bool has_policy;
        const char *id;
        int64_t age_s, tried_ago_s; /* tried_ago_s 0: never */
        const char *tried_id;
        enum mtasts_found found;
        const char *found_id;
        unsigned plan;
    } table[] = {
        {"nothing known, nothing there", false, "", 0, 0, "", MTASTS_NOTHING, "", 0},
        {"nothing known, no answer", false, "", 0, 0, "", MTASTS_NO_ANSWER, "", 0},
        {"nothing known, a record", false, "", 0, 0, "", MTASTS_RECORD, "1", FETCH},
        {"just failed", false, "", 0, 60, "1", MTASTS_RECORD, "1", 0},
        {"failed five minutes ago", false, "", 0, 300, "1", MTASTS_RECORD, "1", FETCH},
        {"just failed for another id", false, "", 0, 60, "1", MTASTS_RECORD, "2", FETCH},
        {"known and fresh", true, "1", 3600, 0, "", MTASTS_RECORD, "1", CACHED},
        {"known and changed", true, "1", 3600, 0, "", MTASTS_RECORD, "2", CACHED | FETCH},
        {"known, changed, just failed", true, "1", 3600, 60, "2", MTASTS_RECORD, "2", CACHED},
        {"a day old", true, "1", 86400, 0, "", MTASTS_RECORD, "1", CACHED | FETCH},
        {"a day old, just failed", true, "1", 86400, 60, "1", MTASTS_RECORD, "1", CACHED | WARN},
        {"a day old, failed before", true, "1", 86400, 600, "1", MTASTS_RECORD, "1", CACHED | FETCH | WARN},
        {"the record has gone", true, "1", 3600, 0, "", MTASTS_NOTHING, "", CACHED},
        {"the record has gone for long", true, "1", 2 * 86400, 0, "", MTASTS_NOTHING, "", CACHED | WARN},
        {"no answer: somebody is in the way", true, "1", 2 * 86400, 0, "", MTASTS_NO_ANSWER, "", CACHED | WARN},
        {"two records", true, "1", 3600, 0, "", MTASTS_INVALID, "", CACHED},
        {"on its last second", true, "1", week_s, 0, "", MTASTS_RECORD, "1", CACHED | FETCH},
        {"expired", true, "1", week_s + 1, 0, "", MTASTS_RECORD, "1", FETCH},
        {"expired, no record", true, "1", week_s + 1, 0, "", MTASTS_NOTHING, "", 0},
        {"from the future", true, "1", -5000, 0, "", MTASTS_RECORD, "1", CACHED},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct mtasts_cached cached = {
            .has_policy = table[i].has_policy,
            .id = view_cstr(table[i].id),
            .fetched_us = table[i].has_policy ? now_us - table[i].age_s * US_PER_S : 0,
            .max_age_s = (uint32_t)week_s,
            .mode = MTASTS_ENFORCE,
            .tried_us = table[i].tried_ago_s ? now_us - table[i].tried_ago_s * US_PER_S : 0,
            .tried_id = view_cstr(table[i].tried_id),
        };
        struct mtasts_discovery found = {.found = table[i].found, .id = view_cstr(table[i].found_id)};
        print_message("%s\n", table[i].what);
        struct mtasts_plan plan = mtasts_plan(&cached, &found, now_us);
        assert_int_equal(plan.use_cached, !!(table[i].plan & CACHED));
        assert_int_equal(plan.fetch, !!(table[i].plan & FETCH));
        assert_int_equal(plan.warn, !!(table[i].plan & WARN));
        cached.mode = MTASTS_NONE; /* RFC8461-3.3: no alarm for what asks for nothing */
        assert_false(mtasts_plan(&cached, &found, now_us).warn);
    }
    /* a policy of an hour is refreshed after half of it */
    struct mtasts_cached hour = {.has_policy = true, .id = VIEW("1"), .fetched_us = now_us, .max_age_s = 3600};
    struct mtasts_discovery same = {.found = MTASTS_RECORD, .id = VIEW("1")};
    assert_false(mtasts_plan(&hour, &same, now_us + 1799 * US_PER_S).fetch);
    assert_true(mtasts_plan(&hour, &same, now_us + 1800 * US_PER_S).fetch);
    assert_int_equal(mtasts_expires_us(&hour), now_us + 3600 * US_PER_S);
}

static void written(void **state) {
    (void)state;
    const struct view mx[] = {VIEW("mx.example.com"), VIEW("*.example.net")};
    struct mtasts_policy policy = {.mode = MTASTS_ENFORCE, .max_age_s = 604800, .mx = mx, .mx_n = 2}, again;
    struct buf text, id;
    const char *why;
    buf_init(&text, 1000);
    buf_init(&id, 100);
    buf_put_mtasts_policy(&text, &policy);
    assert_true(view_eq(buf_view(&text), VIEW("version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmx: "
                                              "*.example.net\r\nmax_age: 604800\r\n")));
    assert_int_equal(mtasts_policy_parse(arena, buf_view(&text), &again, &why), ERR_OK);
    assert_true(again.mode == policy.mode && again.max_age_s == policy.max_age_s && again.mx_n == 2);
    assert_true(view_eq(again.mx[0], mx[0]) && view_eq(again.mx[1], mx[1]));
    /* RFC8460-4.5 */
    struct view lines[4];
    assert_int_equal(mtasts_policy_lines(buf_view(&text), lines, 4), 4);
    assert_true(view_eq(lines[3], VIEW("mx: *.example.net")));
    buf_put_mtasts_id(&id, &policy);
    assert_true(id.n > 0 && id.n <= MTASTS_ID_MAX);
    buf_clear(&text);
    buf_put_mtasts_record(&text, buf_view(&id));
    struct view read;
    assert_int_equal(mtasts_record_parse(buf_view(&text), &read), ERR_OK);
    assert_true(view_eq(read, buf_view(&id)));
    buf_clear(&text);
    buf_put_mtasts_id(&text, &policy);
    assert_true(view_eq(buf_view(&text), buf_view(&id)));
    policy.max_age_s++;
    buf_clear(&text);
    buf_put_mtasts_id(&text, &policy);
    assert_false(view_eq(buf_view(&text), buf_view(&id)));
    buf_clear(&text);
    buf_put_mtasts_url(&text, VIEW("example.com"));
    assert_true(view_eq(buf_view(&text), VIEW("https://mta-sts.example.com/.well-known/mta-sts.txt")));
    buf_fini(&text);
    buf_fini(&id);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records), cmocka_unit_test(discovery), cmocka_unit_test(policies),
        cmocka_unit_test(limits),  cmocka_unit_test(patterns),  cmocka_unit_test(media_types),
        cmocka_unit_test(plans),   cmocka_unit_test(written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
