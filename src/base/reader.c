/* The bounded reader: consuming a view from the front with a sticky error. */
#include "base/reader.h"

bool reader_fail(struct reader *r, enum err err) {
    if (r->err == ERR_OK)
        r->err = err;
    return false;
}

int reader_peek(const struct reader *r) {
    return r->err != ERR_OK || reader_at_end(r) ? -1 : r->in.p[r->at];
}

int reader_byte(struct reader *r) {
    int c = reader_peek(r);
    if (c < 0)
        (void)reader_fail(r, ERR_SYNTAX);
    else
        r->at++;
    return c;
}

bool reader_accept(struct reader *r, uint8_t byte) {
    if (reader_peek(r) != byte)
        return false;
    r->at++;
    return true;
}

bool reader_accept_view(struct reader *r, struct view v) {
    if (r->err != ERR_OK || !view_starts(reader_rest(r), v))
        return false;
    r->at += v.n;
    return true;
}

bool reader_accept_nocase(struct reader *r, struct view v) {
    if (r->err != ERR_OK || !view_starts_nocase(reader_rest(r), v))
        return false;
    r->at += v.n;
    return true;
}

bool reader_expect(struct reader *r, uint8_t byte) {
    return reader_accept(r, byte) || reader_fail(r, ERR_SYNTAX);
}

struct view reader_take(struct reader *r, size_t n) {
    if (r->err != ERR_OK)
        return VIEW_NONE;
    struct view rest = reader_rest(r);
    if (rest.n < n) {
        (void)reader_fail(r, ERR_SYNTAX);
        return VIEW_NONE;
    }
    r->at += n;
    return view_sub(rest, 0, n);
}

struct view reader_while(struct reader *r, bool (*is_member)(uint8_t)) {
    if (r->err != ERR_OK)
        return VIEW_NONE;
    size_t from = r->at;
    while (r->at < r->in.n && is_member(r->in.p[r->at]))
        r->at++;
    return view_sub(r->in, from, r->at - from);
}

struct view reader_until(struct reader *r, uint8_t byte) {
    if (r->err != ERR_OK)
        return VIEW_NONE;
    struct view rest = reader_rest(r);
    ssize_t at = view_find_byte(rest, byte);
    struct view found = at < 0 ? rest : view_sub(rest, 0, (size_t)at);
    r->at += found.n;
    return found;
}

uint64_t reader_u64(struct reader *r, uint64_t max) {
    size_t before = r->at;
    struct view digits = reader_while(r, ascii_is_digit);
    uint64_t value = 0;
    enum err err = r->err != ERR_OK ? r->err : view_to_u64(digits, max, &value);
    if (err != ERR_OK) {
        r->at = before;
        (void)reader_fail(r, err);
        return 0;
    }
    return value;
}

static uint64_t take_be(struct reader *r, size_t n) {
    struct view v = reader_take(r, n);
    uint64_t value = 0;
    for (size_t i = 0; i < v.n; i++)
        value = value << 8 | v.p[i];
    return value;
}

uint8_t reader_be8(struct reader *r) {
    return (uint8_t)take_be(r, 1);
}

uint16_t reader_be16(struct reader *r) {
    return (uint16_t)take_be(r, 2);
}

uint32_t reader_be32(struct reader *r) {
    return (uint32_t)take_be(r, 4);
}

uint64_t reader_be64(struct reader *r) {
    return take_be(r, 8);
}

size_t reader_skip_blank(struct reader *r) {
    return reader_while(r, ascii_is_blank).n;
}
