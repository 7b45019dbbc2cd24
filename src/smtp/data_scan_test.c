/* Tables for the scanner of DATA and for its counterpart of the client, each split everywhere. */
#include "smtp/data_scan.h"
#include "smtp/dot_stuff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

enum flags { NUL = 1, BARE_CR = 2, BARE_LF = 4, EIGHTBIT = 8, NO_END = 16 };

struct row {
    struct view in, text, behind;
    unsigned flags;
    uint64_t line_max;
};
#define ROW(in, text, behind, ...) \
    { VIEW_INIT(in), VIEW_INIT(text), VIEW_INIT(behind), __VA_ARGS__ }

static const struct row rows[] = {
    ROW(".\r\n", "", "", 0, 0),
    ROW(".\r\nQUIT\r\n", "", "QUIT\r\n", 0, 0),
    ROW("a\r\n.\r\n", "a\r\n", "", 0, 1),
    ROW("a\r\nbcd\r\n\r\n.\r\n", "a\r\nbcd\r\n\r\n", "", 0, 3),
    ROW("..\r\n...\r\n.a\r\n.\r\n", ".\r\n..\r\na\r\n", "", 0, 2),
    ROW("a.\r\n.\r\n", "a.\r\n", "", 0, 2),
    ROW("\xe9\r\n.\r\n", "\xe9\r\n", "", EIGHTBIT, 1),
    ROW(".\xe9\r\n.\r\n", "\xe9\r\n", "", EIGHTBIT, 1),
    ROW("a\0b\r\n.\r\n", "a\0b\r\n", "", NUL, 3),
    ROW(".\0\r\n.\r\n", "\0\r\n", "", NUL, 1),
    ROW("a\n.\r\n.\r\n", "a\n.\r\n", "", BARE_LF, 3),
    ROW("a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", "", BARE_LF, 5),
    ROW("a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", "", BARE_LF, 2),
    ROW("a\r.\r\n.\r\n", "a\r.\r\n", "", BARE_CR, 3),
    ROW("a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", "", BARE_CR, 2),
    ROW("a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", "", BARE_CR, 1),
    ROW("a\r\r\n.\r\n", "a\r\r\n", "", BARE_CR, 2),
    ROW("a\n\r\n.\r\n", "a\n\r\n", "", BARE_LF, 2),
    ROW("\n.\r\n\r\n.\r\n", "\n.\r\n\r\n", "", BARE_LF, 2),
    ROW("\r.\r\n\r\n.\r\n", "\r.\r\n\r\n", "", BARE_CR, 2),
    ROW("a", "a", "", NO_END, 1),
    ROW("a\r\n.", "a\r\n", "", NO_END, 1),
    ROW("a\r\n.\r", "a\r\n", "", NO_END, 1),
};

static void check(const struct row *row, size_t first, size_t piece) {
    struct data_scan scan = data_scan_start();
    struct buf text;
    buf_init(&text, 1000);
    struct view in = row->in;
    for (size_t n = first; in.n > 0 && !scan.ended; n = piece) {
        struct view part = view_sub(in, 0, n);
        in = view_skip(in, part.n);
        while (part.n > 0 && !scan.ended) {
            size_t used;
            struct view out;
            data_scan_next(&scan, part, &used, &out);
            buf_put(&text, out);
            part = view_skip(part, used);
        }
        in = view_of(in.p - part.n, in.n + part.n);
    }
    unsigned flags = (scan.has_nul ? NUL : 0u) | (scan.has_bare_cr ? BARE_CR : 0u) | (scan.has_bare_lf ? BARE_LF : 0u) |
                     (scan.has_eightbit ? EIGHTBIT : 0u) | (scan.ended ? 0u : NO_END);
    if (!view_eq(buf_view(&text), row->text) || !view_eq(in, row->behind) || flags != row->flags ||
        scan.line_max != row->line_max)
        fail_msg("row %zu, first %zu, then %zu: \"%.*s\" flags %u line %llu", (size_t)(row - rows), first, piece,
                 VIEW_FMT(buf_view(&text)), flags, (unsigned long long)scan.line_max);
    buf_fini(&text);
}

static void test_scan(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check(&rows[i], 1, 1);
        for (size_t first = 1; first <= rows[i].in.n; first++)
            check(&rows[i], first, rows[i].in.n);
    }
}

struct stuff_row {
    struct view in, out;
    enum err err;
    bool has_eightbit;
};

static const struct stuff_row stuff_rows[] = {
    {VIEW_INIT(""), VIEW_INIT(".\r\n"), ERR_OK, false},
    {VIEW_INIT("a\r\n"), VIEW_INIT("a\r\n.\r\n"), ERR_OK, false},
    {VIEW_INIT("a"), VIEW_INIT("a\r\n.\r\n"), ERR_OK, false},
    {VIEW_INIT(".\r\n"), VIEW_INIT("..\r\n.\r\n"), ERR_OK, false},
    {VIEW_INIT("..\r\n.a\r\nb.\r\n"), VIEW_INIT("...\r\n..a\r\nb.\r\n.\r\n"), ERR_OK, false},
    {VIEW_INIT("\r\n.\xff"), VIEW_INIT("\r\n..\xff\r\n.\r\n"), ERR_OK, true},
    {VIEW_INIT("\n"), VIEW_INIT(""), ERR_SYNTAX, false},
    {VIEW_INIT("a\nb"), VIEW_INIT(""), ERR_SYNTAX, false},
    {VIEW_INIT("a\rb"), VIEW_INIT(""), ERR_SYNTAX, false},
    {VIEW_INIT("a\r"), VIEW_INIT(""), ERR_SYNTAX, false},
    {VIEW_INIT("a\r\r\n"), VIEW_INIT(""), ERR_SYNTAX, false},
    {VIEW_INIT("a\r\n\n"), VIEW_INIT(""), ERR_SYNTAX, false},
    {VIEW_INIT("a\0"), VIEW_INIT(""), ERR_SYNTAX, false},
};

static void check_stuff(const struct stuff_row *row, size_t first, size_t piece) {
    struct dot_stuff stuff = dot_stuff_start(), only_checked = dot_stuff_start();
    struct buf out;
    buf_init(&out, 1000);
    struct view in = row->in;
    enum err err = ERR_OK, checked = ERR_OK;
    for (size_t n = first; in.n > 0 && err == ERR_OK; n = piece) {
        struct view part = view_sub(in, 0, n);
        err = dot_stuff_feed(&stuff, part, &out);
        checked = dot_stuff_feed(&only_checked, part, NULL);
        in = view_skip(in, part.n);
    }
    if (err == ERR_OK) {
        err = dot_stuff_end(&stuff, &out);
        checked = dot_stuff_end(&only_checked, NULL);
    }
    assert_int_equal(err, row->err);
    assert_int_equal(checked, err);
    if (err == ERR_OK) {
        assert_true(view_eq(buf_view(&out), row->out));
        assert_int_equal(stuff.has_eightbit, row->has_eightbit);
        assert_int_equal(stuff.size, only_checked.size);
    }
    buf_fini(&out);
}

static void test_stuff(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stuff_rows); i++) {
        check_stuff(&stuff_rows[i], 1, 1);
        for (size_t first = 1; first <= stuff_rows[i].in.n; first++)
            check_stuff(&stuff_rows[i], first, stuff_rows[i].in.n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_stuff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
