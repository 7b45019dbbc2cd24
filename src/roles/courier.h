/* The courier role's parts that others, and tests, see. */
#ifndef ROLES_COURIER_H
#define ROLES_COURIER_H

#include "roles/role.h"
#include "tls/tls.h"

#define SMTP_PORT 25
#define DNS_NAME_MAX 255         /* what a question can carry */
#define COURIER_ATTEMPTS_MAX 128 /* at once; the queue makes fewer */
/* All hosts of one attempt together: RFC5321-4.5.3.2 gives one connection up to half an hour when it is slow everywhere. */
#define COURIER_ATTEMPT_US (1800 * US_PER_S)

/* Loopback and private addresses are no place for mail, except loopback under localserve. */
bool courier_may_connect(const struct netaddr *address, bool localserve);

#endif
