/* Mailbox names on the wire: modified UTF-7 (RFC3501-5.1.3), and UTF-8 inside. */
#ifndef IMAP_UTF7_H
#define IMAP_UTF7_H

#include "base/buf.h"

/* Decodes strictly: printable US-ASCII as itself, base64 only where it is needed and canonical, surrogates in pairs.
 * ERR_SYNTAX else; or the error of out. */
enum err utf7_decode(struct view name, struct buf *out) MUST_CHECK;
/* Appends a UTF-8 name in modified UTF-7. ERR_SYNTAX when it is not UTF-8. */
enum err utf7_encode(struct view name, struct buf *out) MUST_CHECK;

#endif
