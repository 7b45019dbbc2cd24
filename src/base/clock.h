/*
 * Time. All times are int64_t microseconds and their names end in _us.
 * Monotonic time (timers, deadlines) and wall time (dates, UTC since 1970) come
 * from a struct clock that is passed in, so that tests run on a virtual one.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/buf.h"

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define US_NEVER INT64_MAX /* a deadline that does not come */

struct clock {
    int64_t (*mono_us)(struct clock *clock);
    int64_t (*wall_us)(struct clock *clock);
};

/* The machine's clock; constant, shared. */
struct clock *clock_system(void);

/* A clock that moves only when told to. */
struct virtual_clock {
    struct clock clock;
    int64_t mono_us;
    int64_t wall_us;
};
void virtual_clock_init(struct virtual_clock *vc, int64_t wall_us);
void virtual_clock_advance(struct virtual_clock *vc, int64_t by_us);

/* A date in UTC with a zone offset for display. */
struct date {
    int year, month, day, hour, minute, second; /* month 1..12, second 0..60; local to zone_minutes */
    int zone_minutes;                           /* east of UTC */
};
/* Proleptic Gregorian; any int64 second count is fine. */
struct date date_from_unix(int64_t unix_s, int zone_minutes);
/* Seconds since 1970 UTC; fields out of range are ERR_SYNTAX. */
enum err date_to_unix(const struct date *date, int64_t *unix_s) MUST_CHECK;
/* 0 = Sunday. */
int date_weekday(const struct date *date);
/* RFC5322-3.3: "Tue, 24 Nov 2026 21:29:23 +0000" */
void buf_put_rfc5322_date(struct buf *buf, int64_t wall_us);
/* RFC3339-5.6: "2026-11-24T21:29:23.123456Z" */
void buf_put_rfc3339(struct buf *buf, int64_t wall_us);

#endif
