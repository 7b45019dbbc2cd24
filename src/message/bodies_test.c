/* Bodies and attachments, names, sizes. */
#include "message/testing.h"

#include "message/bodies.h"
#include "message/corpus_testing.h"

/* RFC8621-4.1.4: the example, and trees that real mail is made of. Parts are named by their Content-ID. */
#define PART(id, rest) "--b\nContent-ID: <" id ">\n" rest "\n\nx\n"
#define PLAIN "Content-Type: text/plain"
#define HTML "Content-Type: text/html"
#define INLINE "\nContent-Disposition: inline"
#define ATTACHED "\nContent-Disposition: attachment"

static const struct {
    const char *message, *text, *html, *attachments;
    bool has_attachment;
} table[] = {
    {"Content-ID: <a>\n\nx", "a", "a", "", false},
    {"Content-ID: <a>\n" HTML "\n\nx", "a", "a", "", false},
    {"Content-ID: <a>\nContent-Type: application/pdf\n\nx", "", "", "a", true},
    {"Content-ID: <a>\nContent-Type: image/png\n\nx", "a", "a", "", false},
    {"Content-ID: <a>\n" PLAIN ATTACHED "\n\nx", "", "", "a", true},
    {"Content-Type: multipart/alternative; boundary=b\n\n" PART("a", PLAIN) PART("b", HTML) "--b--", "a", "b", "",
     false},
    {"Content-Type: multipart/alternative; boundary=b\n\n" PART("a", HTML) "--b--", "a", "a", "", false},
    {"Content-Type: multipart/alternative; boundary=b\n\n" PART("a", PLAIN)
         PART("c", "Content-Type: text/calendar") "--b--",
     "a", "a", "c", true},
    {"Content-Type: multipart/alternative; boundary=b\n\n" PART("a", PLAIN) PART("b", HTML)
         PART("c", "Content-Type: image/png") "--b--",
     "a", "b", "c", true},
    {"Content-Type: multipart/related; boundary=b\n\n" PART("a", HTML) PART("b", "Content-Type: image/png" INLINE)
         PART("c", PLAIN INLINE) "--b--",
     "a", "a", "bc", false},
    {"Content-Type: multipart/mixed; boundary=b\n\n" PART("a", PLAIN "; name=first.txt")
         PART("b", PLAIN "; name=second.txt") PART("c", PLAIN) PART("d", "Content-Type: image/png; name=x.png")
             PART("e", PLAIN "\nContent-Disposition: inline; filename*=utf-8''x") "--b--",
     "acd", "acd", "be", true},
    {"Content-Type: multipart/mixed; boundary=a\n\n"
     "--a\nContent-ID: <A>\n" PLAIN INLINE "\n\nx\n"
     "--a\nContent-Type: multipart/mixed; boundary=c\n\n"
     "--c\nContent-Type: multipart/alternative; boundary=d\n\n"
     "--d\nContent-Type: multipart/mixed; boundary=b\n\n" PART("B", PLAIN INLINE) PART("C", "Content-Type: "
                                                                                            "image/jpeg" INLINE)
         PART("D",
              PLAIN INLINE) "--b--\n"
                            "--d\nContent-Type: multipart/related; boundary=b\n\n" PART("E", HTML) PART(
                                "F",
                                "Content-Type: image/jpeg") "--b--\n"
                                                            "--d--\n"
                                                            "--c\nContent-ID: <G>\nContent-Type: image/jpeg" ATTACHED
                                                            "\n\nx\n"
                                                            "--c\nContent-ID: <H>\nContent-Type: "
                                                            "application/x-excel\n\nx\n"
                                                            "--c\nContent-ID: <J>\nContent-Type: "
                                                            "message/rfc822\n\nContent-ID: <no>\n\nx\n"
                                                            "--c--\n"
                                                            "--a\nContent-ID: <K>\n" PLAIN INLINE "\n\nx\n"
                                                            "--a--\n",
     "ABCDK", "AEK", "CFGHJ", true},
    /* An alternative in the wrong half of another: nothing is lost. */
    {"Content-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=c\n\n"
     "--c\nContent-ID: <A>\n" PLAIN "\n\nx\n"
     "--c\nContent-Type: multipart/alternative; boundary=b\n\n" PART("B", PLAIN)
         PART("C", HTML) "--b--\n--c--\n--a--\n",
     "AB", "AB", "C", true},
};

static void put_ids(struct buf *out, const struct message_parts *parts) {
    buf_clear(out);
    for (size_t i = 0; i < parts->count; i++)
        buf_put(out, view_sub(parts->list[i]->id, 1, 1));
}

static void test_find(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message m;
        struct message_bodies bodies;
        assert_int_equal(message_parse(arena, view_cstr(table[i].message), &m), ERR_OK);
        assert_int_equal(message_bodies_find(arena, &m, &bodies), ERR_OK);
        put_ids(&out, &bodies.text);
        assert_view(buf_view(&out), table[i].text);
        put_ids(&out, &bodies.html);
        assert_view(buf_view(&out), table[i].html);
        put_ids(&out, &bodies.attachments);
        assert_view(buf_view(&out), table[i].attachments);
        assert_int_equal(bodies.has_attachment, table[i].has_attachment);
        arena_free(arena);
    }
    buf_fini(&out);
    struct arena *small = arena_new("small", 10);
    struct mime_part part = {.type = VIEW("text"), .subtype = VIEW("plain"), .is_root = true};
    struct message m = {.root = &part, .part_count = 1};
    struct message_bodies bodies;
    assert_int_equal(message_bodies_find(small, &m, &bodies), ERR_LIMIT);
    arena_free(small);
}

/* RFC2183-2.3, RFC2231-4, RFC2047-5. */
static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *header, *name;
    } names[] = {
        {"X: y\n", ""},
        {"Content-Type: text/plain; name=a.txt\n", "a.txt"},
        {"Content-Type: text/plain; name=a.txt\nContent-Disposition: inline; filename=b.txt\n", "b.txt"},
        {"Content-Type: text/plain; name=a.txt\nContent-Disposition: inline; filename=\" \"\n", "a.txt"},
        {"Content-Disposition: attachment; filename*0*=utf-8''caf%C3; filename*1*=%A9.txt\n", "caf\xc3\xa9.txt"},
        {"Content-Disposition: attachment; filename=\"=?iso-8859-1?q?caf=E9?=.txt\"\n", "caf\xc3\xa9.txt"},
        {"Content-Disposition: attachment; filename=\"../../etc/passwd\"\n", "../../etc/passwd"},
    };
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct arena *arena = arena_new("test", MESSAGE_ARENA_BUDGET);
        struct message m;
        buf_clear(&out);
        assert_int_equal(message_parse(arena, view_cstr(names[i].header), &m), ERR_OK);
        mime_part_put_name(&out, NULL, m.root);
        assert_view(buf_view(&out), names[i].name);
        arena_free(arena);
    }
    /* A long name keeps its extension. */
    struct mime_param param = {VIEW("name"), VIEW_NONE};
    struct mime_part part = {.params = {&param, 1}};
    struct buf value;
    buf_init(&value, 65536);
    for (int i = 0; i < 1000; i++)
        buf_put_str(&value, "\xc3\xa9");
    buf_put_str(&value, ".tar");
    param.value = buf_view(&value);
    buf_clear(&out);
    mime_part_put_name(&out, NULL, &part);
    assert_int_equal(out.n, ATTACHMENT_NAME_MAX);
    assert_true(view_ends(buf_view(&out), VIEW("\xc3\xa9.tar")));
    buf_fini(&value);
    buf_fini(&out);
}

static void check_file(const char *name, struct view bytes, void *arg) {
    (void)arg;
    struct arena *arena = arena_new("test", 2 * (size_t)MESSAGE_ARENA_BUDGET);
    struct message m;
    struct message_bodies bodies;
    struct buf out;
    buf_init(&out, 1 << 26);
    assert_int_equal(message_parse(arena, bytes, &m), ERR_OK);
    assert_int_equal(message_bodies_find(arena, &m, &bodies), ERR_OK);
    /* Every leaf outside of embedded messages is somewhere. */
    for (const struct mime_part *p = m.root; p != NULL; p = message_part_next(p)) {
        const struct mime_part *top = p;
        size_t found = 0;
        while (!top->is_root)
            top = top->parent;
        const struct message_parts *lists[] = {&bodies.text, &bodies.html, &bodies.attachments};
        for (size_t k = 0; k < ARRAY_LEN(lists); k++)
            for (size_t i = 0; i < lists[k]->count; i++)
                found += lists[k]->list[i] == p;
        if ((found > 0) != (top == m.root && !p->is_multipart))
            fail_msg("%s: a part is lost", name);
        uint64_t size = 0;
        buf_clear(&out);
        decode_put_body(&out, &m, p);
        assert_int_equal(mime_part_decoded_size(&m, p, &size), ERR_OK);
        assert_int_equal(size, out.n);
    }
    buf_fini(&out);
    arena_free(arena);
}

static void test_corpus(void **state) {
    (void)state;
    if (corpus_each("", check_file, NULL) == 0) /* the corpus is not here */
        skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_corpus)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
