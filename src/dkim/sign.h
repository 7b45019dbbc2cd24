/*
 * Signing, RFC6376-5. Keys live elsewhere: a dkim_signer turns a digest into a
 * signature, and may suspend while it asks.
 */
#ifndef DKIM_SIGN_H
#define DKIM_SIGN_H

#include "base/arena.h"
#include "dkim/input.h"

struct dkim_signer {
    /* Appends the signature of the key of (domain, selector) over a SHA-256. May suspend. Errors go to the caller of
     * dkim_sign(). */
    enum err (*sign)(struct dkim_signer *signer, struct view domain, struct view selector,
                     enum dkim_algorithm algorithm, const uint8_t digest[DKIM_DIGEST_SIZE], struct buf *out);
};

struct dkim_sign_key {
    struct view selector;
    enum dkim_algorithm algorithm;
};

struct dkim_sign_options {
    struct view domain;                       /* d=: A-labels */
    struct view identity;                     /* i=, or empty: none is written */
    enum dkim_canon header_canon, body_canon; /* what dkim_input_want() asked for, with DKIM_BODY_WHOLE */
    int64_t now_us;                           /* t= */
    int64_t valid_us;                         /* x= this long after t=; 0: none */
    const struct view *names;                 /* h=; NULL: those of dkim_signed_names() */
    size_t names_n;
};

/*
 * What is signed when the caller does not choose: RFC6376-5.4.1. Of fields that a reader sees or that change how the body is
 * read, every instance and one more (oversigned, RFC6376-5.4.2: adding one breaks the signature, so that a replayed
 * message cannot get a second Subject or From); of others that are worth it, those that are there. Not signed: what relays
 * and lists change (trace fields, RFC6376-5.4: Return-Path, Received, ...). Views of literals and of the input.
 */
enum err dkim_signed_names(const struct dkim_input *input, struct arena *arena, struct view **names,
                           size_t *n) MUST_CHECK;

/*
 * Appends one DKIM-Signature field for each key, folded, with CRLF: they go in front of the message. keys in the order of
 * preference (RFC8463-3: Ed25519 and RSA together are for verifiers that know only one). Errors: the signer's; ERR_NOT_FOUND: the body
 * hash was not asked for; ERR_SYNTAX: the message has no From (RFC6376-5.4), or the header was over its limit.
 */
enum err dkim_sign(const struct dkim_input *input, const struct dkim_sign_options *options,
                   const struct dkim_sign_key *keys, size_t keys_n, struct dkim_signer *signer, struct arena *arena,
                   struct buf *out) MUST_CHECK;

/* For folding tag lists, RFC6376-3.5 and ARC's: appends "; " and the tag, on a new line when this one is full. */
struct dkim_folder {
    struct buf *out;
    size_t column;
    bool is_first;
};
void dkim_fold_begin(struct dkim_folder *folder, struct buf *out, struct view field_name);
/* A tag whose value, of which value_n octets should fit on the line, is put with dkim_fold_more(). */
void dkim_fold_open(struct dkim_folder *folder, const char *name, size_t value_n);
void dkim_fold_tag(struct dkim_folder *folder, const char *name, struct view value);
/* A value that may be cut anywhere (base64), or after each colon. */
void dkim_fold_base64(struct dkim_folder *folder, const char *name, struct view data);
/* The value, or more of it, of the tag that was put last. */
void dkim_fold_more(struct dkim_folder *folder, struct view data);
/* The next tag stands on a new line: what follows a signature must be folded alike before and after it is known. */
void dkim_fold_break(struct dkim_folder *folder);
void dkim_fold_names(struct dkim_folder *folder, const char *name, const struct view *names, size_t n);

#endif
