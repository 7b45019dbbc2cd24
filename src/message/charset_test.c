/* Charsets: labels, sentences, guesses, and text cut anywhere. */
#include "message/testing.h"

#include "message/charset.h"
#include "message/charset_test_data.h"

#include "base/utf8.h"

static struct charset_table table;

static int setup(void **state) {
    (void)state;
    return charset_prepare(&table) == ERR_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    charset_fini(&table);
    return 0;
}

/* In pieces of n octets; with n 0 in pieces whose lengths come from a seed. */
static void put_cut(struct view label, struct view text, size_t n, uint32_t seed, struct buf *out) {
    struct charset_stream s;
    charset_stream_init(&s, &table, label);
    while (text.n > 0) {
        seed = seed * 1664525 + 1013904223;
        struct view piece = view_sub(text, 0, n > 0 ? n : 1 + (seed >> 24) % 13);
        charset_stream_put(&s, piece, out);
        text = view_skip(text, piece.n);
    }
    charset_stream_end(&s, out);
}

static void test_sentences(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(sentences); i++) {
        struct view label = view_cstr(sentences[i].label);
        for (uint32_t k = 0; k < 24; k++) {
            buf_clear(&out);
            if (k == 0)
                charset_put_utf8(&table, label, sentences[i].octets, &out);
            else
                put_cut(label, sentences[i].octets, k < 8 ? k : 0, k, &out);
            if (!view_eq(buf_view(&out), view_cstr(sentences[i].text)))
                print_error("label %s, cut %u\n", sentences[i].label, k);
            assert_view(buf_view(&out), sentences[i].text);
        }
    }
    buf_fini(&out);
}

/* The same sentences many times over, longer than what a guess looks at and than one step. */
static void test_long(void **state) {
    (void)state;
    struct buf text, expected, out;
    buf_init(&text, 1 << 24);
    buf_init(&expected, 1 << 24);
    buf_init(&out, 1 << 24);
    for (size_t i = 0; i < ARRAY_LEN(sentences); i++) {
        if (view_starts(view_cstr(sentences[i].label), VIEW("utf-16")) || sentences[i].label[0] == 0)
            continue; /* a mark in the midst is a character */
        buf_clear(&text);
        buf_clear(&expected);
        for (int k = 0; k < 3000; k++) {
            buf_put(&text, sentences[i].octets);
            buf_put_byte(&text, '\n');
            buf_put_str(&expected, sentences[i].text);
            buf_put_byte(&expected, '\n');
        }
        bool is_wide = view_starts(view_cstr(sentences[i].label), VIEW("utf-32"));
        bool has_mark = view_starts(sentences[i].octets, VIEW("\xef\xbb\xbf"));
        if (is_wide || has_mark)
            continue;
        for (size_t n = 0; n < 3; n++) {
            buf_clear(&out);
            if (n == 0)
                charset_put_utf8(&table, view_cstr(sentences[i].label), buf_view(&text), &out);
            else
                put_cut(view_cstr(sentences[i].label), buf_view(&text), n == 1 ? 0 : 65536, 1, &out);
            if (!view_eq(buf_view(&out), buf_view(&expected)))
                fail_msg("%s: long text differs, way %zu: %zu octets, not %zu", sentences[i].label, n, out.n,
                         expected.n);
        }
    }
    buf_fini(&text);
    buf_fini(&expected);
    buf_fini(&out);
}

static const struct {
    const char *label, *text, *expected;
} cases[] = {
    {"utf-8", "\xe2\x82\xac", "\xe2\x82\xac"},
    {"UTF8", "\xe2\x82", "\xef\xbf\xbd"}, /* merely cut: no guess */
    {"utf-8", "a\xe9z \xc3\xa9 \xe2\x82\xac", "a\xef\xbf\xbdz \xc3\xa9 \xe2\x82\xac"},
    {"utf-8", "caf\xe9 \x80", "caf\xc3\xa9 \xe2\x82\xac"},
    {"iso-8859-1", "\xe9\x80", "\xc3\xa9\xe2\x82\xac"},
    {"us-ascii", "a\xe9", "a\xc3\xa9"},
    {"", "caf\xe9", "caf\xc3\xa9"},
    {"us-ascii", "a\xc3\xa9", "a\xc3\xa9"},
    {"iso-8859-1", "\xc3\xa9 \xe9", "\xc3\x83\xc2\xa9 \xc3\xa9"},
    {"", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 \xe9.",
     "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9 \xef\xbf\xbd."},
    {"windows-1252", "\x81\x8d", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"euc-jp", "a\xa4", "a\xef\xbf\xbd"},
    {"iso-8859-7", "\xff!", "\xef\xbf\xbd!"},
    {"big5", "\xa4\x40\xff x", "\xe4\xb8\x80\xef\xbf\xbd x"},
    /* UTF-8 under the label of another charset, which cannot read it; what it can read stays its own */
    {"big5", "\xc2\xb3n\xc3\x85\xc3\xa9", "\xc2\xb3n\xc3\x85\xc3\xa9"},
    {"gb2312", "ab\xe4\xb8\xad!", "ab\xe4\xb8\xad!"},
    {"gb2312", "\xd2\xbb", "\xe4\xb8\x80"},
    {"gb2312", "\xe4\xb8\xad! \xff", "\xe6\xb6\x93\xef\xbf\xbd! \xef\xbf\xbd"},
    {"euc-kr", "caf\xc3\xa9 \xe2\x82\xac.", "caf\xc3\xa9 \xe2\x82\xac."},
    {"windows-1258", "a\xcc b", "\xc3\xa0 b"}, /* a letter and its accent, one character */
    {"viscii", "\xd5", "\xe1\xba\xa1"},
    {"tcvn", "\xb8", "\xc3\xa1"},
    {"euc-tw", "\xc4\xa1", "\xe4\xb8\x80"},
    {"armscii-8", "\xb2", "\xd4\xb1"},
    /* ISO 2022: odd and missing ends, octets that are none, eight bits */
    {"iso-2022-jp", "\x1b$B$\"\x1b(B", "\xe3\x81\x82"},
    {"iso-2022-jp", "\x1b$B$\"", "\xe3\x81\x82"},
    {"iso-2022-jp", "\x1b$B$\"$", "\xe3\x81\x82\xef\xbf\xbd"},
    {"iso-2022-jp", "\x1b$B$\"\n$\"\x1b(Bx", "\xe3\x81\x82\n\xe3\x81\x82x"},
    {"iso-2022-jp", "\x1b(J\\~\x1b(I1\x1b(B", "\\~\xef\xbd\xb1"},
    {"iso-2022-jp",
     "a\x1b"
     "b\xb1\x1b",
     "a\xef\xbf\xbd"
     "b\xef\xbd\xb1\xef\xbf\xbd"},
    {"iso-2022-jp", "\x1b.A\x1bNi \x1b.F\x1bN\x61", "\xc3\xa9 \xce\xb1"},
    {"iso-2022-kr",
     "\x0e"
     "0!\x0f"
     "a",
     "\xea\xb0\x80"
     "a"},
    {"", "a\x1b[1mb", "a\x1b[1mb"},
    {"hz-gb-2312", "a~~b~{0!~}c~\nd",
     "a~b\xe5\x95\x8a"
     "cd"},
    {"hz-gb-2312", "~{0!\nx~", "\xe5\x95\x8a\nx~"},
    /* UTF-7: RFC2152 examples, and its mistakes */
    {"utf-7", "A+ImIDkQ.", "A\xe2\x89\xa2\xce\x91."},
    {"utf-7", "Hi Mom -+Jjo--!", "Hi Mom -\xe2\x98\xba-!"},
    {"utf-7", "+ZeVnLIqe-", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
    {"utf-7", "+-+", "+"},
    {"utf-7", "+2D3eAA- +2D0- +3gA-\x80", "\xf0\x9f\x98\x80 \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd"},
};

static void test_cases(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct view label = view_cstr(cases[i].label);
        assert_true(label.n == 0 || charset_is_known(&table, label));
        for (size_t n = 0; n < 5; n++) {
            buf_clear(&out);
            if (n == 0)
                charset_put_utf8(&table, label, view_cstr(cases[i].text), &out);
            else
                put_cut(label, view_cstr(cases[i].text), n, 0, &out);
            if (!view_eq(buf_view(&out), view_cstr(cases[i].expected)))
                print_error("label %s, case %zu, cut %zu\n", cases[i].label, i, n);
            assert_view(buf_view(&out), cases[i].expected);
        }
    }
    buf_fini(&out);
}

static void test_labels(void **state) {
    (void)state;
    /* Labels are never passed on to libc, which would know this one. */
    assert_false(charset_is_known(&table, VIEW("UTF-8//TRANSLIT")));
    assert_false(charset_is_known(&table, VIEW("../../tmp/x")));
    assert_false(charset_is_known(&table, VIEW("")));
    assert_false(charset_is_known(&table, VIEW("x-")));
    assert_false(charset_is_known(&table, VIEW("utf-8\xff")));
    assert_false(charset_is_known(NULL, VIEW("iso-8859-2")));
    assert_true(charset_is_known(NULL, VIEW("iso-8859-1")));
    static const char *const spellings[] = {"UTF8",        "utf_8",     " \"utf-8\" ", "x-unicode20utf8",
                                            "csISOLatin2", "ISO8859-2", "8859",        NULL};
    for (size_t i = 0; spellings[i] != NULL; i++)
        assert_int_equal(charset_is_known(&table, view_cstr(spellings[i])), i != 6);
    /* All that libc should have is there. */
    assert_int_equal(table.open, 49);
    /* Without a table every label still gives text. */
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(sentences); i++) {
        buf_clear(&out);
        charset_put_utf8(NULL, view_cstr(sentences[i].label), sentences[i].octets, &out);
        assert_true(utf8_is_valid(buf_view(&out)));
    }
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sentences), cmocka_unit_test(test_long),
                                       cmocka_unit_test(test_cases), cmocka_unit_test(test_labels)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
