/* Header fields and parameters. */
#include "message/testing.h"

#include "message/header.h"
#include "message/params.h"

/* RFC5322-2.2 fields, RFC5322-2.2.3 folding, RFC5322-4.5 white space before the colon, RFC6532-3.2 8-bit octets. */
static const struct {
    const char *header, *fields; /* "name=value(unfolded)|..." */
} headers[] = {
    {"", ""},
    {"A: b\r\n\r\nC: d\r\n", "A=b|"},
    {"A: b\n c\nD:e\n\n", "A=b c|D=e|"},
    {"A: b\r\n\tc\r\n \r\nD: e", "A=b\tc|D=e|"},
    {"A :b\nB\t: c\n", "A=b|B=c|"},
    {"From x y:z\nA: b\n", "A=b|"},
    {"garbage\n A: continues\nB: c\n", "B=c|"},
    {" A: b\nB: c\n", "B=c|"},
    {": no name\nB: c\n", "B=c|"},
    {"A: b\rc: d\nE: f\n", "A=b\rc: d|E=f|"},
    {"A: b\rC: d\r\rE: f\r", "A=b|C=d|"},
    {"A:\nB:\n", "A=|B=|"},
    {"\xc3\xa9: b\n", "\xc3\xa9=b|"},
    {"\xef\xbb\xbf"
     "A: b\nC: d\n",
     "A=b|C=d|"}, /* a byte order mark */
    {"A: b\n\xef\xbb\xbf"
     "C: d\n",
     "A=b|\xef\xbb\xbf"
     "C=d|"},
};

static void test_iterate(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct header_iter it;
        struct header_field f;
        struct view header = view_cstr(headers[i].header);
        buf_clear(&out);
        header_iter_init(&it, header);
        while (header_next(&it, &f)) {
            assert_ptr_equal(f.raw.p, header.p + f.offset);
            buf_put(&out, f.name);
            buf_put_byte(&out, '=');
            header_put_unfolded(&out, f.value);
            buf_put_byte(&out, '|');
        }
        assert_view(buf_view(&out), headers[i].fields);
    }
    buf_fini(&out);
}

/* RFC3501-6.4.5: HEADER.FIELDS and HEADER.FIELDS.NOT. */
static void test_find_and_subset(void **state) {
    (void)state;
    struct view header = VIEW("Subject: one\r\nX-A: 1\r\nTO: a\r\n b\r\nsubject: two\r\nlast: x");
    struct header_field f;
    struct buf out;
    buf_init(&out, 1000);
    assert_true(header_find(header, VIEW("SUBJECT"), &f));
    assert_view(view_trim(f.value), "one");
    assert_false(header_find(header, VIEW("Cc"), &f));
    assert_int_equal(header_count(header, VIEW("Subject")), 2);
    static const struct view names[] = {VIEW_INIT("to"), VIEW_INIT("Subject"), VIEW_INIT("Last")};
    header_put_subset(&out, header, names, 3, false);
    assert_view(buf_view(&out), "Subject: one\r\nTO: a\r\n b\r\nsubject: two\r\nlast: x\r\n\r\n");
    buf_clear(&out);
    header_put_subset(&out, header, names, 3, true);
    assert_view(buf_view(&out), "X-A: 1\r\n\r\n");
    buf_clear(&out);
    header_put_subset(&out, VIEW(""), names, 3, false);
    assert_view(buf_view(&out), "\r\n");
    buf_fini(&out);
}

static void test_unfold(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 64);
    struct view out, plain = VIEW(" plain ");
    assert_int_equal(header_unfold(arena, plain, &out), ERR_OK);
    assert_ptr_equal(out.p, plain.p + 1);
    assert_int_equal(header_unfold(arena, VIEW("a\r\n b\n\tc\r d\re\r\n"), &out), ERR_OK);
    assert_view(out, "a b\tc d\re");
    assert_int_equal(header_unfold(arena, VIEW("\r\n \r\n"), &out), ERR_OK);
    assert_non_null(out.p);
    assert_int_equal(out.n, 0);
    arena_free(arena);
    arena = arena_new("test", 0);
    assert_int_equal(header_unfold(arena, VIEW("a\r\n b"), &out), ERR_LIMIT);
    arena_free(arena);
}

/* RFC2045-5.1 parameters, RFC2231-3 names, and the mistakes of real mail. */
static const struct {
    const char *text, *params;
} params[] = {
    {"", ""},
    {"; a=b", "a=b|"},
    {"a=b; c=d", "a=b|c=d|"},
    {";;; a = b ;; c=\"d e\" ;", "a=b|c=d e|"},
    {"a=\"x\\\"y\\\\z\"", "a=x\"y\\z|"},
    {"a=\"x\r\n y\"", "a=x y|"},
    {"a=b c=d", "a=b|c=d|"},
    {"a=b\n c=d", "a=b|c=d|"},
    {"name=my file.pdf; b=c", "name=my file.pdf|b=c|"},
    {"name=----=_Part_1:2; b=c", "name=----=_Part_1:2|b=c|"},
    {"a=\"no end; b=c", "a=no end|b=c|"},
    {"a=b (comment); c=(x)d", "a=b|c=d|"},
    {"a=b; A=c", "a=b|"},
    {"a; b=c", "b=c|"},
    {"=x; b=c", "b=c|"},
    {"a=; b=\"\"", "a=|b=|"},
    {"(unclosed a=b", ""},
    {"filename*0*=utf-8''a; filename*1=b", "filename*0*=utf-8''a|filename*1=b|"},
};

static void test_params(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        struct arena *arena = arena_new("test", 8192);
        struct mime_params list;
        mime_params_parse(arena, view_cstr(params[i].text), &list);
        buf_clear(&out);
        for (size_t k = 0; k < list.count; k++) {
            buf_put(&out, list.list[k].name);
            buf_put_byte(&out, '=');
            buf_put(&out, list.list[k].value);
            buf_put_byte(&out, '|');
        }
        assert_view(buf_view(&out), params[i].params);
        arena_free(arena);
    }
    buf_fini(&out);
}

static void test_content_types(void **state) {
    (void)state;
    static const struct {
        const char *value, *type, *subtype;
        size_t params;
    } table[] = {
        {"text/plain", "text", "plain", 0},
        {" (a) Text (b) / (c) HTML ; charset=x", "Text", "HTML", 1},
        {"text/plain charset=x", "text", "plain", 1},
        {"multipart/mixed\r\n\tboundary=\"b\"", "multipart", "mixed", 1},
        {"text/plain>", "text", "plain", 0},
        {"text", NULL, NULL, 0},
        {"text/; charset=x", NULL, NULL, 1},
        {"/plain", NULL, NULL, 0},
        {"", NULL, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new("test", 8192);
        struct view type = VIEW_NONE, subtype = VIEW_NONE;
        struct mime_params list;
        bool ok = mime_content_type_parse(arena, view_cstr(table[i].value), &type, &subtype, &list);
        assert_true(ok == (table[i].type != NULL));
        if (ok) {
            assert_view(type, table[i].type);
            assert_view(subtype, table[i].subtype);
        }
        assert_int_equal(list.count, table[i].params);
        arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iterate), cmocka_unit_test(test_find_and_subset), cmocka_unit_test(test_unfold),
        cmocka_unit_test(test_params),  cmocka_unit_test(test_content_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
