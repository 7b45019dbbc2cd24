/*
 * format=flowed (RFC 3676): text whose lines may be joined, read and written.
 *
 * Quote marks are a run of ">" in front of a line, with one space behind it, in the text as on the wire. What
 * flowed_put() writes reads back equal, but that lines lose their trailing spaces (a signature's "-- " keeps its own),
 * that one space stands behind quote marks, and that every line ends with LF.
 */
#ifndef MESSAGE_FLOWED_H
#define MESSAGE_FLOWED_H

#include "base/buf.h"

#define FLOWED_WIDTH 72 /* RFC3676-4.2: SHOULD be 78 or less; quoting adds to it */

/* RFC3676-4: lines joined, stuffing removed; quoted paragraphs keep ">" marks in front of their first line. Lines end with LF. */
void flowed_put_text(struct buf *out, struct view text, bool del_sp);
/* RFC3676-4.2: long paragraphs broken at spaces, lines stuffed. UTF-8 in, CRLF out; every line end (CRLF, LF, CR) of the text
 * ends a paragraph. A word that is longer than a line is not broken. */
void flowed_put(struct buf *out, struct view text);

#endif
