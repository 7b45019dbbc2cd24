/*
 * Where mail for a domain goes: RFC5321-5.1, with the null MX of RFC 7505.
 * Pure but for the questions it asks.
 */
#ifndef DNS_MX_H
#define DNS_MX_H

#include "base/random.h"
#include "dns/client.h"

#define MX_HOSTS_MAX 16     /* tried in one attempt; nobody needs more */
#define MX_ADDRESSES_MAX 16 /* of one host */

enum mx_status {
    MX_OK,
    MX_NULL,      /* RFC7505-3: the domain takes no mail */
    MX_NO_DOMAIN, /* it does not exist */
    MX_NO_HOST,   /* it exists and has neither MX nor address */
    MX_LOOP,      /* we are its best exchanger, and it is not ours */
    MX_TEMPORARY,
};
struct mx {
    enum mx_status status;
    enum dns_security security; /* of the MX answer */
    const struct view *hosts;   /* in the order to try; those of one preference in random order */
    size_t n;
    bool is_implicit; /* no MX: the domain itself */
};
/* own_host: our name (its preference and worse ones are left out), empty: none. ERR_AGAIN, ERR_CANCELED, ERR_NO_MEMORY; all else is a status. */
enum err mx_lookup(struct dns_client *client, struct view domain, struct view own_host, struct random *random,
                   struct arena *arena, struct mx *out) MUST_CHECK;

struct mx_addresses {
    struct netaddr list[MX_ADDRESSES_MAX]; /* port 0; IPv6 and IPv4 take turns, each in random order */
    size_t n;
    bool is_temporary; /* with n = 0: a question had no answer */
};
enum err mx_addresses(struct dns_client *client, struct view host, struct random *random, struct arena *arena,
                      struct mx_addresses *out) MUST_CHECK;

#endif
