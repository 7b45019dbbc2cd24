/*
 * The one place that lays out header fields: folding at 78 columns
 * (RFC5322-2.1.1), encoded words (RFC 2047), quoted strings and phrases
 * (RFC5322-3.2), parameters (RFC 2045, RFC 2231).
 *
 * A field is put word by word; a word that would lead over the line goes to the
 * next one together with the spaces before it, so that unfolding gives back
 * what was put. A line is longer than 78 only where one word is, and never
 * longer than 998.
 *
 * Text is UTF-8; octets that are not become U+FFFD, control characters spaces:
 * no value can make a field of its own. With is_utf8 (RFC6532-3.2) text is
 * written raw; encoded words and RFC 2231 forms are then used only for what
 * would not read back.
 */
#ifndef MESSAGE_FOLD_H
#define MESSAGE_FOLD_H

#include "base/buf.h"

#define FOLD_LINE_LENGTH 78 /* RFC5322-2.1.1: lines SHOULD have at most 78 characters */
#define FOLD_LINE_MAX 998   /* RFC5322-2.1.1: and MUST have at most 998 */
/* A name that fits with its colon on a line; the longest registered one has about 40. */
#define FOLD_NAME_MAX 76
/* The longest word put as it is; longer ones need an encoding or are cut, where that is allowed. */
#define FOLD_WORD_MAX 900
#define FOLD_BYTE_ORDER_MARK VIEW("\xef\xbb\xbf")
/* RFC2231-3: octets of a parameter's name, and of a value: its pieces stay below MIME_PARAMS_MAX. File systems allow 255
 * characters, which are at most 765 octets. */
#define FOLD_PARAM_NAME_MAX 30
#define FOLD_PARAM_VALUE_MAX 1000

struct fold {
    struct buf *out;
    size_t column;  /* octets on this line */
    size_t reserve; /* octets that will follow the next word directly */
    bool is_utf8;
};

/* RFC5322-2.2: printable ASCII without colon, at most FOLD_NAME_MAX octets. */
bool fold_is_name(struct view name);
/* RFC5322-3.2.3; 8-bit octets count as text (RFC6532-3.2). */
bool fold_is_dot_atom(struct view v);
/* RFC2045-5.1 */
bool fold_is_token(struct view v);

void fold_begin(struct fold *f, struct buf *out, struct view name, bool is_utf8);
/* One word of at most FOLD_LINE_MAX - spaces octets that is not cut. */
void fold_word(struct fold *f, size_t spaces, struct view word);
/* Unstructured text (RFC5322-2.2.1). */
void fold_text(struct fold *f, struct view text);
/* A phrase (RFC5322-3.2.5) and what follows it directly, such as the ":" of a group. */
void fold_phrase(struct fold *f, struct view phrase, struct view tail);
/* What is structured already, folded at its spaces; a word over FOLD_WORD_MAX is cut. */
void fold_structured(struct fold *f, struct view value);
/* local@domain within `before` and `after`, the local part quoted where it must be. */
void fold_address(struct fold *f, struct view before, struct view local, struct view domain, struct view after);
/* name=value; the caller puts the ";" before it with fold_semicolon(). Name: a token, value: at most
 * FOLD_PARAM_VALUE_MAX octets. */
void fold_param(struct fold *f, struct view name, struct view value);
void fold_semicolon(struct fold *f);
void fold_end(struct fold *f);

/* v as valid UTF-8 without control characters. */
void fold_put_clean(struct buf *out, struct view v);

#endif
