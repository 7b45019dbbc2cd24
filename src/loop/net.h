/* The network as an interface: the machine's, or a simulated one (test/sim). */
#ifndef LOOP_NET_H
#define LOOP_NET_H

#include "loop/stream.h"

struct net;
struct listener;

struct listener_ops {
    enum err (*accept)(struct listener *listener, int64_t deadline_us, struct stream **out);
    int (*fd)(struct listener *listener); /* -1 when simulated; still owned */
    void (*free)(struct listener *listener);
};
struct listener {
    const struct listener_ops *ops;
    struct loop *loop;
    struct netaddr local;
};
struct net_ops {
    enum err (*listen)(struct net *net, const struct netaddr *local, struct listener **out);
    enum err (*connect)(struct net *net, const struct netaddr *peer, const struct netaddr *local, int64_t deadline_us,
                        struct stream **out);
    void (*free)(struct net *net);
};
struct net {
    const struct net_ops *ops;
    struct loop *loop;
};

struct net *net_new(struct loop *loop); /* the machine's */
/* Simulated: connect() reaches listeners of the same struct net; seeded delays and cuts can be set in loop/net_sim.h. */
struct net *net_new_sim(struct loop *loop, struct random *random);
void net_free(struct net *net);
/* ERR_EXISTS when the port is taken, ERR_DENIED when it is not ours to take. IPv6 sockets are v6-only. */
enum err net_listen(struct net *net, const struct netaddr *local, struct listener **out) MUST_CHECK;
/* ERR_CLOSED refused, ERR_TIMEOUT, ERR_IO unreachable. local may be NULL. */
enum err net_connect(struct net *net, const struct netaddr *peer, const struct netaddr *local, int64_t deadline_us,
                     struct stream **out) MUST_CHECK;
/* A listening descriptor received over a channel. Takes it over. */
enum err listener_new_fd(struct loop *loop, int fd, struct listener **out) MUST_CHECK;
/* The descriptor alone, before any loop exists (supervisor). -errno on failure. */
int net_listen_fd(const struct netaddr *local);
/* Too few descriptors (EMFILE) is ERR_FULL: pause and try again; aborted connections are skipped. */
enum err listener_accept(struct listener *listener, int64_t deadline_us, struct stream **out) MUST_CHECK;
void listener_free(struct listener *listener);

#endif
