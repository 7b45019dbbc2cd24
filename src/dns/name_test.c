/* Names: text to wire and back, limits, and every kind of bad pointer. */
#include "dns/dns_testing.h"

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
/* 63 + 1 + 63 + 1 + 63 + 1 + 61: 253 octets of text, 255 of wire */
#define NAME253                         \
    LABEL63 "." LABEL63 "." LABEL63 "." \
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_text(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        const char *back;
    } cases[] = {
        {"example.org", ERR_OK, "example.org"},
        {"Example.ORG.", ERR_OK, "example.org"},
        {".", ERR_OK, "."},
        {"_dmarc.xn--nxasmq6b", ERR_OK, "_dmarc.xn--nxasmq6b"},
        {"a", ERR_OK, "a"},
        {LABEL63 ".a", ERR_OK, LABEL63 ".a"}, /* RFC1035-2.3.4 */
        {LABEL63 "a.a", ERR_LIMIT, NULL},
        {NAME253, ERR_OK, NAME253},
        {NAME253 ".", ERR_OK, NAME253},
        {NAME253 "a", ERR_LIMIT, NULL},
        {"", ERR_SYNTAX, NULL},
        {"..", ERR_SYNTAX, NULL},
        {".a", ERR_SYNTAX, NULL},
        {"a..b", ERR_SYNTAX, NULL},
        {"a b", ERR_OK, "a b"}, /* RFC7208-7.1: "%_" */
        {"a\tb", ERR_SYNTAX, NULL},
        {"a\\b", ERR_SYNTAX, NULL},
        {"b\xc3\xbc"
         "cher.de",
         ERR_SYNTAX, NULL},
        {"a\x7f", ERR_SYNTAX, NULL},
        {"a\"b", ERR_SYNTAX, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf wire, text;
        buf_init(&wire, 400);
        buf_init(&text, 400);
        assert_int_equal(dns_name_to_wire(view_cstr(cases[i].text), &wire), cases[i].err);
        if (cases[i].err == ERR_OK) {
            struct reader r = reader_of(buf_view(&wire));
            assert_true(wire.n <= DNS_NAME_WIRE_MAX);
            assert_int_equal(dns_name_read(&r, &text), ERR_OK);
            assert_true(reader_at_end(&r));
            assert_true(view_eq(buf_view(&text), view_cstr(cases[i].back)));
            assert_true(text.n <= DNS_NAME_TEXT_MAX);
            /* Any shorter beginning is not a name. */
            for (size_t n = 0; n < wire.n; n++) {
                r = reader_of(view_sub(buf_view(&wire), 0, n));
                buf_clear(&text);
                assert_int_equal(dns_name_read(&r, &text), ERR_SYNTAX);
            }
        }
        buf_fini(&wire);
        buf_fini(&text);
    }
}

static void test_nul(void **state) {
    (void)state;
    struct buf wire;
    buf_init(&wire, 400);
    assert_int_equal(dns_name_to_wire(view_of("a\0b", 3), &wire), ERR_SYNTAX);
    buf_fini(&wire);
}

/* RFC1035-4.1.4 */
static void test_compressed(void **state) {
    (void)state;
    static const struct {
        struct view message;
        size_t at;
        enum err err;
        const char *text;
        size_t end;
    } cases[] = {
        {VIEW_INIT("\3org\0\1a\xc0\0"), 5, ERR_OK, "a.org", 9},
        {VIEW_INIT("\3org\0\xc0\0"), 5, ERR_OK, "org", 7},
        {VIEW_INIT("\3org\0\1a\xc0\0\1b\xc0\5"), 9, ERR_OK, "b.a.org", 13},
        {VIEW_INIT("\0\xc0\0"), 1, ERR_OK, ".", 3},
        {VIEW_INIT("\1a\xc0\0"), 2, ERR_SYNTAX, NULL, 0},      /* leads into itself: a, a, a ... */
        {VIEW_INIT("\xc0\0"), 0, ERR_SYNTAX, NULL, 0},         /* to itself */
        {VIEW_INIT("\xc0\2\xc0\0"), 2, ERR_SYNTAX, NULL, 0},   /* two in a circle */
        {VIEW_INIT("\xc0\4\1a\1b\0"), 0, ERR_SYNTAX, NULL, 0}, /* forwards */
        {VIEW_INIT("\xc0"), 0, ERR_SYNTAX, NULL, 0},           /* half a pointer */
        {VIEW_INIT("\x40\1a\0"), 0, ERR_SYNTAX, NULL, 0},      /* RFC6891-5: the old extended label */
        {VIEW_INIT("\x80\1a\0"), 0, ERR_SYNTAX, NULL, 0},
        {VIEW_INIT("\3a.b\0"), 0, ERR_SYNTAX, NULL, 0}, /* a dot inside a label cannot be written */
        {VIEW_INIT("\1\0\0"), 0, ERR_SYNTAX, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reader r = reader_of(cases[i].message);
        struct buf text;
        buf_init(&text, 400);
        r.at = cases[i].at;
        assert_int_equal(dns_name_read_compressed(&r, &text), cases[i].err);
        if (cases[i].err == ERR_OK) {
            assert_true(view_eq(buf_view(&text), view_cstr(cases[i].text)));
            assert_int_equal(r.at, cases[i].end);
            struct reader skip = reader_of(cases[i].message);
            skip.at = cases[i].at;
            assert_int_equal(dns_name_skip(&skip), ERR_OK);
            assert_int_equal(skip.at, cases[i].end);
        }
        buf_fini(&text);
    }
}

/* A name that is only too long through its pointers. */
static void test_long_by_pointers(void **state) {
    (void)state;
    struct buf message, text;
    buf_init(&message, 1000);
    buf_init(&text, 400);
    buf_put_byte(&message, 0);
    size_t before = 0, at = 0;
    for (int i = 0; i < 4; i++) {
        before = at;
        at = message.n;
        buf_put_byte(&message, 63);
        for (int j = 0; j < 63; j++)
            buf_put_byte(&message, 'x');
        buf_put_be16(&message, (uint16_t)(0xc000u | before));
        struct reader r = reader_of(buf_view(&message));
        r.at = at;
        buf_clear(&text);
        assert_int_equal(dns_name_read_compressed(&r, &text), i < 3 ? ERR_OK : ERR_SYNTAX); /* 3 * 64 + 1, then 257 */
    }
    buf_fini(&message);
    buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_long_by_pointers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
