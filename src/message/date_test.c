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
    /* RFC5322-A.6.2 and RFC5322-A.6.3 */
    {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360, true},
    {"21 Nov 97 09:55:06 GMT", 880106106, 0, true},
    /* other orders, other marks */
    {"May 8, 2005 1:17 PM", 1115558220, 0, false},
    {"May 8, 2005 1:17 p.m.", 1115558220, 0, false},
    {"04:58:08 23 May 2007", 1179896288, 0, false},
    {"Wednesday, 23-May-07 04:58:08 GMT", 1179896288, 0, true},
    {"Wed,23May2007 04:58:08+0200", 1179889088, 120, true},
    {"Wed May 23 04:58:08 CEST 2007", 1179889088, 120, true},
    {"2007-5-3 04:58:08", 1178168288, 0, false},
    {"2007/05/23 04:58:08 +0000", 1179896288, 0, true},
    {"05/23/2007 4:58:08 PM", 1179939488, 0, false},
    {"05/03/2007 04:58:08", 1178168288, 0, false},
    {"23/05/2007 04:58:08", 1179896288, 0, false},
    {"3.5.07 04:58:08", 1178168288, 0, false},
    {"03-05-2007 04:58:08 +0000", 1178168288, 0, true},
    {"20070523T045808Z", 1179896288, 0, true},
    {"20070523045808", 1179896288, 0, false},
    {"20070523", 1179878400, 0, false},
    {"2007\xe5\xb9\xb4"
     "5\xe6\x9c\x88"
     "23\xe6\x97\xa5 04:58:08 +0900",
     1179863888, 540, true},
    /* other languages */
    {"Mi, 23 Mai 2007 04:58:08 +0200", 1179889088, 120, true},
    {"mer. 23 mai 2007 04:58:08 +0200", 1179889088, 120, true},
    {"mar, 3 apr 2007 04:58:08 +0000", 1175576288, 0, true},
    {"mar. 3 avr. 2007 04:58:08 +0000", 1175576288, 0, true},
    {"3 mar 2007 04:58:08 +0000", 1172897888, 0, true},
    {"3 M\xc3\xa4rz 2007 04:58:08 +0000", 1172897888, 0, true},
    {"3 m\xe4r 2007 04:58:08 +0000", 1172897888, 0, true},
    {"3 ao\xc3\xbbt 2007 04:58:08 +0000", 1186117088, 0, true},
    {"3 d\xc3\xa9"
     "c. 2007 04:58:08 +0000",
     1196657888, 0, true},
    {"3 juin 2007 04:58:08 +0000", 1180846688, 0, true},
    {"3 juil. 2007 04:58:08 +0000", 1183438688, 0, true},
    /* zones */
    {"Wed, 23 May 2007 04:58:08 + 0200", 1179889088, 120, true},
    {"Wed, 23 May 2007 04:58:08 \xe2\x88\x92"
     "0500",
     1179914288, -300, true},
    {"Wed, 23 May 2007 04:58:08 UTC+2", 1179889088, 120, true},
    {"Wed, 23 May 2007 04:58:08 +0200 GMT", 1179889088, 120, true},
    {"Wed, 23 May 2007 04:58:08 -0700 (Pacific Daylight Time)", 1179921488, -420, true},
    {"Wed, 23 May 2007 04:58:08 Z", 1179896288, 0, true},
    {"Wed, 23 May 2007 04:58:08 A", 1179896288, 0, false},
    {"Tue, 12 Oct 2010 16:21:05 H0500", 1286900465, 0, false},
    /* times that are none */
    {"Wed, 15 Dec 2010    59:10 -0500", 1292389200, -300, true},
    {"Wed, 23 May 2007 24:00:00 +0000", 1179878400, 0, true},
    {"Wed, 23 May 2007 04:58:08.123456789 +0000", 1179896288, 0, true},
    {"Wed, 23 May 2007 04:58:08 +0000 1234567", 1179896288, 0, true},
    {"Whenever", -1, 0, false},
    {"<HR>", -1, 0, false},
    {"13/13/2007", -1, 0, false},
    {"00/00/0000 00:00:00", -1, 0, false},
    {"1.2.3.4", -1, 0, false},
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
