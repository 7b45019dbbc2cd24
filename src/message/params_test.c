/* Parameters of MIME fields. */
#include "message/testing.h"

#include "message/params.h"

/* RFC2045-5.1 and RFC2183-2 syntax, and the mistakes of real mail. */
static const struct {
    const char *value, *list; /* "name:value|" */
} cases[] = {
    {"", ""},
    {"; charset=utf-8", "charset:utf-8|"},
    {"; charset=\"us-ascii\" (Plain text); format=flowed", "charset:us-ascii|format:flowed|"},
    {"; a = b ;c\r\n =\r\n \"d e\"", "a:b|c:d e|"},
    {";;a=b;;", "a:b|"},
    {"a=b c=d", "a:b|c:d|"},
    {"; a=\"x\" b=\"y\"", "a:x|b:y|"},
    {"; a=\"x\"b=y", "a:x|b:y|"},
    {"; a=\"x\\\"y\\\\z\"", "a:x\"y\\z|"},
    {"; a=\"x\r\n y\"", "a:x y|"},
    {"; a=\"\"; b=", "a:|b:|"},
    {"; boundary==_x=", "boundary:=_x=|"},
    {"; boundary=\"a;b\"; c=d", "boundary:a;b|c:d|"},
    {"; a=b; A=c", "a:b|"},
    {"; name*0=a; name*1*=b%20c", "name*0:a|name*1*:b%20c|"},
    /* unquoted spaces and specials */
    {"; name=my file.pdf; x=y", "name:my file.pdf|x:y|"},
    {"; name=a@b/c?.pdf", "name:a@b/c?.pdf|"},
    {"; name=a(1).pdf", "name:a(1).pdf|"},
    /* a quote that is missing, quotes that nobody escaped */
    {"; name=\"my file.pdf; x=y", "name:my file.pdf|x:y|"},
    {"; name=\"my \"best\" file.pdf\"; x=y", "name:my \"best\" file.pdf|x:y|"},
    {"; name=\"\"best\"\"; x=\"y\"", "name:\"best\"|x:y|"},
    {"; name=\"a\" junk; x=\"y\"", "name:a|x:y|"},
    {"; name=\"a\" junk", "name:a|"},
    {"; name=\"a\", x=y", "name:a|x:y|"},
    {"; \"quoted\"=x; =y; z", ""},
    {"; \xc3\xa9=\xc3\xa8", "\xc3\xa9:\xc3\xa8|"},
};

static void test_cases(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct mime_params params;
        mime_params_parse(arena, view_cstr(cases[i].value), &params);
        buf_clear(&out);
        for (size_t k = 0; k < params.count; k++) {
            buf_put(&out, params.list[k].name);
            buf_put_byte(&out, ':');
            buf_put(&out, params.list[k].value);
            buf_put_byte(&out, '|');
        }
        assert_view(buf_view(&out), cases[i].list);
        arena_free(arena);
    }
    buf_fini(&out);
}

/* RFC2045-5.1 type and subtype, RFC2045-5.2 the default. */
static void test_content_type(void **state) {
    (void)state;
    static const struct {
        const char *value, *type; /* NULL: none */
    } types[] = {
        {"text/plain", "text/plain"},
        {" (c) Text (d) / (e) HTML ; charset=x", "Text/HTML"},
        {"multipart/mixed boundary=x", "multipart/mixed"},
        {"application/vnd.x+y.z;", "application/vnd.x+y.z"},
        {"text/plain/x", "text/plain"},
        {"text", NULL},
        {"text/", NULL},
        {"/plain", NULL},
        {"", NULL},
        {"; charset=utf-8", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct mime_params params;
        struct view type, subtype;
        struct buf out;
        buf_init(&out, 100);
        bool there = mime_content_type_parse(arena, view_cstr(types[i].value), &type, &subtype, &params);
        assert_int_equal(there, types[i].type != NULL);
        if (there) {
            buf_put(&out, type);
            buf_put_byte(&out, '/');
            buf_put(&out, subtype);
            assert_view(buf_view(&out), types[i].type);
        }
        buf_fini(&out);
        arena_free(arena);
    }
}

/* Text that would be quadratic to a careless reader (the test's time limit would show it). */
static void test_limits(void **state) {
    (void)state;
    static const char *const hostile[] = {"\"", "a=\"", "a=\"x\" y", "(", "a=", ";", "a=b ", "a=\"\\", "=\""};
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct arena *arena = arena_new("test", 16 * 1024 * 1024);
        struct mime_params params;
        buf_clear(&text);
        buf_put_str(&text, "a=\"");
        while (text.n < 300000)
            buf_put_str(&text, hostile[i]);
        mime_params_parse(arena, buf_view(&text), &params);
        assert_true(params.count <= MIME_PARAMS_MAX);
        arena_free(arena);
    }
    buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_content_type),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
