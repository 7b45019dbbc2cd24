/*
 * Verification, RFC6376-6: a typed verdict for each signature of a message, with
 * all that DMARC, Authentication-Results and a person at a terminal want to know.
 */
#ifndef DKIM_VERIFY_H
#define DKIM_VERIFY_H

#include "dkim/key.h"
#include "dkim/signature.h"

#define DKIM_SIGNATURES_MAX \
    10 /* verified of one message, from the top (RFC6376-6.1 lets us limit them); the rest is counted */
/* An arena budget that holds any report: signatures, ten keys. */
#define DKIM_ARENA_BUDGET (8 * 1024 * 1024)

/* RFC8601-2.7.1 */
enum dkim_result {
    DKIM_NONE,
    DKIM_PASS,
    DKIM_FAIL,      /* the body or the signed fields are not what was signed */
    DKIM_POLICY,    /* good, but not wanted here: see dkim_options */
    DKIM_NEUTRAL,   /* it was not looked at: a limit of ours */
    DKIM_TEMPERROR, /* DNS cannot say now */
    DKIM_PERMERROR, /* PERMFAIL of RFC6376-6.1, other than a mismatch: no usable signature, or no usable key */
};
struct view dkim_result_name(enum dkim_result result);

struct dkim_verdict {
    enum dkim_result result;
    struct view why; /* for people; empty when it passed */
    /* What of the signature could be read; the rest is zero. */
    struct dkim_signature signature;
    /* The key's. */
    struct dkim_key_answer key;
    uint32_t key_bits;          /* 0: no key was used */
    bool is_testing;            /* t=y: RFC6376-3.6.1: a failure must not count against the domain */
    enum dns_security security; /* of the key's record */
    /* The body. */
    uint8_t body_hash[DKIM_DIGEST_SIZE]; /* ours */
    bool is_body_hash_made, is_body_intact;
    uint64_t body_octets;     /* canonical */
    uint64_t unsigned_octets; /* behind l= */
    bool is_expired;
};

struct dkim_report {
    enum dkim_result
        result; /* the best one: pass, then temperror, policy, fail, permerror, neutral; none without signatures */
    struct dkim_verdict *verdicts; /* in the order of the fields */
    size_t n;
    size_t skipped; /* signatures over DKIM_SIGNATURES_MAX */
};

struct dkim_options {
    bool refuses_partial;      /* policy for a signature that leaves the end of the body unsigned (RFC6376-8.2) */
    bool refuses_insecure_key; /* policy for a key without DNSSEC */
};

/* May suspend in dns. options NULL: neither. Views live in the arena and in the input. now_us: wall time. Errors: ERR_LIMIT
 * (the arena), ERR_CANCELED, ERR_NO_MEMORY. */
enum err dkim_verify(const struct dkim_input *input, struct dns_client *dns, int64_t now_us,
                     const struct dkim_options *options, struct arena *arena, struct dkim_report *out) MUST_CHECK;

/* One signature (ARC's, too) that stands in verdict->signature: everything from the key on. */
enum err dkim_verify_signature(const struct dkim_input *input, struct dns_client *dns, int64_t now_us,
                               const struct dkim_options *options, struct arena *arena,
                               struct dkim_verdict *verdict) MUST_CHECK;
/* Looks the key up and checks a signature over a digest with it: fills result, why and the key's part of *verdict, from the
 * algorithm, domain, selector, identity and b of its signature. */
enum err dkim_verify_digest(const struct dkim_crypto *crypto, struct dns_client *dns, struct arena *arena,
                            const uint8_t digest[DKIM_DIGEST_SIZE], struct dkim_verdict *verdict) MUST_CHECK;

#endif
