/*
 * Parameters of MIME fields (RFC2045-5.1, RFC2183-2): name=value lists, with
 * quoted strings, comments, and the mistakes of real mail: missing or doubled
 * semicolons, unquoted tspecials, a missing closing quote, spaces around "=".
 *
 * Values come unquoted and unfolded but otherwise as sent: RFC 2231 and RFC 2047
 * encodings are left for words.h. Views point into the field's value or the arena.
 */
#ifndef MESSAGE_PARAMS_H
#define MESSAGE_PARAMS_H

#include "base/arena.h"

/* Parameters of one field that are looked at; more are ignored. Real mail has a handful; RFC 2231 continuations of a
 * very long file name about twenty. */
#define MIME_PARAMS_MAX 100

struct mime_param {
    struct view name; /* as written, never empty; compare without case */
    struct view value;
};

struct mime_params {
    struct mime_param *list;
    size_t count;
};

/* Never fails: what cannot be read, or does not fit into the arena, is left out. A repeated name keeps its first value. */
void mime_params_parse(struct arena *arena, struct view text, struct mime_params *out);
/* The value of the parameter of exactly that name (no RFC 2231 suffix), or a view with p == NULL. */
struct view mime_params_get(const struct mime_params *params, struct view name);

/*
 * A Content-Type value (RFC2045-5.1). False when it names no type/subtype (then RFC2045-5.2 says to take text/plain);
 * *type and *subtype are set only when true, the parameters always (NULL: they are not wanted).
 */
bool mime_content_type_parse(struct arena *arena, struct view value, struct view *type, struct view *subtype,
                             struct mime_params *params);
/* The first token of a structured value (Content-Disposition, Content-Transfer-Encoding) without comments, and where the
 * rest begins. May be empty. */
struct view mime_first_token(struct view value, struct view *rest);
/* Skips white space, line ends and comments (RFC5322-3.2.2) from octet `at`; an unclosed comment reaches to the end. */
size_t mime_skip_cfws(struct view value, size_t at);

#endif
