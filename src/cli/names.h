/* Names as people type them, into the form the directory keeps: lower case, domains as A-labels (RFC 5890). */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include "base/arena.h"
#include "base/buf.h"

/* "Bücher.example" -> "xn--bcher-kva.example". ERR_SYNTAX with a sentence in why. */
enum err names_domain(struct view text, struct arena *arena, struct view *out, struct buf *why) MUST_CHECK;
/* RFC5321-4.1.2 Mailbox with a Dot-string (RFC6531-3.3: or UTF-8) before the '@'. */
enum err names_address(struct view text, struct arena *arena, struct view *out, struct buf *why) MUST_CHECK;

#endif
