/* What is inside records: each form, each of its beginnings, and one octet too many. */
#include "dns/rdata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum kind { KIND_A, KIND_AAAA, KIND_MX, KIND_NAME, KIND_TXT };

/* The value as text, for comparing. */
static enum err parse(enum kind kind, struct view data, struct arena *arena, struct view *out) {
    struct netaddr ip;
    struct dns_mx mx;
    struct buf text;
    enum err err;
    buf_init(&text, 1000);
    switch (kind) {
    case KIND_A:
    case KIND_AAAA:
        err = kind == KIND_A ? dns_rdata_a(data, &ip) : dns_rdata_aaaa(data, &ip);
        if (err == ERR_OK) {
            buf_put_ip(&text, &ip);
            err = arena_view(arena, buf_view(&text), out);
        }
        break;
    case KIND_MX:
        err = dns_rdata_mx(data, arena, &mx);
        if (err == ERR_OK)
            err = arena_printf(arena, out, "%u %.*s", mx.preference, VIEW_FMT(mx.exchange));
        break;
    case KIND_NAME:
        err = dns_rdata_name(data, arena, out);
        break;
    default:
        err = dns_rdata_txt(data, arena, out);
    }
    buf_fini(&text);
    return err;
}

static void test_table(void **state) {
    (void)state;
    static const struct {
        enum kind kind;
        struct view data;
        const char *text; /* NULL: ERR_SYNTAX */
    } cases[] = {
        {KIND_A, VIEW_INIT("\300\0\2\1"), "192.0.2.1"},
        {KIND_A, VIEW_INIT("\300\0\2\1\0"), NULL},
        {KIND_AAAA, VIEW_INIT("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), "2001:db8::1"},
        {KIND_AAAA, VIEW_INIT("\300\0\2\1"), NULL},
        {KIND_MX, VIEW_INIT("\0\12\2Mx\4Test\0"), "10 mx.test"}, /* RFC4343-3: no case */
        {KIND_MX, VIEW_INIT("\0\0\0"), "0 ."},                   /* RFC7505-3 */
        {KIND_MX, VIEW_INIT("\377\377\1a\0"), "65535 a"},
        {KIND_MX, VIEW_INIT("\0\12\2mx\4test\0\0"), NULL},
        {KIND_MX, VIEW_INIT("\0\12\300\0"), NULL}, /* pointers have no meaning here */
        {KIND_NAME, VIEW_INIT("\1a\1b\0"), "a.b"},
        {KIND_NAME, VIEW_INIT("\1a\1b\0x"), NULL},
        {KIND_TXT, VIEW_INIT("\5hello"), "hello"},
        {KIND_TXT, VIEW_INIT("\3hel\2lo"), "hello"}, /* RFC7208-3.3: joined without a space */
        {KIND_TXT, VIEW_INIT("\0"), ""},
        {KIND_TXT, VIEW_INIT("\5hell"), NULL},
        {KIND_TXT, VIEW_INIT(""), NULL}, /* RFC1035-3.3.14: one or more */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_new("test", 65536);
        struct view out;
        enum err err = parse(cases[i].kind, cases[i].data, arena, &out);
        assert_int_equal(err, cases[i].text ? ERR_OK : ERR_SYNTAX);
        if (err == ERR_OK)
            assert_true(view_eq(out, view_cstr(cases[i].text)));
        /* Beginnings are never taken, but those of TXT that end between two strings. */
        for (size_t n = 0; err == ERR_OK && n < cases[i].data.n; n++)
            if (parse(cases[i].kind, view_sub(cases[i].data, 0, n), arena, &out) == ERR_OK)
                assert_true(cases[i].kind == KIND_TXT && n == 4);
        arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
