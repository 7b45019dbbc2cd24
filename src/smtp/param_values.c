/* Values of parameters: xtext, original recipients, times, solicitation classes. */
#include "smtp/params.h"

#include "base/clock.h"
#include "base/reader.h"
#include "base/utf8.h"
#include "smtp/server.h"

static bool is_hex(uint8_t c) {
    return ascii_is_digit(c) || (c >= 'A' && c <= 'F');
}

static bool is_printable(uint32_t c) {
    return c >= 32 && c <= 126;
}

static uint8_t hex_value(uint8_t c) {
    return (uint8_t)(ascii_is_digit(c) ? c - '0' : ascii_lower(c) - 'a' + 10);
}

/* RFC3461-4: xtext = *( xchar / hexchar ), hexchar in upper case */
enum err smtp_xtext_decode(struct view xtext, struct buf *out) {
    for (size_t i = 0; i < xtext.n; i++) {
        uint8_t c = xtext.p[i];
        if (c == '+') {
            if (xtext.n - i < 3 || !is_hex(xtext.p[i + 1]) || !is_hex(xtext.p[i + 2]))
                return ERR_SYNTAX;
            c = (uint8_t)(hex_value(xtext.p[i + 1]) * 16 + hex_value(xtext.p[i + 2]));
            /* RFC3461-4.4: printable; anything else would end in the fields of a report */
            if (!is_printable(c))
                return ERR_SYNTAX;
            i += 2;
        } else if (c < 33 || c > 126 || c == '=') {
            return ERR_SYNTAX;
        }
        buf_put_byte(out, c);
    }
    return buf_err(out);
}

void smtp_put_xtext(struct buf *out, struct view v) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c >= 33 && c <= 126 && c != '+' && c != '=') {
            buf_put_byte(out, c);
            continue;
        }
        buf_put_byte(out, '+');
        buf_put_byte(out, (uint8_t)digits[c >> 4]);
        buf_put_byte(out, (uint8_t)digits[c & 15]);
    }
}

#define HEXPOINT_MIN 2u /* RFC6533-3 */
#define HEXPOINT_MAX 6u

static bool is_any_hex(uint8_t c) {
    return is_hex(c) || (c >= 'a' && c <= 'f');
}

/* RFC6533-3: EmbeddedUnicodeChar = "\x{" HEXPOINT "}" */
static bool embedded_char(struct reader *r, struct buf *out) {
    uint32_t cp = 0;
    if (!reader_accept_view(r, VIEW("\\x{")))
        return reader_fail(r, ERR_SYNTAX);
    struct view digits = reader_while(r, is_any_hex);
    if (digits.n < HEXPOINT_MIN || digits.n > HEXPOINT_MAX || !reader_expect(r, '}'))
        return reader_fail(r, ERR_SYNTAX);
    for (size_t i = 0; i < digits.n; i++)
        cp = cp * 16 + hex_value(digits.p[i]);
    bool is_control = cp < 32 || (cp >= 127 && cp < 160);
    if (is_control || (cp >= 0xd800 && cp < 0xe000) || cp > 0x10ffff)
        return reader_fail(r, ERR_SYNTAX);
    buf_put_utf8(out, cp);
    return true;
}

/* All three forms of utf-8-enc-addr (RFC6533-3). */
static enum err utf8_address(struct view v, struct buf *out) {
    struct reader r = reader_of(v);
    if (v.n == 0)
        return ERR_SYNTAX;
    while (!reader_at_end(&r)) {
        int c = reader_peek(&r);
        if (c == '\\') {
            if (!embedded_char(&r, out))
                return reader_err(&r);
            continue;
        }
        uint32_t cp;
        size_t n = utf8_decode(reader_rest(&r), &cp);
        /* QCHAR: no space, '+' and '=' */
        if (n == 0 || cp <= 32 || (cp >= 127 && cp < 160) || cp == '+' || cp == '=')
            return ERR_SYNTAX;
        buf_put(out, reader_take(&r, n));
    }
    return buf_err(out);
}

static bool is_type_char(uint8_t c) {
    return c > 32 && c < 127 && c != ';' && c != '(' && c != ')' && c != '<' && c != '>' && c != '@' && c != ',' &&
           c != ':' && c != '\\' && c != '"' && c != '.' && c != '[' && c != ']';
}

enum err smtp_orcpt_decode(struct view orcpt, struct view *type, struct buf *address) {
    struct reader r = reader_of(orcpt);
    if (orcpt.n > SMTP_ORCPT_MAX)
        return ERR_LIMIT;
    struct view name = reader_while(&r, is_type_char);
    if (name.n == 0 || !reader_expect(&r, ';') || reader_at_end(&r))
        return ERR_SYNTAX;
    bool is_utf8 = view_eq_nocase(name, VIEW("utf-8"));
    TRY(is_utf8 ? utf8_address(reader_rest(&r), address) : smtp_xtext_decode(reader_rest(&r), address));
    *type = name;
    return ERR_OK;
}

void smtp_put_utc(struct buf *out, int64_t unix_s) {
    struct date d = date_from_unix(unix_s, 0);
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", d.year, d.month, d.day, d.hour, d.minute, d.second);
}

static int digits(struct reader *r, size_t n) {
    struct view v = reader_take(r, n);
    uint32_t value = 0;
    if (reader_err(r) != ERR_OK || view_to_u32(v, 9999, &value) != ERR_OK)
        (void)reader_fail(r, ERR_SYNTAX);
    return (int)value;
}

enum err smtp_utc_parse(struct view v, int64_t *unix_s) {
    struct reader r = reader_of(v);
    struct date d = {0};
    d.year = digits(&r, 4);
    (void)reader_expect(&r, '-');
    d.month = digits(&r, 2);
    (void)reader_expect(&r, '-');
    d.day = digits(&r, 2);
    if (!reader_accept(&r, 'T'))
        (void)reader_expect(&r, 't');
    d.hour = digits(&r, 2);
    (void)reader_expect(&r, ':');
    d.minute = digits(&r, 2);
    (void)reader_expect(&r, ':');
    d.second = digits(&r, 2);
    if (reader_accept(&r, '.') && reader_while(&r, ascii_is_digit).n == 0)
        (void)reader_fail(&r, ERR_SYNTAX);
    if (!reader_accept(&r, 'Z'))
        (void)reader_expect(&r, 'z');
    if (reader_err(&r) != ERR_OK || !reader_at_end(&r))
        return ERR_SYNTAX;
    return date_to_unix(&d, unix_s);
}

static bool is_word_char(uint8_t c) {
    return ascii_is_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':';
}

bool smtp_solicitation_is_valid(struct view keywords) {
    struct reader r = reader_of(keywords);
    if (keywords.n > SMTP_SOLICIT_MAX)
        return false;
    do {
        struct view word = reader_while(&r, is_word_char);
        if (word.n == 0 || !ascii_is_alpha(word.p[0]))
            return false;
    } while (reader_accept(&r, ','));
    return reader_at_end(&r);
}

bool smtp_solicitation_overlaps(struct view a, struct view b, struct view *which) {
    struct view one, rest_a = a;
    bool more_a;
    do {
        more_a = view_split(rest_a, ',', &one, &rest_a);
        struct view other, rest_b = b;
        bool more_b;
        do {
            more_b = view_split(rest_b, ',', &other, &rest_b);
            if (one.n > 0 && view_eq_nocase(one, view_trim(other))) {
                *which = one;
                return true;
            }
        } while (more_b);
    } while (more_a);
    return false;
}
