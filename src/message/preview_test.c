/* Previews. */
#include "message/testing.h"

#include "message/corpus_testing.h"
#include "message/preview.h"

#include "base/utf8.h"

static struct charset_table charsets;

/* RFC8970-3.3. */
static void test_previews(void **state) {
    (void)state;
    static const struct {
        const char *message, *preview;
    } table[] = {
        {"", ""},
        {"Subject: x\n\n  one\r\n\ttwo \x01 three\n", "one two three"},
        {"Subject: x\n\n> quoted\n  > too\nanswer\n", "answer"},
        {"Content-Type: text/html\n\n<style>x</style><p>Hello&nbsp;<b>you</b></p><div>bye", "Hello you bye"},
        {"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9=\n!",
         "caf\xc3\xa9!"},
        {"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\nhtml\n--b\n\nplain\n--b--",
         "plain"},
        {"Content-Type: multipart/alternative; boundary=b\n\n--b\n\n \n--b\nContent-Type: text/html\n\nhtml\n--b--",
         "html"},
        {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\n\nno\n--b\n\nyes\n--b--",
         "yes"},
        /* Quotes and who is quoted, signatures, rules. */
        {"Subject: x\n\nOn Monday A <a@b.example> wrote:\n\n> quoted\nanswer:\n\nyes\n-- \nname\n", "answer: yes"},
        {"Subject: x\n\n> only\n> quotes\n", "> only > quotes"},
        {"Subject: x\n\nShort.\n-----Original Message-----\nFrom: x\n", "Short."},
        {"Subject: x\n\n-- \nonly a signature\n", "-- only a signature"},
        {"Subject: x\n\n=====\nTitle\n=====\ntext\n", "Title text"},
        {"Content-Type: text/html\n\n<blockquote>said</blockquote><p>answer", "answer"},
        {"Content-Type: text/html\n\n<blockquote>said</blockquote>", "said"},
        {"Content-Type: text/html\n\n<div style='display:none'>Offer! &zwnj;&nbsp;&#847;&zwnj;&nbsp;</div><p>Hello",
         "Offer! Hello"},
        {"Content-Type: text/html\n\n<meta charset=koi8-r><p>\xf0\xd2\xc9", "\xd0\x9f\xd1\x80\xd0\xb8"},
        {"Content-Type: text/plain; format=flowed\n\none \ntwo\n", "one two"},
        /* Joiners stay where they join. */
        {"Subject: x\n\n\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 a\xe2\x80\x8d b",
         "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 a b"},
        {"Content-Type: image/png\n\nAAAA", ""},
        {"Subject: x\n\na\xe2\x80\x8b\xcd\x8f"
         "b\xc2\xa0"
         "c",
         "ab c"},
    };
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message m;
        buf_clear(&out);
        assert_int_equal(message_parse(arena, view_cstr(table[i].message), &m), ERR_OK);
        message_preview_put(&out, &charsets, &m);
        assert_view(buf_view(&out), table[i].preview);
        arena_free(arena);
    }
    buf_fini(&out);
}

static void check_file(const char *name, struct view bytes, void *arg) {
    size_t *with_text = arg;
    struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
    message_preview_put(&out, NULL, &m);
    size_t characters = 0;
    for (size_t i = 0; i < out.n; i++) {
        characters += (out.p[i] & 0xc0) != 0x80;
        if (out.p[i] < ' ')
            fail_msg("%s: a control character", name);
    }
    assert_int_equal(buf_err(&out), ERR_OK);
    assert_true(utf8_is_valid(buf_view(&out)));
    assert_true(characters <= PREVIEW_CHARACTERS);
    *with_text += out.n > 0;
    buf_fini(&out);
    arena_free(arena);
}

static void test_corpus(void **state) {
    (void)state;
    size_t with_text = 0;
    size_t count = corpus_each("", check_file, &with_text);
    if (count == 0) /* the corpus is not here */
        skip();
    print_message("%zu of %zu have a preview\n", with_text, count);
    assert_true(with_text > count * 3 / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_previews), cmocka_unit_test(test_corpus)};
    if (charset_prepare(&charsets) != ERR_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    charset_fini(&charsets);
    return failed;
}
