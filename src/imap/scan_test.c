/* Finding commands in octets, whole, one by one and split at random; and list patterns, which have no other home. */
#include "imap/scan.h"

#include "base/buf.h"
#include "base/random.h"
#include "imap/list_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* What was seen: 'C' and the command's length, 'L' size and 's' or 'n', 'T'; the literals are accepted. */
static void scan_all(struct view input, struct random *random, size_t most, struct buf *seen) {
    struct imap_scan scan;
    size_t from = 0, have = 0;
    imap_scan_init(&scan);
    for (;;) {
        switch (imap_scan_next(&scan, view_sub(input, from, have - from))) {
        case IMAP_SCAN_COMMAND:
            buf_printf(seen, "C%zu ", scan.at);
            from += scan.at;
            imap_scan_init(&scan);
            continue;
        case IMAP_SCAN_LITERAL:
            buf_printf(seen, "L%llu%c ", (unsigned long long)scan.literal_size, scan.literal_is_sync ? 's' : 'n');
            if (!imap_scan_accept(&scan)) {
                buf_put_str(seen, "R");
                return;
            }
            continue;
        case IMAP_SCAN_TOO_LONG:
            buf_put_str(seen, "T");
            return;
        case IMAP_SCAN_MORE:
            break;
        }
        if (have == input.n)
            return;
        size_t n = most == 0 ? input.n : random == NULL ? most : 1 + (size_t)random_below(random, most);
        have = MIN(input.n, have + n);
    }
}

static void check_scan(struct view input, const char *expected) {
    struct random_seeded random;
    random_seeded_init(&random, 3);
    for (int how = 0; how < 12; how++) {
        struct buf seen;
        buf_init(&seen, 10000);
        scan_all(input, how < 2 ? NULL : &random.random, how == 0 ? 0 : how == 1 ? 1 : (size_t)how * 3, &seen);
        assert_int_equal(buf_err(&seen), ERR_OK);
        if (!view_eq(buf_view(&seen), view_cstr(expected)))
            fail_msg("got %.*s, not %s (split %d)", VIEW_FMT(buf_view(&seen)), expected, how);
        buf_fini(&seen);
    }
}

static void test_scan(void **state) {
    (void)state;
    check_scan(VIEW("a NOOP\r\nb NOOP\n"), "C8 C7 ");
    check_scan(VIEW("a LOGIN {3}\r\nabc {4+}\r\nd\r\ne\r\nb NOOP\r\n"), "L3s L4n C29 C8 ");
    check_scan(VIEW("a X {0}\r\n\r\n"), "L0s C11 ");
    /* What looks like a literal and is none. */
    check_scan(VIEW("a {3}x\r\na 3}\r\na {}\r\na {+}\r\na {3-}\r\n"), "C8 C6 C6 C7 C8 ");
    /* A literal that itself ends like an announcement. */
    check_scan(VIEW("a X {3}\r\n{9} b\r\n"), "L3s C16 ");
    check_scan(VIEW("a X {99999999999999999999999}\r\n"), "L18446744073709551615s R");
    check_scan(VIEW("a X {65536+}\r\n"), "L65536n R");
    check_scan(VIEW("a X {65500}\r\n"), "L65500s ");
    check_scan(VIEW(""), "");
}

static void test_too_long(void **state) {
    (void)state;
    uint8_t *line = malloc(IMAP_LINE_MAX + 2);
    assert_non_null(line);
    memset(line, 'x', IMAP_LINE_MAX + 2);
    check_scan(view_of(line, IMAP_LINE_MAX), "");
    check_scan(view_of(line, IMAP_LINE_MAX + 1), "T");
    line[IMAP_LINE_MAX - 1] = '\n';
    check_scan(view_of(line, IMAP_LINE_MAX), "C65536 ");
    free(line);
}

/* RFC3501-6.3.8 */
static void test_list_match(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool is_match;
    } cases[] = {
        {"*", "a/b/c", true},
        {"%", "a", true},
        {"%", "a/b", false},
        {"a/%", "a/b", true},
        {"a/%", "a/b/c", false},
        {"a/*", "a/b/c", true},
        {"a*c", "a/b/c", true},
        {"a%c", "a/b/c", false},
        {"a%c", "abc", true},
        {"%/%", "a/b", true},
        {"%/%", "a/b/c", false},
        {"*/c", "a/b/c", true},
        {"%/b/*", "a/b/c", true},
        {"inbox", "INBOX", true},
        {"iNb*", "INBOX", true},
        {"inbox", "inboxx", false},
        {"abc", "ABC", false},
        {"", "", true},
        {"", "a", false},
        {"*%*%", "x/y", true},
        {"a*b*c", "aXbYbZc", true},
        {"*a%b", "xa/yaqb", true},
        {"*a%b", "xa/yaq/b", false},
        {"%a%", "bab", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (imap_list_match(view_cstr(cases[i].pattern), view_cstr(cases[i].name)) != cases[i].is_match)
            fail_msg("%s and %s", cases[i].pattern, cases[i].name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_list_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
