/* Tokens of IMAP commands: tags, atoms, strings, numbers, mailbox names, flags, dates, ID lists. */
#include "imap/parse.h"

#include "base/utf8.h"
#include "imap/scan.h"
#include "imap/utf7.h"

#include <string.h>

RECORD_DEFINE(imap_id_field);

void imap_parser_init(struct imap_parser *p, struct view command, struct arena *arena) {
    *p = (struct imap_parser){.r = reader_of(command), .arena = arena, .what = "syntax error"};
}

/* RFC3501-9: atom-specials are "(" ")" "{" SP CTL list-wildcards quoted-specials resp-specials; 8-bit is none either */
bool imap_is_atom_char(uint8_t c) {
    return c > ' ' && c < 127 && c != '(' && c != ')' && c != '{' && c != '%' && c != '*' && c != '"' && c != '\\' &&
           c != ']';
}
static bool is_astring_char(uint8_t c) {
    return imap_is_atom_char(c) || c == ']';
}
static bool is_tag_char(uint8_t c) {
    return is_astring_char(c) && c != '+';
}
static bool is_list_char(uint8_t c) {
    return is_astring_char(c) || c == '%' || c == '*';
}

enum err imap_parse_sp(struct imap_parser *p) {
    return reader_accept(&p->r, ' ') ? ERR_OK : imap_wrong(p, ERR_SYNTAX, "expected a space");
}

bool imap_at_end(const struct imap_parser *p) {
    struct view rest = reader_rest(&p->r);
    return view_eq(rest, VIEW("\r\n")) || view_eq(rest, VIEW("\n")) || rest.n == 0;
}

enum err imap_parse_end(struct imap_parser *p) {
    return imap_at_end(p) ? ERR_OK : imap_wrong(p, ERR_SYNTAX, "unexpected text at the end");
}

enum err imap_parse_tag(struct imap_parser *p, struct view *out) {
    struct view tag = reader_while(&p->r, is_tag_char);
    if (tag.n == 0 || tag.n > IMAP_TAG_MAX)
        return imap_wrong(p, ERR_SYNTAX, "expected a tag");
    *out = tag;
    return ERR_OK;
}

enum err imap_parse_atom(struct imap_parser *p, struct view *out) {
    struct view atom = reader_while(&p->r, imap_is_atom_char);
    if (atom.n == 0)
        return imap_wrong(p, ERR_SYNTAX, "expected an atom");
    *out = atom;
    return ERR_OK;
}

static enum err parse_quoted(struct imap_parser *p, struct view *out) {
    struct view rest = reader_rest(&p->r);
    size_t i = 1, escapes = 0;
    while (i < rest.n && rest.p[i] != '"') {
        /* RFC3501-9: TEXT-CHAR is any CHAR except CR and LF; NUL is no CHAR. 8-bit is let through for UTF-8 names. */
        if (rest.p[i] == '\r' || rest.p[i] == '\n' || rest.p[i] == 0)
            return imap_wrong(p, ERR_SYNTAX, "unterminated quoted string");
        if (rest.p[i] == '\\') {
            if (i + 1 >= rest.n || (rest.p[i + 1] != '"' && rest.p[i + 1] != '\\'))
                return imap_wrong(p, ERR_SYNTAX, "bad escape in a quoted string");
            escapes++;
            i++;
        }
        i++;
    }
    if (i >= rest.n)
        return imap_wrong(p, ERR_SYNTAX, "unterminated quoted string");
    struct view inside = view_sub(rest, 1, i - 1);
    (void)reader_take(&p->r, i + 1);
    if (escapes == 0) {
        *out = inside;
        return ERR_OK;
    }
    uint8_t *copy = arena_alloc(p->arena, inside.n);
    if (copy == NULL)
        return imap_wrong(p, ERR_LIMIT, "the command is too large");
    size_t n = 0;
    for (size_t j = 0; j < inside.n; j++) {
        if (inside.p[j] == '\\')
            j++;
        copy[n++] = inside.p[j];
    }
    *out = view_of(copy, n);
    return ERR_OK;
}

/* "{" number ["+"] "}" CRLF octets */
static enum err parse_literal(struct imap_parser *p, struct view *out) {
    struct view head = reader_until(&p->r, '\n');
    if (head.n > 0 && head.p[head.n - 1] == '\r')
        head.n--;
    uint64_t size;
    bool is_sync;
    if (!reader_accept(&p->r, '\n') || head.n == 0 || head.p[0] != '{' ||
        view_find_byte(head, '}') != (ssize_t)head.n - 1 || !imap_scan_announces(head, &size, &is_sync) ||
        size > reader_rest(&p->r).n)
        return imap_wrong(p, ERR_SYNTAX, "bad literal");
    struct view octets = reader_take(&p->r, (size_t)size);
    /* RFC3501-9: CHAR8 is any octet except NUL */
    if (view_find_byte(octets, 0) >= 0)
        return imap_wrong(p, ERR_SYNTAX, "NUL in a literal");
    *out = octets.p == NULL ? VIEW("") : octets;
    return ERR_OK;
}

enum err imap_parse_string(struct imap_parser *p, struct view *out) {
    switch (reader_peek(&p->r)) {
    case '"':
        return parse_quoted(p, out);
    case '{':
        return parse_literal(p, out);
    default:
        return imap_wrong(p, ERR_SYNTAX, "expected a string");
    }
}

static enum err parse_string_or(struct imap_parser *p, bool (*is_member)(uint8_t), struct view *out) {
    int next = reader_peek(&p->r);
    if (next == '"' || next == '{')
        return imap_parse_string(p, out);
    struct view atom = reader_while(&p->r, is_member);
    if (atom.n == 0)
        return imap_wrong(p, ERR_SYNTAX, "expected an atom or string");
    *out = atom;
    return ERR_OK;
}

enum err imap_parse_astring(struct imap_parser *p, struct view *out) {
    return parse_string_or(p, is_astring_char, out);
}

enum err imap_parse_nstring(struct imap_parser *p, struct view *out) {
    if (reader_accept_nocase(&p->r, VIEW("NIL"))) {
        *out = VIEW_NONE;
        return ERR_OK;
    }
    return imap_parse_string(p, out);
}

enum err imap_parse_number(struct imap_parser *p, uint32_t *out) {
    struct view digits = reader_while(&p->r, ascii_is_digit);
    uint32_t n;
    if (view_to_u32(digits, UINT32_MAX, &n) != ERR_OK)
        return imap_wrong(p, ERR_SYNTAX, "expected a number of 32 bits");
    *out = n;
    return ERR_OK;
}

/* Names come in modified UTF-7; plain UTF-8, which several clients send, cannot be mistaken for it. */
static enum err name_to_utf8(struct imap_parser *p, struct view name, struct view *out) {
    if (!utf8_is_ascii(name)) {
        if (!utf8_is_valid(name))
            return imap_wrong(p, ERR_SYNTAX, "a mailbox name is neither modified UTF-7 nor UTF-8");
        *out = name;
        return ERR_OK;
    }
    struct buf buf;
    buf_init(&buf, ACCOUNT_NAME_MAX * 4);
    enum err err = utf7_decode(name, &buf);
    if (err == ERR_OK)
        err = arena_view(p->arena, buf_view(&buf), out);
    buf_fini(&buf);
    if (err == ERR_SYNTAX)
        return imap_wrong(p, err, "a mailbox name is not in modified UTF-7");
    return err == ERR_OK ? err : imap_wrong(p, ERR_LIMIT, "a mailbox name is too long");
}

enum err imap_parse_mailbox(struct imap_parser *p, struct view *out) {
    struct view name;
    TRY(imap_parse_astring(p, &name));
    TRY(name_to_utf8(p, name, out));
    /* RFC3501-5.1: INBOX is case-insensitive */
    if (view_eq_nocase(*out, VIEW("INBOX")))
        *out = VIEW("INBOX");
    return ERR_OK;
}

enum err imap_parse_list_mailbox(struct imap_parser *p, struct view *out) {
    struct view name;
    TRY(parse_string_or(p, is_list_char, &name));
    return name_to_utf8(p, name, out);
}

/* ---- flags ---- */

static const struct {
    struct view name;
    uint32_t flag;
} system_flags[] = {
    {VIEW_INIT("\\Seen"), FLAG_SEEN},       {VIEW_INIT("\\Answered"), FLAG_ANSWERED},
    {VIEW_INIT("\\Flagged"), FLAG_FLAGGED}, {VIEW_INIT("\\Deleted"), FLAG_DELETED},
    {VIEW_INIT("\\Draft"), FLAG_DRAFT},
};

static enum err parse_flag(struct imap_parser *p, struct imap_flags *out) {
    if (reader_peek(&p->r) == '\\') {
        size_t from = p->r.at;
        (void)reader_byte(&p->r);
        struct view name;
        TRY(imap_parse_atom(p, &name));
        name = view_sub(p->r.in, from, p->r.at - from);
        for (size_t i = 0; i < ARRAY_LEN(system_flags); i++) {
            if (view_eq_nocase(name, system_flags[i].name)) {
                out->flags |= system_flags[i].flag;
                return ERR_OK;
            }
        }
        if (view_eq_nocase(name, VIEW("\\Recent")))
            return imap_wrong(p, ERR_SYNTAX, "\\Recent cannot be changed"); /* RFC3501-2.3.2 */
        return imap_wrong(p, ERR_DENIED, "unknown system flag");
    }
    struct view name;
    TRY(imap_parse_atom(p, &name));
    for (uint32_t i = 0; i < out->n; i++) {
        if (view_eq_nocase(out->keywords[i].name, name))
            return ERR_OK;
    }
    if (name.n > ACCOUNT_KEYWORD_MAX || out->n >= ACCOUNT_KEYWORDS_MAX)
        return imap_wrong(p, ERR_DENIED, "too many or too long keywords");
    if (out->keywords == NULL)
        out->keywords = ARENA_ARRAY(p->arena, ACCOUNT_KEYWORDS_MAX, struct keyword);
    if (out->keywords == NULL)
        return imap_wrong(p, ERR_LIMIT, "the command is too large");
    out->keywords[out->n++].name = name;
    return ERR_OK;
}

enum err imap_parse_flags(struct imap_parser *p, bool bare, struct imap_flags *out) {
    *out = (struct imap_flags){0};
    bool in_list = reader_accept(&p->r, '(');
    if (!in_list && !bare)
        return imap_wrong(p, ERR_SYNTAX, "expected a list of flags");
    if (in_list && reader_accept(&p->r, ')'))
        return ERR_OK;
    do {
        TRY(parse_flag(p, out));
    } while (reader_accept(&p->r, ' '));
    if (in_list && !reader_accept(&p->r, ')'))
        return imap_wrong(p, ERR_SYNTAX, "a list of flags does not end");
    return ERR_OK;
}

/* ---- dates ---- */

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static enum err parse_month(struct imap_parser *p, int *out) {
    for (int i = 0; i < 12; i++) {
        if (reader_accept_nocase(&p->r, view_of(month_names[i], 3))) {
            *out = i + 1;
            return ERR_OK;
        }
    }
    return imap_wrong(p, ERR_SYNTAX, "expected a month");
}

/* min..max digits */
static enum err parse_digits(struct imap_parser *p, size_t min, size_t max, int *out) {
    int value = 0;
    size_t n = 0;
    while (n < max && reader_peek(&p->r) >= '0' && reader_peek(&p->r) <= '9') {
        value = value * 10 + (reader_byte(&p->r) - '0');
        n++;
    }
    if (n < min)
        return imap_wrong(p, ERR_SYNTAX, "bad date");
    *out = value;
    return ERR_OK;
}

static enum err expect(struct imap_parser *p, uint8_t byte) {
    return reader_accept(&p->r, byte) ? ERR_OK : imap_wrong(p, ERR_SYNTAX, "bad date");
}

static enum err parse_day_month_year(struct imap_parser *p, size_t day_digits_min, struct date *date) {
    TRY(parse_digits(p, day_digits_min, 2, &date->day));
    TRY(expect(p, '-'));
    TRY(parse_month(p, &date->month));
    TRY(expect(p, '-'));
    return parse_digits(p, 4, 4, &date->year);
}

enum err imap_parse_date_time(struct imap_parser *p, int64_t *out_us) {
    struct date date = {0};
    TRY(expect(p, '"'));
    /* RFC3501-9: date-day-fixed is SP DIGIT or 2DIGIT; one digit alone is what some clients send */
    (void)reader_accept(&p->r, ' ');
    TRY(parse_day_month_year(p, 1, &date));
    TRY(expect(p, ' '));
    TRY(parse_digits(p, 2, 2, &date.hour));
    TRY(expect(p, ':'));
    TRY(parse_digits(p, 2, 2, &date.minute));
    TRY(expect(p, ':'));
    TRY(parse_digits(p, 2, 2, &date.second));
    TRY(expect(p, ' '));
    int sign = reader_accept(&p->r, '-') ? -1 : 1, zone;
    if (sign > 0)
        TRY(expect(p, '+'));
    TRY(parse_digits(p, 4, 4, &zone));
    TRY(expect(p, '"'));
    if (zone % 100 > 59)
        return imap_wrong(p, ERR_SYNTAX, "bad date");
    date.zone_minutes = sign * (zone / 100 * 60 + zone % 100);
    int64_t unix_s;
    if (date_to_unix(&date, &unix_s) != ERR_OK)
        return imap_wrong(p, ERR_SYNTAX, "bad date");
    *out_us = unix_s * US_PER_S;
    return ERR_OK;
}

enum err imap_parse_date(struct imap_parser *p, int64_t *out_day) {
    struct date date = {0};
    bool is_quoted = reader_accept(&p->r, '"');
    TRY(parse_day_month_year(p, 1, &date));
    if (is_quoted)
        TRY(expect(p, '"'));
    int64_t unix_s;
    if (date_to_unix(&date, &unix_s) != ERR_OK)
        return imap_wrong(p, ERR_SYNTAX, "bad date");
    /* Midnight UTC of a day is a multiple of 86400; years before 1970 are negative multiples. */
    *out_day = unix_s / 86400;
    return ERR_OK;
}

/* ---- ID ---- */

enum err imap_parse_id(struct imap_parser *p, struct imap_id *out) {
    *out = (struct imap_id){0};
    if (reader_accept_nocase(&p->r, VIEW("NIL")))
        return ERR_OK;
    if (!reader_accept(&p->r, '('))
        return imap_wrong(p, ERR_SYNTAX, "expected NIL or a list");
    out->list = ARENA_ARRAY(p->arena, IMAP_ID_FIELDS_MAX, struct imap_id_field);
    if (out->list == NULL)
        return imap_wrong(p, ERR_LIMIT, "the command is too large");
    if (reader_accept(&p->r, ')'))
        return ERR_OK;
    do {
        struct imap_id_field field;
        TRY(imap_parse_string(p, &field.name));
        TRY(imap_parse_sp(p));
        TRY(imap_parse_nstring(p, &field.value));
        if (out->n >= IMAP_ID_FIELDS_MAX || field.name.n > IMAP_ID_NAME_MAX || field.value.n > IMAP_ID_VALUE_MAX)
            return imap_wrong(p, ERR_SYNTAX, "too many or too long fields");
        out->list[out->n++] = field;
    } while (reader_accept(&p->r, ' '));
    return reader_accept(&p->r, ')') ? ERR_OK : imap_wrong(p, ERR_SYNTAX, "a list does not end");
}
