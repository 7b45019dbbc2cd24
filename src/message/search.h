/*
 * Substring search in messages as IMAP SEARCH wants it (RFC3501-6.4.4): case
 * does not matter, encoded words, transfer encodings and charsets are decoded
 * first.
 *
 * Case is folded for ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic
 * letters. A key is folded once, by search_fold(), and used for many messages.
 */
#ifndef MESSAGE_SEARCH_H
#define MESSAGE_SEARCH_H

#include "message/decode.h"

/* Appends UTF-8 text in folded form; invalid octets become U+FFFD. */
void search_fold(struct buf *out, struct view text);
/* Is the folded key a substring of this UTF-8 text? An empty key is in every text. work: scratch space; its
 * limit is how much of one part's text is searched. */
bool search_text(struct view text, struct view key, struct buf *work);
/* RFC3501-6.4.4 HEADER: some field of that name contains the key; an empty key asks only whether there is one. An empty
 * name means any field, its name included (for TEXT). */
bool search_header(const struct charset_table *table, struct view header, struct view name, struct view key,
                   struct buf *work);
/*
 * RFC3501-6.4.4 BODY: text parts, in windows and whole whatever their length, and the headers of embedded messages and of
 * parts. When the message's source fails, work has its error.
 */
bool search_body(const struct charset_table *table, const struct message *message, struct view key, struct buf *work);

#endif
