/* A budget of questions: so many, so long, and then nothing is asked any more. */
#include "dns/budget.h"
#include "dns/table_testing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_budget(void **state) {
    (void)state;
    struct dns_table t;
    struct virtual_clock clock;
    struct dns_budget budget;
    struct dns_answer a;
    struct arena *arena = arena_new("dns.test", 1u << 20);
    dns_table_init(&t);
    virtual_clock_init(&clock, 0);
    dns_table_add(&t, VIEW("a.example"), DNS_A, VIEW("192.0.2.1"));
    dns_budget_init(&budget, &t.client, &clock.clock, 3, US_PER_S);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(dns_lookup(&budget.client, VIEW("a.example"), DNS_A, arena, &a), ERR_OK);
        assert_int_equal(a.status, i < 3 ? DNS_OK : DNS_TEMPORARY);
        assert_int_equal(budget.is_used_up, i >= 3);
    }
    assert_int_equal(t.asked, 3);
    dns_budget_init(&budget, &t.client, &clock.clock, 3, US_PER_S);
    virtual_clock_advance(&clock, US_PER_S - 1);
    assert_int_equal(dns_lookup(&budget.client, VIEW("a.example"), DNS_A, arena, &a), ERR_OK);
    assert_int_equal(a.status, DNS_OK);
    virtual_clock_advance(&clock, 1);
    assert_int_equal(dns_lookup(&budget.client, VIEW("a.example"), DNS_A, arena, &a), ERR_OK);
    assert_int_equal(a.status, DNS_TEMPORARY);
    assert_int_equal(t.asked, 4);
    t.fail = ERR_AGAIN;
    dns_budget_init(&budget, &t.client, &clock.clock, 3, US_PER_S);
    assert_int_equal(dns_lookup(&budget.client, VIEW("a.example"), DNS_A, arena, &a), ERR_AGAIN);
    dns_table_fini(&t);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_budget)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
