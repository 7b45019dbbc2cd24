/*
 * Readable text of messages: for people, for the search index, for previews.
 * HTML is rendered as text (html.h), format=flowed is unwrapped (flowed.h).
 * Everything is UTF-8, bounded by the buf's limit, and never fails on input.
 */
#ifndef MESSAGE_TEXT_H
#define MESSAGE_TEXT_H

#include "message/decode.h"

/* Octets of one part's body that are looked at for the index; the rest of a longer text is not found. */
#define TEXT_INDEX_SOURCE_MAX (1024 * 1024)
/* Octets of all text for the index of one message. */
#define TEXT_INDEX_MAX (4 * 1024 * 1024)

/* What a person reads: the text parts of the body in order, one form of each multipart/alternative (plain before HTML),
 * embedded messages with a short header, a line for each attachment with its name, type and size. Lines end with LF. */
void message_text_put(struct buf *out, const struct charset_table *table, const struct message *message);
/* What the index holds of bodies: every text part (of an alternative all forms), names of attachments, subjects and
 * addresses of embedded messages; white space runs are one space, parts are separated by a line feed. */
void message_index_text_put(struct buf *out, const struct charset_table *table, const struct message *message);

#endif
