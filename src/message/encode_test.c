/* Transfer encodings as streams: exact output, all cuts, and the choice between them. */
#include "message/testing.h"

#include "message/encode_testing.h"

#include "base/random.h"

static const char *qp_of(struct view content, bool is_text, struct buf *out) {
    struct encode_qp qp = {.is_text = is_text};
    buf_clear(out);
    encode_qp_put(&qp, content, out);
    encode_qp_end(&qp, out);
    buf_put_byte(out, 0);
    assert_int_equal(buf_err(out), ERR_OK);
    return (const char *)out->p;
}

/* RFC2045-6.7 (1) to (5) */
static void test_quoted_printable(void **state) {
    (void)state;
    static const struct {
        struct view content;
        bool is_text;
        const char *encoded;
    } table[] = {
        {VIEW_INIT(""), true, ""},
        {VIEW_INIT("a=b"), true, "a=3Db"},
        {VIEW_INIT("caf\xc3\xa9\r\n"), true, "caf=C3=A9\r\n"},
        {VIEW_INIT("a \r\nb\t\r\nc "), true, "a=20\r\nb=09\r\nc=20"},
        {VIEW_INIT("a  \r\n"), true, "a =20\r\n"},
        {VIEW_INIT("a\rb\nc\r\n"), true, "a=0Db=0Ac\r\n"},
        {VIEW_INIT("a\r"), true, "a=0D"},
        {VIEW_INIT("a \r"), true, "a =0D"},
        {VIEW_INIT("a\r\nb"), false, "a=0D=0Ab"},
        {VIEW_INIT("\0\x7f~!"), true, "=00=7F~!"},
        /* Lines that mbox files and SMTP change. */
        {VIEW_INIT("From me\r\nFrom\tyou\r\nFrome\r\n>From x\r\naFrom me"), true,
         "From=20me\r\nFrom=09you\r\nFrome\r\n>From x\r\naFrom me"},
        {VIEW_INIT(".\r\n..\r\na."), true, "=2E\r\n=2E.\r\na."},
        /* 75 characters and a soft break, never through an octet. */
        {VIEW_INIT("123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "), true,
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 12345=\r\n6789=20"},
        {VIEW_INIT("123456789 123456789 123456789 123456789 123456789 123456789 123456789 123\xff."), true,
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123=\r\n=FF."},
        {VIEW_INIT("123456789 123456789 123456789 123456789 123456789 123456789 123456789 12345."), true,
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 12345=\r\n=2E"},
    };
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_string_equal(qp_of(table[i].content, table[i].is_text, &out), table[i].encoded);
    buf_fini(&out);
}

/* RFC2046-4.1.1 */
static void test_line_ends(void **state) {
    (void)state;
    static const struct view in = VIEW_INIT("a\nb\rc\r\nd\n\re\r\r\n\n");
    struct buf out;
    buf_init(&out, 65536);
    for (size_t cut = 1; cut <= in.n; cut++) {
        struct encode_lines lines = {false};
        buf_clear(&out);
        for (struct view rest = in; rest.n > 0; rest = view_skip(rest, cut))
            encode_lines_put(&lines, view_sub(rest, 0, cut), &out);
        assert_view(buf_view(&out), "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\n\r\n");
    }
    buf_fini(&out);
}

/* RFC2045-2.7, RFC2045-2.8, RFC2045-2.9, RFC2045-6: the smallest that is allowed. */
static void test_choice(void **state) {
    (void)state;
    static const struct {
        struct view content;
        const char *expected; /* one letter each: nothing allowed, 8bit, binary, signed */
    } table[] = {
        {VIEW_INIT(""), "7777"},
        {VIEW_INIT("plain\r\ntext"), "7777"},
        {VIEW_INIT("plain \r\ntext"), "777Q"},
        {VIEW_INIT("text\t"), "777Q"},
        {VIEW_INIT("From me\r\n"), "777Q"},
        {VIEW_INIT("a\r\n.\r\n"), "777Q"},
        {VIEW_INIT("."), "777Q"},
        {VIEW_INIT("..\r\n.a\r\n"), "7777"},
        {VIEW_INIT("mostly ASCII caf\xc3\xa9\r\n"), "Q88Q"},
        {VIEW_INIT("\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"), "X88X"},
        {VIEW_INIT("bare\nline end"), "QQBQ"},
        {VIEW_INIT("bare\rline end"), "QQBQ"},
        {VIEW_INIT("at the end\r"), "QQBQ"},
        {VIEW_INIT("a NUL \0 in it"), "QQBQ"},
        {VIEW_INIT("\0\1\2\xff"), "XXBX"},
    };
    static const char letters[] = {
        [MIME_ENCODING_7BIT] = '7',   [MIME_ENCODING_8BIT] = '8',   [MIME_ENCODING_QUOTED_PRINTABLE] = 'Q',
        [MIME_ENCODING_BASE64] = 'X', [MIME_ENCODING_BINARY] = 'B',
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct encode_scan scan = {.is_text = true};
        encode_scan_put(&scan, table[i].content);
        encode_scan_end(&scan);
        for (int k = 0; k < 4; k++) {
            struct encode_limits limits = {.allow_8bit = k >= 1, .allow_binary = k >= 2, .is_signed = k == 3};
            char got = letters[encode_scan_choose(&scan, &limits)];
            if (got != table[i].expected[k])
                fail_msg("row %zu, limits %d: %c", i, k, got);
        }
    }
    /* RFC5322-2.1.1: 998 octets are a line, 999 are not. */
    for (size_t n = 997; n < 1001; n++) {
        struct encode_scan scan = {.is_text = true};
        for (size_t i = 0; i < n; i++)
            encode_scan_put(&scan, VIEW("x"));
        encode_scan_put(&scan, VIEW("\r\n"));
        encode_scan_end(&scan);
        assert_int_equal(scan.longest, n);
        assert_int_equal(encode_scan_identity(&scan), n <= 998 ? MIME_ENCODING_7BIT : MIME_ENCODING_BINARY);
    }
}

/* RFC2045-6.7, RFC2045-6.8: random contents in random pieces decode to themselves. */
static void test_random(void **state) {
    (void)state;
    static const uint8_t common[] = "\r\n \t.=F from\xff\0-_";
    struct random_seeded random;
    uint8_t content[600];
    random_seeded_init(&random, 7);
    for (int round = 0; round < 3000; round++) {
        size_t n = (size_t)random_below(&random.random, sizeof(content));
        bool is_wild = round % 3 == 0;
        for (size_t i = 0; i < n; i++)
            content[i] = is_wild ? (uint8_t)random_below(&random.random, 256)
                                 : common[random_below(&random.random, sizeof(common) - 1)];
        size_t cut = 1 + (size_t)random_below(&random.random, 80);
        const char *error = check_encoders(view_of(content, n), cut, round % 2 == 0);
        if (error != NULL)
            fail_msg("round %d: %s", round, error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoted_printable),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
