/* UTF-8 (RFC 3629): strict validation and decoding. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"

/* RFC3629-3: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_is_valid(struct view v);
bool utf8_is_ascii(struct view v);
/* Decodes the character at v; returns its octets (1..4) and sets *cp, or 0 when it is invalid or v is empty. */
size_t utf8_decode(struct view v, uint32_t *cp);
/* Appends a code point; U+FFFD for surrogates and values out of range. */
void buf_put_utf8(struct buf *buf, uint32_t cp);
/* Appends v with each maximal invalid part replaced by U+FFFD. */
void buf_put_utf8_lossy(struct buf *buf, struct view v);
/* The longest prefix of at most max octets that does not cut a character. */
struct view utf8_truncate(struct view v, size_t max);

#endif
