/*
 * Text of headers as UTF-8: encoded words (RFC 2047) and parameter encodings
 * (RFC 2231). Charsets are looked up in a table (charset.h) that may be NULL.
 * Decoding never fails on input; bufs carry the only errors (limit, memory).
 */
#ifndef MESSAGE_WORDS_H
#define MESSAGE_WORDS_H

#include "message/charset.h"
#include "message/params.h"

/*
 * RFC2047-6: an unstructured value or phrase, unfolded, with encoded words decoded; white space between adjacent encoded
 * words is dropped, and words of one charset are joined before conversion (a character may be split over two of them).
 * Encoded words are also found inside quoted text and without white space around them. Raw 8-bit text is guessed.
 */
void words_decode(const struct charset_table *table, struct view value, struct buf *out);
/* True when the value holds nothing that words_decode() would change but folding. */
bool words_is_plain(struct view value);

/*
 * RFC2231-3 and 4: the parameter `name` put together from its continuations, percent-decoded and converted; encoded words
 * in a plain value are decoded too, as mailers expect. ERR_NOT_FOUND when there is no such parameter.
 */
enum err words_param(const struct charset_table *table, const struct mime_params *params, struct view name,
                     struct buf *out) MUST_CHECK;

#endif
