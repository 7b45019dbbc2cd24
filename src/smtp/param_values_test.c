/*
 * Values of MAIL's and RCPT's parameters: RFC3461-4 (xtext), RFC3461-4.2 and RFC6533-3
 * (original recipients), RFC4865-3 (times), RFC3865-2.2 (solicitation classes).
 */
#include "smtp/params.h"
#include "smtp/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_xtext(void **state) {
    (void)state;
    static const struct {
        struct view xtext, plain;
        enum err err;
    } cases[] = {
        {VIEW_INIT(""), VIEW_INIT(""), ERR_OK},
        {VIEW_INIT("abc"), VIEW_INIT("abc"), ERR_OK},
        {VIEW_INIT("a+2Bb+3Dc+20d"), VIEW_INIT("a+b=c d"), ERR_OK},
        {VIEW_INIT("+7E"), VIEW_INIT("~"), ERR_OK},
        {VIEW_INIT("+7F"), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("+0A"), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("+C3+A4"), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("+2b"), VIEW_INIT(""), ERR_SYNTAX}, /* hexchar is in upper case */
        {VIEW_INIT("+2"), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("+"), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("a b"), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("a=b"), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("\xc3\xa4"), VIEW_INIT(""), ERR_SYNTAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out, back;
        buf_init(&out, 100);
        buf_init(&back, 100);
        assert_int_equal(smtp_xtext_decode(cases[i].xtext, &out), cases[i].err);
        if (cases[i].err == ERR_OK) {
            assert_true(view_eq(buf_view(&out), cases[i].plain));
            smtp_put_xtext(&back, buf_view(&out));
            assert_int_equal(buf_err(&back), ERR_OK);
            buf_clear(&out);
            assert_int_equal(smtp_xtext_decode(buf_view(&back), &out), ERR_OK);
            assert_true(view_eq(buf_view(&out), cases[i].plain));
        }
        buf_fini(&out);
        buf_fini(&back);
    }
}

static void test_orcpt(void **state) {
    (void)state;
    static const struct {
        struct view orcpt, type, address;
        enum err err;
    } cases[] = {
        {VIEW_INIT("rfc822;a@b"), VIEW_INIT("rfc822"), VIEW_INIT("a@b"), ERR_OK},
        {VIEW_INIT("RFC822;a+2Bb@c"), VIEW_INIT("RFC822"), VIEW_INIT("a+b@c"), ERR_OK},
        {VIEW_INIT("x400;/C=US"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("rfc822"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("rfc822;"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT(";a@b"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("rf<c;a@b"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("rfc822;a\xc3\xa4@b"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        /* RFC6533-3: utf-8-addr-xtext, utf-8-addr-unitext, utf-8-address */
        {VIEW_INIT("utf-8;a@b"), VIEW_INIT("utf-8"), VIEW_INIT("a@b"), ERR_OK},
        {VIEW_INIT("UTF-8;\\x{E4}\\x{2B}@b"), VIEW_INIT("UTF-8"), VIEW_INIT("\xc3\xa4+@b"), ERR_OK},
        {VIEW_INIT("utf-8;\\x{10FFFF}@b"), VIEW_INIT("utf-8"), VIEW_INIT("\xf4\x8f\xbf\xbf@b"), ERR_OK},
        {VIEW_INIT("utf-8;\xc3\xa4\\x{20}@b"), VIEW_INIT("utf-8"), VIEW_INIT("\xc3\xa4 @b"), ERR_OK},
        {VIEW_INIT("utf-8;\xc3@b"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;a+2Bb"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;a=b"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;\\x{A}"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;\\x{0A}"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;\\x{D800}"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;\\x{110000}"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;\\x{0000041}"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;\\x{41"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;\\y"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
        {VIEW_INIT("utf-8;\xc2\x85"), VIEW_INIT(""), VIEW_INIT(""), ERR_SYNTAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf address;
        struct view type = VIEW_NONE;
        buf_init(&address, 100);
        assert_int_equal(smtp_orcpt_decode(cases[i].orcpt, &type, &address), cases[i].err);
        if (cases[i].err == ERR_OK) {
            assert_true(view_eq(type, cases[i].type));
            assert_true(view_eq(buf_view(&address), cases[i].address));
        }
        buf_fini(&address);
    }
    /* RFC3461-5.4 */
    struct buf text, address;
    struct view type;
    buf_init(&text, 1000);
    buf_init(&address, 1000);
    buf_put_str(&text, "rfc822;");
    while (text.n < SMTP_ORCPT_MAX)
        buf_put_byte(&text, 'x');
    assert_int_equal(smtp_orcpt_decode(buf_view(&text), &type, &address), ERR_OK);
    buf_put_byte(&text, 'x');
    assert_int_equal(smtp_orcpt_decode(buf_view(&text), &type, &address), ERR_LIMIT);
    buf_fini(&text);
    buf_fini(&address);
}

static void test_utc(void **state) {
    (void)state;
    static const struct {
        struct view text;
        int64_t unix_s;
        enum err err;
    } cases[] = {
        {VIEW_INIT("1970-01-01T00:00:00Z"), 0, ERR_OK},
        {VIEW_INIT("2026-12-24T18:00:00Z"), 1798135200, ERR_OK},
        {VIEW_INIT("2026-12-24t18:00:00.999z"), 1798135200, ERR_OK},
        {VIEW_INIT("2026-12-24T18:00:00"), 0, ERR_SYNTAX},
        {VIEW_INIT("2026-12-24T18:00:00+00:00"), 0, ERR_SYNTAX},
        {VIEW_INIT("2026-12-24T18:00:00.Z"), 0, ERR_SYNTAX},
        {VIEW_INIT("2026-12-24 18:00:00Z"), 0, ERR_SYNTAX},
        {VIEW_INIT("2026-02-30T18:00:00Z"), 0, ERR_SYNTAX},
        {VIEW_INIT("2026-12-24T25:00:00Z"), 0, ERR_SYNTAX},
        {VIEW_INIT("26-12-24T18:00:00Z"), 0, ERR_SYNTAX},
        {VIEW_INIT("2026-12-24T18:00:00Z "), 0, ERR_SYNTAX},
        {VIEW_INIT(""), 0, ERR_SYNTAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t unix_s = 0;
        assert_int_equal(smtp_utc_parse(cases[i].text, &unix_s), cases[i].err);
        assert_int_equal(unix_s, cases[i].unix_s);
    }
    struct buf out;
    buf_init(&out, 100);
    smtp_put_utc(&out, 1798135200);
    assert_true(view_eq(buf_view(&out), VIEW("2026-12-24T18:00:00Z")));
    buf_fini(&out);
}

static void test_solicitation(void **state) {
    (void)state;
    assert_true(smtp_solicitation_is_valid(VIEW("net.example:ADV,org.example:ADV:ADLT")));
    assert_true(smtp_solicitation_is_valid(VIEW("a")));
    assert_false(smtp_solicitation_is_valid(VIEW("")));
    assert_false(smtp_solicitation_is_valid(VIEW("a,")));
    assert_false(smtp_solicitation_is_valid(VIEW(",a")));
    assert_false(smtp_solicitation_is_valid(VIEW("a, b")));
    assert_false(smtp_solicitation_is_valid(VIEW("1a")));
    struct view which = VIEW_NONE;
    assert_true(smtp_solicitation_overlaps(VIEW("x,b"), VIEW("a,B,c"), &which));
    assert_true(view_eq(which, VIEW("b")));
    assert_false(smtp_solicitation_overlaps(VIEW("b"), VIEW("bb,ab"), &which));
    assert_false(smtp_solicitation_overlaps(VIEW_NONE, VIEW("a"), &which));
    assert_false(smtp_solicitation_overlaps(VIEW("a"), VIEW_NONE, &which));
    assert_false(smtp_solicitation_overlaps(VIEW_NONE, VIEW_NONE, &which));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xtext),
        cmocka_unit_test(test_orcpt),
        cmocka_unit_test(test_utc),
        cmocka_unit_test(test_solicitation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
