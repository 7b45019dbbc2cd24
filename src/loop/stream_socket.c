/* Streams over connected sockets. */
#include "loop/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One send() at most: a large write lets others have their turn in between. */
#define SEND_PIECE ((size_t)128 * 1024)

struct socket_stream {
    struct stream stream;
    int fd;
    struct watch *watch;
    bool is_shut; /* our FIN is out */
};

/* The peer's end, however it came, is ERR_CLOSED; the rest is the machine's trouble. */
static enum err class_of(int errno_value) {
    switch (errno_value) {
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
    case ETIMEDOUT: /* keep-alive found it dead */
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}

/* MSG_DONTWAIT: who passed us the descriptor still shares its flags, and could make it blocking. */
static enum err socket_read(struct stream *stream, void *p, size_t cap, int64_t deadline_us, size_t *got) {
    struct socket_stream *s = (struct socket_stream *)stream;
    TRY(co_breathe()); /* a peer that always has more to say does not get the loop for itself */
    for (;;) {
        ssize_t n = recv(s->fd, p, cap, MSG_DONTWAIT);
        if (n > 0) {
            *got = (size_t)n;
            return ERR_OK;
        }
        if (n == 0)
            return ERR_CLOSED;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return class_of(errno);
        TRY(watch_wait(s->watch, WATCH_READ, deadline_us));
    }
}

static enum err socket_write(struct stream *stream, struct view v, int64_t deadline_us) {
    struct socket_stream *s = (struct socket_stream *)stream;
    if (s->is_shut)
        return ERR_CLOSED;
    while (v.n > 0) {
        TRY(co_breathe());
        ssize_t n = send(s->fd, v.p, MIN(v.n, SEND_PIECE), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            v = view_skip(v, (size_t)n);
        else if (errno == EAGAIN)
            TRY(watch_wait(s->watch, WATCH_WRITE, deadline_us));
        else if (errno != EINTR)
            return class_of(errno);
    }
    return ERR_OK;
}

static void socket_interrupt(struct stream *stream) {
    watch_interrupt(((struct socket_stream *)stream)->watch);
}

static void socket_shutdown(struct stream *stream) {
    struct socket_stream *s = (struct socket_stream *)stream;
    if (!s->is_shut)
        (void)shutdown(s->fd, SHUT_WR);
    s->is_shut = true;
}

static int socket_dup_fd(struct stream *stream) {
    return fcntl(((struct socket_stream *)stream)->fd, F_DUPFD_CLOEXEC, 0);
}

static int socket_take_fd(struct stream *stream) {
    struct socket_stream *s = (struct socket_stream *)stream;
    int fd = s->fd;
    watch_free(s->watch);
    free(s);
    return fd;
}

static void socket_free(struct stream *stream) {
    close(socket_take_fd(stream));
}

static const struct stream_ops socket_ops = {
    .read = socket_read,
    .write = socket_write,
    .interrupt = socket_interrupt,
    .shutdown = socket_shutdown,
    .take_fd = socket_take_fd,
    .dup_fd = socket_dup_fd,
    .free = socket_free,
};

enum err stream_new_socket(struct loop *loop, int fd, struct stream **out) {
    struct socket_stream *s = calloc(1, sizeof(*s));
    enum err err = s == NULL ? ERR_NO_MEMORY : watch_new(loop, fd, &s->watch);
    if (err != ERR_OK) {
        free(s);
        close(fd);
        return err;
    }
    s->stream.ops = &socket_ops;
    s->stream.loop = loop;
    s->fd = fd;
    /* A local socket has no such address, a peer that is gone already has none any more: then there is none. */
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof(sa);
    if (getpeername(fd, (struct sockaddr *)&sa, &n) == 0 && netaddr_from_sockaddr(&sa, &s->stream.peer) != ERR_OK)
        s->stream.peer = (struct netaddr){0};
    n = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &n) == 0 && netaddr_from_sockaddr(&sa, &s->stream.local) != ERR_OK)
        s->stream.local = (struct netaddr){0};
    *out = &s->stream;
    return ERR_OK;
}
