/* From the sets of a command to the UIDs of the messages that the client knows. */
#include "imap/engine.h"

bool imap_settle(struct imap_session *s, struct imap_job *job, struct imap_set *set) {
    uint32_t count = seqmap_count(&s->sel.told);
    if (job->is_uid) {
        imap_set_settle(set, seqmap_last(&s->sel.told));
        return true;
    }
    imap_set_settle(set, count);
    /* RFC3501-9: a sequence number above the number of messages is an error */
    if (set->n > 0 && set->list[0].first >= 1 && set->list[set->n - 1].last <= count)
        return true;
    imap_bad(job, "There is no message of this number");
    return false;
}

struct collector {
    struct arena *arena;
    struct uid_range *list;
    uint32_t n, cap, max_ranges;
    uint32_t messages, max;
    uint32_t next; /* where it was full; 0: not */
};

/* Adds what fits; false when it is full. */
static enum err collect(struct collector *c, uint32_t first, uint32_t last) {
    if (c->n == c->max_ranges || c->messages == c->max) {
        c->next = first;
        return ERR_OK;
    }
    uint32_t room = c->max - c->messages;
    if (last - first >= room) {
        last = first + room - 1;
        c->next = last + 1;
    }
    c->messages += last - first + 1;
    if (c->n > 0 && c->list[c->n - 1].last + 1 == first) {
        c->list[c->n - 1].last = last;
        return ERR_OK;
    }
    if (c->n == c->cap) {
        uint32_t more = c->cap == 0 ? 64 : c->cap * 2;
        struct uid_range *list = arena_grow(c->arena, c->list, c->cap, more, sizeof(*list));
        if (list == NULL)
            return ERR_LIMIT;
        c->list = list;
        c->cap = more;
    }
    c->list[c->n++] = (struct uid_range){.first = first, .last = last};
    return ERR_OK;
}

/* The told UIDs within low..high. */
static enum err collect_told(const struct seqmap *told, uint32_t low, uint32_t high, struct collector *c) {
    uint32_t first, last, at = low;
    while (at != 0 && at <= high && c->next == 0 && seqmap_next_range(told, at, &first, &last) && first <= high) {
        TRY(collect(c, first, MIN(last, high)));
        at = last == UINT32_MAX ? 0 : last + 1;
    }
    return ERR_OK;
}

enum err imap_uids(struct imap_session *s, const struct imap_set *set, bool is_uid, uint32_t from, uint32_t max,
                   uint32_t max_ranges, struct uid_range **ranges, uint32_t *n, uint32_t *messages, uint32_t *next) {
    struct seqmap *told = &s->sel.told;
    struct collector c = {.arena = s->work, .max = max, .max_ranges = max_ranges};
    for (size_t i = 0; i < set->n && c.next == 0; i++) {
        uint32_t low = set->list[i].first, high = set->list[i].last;
        if (!is_uid) {
            low = seqmap_uid(told, low);
            high = seqmap_uid(told, high);
        }
        if (low == 0)
            low = 1;
        if (high < from || high == 0)
            continue;
        TRY(collect_told(told, MAX(low, from), high, &c));
    }
    *ranges = c.list;
    *n = c.n;
    *messages = c.messages;
    *next = c.next;
    return ERR_OK;
}

void imap_put_ranges(struct buf *out, const struct uid_range *ranges, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            buf_put_byte(out, ',');
        buf_put_u64(out, ranges[i].first);
        if (ranges[i].last != ranges[i].first) {
            buf_put_byte(out, ':');
            buf_put_u64(out, ranges[i].last);
        }
    }
}
