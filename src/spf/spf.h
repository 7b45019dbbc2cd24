/*
 * SPF (RFC 7208): may this address send mail in the name of that domain?
 *
 * Pure but for the questions it asks. Everything returned lives in the arena
 * that the caller gave (SPF_ARENA octets are enough for any zone), or in the
 * query. Internationalized names follow RFC8616-4.
 */
#ifndef SPF_SPF_H
#define SPF_SPF_H

#include "authres/authres.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/netaddr.h"
#include "dns/client.h"

#define SPF_LOOKUPS_MAX 10          /* RFC7208-4.6.4: terms that ask DNS */
#define SPF_VOIDS_MAX 2             /* RFC7208-4.6.4: lookups that find nothing */
#define SPF_NAMES_MAX 10            /* RFC7208-4.6.4: addresses asked for one mx or ptr */
#define SPF_TIME_US (20 * US_PER_S) /* RFC7208-4.6.4: "at least 20 seconds", then temperror */
#define SPF_RECORD_MAX 8192         /* octets of a record; what RFC7208-3.4 calls too long is 512 */
#define SPF_TERMS_MAX 512           /* of one record */
#define SPF_EXPLANATION_MAX 500     /* octets: fits a reply line beside its prefix (RFC5321-4.5.3.1.5) */
#define SPF_STEPS_MAX 500           /* of a trace; the rest is left out */
#define SPF_ARENA (4u << 20)        /* ten lookups of the largest answers, and what is made of them */

/* RFC7208-2.6 */
enum spf_result { SPF_NONE, SPF_NEUTRAL, SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_TEMPERROR, SPF_PERMERROR };
enum spf_identity {
    SPF_HELO,      /* RFC7208-2.3 */
    SPF_MAIL_FROM, /* RFC7208-2.4; with an empty reverse-path it is postmaster at the HELO name */
};

struct spf_query {
    enum spf_identity identity;
    struct netaddr ip;     /* of the client; an IPv4-mapped one counts as IPv4 */
    struct view helo;      /* as it was said, address literals too */
    struct view mail_from; /* without angle brackets, empty for <>; UTF-8 is fine */
};
/* How a check is made: what it asks and who we are. */
struct spf_env {
    struct dns_client *dns;
    struct clock *clock;  /* %{t}, and the limit of time */
    struct view receiver; /* our host name, for %{r}; empty: "unknown" */
    bool trace;           /* fill in steps */
};

/* One line of the story, in order. */
struct spf_step {
    unsigned depth;     /* of include and redirect; 0 is the domain that was asked about */
    struct view domain; /* whose record */
    struct view term;   /* as it stands in the record; empty: the record itself */
    struct view text;   /* what happened: printable ASCII */
};
struct spf_verdict {
    enum spf_result result;
    enum spf_identity identity;   /* as in the query */
    struct view domain;           /* the domain that was checked, A-labels; as it came when it is not a name */
    struct view sender;           /* the identity in full, postmaster put in */
    struct view mechanism;        /* the term that matched, as it stands in the record; empty: none */
    struct view mechanism_domain; /* in whose record */
    struct view explanation;      /* RFC7208-6.2: the domain's own words for a fail, printable ASCII; may be empty */
    struct view problem;          /* temperror and permerror: what was wrong, printable ASCII, ours */
    unsigned lookups, voids;      /* used */
    bool is_secure;               /* every answer used was DNSSEC-secure */
    const struct spf_step *steps;
    size_t steps_n;
};

/* RFC7208-4: check_host(). ERR_AGAIN (the resolver cannot be asked now: no verdict), ERR_CANCELED, ERR_NO_MEMORY. Whatever
 * domains publish is a verdict. */
enum err spf_check(const struct spf_env *env, const struct spf_query *query, struct arena *arena,
                   struct spf_verdict *out) MUST_CHECK;

const char *spf_result_name(enum spf_result result); /* "pass" */

/* The reply for a message that is refused for its verdict: RFC7208-8.4 to 8.7 with the codes of RFC7372-3.2. */
struct spf_reply {
    unsigned code;      /* 550, 451 */
    const char *status; /* "5.7.23"; NULL: this verdict refuses nothing */
};
struct spf_reply spf_reply(enum spf_result result);
/* Text for that reply: what failed, and the domain's explanation marked as its own (RFC7208-6.2). Printable ASCII. */
void buf_put_spf_reply_text(struct buf *buf, const struct spf_verdict *verdict);

/* RFC8601-2.7.2: the result for an Authentication-Results field. Views of the verdict are kept. */
enum err spf_add_authres(const struct spf_verdict *verdict, struct authres *authres, struct arena *arena) MUST_CHECK;

/* RFC7208-9.1: a whole Received-SPF field with CRLF, folded, harmless whatever the sender wrote. */
void buf_put_received_spf(struct buf *buf, const struct spf_env *env, const struct spf_query *query,
                          const struct spf_verdict *verdict);

#endif
