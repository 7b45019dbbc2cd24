/* Readable text of messages. */
#include "message/testing.h"

#include "message/corpus_testing.h"
#include "message/stream_parse.h"
#include "message/text.h"

#include "base/utf8.h"

static struct charset_table charsets;

static const struct {
    const char *message, *read, *index;
} table[] = {
    {"", "", ""},
    {"Subject: s\n\n one\r\n\ttwo \x01\x1b[1m three\n\n\n", " one\n\ttwo [1m three\n", "one two [1m three\n"},
    /* One form to read, all to find. */
    {"Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\nContent-Type: "
     "text/html\n\n<p>ht<b>ml</b>\n--b--",
     "plain\n", "plain\nhtml\n"},
    {"Content-Type: multipart/alternative; boundary=b\n\n--b\n\n \n--b\nContent-Type: text/html\n\n<p>html\n--b--",
     "html\n", "html\n"},
    /* RFC3676-4 */
    {"Content-Type: text/plain; format=flowed\n\n> one \n> two\nthree \nfour\n", "> one two\nthree four\n",
     "> one two three four\n"},
    {"Content-Type: text/plain; Format=Flowed; DelSp=Yes\n\none \ntwo\n", "onetwo\n", "onetwo\n"},
    /* Charsets: of the document when the part has none. */
    {"Content-Type: text/html\n\n<meta charset=koi8-r><p>\xf0\xd2\xc9", "\xd0\x9f\xd1\x80\xd0\xb8\n",
     "\xd0\x9f\xd1\x80\xd0\xb8\n"},
    {"Content-Type: text/html; charset=koi8-r\n\n<meta charset=utf-8><p>\xf0", "\xd0\x9f\n", "\xd0\x9f\n"},
    {"Content-Type: text/html; charset=x-none\nContent-Transfer-Encoding: base64\n\nPG1ldGEgY2hhcnNldD1rb2k4LXI+8A==",
     "\xd0\x9f\n", "\xd0\x9f\n"},
    {"Content-Type: text/html\n\n<meta charset=latin1>caf\xc3\xa9", "caf\xc3\xa9\n", "caf\xc3\xa9\n"},
    {"Content-Type: text/plain\n\n\xef\xbb\xbf"
     "a\xe2\x80\x8b\xc2\xad"
     "b",
     "a\xe2\x80\x8b\xc2\xad"
     "b\n",
     "ab\n"},
    /* Parts after each other, attachments, messages inside. */
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n"
     "--b\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nAAAA\n"
     "--b\nContent-Type: text/csv\nContent-Disposition: attachment; filename=\"x\xc3\xa9.csv\"\n\n1,2\n"
     "--b\nContent-Type: message/rfc822\n\nSubject: =?utf-8?q?in=C3=A9r?=\nFrom: A <a@b.example>\n\ninner\n"
     "--b--\n",
     "one\n\ntwo\n\n[a.pdf, application/pdf, 3 B]\n[x\xc3\xa9.csv, text/csv, 3 B]\n\n----------------\nFrom: A "
     "<a@b.example>\n"
     "Subject: in\xc3\xa9r\n\ninner\n",
     "one\ntwo\na.pdf\nx\xc3\xa9.csv\n1,2\nin\xc3\xa9r\nA <a@b.example>\ninner\n"},
    {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png; name=i.png\n\nxx\n--b\n\nunder "
     "it\n--b--",
     "[i.png, image/png, 2 B]\n\nunder it\n", "i.png\nunder it\n"},
};

static void check_read(const struct message *m, const char *read, const char *index) {
    struct buf out;
    buf_init(&out, 1 << 20);
    message_text_put(&out, &charsets, m);
    assert_view(buf_view(&out), read);
    buf_clear(&out);
    message_index_text_put(&out, &charsets, m);
    assert_view(buf_view(&out), index);
    assert_int_equal(buf_err(&out), ERR_OK);
    buf_fini(&out);
}

static void test_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new("test", 2 * (size_t)MESSAGE_ARENA_BUDGET);
        struct message m;
        struct message_source_memory source;
        assert_int_equal(message_parse(arena, view_cstr(table[i].message), &m), ERR_OK);
        check_read(&m, table[i].read, table[i].index);
        /* The same when bodies are read from a source. */
        message_source_memory_init(&source, view_cstr(table[i].message));
        assert_int_equal(message_parse_source(arena, &source.source, &m), ERR_OK);
        check_read(&m, table[i].read, table[i].index);
        arena_free(arena);
    }
}

static void test_limits(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf text, out;
    buf_init(&text, 1 << 24);
    buf_init(&out, 1 << 26);
    buf_put_str(&text, "Content-Type: text/plain; charset=windows-1251\n\n");
    size_t begin = text.n;
    for (int i = 0; i < 5 * 1024 * 1024 / 4; i++)
        buf_put_str(&text, "\xcf\xf0 \n");
    assert_int_equal(message_parse(arena, buf_view(&text), &m), ERR_OK);
    message_text_put(&out, &charsets, &m);
    assert_true(view_ends(buf_view(&out), VIEW("\n[...]\n")));
    assert_int_equal(out.n, (size_t)TEXT_READ_SOURCE_MAX / 4 * 6 + 6);
    buf_clear(&out);
    message_index_text_put(&out, &charsets, &m);
    assert_int_equal(out.n, TEXT_INDEX_SOURCE_MAX / 4 * 5);
    /* Many parts of that size: the index ends at its own limit. */
    buf_clear(&out);
    buf_clear(&text);
    buf_put_str(&text, "Content-Type: multipart/mixed; boundary=b\n\n");
    for (int k = 0; k < 6; k++) {
        buf_put_str(&text, "--b\n\n");
        for (int i = 0; i < TEXT_INDEX_SOURCE_MAX / 10; i++)
            buf_put_str(&text, "words and\n");
    }
    arena_clear(arena);
    assert_int_equal(message_parse(arena, buf_view(&text), &m), ERR_OK);
    message_index_text_put(&out, &charsets, &m);
    assert_true(out.n <= TEXT_INDEX_MAX && out.n > TEXT_INDEX_MAX - 20);
    /* The caller's own limit is an error of its buf. */
    struct buf little;
    buf_init(&little, 10);
    message_text_put(&little, &charsets, &m);
    assert_int_equal(buf_err(&little), ERR_LIMIT);
    assert_true(begin > 0);
    buf_fini(&little);
    buf_fini(&text);
    buf_fini(&out);
    arena_free(arena);
}

static void check_file(const char *name, struct view bytes, void *arg) {
    size_t *with_text = arg;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf out;
    buf_init(&out, 1 << 26);
    assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
    message_text_put(&out, &charsets, &m);
    *with_text += out.n > 0;
    if (!utf8_is_valid(buf_view(&out)) || (out.n > 0 && !view_ends(buf_view(&out), VIEW("\n"))))
        fail_msg("%s: no text in lines", name);
    message_index_text_put(&out, &charsets, &m);
    if (!utf8_is_valid(buf_view(&out)) || buf_err(&out) != ERR_OK)
        fail_msg("%s: no text for the index", name);
    buf_fini(&out);
    arena_free(arena);
}

static void test_corpus(void **state) {
    (void)state;
    size_t with_text = 0;
    size_t count = corpus_each("", check_file, &with_text);
    if (count == 0) /* the corpus is not here */
        skip();
    print_message("%zu of %zu have text\n", with_text, count);
    assert_true(with_text > count * 3 / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_corpus)};
    if (charset_prepare(&charsets) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    charset_fini(&charsets);
    return failed;
}
