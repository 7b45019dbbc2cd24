/* Compressed octets: what is whole comes back, what is damaged or too large is an error. */
#include "inflate/inflate.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MUCH ((size_t)8 * 1024 * 1024)

/* What `printf 'hello, hello, hello\n' | gzip -n` makes. */
static const uint8_t hello[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03,
                                0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7, 0x51, 0xc8, 0x40, 0xa2,
                                0xb8, 0x00, 0xe7, 0x42, 0x6e, 0x52, 0x14, 0x00, 0x00, 0x00};
#define HELLO_TEXT VIEW("hello, hello, hello\n")
#define HEADER 10 /* RFC1952-2.3: without options */
#define TRAILER 8

static void expect(struct view octets, enum inflate_form form, enum err err, struct view text) {
    struct buf out;
    buf_init(&out, 100000);
    assert_int_equal(inflate_octets(octets, form, &out), err);
    if (err == ERR_OK)
        assert_true(view_eq(buf_view(&out), text));
    buf_fini(&out);
}

static void reads(void **state) {
    (void)state;
    struct view file = view_of(hello, sizeof(hello));
    assert_true(inflate_is_gzip(file));
    assert_false(inflate_is_gzip(HELLO_TEXT));
    assert_false(inflate_is_gzip(view_sub(file, 0, 2)));
    expect(file, INFLATE_GZIP, ERR_OK, HELLO_TEXT);
    expect(view_sub(file, HEADER, file.n - HEADER - TRAILER), INFLATE_RAW, ERR_OK, HELLO_TEXT);
    expect(file, INFLATE_RAW, ERR_SYNTAX, VIEW_NONE);
    expect(VIEW_NONE, INFLATE_GZIP, ERR_SYNTAX, VIEW_NONE);
    expect(VIEW_NONE, INFLATE_RAW, ERR_SYNTAX, VIEW_NONE);
    expect(HELLO_TEXT, INFLATE_GZIP, ERR_SYNTAX, VIEW_NONE);
}

static void damaged(void **state) {
    (void)state;
    uint8_t copy[sizeof(hello) + 1];
    for (size_t n = 0; n < sizeof(hello); n++)
        expect(view_of(hello, n), INFLATE_GZIP, ERR_SYNTAX, VIEW_NONE);
    memcpy(copy, hello, sizeof(hello));
    copy[sizeof(hello)] = 'x';
    expect(view_of(copy, sizeof(copy)), INFLATE_GZIP, ERR_SYNTAX, VIEW_NONE); /* something follows */
    for (size_t at = sizeof(hello) - TRAILER; at < sizeof(hello); at++) {     /* RFC1952-2.3.1: CRC32 and ISIZE */
        memcpy(copy, hello, sizeof(hello));
        copy[at] ^= 1;
        expect(view_of(copy, sizeof(hello)), INFLATE_GZIP, ERR_SYNTAX, VIEW_NONE);
    }
}

/* RFC1952-2.2 */
static void members(void **state) {
    (void)state;
    struct buf file;
    buf_init(&file, 1000);
    buf_put_gzip(&file, VIEW("one "));
    buf_put_gzip(&file, VIEW(""));
    buf_put_gzip(&file, VIEW("two"));
    expect(buf_view(&file), INFLATE_GZIP, ERR_OK, VIEW("one two"));
    buf_fini(&file);
}

static void limits(void **state) {
    (void)state;
    struct view file = view_of(hello, sizeof(hello));
    struct buf out;
    for (size_t limit = 0; limit <= HELLO_TEXT.n; limit++) {
        buf_init(&out, limit);
        assert_int_equal(inflate_octets(file, INFLATE_GZIP, &out), limit < HELLO_TEXT.n ? ERR_LIMIT : ERR_OK);
        assert_true(view_eq(buf_view(&out), view_sub(HELLO_TEXT, 0, limit)));
        buf_fini(&out);
    }
    buf_init(&out, 100);
    buf_put_str(&out, "before ");
    assert_int_equal(inflate_octets(file, INFLATE_GZIP, &out), ERR_OK);
    assert_true(view_eq(buf_view(&out), VIEW("before hello, hello, hello\n")));
    buf_fini(&out);
    buf_init(&out, 10);
    buf_put_gzip(&out, HELLO_TEXT);
    assert_int_equal(buf_err(&out), ERR_LIMIT);
    buf_fini(&out);
}

/* A bomb ends at its ratio, in one member or in many that each stay below the size from which it counts. */
static void bombs(void **state) {
    (void)state;
    struct buf zeros, bomb, out;
    buf_init(&zeros, MUCH);
    buf_init(&bomb, MUCH);
    buf_init(&out, 8 * MUCH);
    uint8_t *p = buf_room(&zeros, MUCH);
    assert_non_null(p);
    memset(p, 0, MUCH);
    buf_added(&zeros, MUCH);
    buf_put_gzip(&bomb, buf_view(&zeros));
    assert_int_equal(inflate_octets(buf_view(&bomb), INFLATE_GZIP, &out), ERR_LIMIT);
    assert_true(out.n < MUCH);
    buf_clear(&bomb);
    buf_clear(&out);
    for (size_t i = 0; i < 8; i++)
        buf_put_gzip(&bomb, view_sub(buf_view(&zeros), 0, INFLATE_RATIO_FROM / 2));
    assert_int_equal(buf_err(&bomb), ERR_OK);
    assert_int_equal(inflate_octets(buf_view(&bomb), INFLATE_GZIP, &out), ERR_LIMIT);
    assert_true(out.n <= INFLATE_RATIO_FROM + INFLATE_RATIO_FROM / 2);
    /* Below that size any ratio is fine. */
    buf_clear(&bomb);
    buf_clear(&out);
    buf_put_gzip(&bomb, view_sub(buf_view(&zeros), 0, INFLATE_RATIO_FROM));
    assert_int_equal(inflate_octets(buf_view(&bomb), INFLATE_GZIP, &out), ERR_OK);
    assert_int_equal(out.n, INFLATE_RATIO_FROM);
    buf_fini(&zeros);
    buf_fini(&bomb);
    buf_fini(&out);
}

static void round_trips(void **state) {
    (void)state;
    struct random_seeded random;
    random_seeded_init(&random, 5);
    struct buf text, file, again;
    buf_init(&text, MUCH);
    buf_init(&file, MUCH);
    buf_init(&again, MUCH);
    for (size_t n = 0; n < 300000; n = 3 * n + 1) {
        buf_clear(&text);
        buf_clear(&file);
        for (size_t i = 0; i < n; i++)
            buf_put_byte(&text, (uint8_t)random_below(&random.random, i % 7 ? 4 : 256));
        buf_put_gzip(&file, buf_view(&text));
        buf_clear(&again);
        buf_put_gzip(&again, buf_view(&text));
        assert_int_equal(buf_err(&file), ERR_OK);
        assert_true(view_eq(buf_view(&file), buf_view(&again))); /* no time, no name */
        buf_clear(&again);
        assert_int_equal(inflate_octets(buf_view(&file), INFLATE_GZIP, &again), ERR_OK);
        assert_true(view_eq(buf_view(&again), buf_view(&text)));
    }
    buf_fini(&text);
    buf_fini(&file);
    buf_fini(&again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),  cmocka_unit_test(damaged), cmocka_unit_test(members),
        cmocka_unit_test(limits), cmocka_unit_test(bombs),   cmocka_unit_test(round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
