/* Dates of messages: words and numbers are taken by what they look like, not by where they stand. */
#include "message/date.h"

#include <string.h>

/* Octets of a Date value looked at; the longest legal one with comments is far below. */
#define DATE_LENGTH_MAX 256

struct fields {
    int day, month, year, hour, minute, second; /* -1: not seen */
    int zone;
    bool has_zone, zone_known;
    bool is_pm, is_am;
};

static const struct view months[] = {
    VIEW_INIT("jan"), VIEW_INIT("feb"), VIEW_INIT("mar"), VIEW_INIT("apr"), VIEW_INIT("may"), VIEW_INIT("jun"),
    VIEW_INIT("jul"), VIEW_INIT("aug"), VIEW_INIT("sep"), VIEW_INIT("oct"), VIEW_INIT("nov"), VIEW_INIT("dec"),
};
static const struct view days[] = {
    VIEW_INIT("mon"), VIEW_INIT("tue"), VIEW_INIT("wed"), VIEW_INIT("thu"),
    VIEW_INIT("fri"), VIEW_INIT("sat"), VIEW_INIT("sun"),
};
/* RFC5322-4.3 and the European names real mail has; minutes east of UTC. */
static const struct {
    struct view name;
    int minutes;
} zones[] = {
    {VIEW_INIT("UT"), 0},     {VIEW_INIT("UTC"), 0},    {VIEW_INIT("GMT"), 0},    {VIEW_INIT("Z"), 0},
    {VIEW_INIT("EST"), -300}, {VIEW_INIT("EDT"), -240}, {VIEW_INIT("CST"), -360}, {VIEW_INIT("CDT"), -300},
    {VIEW_INIT("MST"), -420}, {VIEW_INIT("MDT"), -360}, {VIEW_INIT("PST"), -480}, {VIEW_INIT("PDT"), -420},
    {VIEW_INIT("WET"), 0},    {VIEW_INIT("WEST"), 60},  {VIEW_INIT("BST"), 60},   {VIEW_INIT("CET"), 60},
    {VIEW_INIT("MET"), 60},   {VIEW_INIT("CEST"), 120}, {VIEW_INIT("MEST"), 120}, {VIEW_INIT("EET"), 120},
    {VIEW_INIT("EEST"), 180}, {VIEW_INIT("MSK"), 180},  {VIEW_INIT("JST"), 540},  {VIEW_INIT("KST"), 540},
};

static void take_word(struct fields *f, struct view word) {
    if (word.n >= 3) {
        for (size_t i = 0; i < ARRAY_LEN(months); i++)
            if (view_starts_nocase(word, months[i])) {
                if (f->month < 0)
                    f->month = (int)i + 1;
                return;
            }
    }
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        if (view_eq_nocase(word, zones[i].name)) {
            /* "GMT+0200" and "+0200 (CEST)": an offset in digits says more than a name. */
            if (!f->has_zone && f->hour >= 0) {
                f->zone = zones[i].minutes;
                f->has_zone = f->zone_known = true;
            }
            return;
        }
    }
    if (word.n >= 3)
        for (size_t i = 0; i < ARRAY_LEN(days); i++)
            if (view_starts_nocase(word, days[i]))
                return;
    if (view_eq_nocase(word, VIEW("AM")))
        f->is_am = true;
    else if (view_eq_nocase(word, VIEW("PM")))
        f->is_pm = true;
}

static int number(struct view v) {
    int n = 0;
    for (size_t i = 0; i < v.n; i++)
        n = n * 10 + (v.p[i] - '0');
    return n;
}

/* RFC5322-4.3: two and three digit years. */
static int full_year(struct view digits) {
    int year = number(digits);
    if (digits.n == 2)
        return year < 50 ? 2000 + year : 1900 + year;
    if (digits.n == 3)
        return 1900 + year;
    return year;
}

static size_t digits_at(struct view v, size_t at) {
    size_t n = 0;
    while (at + n < v.n && ascii_is_digit(v.p[at + n]))
        n++;
    return n;
}

/* "hh:mm", "hh:mm:ss", "hh.mm.ss", fractions ignored; white space around the colons is obsolete syntax. */
static size_t take_time(struct fields *f, struct view v, size_t at) {
    int *into[] = {&f->hour, &f->minute, &f->second};
    for (size_t i = 0; i < ARRAY_LEN(into); i++) {
        size_t n = digits_at(v, at);
        if (n == 0 || n > 2)
            break;
        *into[i] = number(view_sub(v, at, n));
        at += n;
        size_t next = at;
        while (next < v.n && v.p[next] == ' ')
            next++;
        if (next >= v.n || (v.p[next] != ':' && v.p[next] != '.'))
            break;
        next++;
        while (next < v.n && v.p[next] == ' ')
            next++;
        if (digits_at(v, next) == 0)
            break;
        at = next;
        if (i == 2) /* a fraction of a second */
            at += digits_at(v, at);
    }
    return at;
}

static bool is_time(struct view v, size_t after_digits) {
    while (after_digits < v.n && v.p[after_digits] == ' ')
        after_digits++;
    if (after_digits >= v.n)
        return false;
    if (v.p[after_digits] == ':')
        return true;
    /* "04.58.08": two dots; "24.11.2026" is a date, whose third number has four digits. */
    if (v.p[after_digits] != '.')
        return false;
    size_t n = digits_at(v, after_digits + 1);
    size_t third = after_digits + 1 + n;
    return n == 2 && third < v.n && v.p[third] == '.' && digits_at(v, third + 1) == 2;
}

/* "+hhmm", "-hhmm", "+hh:mm", "+hmm", "+hh". */
static size_t take_offset(struct fields *f, struct view v, size_t at) {
    bool is_west = v.p[at] == '-';
    size_t n = digits_at(v, at + 1);
    struct view digits = view_sub(v, at + 1, n);
    size_t next = at + 1 + n;
    int hours = 0, minutes = 0;
    if (n == 4 || n == 3) {
        hours = number(digits) / 100;
        minutes = number(digits) % 100;
    } else if (n == 1 || n == 2) {
        hours = number(digits);
        if (next < v.n && v.p[next] == ':' && digits_at(v, next + 1) == 2) {
            minutes = number(view_sub(v, next + 1, 2));
            next += 3;
        }
    } else {
        return next;
    }
    if (f->has_zone && f->zone != 0)
        return next;
    f->has_zone = true;
    /* RFC5322-3.3: -0000 says nothing about the local zone; RFC5256-2.2: an invalid zone is UTC. */
    bool is_valid = minutes < 60 && hours < 24;
    f->zone_known = is_valid && !(is_west && hours == 0 && minutes == 0);
    f->zone = is_valid ? (is_west ? -1 : 1) * (hours * 60 + minutes) : 0;
    return next;
}

static void take_number(struct fields *f, struct view digits) {
    if (digits.n >= 3) {
        if (f->year < 0)
            f->year = full_year(digits);
    } else if (f->day < 0) {
        f->day = number(digits);
    } else if (f->month < 0 && number(digits) >= 1 && number(digits) <= 12) {
        f->month = number(digits); /* "24.11.2026", "2026-11-24" (see below) */
    } else if (f->year < 0) {
        f->year = full_year(digits);
    }
}

/* ISO 8601 (RFC3339-5.6): "yyyy-mm-dd" at the start of a number. Returns the offset after it, or 0. */
static size_t take_iso_date(struct fields *f, struct view v, size_t at) {
    if (digits_at(v, at) != 4 || at + 10 > v.n)
        return 0;
    uint8_t mark = v.p[at + 4];
    if ((mark != '-' && mark != '/') || digits_at(v, at + 5) != 2 || v.p[at + 7] != mark || digits_at(v, at + 8) != 2)
        return 0;
    f->year = number(view_sub(v, at, 4));
    f->month = number(view_sub(v, at + 5, 2));
    f->day = number(view_sub(v, at + 8, 2));
    return at + 10;
}

/* Copies the value without comments; white space of any kind becomes one space. */
static struct view strip(struct view in, uint8_t to[DATE_LENGTH_MAX]) {
    size_t n = 0, depth = 0;
    for (size_t i = 0; i < in.n && n < DATE_LENGTH_MAX; i++) {
        uint8_t c = in.p[i];
        if (depth > 0 && c == '\\' && i + 1 < in.n) {
            i++;
            continue;
        }
        if (c == '(') {
            depth++;
            c = ' ';
        } else if (c == ')' && depth > 0) {
            depth--;
            continue;
        } else if (depth > 0) {
            continue;
        }
        if (c <= ' ')
            c = ' ';
        if (c == ' ' && (n == 0 || to[n - 1] == ' '))
            continue;
        to[n++] = c;
    }
    return view_of(to, n);
}

enum err message_date_parse(struct view value, struct message_date *out) {
    uint8_t text[DATE_LENGTH_MAX];
    struct view v = strip(view_sub(value, 0, 4 * DATE_LENGTH_MAX), text);
    struct fields f = {-1, -1, -1, -1, -1, -1, 0, false, false, false, false};
    size_t at = 0;
    while (at < v.n) {
        uint8_t c = v.p[at];
        if (ascii_is_digit(c)) {
            size_t n = digits_at(v, at);
            size_t iso = f.year < 0 ? take_iso_date(&f, v, at) : 0;
            if (iso > 0)
                at = iso;
            else if (n <= 2 && f.hour < 0 && is_time(v, at + n))
                at = take_time(&f, v, at);
            else if (n <= 4) {
                take_number(&f, view_sub(v, at, n));
                at += n;
            } else {
                return ERR_SYNTAX;
            }
        } else if (ascii_is_alpha(c)) {
            size_t start = at;
            while (at < v.n && ascii_is_alpha(v.p[at]))
                at++;
            take_word(&f, view_sub(v, start, at - start));
        } else if ((c == '+' || c == '-') && f.hour >= 0 && digits_at(v, at + 1) > 0) {
            /* "Wed May 23 04:58:08 2007" has its year after the time, but no sign before it. */
            at = take_offset(&f, v, at);
        } else {
            at++;
        }
    }
    if (f.day < 1 || f.month < 1 || f.year < 0)
        return ERR_SYNTAX;
    if (f.is_pm && f.hour >= 1 && f.hour < 12)
        f.hour += 12;
    else if (f.is_am && f.hour == 12)
        f.hour = 0;
    /* RFC5256-2.2: an invalid time is 00:00:00. A second of 60 is a leap second. */
    if (f.hour < 0 || f.hour > 23 || f.minute < 0 || f.minute > 59 || f.second > 60)
        f.hour = f.minute = f.second = 0;
    struct message_date date = {
        .local = {f.year, f.month, f.day, f.hour, f.minute, MAX(f.second, 0), f.zone},
        .zone_known = f.zone_known,
    };
    TRY(date_to_unix(&date.local, &date.unix_s));
    *out = date;
    return ERR_OK;
}
