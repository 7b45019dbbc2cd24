/*
 * Header fields (RFC5322-2.2): iterating, finding, unfolding, subsets.
 *
 * A header is the view of a header block: fields, and usually the empty line
 * that ends it. All views that come out point into it (its owner is their
 * owner) unless a function says otherwise. Nothing here fails on malformed
 * input: lines that are no field (no colon, a name with spaces or control
 * characters, an mbox "From " line) are skipped together with their
 * continuation lines.
 *
 * A UTF-8 byte order mark before the first field is skipped.
 *
 * Lines end with CRLF or LF. A lone CR is data, except in a block without any
 * LF, where CR ends the lines. NUL and 8-bit octets are data.
 */
#ifndef MESSAGE_HEADER_H
#define MESSAGE_HEADER_H

#include "base/arena.h"
#include "base/buf.h"

struct header_field {
    struct view name;  /* without colon and without the white space RFC5322-4.5 allows before it */
    struct view value; /* after the colon, folds included, without the final line end; not trimmed */
    struct view raw;   /* name through the final line end */
    size_t offset;     /* octets from the start of the header view to raw */
};

struct header_iter {
    struct view in;
    size_t at;
    uint8_t eol; /* LF, or CR in a block that has no LF */
};

void header_iter_init(struct header_iter *it, struct view header);
/* The next field; false at the empty line or at the end. */
bool header_next(struct header_iter *it, struct header_field *field);

/* True when a line (without its line end) begins a field. */
bool header_line_is_field(struct view line);
/* The first field of that name (ASCII case-insensitive). False (and *field untouched) when there is none. */
bool header_find(struct view header, struct view name, struct header_field *field);
/* How many fields of that name there are. */
size_t header_count(struct view header, struct view name);

/*
 * RFC5322-2.2.3: removes line ends, keeps the white space after them, trims both ends. *out points into value when
 * nothing had to be removed in the middle, else into the arena. ERR_LIMIT when the arena is full.
 */
enum err header_unfold(struct arena *arena, struct view value, struct view *out) MUST_CHECK;
/* The same, appended to a buf. */
void header_put_unfolded(struct buf *buf, struct view value);

/*
 * RFC3501-6.4.5: HEADER.FIELDS (exclude = false) and HEADER.FIELDS.NOT (exclude = true): the fields whose name is
 * (not) among names, octet for octet and in their order, then an empty line (CRLF). A last field without a line end
 * gets CRLF. Lines that are no field are in neither.
 */
void header_put_subset(struct buf *buf, struct view header, const struct view *names, size_t name_count, bool exclude);

#endif
