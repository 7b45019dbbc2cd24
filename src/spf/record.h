/*
 * The grammar of SPF records (RFC7208-12): a record is judged as a whole before
 * any of it is evaluated. Views point into the record's text.
 */
#ifndef SPF_RECORD_H
#define SPF_RECORD_H

#include "spf/spf.h"

enum spf_mechanism { SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS };

struct spf_directive {
    enum spf_mechanism mechanism;
    enum spf_result qualifier; /* PASS, FAIL, SOFTFAIL, NEUTRAL */
    struct view text;          /* the whole term, as it stands there */
    struct view domain_spec;   /* with macros; empty: none */
    struct netaddr network;    /* ip4, ip6 */
    uint8_t prefix4, prefix6;  /* ip4, a, mx: 0..32; ip6, a, mx: 0..128 */
};
struct spf_record {
    struct spf_directive *directives;
    size_t n;
    bool has_all;
    struct view redirect, redirect_text; /* domain-spec and the term; empty: none */
    struct view exp;                     /* domain-spec; empty: none */
};

/* RFC7208-4.5: begins with "v=spf1" and a space or the end. */
bool spf_is_record(struct view text);
/* text: with its version. ERR_SYNTAX with a sentence in *problem (in the arena, printable ASCII); ERR_NO_MEMORY. */
enum err spf_record_parse(struct view text, struct arena *arena, struct spf_record *out,
                          struct view *problem) MUST_CHECK;

#endif
