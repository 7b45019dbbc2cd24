/* Transfer encodings: tables, and the same result for every way to cut the octets. */
#include "message/testing.h"

#include "message/decode.h"
#include "message/stream_testing.h"

static const struct {
    enum mime_encoding encoding;
    struct view text, decoded;
} cases[] = {
#define QP(text, decoded) \
    { MIME_ENCODING_QUOTED_PRINTABLE, VIEW_INIT(text), VIEW_INIT(decoded) }
#define B64(text, decoded) \
    { MIME_ENCODING_BASE64, VIEW_INIT(text), VIEW_INIT(decoded) }
    /* RFC2045-6.7 (1): hex digits, lower case ones too. */
    QP("", ""),
    QP("a=3Db=3dc", "a=b=c"),
    QP("=00=FF", "\0\xff"),
    /* What is no encoding stays as it is. */
    QP("a=b", "a=b"),
    QP("=4", "=4"),
    QP("=4\r\n", "=4\r\n"),
    QP("=4 ", "=4"),
    QP("=4 1", "=4 1"),
    QP("=4G=G4==41", "=4G=G4=A"),
    QP("=\t=41", "=\tA"),
    QP("= x", "= x"),
    /* RFC2045-6.7 (5): soft line breaks, with white space that transport added. */
    QP("a=\r\nb=\nc= \t\r\nd= \ne=", "abcde"),
    QP("a= \t", "a"),
    QP("a=\r", "a=\r"),
    QP("a=\r\r\nb", "a=\r\r\nb"),
    /* A message without LF has lines that end with CR. */
    QP("a=\rb = \rc\r", "ab c\r"),
    QP("=\n\n=\r\n\r\n", "\n\r\n"),
    /* RFC2045-6.7 (3): trailing white space of a line goes, an encoded one stays. */
    QP("a \t\r\nb \nc ", "a\r\nb\nc"),
    QP("a=20 \r\nb", "a \r\nb"),
    QP("a b\tc", "a b\tc"),
    QP("a \rb \r", "a \rb \r"),
    QP("a \r\r\n", "a \r\r\n"),
    QP(" \r\n\t\n", "\r\n\n"),
    QP("\0 \0", "\0 \0"),
    /* RFC2045-6.8 */
    B64("", ""),
    B64("YWJj", "abc"),
    B64("YWJjZA==", "abcd"),
    B64("YWJjZGU=", "abcde"),
    B64("YW\r\nJj", "abc"),
    B64("Y-W*J j", "abc"),
    B64("YWJjZA", "abcd"),
    B64("YWJjZGU", "abcde"),
    B64("YQ==YWJj", "aabc"),
    B64("YQ=\r\n=\r\nYWJj", "aabc"),
    B64("YQ==\r\nYWJj\r\nYg==\nYw==", "aabcbc"),
    B64("YQ==YQ==YQ==", "aaa"),
    /* A footer below base64 is no base64. */
    B64("YQ==\r\n\r\nThe footer of a list.\r\nYWJj", "a"),
    B64("YQ== ignored", "a"),
    B64("YQ==  \r\nYWJj \r\n", "aabc"),
    B64("YQ==\r\n-- \r\nYWJj", "a"),
    /* Content that lies about its encoding. */
    B64("\r\n This is not base64.\r\nYWJj\r\n", "\r\n This is not base64.\r\nYWJj\r\n"),
    B64("Dear\tyou and\tme", "Dear\tyou and\tme"),
    B64(" YWJj YWJj  \r\nYWJj", "abcabcabc"),
    B64("\r\n\r\n", ""),
    B64("YQ==\r\nYWJjYWJj", "aabcabc"),
    B64("Y", ""),
    B64("/+8=", "\xff\xef"),
    {MIME_ENCODING_UNKNOWN, VIEW_INIT("a=\r\n b "), VIEW_INIT("a=\r\n b ")},
    {MIME_ENCODING_8BIT, VIEW_INIT("=41"), VIEW_INIT("=41")},
};

static void decode_cut(struct buf *out, enum mime_encoding encoding, struct view text, struct cuts cuts) {
    struct decoder decoder;
    struct buf piece;
    buf_init(&piece, SIZE_MAX);
    decoder_init(&decoder, encoding);
    for (size_t at = 0; at < text.n;) {
        size_t n = cuts_next(&cuts, text.n - at);
        decoder_feed(&decoder, &piece, view_sub(text, at, n));
        /* RFC2045-6.7: what was held before comes with it, no more. */
        assert_true(piece.n <= n + DECODE_HELD_MAX);
        buf_put(out, buf_view(&piece));
        buf_clear(&piece);
        at += n;
    }
    decoder_end(&decoder, &piece);
    buf_put(out, buf_view(&piece));
    buf_fini(&piece);
}

static void check(enum mime_encoding encoding, struct view text, struct view decoded) {
    const struct cuts cuts[] = {{.piece = SIZE_MAX},  {.piece = 1},          {.piece = 2},          {.piece = 3},
                                {.seed = text.n + 1}, {.seed = text.n + 77}, {.seed = text.n + 999}};
    struct buf out;
    buf_init(&out, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        buf_clear(&out);
        decode_cut(&out, encoding, text, cuts[i]);
        if (!view_eq(buf_view(&out), decoded))
            fail_msg("\"%.*s\" cut in way %zu: \"%.*s\" instead of \"%.*s\"", VIEW_FMT(text), i,
                     VIEW_FMT(buf_view(&out)), VIEW_FMT(decoded));
    }
    buf_fini(&out);
}

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        if (cases[i].encoding == MIME_ENCODING_BASE64)
            decode_put_base64(&out, cases[i].text);
        else if (cases[i].encoding == MIME_ENCODING_QUOTED_PRINTABLE)
            decode_put_quoted_printable(&out, cases[i].text);
        else
            buf_put(&out, cases[i].text);
        if (!view_eq(buf_view(&out), cases[i].decoded))
            fail_msg("case %zu: \"%.*s\"", i, VIEW_FMT(buf_view(&out)));
        buf_fini(&out);
        check(cases[i].encoding, cases[i].text, cases[i].decoded);
    }
}

/* A line without its line end, after RFC2045-6.7, written as simply as can be. True: a soft line break. */
static bool put_line_simply(struct buf *out, struct view line) {
    size_t blanks = 0;
    const struct view whole = line;
    while (blanks < line.n && (line.p[line.n - 1 - blanks] == ' ' || line.p[line.n - 1 - blanks] == '\t'))
        blanks++;
    if (blanks < DECODE_SPACE_MAX)
        line.n -= blanks;
    bool is_soft = line.n > 0 && line.p[line.n - 1] == '=';
    line.n -= is_soft;
    for (size_t i = 0; i < line.n; i++) {
        struct buf octet;
        size_t run = 0;
        while (i + 1 + run < whole.n && (whole.p[i + 1 + run] == ' ' || whole.p[i + 1 + run] == '\t'))
            run++;
        if (line.p[i] == '=' && run < DECODE_SPACE_MAX && i + run + 2 < whole.n && whole.p[i + 1 + run] == '\r' &&
            whole.p[i + 2 + run] != '\r') {
            i += 1 + run;
            continue;
        }
        buf_init(&octet, 1);
        bool is_code = line.p[i] == '=' && i + 2 < line.n && hex_decode(view_sub(line, i + 1, 2), &octet) == ERR_OK;
        buf_put_byte(out, is_code ? octet.p[0] : line.p[i]);
        i += is_code ? 2 : 0;
        buf_fini(&octet);
    }
    return is_soft;
}

static void decode_simply(struct buf *out, struct view text) {
    while (text.n > 0) {
        ssize_t lf = view_find_byte(text, '\n');
        size_t n = lf < 0 ? text.n : (size_t)lf, eol = lf >= 0;
        if (eol > 0 && n > 0 && text.p[n - 1] == '\r') {
            n--;
            eol = 2;
        }
        if (!put_line_simply(out, view_sub(text, 0, n)))
            buf_put(out, view_sub(text, n, eol));
        text = view_skip(text, n + eol);
    }
}

static void test_generated(void **state) {
    (void)state;
    static const char alphabet[] = "== \t\r\n4A1fxY/+";
    uint64_t random = 20261125;
    struct buf text, simple;
    buf_init(&text, 1 << 20);
    buf_init(&simple, 1 << 20);
    for (size_t i = 0; i < 20000; i++) {
        buf_clear(&text);
        buf_clear(&simple);
        for (size_t n = i % 60; n > 0; n--) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            buf_put_byte(&text, (uint8_t)alphabet[(random >> 5) % (sizeof(alphabet) - 1)]);
        }
        decode_simply(&simple, buf_view(&text));
        check(MIME_ENCODING_QUOTED_PRINTABLE, buf_view(&text), buf_view(&simple));
        buf_clear(&simple);
        decode_put_base64(&simple, buf_view(&text));
        check(MIME_ENCODING_BASE64, buf_view(&text), buf_view(&simple));
    }
    buf_fini(&text);
    buf_fini(&simple);
}

/* White space without end is text, and nothing is held beyond the limit. */
static void test_spaces(void **state) {
    (void)state;
    struct buf text, simple;
    buf_init(&text, 1 << 20);
    buf_init(&simple, 1 << 20);
    static const char *const ends[] = {"", "\n", "\r\n", "\r", "x", "=\r\n", " \r\rx"};
    for (size_t n = DECODE_SPACE_MAX - 3; n < DECODE_SPACE_MAX + 4; n++) {
        for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
            buf_clear(&text);
            buf_clear(&simple);
            buf_put_str(&text, i % 2 == 0 ? "a" : "=3D");
            for (size_t k = 0; k < n; k++)
                buf_put_byte(&text, k % 5 == 0 ? '\t' : ' ');
            buf_put_str(&text, ends[i]);
            buf_put_str(&text, "b");
            decode_simply(&simple, buf_view(&text));
            check(MIME_ENCODING_QUOTED_PRINTABLE, buf_view(&text), buf_view(&simple));
        }
    }
    /* The same after a "=": a soft line break as long as the run is short. */
    for (size_t n = DECODE_SPACE_MAX - 2; n < DECODE_SPACE_MAX + 3; n++) {
        buf_clear(&text);
        buf_clear(&simple);
        buf_put_str(&text, "a=");
        for (size_t k = 0; k < n; k++)
            buf_put_byte(&text, ' ');
        buf_put_str(&text, "\r\n");
        buf_put(&simple, n < DECODE_SPACE_MAX ? VIEW("a") : buf_view(&text));
        check(MIME_ENCODING_QUOTED_PRINTABLE, buf_view(&text), buf_view(&simple));
    }
    buf_fini(&text);
    buf_fini(&simple);
}

/* A part of a stream is decoded like one in memory, and errors of the source come out in the buf. */
static void test_bodies(void **state) {
    (void)state;
    struct buf bytes, out, same;
    buf_init(&bytes, 1 << 24);
    buf_init(&out, 1 << 24);
    buf_init(&same, 1 << 24);
    static const char *const encodings[] = {"base64", "quoted-printable", "8bit"};
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        buf_clear(&bytes);
        buf_clear(&out);
        buf_clear(&same);
        buf_printf(&bytes, "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: %s\r\n\r\n",
                   encodings[i]);
        for (size_t k = 0; k < 5000; k++)
            buf_put_str(&bytes, "QUJD\r\nRA==\r\n=E9 \r\n");
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message whole, stream;
        struct message_source_memory source;
        message_source_memory_init(&source, buf_view(&bytes));
        assert_int_equal(message_parse(arena, buf_view(&bytes), &whole), ERR_OK);
        assert_int_equal(message_parse_source(arena, &source.source, &stream), ERR_OK);
        decode_put_body(&out, &stream, stream.root);
        decode_put_body(&same, &whole, whole.root);
        assert_int_equal(buf_err(&out), ERR_OK);
        assert_true(out.n > 10000 && view_eq(buf_view(&out), buf_view(&same)));
        buf_clear(&out);
        buf_clear(&same);
        decode_put_text(&out, NULL, &stream, stream.root);
        decode_put_text(&same, NULL, &whole, whole.root);
        assert_int_equal(buf_err(&out), ERR_OK);
        assert_true(out.n > 10000 && view_eq(buf_view(&out), buf_view(&same)));
        message_source_memory_init(&source, view_sub(buf_view(&bytes), 0, 1000));
        buf_clear(&out);
        decode_put_body(&out, &stream, stream.root);
        assert_int_equal(buf_err(&out), ERR_NOT_FOUND);
        arena_free(arena);
    }
    buf_fini(&bytes);
    buf_fini(&out);
    buf_fini(&same);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_generated),
        cmocka_unit_test(test_spaces),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
