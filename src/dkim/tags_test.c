/* Tag lists: what is one, what is none, and where values stand. */
#include "dkim/tags.h"

#include "dkim/testing.h"

#include <string.h>

struct tags_case {
    const char *text;
    enum err err;
    size_t n;
    const char *name, *value; /* of the last tag */
};

/* RFC6376-3.2 */
static const struct tags_case cases[] = {
    {"a=1", ERR_OK, 1, "a", "1"},
    {" a = 1 ; b = 2 ; ", ERR_OK, 2, "b", "2"},
    {"a=1;", ERR_OK, 1, "a", "1"},
    {"a=", ERR_OK, 1, "a", ""},
    {"a=;b=", ERR_OK, 2, "b", ""},
    {"a=x=y", ERR_OK, 1, "a", "x=y"},
    {"a_1Z=1", ERR_OK, 1, "a_1Z", "1"},
    {"a=1;\r\n b=2\r\n\t3", ERR_OK, 2, "b", "2\r\n\t3"},
    {"a=1; A=2", ERR_OK, 2, "A", "2"},
    {"d=b\xc3\xbc"
     "cher.example",
     ERR_OK, 1, "d",
     "b\xc3\xbc"
     "cher.example"}, /* RFC8616-4 */
    {"", ERR_SYNTAX, 0, NULL, NULL},
    {" ", ERR_SYNTAX, 0, NULL, NULL},
    {";", ERR_SYNTAX, 0, NULL, NULL},
    {"a", ERR_SYNTAX, 0, NULL, NULL},
    {"a;b=1", ERR_SYNTAX, 0, NULL, NULL},
    {"a=1;;b=2", ERR_SYNTAX, 0, NULL, NULL},
    {"a=1;b", ERR_SYNTAX, 0, NULL, NULL},
    {"=1", ERR_SYNTAX, 0, NULL, NULL},
    {"1a=1", ERR_SYNTAX, 0, NULL, NULL},
    {"a-b=1", ERR_SYNTAX, 0, NULL, NULL},
    {"a b=1", ERR_SYNTAX, 0, NULL, NULL},
    {"a=1; a=1", ERR_SYNTAX, 0, NULL, NULL},
    {"a=\x01", ERR_SYNTAX, 0, NULL, NULL},
    {"a=\x7f", ERR_SYNTAX, 0, NULL, NULL},
};

static void lists(void **state) {
    (void)state;
    struct dkim_tags tags;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum err err = dkim_tags_parse(view_cstr(cases[i].text), &tags);
        if (err != cases[i].err)
            print_error("%s\n", cases[i].text);
        assert_int_equal(err, cases[i].err);
        if (err != ERR_OK) {
            assert_non_null(tags.why);
            continue;
        }
        assert_int_equal(tags.n, cases[i].n);
        const struct dkim_tag *last = &tags.tags[tags.n - 1];
        assert_true(view_eq(last->name, view_cstr(cases[i].name)));
        assert_true(view_eq(last->value, view_cstr(cases[i].value)));
        assert_ptr_equal(dkim_tags_find(&tags, cases[i].name), last);
    }
    assert_int_equal(dkim_tags_parse(view_of("a=\0", 3), &tags), ERR_SYNTAX);
}

/* RFC6376-3.7: what is deleted of b= is all between "=" and ";". */
static void spans(void **state) {
    (void)state;
    struct dkim_tags tags;
    const char *text = "a=1; b = \r\n x y \r\n ; c=3";
    assert_int_equal(dkim_tags_parse(view_cstr(text), &tags), ERR_OK);
    const struct dkim_tag *b = dkim_tags_find(&tags, "b");
    assert_non_null(b);
    assert_true(view_eq(b->value, VIEW("x y")));
    assert_true(view_eq(view_sub(view_cstr(text), b->at, b->n), VIEW(" \r\n x y \r\n ")));
    assert_null(dkim_tags_find(&tags, "d"));
    assert_true(view_eq(dkim_tags_value(&tags, "d", VIEW("z")), VIEW("z")));
}

static void too_many(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 10000);
    for (unsigned i = 0; i <= DKIM_TAGS_MAX; i++)
        buf_printf(&text, "t%u=;", i);
    struct dkim_tags tags;
    assert_int_equal(dkim_tags_parse(buf_view(&text), &tags), ERR_LIMIT);
    text.n -= 5;
    assert_int_equal(dkim_tags_parse(buf_view(&text), &tags), ERR_OK);
    assert_int_equal(tags.n, DKIM_TAGS_MAX);
    buf_fini(&text);
}

static void values(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 100000);
    struct view out, rest = VIEW(" from :to:\r\n subject:"), item;
    assert_int_equal(dkim_tag_squeeze(arena, VIEW("a b\r\n\tc"), &out), ERR_OK);
    assert_true(view_eq(out, VIEW("abc")));
    assert_int_equal(dkim_tag_base64(arena, VIEW("aGFs\r\n bG8="), &out), ERR_OK);
    assert_true(view_eq(out, VIEW("hallo")));
    assert_int_equal(dkim_tag_base64(arena, VIEW("aGFsbG8"), &out), ERR_SYNTAX);
    assert_int_equal(dkim_tag_base64(arena, VIEW(""), &out), ERR_OK);
    assert_int_equal(out.n, 0);
    static const char *const items[] = {"from", "to", "subject", ""};
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        assert_true(dkim_tag_next(&rest, &item));
        assert_true(view_eq(item, view_cstr(items[i])));
    }
    assert_false(dkim_tag_next(&rest, &item));
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(spans),
        cmocka_unit_test(too_many),
        cmocka_unit_test(values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
