/*
 * The rules of a simulated network: what a test or the simulation does to the
 * connections of a `struct net` made by net_new_sim(). Addresses name the
 * listening side; port 0 means every port of that address.
 */
#ifndef LOOP_NET_SIM_H
#define LOOP_NET_SIM_H

#include "loop/net.h"

/* Each way of a connection takes between the two times, drawn anew for each write; order is kept. At first 0. */
void net_sim_set_latency(struct net *net, int64_t least_us, int64_t most_us);

enum net_sim_fate {
    NET_SIM_REACHED,     /* as if there were no rule */
    NET_SIM_REFUSED,     /* connecting fails with ERR_CLOSED */
    NET_SIM_UNREACHABLE, /* with ERR_IO */
    NET_SIM_BLACKHOLE,   /* connecting ends at its deadline */
};
/* What happens to connections made from now on. */
enum err net_sim_set_fate(struct net *net, const struct netaddr *addr, enum net_sim_fate fate) MUST_CHECK;
/* Connections made from now on to addr break at their n-th write (1 is the first; both sides' writes count), after a
 * random part of its octets. 0: not at all. */
enum err net_sim_set_cut(struct net *net, const struct netaddr *addr, uint64_t nth) MUST_CHECK;
/* Breaks every connection there is to addr; returns how many. */
size_t net_sim_break(struct net *net, const struct netaddr *addr);
/* How many writes all connections have made so far: the range a fault loop cuts in. */
uint64_t net_sim_writes(const struct net *net);
/* The most octets under way in one direction of connections made from now on (at first 64 KiB). */
void net_sim_set_capacity(struct net *net, size_t capacity);

#endif
