/*
 * A view is some bytes that somebody else owns. NUL is data. A view never
 * outlives its owner; functions that return one say who that is.
 *
 * Case-insensitive functions fold ASCII letters only.
 */
#ifndef BASE_VIEW_H
#define BASE_VIEW_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct view {
    const uint8_t *p;
    size_t n;
};

/* A view of a string literal, without its final NUL. */
#define VIEW(literal) ((struct view){(const uint8_t *)("" literal), sizeof(literal) - 1})
#define VIEW_INIT(literal) \
    { (const uint8_t *)("" literal), sizeof(literal) - 1 }
#define VIEW_NONE ((struct view){NULL, 0})
/* For printf-like functions of our own strings: "%.*s", VIEW_FMT(v). Never for logs of a peer's bytes. */
#define VIEW_FMT(v) (int)(v).n, (const char *)(v).p

struct view view_of(const void *p, size_t n);
/* Of a NUL-terminated string of our own (argv, literals, libc results); NULL gives an empty view. */
struct view view_cstr(const char *s);

bool view_eq(struct view a, struct view b);
bool view_eq_nocase(struct view a, struct view b);
/* memcmp order; a shorter prefix comes first. */
int view_cmp(struct view a, struct view b);
int view_cmp_nocase(struct view a, struct view b);
bool view_starts(struct view v, struct view prefix);
bool view_starts_nocase(struct view v, struct view prefix);
bool view_ends(struct view v, struct view suffix);
bool view_ends_nocase(struct view v, struct view suffix);
/* From octet `from`, at most n octets; both are clamped to the view. */
struct view view_sub(struct view v, size_t from, size_t n);
struct view view_skip(struct view v, size_t n);
/* Index of the first / last such octet or needle, or -1. */
ssize_t view_find_byte(struct view v, uint8_t byte);
ssize_t view_rfind_byte(struct view v, uint8_t byte);
ssize_t view_find(struct view v, struct view needle);
ssize_t view_find_nocase(struct view v, struct view needle);
/* Without leading and trailing SP, HTAB, CR, LF. */
struct view view_trim(struct view v);
/* Splits at the first `byte`: the part before goes to *head, the rest after it to *tail. False (and *head = v, *tail
 * empty) when there is none. */
bool view_split(struct view v, uint8_t byte, struct view *head, struct view *tail);

/* Whole view as an unsigned decimal (1*DIGIT, no sign, no space). ERR_SYNTAX, or ERR_LIMIT above max. */
enum err view_to_u64(struct view v, uint64_t max, uint64_t *out) MUST_CHECK;
enum err view_to_u32(struct view v, uint32_t max, uint32_t *out) MUST_CHECK;

/* ASCII classes; true for exactly these octets, whatever the locale. */
static inline bool ascii_is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(uint8_t c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}
static inline bool ascii_is_alnum(uint8_t c) {
    return ascii_is_digit(c) || ascii_is_alpha(c);
}
/* RFC5234-B.1: WSP */
static inline bool ascii_is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}
/* White space in a field that may be folded, whatever its lines end with. */
static inline bool ascii_is_space(uint8_t c) {
    return ascii_is_blank(c) || c == '\r' || c == '\n';
}
/* -1: no hexadecimal digit. */
static inline int ascii_hex_value(uint8_t c) {
    if (ascii_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
static inline uint8_t ascii_lower(uint8_t c) {
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}
static inline uint8_t ascii_upper(uint8_t c) {
    return (uint8_t)(c >= 'a' && c <= 'z' ? c - 32 : c);
}

#endif
