/*
 * Substring search in messages as IMAP SEARCH wants it (RFC3501-6.4.4): case
 * does not matter; encoded words, transfer encodings and charsets are decoded
 * first, and HTML is searched as the text that it shows.
 *
 * Text is compared as i;unicode-casemap does (RFC 5051), and a little wider: what has the same
 * title form, fully decomposed (NFKD), is the same, and so is what full case folding makes
 * equal. A letter is found under its accents, because decomposed text begins with
 * it. A key is folded once, by search_fold(), and used for many messages.
 */
#ifndef MESSAGE_SEARCH_H
#define MESSAGE_SEARCH_H

#include "message/decode.h"

/* Appends UTF-8 text in folded form; invalid octets become U+FFFD. */
void search_fold(struct buf *out, struct view text);
/* Is the folded key a substring of this UTF-8 text? An empty key is in every text. */
bool search_text(struct view text, struct view key);
/* RFC3501-6.4.4 HEADER: some field of that name contains the key; an empty key asks only whether there is one. An empty
 * name means any field, its name included (for TEXT). */
/* work: scratch space; its limit is how much of one field is searched. */
bool search_header(const struct charset_table *table, struct view header, struct view name, struct view key,
                   struct buf *work);
/*
 * RFC3501-6.4.4 BODY: text parts, in windows and whole whatever their length (of HTML TEXT_READ_SOURCE_MAX octets), and the headers of embedded messages and of
 * parts. When the message's source fails, work has its error.
 */
bool search_body(const struct charset_table *table, const struct message *message, struct view key, struct buf *work);

#endif
