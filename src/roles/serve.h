/*
 * `veredus serve` and `localserve`: from a configuration to a running tree of
 * processes, in the foreground, until a signal.
 */
#ifndef ROLES_SERVE_H
#define ROLES_SERVE_H

#include "config/config.h"
#include "roles/messages.h"
#include "roles/title.h"

#define SERVE_GRACE_US (10 * US_PER_S) /* for a clean stop; then what is left is killed */
#define SERVE_CONTROL_SOCKET "control" /* in the data directory */

struct serve_params {
    const struct config *config;
    const struct title *title;
    const struct seed_account *seeds; /* localserve */
    size_t seeds_n;
    /* Called once when every listener accepts; prints what people need. */
    void (*ready)(void *ctx);
    void *ctx;
};
/* Returns the exit status. Everything that goes wrong is one line on stderr with its remedy. */
int serve_run(const struct serve_params *params);

#endif
