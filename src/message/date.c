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
    bool month_may_be_day; /* the month was "mar" before any number: French, Italian and Spanish for Tuesday too */
};

static const struct view months[] = {
    VIEW_INIT("jan"), VIEW_INIT("feb"), VIEW_INIT("mar"), VIEW_INIT("apr"), VIEW_INIT("may"), VIEW_INIT("jun"),
    VIEW_INIT("jul"), VIEW_INIT("aug"), VIEW_INIT("sep"), VIEW_INIT("oct"), VIEW_INIT("nov"), VIEW_INIT("dec"),
};
/* What programs write in the languages of their users: beginnings of names that are not the English ones, some of them
 * in ISO-8859-1. */
static const struct {
    struct view name;
    int month;
} local_months[] = {
    {VIEW_INIT("gen"), 1},
    {VIEW_INIT("ene"), 1},
    {VIEW_INIT("j\xc3\xa4n"), 1},
    {VIEW_INIT("f\xc3\xa9v"), 2},
    {VIEW_INIT("f\xe9v"), 2},
    {VIEW_INIT("fev"), 2},
    {VIEW_INIT("m\xc3\xa4r"), 3},
    {VIEW_INIT("m\xe4r"), 3},
    {VIEW_INIT("mrt"), 3},
    {VIEW_INIT("maa"), 3},
    {VIEW_INIT("avr"), 4},
    {VIEW_INIT("abr"), 4},
    {VIEW_INIT("mai"), 5},
    {VIEW_INIT("mag"), 5},
    {VIEW_INIT("maj"), 5},
    {VIEW_INIT("mei"), 5},
    {VIEW_INIT("juin"), 6},
    {VIEW_INIT("giu"), 6},
    {VIEW_INIT("juil"), 7},
    {VIEW_INIT("lug"), 7},
    {VIEW_INIT("ao\xc3\xbb"), 8},
    {VIEW_INIT("ao\xfb"), 8},
    {VIEW_INIT("aou"), 8},
    {VIEW_INIT("ago"), 8},
    {VIEW_INIT("set"), 9},
    {VIEW_INIT("okt"), 10},
    {VIEW_INIT("ott"), 10},
    {VIEW_INIT("out"), 10},
    {VIEW_INIT("dez"), 12},
    {VIEW_INIT("dic"), 12},
    {VIEW_INIT("d\xc3\xa9"
               "c"),
     12},
    {VIEW_INIT("d\xe9"
               "c"),
     12},
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

static void take_month(struct fields *f, struct view word, int month) {
    bool is_first = f->month < 0;
    if (is_first || f->month_may_be_day)
        f->month = month;
    f->month_may_be_day = is_first && f->day < 0 && view_starts_nocase(word, VIEW("mar"));
}

static void take_zone(struct fields *f, int minutes) {
    /* "GMT+0200" and "+0200 (CEST)": an offset in digits says more than a name. */
    if (f->has_zone || f->hour < 0)
        return;
    f->zone = minutes;
    f->has_zone = f->zone_known = true;
}

static void take_word(struct fields *f, struct view word) {
    for (size_t i = 0; i < ARRAY_LEN(days) && word.n >= 3; i++)
        if (view_starts_nocase(word, days[i]))
            return;
    for (size_t i = 0; i < ARRAY_LEN(months) && word.n >= 3; i++)
        if (view_starts_nocase(word, months[i])) {
            take_month(f, word, (int)i + 1);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(zones); i++)
        if (view_eq_nocase(word, zones[i].name)) {
            take_zone(f, zones[i].minutes);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(local_months); i++)
        if (view_starts_nocase(word, local_months[i].name)) {
            take_month(f, word, local_months[i].month);
            return;
        }
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

/* "+hhmm", "-hhmm", "+hh:mm", "+hmm", "+hh", after the sign. */
static size_t take_offset(struct fields *f, struct view v, size_t at, bool is_west) {
    size_t n = digits_at(v, at);
    struct view digits = view_sub(v, at, n);
    size_t next = at + n;
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
    } else if (f->year < 0 && digits.n == 2) {
        f->year = full_year(digits);
    }
}

/* Numbers joined by one mark: "yyyy-mm-dd" (RFC3339-5.6), "dd.mm.yyyy", "mm/dd/yyyy". Returns the offset after it, or 0. */
static size_t take_numeric_date(struct fields *f, struct view v, size_t at) {
    struct view part[3];
    size_t i = at;
    for (size_t k = 0; k < 3; k++) {
        part[k] = view_sub(v, i, digits_at(v, i));
        i += part[k].n;
        if (part[k].n == 0 || part[k].n > 4)
            return 0;
        if (k == 2)
            break;
        if (i >= v.n || (v.p[i] != '-' && v.p[i] != '/' && v.p[i] != '.') || (k == 1 && v.p[i] != v.p[at + part[0].n]))
            return 0;
        i++;
    }
    if (part[1].n > 2)
        return 0;
    bool is_american = v.p[at + part[0].n] == '/';
    if (part[0].n == 4 && part[2].n <= 2) {
        f->year = number(part[0]);
        f->month = number(part[1]);
        f->day = number(part[2]);
        return i;
    }
    if (part[0].n > 2 || part[2].n == 1 || part[2].n == 3)
        return 0;
    int first = number(part[0]), second = number(part[1]);
    /* With slashes the month is first, unless that cannot be. */
    bool month_first = second > 12 || (is_american && first <= 12);
    f->month = month_first ? first : second;
    f->day = month_first ? second : first;
    f->year = full_year(part[2]);
    return i;
}

/* "20070523", "20070523045808", "20070523T045808". False: no such thing. */
static bool take_compact(struct fields *f, struct view v, size_t at, size_t n) {
    if ((n == 8 || n == 14) && f->year < 0 && f->month < 0 && f->day < 0) {
        f->year = number(view_sub(v, at, 4));
        f->month = number(view_sub(v, at + 4, 2));
        f->day = number(view_sub(v, at + 6, 2));
        at += 8;
        n -= 8;
    }
    if (n == 6 && f->hour < 0 && f->day > 0 && f->year >= 0) {
        f->hour = number(view_sub(v, at, 2));
        f->minute = number(view_sub(v, at + 2, 2));
        f->second = number(view_sub(v, at + 4, 2));
        n = 0;
    }
    return n == 0;
}

/* "2007 nen 5 gatsu 23 nichi", Chinese and Japanese: the character after a number says what it is. Its octets, or 0. */
static size_t take_cjk(struct fields *f, struct view v, size_t at, size_t n) {
    struct view after = view_sub(v, at + n, 3);
    int value = number(view_sub(v, at, n));
    if (view_eq(after, VIEW("\xe5\xb9\xb4")))
        f->year = value;
    else if (view_eq(after, VIEW("\xe6\x9c\x88")))
        f->month = value;
    else if (view_eq(after, VIEW("\xe6\x97\xa5")))
        f->day = value;
    else
        return 0;
    return n + after.n;
}

/* A number and what belongs to it; returns the offset after it, or 0 when it makes no date. */
static size_t take_digits(struct fields *f, struct view v, size_t at) {
    size_t n = digits_at(v, at);
    size_t end = f->year < 0 && f->day < 0 ? take_numeric_date(f, v, at) : 0;
    if (end > 0)
        return end;
    if (n <= 2 && f->hour < 0 && is_time(v, at + n))
        return take_time(f, v, at);
    if (n <= 4) {
        size_t cjk = take_cjk(f, v, at, n);
        if (cjk == 0)
            take_number(f, view_sub(v, at, n));
        return at + MAX(cjk, n);
    }
    /* A number that means nothing does no harm once there is a date. */
    bool is_complete = f->year >= 0 && f->month > 0 && f->day > 0;
    return take_compact(f, v, at, n) || is_complete ? at + n : 0;
}

/* "+", "-", and the minus signs and dashes that word processors put in its place. The octets, or 0. */
static size_t sign_at(struct view v, size_t at) {
    if (v.p[at] == '+' || v.p[at] == '-')
        return 1;
    struct view three = view_sub(v, at, 3);
    return view_eq(three, VIEW("\xe2\x88\x92")) || view_eq(three, VIEW("\xe2\x80\x93")) ? 3 : 0;
}

static bool is_letter(uint8_t c) {
    return ascii_is_alpha(c) || c >= 0x80;
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
    struct fields f = {.day = -1, .month = -1, .year = -1, .hour = -1, .minute = -1, .second = -1};
    size_t at = 0;
    while (at < v.n) {
        uint8_t c = v.p[at];
        size_t sign = f.hour >= 0 ? sign_at(v, at) : 0;
        size_t after_sign = at + sign + (at + sign < v.n && v.p[at + sign] == ' ' && digits_at(v, at + sign + 1) == 4);
        if (ascii_is_digit(c)) {
            at = take_digits(&f, v, at);
            if (at == 0)
                return ERR_SYNTAX;
        } else if (sign > 0 && digits_at(v, after_sign) > 0) {
            /* "Wed May 23 04:58:08 2007" has its year after the time, but no sign before it. */
            at = take_offset(&f, v, after_sign, c != '+');
        } else if (is_letter(c)) {
            size_t start = at;
            while (at < v.n && is_letter(v.p[at]))
                at++;
            if (at - start == 1 && view_starts_nocase(view_skip(v, at), VIEW(".m"))) /* "p.m." */
                take_word(&f, (c | 0x20) == 'p' ? VIEW("PM") : VIEW("AM"));
            else
                take_word(&f, view_sub(v, start, at - start));
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
