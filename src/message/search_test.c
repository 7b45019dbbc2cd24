/* Transfer encodings and search. */
#include "message/testing.h"

#include "message/search.h"
#include "message/stream_parse.h"

#include "base/utf8.h"

#include <string.h>
#include <unicase.h>

/* RFC2045-6.8. */
static void test_base64(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } table[] = {
        {"", ""},    {"YQ==", "a"},     {"YWI=", "ab"},      {"YWJj", "abc"}, {"YW\r\nJj\r\n", "abc"},
        {"YQ", "a"}, {"YW!J*j", "abc"}, {"YQ==YWI=", "aab"}, {"Y", ""},       {"====", ""},
    };
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buf_clear(&out);
        decode_put_base64(&out, view_cstr(table[i].text));
        assert_view(buf_view(&out), table[i].expected);
    }
    /* Any octets, in any line length, read back. */
    struct buf text, folded;
    uint8_t bytes[10000];
    buf_init(&text, 65536);
    buf_init(&folded, 65536);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    buf_put_base64(&text, view_of(bytes, sizeof(bytes)));
    for (size_t i = 0; i < text.n; i++) {
        buf_put_byte(&folded, text.p[i]);
        if (i % 61 == 60)
            buf_put_str(&folded, "\r\n");
    }
    buf_clear(&out);
    decode_put_base64(&out, buf_view(&folded));
    assert_true(view_eq(buf_view(&out), view_of(bytes, sizeof(bytes))));
    buf_fini(&text);
    buf_fini(&folded);
    buf_fini(&out);
}

/* RFC2045-6.7. */
static void test_quoted_printable(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } table[] = {
        {"", ""},
        {"plain\r\ntext\n", "plain\r\ntext\n"},
        {"a=20b=3D=3d", "a b=="},
        {"soft=\r\nbreak= \t\nhere", "softbreakhere"},
        {"trailing \t\r\nspace ", "trailing\r\nspace"},
        {"bad=zz=4=\n=", "bad=zz=4"},
        {"=E2=82=AC", "\xe2\x82\xac"},
        {"\n\n", "\n\n"},
    };
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buf_clear(&out);
        decode_put_quoted_printable(&out, view_cstr(table[i].text));
        assert_view(buf_view(&out), table[i].expected);
    }
    buf_fini(&out);
}

static const char *const message_text = "Subject: =?utf-8?q?Caf=C3=A9?= =?utf-8?q?_au_lait?=\r\n"
                                        "From: Someone <one@example.org>\r\n"
                                        "Content-Type: multipart/mixed; boundary=b\r\n"
                                        "\r\n"
                                        "preamble\r\n"
                                        "--b\r\n"
                                        "Content-Type: text/plain; charset=iso-8859-1\r\n"
                                        "Content-Transfer-Encoding: quoted-printable\r\n"
                                        "\r\n"
                                        "Gr=FC=\r\nsse aus M=DCNCHEN\r\n"
                                        "--b\r\n"
                                        "Content-Type: text/html; charset=utf-8\r\n"
                                        "Content-Transfer-Encoding: base64\r\n"
                                        "\r\n"
                                        "0J/RgNC40LLQtdGC\r\n"
                                        "--b\r\n"
                                        "Content-Type: message/rfc822\r\n"
                                        "\r\n"
                                        "Subject: inner subject\r\n"
                                        "\r\n"
                                        "inner text\r\n"
                                        "--b\r\n"
                                        "Content-Type: application/octet-stream; name=invoice.pdf\r\n"
                                        "\r\n"
                                        "binary needle\r\n"
                                        "--b--\r\n";

static bool find(const struct message *m, const char *name, const char *text) {
    struct buf key, work;
    buf_init(&key, 1000);
    buf_init(&work, 65536);
    search_fold(&key, view_cstr(text));
    bool found = name == NULL
                     ? search_body(NULL, m, buf_view(&key), &work)
                     : search_header(NULL, message_part_header(m, m->root), view_cstr(name), buf_view(&key), &work);
    buf_fini(&key);
    buf_fini(&work);
    return found;
}

/* RFC3501-6.4.4: HEADER, BODY and TEXT, case-insensitive and decoded. */
static void test_search(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    assert_int_equal(message_parse(arena, view_cstr(message_text), &m), ERR_OK);
    assert_true(find(&m, "subject", "CAF\xc3\x89 AU"));
    assert_true(find(&m, "Subject", ""));
    assert_false(find(&m, "Cc", ""));
    assert_true(find(&m, "Subject", "cafe")); /* a decomposed text begins so */
    assert_false(find(&m, "Subject", "cafe au"));
    assert_true(find(&m, "FROM", "EXAMPLE.org>"));
    assert_true(find(&m, "", "from: some"));
    assert_true(find(&m, NULL, "GR\xc3\x9cSSE"));
    assert_true(find(&m, NULL, "m\xc3\xbcnchen"));
    assert_true(find(&m, NULL, "\xd0\xbf\xd0\xa0\xd0\xb8"));
    assert_true(find(&m, NULL, "inner SUBJECT"));
    assert_true(find(&m, NULL, "inner text"));
    assert_true(find(&m, NULL, "invoice.pdf"));
    assert_false(find(&m, NULL, "needle"));
    assert_false(find(&m, NULL, "au lait"));
    assert_true(find(&m, NULL, ""));
    arena_free(arena);
}

static void test_fold(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } table[] = {
        {"ABC[xyz", "abc[XYZ", true},
        {"\xc3\x80\xc3\x9e", "\xc3\xa0\xc3\xbe", true},                 /* Latin-1 */
        {"\xc4\xb9\xc5\x8a\xc5\xb8", "\xc4\xba\xc5\x8b\xc3\xbf", true}, /* Latin Extended-A */
        {"\xce\x91\xce\xa9\xcf\x82", "\xce\xb1\xcf\x89\xce\xa3", true}, /* Greek, final sigma */
        {"\xd0\x81\xd0\x90\xd0\xaf", "\xd1\x91\xd0\xb0\xd1\x8f", true}, /* Cyrillic */
        {"\xd4\xb1\xd5\xb8", "\xd5\xa1\xd5\x88", true},                 /* Armenian */
        {"Stra\xc3\x9f"
         "e",
         "STRASSE", true},                                      /* full folding */
        {"\xef\xac\x83", "FFI", true},                          /* a ligature */
        {"\xc3\xa9", "E\xcc\x81", true},                        /* composed and not */
        {"a\xcc\xa3\xcc\x87", "A\xcc\x87\xcc\xa3", true},       /* marks in another order */
        {"\xef\xbc\xa1\xe2\x91\xa0\xe3\x8e\x85", "a1kb", true}, /* full width, circled, square */
        {"\xf0\x9d\x94\x84\xe2\x84\xab", "a\xc3\xa5", true},    /* mathematical, the unit of length */
        {"\xea\xb0\x80", "\xe1\x84\x80\xe1\x85\xa1", true},     /* Hangul and its letters */
        {"\xc7\x84", "D\xc5\xbe", true},                        /* the example of RFC5051-2 */
        {"\xc4\xb1", "I", true},
        {"\xff", "\xef\xbf\xbd", true},
        {"e", "\xc3\xa9", false},
        {"\xc3\x97", "x", false},
    };
    struct buf a, b;
    buf_init(&a, 1000);
    buf_init(&b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buf_clear(&a);
        buf_clear(&b);
        search_fold(&a, view_cstr(table[i].a));
        search_fold(&b, view_cstr(table[i].b));
        if (view_eq(buf_view(&a), buf_view(&b)) != table[i].equal)
            fail_msg("case %zu: %.*s and %.*s", i, VIEW_FMT(buf_view(&a)), VIEW_FMT(buf_view(&b)));
    }
    buf_fini(&a);
    buf_fini(&b);
}

/* RFC5051-2: for every character there is, its title form and its decomposition fold to the same; folding again changes
 * nothing. */
static void test_every_character(void **state) {
    (void)state;
    struct buf text, folded, other;
    buf_init(&text, 1000);
    buf_init(&folded, 1000);
    buf_init(&other, 1000);
    for (uint32_t cp = 1; cp < 0x110000; cp++) {
        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        buf_clear(&text);
        buf_clear(&folded);
        buf_clear(&other);
        buf_put_utf8(&text, cp);
        search_fold(&folded, buf_view(&text));
        search_fold(&other, buf_view(&folded));
        if (!view_eq(buf_view(&folded), buf_view(&other)))
            fail_msg("U+%04X: not stable", cp);
        ucs4_t title = uc_totitle(cp);
        if (title != cp) {
            buf_clear(&text);
            buf_clear(&other);
            buf_put_utf8(&text, title);
            search_fold(&other, buf_view(&text));
            if (!view_eq(buf_view(&folded), buf_view(&other)))
                fail_msg("U+%04X: differs from U+%04X", cp, title);
        }
    }
    buf_fini(&text);
    buf_fini(&folded);
    buf_fini(&other);
}

/* A key is found wherever it lies in a long text, over every cut. */
static void test_long_text(void **state) {
    (void)state;
    struct buf text, key;
    buf_init(&text, 1000000);
    buf_init(&key, 1000);
    search_fold(&key, VIEW("\xd0\x98\xd0\xb3\xd0\xbb\xd0\xb0 E\xcc\xa3\xcc\x81!"));
    for (size_t at = 16300; at < 16420; at++) {
        buf_clear(&text);
        for (size_t i = 0; i < at; i++)
            buf_put_str(&text, i % 7 == 0 ? "\xd1\x8f" : i % 3 == 0 ? "\xe6\x97\xa5" : "x");
        struct view before = utf8_truncate(buf_view(&text), at);
        text.n = before.n;
        assert_false(search_text(buf_view(&text), buf_view(&key)));
        buf_put_str(&text, "\xd0\xb8\xd0\x93\xd0\xbb\xd0\xb0 \xe1\xba\xb9\xcc\x81! and more");
        assert_true(search_text(buf_view(&text), buf_view(&key)));
    }
    assert_true(search_text(VIEW(""), VIEW("")));
    assert_false(search_text(VIEW(""), VIEW("x")));
    buf_fini(&text);
    buf_fini(&key);
}

/* What HTML shows is found, what it is made of is not. */
static void test_html(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    assert_int_equal(
        message_parse(arena,
                      VIEW("Content-Type: text/html; charset=utf-8\n\n<style>p{}</style><p class=x>Caf&eacute; "
                           "<b>au</b>\n lait<!-- no --><img alt=picture><br>next"),
                      &m),
        ERR_OK);
    assert_true(find(&m, NULL, "CAF\xc3\x89 AU LAIT"));
    assert_true(find(&m, NULL, "picture"));
    assert_false(find(&m, NULL, "class"));
    assert_false(find(&m, NULL, "eacute"));
    assert_false(find(&m, NULL, "no"));
    arena_free(arena);
}

/* Texts of several windows: a key lies across every border, is found to the last octet, and only once it is there. */
static void test_windows(void **state) {
    (void)state;
    static const struct {
        const char *header;
        bool is_base64;
    } table[] = {
        {"Content-Type: text/plain; charset=utf-8\r\n\r\n", false},
        {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", true},
    };
    struct buf text, message, key;
    buf_init(&text, 1000000);
    buf_init(&message, 1000000);
    buf_init(&key, 100);
    search_fold(&key, VIEW("Gr\xc3\xbc\xc3\x9f Needle"));
    size_t at[] = {0, 49140, 49150, 65520, 65530, 65535, 65536, 98290, 131060, 131070, 199980};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        for (size_t k = 0; k <= ARRAY_LEN(at); k++) {
            struct message_source_memory source;
            struct message parsed, streamed;
            struct buf work;
            struct arena *arena = arena_new("test", 2 * MESSAGE_ARENA_BUDGET);
            buf_clear(&text);
            buf_clear(&message);
            while (text.n < 200000)
                buf_put_str(&text, "gr\xc3\xbc\xc3\x9f needl ");
            struct view needle = k == ARRAY_LEN(at) ? VIEW("") : VIEW("GR\xc3\x9c\xc3\x9f NEEDLE");
            if (needle.n > 0)
                memcpy(text.p + at[k], needle.p, needle.n);
            buf_put_str(&message, table[i].header);
            if (table[i].is_base64)
                buf_put_base64(&message, buf_view(&text));
            else
                buf_put(&message, buf_view(&text));
            message_source_memory_init(&source, buf_view(&message));
            assert_int_equal(message_parse(arena, buf_view(&message), &parsed), ERR_OK);
            assert_int_equal(message_parse_source(arena, &source.source, &streamed), ERR_OK);
            buf_init(&work, 1000);
            if (search_body(NULL, &parsed, buf_view(&key), &work) != (needle.n > 0) ||
                search_body(NULL, &streamed, buf_view(&key), &work) != (needle.n > 0))
                fail_msg("case %zu, needle at %zu", i, k < ARRAY_LEN(at) ? at[k] : 0);
            assert_int_equal(buf_err(&work), ERR_OK);
            buf_fini(&work);
            arena_free(arena);
        }
    buf_fini(&text);
    buf_fini(&message);
    buf_fini(&key);
}

static enum err failing_read(struct message_source *source, uint64_t offset, void *p, size_t n, size_t *got) {
    (void)source;
    (void)offset;
    (void)p;
    (void)n;
    (void)got;
    return ERR_IO;
}

/* A source that fails is no "not found". */
static void test_failing_source(void **state) {
    (void)state;
    struct message_source_memory source;
    struct message m;
    struct buf work;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    buf_init(&work, 1000);
    message_source_memory_init(&source, VIEW("Subject: x\r\n\r\ntext\r\n"));
    assert_int_equal(message_parse_source(arena, &source.source, &m), ERR_OK);
    assert_false(search_body(NULL, &m, VIEW("not"), &work));
    assert_int_equal(buf_err(&work), ERR_OK);
    source.source.read = failing_read;
    assert_false(search_body(NULL, &m, VIEW("text"), &work));
    assert_int_equal(buf_err(&work), ERR_IO);
    buf_fini(&work);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),          cmocka_unit_test(test_failing_source), cmocka_unit_test(test_base64),
        cmocka_unit_test(test_quoted_printable), cmocka_unit_test(test_search),         cmocka_unit_test(test_fold),
        cmocka_unit_test(test_every_character),  cmocka_unit_test(test_long_text),      cmocka_unit_test(test_html),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
