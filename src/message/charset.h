/*
 * Charsets as UTF-8. A label from a message is looked up in an allow-list (the
 * names of IANA, of the WHATWG Encoding Standard, and those seen in mail) and
 * never reaches iconv_open.
 *
 * Many are converted by iconv, whose tables are loaded by dlopen: therefore
 * charset_prepare() opens every allowed one before a role confines itself, into
 * a struct that the caller owns and keeps. UTF-8, US-ASCII, ISO-8859-1,
 * windows-1252 and UTF-7 need no table: every function takes NULL for it and then
 * knows only these. A table is used by one thread at a time.
 *
 * Labels lie. What is believed instead, decided at the first octet that is not
 * plain ASCII, from CHARSET_GUESS_MAX octets:
 *  - a byte order mark wins over every label; that of UTF-8 stays, as U+FEFF, that of UTF-16 is no text.
 *  - without a label, with an unknown one, with us-ascii, iso-8859-1 or windows-1252:
 *    UTF-8 when it is valid UTF-8; without a (known) label also when nearly all is.
 *    Else windows-1252, which contains the others (octets that it lacks are U+FFFD).
 *  - utf-8: windows-1252 when more octets are invalid than there are valid characters.
 *  - Shift_JIS, EUC, GB, Big5: UTF-8 when it is valid UTF-8 and part of it is nothing in the charset of the label.
 *  - all of these: ISO-2022 when it begins with one of its escape sequences.
 *  - every other label is believed.
 *
 * Decoding never fails on input: invalid octets become U+FFFD. Bufs carry the
 * only errors (limit, memory).
 */
#ifndef MESSAGE_CHARSET_H
#define MESSAGE_CHARSET_H

#include "base/buf.h"

#define CHARSET_SLOTS 64             /* at least the number of charsets in charset_labels.h, checked there */
#define CHARSET_GUESS_MAX 16384      /* octets from the first that is not ASCII that a guess looks at */
#define CHARSET_HELD_MAX (64 * 1024) /* octets held back until a place comes where text can be cut */

struct charset_table {
    void *slots[CHARSET_SLOTS]; /* iconv_t, or NULL where libc lacks the charset */
    size_t open;
};

/* Opens all allowed charsets. Charsets that libc lacks are left closed; ERR_NOT_FOUND when none could be opened. */
enum err charset_prepare(struct charset_table *table) MUST_CHECK;
void charset_fini(struct charset_table *table);
/* True when text with this label can be decoded. */
bool charset_is_known(const struct charset_table *table, struct view label);
/* Appends text as UTF-8; an empty label is none. */
void charset_put_utf8(const struct charset_table *table, struct view label, struct view text, struct buf *out);

/*
 * The same for text that comes in pieces, cut anywhere, with the same result. No state is left in the table between calls, so
 * that several texts can be under way.
 */
struct charset_stream {
    const struct charset_table *table;
    struct buf held; /* octets that wait for more */
    uint8_t id, hint, phase;
    /* ISO 2022 and the like: the sets in use; UTF-7: bits that are no character yet */
    uint8_t g0, g1, g2;
    bool is_shifted;
    uint8_t bit_count;
    uint16_t high; /* the first half of a pair */
    uint32_t bits;
};
void charset_stream_init(struct charset_stream *stream, const struct charset_table *table, struct view label);
void charset_stream_put(struct charset_stream *stream, struct view text, struct buf *out);
/* What is held back, and frees it. */
void charset_stream_end(struct charset_stream *stream, struct buf *out);

#endif
