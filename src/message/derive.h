/*
 * Everything that is worked out once, at delivery, from a message and kept
 * beside it: what IMAP, JMAP, search, threads and the junk filter ask for again
 * and again. A pure function of the octets, in one parse.
 */
#ifndef MESSAGE_DERIVE_H
#define MESSAGE_DERIVE_H

#include "message/bodies.h"
#include "message/forms.h"
#include "message/parse.h"

#include "base/record.h"

#define DERIVED_ATTACHMENTS_MAX 200 /* of one message that are listed; more are only counted */
#define DERIVED_ADDRESSES_MAX 500   /* of one field that are kept; the rest is read from the header when asked for */
#define DERIVED_IDS_MAX 200

/* clang-format off */
#define R_derived_attachment(F, S)                                                                                       \
    F(S, VIEW, section, 200) /* RFC3501-6.4.5 part number, "2.1" */ F(S, VIEW, type, 200) /* "application/pdf", lower case */ \
    F(S, VIEW, name, ATTACHMENT_NAME_MAX) F(S, VIEW, content_id, 1000) F(S, U8, disposition) /* 0 none, 1 inline, 2 attachment */ \
    F(S, U64, size) /* decoded */
#define R_derived_address(F, S) F(S, BOOL, has_name) F(S, VIEW, name, 2000) F(S, VIEW, email, 1000)
#define R_derived_id(F, S) F(S, VIEW, id, 998)
/* The fields that lists of messages show, in their JMAP forms (RFC8621-4.1.2 and 4.1.3). */
#define R_derived_fields(F, S)                                                                                          \
    F(S, LIST, from, derived_address, DERIVED_ADDRESSES_MAX) F(S, LIST, sender, derived_address, DERIVED_ADDRESSES_MAX)  \
    F(S, LIST, reply_to, derived_address, DERIVED_ADDRESSES_MAX) F(S, LIST, to, derived_address, DERIVED_ADDRESSES_MAX)  \
    F(S, LIST, cc, derived_address, DERIVED_ADDRESSES_MAX) F(S, LIST, bcc, derived_address, DERIVED_ADDRESSES_MAX)       \
    F(S, BOOL, has_subject) F(S, VIEW, subject, 8192) F(S, VIEW, date, 40) /* RFC 3339; empty: null */                   \
    F(S, LIST, message_id, derived_id, DERIVED_IDS_MAX) F(S, LIST, in_reply_to, derived_id, DERIVED_IDS_MAX)             \
    F(S, LIST, references, derived_id, DERIVED_IDS_MAX)                                                                 \
    F(S, LIST, attachments, derived_attachment, DERIVED_ATTACHMENTS_MAX) F(S, U32, attachment_count) F(S, BOOL, has_attachment)
/* clang-format on */
RECORD_DECLARE(derived_attachment);
RECORD_DECLARE(derived_address);
RECORD_DECLARE(derived_id);
RECORD_DECLARE(derived_fields);

/* Views live in the arena. A list over its limit is cut. ERR_LIMIT: arena. */
enum err derive_fields(struct arena *arena, const struct charset_table *table, const struct message *message,
                       struct derived_fields *out) MUST_CHECK;

#endif
