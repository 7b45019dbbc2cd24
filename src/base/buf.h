/*
 * The bounded builder: everything that writes text or octets writes into one.
 * It grows up to a limit; the first failure (ERR_LIMIT, ERR_NO_MEMORY) sticks,
 * later puts do nothing, and the caller checks once at the end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/view.h"

struct buf {
    uint8_t *p;
    size_t n;     /* octets in use */
    size_t cap;   /* octets allocated */
    size_t limit; /* never holds more than this */
    enum err err; /* sticky */
    bool secret;  /* wiped before memory is given back or moved */
};

void buf_init(struct buf *buf, size_t limit);
void buf_init_secret(struct buf *buf, size_t limit);
void buf_fini(struct buf *buf);
/* Empties it, keeps the memory, clears the sticky error. */
void buf_clear(struct buf *buf);
/* Drops the first n octets (for input buffers). */
void buf_consume(struct buf *buf, size_t n);
/* Makes room for n more octets and returns where they go, or NULL (sticky error). Follow with buf_added(). */
uint8_t *buf_room(struct buf *buf, size_t n);
void buf_added(struct buf *buf, size_t n);

void buf_put(struct buf *buf, struct view v);
void buf_put_str(struct buf *buf, const char *s);
void buf_put_byte(struct buf *buf, uint8_t byte);
void buf_put_u64(struct buf *buf, uint64_t value);
void buf_put_i64(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Fixed-width octets, most significant first. */
void buf_put_be16(struct buf *buf, uint16_t value);
void buf_put_be32(struct buf *buf, uint32_t value);
void buf_put_be64(struct buf *buf, uint64_t value);
void buf_put_hex(struct buf *buf, struct view v);
/* RFC4648-4 with padding, no line breaks. */
void buf_put_base64(struct buf *buf, struct view v);

/* Valid until the next put. */
static inline struct view buf_view(const struct buf *buf) {
    return (struct view){buf->p, buf->n};
}
static inline enum err buf_err(const struct buf *buf) {
    return buf->err;
}

/* Strict RFC4648-4 decoding appended to buf: no white space, padding required. ERR_SYNTAX else. */
enum err base64_decode(struct view text, struct buf *out) MUST_CHECK;
enum err hex_decode(struct view text, struct buf *out) MUST_CHECK;

/* Overwrites memory in a way the compiler keeps. */
void wipe(void *p, size_t n);
/* Compares secrets in time that depends on n alone. */
bool equal_constant_time(struct view a, struct view b);

#endif
