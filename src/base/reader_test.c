/* The bounded reader: every primitive at the end, past it, and after an error. */
#include "base/reader.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void octets_and_literals(void **state) {
    (void)state;
    struct reader r = reader_of(VIEW("a\0Bcd"));
    assert_int_equal(reader_peek(&r), 'a');
    assert_true(reader_accept(&r, 'a'));
    assert_false(reader_accept(&r, 'b'));
    assert_int_equal(reader_byte(&r), 0);
    assert_false(reader_accept_view(&r, VIEW("bc")));
    assert_true(reader_accept_nocase(&r, VIEW("bC")));
    assert_false(reader_accept_view(&r, VIEW("dd")));
    assert_true(reader_accept_view(&r, VIEW_NONE));
    assert_true(reader_expect(&r, 'd'));
    assert_true(reader_at_end(&r));
    assert_int_equal(reader_err(&r), ERR_OK);
    assert_int_equal(reader_peek(&r), -1);
    assert_int_equal(reader_err(&r), ERR_OK);
    assert_int_equal(reader_byte(&r), -1);
    assert_int_equal(reader_err(&r), ERR_SYNTAX);
}

static void runs(void **state) {
    (void)state;
    struct reader r = reader_of(VIEW(" \t12ab,cd"));
    assert_int_equal(reader_skip_blank(&r), 2);
    assert_int_equal(reader_skip_blank(&r), 0);
    assert_true(view_eq(reader_while(&r, ascii_is_digit), VIEW("12")));
    assert_int_equal(reader_while(&r, ascii_is_digit).n, 0);
    assert_true(view_eq(reader_until(&r, ','), VIEW("ab")));
    assert_int_equal(reader_until(&r, ',').n, 0);
    assert_true(reader_expect(&r, ','));
    assert_true(view_eq(reader_rest(&r), VIEW("cd")));
    assert_true(view_eq(reader_until(&r, ','), VIEW("cd")));
    assert_true(reader_at_end(&r));
    assert_int_equal(reader_until(&r, ',').n, 0);
    assert_int_equal(reader_take(&r, 0).n, 0);
    assert_int_equal(reader_err(&r), ERR_OK);
}

static void numbers(void **state) {
    (void)state;
    static const struct {
        struct view text;
        uint64_t max;
        enum err err;
        uint64_t value;
        size_t at;
    } cases[] = {
        {VIEW_INIT("12x"), 12, ERR_OK, 12, 2},
        {VIEW_INIT("13"), 12, ERR_LIMIT, 0, 0},
        {VIEW_INIT("0"), 0, ERR_OK, 0, 1},
        {VIEW_INIT(""), 9, ERR_SYNTAX, 0, 0},
        {VIEW_INIT("-1"), 9, ERR_SYNTAX, 0, 0},
        {VIEW_INIT("18446744073709551615"), UINT64_MAX, ERR_OK, UINT64_MAX, 20},
        {VIEW_INIT("18446744073709551616"), UINT64_MAX, ERR_LIMIT, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reader r = reader_of(cases[i].text);
        assert_int_equal(reader_u64(&r, cases[i].max), cases[i].value);
        assert_int_equal(reader_err(&r), cases[i].err);
        assert_int_equal(r.at, cases[i].at);
    }
}

static void fixed_width(void **state) {
    (void)state;
    struct view in = VIEW("\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
    struct reader r = reader_of(in);
    assert_int_equal(reader_be8(&r), 1);
    assert_int_equal(reader_be16(&r), 0x0203);
    assert_int_equal(reader_be32(&r), 0x04050607);
    assert_int_equal(reader_be64(&r), 0x08090a0b0c0d0e0f);
    assert_int_equal(reader_err(&r), ERR_OK);
    for (size_t n = 0; n < 8; n++) {
        r = reader_of(view_sub(in, 0, n));
        assert_int_equal(reader_be64(&r), 0);
        assert_int_equal(reader_err(&r), ERR_SYNTAX);
        assert_int_equal(r.at, 0);
    }
    r = reader_of(in);
    assert_int_equal(reader_take(&r, SIZE_MAX).n, 0);
    assert_int_equal(reader_err(&r), ERR_SYNTAX);
}

static void nothing_moves_after_an_error(void **state) {
    (void)state;
    struct reader r = reader_of(VIEW("1 aaaaaaaaaaaaaaaa"));
    assert_false(reader_fail(&r, ERR_LIMIT));
    assert_false(reader_fail(&r, ERR_SYNTAX));
    assert_int_equal(reader_peek(&r), -1);
    assert_int_equal(reader_byte(&r), -1);
    assert_false(reader_accept(&r, '1'));
    assert_false(reader_accept_view(&r, VIEW("1")));
    assert_false(reader_accept_view(&r, VIEW_NONE));
    assert_false(reader_accept_nocase(&r, VIEW("1")));
    assert_false(reader_expect(&r, '1'));
    assert_int_equal(reader_take(&r, 1).n, 0);
    assert_int_equal(reader_while(&r, ascii_is_digit).n, 0);
    assert_int_equal(reader_until(&r, ' ').n, 0);
    assert_int_equal(reader_u64(&r, 9), 0);
    assert_int_equal(reader_be8(&r), 0);
    assert_int_equal(reader_be64(&r), 0);
    assert_int_equal(reader_skip_blank(&r), 0);
    assert_int_equal(r.at, 0);
    assert_int_equal(reader_err(&r), ERR_LIMIT); /* the first one */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(octets_and_literals),
        cmocka_unit_test(runs),
        cmocka_unit_test(numbers),
        cmocka_unit_test(fixed_width),
        cmocka_unit_test(nothing_moves_after_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
