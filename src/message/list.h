/*
 * Fields of mailing lists: List-Id (RFC 2919), List-Unsubscribe and the other
 * commands (RFC 2369), unsubscribing with one click (RFC 8058), and the mailto
 * URLs that they hold (RFC 6068).
 *
 * Reading never fails: what cannot be read is absent. Views that come out live
 * in the arena or point into the value.
 */
#ifndef MESSAGE_LIST_H
#define MESSAGE_LIST_H

#include "message/forms.h"

/* RFC2919-3: a list identifier is at most 255 octets long. */
#define LIST_ID_MAX 255

struct list_id {
    struct view description; /* UTF-8, decoded; p == NULL: none */
    struct view id;          /* without angle brackets, as written; compare without case (RFC2919-6) */
};
/* RFC2919-3. False: no identifier. One that lacks its angle brackets is taken when it is a domain name alone. */
bool list_id_parse(struct arena *arena, const struct charset_table *table, struct view value, struct list_id *out);

struct list_unsubscribe {
    struct form_strings urls; /* in the order of preference */
    struct view https;        /* the first https URL; p == NULL: none */
    struct view mailto;       /* the first mailto URL */
    /* RFC8058-3.1: https may be fetched with POST and the body LIST_ONE_CLICK without asking again, but only when
     * a valid DKIM signature covers both fields: list_one_click_is_signed(). */
    bool one_click;
};
#define LIST_ONE_CLICK VIEW("List-Unsubscribe=One-Click")
void list_unsubscribe_read(struct arena *arena, struct view header, struct list_unsubscribe *out);
/* RFC8058-4: names is the "h=" value of a valid signature. */
bool list_one_click_is_signed(struct view names);

/* RFC2369-3.4: "NO": posting is not allowed. */
bool list_post_is_closed(struct view value);

struct mailto {
    struct view to;                                  /* addresses separated by ",", as in a To field; may be empty */
    struct view cc, bcc, subject, body, in_reply_to; /* p == NULL: not there */
};
/* RFC6068-2, percent-decoded, UTF-8. Fields that are not named here are ignored, as RFC6068-4 advises. Control characters
 * become spaces, in body all but CR, LF and HTAB. False: no mailto URL, or the arena is full. */
bool list_mailto_parse(struct arena *arena, struct view url, struct mailto *out);

#endif
