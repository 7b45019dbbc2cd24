/* The grammar of commands: tables of what is read and what is refused. */
#include "imap/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct parsed {
    struct arena *arena;
    struct imap_parser p;
    struct imap_job job;
    enum err err;
};

static void parse(struct parsed *out, struct view command) {
    *out = (struct parsed){.arena = arena_new("test", IMAP_COMMAND_ARENA)};
    assert_non_null(out->arena);
    imap_parser_init(&out->p, command, out->arena);
    out->err = imap_command_parse(&out->p, &out->job);
}

static const char *good[] = {
    "a NOOP\r\n",
    "a noop\n",
    "1.2-x UID FETCH 1:*,3 (FLAGS UID)\r\n",
    "a FETCH 1 BODY\r\n",
    "a FETCH 1 (BODY.PEEK[HEADER.FIELDS (\"From\" {2}\r\nTo)]<0.100> RFC822)\r\n",
    "a FETCH 1 BODY[1.2.3.MIME]\r\n",
    "a FETCH 1 BODY[HEADER.FIELDS.NOT (a)]\r\n",
    "a FETCH 1 BODY[1.HEADER.FIELDS (a b)]\r\n",
    "a STORE 1 FLAGS \\Seen \\Deleted kw\r\n",
    "a STORE 1 -flags.silent ()\r\n",
    "a UID STORE *:4 +FLAGS ($x)\r\n",
    "a LOGOUT\r\n",
    "a STATUS \"in\\\"box\" (MESSAGES UNSEEN)\r\n",
    "a STATUS INBOX (UIDNEXT)\r\n",
    "a LIST \"\" %\r\n",
    "a LIST ref/ *%a\r\n",
    "a LIST (SPECIAL-USE) \"\" \"*\" RETURN (CHILDREN SPECIAL-USE)\r\n",
    "a LSUB {0}\r\n {1+}\r\n*\r\n",
    "a SELECT x]y\r\n",
    "a SELECT {5}\r\nINBOX\r\n",
    "a APPEND x {10}\r\n",
    "a APPEND x (\\Seen) \" 1-Jan-2000 00:00:00 +0000\" {10+}\r\n",
    "a APPEND x ~{10+}\r\n",
    "a SEARCH CHARSET utf-8 (OR (SEEN) NOT DELETED) UID 1:* HEADER x \"\"\r\n",
    "a SEARCH 1,3:* ON 1-Feb-1994 KEYWORD k LARGER 4294967295\r\n",
    "a UID SEARCH ALL\r\n",
    "a COPY 1:2 \"x y\"\r\n",
    "a UID MOVE 2 x\r\n",
    "a UID EXPUNGE 1:*\r\n",
    "a ID (\"x\" NIL)\r\n",
    "a ID ()\r\n",
    "a ENABLE X Y\r\n",
    "a RENAME a b\r\n",
};
static const char *bad[] = {
    "",
    "\r\n",
    " NOOP\r\n",
    "+ NOOP\r\n",
    "a+b NOOP\r\n",
    "a\r\n",
    "a \r\n",
    "a  NOOP\r\n",
    "a NOOP \r\n",
    "a UID\r\n",
    "a UID NOOP\r\n",
    "a UID EXPUNGE\r\n",
    "a FETCH 1\r\n",
    "a FETCH 1 \r\n",
    "a FETCH 1 ()\r\n",
    "a FETCH 1 (FLAGS UID\r\n",
    "a FETCH 1 (ALL)\r\n",
    "a FETCH 1 ALLX\r\n",
    "a FETCH 1:2:3 FLAGS\r\n",
    "a FETCH 1, FLAGS\r\n",
    "a FETCH , FLAGS\r\n",
    "a FETCH 0 FLAGS\r\n",
    "a FETCH 4294967296 FLAGS\r\n",
    "a FETCH 1 BODY[0]\r\n",
    "a FETCH 1 BODY[1.]\r\n",
    "a FETCH 1 BODY[.1]\r\n",
    "a FETCH 1 BODY[MIME]\r\n",
    "a FETCH 1 BODY[TEXT.1]\r\n",
    "a FETCH 1 BODY[HEADER.FIELDS]\r\n",
    "a FETCH 1 BODY[HEADER.FIELDS ()]\r\n",
    "a FETCH 1 BODY[1HEADER.FIELDS (a)]\r\n",
    "a FETCH 1 BODY[HEADER.HEADER.FIELDS (a)]\r\n",
    "a FETCH 1 BODY[]<1>\r\n",
    "a FETCH 1 BODY[]<1.0>\r\n",
    "a FETCH 1 BODY.PEEK\r\n",
    "a STORE 1 FLAGS\r\n",
    "a STORE 1 =FLAGS ()\r\n",
    "a STORE 1 FLAGS (\\Recent)\r\n",
    "a STORE 1 FLAGS (a  b)\r\n",
    "a STATUS INBOX ()\r\n",
    "a STATUS INBOX (SIZES)\r\n",
    "a SELECT\r\n",
    "a SELECT \"x\r\n",
    "a SELECT \"x\\y\"\r\n",
    "a SELECT x*\r\n",
    "a SELECT {5}\r\nINBO\r\n",
    "a SELECT {5}x\r\n",
    "a SELECT &bad&\r\n",
    "a SELECT \"\xff\xfe\"\r\n",
    "a APPEND x\r\n",
    "a APPEND x ()\r\n",
    "a APPEND x \"1-Jan-2000 00:00:00\" {1}\r\n",
    "a APPEND x \"41-Jan-2000 00:00:00 +0000\" {1}\r\n",
    "a APPEND x \"01-Jan-2000 00:00:00 +0060\" {1}\r\n",
    "a SEARCH\r\n",
    "a SEARCH \r\n",
    "a SEARCH ()\r\n",
    "a SEARCH NOT\r\n",
    "a SEARCH OR SEEN\r\n",
    "a SEARCH ON 1-Foo-1994\r\n",
    "a SEARCH ON \"1-Feb-1994\r\n",
    "a SEARCH TEXT\r\n",
    "a SEARCH TEXT \"\xff\"\r\n",
    "a SEARCH (SEEN\r\n",
    "a SEARCH SEEN)\r\n",
    "a ID\r\n",
    "a ID (\"x\")\r\n",
    "a ENABLE \r\n",
    "a LIST \"\"\r\n",
    "a LIST (STRANGE) \"\" *\r\n",
    "a COPY 1\r\n",
    "1234567890123456789012345678901234567890123456789012345678901234x NOOP\r\n",
};

static void test_good_and_bad(void **state) {
    (void)state;
    struct parsed x;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        parse(&x, view_cstr(good[i]));
        if (x.err != ERR_OK || x.job.command == NULL || x.job.tag.n == 0)
            fail_msg("%s: %s", good[i], x.p.what);
        arena_free(x.arena);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        parse(&x, view_cstr(bad[i]));
        if (x.err != ERR_SYNTAX && x.err != ERR_LIMIT)
            fail_msg("%s was read", bad[i]);
        arena_free(x.arena);
    }
    /* RFC3501-9: NUL is in no string */
    parse(&x, VIEW("a SELECT \"x\0y\"\r\n"));
    assert_int_equal(x.err, ERR_SYNTAX);
    arena_free(x.arena);
    parse(&x, VIEW("a SELECT {3+}\r\nx\0y\r\n"));
    assert_int_equal(x.err, ERR_SYNTAX);
    arena_free(x.arena);
    parse(&x, VIEW("a NO\0OP\r\n"));
    assert_int_equal(x.err, ERR_SYNTAX);
    arena_free(x.arena);
}

/* Every prefix of a good command is read or refused, never more than that (the sanitizers watch). */
static void test_prefixes(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct view whole = view_cstr(good[i]);
        for (size_t n = 0; n < whole.n; n++) {
            struct parsed x;
            uint8_t *copy = malloc(n + 1); /* so that one octet too far is seen */
            assert_non_null(copy);
            memcpy(copy, whole.p, n);
            uint8_t *exact = realloc(copy, MAX(n, 1));
            assert_non_null(exact);
            parse(&x, view_of(exact, n));
            (void)imap_append_is_message(view_of(exact, n), x.arena);
            arena_free(x.arena);
            free(exact);
        }
    }
}

static void test_sets(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t highest;
        const char *settled;
    } cases[] = {
        {"1", 10, "1:1 "},  {"*", 10, "10:10 "},       {"4:2", 10, "2:4 "},
        {"8:*", 5, "5:8 "}, {"1:3,2:5,6", 10, "1:6 "}, {"9,1,5", 10, "1:1 5:5 9:9 "},
        {"*:*", 7, "7:7 "}, {"1,1,1", 3, "1:1 "},      {"4294967295,1:4294967295", 9, "1:4294967295 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct imap_parser p;
        struct imap_set set;
        struct arena *arena = arena_new("test", 10000);
        struct buf out;
        buf_init(&out, 1000);
        imap_parser_init(&p, view_cstr(cases[i].text), arena);
        assert_int_equal(imap_parse_set(&p, &set), ERR_OK);
        imap_set_settle(&set, cases[i].highest);
        for (size_t j = 0; j < set.n; j++) {
            buf_printf(&out, "%u:%u ", set.list[j].first, set.list[j].last);
            assert_true(imap_set_has(&set, set.list[j].first));
            assert_true(imap_set_has(&set, set.list[j].last));
            assert_int_equal(imap_set_has(&set, set.list[j].last + 1), false);
        }
        if (!view_eq(buf_view(&out), view_cstr(cases[i].settled)))
            fail_msg("%s is %.*s", cases[i].text, VIEW_FMT(buf_view(&out)));
        buf_fini(&out);
        arena_free(arena);
    }
}

/* RFC3501-7.4.2: the response names the section as canonical text, with the origin octet of a partial. */
static void test_fetch_labels(void **state) {
    (void)state;
    static const struct {
        const char *text, *label;
    } cases[] = {
        {"BODY[]", "BODY[]"},
        {"body.peek[1.2.text]<3.4>", "BODY[1.2.TEXT]<3>"},
        {"BODY[header.fields (From {2+}\r\nTo \"x y\")]", "BODY[HEADER.FIELDS (From To \"x y\")]"},
        {"BODY[1.header.fields.not (a)]", "BODY[1.HEADER.FIELDS.NOT (a)]"},
        {"rfc822.text", "RFC822.TEXT"},
        {"BODY[4.MIME]<0.4294967295>", "BODY[4.MIME]<0>"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct imap_parser p;
        struct imap_fetch_atts atts;
        struct arena *arena = arena_new("test", 1000000);
        imap_parser_init(&p, view_cstr(cases[i].text), arena);
        assert_int_equal(imap_parse_fetch_atts(&p, &atts), ERR_OK);
        assert_int_equal(atts.n, 1);
        if (!view_eq(atts.list[0].label, view_cstr(cases[i].label)))
            fail_msg("%s is %.*s", cases[i].text, VIEW_FMT(atts.list[0].label));
        arena_free(arena);
    }
}

static void test_dates(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t unix_s; /* -1: refused */
    } cases[] = {
        {"\"17-Jul-1996 02:44:25 -0700\"", 837596665}, {"\" 1-Jan-1970 00:00:00 +0000\"", 0},
        {"\"1-Jan-1970 01:30:00 +0130\"", 0},          {"\"29-Feb-2000 23:59:60 +0000\"", 951868800},
        {"\"30-Feb-2000 00:00:00 +0000\"", -1},        {"\"01-Jan-1970 00:00 +0000\"", -1},
        {"\"01-Jan-70 00:00:00 +0000\"", -1},          {"\"01-Jan-1970 00:00:00 0000\"", -1},
        {"\"01-Jan-1970 25:00:00 +0000\"", -1},        {"01-Jan-1970", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct imap_parser p;
        int64_t us = 7;
        imap_parser_init(&p, view_cstr(cases[i].text), NULL);
        enum err err = imap_parse_date_time(&p, &us);
        if (cases[i].unix_s < 0)
            assert_int_equal(err, ERR_SYNTAX);
        else if (err != ERR_OK || us != cases[i].unix_s * US_PER_S)
            fail_msg("%s: %lld", cases[i].text, (long long)us);
    }
    struct imap_parser p;
    int64_t day;
    imap_parser_init(&p, VIEW("1-Feb-1994"), NULL);
    assert_int_equal(imap_parse_date(&p, &day), ERR_OK);
    assert_int_equal(day, 8797);
    imap_parser_init(&p, VIEW("\"31-Dec-1969\""), NULL);
    assert_int_equal(imap_parse_date(&p, &day), ERR_OK);
    assert_int_equal(day, -1);
}

/* What a command announces as message is streamed; any other literal is part of the command. */
static void test_append_heads(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_message;
    } cases[] = {
        {"a APPEND x {5}\r\n", true},
        {"a append x (\\Seen $k) {5+}\r\n", true},
        {"a APPEND {1}\r\nx {5}\r\n", true},
        {"a APPEND x \"01-Jan-2000 00:00:00 +0000\" {5}\r\n", true},
        {"a APPEND x (\\Strange) {5}\r\n", true},
        {"a APPEND {5}\r\n", false},
        {"a APPEND x (a {5}\r\n", false},
        {"a APPEND x y {5}\r\n", false},
        {"a SELECT {5}\r\n", false},
        {"a {5}\r\n", false},
        {"{5}\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 1000000);
        if (imap_append_is_message(view_cstr(cases[i].text), arena) != cases[i].is_message)
            fail_msg("%s", cases[i].text);
        arena_free(arena);
    }
}

/* Limits have names, and what is over them is refused. */
static void test_limits(void **state) {
    (void)state;
    struct parsed x;
    struct buf text;
    buf_init(&text, 1000000);
    buf_put_str(&text, "a FETCH 1 (FLAGS");
    for (int i = 1; i < IMAP_FETCH_ATTS_MAX; i++)
        buf_put_str(&text, " FLAGS");
    size_t n = text.n;
    buf_put_str(&text, ")\r\n");
    parse(&x, buf_view(&text));
    assert_int_equal(x.err, ERR_OK);
    arena_free(x.arena);
    text.n = n;
    buf_put_str(&text, " FLAGS)\r\n");
    parse(&x, buf_view(&text));
    assert_int_equal(x.err, ERR_LIMIT);
    arena_free(x.arena);
    buf_clear(&text);
    buf_put_str(&text, "a SEARCH SEEN");
    for (int i = 0; i < IMAP_SEARCH_KEYS_MAX; i++)
        buf_put_str(&text, " SEEN");
    buf_put_str(&text, "\r\n");
    parse(&x, buf_view(&text));
    assert_int_equal(x.err, ERR_LIMIT);
    arena_free(x.arena);
    buf_clear(&text);
    buf_put_str(&text, "a STORE 1 FLAGS (k0");
    for (int i = 1; i <= ACCOUNT_KEYWORDS_MAX; i++)
        buf_printf(&text, " k%d", i);
    buf_put_str(&text, ")\r\n");
    parse(&x, buf_view(&text));
    assert_int_equal(x.err, ERR_DENIED);
    arena_free(x.arena);
    buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_and_bad), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_sets),
        cmocka_unit_test(test_fetch_labels), cmocka_unit_test(test_dates),    cmocka_unit_test(test_append_heads),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
