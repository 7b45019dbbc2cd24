/*
 * Parsed forms of header fields (RFC8621-4.1.2), which JMAP, the junk filter and
 * the web mail see: Raw, Text, Addresses, GroupedAddresses, MessageIds, Date,
 * URLs. Reading never fails: what cannot be read is absent, as JMAP wants it.
 *
 * value is a field's value as header_next() gives it, folds included.
 */
#ifndef MESSAGE_FORMS_H
#define MESSAGE_FORMS_H

#include "message/address.h"
#include "message/date.h"
#include "message/words.h"

enum header_form {
    FORM_RAW,
    FORM_TEXT,
    FORM_ADDRESSES,
    FORM_GROUPED_ADDRESSES,
    FORM_MESSAGE_IDS,
    FORM_DATE,
    FORM_URLS,
};

struct form_address {
    struct view name;  /* UTF-8, decoded, trimmed; p == NULL: null */
    struct view email; /* addr-spec, quoted where it must be; empty when there was none */
};

struct form_group {
    struct view name; /* p == NULL: addresses that are in no group */
    struct form_address *list;
    size_t count;
};

struct form_groups {
    struct form_group *list;
    size_t count;
    bool truncated;
};

struct form_strings {
    struct view *list;
    size_t count;
    bool is_null; /* RFC8621-4.1.2.5 and 4.1.2.7: parsing failed */
};

/* RFC8621-4.1.2: may this field be asked for in that form? Fields that no RFC defines may be in any form. */
bool form_is_allowed(struct view name, enum header_form form);
/* RFC8621-4.1.2.1: octets that are no UTF-8 become U+FFFD, NUL is left out. */
void form_put_raw(struct buf *out, struct view value);
/* RFC8621-4.1.2.2: unfolded, decoded, NFC. */
void form_put_text(struct buf *out, const struct charset_table *table, struct view value);
/* RFC8621-4.1.2.4; the flat form of 4.1.2.3 is all lists one after the other. */
void form_groups_parse(struct arena *arena, const struct charset_table *table, struct view value,
                       struct form_groups *out);
void form_message_ids_parse(struct arena *arena, struct view value, struct form_strings *out);
/* RFC2369-2: "<" URL ">" items, comments between them skipped. */
void form_urls_parse(struct arena *arena, struct view value, struct form_strings *out);
/* RFC8621-4.1.2.6, as RFC 3339 with the zone as written: "2014-11-21T08:55:06-06:00"; false: null. */
bool form_put_date(struct buf *out, struct view value);

#endif
