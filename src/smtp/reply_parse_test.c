/* A table of replies, each given whole, octet by octet and split in two everywhere. */
#include "smtp/reply_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

struct row {
    struct view in;
    enum err err; /* ERR_OK: one reply, and the rest of in is not used */
    uint16_t code;
    const char *status, *text;
    size_t left;
};
#define ROW(text_in, ...) \
    { VIEW_INIT(text_in), __VA_ARGS__ }

static const struct row rows[] = {
    ROW("250 Ok\r\n", ERR_OK, 250, "", "Ok", 0),
    ROW("250\r\n", ERR_OK, 250, "", "", 0),
    ROW("250 \r\n", ERR_OK, 250, "", "", 0),
    ROW("250 2.1.0 Ok\r\n", ERR_OK, 250, "2.1.0", "Ok", 0),
    ROW("250 2.1.0\r\n", ERR_OK, 250, "2.1.0", "", 0),
    ROW("550 5.123.456 x\r\n", ERR_OK, 550, "5.123.456", "x", 0),
    ROW("550 5.1234.1 x\r\n", ERR_OK, 550, "", "5.1234.1 x", 0),
    ROW("550 5.1.1x\r\n", ERR_OK, 550, "", "5.1.1x", 0),
    ROW("550 5.1 x\r\n", ERR_OK, 550, "", "5.1 x", 0),
    ROW("550 4.1.1 x\r\n", ERR_OK, 550, "", "4.1.1 x", 0),
    ROW("550-5.7.1 a\r\n550 5.7.1 b\r\n", ERR_OK, 550, "5.7.1", "a\nb", 0),
    ROW("550-5.7.1 a\r\n550 5.7.2 b\r\n", ERR_OK, 550, "5.7.1", "a\n5.7.2 b", 0),
    ROW("550-a\r\n550 5.7.1 b\r\n", ERR_OK, 550, "", "a\n5.7.1 b", 0),
    ROW("250-mx\r\n250-\r\n250\r\n", ERR_OK, 250, "", "mx\n\n", 0),
    ROW("220 a\r\n250 b\r\n", ERR_OK, 220, "", "a", 7),
    ROW("250 a\n", ERR_OK, 250, "", "a", 0),
    ROW("250 a\0b\x7f\xff\tc\r\n", ERR_OK, 250, "", "a?b???c", 0),
    ROW("250 a\rb\r\n", ERR_OK, 250, "", "a?b", 0),
    ROW("250-a\r\n", ERR_AGAIN, 0, "", "", 0),
    ROW("250 a\r", ERR_AGAIN, 0, "", "", 0),
    ROW("", ERR_AGAIN, 0, "", "", 0),
    ROW("250-a\r\n251 b\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("150 a\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("600 a\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("260 a\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("25 a\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("2500 a\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("250a\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("250\ta\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW(" 250 a\r\n", ERR_SYNTAX, 0, "", "", 0),
    ROW("HTTP/1.1 400\r\n", ERR_SYNTAX, 0, "", "", 0),
};

static void check(const struct row *row, size_t first, size_t piece) {
    struct reply_parser parser;
    reply_parser_init(&parser);
    struct view in = row->in;
    enum err err = ERR_AGAIN;
    for (size_t n = first; in.n > 0 && err == ERR_AGAIN; n = piece) {
        size_t used;
        err = reply_parser_feed(&parser, view_sub(in, 0, n), &used);
        in = view_skip(in, used);
    }
    if (err != row->err)
        fail_msg("%.*s: %s, not %s", VIEW_FMT(row->in), err_name(err), err_name(row->err));
    if (err == ERR_OK) {
        assert_int_equal(parser.code, row->code);
        assert_int_equal(in.n, row->left);
        if (!view_eq(reply_parser_status(&parser), view_cstr(row->status)) ||
            !view_eq(reply_parser_text(&parser), view_cstr(row->text)))
            fail_msg("%.*s: %.*s %.*s", VIEW_FMT(row->in), VIEW_FMT(reply_parser_status(&parser)),
                     VIEW_FMT(reply_parser_text(&parser)));
    }
    reply_parser_fini(&parser);
}

static void test_table(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check(&rows[i], 1, 1);
        for (size_t first = 1; first <= rows[i].in.n; first++)
            check(&rows[i], first, rows[i].in.n + 1);
    }
}

static void feed_lines(size_t lines, size_t line_n, enum err expected) {
    struct reply_parser parser;
    struct buf in;
    size_t used;
    buf_init(&in, 1 << 20);
    reply_parser_init(&parser);
    for (size_t i = 0; i < lines; i++) {
        buf_put_str(&in, i + 1 < lines ? "250-" : "250 ");
        for (size_t n = 6; n < line_n; n++)
            buf_put_byte(&in, 'x');
        buf_put_str(&in, "\r\n");
    }
    assert_int_equal(reply_parser_feed(&parser, buf_view(&in), &used), expected);
    reply_parser_fini(&parser);
    buf_fini(&in);
}

static void test_limits(void **state) {
    (void)state;
    feed_lines(1, SMTP_REPLY_LINE_OCTETS_MAX, ERR_OK);
    feed_lines(1, SMTP_REPLY_LINE_OCTETS_MAX + 1, ERR_LIMIT);
    feed_lines(SMTP_REPLY_LINES_MAX, 10, ERR_OK);
    feed_lines(SMTP_REPLY_LINES_MAX, SMTP_REPLY_LINE_OCTETS_MAX, ERR_OK);
    feed_lines(SMTP_REPLY_LINES_MAX + 1, 10, ERR_LIMIT);
}

/* A parser is as new after clear. */
static void test_clear(void **state) {
    (void)state;
    struct reply_parser parser;
    size_t used;
    reply_parser_init(&parser);
    assert_int_equal(reply_parser_feed(&parser, VIEW("550-5.1.1 a\r\n550 5.1.1 b\r\n"), &used), ERR_OK);
    reply_parser_clear(&parser);
    assert_int_equal(reply_parser_feed(&parser, VIEW("250 c\r\n"), &used), ERR_OK);
    assert_int_equal(parser.code, 250);
    assert_int_equal(reply_parser_status(&parser).n, 0);
    assert_true(view_eq(reply_parser_text(&parser), VIEW("c")));
    reply_parser_fini(&parser);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
