/* Macros (RFC7208-7): strings in records and explanations, with letters that stand for facts of the message. */
#ifndef SPF_MACRO_H
#define SPF_MACRO_H

#include "base/buf.h"
#include "base/netaddr.h"

/* What the letters stand for. */
struct spf_macro_facts {
    struct view sender, local, sender_domain; /* s l o */
    struct view domain;                       /* d */
    struct view helo;                         /* h */
    struct view receiver;                     /* r */
    struct netaddr ip;                        /* i v c */
    int64_t now_s;                            /* t: seconds since 1970 */
    /* p: asks DNS when first needed. */
    enum err (*validated_name)(void *ctx, struct view *out);
    void *ctx;
};

#define SPF_MACRO_DOMAIN 0u      /* letters of domain-spec */
#define SPF_MACRO_EXPLANATION 1u /* and c, r, t, and spaces */

/* RFC7208-7.1: macro-string or explain-string. ERR_SYNTAX. */
enum err spf_macro_check(struct view text, unsigned flags) MUST_CHECK;
/* RFC7208-7.1: domain-spec: a macro-string that ends in a top label or a macro. ERR_SYNTAX. */
enum err spf_macro_check_domain(struct view text) MUST_CHECK;
/* Whether a letter (lower case; its upper form counts too) occurs in a string that was checked. */
bool spf_macro_uses(struct view text, uint8_t letter);
/* Appends the expansion. ERR_SYNTAX, ERR_LIMIT (of out), and what validated_name returns. */
enum err spf_macro_expand(struct view text, const struct spf_macro_facts *facts, unsigned flags,
                          struct buf *out) MUST_CHECK;

#endif
