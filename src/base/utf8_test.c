/* UTF-8: every code point there and back, the forms that RFC 3629 rules out, repair and cutting. */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_code_point(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    for (uint32_t cp = 0; cp <= 0x110000; cp++) {
        bool good = cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
        uint32_t back = 0;
        buf_clear(&buf);
        buf_put_utf8(&buf, cp);
        size_t n = utf8_decode(buf_view(&buf), &back);
        size_t expected = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 || !good ? 3 : 4;
        if (n != buf.n || n != expected || back != (good ? cp : 0xfffd) || utf8_is_ascii(buf_view(&buf)) != (cp < 0x80))
            fail_msg("U+%04X", cp);
        /* Cut short it is nothing. */
        for (size_t k = 0; k < n; k++) {
            if (utf8_decode(view_sub(buf_view(&buf), 0, k), &back) != 0)
                fail_msg("U+%04X cut to %zu", cp, k);
        }
    }
    buf_fini(&buf);
}

static void what_is_not_utf8(void **state) {
    (void)state;
    static const struct {
        struct view in;
        struct view repaired; /* each maximal invalid part is one replacement */
    } cases[] = {
        {VIEW_INIT("\x80"), VIEW_INIT("\xef\xbf\xbd")},
        {VIEW_INIT("\xc0\x80"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("\xc1\xbf"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("\xe0\x80\x80"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("\xe0\x9f\xbf"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("\xed\xa0\x80"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("\xf0\x8f\xbf\xbf"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("\xf4\x90\x80\x80"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("\xf5\x80"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("\xfe\xff"), VIEW_INIT("\xef\xbf\xbd\xef\xbf\xbd")},
        {VIEW_INIT("a\xc3"), VIEW_INIT("a\xef\xbf\xbd")},
        {VIEW_INIT("\xe2\x82"), VIEW_INIT("\xef\xbf\xbd")},
        {VIEW_INIT("\xf0\x9f\x98x"), VIEW_INIT("\xef\xbf\xbdx")},
        {VIEW_INIT("\xe2\x82\xe2\x82\xac"), VIEW_INIT("\xef\xbf\xbd\xe2\x82\xac")},
        /* Unicode 3.9, "U+FFFD substitution of maximal subparts" */
        {VIEW_INIT("\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64"),
         VIEW_INIT("a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                   "b\xef\xbf\xbd"
                   "c\xef\xbf\xbd\xef\xbf\xbd"
                   "d")},
    };
    struct buf buf;
    buf_init(&buf, 1000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_false(utf8_is_valid(cases[i].in));
        buf_clear(&buf);
        buf_put_utf8_lossy(&buf, cases[i].in);
        assert_true(view_eq(buf_view(&buf), cases[i].repaired));
        assert_true(utf8_is_valid(buf_view(&buf)));
    }
    static const struct view good[] = {
        VIEW_INIT(""),
        VIEW_INIT("a\0b"),
        VIEW_INIT("\x7f"),
        VIEW_INIT("\xed\x9f\xbf\xee\x80\x80"),
        VIEW_INIT("\xf4\x8f\xbf\xbf"),
        VIEW_INIT("gr\xc3\xbc\xc3\x9f"),
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(utf8_is_valid(good[i]));
        buf_clear(&buf);
        buf_put_utf8_lossy(&buf, good[i]);
        assert_true(view_eq(buf_view(&buf), good[i]));
    }
    assert_true(utf8_is_ascii(VIEW_NONE));
    uint32_t cp;
    assert_int_equal(utf8_decode(VIEW_NONE, &cp), 0);
    buf_fini(&buf);
}

static void cutting(void **state) {
    (void)state;
    struct view v = VIEW("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z"); /* 1 2 3 4 1 octets */
    static const size_t lengths[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < ARRAY_LEN(lengths); max++)
        assert_int_equal(utf8_truncate(v, max).n, lengths[max]);
    assert_int_equal(utf8_truncate(v, SIZE_MAX).n, v.n);
    /* What is no character is cut anywhere. */
    assert_int_equal(utf8_truncate(VIEW("a\x80\x80\x80\x80\x80"), 3).n, 3);
    assert_int_equal(utf8_truncate(VIEW("\xc3\xc3\xc3"), 1).n, 1);
    assert_int_equal(utf8_truncate(VIEW_NONE, 0).n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_code_point), cmocka_unit_test(what_is_not_utf8),
                                       cmocka_unit_test(cutting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
