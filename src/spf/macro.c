/* Macros. */
#include "spf/macro.h"

#include "base/reader.h"

#define PARTS_MAX \
    255 /* of one value: a value has at most as many octets that matter in a name, RFC7208-7.3 asks for 127 */
#define VALUE_MAX 1024 /* octets of one value before it is cut into parts: a path has at most 256 (RFC5321-4.5.3.1.3) */

/* One item of a macro-string. */
struct item {
    enum { ITEM_LITERAL, ITEM_PERCENT, ITEM_SPACE, ITEM_URL_SPACE, ITEM_MACRO } kind;
    uint8_t literal;
    uint8_t letter; /* lower case */
    bool is_upper, is_reversed;
    size_t keep; /* right-hand parts; 0: all */
    struct view delimiters;
};

static bool is_delimiter(uint8_t c) {
    return view_find_byte(VIEW(".-+,/_="), c) >= 0;
}

static bool is_letter(uint8_t letter, unsigned flags) {
    return view_find_byte(flags & SPF_MACRO_EXPLANATION ? VIEW("slodiphvcrt") : VIEW("slodiphv"), letter) >= 0;
}

/* RFC7208-7.1: what follows "%{". */
static enum err read_macro(struct reader *r, unsigned flags, struct item *item) {
    int letter = reader_byte(r);
    TRY(reader_err(r));
    item->kind = ITEM_MACRO;
    item->letter = ascii_lower((uint8_t)letter);
    item->is_upper = item->letter != (uint8_t)letter;
    if (!is_letter(item->letter, flags))
        return ERR_SYNTAX;
    bool has_digits = false;
    while (reader_peek(r) >= 0 && ascii_is_digit((uint8_t)reader_peek(r))) {
        has_digits = true;
        size_t keep = item->keep * 10 + (size_t)(reader_byte(r) - '0');
        item->keep = MIN(keep, (size_t)PARTS_MAX);
    }
    if (has_digits && item->keep == 0) /* RFC7208-7.3: "the value MUST be nonzero" */
        return ERR_SYNTAX;
    item->is_reversed = reader_accept_nocase(r, VIEW("r"));
    item->delimiters = reader_while(r, is_delimiter);
    return reader_expect(r, '}') ? ERR_OK : ERR_SYNTAX;
}

static enum err read_item(struct reader *r, unsigned flags, struct item *item) {
    *item = (struct item){.kind = ITEM_LITERAL};
    int c = reader_byte(r);
    TRY(reader_err(r));
    if (c != '%') {
        item->literal = (uint8_t)c;
        bool may = (c > ' ' && c < 0x7f) || (c == ' ' && flags & SPF_MACRO_EXPLANATION);
        return may ? ERR_OK : ERR_SYNTAX;
    }
    switch (reader_byte(r)) {
    case '%':
        item->kind = ITEM_PERCENT;
        return ERR_OK;
    case '_':
        item->kind = ITEM_SPACE;
        return ERR_OK;
    case '-':
        item->kind = ITEM_URL_SPACE;
        return ERR_OK;
    case '{':
        return read_macro(r, flags, item);
    default:
        return ERR_SYNTAX;
    }
}

enum err spf_macro_check(struct view text, unsigned flags) {
    struct reader r = reader_of(text);
    struct item item;
    while (!reader_at_end(&r))
        TRY(read_item(&r, flags, &item));
    return ERR_OK;
}

/* RFC7208-7.1: toplabel: letters, digits and hyphens, not all digits, no hyphen at an end. */
static bool is_top_label(struct view label) {
    bool has_other = false;
    for (size_t i = 0; i < label.n; i++) {
        uint8_t c = label.p[i];
        bool is_inner_hyphen = c == '-' && i > 0 && i + 1 < label.n;
        if (!ascii_is_alnum(c) && !is_inner_hyphen)
            return false;
        has_other = has_other || !ascii_is_digit(c);
    }
    return has_other;
}

enum err spf_macro_check_domain(struct view text) {
    struct reader r = reader_of(text);
    struct item item = {.kind = ITEM_LITERAL};
    size_t literal_from = 0; /* of the literal text at the end */
    while (!reader_at_end(&r)) {
        TRY(read_item(&r, SPF_MACRO_DOMAIN, &item));
        if (item.kind != ITEM_LITERAL)
            literal_from = r.at;
    }
    if (text.n == 0)
        return ERR_SYNTAX;
    if (literal_from == text.n) /* it ends in a macro-expand */
        return ERR_OK;
    struct view tail = view_skip(text, literal_from);
    if (tail.p[tail.n - 1] == '.')
        tail.n--;
    ssize_t dot = view_rfind_byte(tail, '.');
    return dot >= 0 && is_top_label(view_skip(tail, (size_t)dot + 1)) ? ERR_OK : ERR_SYNTAX;
}

bool spf_macro_uses(struct view text, uint8_t letter) {
    struct reader r = reader_of(text);
    struct item item;
    while (!reader_at_end(&r) && read_item(&r, SPF_MACRO_EXPLANATION, &item) == ERR_OK)
        if (item.kind == ITEM_MACRO && item.letter == letter)
            return true;
    return false;
}

/* RFC7208-7.3: "For IPv6 addresses, the "i" macro expands to a dot-format address". */
static void put_dotted(struct buf *out, const struct netaddr *ip) {
    static const char digits[] = "0123456789ABCDEF"; /* the case that the SPF project's test suite has */
    if (ip->family == 4) {
        buf_put_ip(out, ip);
        return;
    }
    for (size_t i = 0; i < 16; i++) {
        if (i)
            buf_put_byte(out, '.');
        buf_put_byte(out, (uint8_t)digits[ip->ip[i] >> 4]);
        buf_put_byte(out, '.');
        buf_put_byte(out, (uint8_t)digits[ip->ip[i] & 15]);
    }
}

static enum err put_value(const struct spf_macro_facts *facts, uint8_t letter, struct buf *out) {
    struct view name;
    switch (letter) {
    case 's':
        buf_put(out, facts->sender);
        break;
    case 'l':
        buf_put(out, facts->local);
        break;
    case 'o':
        buf_put(out, facts->sender_domain);
        break;
    case 'd':
        buf_put(out, facts->domain);
        break;
    case 'i':
        put_dotted(out, &facts->ip);
        break;
    case 'p':
        TRY(facts->validated_name(facts->ctx, &name));
        buf_put(out, name);
        break;
    case 'v':
        buf_put_str(out, facts->ip.family == 4 ? "in-addr" : "ip6");
        break;
    case 'h':
        buf_put(out, facts->helo);
        break;
    case 'c':
        buf_put_ip(out, &facts->ip);
        break;
    case 'r':
        buf_put(out, facts->receiver.n ? facts->receiver : VIEW("unknown"));
        break;
    default: /* t */
        buf_put_i64(out, facts->now_s);
        break;
    }
    return buf_err(out);
}

/* RFC3986-2.3: all but "unreserved" is escaped. */
static void put_url(struct buf *out, struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (ascii_is_alnum(c) || view_find_byte(VIEW("-._~"), c) >= 0)
            buf_put_byte(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* RFC7208-7.3: cut, turned round, shortened from the left, and joined with dots. */
static enum err put_parts(const struct item *item, struct view value, struct buf *out) {
    struct view parts[PARTS_MAX];
    size_t n = 0, from = 0;
    struct view delimiters = item->delimiters.n ? item->delimiters : VIEW(".");
    for (size_t i = 0; i <= value.n; i++) {
        if (i < value.n && view_find_byte(delimiters, value.p[i]) < 0)
            continue;
        if (n == PARTS_MAX)
            return ERR_LIMIT;
        parts[n++] = view_sub(value, from, i - from);
        from = i + 1;
    }
    size_t first = item->keep && item->keep < n ? n - item->keep : 0;
    for (size_t i = first; i < n; i++) {
        struct view part = item->is_reversed ? parts[n - 1 - i] : parts[i];
        if (i > first)
            buf_put_byte(out, '.');
        if (item->is_upper)
            put_url(out, part);
        else
            buf_put(out, part);
    }
    return buf_err(out);
}

static enum err put_macro(const struct item *item, const struct spf_macro_facts *facts, struct buf *out) {
    struct buf value;
    buf_init(&value, VALUE_MAX);
    enum err err = put_value(facts, item->letter, &value);
    if (err == ERR_OK && (item->keep || item->is_reversed || item->delimiters.n))
        err = put_parts(item, buf_view(&value), out);
    else if (err == ERR_OK && item->is_upper)
        put_url(out, buf_view(&value));
    else if (err == ERR_OK)
        buf_put(out, buf_view(&value));
    buf_fini(&value);
    return err == ERR_OK ? buf_err(out) : err;
}

enum err spf_macro_expand(struct view text, const struct spf_macro_facts *facts, unsigned flags, struct buf *out) {
    struct reader r = reader_of(text);
    while (!reader_at_end(&r)) {
        struct item item;
        TRY(read_item(&r, flags, &item));
        switch (item.kind) {
        case ITEM_LITERAL:
            buf_put_byte(out, item.literal);
            break;
        case ITEM_PERCENT:
            buf_put_byte(out, '%');
            break;
        case ITEM_SPACE:
            buf_put_byte(out, ' ');
            break;
        case ITEM_URL_SPACE:
            buf_put_str(out, "%20");
            break;
        case ITEM_MACRO:
            TRY(put_macro(&item, facts, out));
            break;
        }
        TRY(buf_err(out));
    }
    return ERR_OK;
}
