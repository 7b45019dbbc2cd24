/* format=flowed. */
#include "message/testing.h"

#include "message/flowed.h"
#include "message/flowed_testing.h"

/* RFC3676-4.1 to 4.5. */
static void test_read(void **state) {
    (void)state;
    static const struct {
        const char *flowed, *text;
        bool del_sp;
    } table[] = {
        {"", "", false},
        {"a", "a\n", false},
        {"a\r\nb\n", "a\nb\n", false},
        {"one \r\ntwo \r\nthree\r\nfour\r\n", "one two three\nfour\n", false},
        {"one \r\ntwo", "onetwo\n", true},
        {"one  \r\ntwo", "one two\n", true},
        {"ends \r\n", "ends \n", false},
        {" stuffed\r\n  two\r\n From x\r\n >no\r\n", "stuffed\n two\nFrom x\n>no\n", false},
        /* Quoting: RFC3676-4.5 */
        {"> a \r\n> b\r\n>> c \r\n> d\r\ne\r\n", "> a b\n>> c \n> d\ne\n", false},
        {">a\r\n>\r\n> \r\n>> >x\r\n", "> a\n>\n>\n>> >x\n", false},
        {"> a \r\nb\r\n", "> a \nb\n", false},
        /* The signature: RFC3676-4.3 */
        {"a \r\n-- \r\nme \r\nthere\r\n", "a \n-- \nme there\n", false},
        {"> -- \r\n> x\r\n", "> -- \n> x\n", true},
        {"\r\n \r\n\r\n", "\n\n\n", false},
        {"a\rb \r\nc", "a\rb c\n", false},
    };
    struct buf out;
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buf_clear(&out);
        flowed_put_text(&out, view_cstr(table[i].flowed), table[i].del_sp);
        assert_view(buf_view(&out), table[i].text);
    }
    buf_fini(&out);
}

static void test_write(void **state) {
    (void)state;
    static const struct {
        const char *text, *flowed;
    } table[] = {
        {"", ""},
        {"a", "a\r\n"},
        {"a  \nb\r\nc\r\r\n", "a\r\nb\r\nc\r\n\r\n"},
        {" a\n>b\nFrom c\n>> d\n>\n> > e", "  a\r\n> b\r\n From c\r\n>> d\r\n>\r\n> > e\r\n"},
        {"-- \nme\n--  \n", "-- \r\nme\r\n--\r\n"},
        {"A line that is somewhat longer than the seventy-two columns of flowed text, and goes on.",
         "A line that is somewhat longer than the seventy-two columns of flowed \r\ntext, and goes on.\r\n"},
        {"> A line that is somewhat longer than the seventy-two columns of flowed text, and goes on.",
         "> A line that is somewhat longer than the seventy-two columns of flowed \r\n> text, and goes on.\r\n"},
        {"aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbb c d",
         "aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbb \r\nc d\r\n"},
        {"aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabb >b From >",
         "aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabb \r\n >b From >\r\n"},
        /* No line that looks like a separator. */
        {"-- aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbb c",
         "-- aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbb \r\nc\r\n"},
    };
    struct buf out, back, normal;
    buf_init(&out, 65536);
    buf_init(&back, 65536);
    buf_init(&normal, 65536);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buf_clear(&out);
        buf_clear(&back);
        buf_clear(&normal);
        flowed_put(&out, view_cstr(table[i].text));
        assert_view(buf_view(&out), table[i].flowed);
        flowed_put_text(&back, buf_view(&out), false);
        flowed_put_normal(&normal, view_cstr(table[i].text));
        if (!view_eq(buf_view(&back), buf_view(&normal)))
            fail_msg("text: %.*s\nflowed: %.*s\nback: %.*s", VIEW_FMT(buf_view(&normal)), VIEW_FMT(buf_view(&out)),
                     VIEW_FMT(buf_view(&back)));
    }
    buf_fini(&out);
    buf_fini(&back);
    buf_fini(&normal);
}

/* Any text reads back equal, from an alphabet of what matters. */
static void test_round_trip(void **state) {
    (void)state;
    static const char alphabet[] = "aaabF-->> \xc3\xa9\n\r   ";
    uint32_t seed = 7;
    for (int i = 0; i < 3000; i++) {
        struct buf text, out, back, normal;
        buf_init(&text, 65536);
        buf_init(&out, 65536);
        buf_init(&back, 65536);
        buf_init(&normal, 65536);
        for (int k = 0; k < 400; k++) {
            seed = seed * 1664525 + 1013904223;
            buf_put_byte(&text, (uint8_t)alphabet[(seed >> 16) % ((i % 2 == 0 ? sizeof(alphabet) : 15) - 1)]);
        }
        flowed_put(&out, buf_view(&text));
        flowed_put_text(&back, buf_view(&out), false);
        flowed_put_normal(&normal, buf_view(&text));
        if (!view_eq(buf_view(&back), buf_view(&normal)))
            fail_msg("text: %.*s\nflowed: %.*s\nback: %.*s", VIEW_FMT(buf_view(&normal)), VIEW_FMT(buf_view(&out)),
                     VIEW_FMT(buf_view(&back)));
        buf_fini(&text);
        buf_fini(&out);
        buf_fini(&back);
        buf_fini(&normal);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_write),
                                       cmocka_unit_test(test_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
