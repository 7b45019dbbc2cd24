/* Modified UTF-7, RFC3501-5.1.3: "&" shifts to base64 of UTF-16 with "," for "/", "-" shifts back, "&-" is "&". */
#include "imap/utf7.h"

#include "base/utf8.h"

static const uint8_t alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_of(uint8_t c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == ',' ? 63 : -1;
}

static bool is_direct(uint32_t cp) {
    return cp >= 0x20 && cp <= 0x7e;
}

/* One 16-bit unit of a shifted run. *high: a surrogate that waits for its second half. */
static enum err put_unit(struct buf *out, uint32_t unit, uint32_t *high) {
    if (*high != 0) {
        if (unit < 0xdc00 || unit > 0xdfff)
            return ERR_SYNTAX;
        buf_put_utf8(out, 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00));
        *high = 0;
        return ERR_OK;
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        *high = unit;
        return ERR_OK;
    }
    /* RFC3501-5.1.3: base64 MUST NOT represent printing US-ASCII, which represents itself */
    if ((unit >= 0xdc00 && unit <= 0xdfff) || is_direct(unit) || unit == 0)
        return ERR_SYNTAX;
    buf_put_utf8(out, unit);
    return ERR_OK;
}

/* A shifted run; *at is behind "&", and behind "-" afterwards. */
static enum err decode_run(struct view name, size_t *at, struct buf *out) {
    uint32_t bits = 0, high = 0;
    unsigned n = 0;
    bool any = false;
    while (*at < name.n && name.p[*at] != '-') {
        int digit = digit_of(name.p[(*at)++]);
        if (digit < 0)
            return ERR_SYNTAX;
        bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
        n += 6;
        if (n >= 16) {
            n -= 16;
            TRY(put_unit(out, bits >> n & 0xffff, &high));
            any = true;
        }
    }
    if (*at >= name.n)
        return ERR_SYNTAX;
    (*at)++;
    if (!any || high != 0 || n >= 6 || (bits & ((1u << n) - 1)) != 0)
        return ERR_SYNTAX;
    /* RFC3501-5.1.3: null shifts are not allowed: "-&" while in base64 superfluously ends and begins it. "&-" is fine. */
    if (*at + 1 < name.n && name.p[*at] == '&' && name.p[*at + 1] != '-')
        return ERR_SYNTAX;
    return ERR_OK;
}

enum err utf7_decode(struct view name, struct buf *out) {
    size_t at = 0;
    while (at < name.n) {
        uint8_t c = name.p[at++];
        if (!is_direct(c))
            return ERR_SYNTAX;
        if (c != '&') {
            buf_put_byte(out, c);
        } else if (at < name.n && name.p[at] == '-') {
            buf_put_byte(out, '&');
            at++;
        } else {
            TRY(decode_run(name, &at, out));
        }
    }
    return buf_err(out);
}

struct encoder {
    struct buf *out;
    uint32_t bits;
    unsigned n;
    bool shifted;
};

static void encode_unit(struct encoder *e, uint32_t unit) {
    e->bits = e->bits << 16 | unit;
    e->n += 16;
    while (e->n >= 6) {
        e->n -= 6;
        buf_put_byte(e->out, alphabet[e->bits >> e->n & 63]);
    }
    e->bits &= (1u << e->n) - 1;
}

static void encode_end(struct encoder *e) {
    if (!e->shifted)
        return;
    if (e->n > 0)
        buf_put_byte(e->out, alphabet[e->bits << (6 - e->n) & 63]);
    buf_put_byte(e->out, '-');
    e->bits = e->n = 0;
    e->shifted = false;
}

enum err utf7_encode(struct view name, struct buf *out) {
    struct encoder e = {.out = out};
    size_t at = 0;
    while (at < name.n) {
        uint32_t cp;
        size_t n = utf8_decode(view_skip(name, at), &cp);
        if (n == 0 || cp == 0)
            return ERR_SYNTAX;
        at += n;
        if (is_direct(cp)) {
            encode_end(&e);
            buf_put_byte(out, (uint8_t)cp);
            if (cp == '&')
                buf_put_byte(out, '-');
            continue;
        }
        if (!e.shifted)
            buf_put_byte(out, '&');
        e.shifted = true;
        if (cp >= 0x10000) {
            encode_unit(&e, 0xd800 + ((cp - 0x10000) >> 10));
            encode_unit(&e, 0xdc00 + ((cp - 0x10000) & 0x3ff));
        } else {
            encode_unit(&e, cp);
        }
    }
    encode_end(&e);
    return buf_err(out);
}
