/*
 * Compressed octets from strangers, made plain within limits, and gzip written
 * (RFC 1951, 1952): reports come by mail as gzip and zip files (RFC8460-5.2).
 *
 * A limit of the result's buf says how large it may get; the ratio says how much
 * work a few octets may cause.
 */
#ifndef INFLATE_INFLATE_H
#define INFLATE_INFLATE_H

#include "base/buf.h"

/* Octets that one compressed octet may become, once INFLATE_RATIO_FROM came out: XML and JSON of reports become 10 to 60
 * times smaller, a bomb a thousand times. */
#define INFLATE_RATIO_MAX 200
#define INFLATE_RATIO_FROM (1024 * 1024)

enum inflate_form {
    INFLATE_GZIP, /* RFC1952-2.2: one or more members, whose checksums must be right */
    INFLATE_RAW,  /* RFC 1951 alone, as in a zip file's member */
};
/* All of `octets`, appended to out. ERR_SYNTAX: damaged, cut off, or followed by something else; ERR_LIMIT: out's own limit, or
 * the ratio; ERR_NO_MEMORY. What was made before the error stays in out. */
enum err inflate_octets(struct view octets, enum inflate_form form, struct buf *out) MUST_CHECK;
/* RFC1952-2.3.1: whether it begins as a gzip file does. */
bool inflate_is_gzip(struct view octets);
/* One gzip member appended to out, without name and time, so that the same octets make the same file. Errors stick in out. */
void buf_put_gzip(struct buf *out, struct view octets);

#endif
