/* Views: comparing, searching, cutting, numbers. */
#include "base/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void equality_and_order(void **state) {
    (void)state;
    static const struct {
        struct view a, b;
        int cmp, cmp_nocase;
    } cases[] = {
        {VIEW_INIT(""), VIEW_INIT(""), 0, 0},           {{NULL, 0}, VIEW_INIT(""), 0, 0},
        {VIEW_INIT("a"), VIEW_INIT(""), 1, 1},          {VIEW_INIT("a"), VIEW_INIT("ab"), -1, -1},
        {VIEW_INIT("a\0b"), VIEW_INIT("a\0c"), -1, -1}, {VIEW_INIT("a\0b"), VIEW_INIT("a\0b"), 0, 0},
        {VIEW_INIT("ABC"), VIEW_INIT("abc"), -1, 0},    {VIEW_INIT("\xff"), VIEW_INIT("a"), 1, 1},
        {VIEW_INIT("["), VIEW_INIT("{"), -1, -1},       {VIEW_INIT("\xc4"), VIEW_INIT("\xe4"), -1, -1},
        {VIEW_INIT("B"), VIEW_INIT("a"), -1, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct view a = cases[i].a, b = cases[i].b;
        assert_int_equal(view_cmp(a, b), cases[i].cmp);
        assert_int_equal(view_cmp(b, a), -cases[i].cmp);
        assert_int_equal(view_cmp_nocase(a, b), cases[i].cmp_nocase);
        assert_int_equal(view_cmp_nocase(b, a), -cases[i].cmp_nocase);
        assert_int_equal(view_eq(a, b), cases[i].cmp == 0);
        assert_int_equal(view_eq_nocase(a, b), cases[i].cmp_nocase == 0);
    }
}

static void starts_and_ends(void **state) {
    (void)state;
    assert_true(view_starts(VIEW("abc"), VIEW("ab")));
    assert_true(view_starts(VIEW("abc"), VIEW_NONE));
    assert_false(view_starts(VIEW("ab"), VIEW("abc")));
    assert_false(view_starts(VIEW("Abc"), VIEW("ab")));
    assert_true(view_starts_nocase(VIEW("Abc"), VIEW("aB")));
    assert_true(view_ends(VIEW("abc"), VIEW("bc")));
    assert_true(view_ends(VIEW("abc"), VIEW("")));
    assert_true(view_ends(VIEW_NONE, VIEW("")));
    assert_false(view_ends(VIEW("c"), VIEW("bc")));
    assert_false(view_ends(VIEW("aBC"), VIEW("bc")));
    assert_true(view_ends_nocase(VIEW("aBC"), VIEW("bc")));
}

static void cutting_is_clamped(void **state) {
    (void)state;
    struct view v = VIEW("abcdef");
    assert_true(view_eq(view_sub(v, 2, 3), VIEW("cde")));
    assert_true(view_eq(view_sub(v, 4, 9), VIEW("ef")));
    assert_int_equal(view_sub(v, 7, 1).n, 0);
    assert_int_equal(view_sub(v, SIZE_MAX, SIZE_MAX).n, 0);
    assert_true(view_eq(view_sub(v, 0, SIZE_MAX), v));
    assert_true(view_eq(view_skip(v, 5), VIEW("f")));
    assert_int_equal(view_skip(v, SIZE_MAX).n, 0);
    assert_int_equal(view_skip(VIEW_NONE, 3).n, 0);
    assert_true(view_eq(view_cstr("x"), VIEW("x")));
    assert_int_equal(view_cstr(NULL).n, 0);
}

static void finding(void **state) {
    (void)state;
    struct view v = VIEW("a\0bA\0b");
    assert_int_equal(view_find_byte(v, 0), 1);
    assert_int_equal(view_rfind_byte(v, 0), 4);
    assert_int_equal(view_find_byte(v, 'z'), -1);
    assert_int_equal(view_find_byte(VIEW_NONE, 'a'), -1);
    assert_int_equal(view_rfind_byte(VIEW_NONE, 'a'), -1);
    assert_int_equal(view_find(v, VIEW("\0b")), 1);
    assert_int_equal(view_find(v, VIEW("A\0b")), 3);
    assert_int_equal(view_find(v, VIEW("bb")), -1);
    assert_int_equal(view_find(v, VIEW("")), 0);
    assert_int_equal(view_find(VIEW_NONE, VIEW("a")), -1);
    assert_int_equal(view_find(VIEW("ab"), VIEW("abc")), -1);
    assert_int_equal(view_find_nocase(VIEW("xxHello"), VIEW("hELLO")), 2);
    assert_int_equal(view_find_nocase(VIEW("xxHell"), VIEW("hELLO")), -1);
    assert_int_equal(view_find_nocase(VIEW("x"), VIEW("")), 0);
}

/* Every place near where the search is cut into pieces, and needles on both sides of the folding limit. */
static void finding_far_away(void **state) {
    (void)state;
    static uint8_t text[20000];
    static const size_t lengths[] = {1, 2, 7, 1023, 1024, 1025};
    static const size_t places[] = {0, 1, 7100, 8191, 8192, 8193, 16383, 16384};
    for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
        for (size_t k = 0; k < ARRAY_LEN(places); k++) {
            for (size_t i = 0; i < 3; i++) {
                size_t at = places[k] + i, n = lengths[l];
                memset(text, 'a', sizeof(text));
                text[at + n - 1] = 'B';
                uint8_t needle[1025];
                memset(needle, 'A', n);
                needle[n - 1] = 'b';
                assert_int_equal(view_find_nocase(view_of(text, sizeof(text)), view_of(needle, n)), at);
                needle[n - 1] = 'c';
                assert_int_equal(view_find_nocase(view_of(text, sizeof(text)), view_of(needle, n)), -1);
                assert_int_equal(view_find_nocase(view_of(text, at + n - 1), view_of(text + at, n)), -1);
            }
        }
    }
}

static void trimming_and_splitting(void **state) {
    (void)state;
    struct view head, tail;
    assert_true(view_eq(view_trim(VIEW(" \t\r\na b\0 \r\n")), VIEW("a b\0")));
    assert_int_equal(view_trim(VIEW(" \t")).n, 0);
    assert_int_equal(view_trim(VIEW_NONE).n, 0);
    assert_true(view_split(VIEW("key=a=b"), '=', &head, &tail));
    assert_true(view_eq(head, VIEW("key")) && view_eq(tail, VIEW("a=b")));
    assert_true(view_split(VIEW("="), '=', &head, &tail));
    assert_true(head.n == 0 && tail.n == 0);
    assert_false(view_split(VIEW("key"), '=', &head, &tail));
    assert_true(view_eq(head, VIEW("key")) && tail.n == 0);
}

static void numbers(void **state) {
    (void)state;
    static const struct {
        struct view text;
        uint64_t max;
        enum err err;
        uint64_t value;
    } cases[] = {
        {VIEW_INIT("0"), 0, ERR_OK, 0},
        {VIEW_INIT("007"), 9, ERR_OK, 7},
        {VIEW_INIT("10"), 9, ERR_LIMIT, 0},
        {VIEW_INIT("18446744073709551615"), UINT64_MAX, ERR_OK, UINT64_MAX},
        {VIEW_INIT("18446744073709551616"), UINT64_MAX, ERR_LIMIT, 0},
        {VIEW_INIT("99999999999999999999999"), UINT64_MAX, ERR_LIMIT, 0},
        {VIEW_INIT("99999999999999999999999x"), UINT64_MAX, ERR_SYNTAX, 0},
        {VIEW_INIT(""), 9, ERR_SYNTAX, 0},
        {VIEW_INIT("-1"), 9, ERR_SYNTAX, 0},
        {VIEW_INIT("+1"), 9, ERR_SYNTAX, 0},
        {VIEW_INIT(" 1"), 9, ERR_SYNTAX, 0},
        {VIEW_INIT("1\0"), 9, ERR_SYNTAX, 0},
        {VIEW_INIT("1a"), 99, ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value = 42;
        assert_int_equal(view_to_u64(cases[i].text, cases[i].max, &value), cases[i].err);
        assert_int_equal(value, cases[i].err == ERR_OK ? cases[i].value : 42);
    }
    uint32_t small = 42;
    assert_int_equal(view_to_u32(VIEW("4294967295"), UINT32_MAX, &small), ERR_OK);
    assert_int_equal(small, UINT32_MAX);
    assert_int_equal(view_to_u32(VIEW("4294967296"), UINT32_MAX, &small), ERR_LIMIT);
}

static void classes_are_ascii_only(void **state) {
    (void)state;
    unsigned digits = 0, letters = 0, both = 0;
    for (unsigned c = 0; c < 256; c++) {
        digits += ascii_is_digit((uint8_t)c);
        letters += ascii_is_alpha((uint8_t)c);
        both += ascii_is_alnum((uint8_t)c);
        if (!ascii_is_alpha((uint8_t)c)) {
            assert_int_equal(ascii_lower((uint8_t)c), c);
            assert_int_equal(ascii_upper((uint8_t)c), c);
        }
    }
    assert_int_equal(digits, 10);
    assert_int_equal(letters, 52);
    assert_int_equal(both, 62);
    assert_int_equal(ascii_lower('Z'), 'z');
    assert_int_equal(ascii_upper('a'), 'A');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_and_order),
        cmocka_unit_test(starts_and_ends),
        cmocka_unit_test(cutting_is_clamped),
        cmocka_unit_test(finding),
        cmocka_unit_test(finding_far_away),
        cmocka_unit_test(trimming_and_splitting),
        cmocka_unit_test(numbers),
        cmocka_unit_test(classes_are_ascii_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
