/*
 * The fields that sign: DKIM-Signature (RFC6376-3.5) and ARC-Message-Signature
 * (RFC8617-4.1.2), which is the same but for i= and v=.
 */
#ifndef DKIM_SIGNATURE_H
#define DKIM_SIGNATURE_H

#include "dkim/canon.h"
#include "dkim/input.h"
#include "dkim/tags.h"

#define DKIM_SIGNED_NAMES_MAX 500 /* names in one h= */
#define DKIM_LENGTH_DIGITS_MAX 76 /* RFC6376-3.5: digits of l= */

enum dkim_signature_kind { DKIM_SIGNATURE_DKIM, DKIM_SIGNATURE_ARC };

struct dkim_signature {
    struct view raw;  /* the whole field */
    size_t b_at, b_n; /* in raw: what counts as the value of b= when it is taken out, RFC6376-3.7 */
    enum dkim_algorithm algorithm;
    enum dkim_canon header_canon, body_canon;
    struct view domain; /* d=, in A-labels and lower case (RFC8616-4) */
    struct view domain_as_written;
    struct view selector; /* s=, as written */
    struct view identity; /* i= of DKIM, as written; "@" d= when it is absent */
    uint32_t instance;    /* i= of ARC */
    struct view b, bh;    /* decoded */
    struct view b_text;   /* without white space, for header.b (RFC6008-3) */
    struct view *names;   /* h= */
    size_t names_n;
    uint64_t length;    /* l=, or DKIM_BODY_WHOLE */
    int64_t signed_us;  /* t=, or -1 */
    int64_t expires_us; /* x=, or -1 */
    bool is_from_signed;
    bool is_sha1; /* RFC8301-3.1: rsa-sha1, which is parsed only to be refused */
};

/* ERR_SYNTAX: *why says what, and *out has what was read before. ERR_LIMIT: the arena. Views point into raw or the arena. */
enum err dkim_signature_parse(enum dkim_signature_kind kind, const struct dkim_field *field, struct arena *arena,
                              struct dkim_signature *out, const char **why) MUST_CHECK;

/*
 * RFC6376-3.7, RFC6376-5.4.2: the hash of the header fields named by h=, from the bottom up, and of the signature's own
 * field.
 */
enum err dkim_signature_hash(const struct dkim_input *input, const struct dkim_signature *signature,
                             uint8_t digest[DKIM_DIGEST_SIZE]) MUST_CHECK;

/* Appends a field's raw form without the octets that are b='s value, canonical, without its last CRLF. */
void dkim_put_unsigned_field(struct buf *out, enum dkim_canon canon, struct view raw, size_t b_at, size_t b_n);

/* The same domain, or one below it. Both in A-labels and lower case. */
bool dkim_domain_is_under(struct view domain, struct view parent);

#endif
