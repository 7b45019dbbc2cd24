/* What is known of a message, as JSON: structure, decoded headers, derived values. */
#ifndef CLI_SHOW_MESSAGE_H
#define CLI_SHOW_MESSAGE_H

#include "message/decode.h"

#include <jansson.h>

/*
 * A new object, its keys always in the same order, or NULL without memory:
 *   size, parts, degraded, has_nul  of the message
 *   derived    what a delivery keeps: date, subjects, ids, preview, attachments, ENVELOPE and BODYSTRUCTURE as IMAP sends them
 *   structure  the root part; a multipart has "parts", a message/rfc822 part "message"
 * Octets that are no UTF-8 are U+FFFD.
 */
json_t *show_message(const struct message *message, const struct charset_table *table);

#endif
