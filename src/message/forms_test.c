/* Parsed forms of header fields. */
#include "message/testing.h"

#include "message/forms.h"
#include "message/nfc.h"

#include "base/utf8.h"

#include <string.h>

static struct charset_table charsets;

/* RFC8621-4.1.2: which forms a field may be asked for in. */
static void test_allowed(void **state) {
    (void)state;
    /* One letter a form: (T)ext (A)ddresses (G)rouped (M)essageIds (D)ate (U)RLs; raw is always allowed. */
    static const struct {
        const char *fields, *forms;
    } cases[] = {
        {"Subject Comments Keywords", "T"},
        {"From Sender Reply-To To Cc Bcc Resent-From Resent-Sender Resent-Reply-To Resent-To Resent-Cc Resent-Bcc",
         "AG"},
        {"Message-ID In-Reply-To References Resent-Message-ID message-id", "M"},
        {"Date Resent-Date DATE", "D"},
        {"List-Help List-Unsubscribe List-Subscribe List-Post List-Owner List-Archive", "U"},
        {"Return-Path Received", ""},
        /* RFC8621-4.1.2.2: List-Id, and all that RFC 5322 and RFC 2369 do not define, in any form. */
        {"List-Id X-Mailer Delivered-To Content-Type Autocrypt Disposition-Notification-To", "TAGMDU"},
    };
    static const struct {
        char letter;
        enum header_form form;
    } forms[] = {{'T', FORM_TEXT},        {'A', FORM_ADDRESSES}, {'G', FORM_GROUPED_ADDRESSES},
                 {'M', FORM_MESSAGE_IDS}, {'D', FORM_DATE},      {'U', FORM_URLS}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct view rest = view_cstr(cases[i].fields), name;
        while (rest.n > 0) {
            view_split(rest, ' ', &name, &rest);
            assert_true(form_is_allowed(name, FORM_RAW));
            for (size_t f = 0; f < ARRAY_LEN(forms); f++)
                if (form_is_allowed(name, forms[f].form) != (strchr(cases[i].forms, forms[f].letter) != NULL))
                    fail_msg("%.*s in form %c", VIEW_FMT(name), forms[f].letter);
        }
    }
}

/* RFC8621-4.1.2.1: U+FFFD for what is no UTF-8, NUL dropped, all else as it is. */
static void test_raw(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    form_put_raw(&out, VIEW(" a\r\n b\0c \xff=?utf-8?q?x?= \xc3\xa9 "));
    assert_view(buf_view(&out), " a\r\n bc \xef\xbf\xbd=?utf-8?q?x?= \xc3\xa9 ");
    buf_fini(&out);
}

/* RFC8621-4.1.2.2, RFC2047-5 placement, RFC2047-6.2 white space between words, RFC2231-5 language. */
static void test_text(void **state) {
    (void)state;
    static const struct {
        const char *value, *text;
    } cases[] = {
        {"", ""},
        {"   ", ""},
        {" plain text", "plain text"},
        {" folded\r\n text\r\n\there", "folded text\there"},
        {"\r\n  only folded", "only folded"},
        {" kept at the end ", "kept at the end "},
        {" =?utf-8?q?J=C3=B6rg?=", "J\xc3\xb6rg"},
        {" =?UTF-8?B?SsO2cmc=?= here", "J\xc3\xb6rg here"},
        {" a =?iso-8859-1*de?Q?=E4?= b", "a \xc3\xa4 b"},
        {" =?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
        {" =?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"},
        {" =?utf-8?q?a?=  =?utf-8?q?=C3?= =?utf-8?q?=B6?= c", "a\xc3\xb6 c"},
        {" =?utf-8?q?a_?= =?iso-8859-1?q?=E4?=\r\n", "a \xc3\xa4"},
        /* Syntax in the wrong place is text. */
        {" x=?utf-8?q?a?=", "x=?utf-8?q?a?="},
        {" =?utf-8?q?a?=x", "=?utf-8?q?a?=x"},
        {" =?utf-8?q?a b?=", "=?utf-8?q?a b?="},
        {" =?utf-8?q?a?==?utf-8?q?b?=", "=?utf-8?q?a?==?utf-8?q?b?="},
        {" =?utf-8?x?a?= =?utf-8?q?a", "=?utf-8?x?a?= =?utf-8?q?a"},
        {" =?no-such-charset?q?a?=", "=?no-such-charset?q?a?="},
        /* Encoded controls are dropped, NUL too. */
        {" =?utf-8?q?a=00b=0D=0Ac=7F=C2=85d=09e?=", "abcde"},
        /* NFC: e and a combining acute; Hangul jamo; the angstrom sign. */
        {" =?utf-8?q?e=CC=81?=", "\xc3\xa9"},
        {" e\xcc\x81 \xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab \xe2\x84\xab", "\xc3\xa9 \xed\x95\x9c \xc3\x85"},
        {" =?utf-8?q?e?= =?utf-8?q?=CC=81?=", "\xc3\xa9"},
        /* Raw octets of another charset are guessed, broken encoded ones are U+FFFD. */
        {" J\xf6rg", "J\xc3\xb6rg"},
        {" =?utf-8?q?J=F6rg?=", "J\xc3\xb6rg"}, /* nothing of it is UTF-8: guessed */
        {" raw \xc3\xb6 stays", "raw \xc3\xb6 stays"},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&out);
        form_put_text(&out, &charsets, view_cstr(cases[i].value));
        assert_int_equal(buf_err(&out), ERR_OK);
        assert_view(buf_view(&out), cases[i].text);
    }
    buf_fini(&out);
}

static void show(struct buf *out, const struct form_groups *groups) {
    for (size_t g = 0; g < groups->count; g++) {
        const struct form_group *group = &groups->list[g];
        buf_put(out, group->name.p == NULL ? VIEW("-") : group->name);
        buf_put_byte(out, '{');
        for (size_t i = 0; i < group->count; i++) {
            const struct form_address *a = &group->list[i];
            assert_true(utf8_is_valid(a->email) && utf8_is_valid(a->name));
            buf_put(out, a->name.p == NULL ? VIEW("-") : a->name);
            buf_put_byte(out, '|');
            buf_put(out, a->email);
            buf_put_byte(out, ';');
        }
        buf_put_byte(out, '}');
    }
}

/* RFC8621-4.1.2.3 and RFC8621-4.1.2.4, with the example that both give. */
static void test_addresses(void **state) {
    (void)state;
    static const struct {
        const char *value, *groups; /* GROUP{NAME|EMAIL;...}..., "-" for null */
    } cases[] = {
        {"\"  James Smythe\" <james@example.com>, Friends:\r\n  jane@example.com, =?UTF-8?Q?John_Sm=C3=AEth?=\r\n"
         "  <john@example.com>;",
         "-{James Smythe|james@example.com;}Friends{-|jane@example.com;John Sm\xc3\xaeth|john@example.com;}"},
        {"", ""},
        {" ,, ", ""},
        {"a@b, c@d", "-{-|a@b;-|c@d;}"},
        {"a@b, g: c@d;, e@f, h:;", "-{-|a@b;}g{-|c@d;}-{-|e@f;}h{}"},
        {"Undisclosed recipients:;", "Undisclosed recipients{}"},
        {":a@b;", "{-|a@b;}"},
        {"=?utf-8?q?Gr=C3=BCn?=: a@b;", "Gr\xc3\xbcn{-|a@b;}"},
        {"a@b (Joe)", "-{Joe|a@b;}"},
        {"a@b (=?utf-8?q?J=C3=B6?=)", "-{J\xc3\xb6|a@b;}"},
        {"\"\" <a@b>", "-{-|a@b;}"},
        {"\"Joe \\\"Q\\\" \\\\ Public\" <a@b>", "-{Joe \"Q\" \\ Public|a@b;}"},
        {"\"=?utf-8?q?J=C3=B6rg?=\" <a@b>", "-{J\xc3\xb6rg|a@b;}"},
        {"\"folded\r\n name\" <a@b>", "-{folded name|a@b;}"},
        /* addr-spec: quoted where it must be, and only there */
        {"\"john doe\"@example.org, \"john.doe\"@example.org", "-{-|\"john doe\"@example.org;-|john.doe@example.org;}"},
        {"<\"a\\\"b\\\\c\"@d>, <\"\"@d>, <\"a@b\"@d>, <a..b@d>",
         "-{-|\"a\\\"b\\\\c\"@d;-|\"\"@d;-|\"a@b\"@d;-|\"a..b\"@d;}"},
        {"<@a,@b:c@d>", "-{-|c@d;}"},
        {"joe@[192.0.2.1], x@[IPv6:::1]", "-{-|joe@[192.0.2.1];-|x@[IPv6:::1];}"},
        {"p\xc3\xa9@\xc3\xa9.example, p@xn--9ca.example", "-{-|p\xc3\xa9@\xc3\xa9.example;-|p@xn--9ca.example;}"},
        {"p\xe9@x", "-{-|p\xef\xbf\xbd@x;}"},
        {"joe", "-{-|joe;}"},
        {"<>", ""},
        {"a@b, <>, c@d", "-{-|a@b;-|c@d;}"},
        {"Joe <>", "-{Joe|;}"},
        /* all of it encoded */
        {"=?utf-8?q?J=C3=B6rg_=3Cj=40example=2Eorg=3E?=", "-{J\xc3\xb6rg|j@example.org;}"},
        {"Joe <=?utf-8?q?j=40example=2Eorg?=>", "-{Joe|j@example.org;}"},
        {"=?utf-8?q?evil=40example=2Eorg?= <joe@example.org>", "-{evil@example.org|joe@example.org;}"},
        {"e\xcc\x81 <a@b>", "-{\xc3\xa9|a@b;}"},
    };
    struct buf out;
    buf_init(&out, 10000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct form_groups groups;
        form_groups_parse(arena, &charsets, view_cstr(cases[i].value), &groups);
        assert_false(groups.truncated);
        buf_clear(&out);
        show(&out, &groups);
        assert_view(buf_view(&out), cases[i].groups);
        arena_free(arena);
    }
    buf_fini(&out);
}

static void test_strings(void **state) {
    (void)state;
    static const struct {
        bool is_urls;
        const char *value, *list; /* NULL: null */
    } cases[] = {
        /* RFC8621-4.1.2.5, RFC5322-3.6.4 and RFC5322-4.5.4 */
        {false, " <a@b>", "a@b|"},
        {false, " <a@b>\r\n <c@d> (comment <x@y>) <e@f>", "a@b|c@d|e@f|"},
        {false, "<a@b><c@d>,<e@f>", "a@b|c@d|e@f|"},
        {false, "Joe's message of Tuesday <a@b>", "a@b|"},
        {false, "< a (c) . x @ b >", "a.x@b|"},
        {false, "<\"a > b\"@c>", "\"a > b\"@c|"},
        {false, "<\"a\\\"b\"@c>", "\"a\\\"b\"@c|"},
        {false, "<no-at-sign>", "no-at-sign|"},
        {false, "<a@[192.0.2.1]>", "a@[192.0.2.1]|"},
        {false, "a@b", "a@b|"},
        {false, "<broken <a@b>", "a@b|"},
        {false, "<unclosed@b", NULL},
        {false, "", NULL},
        {false, "no id here", NULL},
        {false, "<>", NULL},
        {false, "<\xc3\xa9@b> <\xff@b>", "\xc3\xa9@b|\xef\xbf\xbd@b|"},
        /* RFC8621-4.1.2.7, RFC2369-2 (1), (2) and (3), and RFC2369-3.2 examples */
        {true, " <mailto:list@host.com?subject=help> (List Instructions)", "mailto:list@host.com?subject=help|"},
        {true, " <ftp://ftp.host.com/list.txt> (FTP),\r\n    <mailto:list@host.com?subject=help>",
         "ftp://ftp.host.com/list.txt|mailto:list@host.com?subject=help|"},
        {true, "(Use this command to get off the list)\r\n <mailto:list-manager@host.com?body=unsubscribe%20list>",
         "mailto:list-manager@host.com?body=unsubscribe%20list|"},
        {true,
         "<http://www.host.com/list.cgi?cmd=unsub&lst=list>,\r\n <mailto:list-request@host.com?subject=unsubscribe>",
         "http://www.host.com/list.cgi?cmd=unsub&lst=list|mailto:list-request@host.com?subject=unsubscribe|"},
        {true, "NO (posting not allowed on this list)", NULL},
        {true, "http://example.org/", NULL},
        {true, "<http://a/> junk, <http://b/>", "http://a/|"},
        {true, "<http://a/>, junk, <http://b/>", "http://a/|"},
        {true, "<http://a/\r\n b>", "http://a/b|"},
        {true, "<http://a/(x)>", "http://a/(x)|"},
        {true, "<http://a/", NULL},
        {true, "", NULL},
    };
    struct buf out;
    buf_init(&out, 10000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct form_strings strings;
        if (cases[i].is_urls)
            form_urls_parse(arena, view_cstr(cases[i].value), &strings);
        else
            form_message_ids_parse(arena, view_cstr(cases[i].value), &strings);
        if (strings.is_null != (cases[i].list == NULL))
            fail_msg("\"%s\": null %d", cases[i].value, strings.is_null);
        buf_clear(&out);
        for (size_t k = 0; k < strings.count; k++) {
            buf_put(&out, strings.list[k]);
            buf_put_byte(&out, '|');
        }
        assert_view(buf_view(&out), cases[i].list == NULL ? "" : cases[i].list);
        arena_free(arena);
    }
    buf_fini(&out);
}

/* RFC8621-4.1.2.6, RFC3339-5.6; RFC3339-4.3 for a zone that is not known. */
static void test_date(void **state) {
    (void)state;
    static const struct {
        const char *value, *date;
    } cases[] = {
        {" Fri, 21 Nov 2014 08:55:06 -0600", "2014-11-21T08:55:06-06:00"},
        {" Thu, 13 Feb 1969 23:32 -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
        {" 1 Jul 2003 10:52:37 +0545", "2003-07-01T10:52:37+05:45"},
        {" 1 Jul 2003 10:52:37 +0000", "2003-07-01T10:52:37Z"},
        {" 1 Jul 2003 10:52:37 GMT", "2003-07-01T10:52:37Z"},
        {" 1 Jul 2003 10:52:37 -0000", "2003-07-01T10:52:37-00:00"},
        {" 1 Jul 2003 10:52:37", "2003-07-01T10:52:37-00:00"},
        {" 31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00Z"},
        {" 1 Jan 0099 00:00:00 +0000", "0099-01-01T00:00:00Z"},
        {" yesterday", NULL},
        {"", NULL},
    };
    struct buf out;
    buf_init(&out, 100);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&out);
        bool there = form_put_date(&out, view_cstr(cases[i].value));
        assert_int_equal(there, cases[i].date != NULL);
        assert_view(buf_view(&out), there ? cases[i].date : "");
    }
    buf_fini(&out);
}

/* A name of many encoded words is whole. */
static void test_long_name(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 1 << 20);
    struct form_groups groups;
    struct buf value;
    buf_init(&value, 10000);
    for (int i = 0; i < 100; i++)
        buf_put_str(&value, "=?utf-8?q?=D0=9F=D1=80=D0=B8?=\r\n ");
    buf_put_str(&value, "<a@b>");
    form_groups_parse(arena, &charsets, buf_view(&value), &groups);
    assert_int_equal(groups.count, 1);
    assert_int_equal(groups.list[0].list[0].name.n, 600);
    buf_fini(&value);
    arena_free(arena);
}

/* Nothing fails when memory is short, and nothing is quadratic (the test's time limit would show it). */
static void test_limits(void **state) {
    (void)state;
    static const char *const hostile[] = {"<",
                                          "<\"",
                                          "(",
                                          "<(",
                                          "=?utf-8?q?a?= ",
                                          "=?utf-8?q?a?=",
                                          "a@b,",
                                          "<a@b>",
                                          "e\xcc\x81",
                                          "\xcc\x81\xcc\xa3",
                                          "\xff",
                                          "g:",
                                          "=?utf-8?b?"};
    struct buf text, out;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        buf_clear(&text);
        while (text.n < 200000)
            buf_put_str(&text, hostile[i]);
        for (size_t budget = 1000; budget <= 16 * 1024 * 1024; budget *= 16 * 1024) {
            struct arena *arena = arena_new("test", budget);
            struct form_groups groups;
            struct form_strings strings;
            form_groups_parse(arena, &charsets, buf_view(&text), &groups);
            arena_clear(arena);
            form_message_ids_parse(arena, buf_view(&text), &strings);
            arena_clear(arena);
            form_urls_parse(arena, buf_view(&text), &strings);
            arena_free(arena);
        }
        buf_init(&out, 100);
        form_put_text(&out, &charsets, buf_view(&text));
        assert_true(out.n <= 100);
        buf_fini(&out);
    }
    buf_fini(&text);
}

/* RFC5198-2: NFC, CRLF alone as line end, no controls. */
static void test_net_unicode(void **state) {
    (void)state;
    static const struct {
        const char *text, *made;
    } cases[] = {
        {"", ""},
        {"a\r\nb\r\n", "a\r\nb\r\n"},
        {"a\nb\rc\r\n\n", "a\r\nb\r\nc\r\n\r\n"},
        {"a\tb\x1b[1m\x07\x7f\xc2\x85", "a\tb[1m"},
        {"\xef\xbb\xbf"
         "a\xef\xbb\xbf",
         "a\xef\xbb\xbf"},
        {"\x01\xef\xbb\xbf\xef\xbb\xbf\x02", ""},
        {"e\xcc\x81\xff", "\xc3\xa9\xef\xbf\xbd"},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&out);
        net_unicode_put(&out, view_cstr(cases[i].text));
        assert_view(buf_view(&out), cases[i].made);
        assert_int_equal(net_unicode_is(view_cstr(cases[i].text)), view_eq(buf_view(&out), view_cstr(cases[i].text)));
        assert_true(net_unicode_is(buf_view(&out)));
    }
    buf_fini(&out);
}

static int open_charsets(void **state) {
    (void)state;
    return charset_prepare(&charsets) == ERR_OK ? 0 : -1;
}

static int close_charsets(void **state) {
    (void)state;
    charset_fini(&charsets);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),   cmocka_unit_test(test_raw),     cmocka_unit_test(test_text),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_strings), cmocka_unit_test(test_date),
        cmocka_unit_test(test_long_name), cmocka_unit_test(test_limits),  cmocka_unit_test(test_net_unicode),
    };
    return cmocka_run_group_tests(tests, open_charsets, close_charsets);
}
