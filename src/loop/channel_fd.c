/*
 * The transport between processes: a SOCK_SEQPACKET socketpair. A packet is
 * sent and received whole; descriptors travel with it (SCM_RIGHTS). All
 * reading is done on the main stack, at edges of the descriptor.
 */
#include "loop/channel_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_US (10 * US_PER_MS) /* when the kernel is short of memory, which gives no edge */

union control {
    struct cmsghdr align;
    char octets[CMSG_SPACE(CHANNEL_HANDLES_MAX * sizeof(int))];
};

/* ---- sending ---- */

static enum err fd_pack(struct outgoing *out) {
    for (size_t i = 0; i < out->handles_n; i++) {
        if (out->handles[i].kind == HANDLE_NONE)
            continue;
        TRY(handle_to_fd(&out->handles[i], &out->fds[out->fds_n]));
        out->fds_n++;
    }
    return ERR_OK;
}

static int send_packet(int fd, const struct outgoing *out) {
    union control control;
    struct iovec iov = {.iov_base = out->octets.p, .iov_len = out->octets.n};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (out->fds_n > 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.octets;
        message.msg_controllen = CMSG_SPACE(out->fds_n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(out->fds_n * sizeof(int));
        memcpy(CMSG_DATA(c), out->fds, out->fds_n * sizeof(int));
    }
    while (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        if (errno != EINTR)
            return errno;
    }
    return 0;
}

static void drop_all(struct channel *c) {
    for (struct outgoing *out; (out = channel_dequeue(c)) != NULL;)
        outgoing_free(out);
}

static void fd_flush(struct channel *c) {
    while (c->out_first != NULL && c->fd >= 0 && !c->is_blocked) {
        int failed = c->is_mute ? EPIPE : send_packet(c->fd, c->out_first);
        if (failed == EAGAIN || failed == EWOULDBLOCK) {
            c->is_blocked = true;
            watch_want(c->watch, WATCH_READ | WATCH_WRITE);
            return;
        }
        if (failed == ENOBUFS || failed == ENOMEM || failed == ETOOMANYREFS) {
            timer_arm(c->kick, loop_now_us(c->loop) + RETRY_US);
            return;
        }
        if (failed != 0) {
            /* The peer is gone. What it said before is still to be read: the end is found there. */
            c->is_mute = true;
            drop_all(c);
            return;
        }
        outgoing_free(channel_dequeue(c));
    }
}

/* ---- receiving ---- */

/* Collects the descriptors of a packet; whatever does not fit is closed. */
static size_t take_fds(struct msghdr *message, int fds[CHANNEL_HANDLES_MAX], bool *is_surplus) {
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (n < CHANNEL_HANDLES_MAX) {
                fds[n++] = fd;
            } else {
                (void)close(fd);
                *is_surplus = true;
            }
        }
    }
    return n;
}

/* Makes the handles that the packet announces; every descriptor is used or closed. */
static enum err make_handles(struct channel *c, const struct packet *packet, const int *fds, size_t n,
                             struct handle *handles) {
    enum err err = ERR_OK;
    size_t used = 0;
    for (size_t i = 0; i < packet->handles_n && err == ERR_OK; i++) {
        if (packet->kinds[i] == HANDLE_NONE)
            continue;
        if (used == n)
            err = ERR_SYNTAX;
        else
            err = handle_from_fd(c->loop, packet->kinds[i], fds[used++], &handles[i]);
    }
    if (used < n && err == ERR_OK)
        err = ERR_SYNTAX;
    for (; used < n; used++)
        (void)close(fds[used]);
    return err;
}

static void take_packet(struct channel *c, struct view octets, struct msghdr *message) {
    int fds[CHANNEL_HANDLES_MAX];
    bool is_surplus = false;
    size_t n = take_fds(message, fds, &is_surplus);
    struct handle handles[CHANNEL_HANDLES_MAX] = {{HANDLE_NONE, {NULL}}};
    struct packet packet = {.handles_n = 0};
    enum err err = ERR_SYNTAX;
    if (!is_surplus && !(message->msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        err = packet_parse(octets, &packet);
    if (err != ERR_OK)
        packet.handles_n = 0;
    enum err made = make_handles(c, &packet, fds, n, handles);
    if (err == ERR_OK)
        err = made;
    if (err == ERR_OK) {
        channel_receive(c, &packet, handles);
    } else {
        handles_close(handles, CHANNEL_HANDLES_MAX);
        channel_sever(c, err == ERR_SYNTAX ? ERR_SYNTAX : ERR_CLOSED);
    }
}

static void fd_read(struct channel *c) {
    uint8_t octets[CHANNEL_PACKET_MAX];
    bool was_reset = false;
    for (int i = 0; i < CHANNEL_READ_BATCH; i++) {
        if (c->fd < 0 || c->is_paused)
            return;
        union control control;
        struct iovec iov = {.iov_base = octets, .iov_len = sizeof(octets)};
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.octets, .msg_controllen = sizeof(control.octets)};
        ssize_t n = recvmsg(c->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0 && errno == ECONNRESET && !was_reset) {
            was_reset = true; /* it left without reading all of ours; what it sent before can be read now */
            continue;
        }
        if (n > 0) {
            take_packet(c, view_of(octets, (size_t)n), &message);
            continue;
        }
        if (n == 0) { /* the end, or an empty packet, which nobody of ours sends */
            int fds[CHANNEL_HANDLES_MAX];
            bool is_surplus = false;
            for (size_t k = take_fds(&message, fds, &is_surplus); k > 0; k--)
                (void)close(fds[k - 1]);
        }
        channel_sever(c, ERR_CLOSED);
        return;
    }
    timer_arm(c->kick, loop_now_us(c->loop)); /* others have their turn */
}

static void go_on(void *ctx) {
    struct channel *c = ctx;
    channel_ref(c);
    if (c->is_blocked) {
        c->is_blocked = false;
        /* The socket becomes writable each time the peer reads: no news unless we wait for it. */
        watch_want(c->watch, WATCH_READ);
    }
    fd_flush(c);
    serve_pump(c); /* the replies that left may let others start */
    fd_read(c);
    channel_unref(c);
}

static void fd_resume(struct channel *c) {
    timer_arm(c->kick, loop_now_us(c->loop));
}

/* ---- lifetime ---- */

static enum err fd_start(struct channel *c) {
    c->kick = timer_new(c->loop, go_on, c);
    if (c->kick == NULL)
        return ERR_NO_MEMORY;
    enum err err = watch_new(c->loop, c->fd, &c->watch);
    if (err != ERR_OK) {
        timer_free(c->kick);
        c->kick = NULL;
        return err;
    }
    watch_on_ready(c->watch, go_on, c);
    watch_want(c->watch, WATCH_READ);
    timer_arm(c->kick, loop_now_us(c->loop)); /* what came before we watched */
    return ERR_OK;
}

static void fd_sever(struct channel *c) {
    if (c->is_freed && c->is_started && !c->is_mute) {
        c->is_blocked = false;
        fd_flush(c); /* what fits at once */
    }
    watch_free(c->watch);
    c->watch = NULL;
    if (c->kick != NULL)
        timer_disarm(c->kick);
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

static int fd_take(struct channel *c) {
    int fd = c->fd;
    c->fd = -1;
    return fd;
}

static void fd_destroy(struct channel *c) {
    timer_free(c->kick);
}

const struct transport channel_transport_fd = {
    .start = fd_start,
    .pack = fd_pack,
    .flush = fd_flush,
    .resume = fd_resume,
    .sever = fd_sever,
    .take_fd = fd_take,
    .destroy = fd_destroy,
    .may_take_back = true,
};

enum err channel_new_fd(struct loop *loop, int fd, struct channel **out) {
    struct channel *c;
    enum err err = channel_make(loop, &channel_transport_fd, &c);
    if (err != ERR_OK) {
        (void)close(fd);
        return err;
    }
    c->fd = fd;
    *out = c;
    return ERR_OK;
}

enum err channel_socketpair(int fds[2]) {
    int made[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, made) != 0)
        return err_from_errno(errno);
    fds[0] = made[0];
    fds[1] = made[1];
    return ERR_OK;
}
