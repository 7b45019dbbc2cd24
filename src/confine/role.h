/* The processes of the house (docs/ARCHITECTURE.md): the names that tables, titles and logs use. */
#ifndef CONFINE_ROLE_H
#define CONFINE_ROLE_H

#include "base/view.h"

enum role {
    ROLE_SUPERVISOR,
    ROLE_RESOLVER,
    ROLE_DIRECTORY,
    ROLE_EDGE,
    ROLE_WEB,
    ROLE_MAILBOX,
    ROLE_QUEUE,
    ROLE_COURIER,
    ROLE_POSTMASTER,
    ROLE_COUNT
};

/* "edge"; never NULL, "?" for a value out of range. */
const char *role_name(enum role role);
/* ERR_NOT_FOUND for a name that is none. */
enum err role_from_name(struct view name, enum role *out) MUST_CHECK;

#endif
