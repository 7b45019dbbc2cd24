/* Authentication-Results: written, read back, and whose field it is. */
#include "authres/authres.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define BUDGET (1u << 20)

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new("authres.test", BUDGET);
    return arena ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static void show(const struct authres *a, struct buf *out) {
    buf_printf(out, "%.*s/%u", VIEW_FMT(a->authserv_id), a->version);
    for (size_t i = 0; i < a->results_n; i++) {
        const struct authres_result *r = &a->results[i];
        buf_printf(out, "|%.*s/%u=%.*s", VIEW_FMT(r->method), r->version, VIEW_FMT(r->result));
        if (r->reason.n)
            buf_printf(out, " reason<%.*s>", VIEW_FMT(r->reason));
        for (size_t k = 0; k < r->properties_n; k++)
            buf_printf(out, " %.*s.%.*s<%.*s>", VIEW_FMT(r->properties[k].type), VIEW_FMT(r->properties[k].name),
                       VIEW_FMT(r->properties[k].value));
    }
}

/* RFC8601-2.2, the examples of its appendix B, and what is seen in the wild. */
static const struct {
    const char *body, *expected; /* NULL: no field */
} reading[] = {
    {" example.org 1; none", "example.org/1"},
    {" example.org; none ", "example.org/1"},
    {" example.org", "example.org/1"},
    {" example.com;\r\n\tspf=pass smtp.mailfrom=example.net", "example.com/1|spf/1=pass smtp.mailfrom<example.net>"},
    {" example.com; auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass smtp.mailfrom=example.net",
     "example.com/1|auth/1=pass smtp.auth<sender@example.net>|spf/1=pass smtp.mailfrom<example.net>"},
    {" example.com; dkim=pass reason=\"good signature\" header.i=@mail-router.example.net; dkim=fail reason=\"bad "
     "signature\" header.i=@newyork.example.com",
     "example.com/1|dkim/1=pass reason<good signature> header.i<@mail-router.example.net>|dkim/1=fail reason<bad "
     "signature> header.i<@newyork.example.com>"},
    /* RFC8601-B.7, comments everywhere */
    {" foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy "
     "(A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462",
     "foo.example.net/1|dkim/1=fail policy.expired<1362471462>"},
    {" a.example; DKIM/2=Pass header.B=\"a/b+c=\"", "a.example/1|dkim/2=pass header.b<a/b+c=>"},
    {" a.example; dkim=pass header.b=a/b+c=;", "a.example/1|dkim/1=pass header.b<a/b+c=>"},
    {" \"a.example\"; x=y", "a.example/1|x/1=y"},
    {" a.example; spf=none smtp.mailfrom=\"a b\"@example.org smtp.helo=x",
     "a.example/1|spf/1=none smtp.mailfrom<a b@example.org> smtp.helo<x>"},
    {" a.example; spf=none smtp.mailfrom=; iprev=pass policy.iprev=2001:db8::1",
     "a.example/1|spf/1=none smtp.mailfrom<>|iprev/1=pass policy.iprev<2001:db8::1>"},
    {" b\xc3\xbc"
     "cher.example; spf=pass smtp.mailfrom=j\xc3\xb6rg@b\xc3\xbc"
     "cher.example", /* RFC8616-3 */
     "b\xc3\xbc"
     "cher.example/1|spf/1=pass smtp.mailfrom<j\xc3\xb6rg@b\xc3\xbc"
     "cher.example>"},
    {" a.example; a=b (unfinished", NULL},
    {" a.example; a=b c", NULL},
    {" a.example; a=b c=d", NULL},
    {" a.example; a", NULL},
    {" a.example; a=", NULL},
    {" a.example; none; none", NULL},
    {" a.example; a=b none", NULL},
    {" a.example; a=b x.y=\"open", NULL},
    {" a.example, b.example; a=b", NULL},
    {" spf=pass smtp.mailfrom=x", NULL},
    {"", NULL},
    {" ;", NULL},
    {" \"\"; a=b", NULL},
};

static void test_reading(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(reading); i++) {
        struct authres a;
        enum err err = authres_parse(view_cstr(reading[i].body), arena, &a);
        if ((err == ERR_OK) != (reading[i].expected != NULL))
            fail_msg("%s: %s", reading[i].body, err_name(err));
        if (err != ERR_OK)
            continue;
        struct buf shown;
        buf_init(&shown, 4096);
        show(&a, &shown);
        if (!view_eq(buf_view(&shown), view_cstr(reading[i].expected)))
            fail_msg("%s\n is read as %.*s", reading[i].body, VIEW_FMT(buf_view(&shown)));
        buf_fini(&shown);
    }
}

static void test_limits(void **state) {
    (void)state;
    struct buf body;
    struct authres a;
    buf_init(&body, 2 * AUTHRES_FIELD_MAX);
    buf_put_str(&body, " a.example");
    for (unsigned i = 0; i < AUTHRES_RESULTS_MAX; i++)
        buf_put_str(&body, "; dkim=pass");
    assert_int_equal(authres_parse(buf_view(&body), arena, &a), ERR_OK);
    assert_int_equal(a.results_n, AUTHRES_RESULTS_MAX);
    buf_put_str(&body, "; dkim=pass");
    assert_int_equal(authres_parse(buf_view(&body), arena, &a), ERR_LIMIT);
    buf_clear(&body);
    buf_put_str(&body, " a.example; x=y");
    for (unsigned i = 0; i <= AUTHRES_PROPERTIES_MAX; i++)
        buf_put_str(&body, " a.b=c");
    assert_int_equal(authres_parse(buf_view(&body), arena, &a), ERR_LIMIT);
    buf_clear(&body);
    for (unsigned i = 0; i < 100; i++)
        buf_put_byte(&body, '(');
    assert_int_equal(authres_parse(buf_view(&body), arena, &a), ERR_LIMIT);
    buf_clear(&body);
    while (body.n <= AUTHRES_FIELD_MAX)
        buf_put_str(&body, "            ");
    assert_int_equal(authres_parse(buf_view(&body), arena, &a), ERR_LIMIT);
    buf_fini(&body);
}

static void expect_field(const struct authres *a, const char *expected) {
    struct buf out;
    buf_init(&out, 65536);
    buf_put_authres(&out, a);
    assert_int_equal(buf_err(&out), ERR_OK);
    if (!view_eq(buf_view(&out), view_cstr(expected)))
        fail_msg("%.*s is not\n%s", VIEW_FMT(buf_view(&out)), expected);
    buf_fini(&out);
}

static void test_writing(void **state) {
    (void)state;
    struct authres a = {.authserv_id = VIEW("mail.example.org"), .version = 1};
    expect_field(&a, "Authentication-Results: mail.example.org; none\r\n");
    assert_int_equal(authres_add(&a, arena, VIEW("spf"), VIEW("pass")), ERR_OK);
    a.results[0].comment = VIEW("192.0.2.1 is permitted (really)\r\nX: y");
    assert_int_equal(authres_add_property(&a, arena, VIEW("smtp"), VIEW("mailfrom"), VIEW("me@example.net")), ERR_OK);
    assert_int_equal(authres_add_property(&a, arena, VIEW("smtp"), VIEW("helo"), VIEW("[192.0.2.1]")), ERR_OK);
    assert_int_equal(authres_add(&a, arena, VIEW("dkim"), VIEW("fail")), ERR_OK);
    a.results[1].reason = VIEW("the body \"hash\" differs");
    assert_int_equal(authres_add_property(&a, arena, VIEW("header"), VIEW("b"), VIEW("ab/c+d=")), ERR_OK);
    assert_int_equal(authres_add_property(&a, arena, VIEW("header"), VIEW("i"), VIEW("@example.net")), ERR_OK);
    expect_field(&a, "Authentication-Results: mail.example.org;\r\n"
                     "\tspf=pass (192.0.2.1 is permitted ?really?X: y) smtp.mailfrom=me@example.net\r\n"
                     "\tsmtp.helo=\"[192.0.2.1]\";\r\n"
                     "\tdkim=fail reason=\"the body \\\"hash\\\" differs\" header.b=\"ab/c+d=\"\r\n"
                     "\theader.i=@example.net\r\n");
}

/* RFC8601-2.7.3 */
static void test_iprev(void **state) {
    (void)state;
    struct authres a = {.authserv_id = VIEW("a.example"), .version = 1};
    struct netaddr ip;
    struct iprev pass = {IPREV_PASS, VIEW("mail.example.org")}, none = {IPREV_PERMERROR, VIEW_NONE};
    assert_int_equal(netaddr_parse(VIEW("::ffff:192.0.2.1"), 0, &ip), ERR_OK);
    assert_int_equal(authres_add_iprev(&a, arena, &pass, &ip), ERR_OK);
    assert_int_equal(netaddr_parse(VIEW("2001:db8::1"), 0, &ip), ERR_OK);
    assert_int_equal(authres_add_iprev(&a, arena, &none, &ip), ERR_OK);
    expect_field(&a, "Authentication-Results: a.example;\r\n"
                     "\tiprev=pass (mail.example.org) policy.iprev=192.0.2.1;\r\n"
                     "\tiprev=permerror policy.iprev=\"2001:db8::1\"\r\n");
}

/* Whatever a stranger's text is, the field stays one field, and reads back as what was meant. */
static void test_any_value(void **state) {
    (void)state;
    struct random_seeded seeded;
    random_seeded_init(&seeded, 8601);
    for (unsigned turn = 0; turn < 3000; turn++) {
        uint8_t text[40];
        size_t n = (size_t)random_below(&seeded.random, sizeof(text));
        bool is_plain = turn % 2;
        for (size_t i = 0; i < n; i++)
            text[i] = (uint8_t)(is_plain ? ' ' + random_below(&seeded.random, 95) : random_below(&seeded.random, 256));
        struct view value = view_of(text, n);
        arena_clear(arena);
        struct authres a = {.authserv_id = VIEW("a.example"), .version = 1}, back;
        assert_int_equal(authres_add(&a, arena, VIEW("x-test"), VIEW("pass")), ERR_OK);
        a.results[0].comment = a.results[0].reason = value;
        assert_int_equal(authres_add_property(&a, arena, VIEW("smtp"), VIEW("mailfrom"), value), ERR_OK);
        struct buf out;
        buf_init(&out, 65536);
        buf_put_authres(&out, &a);
        struct view field = buf_view(&out);
        assert_true(view_ends(field, VIEW("\r\n")));
        for (size_t i = 0; i + 2 < field.n; i++) /* each line end inside is a fold */
            if (field.p[i] == '\r' || field.p[i] == '\n') {
                assert_true(field.p[i] == '\r' && field.p[i + 1] == '\n' && field.p[i + 2] == '\t');
                i++;
            }
        struct view head, body;
        assert_true(view_split(field, ':', &head, &body));
        assert_int_equal(authres_parse(body, arena, &back), ERR_OK);
        assert_int_equal(back.results_n, 1);
        assert_int_equal(back.results[0].properties_n, 1);
        if (is_plain) {
            assert_true(view_eq(back.results[0].properties[0].value, value));
            assert_true(view_eq(back.results[0].reason, value));
        }
        buf_fini(&out);
    }
}

static void test_finding(void **state) {
    (void)state;
    struct authres a;
    assert_int_equal(authres_parse(VIEW(" a.example; dkim=fail header.d=x; spf=pass smtp.helo=h"), arena, &a), ERR_OK);
    assert_true(view_eq(authres_property_value(authres_find(&a, VIEW("SPF")), VIEW("smtp"), VIEW("HELO")), VIEW("h")));
    assert_null(authres_find(&a, VIEW("dmarc")));
    assert_int_equal(authres_property_value(NULL, VIEW("a"), VIEW("b")).n, 0);
}

/* RFC8601-5 */
static void test_forged(void **state) {
    (void)state;
    static const struct view ids[] = {VIEW_INIT("mail.example.org"), VIEW_INIT("xn--bcher-kva.example")};
    static const struct {
        const char *name, *body;
        bool forged;
    } cases[] = {
        {"Authentication-Results", " mail.example.org; spf=pass smtp.mailfrom=x", true},
        {"authentication-RESULTS", "\r\n\t(hello) MAIL.example.ORG. (x) 1; none", true},
        {"Authentication-Results", " \"mail.example.org\";spf=pass", true},
        {"Authentication-Results", " \"mail.exam\\ple.org\";spf=pass", true},
        {"Authentication-Results", " mail.example.org; broken", true},
        {"Authentication-Results", " mail.example.org", true},
        {"Authentication-Results",
         " b\xc3\xbc"
         "cher.example; none",
         true}, /* RFC8616-3 */
        {"Authentication-Results", " XN--BCHER-KVA.example; none", true},
        {"Authentication-Results", " other.example.org; spf=pass", false},
        {"Authentication-Results", " example.org; spf=pass", false},
        {"Authentication-Results", " mail.example.org.evil.example; spf=pass", false},
        {"Authentication-Results", " spf=pass smtp.mailfrom=mail.example.org", true}, /* whose is it? */
        {"Authentication-Results", "", true},
        {"Authentication-Results", " (never closed mail.example.org; none", true},
        {"ARC-Authentication-Results", " i=1; mail.example.org; none", false},
        {"Received", " mail.example.org", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (authres_is_forged(view_cstr(cases[i].name), view_cstr(cases[i].body), ids, ARRAY_LEN(ids)) !=
            cases[i].forged)
            fail_msg("%s:%s", cases[i].name, cases[i].body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_writing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_iprev, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_finding, set_up, tear_down),
        cmocka_unit_test(test_forged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
