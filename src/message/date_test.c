/* Dates of messages. */
#include "message/testing.h"

#include "message/date.h"

/* RFC5322-3.3, RFC5322-4.3 obsolete years and zones, RFC5322-A.5 comments everywhere, RFC5256-2.2 invalid times and zones. */
static const struct {
    const char *value;
    int64_t unix_s; /* -1: not a date */
    int zone;
    bool zone_known;
} cases[] = {
    {"Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360, true},
    {"21 Nov 97 09:55:06 GMT", 880106106, 0, true},
    {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360, true},
    {"Thu,\r\n 13\r\n Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)", -27723480, -210, true},
    {"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120, true},
    {"1 jul 2003 10:52 +0200", 1057049520, 120, true},
    {"Wed May 23 04:58:08 2007", 1179896288, 0, false},
    {"Wed, 23 May 2007 04:58:08", 1179896288, 0, false},
    {"Wed, 23 May 2007 04:58:08 -0000", 1179896288, 0, false},
    {"Wed, 23 May 2007 04:58:08 EST", 1179914288, -300, true},
    {"Wed, 23 May 2007 04:58:08 FOO", 1179896288, 0, false},
    {"Wed, 23 May 2007 04:58:08 GMT+0200", 1179889088, 120, true},
    {"Wed, 23 May 2007 04:58:08 +02:00", 1179889088, 120, true},
    {"Wed, 23 May 2007 04:58:08 +0200 (CEST)", 1179889088, 120, true},
    {"Wednesday, May 23, 2007 4:58:08 AM", 1179896288, 0, false},
    {"Wednesday, May 23, 2007 4:58:08 PM", 1179939488, 0, false},
    {"23-May-2007 04:58:08 +0000", 1179896288, 0, true},
    {"23 May 2007 04.58.08 +0000", 1179896288, 0, true},
    {"2007-05-23 04:58:08", 1179896288, 0, false},
    {"2007-05-23T04:58:08.123Z", 1179896288, 0, true},
    {"2007-05-23T04:58:08+02:00", 1179889088, 120, true},
    {"23.05.2007 04:58:08", 1179896288, 0, false},
    {"23 May 107 04:58:08 +0000", 1179896288, 0, true},
    {"23 May 2007", 1179878400, 0, false},
    {"23 May 2007 25:00:00 +0000", 1179878400, 0, true},
    {"23 May 2007 04:58:60 +0000", 1179896340, 0, true},
    {"23 May 2007 04:58:08 +9999", 1179896288, 0, false},
    {"", -1, 0, false},
    {"yesterday", -1, 0, false},
    {"23 2007", -1, 0, false},
    {"May 2007", -1, 0, false},
    {"31 Feb 2007 00:00:00 +0000", -1, 0, false},
    {"99999999999999999999", -1, 0, false},
    {"(((((", -1, 0, false},
};

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message_date date;
        enum err err = message_date_parse(view_cstr(cases[i].value), &date);
        bool is_bad = cases[i].unix_s == -1;
        if (is_bad != (err != ERR_OK) || (!is_bad && date.unix_s != cases[i].unix_s))
            fail_msg("\"%s\": %s, %lld", cases[i].value, err_name(err), err == ERR_OK ? (long long)date.unix_s : 0LL);
        if (is_bad) {
            assert_int_equal(err, ERR_SYNTAX);
            continue;
        }
        if (date.local.zone_minutes != cases[i].zone || date.zone_known != cases[i].zone_known)
            fail_msg("\"%s\": zone %d", cases[i].value, date.local.zone_minutes);
    }
}

static void test_written_dates(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    for (int64_t s = -2000000000; s < INT64_C(4000000000); s += 86399 * 977) {
        struct message_date date;
        buf_clear(&buf);
        buf_put_rfc5322_date(&buf, s * US_PER_S);
        assert_int_equal(message_date_parse(buf_view(&buf), &date), ERR_OK);
        assert_true(date.unix_s == s);
        assert_true(date.zone_known);
    }
    buf_fini(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_written_dates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
