/*
 * DNS lists of addresses and domains (RFC 5782): black lists, white lists, and
 * whether a list is alive. Pure but for the questions it asks.
 */
#ifndef DNSBL_DNSBL_H
#define DNSBL_DNSBL_H

#include "authres/authres.h"
#include "base/arena.h"
#include "base/netaddr.h"
#include "dns/client.h"

#define DNSBL_CODES_MAX 16   /* addresses looked at in one answer */
#define DNSBL_REASON_MAX 300 /* octets of the list's text that are kept */

enum dnsbl_status {
    DNSBL_UNLISTED,
    DNSBL_LISTED,
    DNSBL_REFUSED,     /* the list answers, but not us: 127.255.255.0/24, by custom */
    DNSBL_BROKEN,      /* an answer outside 127.0.0.0/8: RFC5782-2.1 has none; a parked domain */
    DNSBL_TEMPORARY,   /* no answer */
    DNSBL_NO_QUESTION, /* the list's name and the subject make no domain name */
};
struct dnsbl_answer {
    enum dnsbl_status status;
    struct netaddr codes[DNSBL_CODES_MAX]; /* LISTED, REFUSED: 127.x.y.z, RFC5782-2.3 */
    size_t codes_n;
    struct view reason; /* LISTED: the list's own text (RFC5782-2.1), printable ASCII; may be empty */
    bool is_secure;
};

/* zone: the list, "zen.example". ERR_AGAIN, ERR_CANCELED, ERR_NO_MEMORY; all else is a status. */
enum err dnsbl_check_ip(struct dns_client *client, struct view zone, const struct netaddr *ip, struct arena *arena,
                        struct dnsbl_answer *out) MUST_CHECK;
/* RFC5782-3: a list of names. domain: A-labels. */
enum err dnsbl_check_domain(struct dns_client *client, struct view zone, struct view domain, struct arena *arena,
                            struct dnsbl_answer *out) MUST_CHECK;

/* RFC5782-5: a living list has its test entry and does not have the opposite one. */
enum dnsbl_kind { DNSBL_IPV4, DNSBL_IPV6, DNSBL_DOMAINS };
enum dnsbl_health {
    DNSBL_HEALTHY,
    DNSBL_DEAD,           /* the test entry is missing: the list has gone */
    DNSBL_LISTS_ALL,      /* it lists what must never be listed: do not believe it */
    DNSBL_HEALTH_UNKNOWN, /* no answer, or not for us */
};
enum err dnsbl_check_health(struct dns_client *client, struct view zone, enum dnsbl_kind kind, struct arena *arena,
                            enum dnsbl_health *out) MUST_CHECK;
const char *dnsbl_status_name(enum dnsbl_status status);
const char *dnsbl_health_name(enum dnsbl_health health);

/* RFC8904-2: what a white list says, for an Authentication-Results field: dnswl with dns.zone, policy.ip, policy.txt and
 * dns.sec. zone and the answer's views are kept. */
enum err dnsbl_add_authres(const struct dnsbl_answer *answer, struct view zone, struct authres *authres,
                           struct arena *arena) MUST_CHECK;

/* The question's name: RFC5782-2.1 (IPv4), 2.4 (IPv6 nibbles). ERR_LIMIT of buf. */
void buf_put_dnsbl_ip_name(struct buf *buf, const struct netaddr *ip, struct view zone);

#endif
