/* Records: round trips, every limit, every truncation, what is left over. */
#include "base/record.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define R_part(F, S) F(S, U8, kind) F(S, VIEW, text, 5)
RECORD_DECLARE(part);
RECORD_DEFINE(part);

/* clang-format off */
#define R_whole(F, S)                                                                     \
    F(S, U8, a) F(S, U16, b) F(S, U32, c) F(S, U64, d) F(S, I64, e) F(S, BOOL, f)         \
    F(S, VIEW, g, 8) F(S, ADDR, h) F(S, LIST, parts, part, 3) F(S, RECORD, one, part)     \
    F(S, VIEW, password, 9)
/* clang-format on */
RECORD_DECLARE(whole);
RECORD_DEFINE(whole);

static struct part sample_parts[2] = {{1, VIEW_INIT("x\0y")}, {2, VIEW_INIT("")}};

static struct whole sample(void) {
    return (struct whole){
        .a = 0xab,
        .b = 0x1234,
        .c = 0xdeadbeef,
        .d = UINT64_MAX - 1,
        .e = -5,
        .f = true,
        .g = VIEW("na\"me"),
        .h = {.family = 6, .ip = {[15] = 1}, .port = 25},
        .parts = sample_parts,
        .parts_n = 2,
        .one = {9, VIEW("hello")},
        .password = VIEW("secret"),
    };
}

static const uint8_t wire[] = {0xab, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb, 1,    0,    0,    0,    5,    'n',  'a',
                               '"',  'm',  'e',  6,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                               0,    0,    0,    0,    1,    0,    25,   0,    0,    0,    2,    1,    0,    0,    0,
                               3,    'x',  0,    'y',  2,    0,    0,    0,    0,    9,    0,    0,    0,    5,    'h',
                               'e',  'l',  'l',  'o',  0,    0,    0,    6,    's',  'e',  'c',  'r',  'e',  't'};

static void the_wire_form_is_fixed(void **state) {
    (void)state;
    struct whole record = sample(), back;
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(record_encode(&whole_record, &record, &out), ERR_OK);
    assert_int_equal(out.n, sizeof(wire));
    assert_memory_equal(out.p, wire, sizeof(wire));
    struct arena *arena = arena_new("test", 1000);
    assert_int_equal(record_decode(&whole_record, buf_view(&out), arena, &back), ERR_OK);
    assert_true(record_equal(&whole_record, &record, &back));
    assert_true(view_eq(back.parts[0].text, VIEW("x\0y")));
    assert_int_equal(back.e, -5);
    arena_free(arena);
    buf_fini(&out);
}

static void truncated_or_longer_is_refused(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 10000);
    struct whole back, before;
    memset(&back, 0x5a, sizeof(back));
    before = back;
    for (size_t n = 0; n < sizeof(wire); n++) {
        assert_int_equal(record_decode(&whole_record, view_of(wire, n), arena, &back), ERR_SYNTAX);
        assert_memory_equal(&back, &before, sizeof(back)); /* set only when all is well */
        assert_int_equal(record_check(&whole_record, view_of(wire, n)), ERR_SYNTAX);
        arena_clear(arena);
    }
    uint8_t longer[sizeof(wire) + 1] = {0};
    memcpy(longer, wire, sizeof(wire));
    assert_int_equal(record_decode(&whole_record, view_of(longer, sizeof(longer)), arena, &back), ERR_SYNTAX);
    arena_free(arena);
}

static enum err decode_changed(size_t offset, uint8_t octet) {
    uint8_t bad[sizeof(wire)];
    memcpy(bad, wire, sizeof(wire));
    bad[offset] = octet;
    struct arena *arena = arena_new("test", 10000);
    struct whole back;
    enum err err = record_decode(&whole_record, view_of(bad, sizeof(bad)), arena, &back);
    arena_free(arena);
    assert_int_equal(record_check(&whole_record, view_of(bad, sizeof(bad))), err);
    return err;
}

static void maxima_and_forms_are_checked(void **state) {
    (void)state;
    assert_int_equal(decode_changed(0, 0), ERR_OK);
    assert_int_equal(decode_changed(23, 2), ERR_SYNTAX);   /* BOOL */
    assert_int_equal(decode_changed(27, 9), ERR_LIMIT);    /* VIEW over its maximum */
    assert_int_equal(decode_changed(24, 0xff), ERR_LIMIT); /* and far over */
    assert_int_equal(decode_changed(33, 5), ERR_SYNTAX);   /* ADDR family */
    assert_int_equal(decode_changed(55, 4), ERR_LIMIT);    /* LIST count */
    assert_int_equal(decode_changed(55, 3), ERR_LIMIT);    /* the next record reads as a long text */

    struct whole record = sample();
    struct buf out;
    buf_init(&out, 1000);
    record.g = VIEW("123456789");
    assert_int_equal(record_encode(&whole_record, &record, &out), ERR_LIMIT);
    assert_int_equal(buf_err(&out), ERR_LIMIT);
    buf_clear(&out);
    record = sample();
    record.parts_n = 4;
    assert_int_equal(record_encode(&whole_record, &record, &out), ERR_LIMIT);
    buf_fini(&out);
    buf_init(&out, sizeof(wire) - 1);
    record = sample();
    assert_int_equal(record_encode(&whole_record, &record, &out), ERR_LIMIT);
    buf_fini(&out);
}

static void memory_is_bounded(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 2 * sizeof(struct part) - 1);
    struct whole back;
    assert_int_equal(record_decode(&whole_record, view_of(wire, sizeof(wire)), arena, &back), ERR_LIMIT);
    assert_int_equal(record_check(&whole_record, view_of(wire, sizeof(wire))),
                     ERR_OK); /* the message is not to blame */
    arena_free(arena);
}

static void copies_are_deep(void **state) {
    (void)state;
    uint8_t in[sizeof(wire)];
    memcpy(in, wire, sizeof(wire));
    struct arena *first = arena_new("first", 1000), *second = arena_new("second", 1000);
    struct whole record, copied, expected = sample();
    assert_int_equal(record_decode(&whole_record, view_of(in, sizeof(in)), first, &record), ERR_OK);
    assert_int_equal(record_copy(&whole_record, &record, second, &copied), ERR_OK);
    memset(in, 0, sizeof(in));
    arena_free(first);
    assert_true(record_equal(&whole_record, &copied, &expected));
    arena_free(second);
    second = arena_new("small", 40);
    assert_int_equal(record_copy(&whole_record, &expected, second, &copied), ERR_LIMIT);
    arena_free(second);
}

static void every_field_counts_for_equality(void **state) {
    (void)state;
    struct random_seeded rs;
    random_seeded_init(&rs, 1);
    struct arena *arena = arena_new("test", 10000);
    struct whole record = sample();
    unsigned accepted = 0;
    for (size_t i = 0; i < sizeof(wire); i++) {
        uint8_t changed[sizeof(wire)];
        memcpy(changed, wire, sizeof(wire));
        changed[i] = (uint8_t)(changed[i] ^ (1u + random_below(&rs.random, 255)));
        struct whole back;
        if (record_decode(&whole_record, view_of(changed, sizeof(changed)), arena, &back) != ERR_OK)
            continue;
        accepted++;
        assert_false(record_equal(&whole_record, &record, &back));
        struct buf out;
        buf_init(&out, 1000);
        assert_int_equal(record_encode(&whole_record, &back, &out), ERR_OK);
        assert_true(view_eq(buf_view(&out), view_of(changed, sizeof(changed))));
        buf_fini(&out);
        arena_clear(arena);
    }
    assert_true(accepted > 40);
    arena_free(arena);
}

static void printing_hides_secrets(void **state) {
    (void)state;
    struct whole record = sample();
    struct buf out;
    buf_init(&out, 1000);
    record_print(&whole_record, &record, &out);
    buf_put_byte(&out, 0);
    assert_string_equal((char *)out.p,
                        "whole{a=171 b=4660 c=3735928559 d=18446744073709551614 e=-5 f=true g=\"na\\x22me\" "
                        "h=[::1]:25 parts=[part{kind=1 text=\"x\\x00y\"} part{kind=2 text=\"\"}] "
                        "one=part{kind=9 text=\"hello\"} password=(hidden)}");
    buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wire_form_is_fixed),
        cmocka_unit_test(truncated_or_longer_is_refused),
        cmocka_unit_test(maxima_and_forms_are_checked),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(copies_are_deep),
        cmocka_unit_test(every_field_counts_for_equality),
        cmocka_unit_test(printing_hides_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
