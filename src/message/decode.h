/*
 * Transfer encodings (RFC2045-6) decoded as tolerantly as real mail needs, and
 * the text of parts as UTF-8. Nothing fails on input; bufs carry limits.
 */
#ifndef MESSAGE_DECODE_H
#define MESSAGE_DECODE_H

#include "message/parse.h"
#include "message/words.h"

/* RFC2045-6.8: octets outside the alphabet are skipped, missing padding is no matter; data after padding goes on (parts
 * glued together by careless programs). */
void decode_put_base64(struct buf *out, struct view text);
/* RFC2045-6.7: what is no encoding stays as it is; trailing white space of a line is dropped. */
void decode_put_quoted_printable(struct buf *out, struct view text);
/* A part's body by its encoding; an unknown one as it is. */
void decode_put_body(struct buf *out, const struct message *message, const struct mime_part *part);
/* A text part as UTF-8, by encoding and charset. */
void decode_put_text(struct buf *out, const struct charset_table *table, const struct message *message,
                     const struct mime_part *part);
/* The same for some octets of the part's body, such as its beginning. */
void decode_put_text_of(struct buf *out, const struct charset_table *table, const struct mime_part *part,
                        struct view body);

#endif
