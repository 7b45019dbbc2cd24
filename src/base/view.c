/* Views: comparing, searching, cutting and reading bytes that somebody else owns. */
#include "base/view.h"

#include <string.h>

struct view view_of(const void *p, size_t n) {
    return (struct view){p, n};
}

struct view view_cstr(const char *s) {
    return s == NULL ? VIEW_NONE : (struct view){(const uint8_t *)s, (size_t)(strchr(s, '\0') - s)};
}

/* memcmp and memchr may not be given NULL, even for no octets; a view may hold it. */
static int compare(const uint8_t *a, const uint8_t *b, size_t n) {
    return n == 0 ? 0 : memcmp(a, b, n);
}

static int compare_nocase(const uint8_t *a, const uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int difference = (int)ascii_lower(a[i]) - (int)ascii_lower(b[i]);
        if (difference != 0)
            return difference;
    }
    return 0;
}

bool view_eq(struct view a, struct view b) {
    return a.n == b.n && compare(a.p, b.p, a.n) == 0;
}

bool view_eq_nocase(struct view a, struct view b) {
    return a.n == b.n && compare_nocase(a.p, b.p, a.n) == 0;
}

static int by_length(int difference, size_t a, size_t b) {
    if (difference != 0)
        return difference < 0 ? -1 : 1;
    return a < b ? -1 : a > b;
}

int view_cmp(struct view a, struct view b) {
    return by_length(compare(a.p, b.p, MIN(a.n, b.n)), a.n, b.n);
}

int view_cmp_nocase(struct view a, struct view b) {
    return by_length(compare_nocase(a.p, b.p, MIN(a.n, b.n)), a.n, b.n);
}

bool view_starts(struct view v, struct view prefix) {
    return v.n >= prefix.n && compare(v.p, prefix.p, prefix.n) == 0;
}

bool view_starts_nocase(struct view v, struct view prefix) {
    return v.n >= prefix.n && compare_nocase(v.p, prefix.p, prefix.n) == 0;
}

bool view_ends(struct view v, struct view suffix) {
    return v.n >= suffix.n && view_eq(view_skip(v, v.n - suffix.n), suffix);
}

bool view_ends_nocase(struct view v, struct view suffix) {
    return v.n >= suffix.n && view_eq_nocase(view_skip(v, v.n - suffix.n), suffix);
}

struct view view_sub(struct view v, size_t from, size_t n) {
    v = view_skip(v, from);
    v.n = MIN(v.n, n);
    return v;
}

struct view view_skip(struct view v, size_t n) {
    n = MIN(n, v.n);
    return n == 0 ? v : (struct view){v.p + n, v.n - n};
}

ssize_t view_find_byte(struct view v, uint8_t byte) {
    const uint8_t *at = v.n == 0 ? NULL : memchr(v.p, byte, v.n);
    return at == NULL ? -1 : at - v.p;
}

ssize_t view_rfind_byte(struct view v, uint8_t byte) {
    const uint8_t *at = v.n == 0 ? NULL : memrchr(v.p, byte, v.n);
    return at == NULL ? -1 : at - v.p;
}

ssize_t view_find(struct view v, struct view needle) {
    if (needle.n == 0)
        return 0;
    const uint8_t *at = v.n < needle.n ? NULL : memmem(v.p, v.n, needle.p, needle.n);
    return at == NULL ? -1 : at - v.p;
}

/* Folded pieces of the view are searched by memmem, whose time is linear whatever a peer chose as text and needle. */
#define FOLD_NEEDLE_MAX ((size_t)1024)
#define FOLD_PIECE ((size_t)8192)

static void fold(uint8_t *to, struct view from) {
    for (size_t i = 0; i < from.n; i++)
        to[i] = ascii_lower(from.p[i]);
}

ssize_t view_find_nocase(struct view v, struct view needle) {
    uint8_t piece[FOLD_PIECE], wanted[FOLD_NEEDLE_MAX];
    if (needle.n == 0)
        return 0;
    /* A needle of more than the largest piece is rare enough for the simple way. */
    if (needle.n > FOLD_NEEDLE_MAX) {
        for (size_t i = 0; i + needle.n <= v.n; i++) {
            if (compare_nocase(v.p + i, needle.p, needle.n) == 0)
                return (ssize_t)i;
        }
        return -1;
    }
    fold(wanted, needle);
    /* Pieces overlap by all but one octet of the needle, so that no occurrence lies across two of them. */
    for (size_t from = 0; v.n - from >= needle.n; from += FOLD_PIECE - (needle.n - 1)) {
        struct view part = view_sub(v, from, FOLD_PIECE);
        fold(piece, part);
        const uint8_t *at = memmem(piece, part.n, wanted, needle.n);
        if (at != NULL)
            return (ssize_t)from + (at - piece);
        if (part.n < FOLD_PIECE)
            break;
    }
    return -1;
}

struct view view_trim(struct view v) {
    while (v.n > 0 && ascii_is_space(v.p[0]))
        v = view_skip(v, 1);
    while (v.n > 0 && ascii_is_space(v.p[v.n - 1]))
        v.n--;
    return v;
}

bool view_split(struct view v, uint8_t byte, struct view *head, struct view *tail) {
    ssize_t at = view_find_byte(v, byte);
    if (at < 0) {
        *head = v;
        *tail = VIEW_NONE;
        return false;
    }
    *head = view_sub(v, 0, (size_t)at);
    *tail = view_skip(v, (size_t)at + 1);
    return true;
}

enum err view_to_u64(struct view v, uint64_t max, uint64_t *out) {
    uint64_t value = 0;
    bool over = false;
    if (v.n == 0)
        return ERR_SYNTAX;
    /* The whole view is looked at first, so that "99999999999999999999x" is a syntax error and not a limit. */
    for (size_t i = 0; i < v.n; i++) {
        if (!ascii_is_digit(v.p[i]))
            return ERR_SYNTAX;
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, v.p[i] - '0', &value))
            over = true;
    }
    if (over || value > max)
        return ERR_LIMIT;
    *out = value;
    return ERR_OK;
}

enum err view_to_u32(struct view v, uint32_t max, uint32_t *out) {
    uint64_t value;
    TRY(view_to_u64(v, max, &value));
    *out = (uint32_t)value;
    return ERR_OK;
}
