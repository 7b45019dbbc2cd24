/*
 * The Authenticated Received Chain, RFC 8617: what each handler of a message
 * found, sealed by it. A chain says who vouches; whether to believe them is
 * local policy (RFC8617-7.2).
 */
#ifndef ARC_ARC_H
#define ARC_ARC_H

#include "dkim/sign.h"
#include "dkim/verify.h"

#define ARC_SETS_MAX 50 /* RFC8617-4.2.1 */

/* RFC8617-4.4 */
enum arc_status { ARC_NONE, ARC_FAIL, ARC_PASS };
struct view arc_status_name(enum arc_status status);

/* One handler's fields. */
struct arc_set {
    const struct dkim_field *results, *signature, *seal; /* AAR, AMS, AS */
    struct view results_text;                            /* of the AAR, behind "i=N;", not unfolded */
    struct dkim_verdict message;                         /* AMS; result DKIM_NONE: not looked at */
    struct dkim_verdict sealed; /* AS; of its signature only algorithm, domain, selector, b, signed_us count */
    enum arc_status status;     /* the cv= of the seal */
};

struct arc_report {
    enum arc_status status;
    struct view why; /* for people, unless it passed */
    bool
        is_temporary; /* it failed because DNS could not say: who can make the sender come again may do so (RFC8617-5.2.1: else it is for good) */
    struct arc_set *sets; /* by instance, the first is i=1; NULL when the structure is broken */
    size_t n;
    uint32_t oldest_pass; /* RFC8617-5.2: 0: all AMS verify; else the lowest instance whose does, and those above */
    uint32_t highest;     /* the highest instance that is there, also in a broken chain */
    struct view sealer;   /* d= of the last seal */
    bool is_closed;       /* the last seal says cv=fail: nobody adds to this chain (RFC8617-5.1.2) */
};

/* RFC8617-5.2. May suspend in dns; asks for each key once, and for DKIM_MEMO_MAX at most (dkim/memo.h). Errors: ERR_LIMIT (the arena), ERR_CANCELED, ERR_NO_MEMORY. */
enum err arc_verify(const struct dkim_input *input, struct dns_client *dns, int64_t now_us, struct arena *arena,
                    struct arc_report *out) MUST_CHECK;

struct arc_seal_options {
    struct view domain; /* A-labels */
    struct dkim_sign_key key;
    struct view results; /* of Authentication-Results: authserv-id; method=...; may have folds. It should say arc=. */
    int64_t now_us;
    const struct view
        *names; /* h= of the AMS; NULL: those of dkim_signed_names(), and DKIM-Signature (RFC8617-4.1.2) */
    size_t names_n;
};

/*
 * RFC8617-5.1: appends the next ARC set, three fields with CRLF, which go in front of the message. report: of
 * arc_verify() of the same input, which must have been asked for (DKIM_RELAXED, DKIM_BODY_WHOLE). Errors: the signer's;
 * ERR_DENIED: the chain is closed or has ARC_SETS_MAX sets; ERR_SYNTAX, ERR_NOT_FOUND as dkim_sign().
 */
enum err arc_seal(const struct dkim_input *input, const struct arc_report *report,
                  const struct arc_seal_options *options, struct dkim_signer *signer, struct arena *arena,
                  struct buf *out) MUST_CHECK;

#endif
