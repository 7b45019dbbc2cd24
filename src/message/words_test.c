/* Encoded words, encoded parameters. */
#include "message/testing.h"

#include "message/words.h"

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

/* RFC2047-2 syntax, RFC2047-4.1 B, RFC2047-4.2 Q, RFC2047-6.2 display, the examples of RFC2047-8. */
static const struct {
    const char *value, *expected;
} words[] = {
    {"", ""},
    {" plain  text ", "plain  text"},
    {"folded\r\n text\r\n\tagain", "folded text\tagain"},
    /* RFC2047-8 */
    {"(=?ISO-8859-1?Q?a?=)", "(a)"},
    {"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)"},
    {"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"},
    {"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
    {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
     "If you can read this you understand the example."},
    {"=?iso-8859-1?q?Andr=E9?= Pirard", "Andr\xc3\xa9 Pirard"},
    /* RFC2231-5: a language. */
    {"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"},
    /* One character over two words. */
    {"=?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "\xe2\x82\xac"},
    {"=?UTF-8?Q?=E2=82?= =?utf-8?q?=AC?=", "\xe2\x82\xac"},
    /* Adjacent without white space, in quotes, in a word. */
    {"=?utf-8?q?a?==?utf-8?q?b?=", "ab"},
    {"\"=?utf-8?q?caf=C3=A9?=\"", "\"caf\xc3\xa9\""},
    {"x=?utf-8?q?y?=z", "xyz"},
    /* Spaces and question marks inside a Q word; padding missing. */
    {"=?utf-8?q?a b?=", "a b"},
    {"=?utf-8?q?why?\?=", "why?"},
    {"=?utf-8?b?YQ?=", "a"},
    {"=?utf-8?q?=zz=4?=", "=zz=4"},
    /* Folded inside, a space before the encoding, other charsets beside each other, languages. */
    {"=?utf-8?b?Y2Fm\r\n w6k=?=", "caf\xc3\xa9"},
    {"=?utf-8?q?one\r\n two?=", "one two"},
    {"=?utf-8?q?one\r\ntwo?=", "=?utf-8?q?onetwo?="},
    {"=?UTF-8? Q?=3Dx?=", "=x"},
    {"=?iso-8859-1?q?=E9?= =?koi8-r?q?=F0?= =?iso-2022-jp*ja?b?GyRCJCIbKEI=?=", "\xc3\xa9\xd0\x9f\xe3\x81\x82"},
    {"=?iso-2022-jp?b?GyRCJCI=?= =?iso-2022-jp?b?GyRCJCQbKEI=?=", "\xe3\x81\x82\xe3\x81\x84"},
    {"=?us-ascii?q?caf=C3=A9?= =?iso-8859-1?q?_caf=C3=A9?=", "caf\xc3\xa9 caf\xc3\xa9"},
    {"=?gb2312?b?1uy55LucyA==?=", "\xe6\x9c\xb1\xe9\x80\x9b\xe7\xb2\xb6\xef\xbf\xbd"},
    {"Re: =?utf-8?q?a?= (was: =?utf-8?q?b?=)", "Re: a (was: b)"},
    {"=?utf-8?q?=E2=82?= x =?utf-8?q?=AC?=", "\xef\xbf\xbd x \xc2\xac"},
    {"\x1b$B$\"\x1b(B raw", "\xe3\x81\x82 raw"},
    /* Not encoded words. */
    {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
    {"=?utf-8?q?a", "=?utf-8?q?a"},
    {"=??q?a?=", "=??q?a?="},
    {"a = b =? c", "a = b =? c"},
    {"=?utf-8?q?\?=", ""},
    /* Unknown charset: guessed; invalid octets replaced. */
    {"=?x-none?q?caf=C3=A9?=", "caf\xc3\xa9"},
    {"=?x-none?q?caf=E9?=", "caf\xc3\xa9"},
    {"=?utf-8?q?caf=E9?=", "caf\xef\xbf\xbd"},
    /* Raw 8-bit: UTF-8 as it is, else windows-1252. */
    {"caf\xc3\xa9", "caf\xc3\xa9"},
    {"caf\xe9 \x80", "caf\xc3\xa9 \xe2\x82\xac"},
};

static void test_words(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        buf_clear(&out);
        words_decode(&table, view_cstr(words[i].value), &out);
        assert_int_equal(buf_err(&out), ERR_OK);
        assert_view(buf_view(&out), words[i].expected);
    }
    assert_true(words_is_plain(VIEW("plain = ? text \xc3\xa9")));
    assert_false(words_is_plain(VIEW("x =?utf-8?q?a?=")));
    assert_false(words_is_plain(VIEW("\xe9")));
    buf_fini(&out);
}

static const struct {
    const char *params, *name, *expected; /* NULL: not found */
} params[] = {
    {"filename=a.txt", "filename", "a.txt"},
    {"filename=a.txt", "name", NULL},
    /* RFC2231-3 and 4 */
    {"URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"", "url",
     "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"},
    {"title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title", "This is ***fun***"},
    {"title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
     "title", "This is even more ***fun*** isn't it!"},
    {"filename*1=b; filename*0=a", "filename", "ab"},
    {"filename*0=a; filename*2=c", "filename", "a"},
    {"filename=plain; filename*=utf-8''caf%C3%A9", "filename", "caf\xc3\xa9"},
    {"filename*=iso-8859-2''%B1", "filename", "\xc4\x85"},
    {"filename*=caf%C3%A9", "filename", "caf\xc3\xa9"},
    {"filename*=utf-8''%zz%4", "filename", "%zz%4"},
    {"filename*0*=utf-8''%E2; filename*1*=%82%AC", "filename", "\xe2\x82\xac"},
    {"filename=\"=?utf-8?q?caf=C3=A9?=\"", "filename", "caf\xc3\xa9"},
    {"filename=\"caf\xe9\"", "filename", "caf\xc3\xa9"},
    /* What mailers mix: encoded words in pieces, under a star, pieces from one, of both kinds. */
    {"filename*0=\"=?utf-8?q?caf=C3\"; filename*1=\"=A9?=.txt\"", "filename", "caf\xc3\xa9.txt"},
    {"filename*=\"=?utf-8?q?caf=C3=A9?=\"", "filename", "caf\xc3\xa9"},
    {"filename*1=a; filename*2=b", "filename", "ab"},
    {"filename*0*=utf-8''caf%C3%A9; filename*1=\" 100%\"; filename*2*=%20%e2%82%ac", "filename",
     "caf\xc3\xa9 100% \xe2\x82\xac"},
    {"filename=\"=?utf-8?b?wrU=?=.txt\"; filename*=koi8-r'ru'%F0.txt", "filename", "\xd0\x9f.txt"},
    {"filename*=utf-8''caf%E9", "filename", "caf\xef\xbf\xbd"},
    {"filename*=iso-8859-1''caf%C3%A9", "filename", "caf\xc3\xa9"},
    {"filename*=''caf%E9", "filename", "caf\xc3\xa9"},
    {"filename*=x-none'de'caf%E9", "filename", "caf\xc3\xa9"},
    {"filename*=utf-8''a%", "filename", "a%"},
    {"filename=50%25.txt", "filename", "50%25.txt"},
    {"filename*0*=utf-8''a; filename*0=b; filename*01*=c", "filename", "ac"},
};

static void test_params(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct mime_params list;
        mime_params_parse(arena, view_cstr(params[i].params), &list);
        buf_clear(&out);
        enum err err = words_param(&table, &list, view_cstr(params[i].name), &out);
        assert_int_equal(err, params[i].expected == NULL ? ERR_NOT_FOUND : ERR_OK);
        if (params[i].expected != NULL)
            assert_view(buf_view(&out), params[i].expected);
        arena_free(arena);
    }
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_params),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
