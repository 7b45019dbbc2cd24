/*
 * What IMAP says about a message: ENVELOPE, BODY, BODYSTRUCTURE (RFC3501-7.4.2)
 * and the octets of BODY[section] (RFC3501-6.4.5).
 *
 * Strings are quoted when they are printable ASCII, else literals. NUL may not
 * be in either (RFC3501-9: CHAR8 is %x01-ff): it is replaced by "?", so that
 * sizes stay and words do not join. Encoded words and 8-bit header text stay as
 * written. Output is complete IMAP data that can be stored at delivery and sent
 * as it is.
 */
#ifndef MESSAGE_STRUCTURE_H
#define MESSAGE_STRUCTURE_H

#include "message/parse.h"

#include "base/buf.h"

/* RFC3501-9 string: quoted or literal. */
void imap_put_string(struct buf *buf, struct view text);
/* RFC3501-9 nstring: NIL when text.p == NULL. An empty string must have p != NULL (VIEW("")). */
void imap_put_nstring(struct buf *buf, struct view text);

/*
 * ENVELOPE of a header block: date, subject, from, sender, reply-to, to, cc, bcc, in-reply-to, message-id. Sender and
 * reply-to default to from. Fields that occur twice count once, the first, except that To, Cc and Bcc are joined
 * (RFC5322-4.5.3). scratch: memory for the work; when it is full the rest of an address list is left out.
 */
void structure_put_envelope(struct buf *buf, struct arena *scratch, struct view header);
/* BODY (extensible = false) or BODYSTRUCTURE (true) of a message, with its parentheses. */
void structure_put_body(struct buf *buf, struct arena *scratch, const struct message *message, bool extensible);

/* Part numbers in one section specification; more name nothing. */
#define SECTION_PATH_MAX 64

enum section_text {              /* RFC3501-9: section-msgtext, section-text */
                    SECTION_ALL, /* no text specifier: BODY[], BODY[1.2] */
                    SECTION_HEADER,
                    SECTION_HEADER_FIELDS,
                    SECTION_HEADER_FIELDS_NOT,
                    SECTION_TEXT,
                    SECTION_MIME, /* needs a path */
};

struct section {
    uint32_t path[SECTION_PATH_MAX]; /* 1-based */
    size_t depth;
    enum section_text text;
    const struct view *names; /* of HEADER.FIELDS and HEADER.FIELDS.NOT */
    size_t name_count;
};

/* The part that a path names: RFC3501-6.4.5. NULL when there is none. An empty path is the root. */
const struct mime_part *message_part_at(const struct message *message, const uint32_t *path, size_t depth);
/*
 * The octets of a section. *out points into the message, or for header subsets and whatever must be read from a stream's
 * source into `built` (which is cleared first and must outlive *out). ERR_NOT_FOUND: no such part, or a specifier that this
 * part does not have (HEADER and TEXT need a message); a server then sends an empty string or NIL. Else the errors of built
 * and of the source. Long sections of a stream are better read in pieces, by their range in the index (index.h).
 */
enum err message_section(const struct message *message, const struct section *section, struct buf *built,
                         struct view *out) MUST_CHECK;
/*
 * Reads "", "1.2", "HEADER", "1.2.MIME", "TEXT" (case-insensitive), but not HEADER.FIELDS, whose list is IMAP's own
 * grammar: the caller sets text and names after reading the path in front of it. ERR_SYNTAX, ERR_LIMIT.
 */
enum err section_parse(struct view text, struct section *out) MUST_CHECK;

#endif
