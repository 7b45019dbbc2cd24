/*
 * Which parts are the body to show and which are attachments (RFC8621-4.1.4:
 * textBody, htmlBody, attachments), and what an attachment is called.
 */
#ifndef MESSAGE_BODIES_H
#define MESSAGE_BODIES_H

#include "message/decode.h"

/* Octets of an attachment's decoded name; what is longer is cut at a character, its extension kept. */
#define ATTACHMENT_NAME_MAX 1024

struct message_parts {
    const struct mime_part **list;
    size_t count;
};

struct message_bodies {
    struct message_parts text, html, attachments; /* in the arena */
    bool has_attachment;                          /* RFC8621-4.1.4: one that is not shown inline */
};

/* ERR_LIMIT when the arena is full. */
enum err message_bodies_find(struct arena *arena, const struct message *message, struct message_bodies *out) MUST_CHECK;
/* The file name of a part as UTF-8: Content-Disposition's filename, else Content-Type's name (RFC2183-2.3, RFC 2231 and
 * RFC 2047 decoded). Empty when there is none. Kept as sent otherwise: a "../" in it is the caller's business. */
void mime_part_put_name(struct buf *out, const struct charset_table *table, const struct mime_part *part);
/* Octets of the body when decoded, without decoding it into memory. */
enum err mime_part_decoded_size(const struct message *message, const struct mime_part *part, uint64_t *out) MUST_CHECK;

#endif
