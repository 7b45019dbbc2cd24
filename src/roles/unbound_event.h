/*
 * libunbound on our loop: its pluggable event base (unbound-event.h) over
 * watches and timers. libunbound expects level-triggered readiness and our
 * watches are edge-triggered: after each callback the descriptor is asked again.
 */
#ifndef ROLES_UNBOUND_EVENT_H
#define ROLES_UNBOUND_EVENT_H

#include "loop/loop.h"

struct ub_event_base;

/* loop may be NULL until unbound_base_set_loop(): the library's context is made before there is a loop. NULL without memory. */
struct ub_event_base *unbound_base_new(void);
void unbound_base_set_loop(struct ub_event_base *base, struct loop *loop);
/* All events must be gone: ub_ctx_delete() first. */
void unbound_base_free(struct ub_event_base *base);

#endif
