/* Names of roles. */
#include "confine/role.h"

static const char *const names[ROLE_COUNT] = {
    [ROLE_SUPERVISOR] = "supervisor",
    [ROLE_RESOLVER] = "resolver",
    [ROLE_DIRECTORY] = "directory",
    [ROLE_EDGE] = "edge",
    [ROLE_WEB] = "web",
    [ROLE_MAILBOX] = "mailbox",
    [ROLE_QUEUE] = "queue",
    [ROLE_COURIER] = "courier",
    [ROLE_POSTMASTER] = "postmaster",
};

const char *role_name(enum role role) {
    return (unsigned)role < ROLE_COUNT ? names[role] : "?";
}

enum err role_from_name(struct view name, enum role *out) {
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        if (view_eq(name, view_cstr(names[i]))) {
            *out = (enum role)i;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}
