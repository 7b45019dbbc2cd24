/* Ranges of UIDs with sequence numbers. */
#include "imap/seqmap.h"

static struct seqmap_range *at(const struct seqmap *map, size_t i) {
    return VEC_AT(&map->ranges, struct seqmap_range, i);
}

static uint32_t length(const struct seqmap_range *r) {
    return r->last - r->first + 1;
}

void seqmap_init(struct seqmap *map) {
    *map = (struct seqmap){.ranges = VEC_OF(struct seqmap_range, SEQMAP_RANGES_MAX)};
}

void seqmap_fini(struct seqmap *map) {
    vec_fini(&map->ranges);
    seqmap_init(map);
}

void seqmap_clear(struct seqmap *map) {
    vec_clear(&map->ranges);
    map->valid = 0;
    map->count = 0;
}

uint32_t seqmap_last(const struct seqmap *map) {
    return map->ranges.n == 0 ? 0 : at(map, map->ranges.n - 1)->last;
}

/* The first range that ends at or after uid; the number of ranges when there is none. */
static size_t find(const struct seqmap *map, uint32_t uid) {
    size_t low = 0, high = map->ranges.n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (at(map, mid)->last < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Makes `before` true for all ranges up to and including i. */
static void number(struct seqmap *map, size_t i) {
    for (; map->valid <= i; map->valid++) {
        struct seqmap_range *r = at(map, map->valid);
        r->before = 0;
        if (map->valid > 0) {
            const struct seqmap_range *previous = at(map, map->valid - 1);
            r->before = previous->before + length(previous);
        }
    }
}

static void changed_from(struct seqmap *map, size_t i) {
    map->valid = MIN(map->valid, i);
}

enum err seqmap_add(struct seqmap *map, uint32_t first, uint32_t last) {
    if (first == 0 || first > last)
        return ERR_SYNTAX;
    /* The first range that touches or follows first..last. */
    size_t i = find(map, first > 1 ? first - 1 : 1);
    if (i == map->ranges.n || (last != UINT32_MAX && at(map, i)->first > last + 1)) {
        struct seqmap_range *r = vec_insert(&map->ranges, i);
        if (r == NULL)
            return map->ranges.n >= SEQMAP_RANGES_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
        r->first = first;
        r->last = last;
        map->count += length(r);
        changed_from(map, i);
        return ERR_OK;
    }
    struct seqmap_range *r = at(map, i);
    map->count -= length(r);
    r->first = MIN(r->first, first);
    r->last = MAX(r->last, last);
    size_t joined = 0;
    while (i + joined + 1 < map->ranges.n) {
        const struct seqmap_range *next = at(map, i + joined + 1);
        if (r->last != UINT32_MAX && next->first > r->last + 1)
            break;
        map->count -= length(next);
        r->last = MAX(r->last, next->last);
        joined++;
    }
    map->count += length(r);
    if (joined > 0)
        vec_remove(&map->ranges, i + 1, joined);
    /* A range that only grew at its end keeps its own number. */
    changed_from(map, i);
    return ERR_OK;
}

enum err seqmap_remove(struct seqmap *map, uint32_t first, uint32_t last) {
    if (first == 0 || first > last)
        return ERR_SYNTAX;
    size_t i = find(map, first);
    if (i == map->ranges.n || at(map, i)->first > last)
        return ERR_OK;
    struct seqmap_range *r = at(map, i);
    changed_from(map, i);
    if (r->first < first && r->last > last) {
        uint32_t end = r->last;
        struct seqmap_range *tail = vec_insert(&map->ranges, i + 1);
        if (tail == NULL)
            return map->ranges.n >= SEQMAP_RANGES_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
        tail->first = last + 1;
        tail->last = end;
        at(map, i)->last = first - 1;
        map->count -= last - first + 1;
        return ERR_OK;
    }
    if (r->first < first) {
        map->count -= r->last - first + 1;
        r->last = first - 1;
        i++;
    }
    size_t whole = 0;
    while (i + whole < map->ranges.n && at(map, i + whole)->last <= last) {
        map->count -= length(at(map, i + whole));
        whole++;
    }
    if (whole > 0)
        vec_remove(&map->ranges, i, whole);
    if (i < map->ranges.n && at(map, i)->first <= last) {
        map->count -= last - at(map, i)->first + 1;
        at(map, i)->first = last + 1;
    }
    return ERR_OK;
}

/* Appends behind everything that is there. */
static enum err append(struct seqmap *map, uint32_t first, uint32_t last) {
    struct seqmap_range *r = vec_add(&map->ranges);
    if (r == NULL)
        return map->ranges.n >= SEQMAP_RANGES_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
    r->first = first;
    r->last = last;
    map->count += length(r);
    return ERR_OK;
}

/* What is left of one range; *j: the first range of other that may touch it. */
static enum err append_rest(struct seqmap *left, struct seqmap_range r, const struct seqmap *other, size_t *j) {
    while (*j < other->ranges.n && at(other, *j)->last < r.first)
        (*j)++;
    for (size_t k = *j; k < other->ranges.n && at(other, k)->first <= r.last; k++) {
        const struct seqmap_range *cut = at(other, k);
        if (cut->first > r.first)
            TRY(append(left, r.first, cut->first - 1));
        if (cut->last >= r.last)
            return ERR_OK;
        r.first = cut->last + 1;
    }
    return append(left, r.first, r.last);
}

enum err seqmap_subtract(struct seqmap *map, const struct seqmap *other) {
    struct seqmap left;
    size_t j = 0;
    enum err err = ERR_OK;
    seqmap_init(&left);
    for (size_t i = 0; i < map->ranges.n && err == ERR_OK; i++)
        err = append_rest(&left, *at(map, i), other, &j);
    if (err != ERR_OK) {
        seqmap_fini(&left);
        return err;
    }
    seqmap_fini(map);
    *map = left;
    return ERR_OK;
}

uint32_t seqmap_seq(struct seqmap *map, uint32_t uid) {
    size_t i = find(map, uid);
    if (uid == 0 || i == map->ranges.n || at(map, i)->first > uid)
        return 0;
    number(map, i);
    const struct seqmap_range *r = at(map, i);
    return r->before + (uid - r->first) + 1;
}

uint32_t seqmap_uid(struct seqmap *map, uint32_t seq) {
    if (seq == 0 || seq > map->count)
        return 0;
    number(map, map->ranges.n - 1);
    size_t low = 0, high = map->ranges.n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (at(map, mid)->before < seq)
            low = mid;
        else
            high = mid;
    }
    const struct seqmap_range *r = at(map, low);
    return r->first + (seq - r->before - 1);
}

bool seqmap_has(const struct seqmap *map, uint32_t uid) {
    size_t i = find(map, uid);
    return uid != 0 && i < map->ranges.n && at(map, i)->first <= uid;
}

bool seqmap_next_range(const struct seqmap *map, uint32_t uid, uint32_t *first, uint32_t *last) {
    size_t i = find(map, uid);
    if (i == map->ranges.n)
        return false;
    *first = MAX(at(map, i)->first, uid);
    *last = at(map, i)->last;
    return true;
}

bool seqmap_prev_range(const struct seqmap *map, uint32_t uid, uint32_t *first, uint32_t *last) {
    size_t i = find(map, uid);
    if (i < map->ranges.n && at(map, i)->first <= uid) {
        *first = at(map, i)->first;
        *last = uid;
        return true;
    }
    if (i == 0)
        return false;
    *first = at(map, i - 1)->first;
    *last = at(map, i - 1)->last;
    return true;
}

uint32_t seqmap_common(const struct seqmap *a, const struct seqmap *b) {
    uint32_t n = 0;
    size_t i = 0, j = 0;
    while (i < a->ranges.n && j < b->ranges.n) {
        const struct seqmap_range *x = at(a, i), *y = at(b, j);
        uint32_t first = MAX(x->first, y->first), last = MIN(x->last, y->last);
        if (first <= last)
            n += last - first + 1;
        if (x->last < y->last)
            i++;
        else
            j++;
    }
    return n;
}
