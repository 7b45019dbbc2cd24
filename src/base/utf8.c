/* UTF-8: validation, decoding and repair. */
#include "base/utf8.h"

#define REPLACEMENT UINT32_C(0xfffd)

/*
 * Looks at the character at v (v.n > 0). Returns its octets and true in *valid,
 * or the octets of the maximal invalid part: the longest start of a character
 * that could still have become one, at least 1.
 */
static size_t scan(struct view v, uint32_t *cp, bool *valid) {
    uint8_t lead = v.p[0];
    /* RFC3629-4: the second octet of some leads has a narrower range, which rules out overlong forms, surrogates and
     * values above U+10FFFF */
    uint8_t low = 0x80, high = 0xbf;
    size_t n;
    *valid = lead < 0x80;
    *cp = lead;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf) {
        n = 2;
        *cp = lead & 0x1f;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        n = 3;
        *cp = lead & 0x0f;
        low = lead == 0xe0 ? 0xa0 : low;
        high = lead == 0xed ? 0x9f : high;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        n = 4;
        *cp = lead & 0x07;
        low = lead == 0xf0 ? 0x90 : low;
        high = lead == 0xf4 ? 0x8f : high;
    } else {
        return 1;
    }
    for (size_t i = 1; i < n; i++) {
        if (i >= v.n || v.p[i] < low || v.p[i] > high)
            return i;
        *cp = *cp << 6 | (v.p[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *valid = true;
    return n;
}

size_t utf8_decode(struct view v, uint32_t *cp) {
    uint32_t found;
    bool valid;
    if (v.n == 0)
        return 0;
    size_t n = scan(v, &found, &valid);
    if (!valid)
        return 0;
    *cp = found;
    return n;
}

bool utf8_is_valid(struct view v) {
    while (v.n > 0) {
        uint32_t cp;
        size_t n = utf8_decode(v, &cp);
        if (n == 0)
            return false;
        v = view_skip(v, n);
    }
    return true;
}

bool utf8_is_ascii(struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] >= 0x80)
            return false;
    }
    return true;
}

void buf_put_utf8(struct buf *buf, uint32_t cp) {
    uint8_t out[4];
    size_t n;
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        cp = REPLACEMENT;
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        n = 1;
    } else if (cp < 0x800) {
        out[0] = (uint8_t)(0xc0 | cp >> 6);
        n = 2;
    } else if (cp < 0x10000) {
        out[0] = (uint8_t)(0xe0 | cp >> 12);
        n = 3;
    } else {
        out[0] = (uint8_t)(0xf0 | cp >> 18);
        n = 4;
    }
    for (size_t i = n; i-- > 1; cp >>= 6)
        out[i] = (uint8_t)(0x80 | (cp & 0x3f));
    buf_put(buf, view_of(out, n));
}

void buf_put_utf8_lossy(struct buf *buf, struct view v) {
    while (v.n > 0) {
        /* A run of valid characters goes in one piece. */
        size_t good = 0, n = 0;
        bool valid = true;
        while (good < v.n) {
            uint32_t cp;
            n = scan(view_skip(v, good), &cp, &valid);
            if (!valid)
                break;
            good += n;
        }
        buf_put(buf, view_sub(v, 0, good));
        v = view_skip(v, good);
        if (v.n > 0) {
            buf_put_utf8(buf, REPLACEMENT);
            v = view_skip(v, n);
        }
    }
}

struct view utf8_truncate(struct view v, size_t max) {
    if (v.n <= max)
        return v;
    /* A character that straddles the cut starts at most three octets before it. */
    for (size_t back = 1; back <= 3 && back <= max; back++) {
        uint32_t cp;
        if (utf8_decode(view_skip(v, max - back), &cp) > back)
            return view_sub(v, 0, max - back);
    }
    return view_sub(v, 0, max);
}
