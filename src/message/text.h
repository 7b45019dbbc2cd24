/*
 * Readable text of messages: for people, for the search index, for previews.
 * HTML is rendered as text (html.h), format=flowed is unwrapped (flowed.h).
 * Everything is UTF-8, bounded by the buf's limit, and never fails on input;
 * errors of the message's source become the buf's. All may suspend where the source does.
 */
#ifndef MESSAGE_TEXT_H
#define MESSAGE_TEXT_H

#include "message/decode.h"
#include "message/html.h"

/* Octets of one part's body that are looked at for the index; the rest of a longer text is not found. */
#define TEXT_INDEX_SOURCE_MAX (1024 * 1024)
/* Octets of all text for the index of one message. */
#define TEXT_INDEX_MAX (4 * 1024 * 1024)
/* Octets of one part's body that are read for people; "[...]" stands for the rest. */
#define TEXT_READ_SOURCE_MAX (4 * 1024 * 1024)

/* What a person reads: the text parts of the body in order, one form of each multipart/alternative (plain before HTML, unless
 * the plain one is empty), then a line for each attachment with its name, type and size, and embedded messages with a short
 * header. Lines end with LF; control characters are left out. */
void message_text_put(struct buf *out, const struct charset_table *table, const struct message *message);
/* What the index holds of bodies: every text part (of an alternative all forms), names of attachments, subjects and
 * addresses of embedded messages; white space runs are one space, parts are separated by a line feed. */
void message_index_text_put(struct buf *out, const struct charset_table *table, const struct message *message);

/* The characters of a text part as sent: from at most `max` octets of its body, decoded by its encoding and charset. HTML
 * that comes without a charset parameter may name its own (<meta charset>). *is_cut: there was more. */
void message_part_put_characters(struct buf *out, const struct charset_table *table, const struct message *message,
                                 const struct mime_part *part, size_t max, bool *is_cut);
/* The same, then rendered: HTML as text for that purpose, format=flowed unwrapped (RFC 3676). Line ends are LF for these two,
 * else as they were sent. */
void message_part_put_text(struct buf *out, const struct charset_table *table, const struct message *message,
                           const struct mime_part *part, size_t max, enum html_purpose purpose, bool *is_cut);

#endif
