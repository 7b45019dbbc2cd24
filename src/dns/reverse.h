/* From addresses to names and back: reverse mapping (RFC1035-3.5, RFC3596-2.5), and "iprev" (RFC8601-3). */
#ifndef DNS_REVERSE_H
#define DNS_REVERSE_H

#include "base/netaddr.h"
#include "dns/client.h"

/* Octets or nibbles, last first, with a dot after each: "1.2.0.192." for 192.0.2.1. */
void buf_put_reversed_ip(struct buf *buf, const struct netaddr *ip);
/* "1.2.0.192.in-addr.arpa", "...ip6.arpa" */
void buf_put_reverse_name(struct buf *buf, const struct netaddr *ip);
#define DNS_VALIDATED_MAX 10 /* RFC7208-4.6.4: names beyond the first ten are ignored */
/* The names of an address that have the address again (RFC7208-5.5, RFC8601-3). */
struct dns_validated {
    struct view names[DNS_VALIDATED_MAX]; /* those that hold, in the order of the answer */
    size_t n;
    size_t asked;           /* names that the reverse mapping has, at most DNS_VALIDATED_MAX */
    struct view first;      /* the first of those, whether it holds or not; empty: none */
    enum dns_status status; /* of the question for PTR */
    bool is_temporary;      /* a question for an address had no answer */
    bool is_secure;         /* every answer that led here was */
};
/* ERR_AGAIN, ERR_CANCELED, ERR_NO_MEMORY; all else is in *out. */
enum err dns_validate_names(struct dns_client *client, const struct netaddr *ip, struct arena *arena,
                            struct dns_validated *out) MUST_CHECK;

/* RFC8601-2.7.3 */
enum iprev_result { IPREV_PASS, IPREV_FAIL, IPREV_TEMPERROR, IPREV_PERMERROR };
struct iprev {
    enum iprev_result result;
    struct view name; /* pass: the first name that holds; else the first of the reverse mapping, or empty */
};
enum err iprev_check(struct dns_client *client, const struct netaddr *ip, struct arena *arena,
                     struct iprev *out) MUST_CHECK;
const char *iprev_result_name(enum iprev_result result); /* "pass" */

#endif
