/* The builder: growth, limits that stick, numbers, hex and base64. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define assert_buf(buf, text) assert_true(view_eq(buf_view(&(buf)), VIEW(text)))

static void the_first_failure_sticks(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    buf_put(&buf, VIEW("abc"));
    buf_put(&buf, VIEW("def"));
    assert_int_equal(buf_err(&buf), ERR_LIMIT);
    buf_put_byte(&buf, 'd'); /* would fit, but what is before it is missing */
    buf_put_str(&buf, "e");
    buf_printf(&buf, "f");
    buf_put_u64(&buf, 1);
    buf_put_hex(&buf, VIEW("x"));
    assert_null(buf_room(&buf, 1));
    assert_buf(buf, "abc");
    buf_clear(&buf);
    assert_int_equal(buf_err(&buf), ERR_OK);
    buf_put(&buf, VIEW("12345"));
    assert_int_equal(buf_err(&buf), ERR_OK);
    buf_put(&buf, VIEW_NONE);
    assert_int_equal(buf_err(&buf), ERR_OK);
    assert_buf(buf, "12345");
    buf_fini(&buf);
    buf_init(&buf, 0);
    assert_non_null(buf_room(&buf, 0));
    buf_put_byte(&buf, 'x');
    assert_int_equal(buf_err(&buf), ERR_LIMIT);
    buf_fini(&buf);
}

static void every_put_respects_every_limit(void **state) {
    (void)state;
    for (size_t limit = 0; limit < 40; limit++) {
        struct buf buf;
        for (int kind = 0; kind < 8; kind++) {
            buf_init(&buf, limit);
            for (int i = 0; i < 40 && buf.err == ERR_OK; i++) {
                size_t before = buf.n;
                switch (kind) {
                case 0:
                    buf_put(&buf, VIEW("a\0b"));
                    break;
                case 1:
                    buf_printf(&buf, "%s", "abcd");
                    break;
                case 2:
                    buf_put_u64(&buf, 12345);
                    break;
                case 3:
                    buf_put_be64(&buf, 1);
                    break;
                case 4:
                    buf_put_hex(&buf, VIEW("ab"));
                    break;
                case 5:
                    buf_put_base64(&buf, VIEW("ab"));
                    break;
                case 6:
                    buf_put_i64(&buf, -7);
                    break;
                default:
                    buf_put_be16(&buf, 7);
                    break;
                }
                assert_true(buf.n <= limit && buf.cap <= MAX(limit, (size_t)1));
                assert_true((buf.err == ERR_OK) == (buf.n > before));
            }
            assert_int_equal(buf.err, ERR_LIMIT);
            buf_fini(&buf);
        }
    }
}

static void growth_doubles(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 1 << 22);
    size_t growths = 0, cap = 0;
    for (size_t i = 0; i < 1 << 22; i++) {
        buf_put_byte(&buf, (uint8_t)i);
        growths += buf.cap != cap;
        cap = buf.cap;
    }
    assert_int_equal(buf_err(&buf), ERR_OK);
    assert_int_equal(buf.n, 1 << 22);
    assert_true(growths <= 17); /* 64 octets doubled 16 times */
    assert_int_equal(buf.p[1000001], 1000001 & 255);
    buf_put_byte(&buf, 0);
    assert_int_equal(buf_err(&buf), ERR_LIMIT);
    buf_fini(&buf);
}

static void room_and_consume(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    uint8_t *p = buf_room(&buf, 10);
    memcpy(p, "0123456789", 10);
    buf_added(&buf, 8);
    assert_buf(buf, "01234567");
    buf_consume(&buf, 0);
    buf_consume(&buf, 3);
    assert_buf(buf, "34567");
    buf_consume(&buf, 5);
    assert_int_equal(buf.n, 0);
    buf_fini(&buf);
    assert_null(buf.p);
}

static void secrets_are_wiped(void **state) {
    (void)state;
    struct buf buf;
    buf_init_secret(&buf, 1000);
    buf_put_str(&buf, "password");
    buf_consume(&buf, 4);
    assert_memory_equal(buf.p, "word\0\0\0\0", 8);
    uint8_t *p = buf.p;
    buf_clear(&buf);
    assert_memory_equal(p, "\0\0\0\0\0\0\0\0", 8);
    buf_put_str(&buf, "password");
    for (int i = 0; i < 100; i++)
        buf_put_str(&buf, "more"); /* moves */
    assert_true(view_starts(buf_view(&buf), VIEW("passwordmoremore")));
    buf_fini(&buf);
    assert_true(buf.secret);

    uint8_t octets[4] = {1, 2, 3, 4};
    wipe(octets, 3);
    assert_memory_equal(octets, "\0\0\0\4", 4);
    wipe(NULL, 0);
    assert_true(equal_constant_time(VIEW("a\0b"), VIEW("a\0b")));
    assert_false(equal_constant_time(VIEW("a\0b"), VIEW("a\0c")));
    assert_false(equal_constant_time(VIEW("b\0c"), VIEW("a\0c")));
    assert_false(equal_constant_time(VIEW("a"), VIEW("ab")));
    assert_true(equal_constant_time(VIEW_NONE, VIEW("")));
}

static void numbers_and_octets(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    buf_put_u64(&buf, 0);
    buf_put_byte(&buf, ' ');
    buf_put_u64(&buf, UINT64_MAX);
    buf_put_byte(&buf, ' ');
    buf_put_i64(&buf, INT64_MIN);
    buf_put_byte(&buf, ' ');
    buf_put_i64(&buf, INT64_MAX);
    buf_printf(&buf, " %s%05d", "x", 42);
    assert_buf(buf, "0 18446744073709551615 -9223372036854775808 9223372036854775807 x00042");
    buf_clear(&buf);
    buf_put_be16(&buf, 0x0102);
    buf_put_be32(&buf, 0x03040506);
    buf_put_be64(&buf, 0x0708090a0b0c0d0e);
    assert_buf(buf, "\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e");
    buf_fini(&buf);
}

/* RFC4648-10: the test vectors */
static const struct {
    struct view plain, base64;
} vectors[] = {
    {VIEW_INIT(""), VIEW_INIT("")},
    {VIEW_INIT("f"), VIEW_INIT("Zg==")},
    {VIEW_INIT("fo"), VIEW_INIT("Zm8=")},
    {VIEW_INIT("foo"), VIEW_INIT("Zm9v")},
    {VIEW_INIT("foob"), VIEW_INIT("Zm9vYg==")},
    {VIEW_INIT("fooba"), VIEW_INIT("Zm9vYmE=")},
    {VIEW_INIT("foobar"), VIEW_INIT("Zm9vYmFy")},
    {VIEW_INIT("\0\0\0"), VIEW_INIT("AAAA")},
    {VIEW_INIT("\xff\xfe\xfb\xef\xbe"), VIEW_INIT("//777744")},
};

static void base64(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    for (size_t i = 0; i < ARRAY_LEN(vectors) - 1; i++) {
        buf_clear(&buf);
        buf_put_base64(&buf, vectors[i].plain);
        assert_true(view_eq(buf_view(&buf), vectors[i].base64));
        buf_clear(&buf);
        assert_int_equal(base64_decode(vectors[i].base64, &buf), ERR_OK);
        assert_true(view_eq(buf_view(&buf), vectors[i].plain));
    }
    buf_clear(&buf);
    buf_put_base64(&buf, VIEW("\xfb\xff\xbf"));
    assert_buf(buf, "+/+/");
    static const struct view bad[] = {
        VIEW_INIT("Zg"),       VIEW_INIT("Zg="),      VIEW_INIT("Zg==="),        VIEW_INIT("===="),
        VIEW_INIT("Z==="),     VIEW_INIT("Zh=="),     VIEW_INIT("Zm9="),         VIEW_INIT("Zm=v"),
        VIEW_INIT("Zg==Zg=="), VIEW_INIT("Zm9v\n"),   VIEW_INIT("Zm 9vYg="),     VIEW_INIT("Zm9\0"),
        VIEW_INIT("Zm-_"),     VIEW_INIT("=Zm9"),     VIEW_INIT("Zm9v\n\n\n\n"), VIEW_INIT("Zm9\xff"),
        VIEW_INIT("="),        VIEW_INIT("Zm9vZg=a"),
    };
    buf_clear(&buf);
    buf_put_str(&buf, "kept");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(base64_decode(bad[i], &buf), ERR_SYNTAX);
    assert_buf(buf, "kept");
    assert_int_equal(buf_err(&buf), ERR_OK);
    buf_fini(&buf);
    buf_init(&buf, 2);
    assert_int_equal(base64_decode(VIEW("Zm8="), &buf), ERR_OK);
    assert_int_equal(base64_decode(VIEW("Zg=="), &buf), ERR_LIMIT);
    assert_buf(buf, "fo");
    buf_fini(&buf);
}

static void every_octet_survives_both_encodings(void **state) {
    (void)state;
    uint8_t all[256];
    for (size_t i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    struct buf text, back;
    buf_init(&text, 1000);
    buf_init(&back, 1000);
    for (size_t n = 0; n <= 256; n++) {
        buf_clear(&text);
        buf_clear(&back);
        buf_put_base64(&text, view_of(all, n));
        assert_int_equal(base64_decode(buf_view(&text), &back), ERR_OK);
        assert_true(view_eq(buf_view(&back), view_of(all, n)));
        buf_clear(&text);
        buf_clear(&back);
        buf_put_hex(&text, view_of(all, n));
        assert_int_equal(hex_decode(buf_view(&text), &back), ERR_OK);
        assert_true(view_eq(buf_view(&back), view_of(all, n)));
    }
    buf_clear(&back);
    assert_int_equal(hex_decode(VIEW("00fFAa"), &back), ERR_OK);
    assert_buf(back, "\0\xff\xaa");
    assert_int_equal(hex_decode(VIEW("0"), &back), ERR_SYNTAX);
    assert_int_equal(hex_decode(VIEW("0g"), &back), ERR_SYNTAX);
    assert_int_equal(hex_decode(VIEW("00 0"), &back), ERR_SYNTAX);
    assert_int_equal(back.n, 3);
    buf_fini(&text);
    buf_fini(&back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_failure_sticks),
        cmocka_unit_test(every_put_respects_every_limit),
        cmocka_unit_test(growth_doubles),
        cmocka_unit_test(room_and_consume),
        cmocka_unit_test(secrets_are_wiped),
        cmocka_unit_test(numbers_and_octets),
        cmocka_unit_test(base64),
        cmocka_unit_test(every_octet_survives_both_encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
