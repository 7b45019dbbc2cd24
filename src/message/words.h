/*
 * Text of headers as UTF-8: encoded words (RFC 2047), parameter encodings
 * (RFC 2231), and charsets.
 *
 * Charsets are converted by iconv, whose tables are loaded by dlopen: therefore
 * charset_prepare() opens every allowed one before a role confines itself, into
 * a struct that the caller owns and keeps. A label from a message is looked up
 * in an allow-list and never reaches iconv_open. UTF-8, US-ASCII, ISO-8859-1
 * and windows-1252 need no table: every function takes NULL for it and then
 * knows only these. A table is used by one thread at a time.
 *
 * Decoding never fails on input: invalid octets become U+FFFD. Bufs carry the
 * only errors (limit, memory).
 */
#ifndef MESSAGE_WORDS_H
#define MESSAGE_WORDS_H

#include "message/params.h"

#include "base/buf.h"

#define CHARSET_SLOTS 64 /* at least the number of charsets in words.c, checked there */

struct charset_table {
    void *slots[CHARSET_SLOTS]; /* iconv_t, or NULL where libc lacks the charset */
    size_t open;
};

/* Opens all allowed charsets. Charsets that libc lacks are left closed; ERR_NOT_FOUND when none could be opened. */
enum err charset_prepare(struct charset_table *table) MUST_CHECK;
void charset_fini(struct charset_table *table);
/* True when text with this label can be decoded. */
bool charset_is_known(const struct charset_table *table, struct view label);
/* Appends text as UTF-8. An unknown or empty label is guessed: UTF-8 when it is valid, else windows-1252. */
void charset_put_utf8(const struct charset_table *table, struct view label, struct view text, struct buf *out);

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
