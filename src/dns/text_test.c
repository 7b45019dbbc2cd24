/* Records as text: every type, and what is not of its type's shape. */
#include "dns/dns_testing.h"
#include "dns/text.h"

static void expect(uint16_t type, const struct buf *data, const char *text) {
    struct buf out;
    buf_init(&out, 4096);
    buf_put_dns_rdata(&out, type, buf_view(data));
    assert_int_equal(buf_err(&out), ERR_OK);
    if (!view_eq(buf_view(&out), view_cstr(text)))
        fail_msg("%.*s is not %s", VIEW_FMT(buf_view(&out)), text);
    buf_fini(&out);
}

/* RFC1035-5.1, RFC6698-2.2, RFC8659-4.1, RFC3597-5 */
static void test_types(void **state) {
    (void)state;
    struct buf d;
    buf_init(&d, 4096);
    buf_put(&d, VIEW("\xc0\x00\x02\x01"));
    expect(DNS_A, &d, "192.0.2.1");
    expect(DNS_AAAA, &d, "\\# 4 c0000201");
    expect(999, &d, "\\# 4 c0000201");
    buf_clear(&d);
    buf_put(&d, VIEW("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"));
    expect(DNS_AAAA, &d, "2001:db8::1");
    expect(DNS_A, &d, "\\# 16 20010db8000000000000000000000001");
    buf_clear(&d);
    expect(DNS_TXT, &d, "\\# 0");
    buf_put(&d, VIEW("\x05"
                     "a\"b\\\xff"
                     "\0"
                     "\x01"
                     "c"));
    expect(DNS_TXT, &d, "\"a\\\"b\\\\\\255\" \"\" \"c\"");
    buf_put_byte(&d, 9);
    expect(DNS_TXT, &d, "\\# 10 056122625cff00016309");
    buf_clear(&d);
    buf_put_be16(&d, 10);
    put_wire(&d, "mx.Example.test");
    expect(DNS_MX, &d, "10 mx.example.test.");
    buf_clear(&d);
    buf_put_be16(&d, 0);
    put_wire(&d, ".");
    expect(DNS_MX, &d, "0 .");
    buf_clear(&d);
    put_wire(&d, "host.example.test");
    expect(DNS_NS, &d, "host.example.test.");
    expect(DNS_PTR, &d, "host.example.test.");
    expect(DNS_CNAME, &d, "host.example.test.");
    buf_put_byte(&d, 0);
    expect(DNS_PTR, &d,
           "\\# 20 04686f7374076578616d706c65047465737400"
           "00");
    buf_clear(&d);
    buf_put_be16(&d, 1);
    buf_put_be16(&d, 2);
    buf_put_be16(&d, 465);
    put_wire(&d, "s.test");
    expect(DNS_SRV, &d, "1 2 465 s.test.");
    buf_clear(&d);
    put_wire(&d, "ns.test");
    put_wire(&d, "root.test");
    for (uint32_t i = 1; i <= 5; i++)
        buf_put_be32(&d, i * 1000000000u);
    expect(DNS_SOA, &d, "ns.test. root.test. 1000000000 2000000000 3000000000 4000000000 705032704");
    buf_clear(&d);
    buf_put(&d, VIEW("\x03\x01\x01\xab\xcd"));
    expect(DNS_TLSA, &d, "3 1 1 abcd");
    buf_clear(&d);
    buf_put(&d, VIEW("\x80\x05issueca.test; x"));
    expect(DNS_CAA, &d, "128 issue \"ca.test; x\"");
    buf_clear(&d);
    buf_put(&d, VIEW("\x80\x05iss eca.test"));
    expect(DNS_CAA, &d, "\\# 14 8005697373206563612e74657374");
    buf_fini(&d);
}

static void test_names(void **state) {
    (void)state;
    uint16_t type;
    assert_true(dns_type_from_name(VIEW("aaaa"), &type));
    assert_int_equal(type, DNS_AAAA);
    assert_false(dns_type_from_name(VIEW("ANY"), &type));
    assert_string_equal(dns_type_name(DNS_TLSA), "TLSA");
    assert_null(dns_type_name(255));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
