/* format=flowed (RFC 3676): text whose lines may be joined, read and written. */
#ifndef MESSAGE_FLOWED_H
#define MESSAGE_FLOWED_H

#include "base/buf.h"

#define FLOWED_WIDTH 72 /* RFC3676-4.2: SHOULD be 78 or less; quoting adds to it */

/* RFC3676-4: lines joined, stuffing removed; quoted paragraphs keep ">" marks in front of their first line. */
void flowed_put_text(struct buf *out, struct view text, bool del_sp);
/* RFC3676-4.2: long paragraphs broken at spaces, lines stuffed. UTF-8 in, CRLF out. */
void flowed_put(struct buf *out, struct view text);

#endif
