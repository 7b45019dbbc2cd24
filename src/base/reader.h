/*
 * The bounded reader: a cursor over a view, with a sticky error. Parsers of
 * peers' bytes use it instead of pointers. After an error every call returns
 * nothing and consumes nothing; check reader_err() at the end of a production.
 */
#ifndef BASE_READER_H
#define BASE_READER_H

#include "base/view.h"

struct reader {
    struct view in;
    size_t at;
    enum err err;
};

static inline struct reader reader_of(struct view in) {
    return (struct reader){in, 0, ERR_OK};
}
static inline bool reader_at_end(const struct reader *r) {
    return r->at >= r->in.n;
}
static inline struct view reader_rest(const struct reader *r) {
    return view_skip(r->in, r->at);
}
static inline enum err reader_err(const struct reader *r) {
    return r->err;
}
/* Marks an error (the first one wins) and returns false, so that `return reader_fail(r, ERR_SYNTAX)` reads well. */
bool reader_fail(struct reader *r, enum err err);

/* The next octet without consuming it, or -1 at the end or after an error. */
int reader_peek(const struct reader *r);
/* Consumes one octet; -1 and ERR_SYNTAX at the end. */
int reader_byte(struct reader *r);
/* Consumes the octet / literal (ASCII case-insensitive for _nocase) if it is next. No error when it is not. */
bool reader_accept(struct reader *r, uint8_t byte);
bool reader_accept_view(struct reader *r, struct view v);
bool reader_accept_nocase(struct reader *r, struct view v);
/* The same, but ERR_SYNTAX when it is not next. */
bool reader_expect(struct reader *r, uint8_t byte);
/* Exactly n octets; ERR_SYNTAX when fewer are left. */
struct view reader_take(struct reader *r, size_t n);
/* The longest run of octets for which is_member is true; may be empty. */
struct view reader_while(struct reader *r, bool (*is_member)(uint8_t));
/* Octets up to (not including) byte, which is not consumed; all the rest when it does not occur. */
struct view reader_until(struct reader *r, uint8_t byte);
/* 1*DIGIT up to max (ERR_LIMIT above, ERR_SYNTAX when no digit is next). */
uint64_t reader_u64(struct reader *r, uint64_t max);
/* Fixed-width octets, most significant first. */
uint8_t reader_be8(struct reader *r);
uint16_t reader_be16(struct reader *r);
uint32_t reader_be32(struct reader *r);
uint64_t reader_be64(struct reader *r);
/* Skips SP and HTAB; returns how many. */
size_t reader_skip_blank(struct reader *r);

#endif
