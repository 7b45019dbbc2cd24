/* The table of roles. */
#include "roles/role.h"

const struct role_def *const role_defs[ROLE_COUNT] = {
    [ROLE_RESOLVER] = &role_resolver,     [ROLE_DIRECTORY] = &role_directory, [ROLE_EDGE] = &role_edge,
    [ROLE_MAILBOX] = &role_mailbox,       [ROLE_QUEUE] = &role_queue,         [ROLE_COURIER] = &role_courier,
    [ROLE_POSTMASTER] = &role_postmaster,
};
