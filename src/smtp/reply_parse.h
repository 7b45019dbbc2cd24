/*
 * Replies of an SMTP server as a client reads them (RFC5321-4.2), with enhanced
 * status codes (RFC2034-4). Pure, bounded, fed with any split of the octets.
 */
#ifndef SMTP_REPLY_PARSE_H
#define SMTP_REPLY_PARSE_H

#include "base/buf.h"

#define SMTP_REPLY_LINE_OCTETS_MAX 1000 /* RFC5321-4.5.3.1.5 says 512; some servers forget */
#define SMTP_REPLY_LINES_MAX 100        /* no server says more; EHLO of the largest has about 30 */
#define SMTP_STATUS_MAX 9               /* "5.123.123" */

struct reply_parser {
    struct buf line; /* the line that is not over yet */
    struct buf text; /* the lines' texts, joined by LF; octets that are not printable ASCII became '?' */
    size_t lines;
    uint16_t code;
    uint8_t status[SMTP_STATUS_MAX];
    size_t status_n;
};

void reply_parser_init(struct reply_parser *parser);
void reply_parser_fini(struct reply_parser *parser);
/* Takes octets from the front of in: *used of them, set always. ERR_OK: a reply is complete (read it, then clear); ERR_AGAIN: it
 * needs more; ERR_SYNTAX; ERR_LIMIT: too long; ERR_NO_MEMORY. */
enum err reply_parser_feed(struct reply_parser *parser, struct view in, size_t *used) MUST_CHECK;
/* Ready for the next reply. */
void reply_parser_clear(struct reply_parser *parser);
/* Of a complete reply, until clear. status is empty when there was none that fits the code. */
struct view reply_parser_status(const struct reply_parser *parser);
struct view reply_parser_text(const struct reply_parser *parser);

#endif
