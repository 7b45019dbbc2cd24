/*
 * A message on its way through: its header is kept, its body is hashed while it
 * arrives, once for all that will be verified (DKIM-Signature and
 * ARC-Message-Signature fields say which hashes they need) and made (signatures
 * and seals of our own: dkim_input_want). Then dkim_verify(), arc_verify(),
 * dkim_sign() and arc_seal() work on it, as often as wanted.
 *
 * The views that come out point into the input and live as long as it does.
 */
#ifndef DKIM_INPUT_H
#define DKIM_INPUT_H

#include "dkim/canon.h"

#define DKIM_HEADER_MAX (512 * 1024) /* octets of a header, as message/ has it */
#define DKIM_FIELDS_MAX 2000         /* of one message; ordinary mail has 20 to 100 */

/* What a signature without c= means: RFC6376-3.5; of ARC's, what its public test suite and its other implementations say. */
#define DKIM_CANON VIEW("simple/simple")
#define DKIM_ARC_CANON VIEW("relaxed/relaxed")

struct dkim_field {
    struct view name; /* without white space before the colon */
    struct view raw;  /* name through the final line end, which the last one may lack */
    size_t value_at;  /* octets of raw before the value: behind the colon */
    uint32_t hash;    /* of the name in lower case */
};

struct dkim_input;
enum err dkim_input_new(const struct dkim_crypto *crypto, struct dkim_input **out) MUST_CHECK;
void dkim_input_free(struct dkim_input *input);
const struct dkim_crypto *dkim_input_crypto(const struct dkim_input *input);

/* Makes CRLF of every LF that has no CR before it: for files; SMTP has CRLF only (RFC5321-2.3.8). Before the first feed. */
void dkim_input_fix_lines(struct dkim_input *input);
/* Another hash of the body. Before the first feed. ERR_LIMIT. */
enum err dkim_input_want(struct dkim_input *input, enum dkim_canon canon, uint64_t length) MUST_CHECK;
/* The next octets of the message, cut anywhere. Errors stick: ERR_NO_MEMORY. What goes over a limit is said by
 * dkim_input_is_over(), and hashed no further. */
enum err dkim_input_feed(struct dkim_input *input, struct view piece) MUST_CHECK;
enum err dkim_input_end(struct dkim_input *input) MUST_CHECK;

/* The header went over DKIM_HEADER_MAX or DKIM_FIELDS_MAX: nothing can be said about this message's signatures. */
bool dkim_input_is_over(const struct dkim_input *input);
/* Without the empty line; with CRLF at its end. */
struct view dkim_input_header(const struct dkim_input *input);
const struct dkim_field *dkim_input_fields(const struct dkim_input *input, size_t *n);
/* Behind the colon, folds included, without the final line end. */
struct view dkim_field_value(const struct dkim_field *field);
uint32_t dkim_field_hash(struct view name);
/* After the end. As dkim_body_hash(). */
enum err dkim_input_body_hash(const struct dkim_input *input, enum dkim_canon canon, uint64_t length,
                              uint8_t digest[DKIM_DIGEST_SIZE], uint64_t *octets) MUST_CHECK;

#endif
