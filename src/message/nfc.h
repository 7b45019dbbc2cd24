/*
 * Unicode text for the wire: Normalization Form C, and what RFC 5198 (Net-Unicode)
 * asks of text that is generated. Text that comes from somebody else is shown
 * as it is (normalised only where a protocol says so): signatures and bytes to
 * be kept never come through here.
 */
#ifndef MESSAGE_NFC_H
#define MESSAGE_NFC_H

#include "base/buf.h"

/* UTF-8 as NFC (RFC8621-4.1.2.2); octets that are no UTF-8 become U+FFFD. Errors are out's. */
void nfc_put(struct buf *out, struct view text);
/*
 * RFC5198-2: text in the form that is sent: NFC, lines ended by CRLF alone, no control characters but HTAB, LF and CR
 * (NUL, ESC, DEL, C1 and the rest are left out), no byte order mark in front, no lone CR.
 */
void net_unicode_put(struct buf *out, struct view text);
/* Would net_unicode_put() leave it as it is? (The line end of the last line is no matter.) */
bool net_unicode_is(struct view text);

#endif
