/* Macros: the examples of the RFC, what is refused, and the edges of transformers. */
#include "spf/macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static enum err name(void *ctx, struct view *out) {
    (void)ctx;
    *out = VIEW("mx.example.org");
    return ERR_OK;
}

static struct spf_macro_facts facts(const char *ip) {
    struct spf_macro_facts f = {.sender = VIEW("strong-bad@email.example.com"),
                                .local = VIEW("strong-bad"),
                                .sender_domain = VIEW("email.example.com"),
                                .domain = VIEW("email.example.com"),
                                .helo = VIEW("mail.example.com"),
                                .now_s = 1700000000,
                                .validated_name = name};
    assert_int_equal(netaddr_parse(view_cstr(ip), 0, &f.ip), ERR_OK);
    return f;
}

/* RFC7208-7.4; hexadecimal digits in upper case, as the SPF project's suite has them. */
static void test_expansion(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected, *ip;
    } cases[] = {
        {"%{s}", "strong-bad@email.example.com", NULL},
        {"%{o}", "email.example.com", NULL},
        {"%{d}", "email.example.com", NULL},
        {"%{d4}", "email.example.com", NULL},
        {"%{d3}", "email.example.com", NULL},
        {"%{d2}", "example.com", NULL},
        {"%{d1}", "com", NULL},
        {"%{dr}", "com.example.email", NULL},
        {"%{d2r}", "example.email", NULL},
        {"%{l}", "strong-bad", NULL},
        {"%{l-}", "strong.bad", NULL},
        {"%{lr}", "strong-bad", NULL},
        {"%{lr-}", "bad.strong", NULL},
        {"%{l1r-}", "strong", NULL},
        {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com", NULL},
        {"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com", NULL},
        {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com", NULL},
        {"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com", NULL},
        {"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net", NULL},
        {"%{ir}.%{v}._spf.%{d2}",
         "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com", "2001:db8::cb01"},
        {"%{c}", "2001:db8::cb01", "2001:db8::cb01"},
        {"%{p} %{h} %{r} %{t}", "mx.example.org mail.example.com unknown 1700000000", NULL},
        {"%%%_%-", "% %20", NULL},
        {"%{S}%{L-}", "strong-bad%40email.example.comstrong.bad", NULL},
        {"%{s2r@.}", "email.strong-bad", NULL},
        {"%{d00002}", "example.com", NULL},
        {"%{d18446744073709551617}", "email.example.com", NULL},
        {"%{DR}", "com.example.email", NULL},
        {"%{l--}", "strong.bad", NULL},
        {"%{ha}", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spf_macro_facts f = facts(cases[i].ip ? cases[i].ip : "192.0.2.3");
        struct buf out;
        buf_init(&out, 1000);
        enum err err = spf_macro_expand(view_cstr(cases[i].text), &f, SPF_MACRO_EXPLANATION, &out);
        bool is_at = view_find_byte(view_cstr(cases[i].text), '@') >= 0; /* no delimiter of RFC7208-7.1 */
        if (!cases[i].expected || is_at)
            assert_int_equal(err, ERR_SYNTAX);
        else if (err != ERR_OK || !view_eq(buf_view(&out), view_cstr(cases[i].expected)))
            fail_msg("%s: %.*s", cases[i].text, VIEW_FMT(buf_view(&out)));
        buf_fini(&out);
    }
}

/* RFC7208-7.1 */
static void test_grammar(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool in_domain, in_explanation, is_domain;
    } cases[] = {
        {"example.com", true, true, true},
        {"example.com.", true, true, true},
        {"example.com..", true, true, false},
        {"example", true, true, false},
        {".com", true, true, true}, /* the grammar takes it; DNS does not */
        {"a.b-c", true, true, true},
        {"a.-c", true, true, false},
        {"a.c-", true, true, false},
        {"a.123", true, true, false},
        {"a.1a", true, true, true},
        {"a.b_c", true, true, false},
        {"a/b.com", true, true, true},
        {"%{d}", true, true, true},
        {"%{d}.com", true, true, true},
        {"%{d}com", true, true, false},
        {"%{d}.123", true, true, false},
        {"a.%{l}", true, true, true},
        {"a.%%", true, true, true},
        {"%{d0}", false, false, false},
        {"%{d1r1}", false, false, false},
        {"%{x}", false, false, false},
        {"%{c}.com", false, true, false},
        {"%{t}", false, true, false},
        {"%{}", false, false, false},
        {"%{d", false, false, false},
        {"%(d)", false, false, false},
        {"%", false, false, false},
        {"a b.com", false, true, false},
        {"a\tb.com", false, false, false},
        {"\xc3\xa4.com", false, false, false},
        {"", true, true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct view text = view_cstr(cases[i].text);
        if ((spf_macro_check(text, SPF_MACRO_DOMAIN) == ERR_OK) != cases[i].in_domain ||
            (spf_macro_check(text, SPF_MACRO_EXPLANATION) == ERR_OK) != cases[i].in_explanation ||
            (spf_macro_check_domain(text) == ERR_OK) != cases[i].is_domain)
            fail_msg("%s", cases[i].text);
    }
    assert_true(spf_macro_uses(VIEW("a.%{L1r-}.%{d}"), 'l'));
    assert_false(spf_macro_uses(VIEW("a.l.%%{l}.%{d}"), 'l'));
}

/* Nobody gets more room than was given. */
static void test_limit(void **state) {
    (void)state;
    struct spf_macro_facts f = facts("192.0.2.3");
    struct buf out;
    buf_init(&out, 50);
    assert_int_equal(spf_macro_expand(VIEW("%{s}%{s}"), &f, SPF_MACRO_DOMAIN, &out), ERR_LIMIT);
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_expansion), cmocka_unit_test(test_grammar),
                                       cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
