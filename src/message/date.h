/*
 * Dates of messages: RFC5322-3.3 with everything of 4.3 (two-digit years,
 * alphabetic zones, comments and white space anywhere) and what real mail adds:
 * asctime order, ISO 8601, missing seconds, zone or day name, dots for colons,
 * "GMT+0200", full month names, am/pm.
 */
#ifndef MESSAGE_DATE_H
#define MESSAGE_DATE_H

#include "base/clock.h"

struct message_date {
    int64_t unix_s;    /* seconds since 1970 UTC */
    struct date local; /* as written, for RFC3501-6.4.4 SENTON, which disregards time and zone */
    bool zone_known;   /* false: no zone, -0000 or an unknown name, read as UTC (RFC5256-2.2) */
};

/* ERR_SYNTAX when no day, month and year can be read. An invalid time is 00:00:00 (RFC5256-2.2). */
enum err message_date_parse(struct view value, struct message_date *out) MUST_CHECK;

#endif
