/* Dates against tables and against libc's calendar; the virtual clock. */
#include "base/clock.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

static void known_dates(void **state) {
    (void)state;
    static const struct {
        int64_t unix_s;
        int zone;
        struct date date;
        int weekday;
    } cases[] = {
        {0, 0, {1970, 1, 1, 0, 0, 0, 0}, 4},
        {-1, 0, {1969, 12, 31, 23, 59, 59, 0}, 3},
        {0, -1, {1969, 12, 31, 23, 59, 0, -1}, 3},
        {0, 90, {1970, 1, 1, 1, 30, 0, 90}, 4},
        {951782400, 0, {2000, 2, 29, 0, 0, 0, 0}, 2},
        {951868800, 0, {2000, 3, 1, 0, 0, 0, 0}, 3},
        {1709164800, 0, {2024, 2, 29, 0, 0, 0, 0}, 4},
        {4107456000, 0, {2100, 2, 28, 0, 0, 0, 0}, 0},
        {4107542400, 0, {2100, 3, 1, 0, 0, 0, 0}, 1},
        {1795555763, 0, {2026, 11, 24, 21, 29, 23, 0}, 2},
        {1795555763, -330, {2026, 11, 24, 15, 59, 23, -330}, 2},
        {INT32_MAX, 0, {2038, 1, 19, 3, 14, 7, 0}, 2},
        {253402300799, 0, {9999, 12, 31, 23, 59, 59, 0}, 5},
        {-62135596800, 0, {1, 1, 1, 0, 0, 0, 0}, 1},
        {-62167219200, 0, {0, 1, 1, 0, 0, 0, 0}, 6},
        {-62167219201, 0, {-1, 12, 31, 23, 59, 59, 0}, 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct date d = date_from_unix(cases[i].unix_s, cases[i].zone), e = cases[i].date;
        assert_true(d.year == e.year && d.month == e.month && d.day == e.day && d.hour == e.hour &&
                    d.minute == e.minute && d.second == e.second && d.zone_minutes == e.zone_minutes);
        assert_int_equal(date_weekday(&d), cases[i].weekday);
        int64_t back;
        assert_int_equal(date_to_unix(&d, &back), ERR_OK);
        assert_int_equal(back, cases[i].unix_s);
    }
}

static void every_day_agrees_with_libc(void **state) {
    (void)state;
    for (int64_t day = -200000; day < 200000; day++) {
        time_t t = (time_t)(day * 86400 + 12345);
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        struct date d = date_from_unix(t, 0);
        assert_int_equal(d.year, tm.tm_year + 1900);
        assert_int_equal(d.month, tm.tm_mon + 1);
        assert_int_equal(d.day, tm.tm_mday);
        assert_int_equal(d.hour, tm.tm_hour);
        assert_int_equal(date_weekday(&d), tm.tm_wday);
        int64_t back;
        assert_int_equal(date_to_unix(&d, &back), ERR_OK);
        assert_int_equal(back, t);
    }
}

static void the_ends_of_time(void **state) {
    (void)state;
    assert_int_equal(date_from_unix(INT64_MAX, 0).year, INT_MAX);
    assert_int_equal(date_from_unix(INT64_MIN, 0).year, INT_MIN);
    assert_int_equal(date_from_unix(INT64_MAX, 60).year, INT_MAX);
    assert_int_equal(date_from_unix(INT64_MIN, -60).year, INT_MIN);
    struct buf buf;
    buf_init(&buf, 100);
    buf_put_rfc5322_date(&buf, INT64_MAX);
    buf_put_rfc3339(&buf, INT64_MIN);
    assert_int_equal(buf_err(&buf), ERR_OK);
    buf_fini(&buf);
}

static void fields_out_of_range(void **state) {
    (void)state;
    static const struct date bad[] = {
        {2026, 0, 1, 0, 0, 0, 0},    {2026, 13, 1, 0, 0, 0, 0},    {2026, 1, 0, 0, 0, 0, 0},
        {2026, 1, 32, 0, 0, 0, 0},   {2026, 4, 31, 0, 0, 0, 0},    {2026, 2, 29, 0, 0, 0, 0},
        {2100, 2, 29, 0, 0, 0, 0},   {2026, 1, 1, 24, 0, 0, 0},    {2026, 1, 1, -1, 0, 0, 0},
        {2026, 1, 1, 0, 60, 0, 0},   {2026, 1, 1, 0, 0, 61, 0},    {2026, 1, 1, 0, 0, -1, 0},
        {2026, 1, 1, 0, 0, 0, 6000}, {2026, 1, 1, 0, 0, 0, -6000}, {INT_MAX, INT_MAX, 1, 0, 0, 0, 0},
    };
    int64_t out = 42;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(date_to_unix(&bad[i], &out), ERR_SYNTAX);
    assert_int_equal(out, 42);
    /* RFC5322-3.3: a leap second is written as 60 */
    struct date leap = {2016, 12, 31, 23, 59, 60, 0};
    assert_int_equal(date_to_unix(&leap, &out), ERR_OK);
    assert_int_equal(out, 1483228800);
    struct date far = {INT_MIN, 1, 1, 0, 0, 0, 5999};
    assert_int_equal(date_to_unix(&far, &out), ERR_OK);
}

static void texts(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_put_rfc5322_date(&buf, INT64_C(1795555763123456));
    assert_true(view_eq(buf_view(&buf), VIEW("Tue, 24 Nov 2026 21:29:23 +0000")));
    buf_clear(&buf);
    buf_put_rfc3339(&buf, INT64_C(1795555763123456));
    assert_true(view_eq(buf_view(&buf), VIEW("2026-11-24T21:29:23.123456Z")));
    buf_clear(&buf);
    buf_put_rfc3339(&buf, -1);
    assert_true(view_eq(buf_view(&buf), VIEW("1969-12-31T23:59:59.999999Z")));
    buf_clear(&buf);
    buf_put_rfc5322_date(&buf, -1);
    assert_true(view_eq(buf_view(&buf), VIEW("Wed, 31 Dec 1969 23:59:59 +0000")));
    buf_fini(&buf);
}

static void clocks(void **state) {
    (void)state;
    struct virtual_clock vc;
    virtual_clock_init(&vc, 1000);
    assert_int_equal(vc.clock.mono_us(&vc.clock), 0);
    assert_int_equal(vc.clock.wall_us(&vc.clock), 1000);
    virtual_clock_advance(&vc, 5 * US_PER_S);
    assert_int_equal(vc.clock.mono_us(&vc.clock), 5000000);
    assert_int_equal(vc.clock.wall_us(&vc.clock), 5001000);
    struct clock *system = clock_system();
    int64_t first = system->mono_us(system);
    assert_true(system->mono_us(system) >= first);
    int64_t wall = system->wall_us(system) / US_PER_S, libc = (int64_t)time(NULL);
    assert_true(wall - libc <= 5 && libc - wall <= 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates),
        cmocka_unit_test(every_day_agrees_with_libc),
        cmocka_unit_test(the_ends_of_time),
        cmocka_unit_test(fields_out_of_range),
        cmocka_unit_test(texts),
        cmocka_unit_test(clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
