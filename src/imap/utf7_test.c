/* Modified UTF-7, RFC3501-5.1.3. */
#include "imap/utf7.h"

#include "base/random.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
    const char *utf7, *utf8;
} good[] = {
    {"INBOX", "INBOX"},
    {"", ""},
    {"&-", "&"},
    {"A&-B", "A&B"},
    /* RFC3501-5.1.3: the RFC's own example */
    {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},
    {"&U,BTF2XlZyyKng-", "台北日本語"},
    {"Entw&APw-rfe", "Entwürfe"},
    {"&2D3eAA-", "😀"},
    {"&AAk-", "\t"},
    {"&AOk-&-", "é&"},
};

/* RFC3501-5.1.3: "modified BASE64 MUST NOT be used to represent any printing US-ASCII character", no null shifts, "-" ends. */
static const char *bad[] = {"&",     "&U,BTFw", "&AGE-",    "&Jjo!", "Hello, &JjoAIQ-", "&U,BTFw-&ZeVnLIqe-",
                            "&2D0-", "&3gA-",   "&2D0AYQ-", "&AP-",  "&APz-",           "\xc3\xa9",
                            "&AAA-", "a\tb",    "&APwA-"};

static void test_good(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct buf out;
        buf_init(&out, 1000);
        assert_int_equal(utf7_decode(view_cstr(good[i].utf7), &out), ERR_OK);
        assert_true(view_eq(buf_view(&out), view_cstr(good[i].utf8)));
        buf_clear(&out);
        assert_int_equal(utf7_encode(view_cstr(good[i].utf8), &out), ERR_OK);
        assert_true(view_eq(buf_view(&out), view_cstr(good[i].utf7)));
        buf_fini(&out);
    }
}

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf out;
        buf_init(&out, 1000);
        if (utf7_decode(view_cstr(bad[i]), &out) != ERR_SYNTAX)
            fail_msg("%s was accepted", bad[i]);
        buf_fini(&out);
    }
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(utf7_encode(VIEW("\xff"), &out), ERR_SYNTAX);
    assert_int_equal(utf7_encode(VIEW("a\0b"), &out), ERR_SYNTAX);
    buf_fini(&out);
    buf_init(&out, 3);
    assert_int_equal(utf7_decode(VIEW("abcdef"), &out), ERR_LIMIT);
    buf_fini(&out);
}

/* Every name survives the way out and in again. */
static void test_round_trip(void **state) {
    (void)state;
    struct random_seeded random;
    random_seeded_init(&random, 7);
    for (int round = 0; round < 2000; round++) {
        struct buf name, wire, back;
        buf_init(&name, 1000);
        buf_init(&wire, 10000);
        buf_init(&back, 10000);
        for (uint64_t n = random_below(&random.random, 12); n > 0; n--) {
            static const uint32_t limits[] = {0x7f, 0x7f, 0x7ff, 0xffff, 0x10ffff};
            uint32_t cp = 1 + (uint32_t)random_below(&random.random, limits[random_below(&random.random, 5)]);
            buf_put_utf8(&name, cp);
        }
        assert_int_equal(utf7_encode(buf_view(&name), &wire), ERR_OK);
        assert_true(utf8_is_ascii(buf_view(&wire)));
        assert_int_equal(utf7_decode(buf_view(&wire), &back), ERR_OK);
        assert_true(view_eq(buf_view(&name), buf_view(&back)));
        buf_fini(&name);
        buf_fini(&wire);
        buf_fini(&back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
