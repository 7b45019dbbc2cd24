/*
 * The messages of a mailbox as one session knows them: UIDs in order, so that
 * the n-th is sequence number n (RFC3501-2.3.1.2). Runs of UIDs without gaps are
 * one range, so a million messages with few gaps are a few ranges.
 *
 * Also used for plain sets of UIDs (recent ones, removed ones not yet told).
 */
#ifndef IMAP_SEQMAP_H
#define IMAP_SEQMAP_H

#include "base/vec.h"

/* A mailbox with every second UID missing and 8 million messages. */
#define SEQMAP_RANGES_MAX ((size_t)4 * 1024 * 1024)

struct seqmap_range {
    uint32_t first, last; /* UIDs, inclusive */
    uint32_t before;      /* messages in earlier ranges; true for ranges below seqmap.valid */
};
struct seqmap {
    struct vec ranges;
    size_t valid;   /* ranges whose `before` is true */
    uint32_t count; /* messages */
};

void seqmap_init(struct seqmap *map);
void seqmap_fini(struct seqmap *map);
void seqmap_clear(struct seqmap *map);
static inline uint32_t seqmap_count(const struct seqmap *map) {
    return map->count;
}
/* The highest UID, 0 when empty. */
uint32_t seqmap_last(const struct seqmap *map);
/* Adds UIDs first..last; those already there stay once. ERR_NO_MEMORY, ERR_LIMIT; ERR_SYNTAX when first is 0 or above last. */
enum err seqmap_add(struct seqmap *map, uint32_t first, uint32_t last) MUST_CHECK;
/* Removes UIDs first..last where they are. ERR_NO_MEMORY, ERR_LIMIT (a split). */
enum err seqmap_remove(struct seqmap *map, uint32_t first, uint32_t last) MUST_CHECK;
/* Removes all UIDs of `other`, in one pass however many there are. The map is as it was after an error. */
enum err seqmap_subtract(struct seqmap *map, const struct seqmap *other) MUST_CHECK;
/* The sequence number of a UID, 0 when it is not there. */
uint32_t seqmap_seq(struct seqmap *map, uint32_t uid);
/* The UID of a sequence number, 0 when there is none. */
uint32_t seqmap_uid(struct seqmap *map, uint32_t seq);
bool seqmap_has(const struct seqmap *map, uint32_t uid);
/* The first range with UIDs >= uid, cut to begin at or after it; false when there is none. */
bool seqmap_next_range(const struct seqmap *map, uint32_t uid, uint32_t *first, uint32_t *last);
/* The last range with UIDs <= uid, cut to end there; false when there is none. */
bool seqmap_prev_range(const struct seqmap *map, uint32_t uid, uint32_t *first, uint32_t *last);
/* How many UIDs are in both. */
uint32_t seqmap_common(const struct seqmap *a, const struct seqmap *b);

#endif
