/*
 * The text of a DATA command as it comes off the wire (RFC5321-4.5.2): finds its
 * end, takes the dots of transparency away, and notes what must not be in it.
 * Pure: fed with any split of the octets, it gives the same pieces' join.
 *
 * The end is CRLF "." CRLF (or "." CRLF as the very first line) and nothing else:
 * a dot beside a bare CR or a bare LF is text (RFC5321-4.1.1.4, RFC5321-2.3.8).
 */
#ifndef SMTP_DATA_SCAN_H
#define SMTP_DATA_SCAN_H

#include "base/view.h"

struct data_scan {
    uint8_t state;
    bool ended; /* the end was found */
    bool has_bare_cr, has_bare_lf, has_nul;
    bool has_eightbit; /* an octet above 127 */
    uint64_t line;     /* octets of the line so far, without CRLF */
    uint64_t line_max; /* the longest line */
};

/* Zero-initialised is a good start as well. */
static inline struct data_scan data_scan_start(void) {
    return (struct data_scan){0};
}
/*
 * Takes octets from the front of `in`: *used of them. *piece is text of the message (maybe empty): a part of `in`, or a constant.
 * Call it again with the rest until nothing is left or scan->ended; octets behind the end are not used.
 */
void data_scan_next(struct data_scan *scan, struct view in, size_t *used, struct view *piece);
/* Counted octets (RFC3030-2): every one is text, dots too. Only the flags and line lengths are learned; a CR at the very end is bare when
 * data_scan_end() says so. Not to be mixed with data_scan_next(). */
void data_scan_octets(struct data_scan *scan, struct view in);
void data_scan_end(struct data_scan *scan);

#endif
