/* Names are asked once, and only so many of them. */
#include "dkim/memo.h"

#include "dkim/testing.h"

static void asks_once(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 1 << 20);
    struct table_dns dns;
    struct dkim_memo memo;
    struct dns_answer answer;
    table_init(&dns);
    table_add(&dns, VIEW("a.example"), VIEW("one"));
    table_add(&dns, VIEW("t.example"), VIEW("x"));
    dns.rows[1].status = DNS_TEMPORARY;
    dkim_memo_init(&memo, &dns.client, arena, 4);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(
            dns_lookup(&memo.client, i & 1 ? VIEW("a.example") : VIEW("A.Example"), DNS_TXT, arena, &answer), ERR_OK);
        assert_int_equal(answer.status, DNS_OK);
        assert_int_equal(answer.data_n, 1);
        assert_int_equal(dns.asked, 1);
    }
    /* A name that is not there is known not to be there; no answer is no knowledge. */
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(dns_lookup(&memo.client, VIEW("no.example"), DNS_TXT, arena, &answer), ERR_OK);
        assert_int_equal(answer.status, DNS_NXDOMAIN);
    }
    assert_int_equal(dns.asked, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(dns_lookup(&memo.client, VIEW("t.example"), DNS_TXT, arena, &answer), ERR_OK);
        assert_int_equal(answer.status, DNS_TEMPORARY);
    }
    assert_int_equal(dns.asked, 4);
    /* That were four; what was known still is. */
    assert_int_equal(dns_lookup(&memo.client, VIEW("more.example"), DNS_TXT, arena, &answer), ERR_OK);
    assert_int_equal(answer.status, DNS_TEMPORARY);
    assert_int_equal(dns.asked, 4);
    assert_int_equal(dns_lookup(&memo.client, VIEW("a.example"), DNS_TXT, arena, &answer), ERR_OK);
    assert_int_equal(answer.status, DNS_OK);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
