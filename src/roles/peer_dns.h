/* Names through the resolver role, for libraries that take a struct dns_client. */
#ifndef ROLES_PEER_DNS_H
#define ROLES_PEER_DNS_H

#include "dns/client.h"
#include "roles/role.h"

#define PEER_DNS_US (20 * US_PER_S) /* one question */

struct peer_dns {
    struct dns_client client; /* first */
    struct loop *loop;
    struct role_peer *resolver;
    const struct message_type *message; /* the asking role's dns_lookup */
    int64_t deadline_us;                /* of all questions together, monotonic */
};

/* Everything is kept by pointer. A resolver that was started anew is asked once more; what fails then is ERR_AGAIN: our own
 * trouble, not the domain's. */
void peer_dns_init(struct peer_dns *dns, struct loop *loop, struct role_peer *resolver,
                   const struct message_type *message, int64_t deadline_us);

#endif
