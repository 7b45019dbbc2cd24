/* Previews. */
#include "message/testing.h"

#include "message/corpus_testing.h"
#include "message/preview.h"

#include "base/utf8.h"

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
        message_preview_put(&out, NULL, &m);
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
    return cmocka_run_group_tests(tests, NULL, NULL);
}
