/*
 * Canonicalisation, RFC6376-3.4. Header fields are small and done whole; a body
 * is a stream, done in one pass for all signatures together (dkim_body).
 */
#ifndef DKIM_CANON_H
#define DKIM_CANON_H

#include "dkim/crypto.h"

enum dkim_canon { DKIM_SIMPLE, DKIM_RELAXED };
struct view dkim_canon_name(enum dkim_canon canon);

/*
 * Appends a field (name through value, its final line end is optional) in canonical form, RFC6376-3.4.1, RFC6376-3.4.2. is_last:
 * without the CRLF at its end (RFC6376-3.7).
 */
void dkim_put_field(struct buf *out, enum dkim_canon canon, struct view raw, bool is_last);

#define DKIM_BODY_SUMS_MAX \
    16 /* different (canonicalisation, l=) of one message: a dozen signatures never differ so much */
#define DKIM_BODY_WHOLE UINT64_MAX /* no l= */

/* The hashes of one body. Lines end with CRLF; CR and LF alone are data. */
struct dkim_body;
enum err dkim_body_new(const struct dkim_crypto *crypto, struct dkim_body **out) MUST_CHECK;
void dkim_body_free(struct dkim_body *body);
/* Asks for the hash of the first `length` octets of the canonical body. Before the first feed. The same twice costs nothing.
 * ERR_LIMIT over DKIM_BODY_SUMS_MAX. */
enum err dkim_body_want(struct dkim_body *body, enum dkim_canon canon, uint64_t length) MUST_CHECK;
/* The next octets, cut anywhere. */
void dkim_body_feed(struct dkim_body *body, struct view piece);
enum err dkim_body_end(struct dkim_body *body) MUST_CHECK;
/* After the end. *octets: of the whole canonical body, whatever the length. ERR_NOT_FOUND: nobody asked for it. */
enum err dkim_body_hash(const struct dkim_body *body, enum dkim_canon canon, uint64_t length,
                        uint8_t digest[DKIM_DIGEST_SIZE], uint64_t *octets) MUST_CHECK;

/* The canonical body itself, for tests and for people: one form of a whole body, appended. */
void dkim_put_body(struct buf *out, enum dkim_canon canon, struct view body);

#endif
