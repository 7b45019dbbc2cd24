/* Normalization by libunistring, and Net-Unicode (RFC 5198) on top. */
#include "message/nfc.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <uninorm.h>

/* All characters below U+0300 are their own NFC and combine with nothing before them. */
#define FIRST_COMBINING 0x300

static bool is_nfc_for_sure(struct view text) {
    while (text.n > 0) {
        if (text.p[0] < 0x80) {
            text = view_skip(text, 1);
            continue;
        }
        uint32_t cp = 0;
        size_t n = utf8_decode(text, &cp);
        if (n == 0 || cp >= FIRST_COMBINING)
            return false;
        text = view_skip(text, n);
    }
    return true;
}

static void put_normalized(struct buf *out, struct view valid) {
    size_t n = 0;
    uint8_t *normal = u8_normalize(UNINORM_NFC, valid.p, valid.n, NULL, &n);
    if (normal == NULL) {
        if (out->err == ERR_OK)
            out->err = ERR_NO_MEMORY;
        return;
    }
    buf_put(out, view_of(normal, n));
    free(normal);
}

void nfc_put(struct buf *out, struct view text) {
    if (is_nfc_for_sure(text)) {
        buf_put(out, text);
        return;
    }
    if (utf8_is_valid(text)) {
        put_normalized(out, text);
        return;
    }
    struct buf valid;
    buf_init(&valid, 3 * text.n);
    buf_put_utf8_lossy(&valid, text);
    if (buf_err(&valid) == ERR_OK)
        put_normalized(out, buf_view(&valid));
    else if (out->err == ERR_OK)
        out->err = buf_err(&valid);
    buf_fini(&valid);
}

/* RFC5198-2 (3) and (4), RFC5198-4: C0 other than HTAB, DEL and C1 SHOULD NOT be sent; CR and LF only together, as a
 * line end (RFC5198-2 (2)). */
static bool is_control(uint32_t cp) {
    return (cp < ' ' && cp != '\t') || (cp >= 127 && cp < 160);
}

#define BYTE_ORDER_MARK 0xFEFF

void net_unicode_put(struct buf *out, struct view text) {
    struct buf clean;
    buf_init(&clean, 4 * text.n + 2);
    while (text.n > 0 && buf_err(&clean) == ERR_OK) {
        uint32_t cp = 0;
        size_t n = utf8_decode(text, &cp);
        if (n == 0) {
            cp = 0xFFFD;
            n = 1;
        }
        if (cp == '\r' || cp == '\n') {
            buf_put(&clean, VIEW("\r\n"));
            if (cp == '\r' && text.n > 1 && text.p[1] == '\n')
                n = 2;
        } else if (!is_control(cp) && !(clean.n == 0 && cp == BYTE_ORDER_MARK)) {
            buf_put_utf8(&clean, cp);
        }
        text = view_skip(text, n);
    }
    if (buf_err(&clean) == ERR_OK)
        nfc_put(out, buf_view(&clean));
    else if (out->err == ERR_OK)
        out->err = buf_err(&clean);
    buf_fini(&clean);
}

bool net_unicode_is(struct view text) {
    struct buf made;
    buf_init(&made, 16 * text.n + 16);
    net_unicode_put(&made, text);
    bool same = buf_err(&made) == ERR_OK && view_eq(buf_view(&made), text);
    buf_fini(&made);
    return same;
}
