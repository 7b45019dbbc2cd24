/* Tables of paths and mailboxes. */
#include "smtp/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

struct row {
    const char *in;
    unsigned flags;
    enum err err;
    const char *whole, *local, *domain;
};

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct row paths[] = {
    {"<a@b>", 0, ERR_OK, "a@b", "a", "b"},
    {"<a.b+c=d/e!#$%&'*-?^_`{|}~@example.org>", 0, ERR_OK, "a.b+c=d/e!#$%&'*-?^_`{|}~@example.org",
     "a.b+c=d/e!#$%&'*-?^_`{|}~", "example.org"},
    {"<A.B@Example.ORG>", 0, ERR_OK, "A.B@Example.ORG", "A.B", "Example.ORG"},
    {"<>", SMTP_PATH_NULL, ERR_OK, "", "", ""},
    {"<>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"< >", SMTP_PATH_NULL, ERR_SYNTAX, NULL, NULL, NULL},
    {"<postMASTER>", SMTP_PATH_POSTMASTER, ERR_OK, "postMASTER", "postMASTER", ""},
    {"<postmaster>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<postmaster@b>", SMTP_PATH_POSTMASTER, ERR_OK, "postmaster@b", "postmaster", "b"},
    {"<root>", SMTP_PATH_POSTMASTER, ERR_SYNTAX, NULL, NULL, NULL},
    /* RFC5321-4.1.2: quoted local parts */
    {"<\"a\"@b>", 0, ERR_OK, "a@b", "a", "b"},
    {"<\"a.b\"@b>", 0, ERR_OK, "a.b@b", "a.b", "b"},
    {"<\"\\a\\.\\b\"@b>", 0, ERR_OK, "a.b@b", "a.b", "b"},
    {"<\"a..b\"@b>", 0, ERR_OK, "\"a..b\"@b", "\"a..b\"", "b"},
    {"<\"a b\"@b>", 0, ERR_OK, "\"a b\"@b", "\"a b\"", "b"},
    {"<\"a@c>\"@b>", 0, ERR_OK, "\"a@c>\"@b", "\"a@c>\"", "b"},
    {"<\"\\\"\\\\\\ \"@b>", 0, ERR_OK, "\"\\\"\\\\ \"@b", "\"\\\"\\\\ \"", "b"},
    {"<\"\"@b>", 0, ERR_OK, "\"\"@b", "\"\"", "b"},
    {"<\"a\"b@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<\"a@b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<\"a\\\"@b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<\"a\tb\"@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<\"a\\\x01\"@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    /* what is no local part */
    {"<@b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<.a@b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a.@b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a..b@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a b@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@b@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a(c)@b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a,b@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    /* domains */
    {"<a@b-c.d1.2>", 0, ERR_OK, "a@b-c.d1.2", "a", "b-c.d1.2"},
    {"<a@_x.b_c>", 0, ERR_OK, "a@_x.b_c", "a", "_x.b_c"},
    {"<a@xn--bcher-kva.example>", 0, ERR_OK, "a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"},
    {"<a@" A63 ".b>", 0, ERR_OK, "a@" A63 ".b", "a", A63 ".b"},
    {"<a@a" A63 ".b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@-b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@b->", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@b.>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@.b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@b..c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@b/c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    /* RFC5321-4.1.3: literals */
    {"<a@[192.0.2.1]>", 0, ERR_OK, "a@[192.0.2.1]", "a", "[192.0.2.1]"},
    {"<a@[IPv6:2001:db8::1]>", 0, ERR_OK, "a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"},
    {"<a@[ipv6:::ffff:192.0.2.1]>", 0, ERR_OK, "a@[ipv6:::ffff:192.0.2.1]", "a", "[ipv6:::ffff:192.0.2.1]"},
    {"<a@[x-y:any{thing}]>", 0, ERR_OK, "a@[x-y:any{thing}]", "a", "[x-y:any{thing}]"},
    {"<a@[192.0.2]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[192.0.2.256]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[192.0.2.1:25]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[2001:db8::1]>", 0, ERR_OK, "a@[2001:db8::1]", "a",
     "[2001:db8::1]"}, /* a General-address-literal by its grammar */
    {"<a@[IPv6:192.0.2.1]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[IPv6:1::2::3]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[x-:y]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[x:]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[x:y z]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[]>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[192.0.2.1>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@[192.0.2.1]x>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    /* RFC5321-C: source routes */
    {"<@a:b@c>", 0, ERR_OK, "b@c", "b", "c"},
    {"<@a,@b.c,@[192.0.2.1]:d@e>", 0, ERR_OK, "d@e", "d", "e"},
    {"<@a,b@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<@a:>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<@a,:b@c>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    /* brackets */
    {"a@b", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<a@b", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<<a@b>>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"", 0, ERR_SYNTAX, NULL, NULL, NULL},
    /* RFC6531-3.3 */
    {"<\xc3\xa9@b>", 0, ERR_SYNTAX, NULL, NULL, NULL},
    {"<\xc3\xa9@\xc3\xa9.example>", SMTP_PATH_UTF8, ERR_OK, "\xc3\xa9@\xc3\xa9.example", "\xc3\xa9",
     "\xc3\xa9.example"},
    {"<\"\xc3\xa9 b\"@c>", SMTP_PATH_UTF8, ERR_OK, "\"\xc3\xa9 b\"@c", "\"\xc3\xa9 b\"", "c"},
    {"<\xc3@b>", SMTP_PATH_UTF8, ERR_SYNTAX, NULL, NULL, NULL},
    {"<\xff@b>", SMTP_PATH_UTF8, ERR_SYNTAX, NULL, NULL, NULL},
};

static void test_paths(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 65536);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const struct row *row = &paths[i];
        struct reader r = reader_of(view_cstr(row->in));
        struct smtp_path path = {VIEW("untouched"), VIEW_NONE, VIEW_NONE};
        enum err err = smtp_path_parse(&r, row->flags, arena, &path);
        if (err != row->err)
            fail_msg("%s: %s, not %s", row->in, err_name(err), err_name(row->err));
        if (err != ERR_OK) {
            assert_true(view_eq(path.local, VIEW("untouched")));
            continue;
        }
        assert_true(reader_at_end(&r));
        if (!view_eq(path.whole, view_cstr(row->whole)) || !view_eq(path.local, view_cstr(row->local)) ||
            !view_eq(path.domain, view_cstr(row->domain)))
            fail_msg("%s: %.*s (%.*s at %.*s)", row->in, VIEW_FMT(path.whole), VIEW_FMT(path.local),
                     VIEW_FMT(path.domain));
    }
    arena_free(arena);
}

/* The bare mailbox takes and refuses the same, without brackets. */
static void test_mailboxes(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 65536);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const struct row *row = &paths[i];
        struct view in = view_cstr(row->in);
        bool has_brackets = view_starts(in, VIEW("<")) && view_ends(in, VIEW(">"));
        if (!has_brackets || view_starts(in, VIEW("<@")) || in.n == 2)
            continue;
        struct smtp_path path;
        enum err err = smtp_mailbox_parse(view_sub(in, 1, in.n - 2), row->flags, arena, &path);
        if (err != row->err)
            fail_msg("%s: %s, not %s", row->in, err_name(err), err_name(row->err));
        if (err == ERR_OK)
            assert_true(view_eq(path.whole, view_cstr(row->whole)));
    }
    arena_free(arena);
}

/* A NUL is an octet like others, and not allowed. */
static void test_nul(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 65536);
    struct smtp_path path;
    struct reader r = reader_of(VIEW("<a\0b@c>"));
    assert_int_equal(smtp_path_parse(&r, 7, arena, &path), ERR_SYNTAX);
    r = reader_of(VIEW("<\"a\0b\"@c>"));
    assert_int_equal(smtp_path_parse(&r, 7, arena, &path), ERR_SYNTAX);
    r = reader_of(VIEW("<a@b\0>"));
    assert_int_equal(smtp_path_parse(&r, 7, arena, &path), ERR_SYNTAX);
    arena_free(arena);
}

static struct view made(struct buf *buf, size_t local_n, const char *tail) {
    buf_clear(buf);
    buf_put_byte(buf, '<');
    while (local_n-- > 0)
        buf_put_byte(buf, 'a');
    buf_put_str(buf, tail);
    return buf_view(buf);
}

/* RFC5321-4.5.3.1: lengths */
static void test_lengths(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 65536), *small = arena_new("small", 16);
    struct buf buf;
    struct smtp_path path;
    buf_init(&buf, 2000);
    struct reader r = reader_of(made(&buf, 64, "@b.example>"));
    assert_int_equal(smtp_path_parse(&r, 0, arena, &path), ERR_OK);
    r = reader_of(made(&buf, SMTP_PATH_MAX - 4, "@b>"));
    assert_int_equal(buf.n, SMTP_PATH_MAX);
    assert_int_equal(smtp_path_parse(&r, 0, arena, &path), ERR_OK);
    assert_int_equal(path.whole.n, SMTP_PATH_MAX - 2);
    r = reader_of(made(&buf, SMTP_PATH_MAX - 3, "@b>"));
    assert_int_equal(smtp_path_parse(&r, 0, arena, &path), ERR_LIMIT);
    r = reader_of(made(&buf, 1500, "@b>"));
    assert_int_equal(smtp_path_parse(&r, 0, arena, &path), ERR_LIMIT);
    /* The arena's budget is no fault of the address. */
    r = reader_of(made(&buf, 40, "@b>"));
    assert_int_equal(smtp_path_parse(&r, 0, small, &path), ERR_NO_MEMORY);
    buf_fini(&buf);
    arena_free(arena);
    arena_free(small);
}

static void test_greeting_names(void **state) {
    (void)state;
    static const char *const good[] = {"a", "mx.example.org", "[192.0.2.1]", "[IPv6:::1]", "under_score", "!odd"};
    static const char *const bad[] = {"", "a b", "a\tb", "\x7f", "\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(smtp_greeting_name_is_valid(view_cstr(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(smtp_greeting_name_is_valid(view_cstr(bad[i])));
    assert_true(smtp_domain_is_valid(VIEW("[192.0.2.1]"), 0));
    assert_true(smtp_domain_is_valid(VIEW("a.b"), 0));
    assert_false(smtp_domain_is_valid(VIEW("a.b "), 0));
    assert_false(smtp_domain_is_valid(VIEW(""), 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),   cmocka_unit_test(test_mailboxes),      cmocka_unit_test(test_nul),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_greeting_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
