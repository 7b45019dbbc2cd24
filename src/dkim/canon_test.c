/* Canonical forms: the examples of the RFC, odd bodies, and bodies that arrive in pieces. */
#include "dkim/canon.h"

#include "base/random.h"
#include "dkim/testing.h"

#include <string.h>

struct body_case {
    const char *body, *simple, *relaxed;
};

/* RFC6376-3.4.3, RFC6376-3.4.4, RFC6376-3.4.5 */
static const struct body_case bodies[] = {
    {" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
    {"", "\r\n", ""},
    {"\r\n", "\r\n", ""},
    {"\r\n\r\n", "\r\n", ""},
    {"a", "a\r\n", "a\r\n"},
    {"a\r\n", "a\r\n", "a\r\n"},
    {"a ", "a \r\n", "a\r\n"},
    {"a \r\n", "a \r\n", "a\r\n"},
    {" \r\n \r\n", " \r\n \r\n", ""},
    {"a\r\n \r\n\t\r\n", "a\r\n \r\n\t\r\n", "a\r\n"},
    {"\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
    {"\t a", "\t a\r\n", " a\r\n"},
    {"a \t\t b  c\r\n", "a \t\t b  c\r\n", "a b c\r\n"},
    /* What alone is no line end is data. */
    {"a\rb\r\n", "a\rb\r\n", "a\rb\r\n"},
    {"a\nb\n", "a\nb\n\r\n", "a\nb\n\r\n"},
    {"a \rb", "a \rb\r\n", "a \rb\r\n"},
    {"a\r\r\n", "a\r\r\n", "a\r\r\n"},
    {"a\r\n\r", "a\r\n\r\r\n", "a\r\n\r\r\n"},
    {"a\r", "a\r\r\n", "a\r\r\n"},
};

static void forms_of_bodies(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct buf simple, relaxed;
        buf_init(&simple, 1000);
        buf_init(&relaxed, 1000);
        dkim_put_body(&simple, DKIM_SIMPLE, view_cstr(bodies[i].body));
        dkim_put_body(&relaxed, DKIM_RELAXED, view_cstr(bodies[i].body));
        if (!view_eq(buf_view(&simple), view_cstr(bodies[i].simple)) ||
            !view_eq(buf_view(&relaxed), view_cstr(bodies[i].relaxed)))
            print_error("body %zu\n", i);
        assert_true(view_eq(buf_view(&simple), view_cstr(bodies[i].simple)));
        assert_true(view_eq(buf_view(&relaxed), view_cstr(bodies[i].relaxed)));
        buf_fini(&simple);
        buf_fini(&relaxed);
    }
}

struct field_case {
    const char *raw, *simple, *relaxed;
};

/* RFC6376-3.4.1, RFC6376-3.4.2, RFC6376-3.4.5 */
static const struct field_case fields[] = {
    {"A: X\r\n", "A: X\r\n", "a:X\r\n"},
    {"B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
    {"Subject:\r\n", "Subject:\r\n", "subject:\r\n"},
    {"Subject: \t \r\n", "Subject: \t \r\n", "subject:\r\n"},
    {"SUBJect:AbC\r\n", "SUBJect:AbC\r\n", "subject:AbC\r\n"},
    {"a:b:c : d\r\n", "a:b:c : d\r\n", "a:b:c : d\r\n"},
    {"a: b", "a: b\r\n", "a:b\r\n"},
    {"a:\r\n b\r\n\t\r\n c\r\n", "a:\r\n b\r\n\t\r\n c\r\n", "a:b c\r\n"},
    {"a: \xc3\xa4\r\n", "a: \xc3\xa4\r\n", "a:\xc3\xa4\r\n"},
    {"a: b\n c\n", "a: b\n c\n", "a:b c\r\n"},
};

static void forms_of_fields(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        for (unsigned is_last = 0; is_last < 2; is_last++) {
            struct buf out;
            buf_init(&out, 1000);
            struct view simple = view_cstr(fields[i].simple), relaxed = view_cstr(fields[i].relaxed);
            size_t end = view_ends(simple, VIEW("\r\n")) ? 2 : 1;
            if (is_last) {
                simple.n -= end;
                relaxed.n -= 2;
            }
            dkim_put_field(&out, DKIM_SIMPLE, view_cstr(fields[i].raw), is_last);
            assert_true(view_eq(buf_view(&out), simple));
            buf_clear(&out);
            dkim_put_field(&out, DKIM_RELAXED, view_cstr(fields[i].raw), is_last);
            assert_true(view_eq(buf_view(&out), relaxed));
            buf_fini(&out);
        }
    }
}

static void expect_sum(const struct dkim_crypto *crypto, const struct dkim_body *body, enum dkim_canon canon,
                       uint64_t length, struct view canonical) {
    uint8_t ours[DKIM_DIGEST_SIZE], theirs[DKIM_DIGEST_SIZE];
    uint64_t octets;
    assert_int_equal(dkim_body_hash(body, canon, length, ours, &octets), ERR_OK);
    assert_int_equal(octets, canonical.n);
    assert_int_equal(dkim_digest(crypto, view_sub(canonical, 0, (size_t)MIN(length, (uint64_t)canonical.n)), theirs),
                     ERR_OK);
    assert_memory_equal(ours, theirs, sizeof(ours));
}

/* One pass for several hashes, cut anywhere: what comes out is what the whole body gives. */
static void pieces(void **state) {
    (void)state;
    struct dkim_crypto *crypto;
    assert_int_equal(dkim_crypto_new(&crypto), ERR_OK);
    static const uint64_t lengths[] = {0, 1, 5, 100, 4096, 9000, DKIM_BODY_WHOLE};
    struct random_seeded rs;
    random_seeded_init(&rs, 5);
    for (unsigned round = 0; round < 60; round++) {
        struct buf text, canonical[2];
        buf_init(&text, 100000);
        size_t n = (size_t)random_below(&rs.random, round < 40 ? 40 : 20000);
        for (size_t i = 0; i < n; i++)
            buf_put_byte(&text, (uint8_t)("ab \t\r\n\r\ncdefgh"[random_below(&rs.random, round & 1 ? 14 : 8)]));
        struct dkim_body *body;
        assert_int_equal(dkim_body_new(crypto, &body), ERR_OK);
        for (unsigned c = 0; c < 2; c++) {
            buf_init(&canonical[c], 200000);
            dkim_put_body(&canonical[c], (enum dkim_canon)c, buf_view(&text));
            for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
                assert_int_equal(dkim_body_want(body, (enum dkim_canon)c, lengths[i]), ERR_OK);
        }
        for (size_t at = 0; at < n;) {
            size_t step = (size_t)random_below(&rs.random, round % 3 == 0 ? 2 : 5000);
            dkim_body_feed(body, view_sub(buf_view(&text), at, step));
            at += step;
        }
        assert_int_equal(dkim_body_end(body), ERR_OK);
        for (unsigned c = 0; c < 2; c++) {
            for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
                expect_sum(crypto, body, (enum dkim_canon)c, lengths[i], buf_view(&canonical[c]));
            buf_fini(&canonical[c]);
        }
        dkim_body_free(body);
        buf_fini(&text);
    }
    dkim_crypto_free(crypto);
}

static void limits(void **state) {
    (void)state;
    struct dkim_crypto *crypto;
    struct dkim_body *body;
    assert_int_equal(dkim_crypto_new(&crypto), ERR_OK);
    assert_int_equal(dkim_body_new(crypto, &body), ERR_OK);
    for (unsigned i = 0; i < DKIM_BODY_SUMS_MAX; i++)
        assert_int_equal(dkim_body_want(body, DKIM_SIMPLE, i), ERR_OK);
    assert_int_equal(dkim_body_want(body, DKIM_SIMPLE, 0), ERR_OK);
    assert_int_equal(dkim_body_want(body, DKIM_SIMPLE, 1000), ERR_LIMIT);
    assert_int_equal(dkim_body_end(body), ERR_OK);
    uint8_t digest[DKIM_DIGEST_SIZE];
    uint64_t octets;
    assert_int_equal(dkim_body_hash(body, DKIM_SIMPLE, 1000, digest, &octets), ERR_NOT_FOUND);
    assert_int_equal(dkim_body_hash(body, DKIM_RELAXED, 0, digest, &octets), ERR_NOT_FOUND);
    dkim_body_free(body);
    dkim_crypto_free(crypto);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_bodies),
        cmocka_unit_test(forms_of_fields),
        cmocka_unit_test(pieces),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
