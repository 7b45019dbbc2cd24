/* The bounded builder, and the encodings that everything needs: hex and base64. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_FIRST ((size_t)64)

void buf_init(struct buf *buf, size_t limit) {
    *buf = (struct buf){.limit = limit};
}

void buf_init_secret(struct buf *buf, size_t limit) {
    *buf = (struct buf){.limit = limit, .secret = true};
}

void buf_fini(struct buf *buf) {
    if (buf->secret)
        wipe(buf->p, buf->cap);
    free(buf->p);
    *buf = (struct buf){.limit = buf->limit, .secret = buf->secret};
}

void buf_clear(struct buf *buf) {
    if (buf->secret)
        wipe(buf->p, buf->n);
    buf->n = 0;
    buf->err = ERR_OK;
}

void buf_consume(struct buf *buf, size_t n) {
    BUG_IF(n > buf->n);
    if (n == 0)
        return;
    size_t left = buf->n - n;
    if (left > 0)
        memmove(buf->p, buf->p + n, left);
    if (buf->secret)
        wipe(buf->p + left, n);
    buf->n = left;
}

static bool grow(struct buf *buf, size_t need) {
    size_t cap = buf->cap > buf->limit / 2 ? buf->limit : buf->cap * 2;
    cap = MAX(MAX(cap, MIN(BUF_CAP_FIRST, buf->limit)), need);
    cap = MAX(cap, 1); /* so that room for nothing is still a pointer */
    uint8_t *p;
    if (buf->secret) {
        p = malloc(cap);
        if (p != NULL && buf->p != NULL)
            memcpy(p, buf->p, buf->n);
        if (p != NULL) {
            wipe(buf->p, buf->cap);
            free(buf->p);
        }
    } else {
        p = realloc(buf->p, cap);
    }
    if (p == NULL) {
        buf->err = ERR_NO_MEMORY;
        return false;
    }
    buf->p = p;
    buf->cap = cap;
    return true;
}

uint8_t *buf_room(struct buf *buf, size_t n) {
    if (buf->err != ERR_OK)
        return NULL;
    if (n > buf->limit - buf->n) {
        buf->err = ERR_LIMIT;
        return NULL;
    }
    if ((buf->p == NULL || n > buf->cap - buf->n) && !grow(buf, buf->n + n))
        return NULL;
    return buf->p + buf->n;
}

void buf_added(struct buf *buf, size_t n) {
    BUG_IF(n > buf->cap - buf->n);
    buf->n += n;
}

void buf_put(struct buf *buf, struct view v) {
    if (v.n == 0)
        return;
    uint8_t *p = buf_room(buf, v.n);
    if (p == NULL)
        return;
    memcpy(p, v.p, v.n);
    buf->n += v.n;
}

void buf_put_str(struct buf *buf, const char *s) {
    buf_put(buf, view_cstr(s));
}

void buf_put_byte(struct buf *buf, uint8_t byte) {
    uint8_t *p = buf_room(buf, 1);
    if (p == NULL)
        return;
    *p = byte;
    buf->n++;
}

void buf_put_u64(struct buf *buf, uint64_t value) {
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buf_put(buf, view_of(digits + at, sizeof(digits) - at));
}

void buf_put_i64(struct buf *buf, int64_t value) {
    uint8_t text[21];
    size_t at = sizeof(text);
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        text[--at] = (uint8_t)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude != 0);
    if (value < 0)
        text[--at] = '-';
    buf_put(buf, view_of(text + at, sizeof(text) - at));
}

void buf_printf(struct buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (buf->err != ERR_OK)
        return;
    if (n < 0) {
        buf->err = ERR_BUG;
        return;
    }
    if ((size_t)n > buf->limit - buf->n) {
        buf->err = ERR_LIMIT;
        return;
    }
    /* vsnprintf ends with a NUL, for which the limit may have no room: the last octet then goes by another way. */
    if (n == 0)
        return;
    uint8_t *p = buf_room(buf, (size_t)n);
    if (p == NULL)
        return;
    if (buf->cap - buf->n > (size_t)n) {
        va_start(args, format);
        (void)vsnprintf((char *)p, (size_t)n + 1, format, args);
        va_end(args);
    } else {
        char *text = malloc((size_t)n + 1);
        if (text == NULL) {
            buf->err = ERR_NO_MEMORY;
            return;
        }
        va_start(args, format);
        (void)vsnprintf(text, (size_t)n + 1, format, args);
        va_end(args);
        memcpy(p, text, (size_t)n);
        if (buf->secret)
            wipe(text, (size_t)n);
        free(text);
    }
    buf->n += (size_t)n;
}

static void put_be(struct buf *buf, uint64_t value, size_t octets) {
    uint8_t *p = buf_room(buf, octets);
    if (p == NULL)
        return;
    for (size_t i = octets; i-- > 0; value >>= 8)
        p[i] = (uint8_t)value;
    buf->n += octets;
}

void buf_put_be16(struct buf *buf, uint16_t value) {
    put_be(buf, value, 2);
}

void buf_put_be32(struct buf *buf, uint32_t value) {
    put_be(buf, value, 4);
}

void buf_put_be64(struct buf *buf, uint64_t value) {
    put_be(buf, value, 8);
}

/* Room for count pieces of `size` octets each; sticky ERR_LIMIT when that is more than a size_t. */
static uint8_t *room_for(struct buf *buf, size_t count, size_t size) {
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        n = SIZE_MAX;
    if (n == SIZE_MAX) {
        if (buf->err == ERR_OK)
            buf->err = ERR_LIMIT;
        return NULL;
    }
    return buf_room(buf, n);
}

void buf_put_hex(struct buf *buf, struct view v) {
    static const char digits[] = "0123456789abcdef";
    uint8_t *p = room_for(buf, v.n, 2);
    if (p == NULL)
        return;
    for (size_t i = 0; i < v.n; i++) {
        *p++ = (uint8_t)digits[v.p[i] >> 4];
        *p++ = (uint8_t)digits[v.p[i] & 15];
    }
    buf->n += v.n * 2;
}

/* RFC4648-4: the base64 alphabet */
static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void buf_put_base64(struct buf *buf, struct view v) {
    size_t groups = v.n / 3 + (v.n % 3 != 0);
    uint8_t *p = room_for(buf, groups, 4);
    if (p == NULL)
        return;
    for (size_t i = 0; i < v.n; i += 3) {
        size_t have = MIN(v.n - i, (size_t)3);
        uint32_t bits = (uint32_t)v.p[i] << 16;
        if (have > 1)
            bits |= (uint32_t)v.p[i + 1] << 8;
        if (have > 2)
            bits |= v.p[i + 2];
        *p++ = (uint8_t)base64_alphabet[bits >> 18];
        *p++ = (uint8_t)base64_alphabet[(bits >> 12) & 63];
        *p++ = (uint8_t)(have > 1 ? base64_alphabet[(bits >> 6) & 63] : '=');
        *p++ = (uint8_t)(have > 2 ? base64_alphabet[bits & 63] : '=');
    }
    buf->n += groups * 4;
}

static int base64_value(uint8_t c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum err base64_decode(struct view text, struct buf *out) {
    if (text.n % 4 != 0)
        return ERR_SYNTAX;
    size_t pad = 0;
    if (text.n > 0 && text.p[text.n - 1] == '=')
        pad = text.p[text.n - 2] == '=' ? 2 : 1;
    size_t octets = text.n / 4 * 3 - pad;
    uint8_t *p = buf_room(out, octets);
    if (p == NULL)
        return out->err;
    /* Nothing is added until all of it was right. */
    size_t at = 0;
    for (size_t i = 0; i < text.n; i += 4) {
        size_t digits = i + 4 == text.n ? 4 - pad : 4;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            int value = k < digits ? base64_value(text.p[i + k]) : 0;
            if (value < 0)
                return ERR_SYNTAX;
            bits = bits << 6 | (uint32_t)value;
        }
        /* RFC4648-3.5: pad bits must be zero, or one value would have many spellings */
        if ((digits == 2 && (bits & 0xffff) != 0) || (digits == 3 && (bits & 0xff) != 0))
            return ERR_SYNTAX;
        for (size_t k = 0; k + 1 < digits; k++)
            p[at++] = (uint8_t)(bits >> (16 - 8 * k));
    }
    buf_added(out, octets);
    return ERR_OK;
}

enum err hex_decode(struct view text, struct buf *out) {
    if (text.n % 2 != 0)
        return ERR_SYNTAX;
    uint8_t *p = buf_room(out, text.n / 2);
    if (p == NULL)
        return out->err;
    for (size_t i = 0; i < text.n; i += 2) {
        int high = ascii_hex_value(text.p[i]), low = ascii_hex_value(text.p[i + 1]);
        if (high < 0 || low < 0)
            return ERR_SYNTAX;
        p[i / 2] = (uint8_t)(high << 4 | low);
    }
    buf_added(out, text.n / 2);
    return ERR_OK;
}

void wipe(void *p, size_t n) {
    if (p != NULL)
        explicit_bzero(p, n);
}

bool equal_constant_time(struct view a, struct view b) {
    if (a.n != b.n)
        return false;
    uint8_t difference = 0;
    for (size_t i = 0; i < a.n; i++)
        difference = (uint8_t)(difference | (a.p[i] ^ b.p[i]));
    /* Keeps the compiler from leaving the loop once the answer is known. */
    __asm__ volatile("" : "+r"(difference));
    return difference == 0;
}
