/* Sequence sets, RFC3501-9: "1:3,5,7:*". */
#include "imap/parse.h"

#include <stdlib.h>

static enum err parse_seq_number(struct imap_parser *p, uint32_t *out) {
    if (reader_accept(&p->r, '*')) {
        *out = 0;
        return ERR_OK;
    }
    TRY(imap_parse_number(p, out));
    /* RFC3501-9: nz-number */
    return *out == 0 ? imap_wrong(p, ERR_SYNTAX, "0 is no message number") : ERR_OK;
}

enum err imap_parse_set(struct imap_parser *p, struct imap_set *out) {
    *out = (struct imap_set){0};
    size_t cap = 0;
    do {
        struct imap_range range;
        TRY(parse_seq_number(p, &range.first));
        range.last = range.first;
        if (reader_accept(&p->r, ':'))
            TRY(parse_seq_number(p, &range.last));
        if (out->n == cap) {
            size_t more = cap == 0 ? 8 : cap * 2;
            struct imap_range *list = arena_grow(p->arena, out->list, cap, more, sizeof(*list));
            if (list == NULL)
                return imap_wrong(p, ERR_LIMIT, "the set is too large");
            out->list = list;
            cap = more;
        }
        out->list[out->n++] = range;
    } while (reader_accept(&p->r, ','));
    return ERR_OK;
}

static int by_first(const void *a, const void *b) {
    const struct imap_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

void imap_set_settle(struct imap_set *set, uint32_t highest) {
    for (size_t i = 0; i < set->n; i++) {
        struct imap_range *r = &set->list[i];
        uint32_t a = r->first == 0 ? highest : r->first, b = r->last == 0 ? highest : r->last;
        /* RFC3501-9: 2:4 and 4:2 are equivalent */
        r->first = MIN(a, b);
        r->last = MAX(a, b);
    }
    if (set->n == 0)
        return;
    qsort(set->list, set->n, sizeof(*set->list), by_first);
    size_t n = 0;
    for (size_t i = 1; i < set->n; i++) {
        struct imap_range *last = &set->list[n];
        if (last->last == UINT32_MAX || set->list[i].first <= last->last + 1)
            last->last = MAX(last->last, set->list[i].last);
        else
            set->list[++n] = set->list[i];
    }
    set->n = n + 1;
}

bool imap_set_has(const struct imap_set *settled, uint32_t number) {
    size_t low = 0, high = settled->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (settled->list[mid].last < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low < settled->n && settled->list[low].first <= number;
}
