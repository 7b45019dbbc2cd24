/*
 * The MIME structure of a message (RFC 5322, 2045, 2046): one pass over the
 * bytes that yields a tree of parts with offsets, sizes and the content fields.
 *
 * Reading is tolerant: no sequence of octets is refused. What is malformed is
 * read as a careful person would:
 *  - lines end with CRLF or LF; a lone CR is data, except in a message whose
 *    first octets have CRs and no LF, where CR ends the lines. NUL and 8-bit
 *    octets are data.
 *  - a header ends at the first empty line, or where its parent's boundary
 *    or its own boundary comes. Lines that are no field are skipped; but an entity whose first
 *    two lines are no fields has no header, and all of it is body.
 *    Where the entity ends without an empty line, the lines after its last
 *    field are its body.
 *  - a delimiter line is "--", an open boundary, optionally "--", then only
 *    white space. Innermost boundaries are tried first; one of an outer part
 *    ends all parts inside it. A missing close delimiter ends at the end of
 *    the parent. What follows a close delimiter is epilogue.
 *  - a multipart without a boundary parameter has the boundary of the first
 *    line that looks like a delimiter and is followed by a "Content-" field.
 *    One without such a line, or whose boundary never comes, is read as
 *    text/plain, so that its text can be seen.
 *  - a multipart is read inside whatever its transfer encoding says.
 *    message/rfc822 in base64 or quoted-printable, which RFC2045-6.4 forbids,
 *    is a leaf: its decoded body is a message.
 *
 * Ownership: everything lives in the arena given, and views point either into
 * the message's bytes or into the arena; both must outlive the result.
 * Offsets and sizes are octets of the message as stored, from its first octet.
 */
#ifndef MESSAGE_PARSE_H
#define MESSAGE_PARSE_H

#include "message/params.h"
#include "message/source.h"

/* Over any of these the result gets coarser and `degraded` says so; it never fails. */
#define MESSAGE_PARTS_MAX 1000          /* parts; later delimiters count as text of the last part */
#define MESSAGE_DEPTH_MAX 30            /* entities inside each other; the deepest is opaque */
#define MESSAGE_HEADER_FIELDS_MAX 1000  /* fields of one header looked at for the structure */
#define MESSAGE_HEADER_MAX (512 * 1024) /* octets of one header looked at for the structure */
/* Octets of all headers looked at, and of what is kept of their fields beside them; entities after that are opaque. It
 * is what bounds the memory of a parsed stream; real mail stays under a tenth of it. */
#define MESSAGE_HEADERS_MAX (1024 * 1024)
#define MESSAGE_FIELDS_MAX (1024 * 1024)
/* Octets of a line that decide what it is: a longer one is no delimiter, and its colon must come before (RFC5322-2.1.1 ends
 * lines at 998). */
#define MESSAGE_LINE_LOOK 4096
/* Octets from the beginning that decide whether CR ends the lines. */
#define MESSAGE_FIRST_WINDOW 4096
#define MESSAGE_LANGUAGES_MAX 20 /* languages of one Content-Language */
/* An arena budget that holds any structure that these limits allow, from memory or from a stream; a smaller one only
 * degrades, but then the two may differ. */
#define MESSAGE_ARENA_BUDGET (6 * 1024 * 1024)

enum mime_encoding { /* RFC2045-6 */
                     MIME_ENCODING_7BIT,
                     MIME_ENCODING_8BIT,
                     MIME_ENCODING_BINARY,
                     MIME_ENCODING_QUOTED_PRINTABLE,
                     MIME_ENCODING_BASE64,
                     MIME_ENCODING_UNKNOWN, /* encoding_text says which */
};

struct mime_part {
    struct mime_part *parent; /* the multipart, or the message/rfc822 part whose embedded message this is; NULL: root */
    struct mime_part *next;   /* next part of the same multipart */
    struct mime_part *first_child; /* of a multipart, never NULL then */
    struct mime_part *last_child;
    struct mime_part *embedded; /* of a message/rfc822 or message/global part: the root of the message inside */
    uint32_t child_count;
    uint32_t depth;     /* 0: the root */
    bool is_multipart;  /* has at least one child */
    bool is_message;    /* message/rfc822 or message/global that is read inside; embedded is set */
    bool is_root;       /* of the message or of an embedded message */
    bool has_type;      /* a readable Content-Type was there; else type and subtype are the default */
    bool was_multipart; /* said multipart/..., but no part was found or a limit made it opaque */

    struct view type, subtype; /* as written; never empty */
    struct mime_params params;
    enum mime_encoding encoding;
    struct view encoding_text; /* the token as written; p == NULL when there is no such field */
    /* Unfolded and trimmed; p == NULL when there is no such field. */
    struct view id;          /* Content-ID (RFC2045-7) */
    struct view description; /* Content-Description (RFC2045-8) */
    struct view md5;         /* Content-MD5 (RFC1864-2) */
    struct view location;    /* Content-Location (RFC2557-4.2) */
    struct view disposition; /* the token of Content-Disposition (RFC2183-2) */
    struct mime_params disposition_params;
    struct view *languages; /* Content-Language (RFC3282-2) */
    size_t language_count;

    /* The octets of the header that were looked at: MESSAGE_HEADER_MAX at most, none when it was opaque. In the message's
     * bytes, or in the arena when parsed as a stream. */
    struct view header;
    size_t header_offset, header_size; /* with the empty line when there is one */
    size_t body_offset, body_size;     /* RFC2046-5.1.1: without the line end before a delimiter; body follows header */
    size_t header_lines, lines;        /* line ends in the header, in the body */
};

struct message {
    struct view bytes;             /* the whole message; empty when it was parsed as a stream (stream_parse.h) */
    struct message_source *source; /* where bodies are read when bytes is empty; NULL: from bytes */
    struct mime_part *root;
    size_t part_count; /* all entities, embedded roots included */
    bool degraded;     /* a limit was reached */
    bool has_nul;      /* a NUL octet occurs (IMAP can send it only as a literal8) */
};

/* ERR_LIMIT only when the arena has no room for the root. */
enum err message_parse(struct arena *arena, struct view bytes, struct message *out) MUST_CHECK;

/* Octets of a part's body from `offset` in it, at most n (and at most MESSAGE_WINDOW of a stream), *out shorter only at its end: a view into the
 * message's bytes, or read from its source into scratch (cleared first). Errors of the source. May suspend. */
enum err message_body_read(const struct message *message, const struct mime_part *part, size_t offset, size_t n,
                           struct buf *scratch, struct view *out) MUST_CHECK;
/* Views into the message's bytes; of a stream the header is part->header, and body and all are empty: read them. */
struct view message_part_header(const struct message *message, const struct mime_part *part);
struct view message_part_body(const struct message *message, const struct mime_part *part);
/* Header and body of a part. */
struct view message_part_all(const struct message *message, const struct mime_part *part);
/* The next part in document order (children, then embedded messages, then siblings); NULL at the end. Start with root. */
struct mime_part *message_part_next(const struct mime_part *part);
bool mime_part_is(const struct mime_part *part, struct view type, struct view subtype);
/* RFC2046-4.1.2: the charset parameter, or "us-ascii". */
struct view mime_part_charset(const struct mime_part *part);

#endif
