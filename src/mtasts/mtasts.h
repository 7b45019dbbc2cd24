/*
 * SMTP MTA Strict Transport Security (RFC 8461): the record that says there is a
 * policy, the policy, whether a mail exchanger is one of it, and when what is
 * remembered of it holds. Also our own record and policy, written.
 *
 * Pure but for one question to DNS. Fetching by HTTPS is the caller's: see the
 * rules at mtasts_put_url().
 */
#ifndef MTASTS_MTASTS_H
#define MTASTS_MTASTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "dns/client.h"

#define MTASTS_ID_MAX 32                     /* RFC8461-3.1: 1*32(ALPHA / DIGIT) */
#define MTASTS_NAME_MAX 32                   /* RFC8461-3.1, RFC8461-3.2: of a field */
#define MTASTS_POLICY_MAX (64 * 1024)        /* RFC8461-3.3: "a suggested maximum policy size 64 kilobytes" */
#define MTASTS_MX_MAX 1000                   /* patterns; 64 KiB hold a few thousand, and nobody has them */
#define MTASTS_MAX_AGE_MAX 31557600          /* RFC8461-3.2: seconds; more counts as this */
#define MTASTS_FETCH_US (60 * US_PER_S)      /* RFC8461-3.3: "A suggested timeout is one minute" */
#define MTASTS_RETRY_US (300 * US_PER_S)     /* RFC8461-3.3: "five minutes or longer per version ID" */
#define MTASTS_REFRESH_US (86400 * US_PER_S) /* RFC8461-3.3: "once per day" */
/* RFC8461-10.2: a policy that is forgotten after a minute protects nobody; but what a domain says, it says. */

/* ---- the record */

/* RFC8461-3.1: whether the text begins as such a record does. */
bool mtasts_record_is_one(struct view text);
/* The id, a view of text. ERR_SYNTAX: not by its grammar, or no id. Unknown fields are skipped; of two ids the first counts. */
enum err mtasts_record_parse(struct view text, struct view *id) MUST_CHECK;

enum mtasts_found {
    MTASTS_NOTHING,   /* no record: the domain has no policy that can be found */
    MTASTS_RECORD,    /* with an id */
    MTASTS_INVALID,   /* several, or one that cannot be read: RFC8461-3.1, as if there were none */
    MTASTS_NO_ANSWER, /* DNS has trouble, or is forged */
};
struct mtasts_discovery {
    enum mtasts_found found;
    struct view id;      /* RECORD */
    struct view text;    /* the record as published: RECORD, and INVALID if there is one; else empty */
    uint32_t candidates; /* records that begin as one */
};
/* Asks for _mta-sts.DOMAIN. ERR_AGAIN, ERR_CANCELED, ERR_NO_MEMORY, ERR_LIMIT; all else is found. */
enum err mtasts_discover(struct dns_client *client, struct view domain, struct arena *arena,
                         struct mtasts_discovery *out) MUST_CHECK;

/* ---- the policy */

enum mtasts_mode { MTASTS_NONE, MTASTS_TESTING, MTASTS_ENFORCE };
struct mtasts_policy {
    enum mtasts_mode mode;
    uint32_t max_age_s;
    const struct view *mx; /* patterns, lower-case */
    size_t mx_n;           /* at least one unless the mode is none */
};
/*
 * RFC8461-3.2. Lines end with LF or CRLF. Unknown fields are skipped, and of a field that comes twice (other than mx) the first
 * counts; nothing else is forgiven, since what is read differently by two is a hole. ERR_SYNTAX and *why (ours, printable
 * ASCII) for people and for reports (RFC8460-4.3.2.2); ERR_LIMIT: MTASTS_POLICY_MAX or the arena.
 */
enum err mtasts_policy_parse(struct arena *arena, struct view text, struct mtasts_policy *out,
                             const char **why) MUST_CHECK;
/* RFC8461-3.2: a media type that may carry a policy: text/plain, whatever its parameters. */
bool mtasts_media_type_is_right(struct view content_type);
/* RFC8461-4.1. host: as its MX record spells it. "*.example.com" is one label more, never less or two. */
bool mtasts_policy_has(const struct mtasts_policy *policy, struct view host);
bool mtasts_pattern_is_one(struct view pattern);
const char *mtasts_mode_name(enum mtasts_mode mode); /* "enforce" */

/* ---- what is remembered of a domain */

struct mtasts_cached {
    bool has_policy;
    struct view id;        /* of the record when it was fetched */
    int64_t fetched_us;    /* wall clock */
    uint32_t max_age_s;    /* of the policy */
    enum mtasts_mode mode; /* of the policy */
    int64_t tried_us;      /* the last fetch that failed, 0: none since the last that did not */
    struct view tried_id;  /* what it was for */
};
struct mtasts_plan {
    bool
        use_cached; /* the cached policy holds now: RFC8461-3.3, also while a new one is fetched, and when that fails */
    bool fetch;     /* fetch by HTTPS, now */
    bool warn;      /* RFC8461-3.3: a policy is about to be lost, and its owner's host does not answer: for the log */
};
/* What to do before a delivery or by schedule. now_us: wall clock. A policy from the future (a clock that was put back) counts
 * as fetched now. */
struct mtasts_plan mtasts_plan(const struct mtasts_cached *cached, const struct mtasts_discovery *discovery,
                               int64_t now_us);
/* Until when a cached policy holds, wall clock. */
int64_t mtasts_expires_us(const struct mtasts_cached *cached);

/* ---- what to do with an exchanger */

enum mtasts_action {
    MTASTS_NO_MATTER,       /* no policy, or mode none: as if there were no MTA-STS */
    MTASTS_TEST,            /* try to meet the policy; deliver in any case, and report a failure */
    MTASTS_VERIFY,          /* TLS with a certificate for the host by a known authority, or not this host */
    MTASTS_NOT_LISTED,      /* not this host */
    MTASTS_TEST_NOT_LISTED, /* deliver, and report the host */
};
/* RFC8461-5. policy NULL: none holds. RFC8461-2: when DANE says anything but opportunistic, DANE alone decides: do not ask. */
enum mtasts_action mtasts_action(const struct mtasts_policy *policy, struct view host);

/* ---- written */

/* RFC8461-3.2: "https://mta-sts.DOMAIN/.well-known/mta-sts.txt". Of the fetch RFC8461-3.3 wants: a certificate for the host by a known
 * authority (DNS-ID), status 200 alone, no redirects, no cache, MTASTS_FETCH_US, MTASTS_POLICY_MAX. */
void buf_put_mtasts_url(struct buf *buf, struct view domain);
/* A policy with CRLF line ends. */
void buf_put_mtasts_policy(struct buf *buf, const struct mtasts_policy *policy);
/* "v=STSv1; id=...;" for _mta-sts.DOMAIN */
void buf_put_mtasts_record(struct buf *buf, struct view id);
/* An id that changes when the policy does: of its octets. */
void buf_put_mtasts_id(struct buf *buf, const struct mtasts_policy *policy);
/* The policy's lines as a report has them (RFC8460-4.5). Views into text, at most max; how many. */
size_t mtasts_policy_lines(struct view text, struct view *lines, size_t max);

#endif
