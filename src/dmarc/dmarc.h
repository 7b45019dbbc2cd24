/*
 * DMARC (RFC 9989): does the domain in From stand behind this message, and what
 * does it want done when it does not?
 *
 * Pure but for the questions it asks; all that comes out lives in the arena.
 * Domains that come in are names in A-labels without a final dot.
 */
#ifndef DMARC_DMARC_H
#define DMARC_DMARC_H

#include "dmarc/record.h"
#include "dns/client.h"

#define DMARC_WALK_MAX 8         /* RFC9989-4.10: questions of one tree walk */
#define DMARC_LOOKUPS_MAX 40     /* questions of one check: the author's walk, and some for identifiers below it */
#define DMARC_IDENTIFIERS_MAX 20 /* looked at; a message with more signatures that pass has its say with these */
#define DMARC_AUTHORS_MAX 8      /* domains in From that are told apart */

/* RFC9989-9.2 */
enum dmarc_result { DMARC_NONE, DMARC_PASS, DMARC_FAIL, DMARC_TEMPERROR, DMARC_PERMERROR };

/* The public suffix list, for what a tree walk cannot tell (RFC7489-3.2). */
struct dmarc_suffixes {
    /* Octets of the organizational domain at the end of `domain`; 0: the list knows none (domain is a public suffix itself). */
    size_t (*organizational)(const struct dmarc_suffixes *suffixes, struct view domain);
};

struct dmarc_env {
    struct dns_client *dns;
    const struct dmarc_suffixes *suffixes; /* NULL: RFC 9989 alone */
};

enum dmarc_mechanism { DMARC_SPF, DMARC_DKIM };
struct dmarc_identifier { /* one that passed its own check (RFC9989-3.2.1) */
    enum dmarc_mechanism mechanism;
    struct view domain;
};

struct dmarc_query {
    struct view author; /* the domain in From */
    const struct dmarc_identifier *identifiers;
    size_t identifiers_n;
    bool identifiers_temporary; /* SPF or DKIM met a DNS error: no pass is no fail then (RFC9989-5.3.6) */
};

/* Where the record that applies was found (RFC9989-4.10.1). */
enum dmarc_place { DMARC_AT_AUTHOR, DMARC_AT_ORGANIZATION, DMARC_AT_SUFFIX };

struct dmarc_step { /* for people: what was asked, and what came of it */
    struct view name, text;
};

struct dmarc_verdict {
    enum dmarc_result result;
    enum dmarc_policy policy;    /* wanted for a fail; sp, np and t are applied. Fail with NONE: nothing is wanted */
    enum dmarc_policy published; /* the same without t */
    struct dmarc_record record;  /* unless result is NONE or an error */
    struct view record_domain;   /* where it was found, without "_dmarc." */
    enum dmarc_place place;
    struct view organizational;     /* of the author domain */
    bool author_exists;             /* looked up only when the record is not the author's own */
    bool spf_aligned, dkim_aligned; /* some identifier of that kind is */
    bool by_suffix_list;            /* aligned only by the public suffix list */
    struct view aligned_domain;     /* the first aligned identifier, DKIM's before SPF's */
    bool is_secure;                 /* every answer used was DNSSEC-secure */
    struct view reason;             /* for people: why not pass; printable ASCII */
    const struct dmarc_step *steps;
    size_t steps_n;
};

/* ERR_AGAIN (the resolver cannot be asked now: no verdict), ERR_CANCELED, ERR_LIMIT (arena). Whatever domains publish is a
 * verdict. */
enum err dmarc_check(const struct dmarc_env *env, const struct dmarc_query *query, struct arena *arena,
                     struct dmarc_verdict *out) MUST_CHECK;

/*
 * RFC9989-5.3.1: the domains in From of a header block, as A-labels, each once. None (*n = 0) when there is no From or no
 * address in it; a domain that is no name is left out and *has_bad set. More than one is an attack more often than a
 * letter by two (RFC9989-11.5): check each and take the worst verdict.
 */
enum err dmarc_authors(struct arena *arena, struct view header, struct view list[DMARC_AUTHORS_MAX], size_t *n,
                       bool *has_bad) MUST_CHECK;

/* RFC9990-4: may reports about `domain` go to `target`, a domain with another organizational domain? Asks for
 * "DOMAIN._report._dmarc.TARGET". *out when ERR_OK; a DNS error is ERR_AGAIN. */
enum err dmarc_target_allows(const struct dmarc_env *env, struct view domain, struct view target, struct arena *arena,
                             bool *out) MUST_CHECK;
/* The organizational domain by tree walk (RFC9989-4.10.2), or by the list where the walk finds nothing. DNS trouble: ERR_AGAIN. */
enum err dmarc_organizational(const struct dmarc_env *env, struct view domain, struct arena *arena,
                              struct view *out) MUST_CHECK;

const char *dmarc_result_name(enum dmarc_result result); /* "pass" */

#endif
