/* Clocks, and dates in the proleptic Gregorian calendar without help from libc (no time zone files, no locale). */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

#define S_PER_DAY INT64_C(86400)
/* RFC5322-3.3: zone = (+/-)hhmm, and the widest four digits can say is 99 hours 59 minutes */
#define ZONE_MINUTES_MOST (99 * 60 + 59)

static int64_t read_clock(clockid_t id) {
    struct timespec ts;
    BUG_IF(clock_gettime(id, &ts) != 0);
    return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

static int64_t system_mono_us(struct clock *clock) {
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall_us(struct clock *clock) {
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

struct clock *clock_system(void) {
    static const struct clock clock = {system_mono_us, system_wall_us};
    return (struct clock *)&clock;
}

static int64_t virtual_mono_us(struct clock *clock) {
    return ((struct virtual_clock *)clock)->mono_us;
}

static int64_t virtual_wall_us(struct clock *clock) {
    return ((struct virtual_clock *)clock)->wall_us;
}

void virtual_clock_init(struct virtual_clock *vc, int64_t wall_us) {
    *vc = (struct virtual_clock){{virtual_mono_us, virtual_wall_us}, 0, wall_us};
}

void virtual_clock_advance(struct virtual_clock *vc, int64_t by_us) {
    BUG_IF(by_us < 0);
    vc->mono_us += by_us;
    vc->wall_us += by_us;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/*
 * Days are counted from 1 March of year 0, so that the leap day is the last of
 * its year and months have the lengths 31 30 31 30 31 in a repeating pattern
 * (153 days in five months). 400 years have 146097 days. 1 January 1970 is day
 * 719468 of that count.
 */
#define DAYS_TO_1970 INT64_C(719468)
#define DAYS_PER_ERA INT64_C(146097)

static int64_t days_from_civil(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_of_year = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_of_year + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

struct date date_from_unix(int64_t unix_s, int zone_minutes) {
    int64_t local;
    if (__builtin_add_overflow(unix_s, (int64_t)zone_minutes * 60, &local))
        local = zone_minutes < 0 ? INT64_MIN : INT64_MAX;
    int64_t days = floor_div(local, S_PER_DAY);
    int second_of_day = (int)((local % S_PER_DAY + S_PER_DAY) % S_PER_DAY);
    days += DAYS_TO_1970;
    int64_t era = floor_div(days, DAYS_PER_ERA);
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month_of_year = (int)((5 * day_of_year + 2) / 153);
    int month = month_of_year < 10 ? month_of_year + 3 : month_of_year - 9;
    int64_t year = era * 400 + year_of_era + (month <= 2);
    return (struct date){
        /* Years beyond an int (billions of years away) are shown as the last one that fits. */
        .year = (int)MAX(MIN(year, (int64_t)INT_MAX), (int64_t)INT_MIN),
        .month = month,
        .day = (int)(day_of_year - (153 * month_of_year + 2) / 5 + 1),
        .hour = second_of_day / 3600,
        .minute = second_of_day / 60 % 60,
        .second = second_of_day % 60,
        .zone_minutes = zone_minutes,
    };
}

static int days_in_month(int year, int month) {
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

enum err date_to_unix(const struct date *date, int64_t *unix_s) {
    if (date->month < 1 || date->month > 12 || date->day < 1 || date->day > days_in_month(date->year, date->month) ||
        date->hour < 0 || date->hour > 23 || date->minute < 0 || date->minute > 59 || date->second < 0 ||
        date->second > 60 || date->zone_minutes < -ZONE_MINUTES_MOST || date->zone_minutes > ZONE_MINUTES_MOST)
        return ERR_SYNTAX;
    int64_t minutes = date->hour * 60 + date->minute - date->zone_minutes;
    *unix_s = days_from_civil(date->year, date->month, date->day) * S_PER_DAY + minutes * 60 + date->second;
    return ERR_OK;
}

int date_weekday(const struct date *date) {
    /* Day 0 of the count, 1 January 1970, was a Thursday. */
    int64_t days = days_from_civil(date->year, date->month, date->day) + 4;
    return (int)(days - floor_div(days, 7) * 7);
}

void buf_put_rfc5322_date(struct buf *buf, int64_t wall_us) {
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct date date = date_from_unix(floor_div(wall_us, US_PER_S), 0);
    buf_printf(buf, "%s, %02d %s %04d %02d:%02d:%02d +0000", weekdays[date_weekday(&date)], date.day,
               months[date.month - 1], date.year, date.hour, date.minute, date.second);
}

void buf_put_rfc3339(struct buf *buf, int64_t wall_us) {
    int64_t unix_s = floor_div(wall_us, US_PER_S);
    struct date date = date_from_unix(unix_s, 0);
    buf_printf(buf, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", date.year, date.month, date.day, date.hour, date.minute,
               date.second, (int)((wall_us % US_PER_S + US_PER_S) % US_PER_S));
}
