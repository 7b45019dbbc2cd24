/* What the rooms of aggregate reports share inside dmarc/. */
#ifndef DMARC_AGGREGATE_INTERNAL_H
#define DMARC_AGGREGATE_INTERNAL_H

#include "dmarc/aggregate.h"

enum aggregate_kind {
    AGGREGATE_KIND_ALIGNMENT,
    AGGREGATE_KIND_POLICY,
    AGGREGATE_KIND_DISCOVERY,
    AGGREGATE_KIND_ANSWER,
    AGGREGATE_KIND_DISPOSITION,
    AGGREGATE_KIND_ALIGNED,
    AGGREGATE_KIND_OVERRIDE,
    AGGREGATE_KIND_SCOPE,
    AGGREGATE_KIND_RESULT
};

/* The value that a word stands for, without regard to case and white space around it; 0: none. */
int aggregate_word(enum aggregate_kind kind, struct view text);

/* One "record" element. The count is written unless `count` is 0: without it, rows that are equal in all else are written equal.
 * ERR_SYNTAX: a row that the format has no room for. */
enum err aggregate_put_record(struct buf *buf, const struct aggregate_row *row, uint64_t count) MUST_CHECK;

#endif
