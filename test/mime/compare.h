/* Readers of one message that are compared: ours, and GMime where it is installed. Each describes its reading as JSON. */
#ifndef TEST_MIME_COMPARE_H
#define TEST_MIME_COMPARE_H

#include "message/words.h"

#include <jansson.h>

/*
 * An object: "tree" (a part: "type"; of a multipart "parts", of a message "message", else "size" and "crc" of the decoded
 * body and, of text, "text_crc" of it as UTF-8; "name" of a file), "subject", "date" (seconds), "from", "to", "cc" (pairs of
 * name and address). With `full`, bodies stand there too, in base64. Ours also says where "header" and "body" of a part are
 * (offset and size), for the rules that explain differences.
 */
json_t *read_ours(struct view bytes, const struct charset_table *table, bool full);
json_t *read_gmime(struct view bytes, bool full);
void read_gmime_prepare(void);

/* "size" and "crc" of a decoded body, or of text "text_crc"; with `full` also "body" or "text" in base64. */
void compare_put_body(json_t *part, struct view body, bool is_text, bool full);
/* Whatever the octets are, a JSON string. */
json_t *compare_text(struct view text);

#endif
