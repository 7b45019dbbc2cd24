/*
 * Pairs of streams in memory, with hooks for the simulated network; internal to
 * loop/ (the simulation sets rules through loop/net_sim.h).
 */
#ifndef LOOP_STREAM_PAIR_H
#define LOOP_STREAM_PAIR_H

#include "loop/stream.h"

/* Asked by both ends. The hooks' owner may go away before the streams: `gone` is not called then, see pair_unhook. */
struct pair_hooks {
    /* How long the octets written now are under way; NULL: not at all. Later octets never overtake earlier ones. */
    int64_t (*delay_us)(struct pair_hooks *hooks);
    /* Called at each write; how many of its n octets go out before the connection breaks; n: it does not break. */
    size_t (*cut)(struct pair_hooks *hooks, size_t n);
    /* Both ends are freed. */
    void (*gone)(struct pair_hooks *hooks);
};
/* hooks may be NULL. */
enum err stream_new_pair_hooked(struct loop *loop, size_t capacity, struct pair_hooks *hooks, struct stream **a,
                                struct stream **b) MUST_CHECK;
/* Breaks the connection of which stream is an end: what is under way is lost, both ends are closed. */
void stream_pair_break(struct stream *stream);

#endif
