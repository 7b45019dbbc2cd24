/*
 * The text of a message on its way out (RFC5321-4.5.2): a dot more in front of
 * lines that start with one, and proof that it has no bare CR, bare LF or NUL
 * (RFC5321-2.3.8), since such octets let one message pass for two. Pure; fed with
 * any split of the octets, it gives the same.
 */
#ifndef SMTP_DOT_STUFF_H
#define SMTP_DOT_STUFF_H

#include "base/buf.h"

struct dot_stuff {
    uint8_t state;
    bool has_eightbit;
    uint64_t size; /* octets of text so far, without added dots */
};

/* Zero-initialised is a good start as well. */
static inline struct dot_stuff dot_stuff_start(void) {
    return (struct dot_stuff){0};
}
/* Appends text to out; out may be NULL to check only. ERR_SYNTAX: a bare CR, bare LF or NUL; what was appended must not be sent. Else
 * the error of out. */
enum err dot_stuff_feed(struct dot_stuff *stuff, struct view in, struct buf *out) MUST_CHECK;
/* Appends the end: CRLF if the last line has none, and the dot. ERR_SYNTAX: the text ended in a bare CR. */
enum err dot_stuff_end(struct dot_stuff *stuff, struct buf *out) MUST_CHECK;

#endif
