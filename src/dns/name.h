/*
 * Domain names: text in A-label form and wire form (RFC 1035). Text has no final
 * dot (the root alone is "."), and is lower-case: names have no case
 * (RFC4343-3), so one spelling makes them comparable.
 *
 * Labels are what host names and our underscored names need: printable ASCII
 * without dot, quote and backslash. A space is there because SPF can ask for one
 * (RFC7208-7.1: "%_"); names that records lead to have none (dns/rdata.h). Other
 * octets are legal in DNS, and nothing that mail uses has them: they are
 * ERR_SYNTAX here, never escaped.
 */
#ifndef DNS_NAME_H
#define DNS_NAME_H

#include "base/buf.h"
#include "base/reader.h"

#define DNS_LABEL_MAX 63      /* RFC1035-2.3.4 */
#define DNS_NAME_WIRE_MAX 255 /* RFC1035-2.3.4, with the length octets and the root's */
#define DNS_NAME_TEXT_MAX 253 /* of the wire form's 255, two have no text */

/* A final dot is fine; the empty text is not a name. Appends to out. ERR_SYNTAX, ERR_LIMIT (a label or the name is too long). */
enum err dns_name_to_wire(struct view text, struct buf *out) MUST_CHECK;
/* Reads an uncompressed name and appends its text. Errors stick in r too. */
enum err dns_name_read(struct reader *r, struct buf *out) MUST_CHECK;
/* Reads a name of a message, RFC1035-4.1.4: r->in must be the whole message. The text is appended to out. */
enum err dns_name_read_compressed(struct reader *r, struct buf *out) MUST_CHECK;
/* Reads over a name of a message without looking at what it points to. */
enum err dns_name_skip(struct reader *r) MUST_CHECK;

#endif
