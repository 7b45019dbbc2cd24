/*
 * The preview of a message (RFC8970-3.3): the beginning of its readable text,
 * plain, on one line.
 */
#ifndef MESSAGE_PREVIEW_H
#define MESSAGE_PREVIEW_H

#include "message/decode.h"

/* RFC8970-3.3: 256 characters the most; 200 are enough. */
#define PREVIEW_CHARACTERS 200
/* Octets of the part's body that are looked at: HTML may begin with that much of styles. */
#define PREVIEW_SOURCE_MAX (64 * 1024)

/*
 * At most PREVIEW_CHARACTERS characters of UTF-8: of the first text part that is no attachment, the plain one of a
 * multipart/alternative before the HTML one. Left out, unless there is nothing else: quoted lines and the line that
 * introduces them, signatures, the message that is answered, rules. White space runs and controls become one space,
 * invisible characters that pad nothing. The line that HTML hides for previews counts. Empty when there is no text.
 */
void message_preview_put(struct buf *out, const struct charset_table *table, const struct message *message);

#endif
