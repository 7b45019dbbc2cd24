/*
 * The composer: a tree of parts described in an arena, written out as a stream.
 *
 * Contents come from memory or from a message_source (a file), and are read
 * twice: once to choose the smallest safe transfer encoding (RFC2045-6), once
 * to write; never whole into memory. Headers are folded at 78 columns
 * (RFC5322-2.1.1), with encoded words (RFC 2047) and encoded parameters
 * (RFC 2231) only where needed, or raw UTF-8 when the recipient takes SMTPUTF8
 * (RFC 6532). What is written reads back equal.
 */
#ifndef MESSAGE_BUILDER_H
#define MESSAGE_BUILDER_H

#include "message/address.h"
#include "message/source.h"

#include "base/arena.h"

/* Takes what is written, in order. An error ends the writing and comes back from builder_write(). May suspend. */
struct builder_sink {
    enum err (*write)(struct builder_sink *sink, struct view octets);
};

struct builder_options {
    bool is_utf8;      /* SMTPUTF8: headers raw UTF-8 (RFC6532-3.2) */
    bool allow_8bit;   /* 8BITMIME (RFC 6152): 8bit where it is the smallest safe encoding */
    bool allow_binary; /* BINARYMIME (RFC 3030) */
    uint8_t seed[16];  /* randomness for boundaries and a Message-ID that is missing */
    int64_t wall_us;   /* for a Date that is missing */
    struct view host;  /* right side of the Message-ID */
};

struct builder;      /* lives in the arena given */
struct builder_part; /* one node of the tree */

struct builder *builder_new(struct arena *arena, const struct builder_options *options);
/* Header fields of the message, in the order of the calls. UTF-8 in; control characters become spaces. ERR_SYNTAX: not
 * a field name, or a value that cannot be written. ERR_EXISTS: the field may come once only (RFC5322-3.6) and was there,
 * or is written from the tree (Content-..., MIME-Version). ERR_LIMIT: arena, or a field over a megabyte. */
enum err builder_text(struct builder *b, struct view name, struct view text) MUST_CHECK;
/* An address list; names and local parts are UTF-8 without quoting, groups by their markers (message/address.h). An empty
 * list is no field. ERR_SYNTAX: an address that cannot be written, such as a local part beyond ASCII without SMTPUTF8;
 * domains then become A-labels. */
enum err builder_addresses(struct builder *b, struct view name, const struct address *list, size_t count) MUST_CHECK;
enum err builder_date(struct builder *b, struct view name, int64_t wall_us, int zone_minutes) MUST_CHECK;
/* Message ids without angle brackets: Message-ID, In-Reply-To, References. */
enum err builder_ids(struct builder *b, struct view name, const struct view *ids, size_t count) MUST_CHECK;
/* Value that is structured already and ASCII, folded at its spaces. */
enum err builder_structured(struct builder *b, struct view name, struct view value) MUST_CHECK;

/* Parts. Sources and texts are read by builder_write() and must live until then; all else is copied. `type` is "text/plain" and so on. Text given in memory is UTF-8 with any line ends, and gets charset=utf-8 or
 * us-ascii; sources are octets (for text/... their charset is said with builder_param()). NULL: arena, MESSAGE_PARTS_MAX, or no
 * type of a leaf. */
struct builder_part *builder_leaf(struct builder *b, struct view type, struct view text);
struct builder_part *builder_leaf_source(struct builder *b, struct view type, struct message_source *source);
/* The source of a leaf holds lines: their ends, whatever they are, become CRLF; else its octets are kept. */
void builder_lines(struct builder_part *leaf);
/* subtype: "mixed", "alternative", "related", "report", "signed" ... */
struct builder_part *builder_multipart(struct builder *b, struct view subtype);
/* A message/rfc822 part around octets that are kept as they are (RFC2046-5.2.1). 8bit or binary octets that the options
 * do not allow go as message/global, which alone may be encoded (RFC6532-3.7). */
struct builder_part *builder_message(struct builder *b, struct message_source *source);
/* A complete entity (its header and body) kept octet for octet, for the first part of multipart/signed (RFC1847-2.1).
 * builder_write() then says ERR_SYNTAX when it is not 7bit (elsewhere: not what the options allow). */
struct builder_part *builder_entity(struct builder *b, struct message_source *source);
/* ERR_EXISTS: it has a parent already. ERR_LIMIT: MESSAGE_DEPTH_MAX. */
enum err builder_add(struct builder_part *multipart, struct builder_part *child) MUST_CHECK;
enum err builder_param(struct builder_part *part, struct view name, struct view value) MUST_CHECK; /* of Content-Type */
/* "inline" or "attachment"; file_name may be empty, UTF-8. */
enum err builder_disposition(struct builder_part *part, struct view disposition, struct view file_name) MUST_CHECK;
enum err builder_content_id(struct builder_part *part, struct view id) MUST_CHECK;
enum err builder_description(struct builder_part *part, struct view text) MUST_CHECK;
enum err builder_language(struct builder_part *part, struct view tag) MUST_CHECK;

/* Other fields of a part, such as Content-Location. ERR_EXISTS: one that is written otherwise. */
enum err builder_part_text(struct builder_part *part, struct view name, struct view text) MUST_CHECK;
enum err builder_part_structured(struct builder_part *part, struct view name, struct view value) MUST_CHECK;

/* The whole message with `root` as its body: adds MIME-Version, and Date and Message-ID when the header has none. A text
 * that is the whole body ends its last line only if the text does; SMTP adds what is missing (RFC5321-4.1.1.4). ERR_IO: a
 * source changed between the two readings. ERR_SYNTAX: a multipart without parts, signed or encrypted without two. */
enum err builder_write(struct builder *b, struct builder_part *root, struct builder_sink *sink) MUST_CHECK;
/* Only the entity `root`: its Content-... fields and body, 7bit and safe from changes on the way (RFC1847-2.1), so that
 * it can be signed and then become the first part of a multipart/signed with builder_entity(). */
enum err builder_write_entity(struct builder *b, struct builder_part *root, struct builder_sink *sink) MUST_CHECK;

#endif
