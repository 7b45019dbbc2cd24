/* The packet header: its form, and one case for each rule. */
#include "loop/channel_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static const uint8_t request[] = {
    1,   1,   0x12, 0x34,                    /* version, kind, code */
    0,   0,   0,    0,    0, 0,    0,    9,  /* id */
    0,   0,   0,    0,    0, 0,    0,    7,  /* trace */
    0,   0,   0,    0,    0, 0x0f, 0x42, 64, /* remaining: a second */
    0,   2,   0,    1,                       /* err, handles: none, a file */
    'r', 'e', 'c',
};

static void the_form_is_fixed(void **state) {
    (void)state;
    struct packet packet = {
        .kind = PACKET_REQUEST,
        .code = 0x1234,
        .id = 9,
        .trace = 7,
        .remaining_us = 1000000,
        .handles_n = 2,
        .kinds = {HANDLE_NONE, HANDLE_FILE},
    };
    struct buf out;
    buf_init(&out, 100);
    packet_put_header(&packet, &out);
    buf_put_str(&out, "rec");
    assert_int_equal(out.n, sizeof(request));
    assert_memory_equal(out.p, request, sizeof(request));
    buf_fini(&out);
    struct packet back;
    assert_int_equal(packet_parse(view_of(request, sizeof(request)), &back), ERR_OK);
    assert_int_equal(back.kind, PACKET_REQUEST);
    assert_int_equal(back.code, 0x1234);
    assert_int_equal(back.id, 9);
    assert_int_equal(back.trace, 7);
    assert_int_equal(back.remaining_us, 1000000);
    assert_int_equal(back.handles_n, 2);
    assert_int_equal(back.kinds[0], HANDLE_NONE);
    assert_int_equal(back.kinds[1], HANDLE_FILE);
    assert_true(view_eq(back.record, VIEW("rec")));
}

static void every_truncation_of_the_header(void **state) {
    (void)state;
    struct packet packet;
    for (size_t n = 0; n < sizeof(request) - 3; n++)
        assert_int_equal(packet_parse(view_of(request, n), &packet), ERR_SYNTAX);
    for (size_t n = sizeof(request) - 3; n <= sizeof(request); n++)
        assert_int_equal(packet_parse(view_of(request, n), &packet), ERR_OK);
    static uint8_t large[CHANNEL_PACKET_MAX + 1];
    memcpy(large, request, sizeof(request));
    assert_int_equal(packet_parse(view_of(large, sizeof(large) - 1), &packet), ERR_OK);
    assert_int_equal(packet_parse(view_of(large, sizeof(large)), &packet), ERR_SYNTAX);
}

#define FIELDS(kind, code, id, trace, remaining, err) \
    1, kind, 0, code, 0, 0, 0, 0, 0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0, trace, 0, 0, 0, 0, 0, 0, 0, remaining, err

static const struct rule {
    const char *name;
    enum err expected;
    size_t n;
    uint8_t octets[40];
} rules[] = {
    {"request", ERR_OK, 30, {FIELDS(1, 5, 1, 2, 3, 0), 0}},
    {"request without an id", ERR_SYNTAX, 30, {FIELDS(1, 5, 0, 2, 3, 0), 0}},
    {"request with an error", ERR_SYNTAX, 30, {FIELDS(1, 5, 1, 2, 3, 1), 0}},
    {"reply", ERR_OK, 31, {FIELDS(2, 5, 1, 0, 0, 0), 0, 'r'}},
    {"reply without an id", ERR_SYNTAX, 30, {FIELDS(2, 5, 0, 0, 0, 0), 0}},
    {"reply with a trace", ERR_SYNTAX, 30, {FIELDS(2, 5, 1, 1, 0, 0), 0}},
    {"reply with a deadline", ERR_SYNTAX, 30, {FIELDS(2, 5, 1, 0, 1, 0), 0}},
    {"reply with the last error", ERR_OK, 30, {FIELDS(2, 5, 1, 0, 0, ERR_COUNT - 1), 0}},
    {"reply with an unknown error", ERR_SYNTAX, 30, {FIELDS(2, 5, 1, 0, 0, ERR_COUNT), 0}},
    {"reply with an error and a record", ERR_SYNTAX, 31, {FIELDS(2, 5, 1, 0, 0, 1), 0, 'r'}},
    {"reply with an error and a handle", ERR_SYNTAX, 31, {FIELDS(2, 5, 1, 0, 0, 1), 1, 1}},
    {"one way", ERR_OK, 30, {FIELDS(3, 5, 0, 2, 0, 0), 0}},
    {"one way with an id", ERR_SYNTAX, 30, {FIELDS(3, 5, 1, 2, 0, 0), 0}},
    {"one way with a deadline", ERR_SYNTAX, 30, {FIELDS(3, 5, 0, 2, 1, 0), 0}},
    {"one way with an error", ERR_SYNTAX, 30, {FIELDS(3, 5, 0, 2, 0, 1), 0}},
    {"cancel", ERR_OK, 30, {FIELDS(4, 0, 1, 0, 0, 0), 0}},
    {"cancel without an id", ERR_SYNTAX, 30, {FIELDS(4, 0, 0, 0, 0, 0), 0}},
    {"cancel with a code", ERR_SYNTAX, 30, {FIELDS(4, 5, 1, 0, 0, 0), 0}},
    {"cancel with a trace", ERR_SYNTAX, 30, {FIELDS(4, 0, 1, 1, 0, 0), 0}},
    {"cancel with a record", ERR_SYNTAX, 31, {FIELDS(4, 0, 1, 0, 0, 0), 0, 'r'}},
    {"cancel with a handle", ERR_SYNTAX, 31, {FIELDS(4, 0, 1, 0, 0, 0), 1, 1}},
    {"kind 0", ERR_SYNTAX, 30, {FIELDS(0, 5, 1, 2, 3, 0), 0}},
    {"kind 5", ERR_SYNTAX, 30, {FIELDS(5, 5, 1, 2, 3, 0), 0}},
    {"four handles", ERR_OK, 34, {FIELDS(1, 5, 1, 2, 3, 0), 4, 1, 2, 3, 4}},
    {"five handles", ERR_SYNTAX, 35, {FIELDS(1, 5, 1, 2, 3, 0), 5, 1, 2, 3, 4, 1}},
    {"an unknown kind of handle", ERR_SYNTAX, 31, {FIELDS(1, 5, 1, 2, 3, 0), 1, 5}},
    {"a last handle that is none", ERR_SYNTAX, 32, {FIELDS(1, 5, 1, 2, 3, 0), 2, 1, 0}},
    {"fewer kinds than handles", ERR_SYNTAX, 31, {FIELDS(1, 5, 1, 2, 3, 0), 2, 1}},
};

static void one_case_for_each_rule(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct packet packet;
        enum err err = packet_parse(view_of(rules[i].octets, rules[i].n), &packet);
        if (err != rules[i].expected)
            fail_msg("%s: %s", rules[i].name, err_name(err));
    }
    uint8_t other[sizeof(request)];
    struct packet packet;
    memcpy(other, request, sizeof(other));
    other[0] = CHANNEL_VERSION + 1;
    assert_int_equal(packet_parse(view_of(other, sizeof(other)), &packet), ERR_SYNTAX);
    memcpy(other, request, sizeof(other));
    memset(other + 20, 0xff, 8);
    assert_int_equal(packet_parse(view_of(other, sizeof(other)), &packet), ERR_OK);
    assert_true(packet.remaining_us == PACKET_NEVER);
    other[27] = 0xfe; /* neither a time nor never */
    assert_int_equal(packet_parse(view_of(other, sizeof(other)), &packet), ERR_SYNTAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_is_fixed),
        cmocka_unit_test(every_truncation_of_the_header),
        cmocka_unit_test(one_case_for_each_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
