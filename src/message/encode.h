/*
 * Transfer encodings (RFC2045-6) written as a stream, and the look over a
 * content that decides which one is the smallest safe one.
 *
 * Everything takes its input in pieces of any size; the result does not depend
 * on where they are cut. Bufs carry the only errors; with a NULL buf an encoder
 * only counts.
 */
#ifndef MESSAGE_ENCODE_H
#define MESSAGE_ENCODE_H

#include "message/parse.h"

#include "base/buf.h"

/* -- Line ends of text ------------------------------------------------------------------------------- */

/* CRLF, LF and CR all become CRLF (RFC2046-4.1.1). */
struct encode_lines {
    bool after_cr;
};
void encode_lines_put(struct encode_lines *lines, struct view octets, struct buf *out);

/* -- Base64 (RFC2045-6.8) ------------------------------------------------------------------------------ */

#define ENCODE_BASE64_LINE 57 /* octets in one line of 76 characters */

struct encode_base64 {
    uint8_t carry[ENCODE_BASE64_LINE];
    size_t carry_n;
    bool has_line; /* a line was written: the next one begins with the line end between them */
};
void encode_base64_put(struct encode_base64 *e, struct view octets, struct buf *out);
/* Without a line end after the last line: in a multipart it belongs to the delimiter (RFC2046-5.1.1). */
void encode_base64_end(struct encode_base64 *e, struct buf *out);
/* What n octets will take. */
uint64_t encode_base64_size(uint64_t n);

/* -- Quoted-printable (RFC2045-6.7) ---------------------------------------------------------------------- */

struct encode_qp {
    bool is_text;  /* CRLF is a line end; else CR and LF are octets like others (RFC2045-6.7 (4)) */
    size_t column; /* on this line of output */
    uint8_t blank; /* a space or tab held back, which must not end a line; 0: none */
    bool after_cr; /* a CR held back */
    size_t from;   /* octets of "From " matched at the beginning of this line */
    uint64_t size; /* octets written */
};
void encode_qp_put(struct encode_qp *e, struct view octets, struct buf *out);
/* What was held back. The last line has no line end unless the content has. */
void encode_qp_end(struct encode_qp *e, struct buf *out);

/* -- Looking ------------------------------------------------------------------------------------------- */

struct encode_scan {
    bool is_text;       /* as above; set before */
    struct view needle; /* what must not occur in it, such as a boundary; set before, at most ENCODE_NEEDLE_MAX */
    uint64_t size;      /* octets */
    bool has_8bit, has_nul;
    bool has_bare_line_end; /* a CR or LF alone */
    bool has_mbox_line;     /* a line that begins with "From " or is "." alone */
    bool has_blank_end;     /* a space or tab ends a line */
    bool ends_line;         /* the last octets are CRLF, or there are none */
    bool has_needle;
    uint64_t longest; /* octets of the longest line without its CRLF */
    uint64_t qp_size;

    struct encode_qp qp;
    uint64_t line;        /* octets of this line */
    uint8_t last, before; /* the previous octet and the one before it */
    size_t from;          /* octets of "From " matched */
    size_t needle_at;     /* octets of the needle matched */
};
#define ENCODE_NEEDLE_MAX 70 /* RFC2046-5.1.1: a boundary has at most 70 characters */

void encode_scan_put(struct encode_scan *scan, struct view octets);
void encode_scan_end(struct encode_scan *scan);

struct encode_limits {
    bool allow_8bit, allow_binary;
    bool is_signed; /* RFC1847-2.1: 7bit, and nothing that a relay may change (RFC3156-3) */
};
/* 7bit, 8bit or binary: what the content is, whether allowed or not. */
enum mime_encoding encode_scan_identity(const struct encode_scan *scan);
/* The smallest encoding that is allowed and safe. */
enum mime_encoding encode_scan_choose(const struct encode_scan *scan, const struct encode_limits *limits);

#endif
