/* The machine's network: TCP sockets. */
#include "loop/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024
/* RFC5321-4.5.3.2 and RFC3501-5.4 have sessions wait for minutes; a peer that vanished is noticed below that. */
#define KEEPALIVE_IDLE_S 300
#define KEEPALIVE_INTERVAL_S 60
#define KEEPALIVE_COUNT 5

enum err net_listen(struct net *net, const struct netaddr *local, struct listener **out) {
    return net->ops->listen(net, local, out);
}

enum err net_connect(struct net *net, const struct netaddr *peer, const struct netaddr *local, int64_t deadline_us,
                     struct stream **out) {
    return net->ops->connect(net, peer, local, deadline_us, out);
}

void net_free(struct net *net) {
    if (net != NULL)
        net->ops->free(net);
}

enum err listener_accept(struct listener *listener, int64_t deadline_us, struct stream **out) {
    return listener->ops->accept(listener, deadline_us, out);
}

void listener_free(struct listener *listener) {
    if (listener != NULL)
        listener->ops->free(listener);
}

/* ---- sockets ---- */

static void set(int fd, int level, int option, int value) {
    /* Each is an improvement, none a condition: a confined role may not be allowed it. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static void tune(int fd) {
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* replies are written whole; waiting for more only delays them */
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
}

static int open_socket(const struct netaddr *addr) {
    int family = addr->family == 6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return -errno;
    if (family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    return fd;
}

int net_listen_fd(const struct netaddr *local) {
    struct sockaddr_storage sa = {0};
    socklen_t n = (socklen_t)netaddr_to_sockaddr(local, &sa);
    if (n == 0)
        return -EAFNOSUPPORT;
    int fd = open_socket(local);
    if (fd < 0)
        return fd;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* a restart does not wait for the old connections' TIME_WAIT */
    if (bind(fd, (struct sockaddr *)&sa, n) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int errno_value = errno;
        close(fd);
        return -errno_value;
    }
    return fd;
}

/* ---- listeners ---- */

struct tcp_listener {
    struct listener listener;
    int fd;
    struct watch *watch;
};

static enum err tcp_accept(struct listener *listener, int64_t deadline_us, struct stream **out) {
    struct tcp_listener *l = (struct tcp_listener *)listener;
    for (;;) {
        TRY(co_breathe());
        struct sockaddr_storage sa = {0};
        socklen_t n = sizeof(sa);
        int fd = accept4(l->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            tune(fd);
            struct stream *stream;
            if (stream_new_socket(listener->loop, fd, &stream) != ERR_OK)
                return ERR_FULL; /* no memory, or no room in the epoll set */
            /* Known even when the peer is gone already. */
            struct netaddr peer;
            if (netaddr_from_sockaddr(&sa, &peer) == ERR_OK)
                stream->peer = peer;
            *out = stream;
            return ERR_OK;
        }
        switch (errno) {
        case EAGAIN:
            TRY(watch_wait(l->watch, WATCH_READ, deadline_us));
            break;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return ERR_FULL;
        case EBADF:
        case EFAULT:
        case EINVAL:
        case ENOTSOCK:
        case EOPNOTSUPP:
        case EACCES:
        case EPERM: /* also a firewall, but then of every connection: waiting would only turn the loop */
            return ERR_IO;
        default: /* accept(2): the new connection's own errors are reported here; it is gone, others are not */
            break;
        }
    }
}

static int tcp_fd(struct listener *listener) {
    return ((struct tcp_listener *)listener)->fd;
}

static void tcp_listener_free(struct listener *listener) {
    struct tcp_listener *l = (struct tcp_listener *)listener;
    watch_free(l->watch);
    close(l->fd);
    free(l);
}

static const struct listener_ops tcp_listener_ops = {.accept = tcp_accept, .fd = tcp_fd, .free = tcp_listener_free};

enum err listener_new_fd(struct loop *loop, int fd, struct listener **out) {
    struct tcp_listener *l = calloc(1, sizeof(*l));
    enum err err = l == NULL ? ERR_NO_MEMORY : watch_new(loop, fd, &l->watch);
    if (err != ERR_OK) {
        free(l);
        close(fd);
        return err;
    }
    l->listener = (struct listener){.ops = &tcp_listener_ops, .loop = loop};
    l->fd = fd;
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &n) == 0 && netaddr_from_sockaddr(&sa, &l->listener.local) != ERR_OK)
        l->listener.local = (struct netaddr){0};
    *out = &l->listener;
    return ERR_OK;
}

static enum err tcp_listen(struct net *net, const struct netaddr *local, struct listener **out) {
    int fd = net_listen_fd(local);
    if (fd >= 0)
        return listener_new_fd(net->loop, fd, out);
    switch (-fd) {
    case EADDRINUSE:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case EADDRNOTAVAIL:
        return ERR_NOT_FOUND;
    case EMFILE:
    case ENFILE:
        return ERR_FULL;
    default:
        return err_from_errno(-fd);
    }
}

/* ---- connecting ---- */

static enum err class_of_connect(int errno_value) {
    switch (errno_value) {
    case ECONNREFUSED:
        return ERR_CLOSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case EMFILE:
    case ENFILE:
        return ERR_FULL;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    default:
        return ERR_IO;
    }
}

static enum err wait_connected(struct loop *loop, int fd, int64_t deadline_us) {
    struct watch *watch;
    TRY(watch_new(loop, fd, &watch));
    enum err err;
    struct sockaddr_storage peer;
    socklen_t n;
    do {
        err = watch_wait(watch, WATCH_WRITE, deadline_us);
        if (err != ERR_OK)
            break;
        int failed = 0;
        n = sizeof(failed);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &n) != 0)
            failed = errno;
        if (failed != 0)
            err = class_of_connect(failed);
        n = sizeof(peer); /* an edge may come before the connection stands: then there is no peer */
    } while (err == ERR_OK && getpeername(fd, (struct sockaddr *)&peer, &n) != 0 && errno == ENOTCONN);
    watch_free(watch);
    return err;
}

static enum err connect_fd(struct loop *loop, int fd, const struct netaddr *peer, const struct netaddr *local,
                           int64_t deadline_us) {
    struct sockaddr_storage sa = {0};
    socklen_t n;
    if (local != NULL && local->family != 0) {
        if (local->port == 0)
            set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1); /* many peers may share one local port */
        n = (socklen_t)netaddr_to_sockaddr(local, &sa);
        if (bind(fd, (struct sockaddr *)&sa, n) != 0)
            return class_of_connect(errno);
    }
    n = (socklen_t)netaddr_to_sockaddr(peer, &sa);
    if (connect(fd, (struct sockaddr *)&sa, n) == 0)
        return ERR_OK;
    if (errno != EINPROGRESS && errno != EINTR)
        return class_of_connect(errno);
    return wait_connected(loop, fd, deadline_us);
}

static enum err tcp_connect(struct net *net, const struct netaddr *peer, const struct netaddr *local,
                            int64_t deadline_us, struct stream **out) {
    if (peer->family != 4 && peer->family != 6)
        return ERR_IO;
    if (co_is_canceled(co_current()))
        return ERR_CANCELED;
    int fd = open_socket(peer);
    if (fd < 0)
        return class_of_connect(-fd);
    tune(fd);
    enum err err = connect_fd(net->loop, fd, peer, local, deadline_us);
    if (err != ERR_OK) {
        close(fd);
        return err;
    }
    TRY(stream_new_socket(net->loop, fd, out));
    (*out)->peer = *peer;
    return ERR_OK;
}

static void tcp_free(struct net *net) {
    free(net);
}

static const struct net_ops tcp_ops = {.listen = tcp_listen, .connect = tcp_connect, .free = tcp_free};

struct net *net_new(struct loop *loop) {
    struct net *net = malloc(sizeof(*net));
    if (net != NULL)
        *net = (struct net){&tcp_ops, loop};
    return net;
}
