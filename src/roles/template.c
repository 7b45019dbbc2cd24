/* The warm template: the protocol between it and the supervisor. */
#include "roles/template.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEMPLATE_TITLE_MAX 400
#define TEMPLATE_ANSWER_US (20 * US_PER_S)

struct template_request {
    uint32_t uid, title_n;
    char title[TEMPLATE_TITLE_MAX];
};
struct template_reply {
    int32_t pid; /* or -errno */
};

struct template_client {
    struct loop *loop;
    enum err (*start)(void *ctx, int socket_fd, pid_t *pid, int *pidfd);
    void *ctx;
    int fd, pidfd;
    struct watch *watch;
    bool busy, stale;
    struct waitq turn;
};

static enum err send_with_fds(int fd, const void *p, size_t n, const int *fds, size_t fds_n) {
    struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fds_n) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(fds_n * sizeof(int));
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(fds_n * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, fds_n * sizeof(int));
    }
    ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
    return sent == (ssize_t)n ? ERR_OK : sent < 0 ? err_from_errno(errno) : ERR_IO;
}

/* *fds_n in: room, out: received. */
static ssize_t receive_with_fds(int fd, void *p, size_t n, int *fds, size_t *fds_n) {
    struct iovec iov = {.iov_base = p, .iov_len = n};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    size_t room = *fds_n;
    *fds_n = 0;
    if (got <= 0)
        return got;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int received;
            memcpy(&received, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (*fds_n < room)
                fds[(*fds_n)++] = received;
            else
                (void)close(received);
        }
    }
    return got;
}

/* ---- the supervisor's side ---- */

static void client_drop(struct template_client *client) {
    if (client->watch)
        watch_free(client->watch);
    client->watch = NULL;
    if (client->fd >= 0)
        (void)close(client->fd); /* the template ends at EOF */
    if (client->pidfd >= 0) {
        siginfo_t info; /* it holds nothing: no last words are lost, and the wait is short */
        (void)pidfd_send_signal(client->pidfd, SIGKILL, NULL, 0);
        (void)waitid(P_PIDFD, (id_t)client->pidfd, &info, WEXITED);
        (void)close(client->pidfd);
    }
    client->fd = client->pidfd = -1;
}

static enum err client_start(struct template_client *client) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return err_from_errno(errno);
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK); /* the template's end stays blocking */
    pid_t pid;
    int pidfd = -1;
    enum err err = client->start(client->ctx, fds[1], &pid, &pidfd);
    (void)close(fds[1]);
    if (err == ERR_OK)
        err = watch_new(client->loop, fds[0], &client->watch);
    if (err != ERR_OK) {
        (void)close(fds[0]);
        if (pidfd >= 0)
            (void)close(pidfd);
        return err;
    }
    client->fd = fds[0];
    client->pidfd = pidfd;
    client->stale = false;
    return ERR_OK;
}

enum err template_client_new(struct loop *loop, enum err (*start)(void *ctx, int socket_fd, pid_t *pid, int *pidfd),
                             void *ctx, struct template_client **out) {
    struct template_client *client = calloc(1, sizeof(*client));
    if (!client)
        return ERR_NO_MEMORY;
    *client = (struct template_client){.loop = loop, .start = start, .ctx = ctx, .fd = -1, .pidfd = -1};
    enum err err = client_start(client);
    if (err != ERR_OK) {
        free(client);
        return err;
    }
    *out = client;
    return ERR_OK;
}

void template_client_free(struct template_client *client) {
    if (!client)
        return;
    client_drop(client);
    free(client);
}

void template_renew(struct template_client *client) {
    client->stale = true;
}

static enum err client_ask(struct template_client *client, const struct template_request *request, const int fds[2],
                           pid_t *pid, int *pidfd) {
    if (client->fd >= 0 && client->stale)
        client_drop(client);
    if (client->fd < 0)
        TRY(client_start(client));
    TRY(send_with_fds(client->fd, request, sizeof(*request), fds, 2));
    int64_t deadline_us = loop_now_us(client->loop) + TEMPLATE_ANSWER_US;
    for (;;) {
        struct template_reply reply;
        size_t fds_n = 1;
        int received = -1;
        ssize_t got = receive_with_fds(client->fd, &reply, sizeof(reply), &received, &fds_n);
        if (got < 0 && errno == EAGAIN) {
            TRY(watch_wait(client->watch, WATCH_READ, deadline_us));
            continue;
        }
        if (got != (ssize_t)sizeof(reply))
            return ERR_AGAIN; /* the template died */
        if (reply.pid < 0)
            return err_from_errno(-reply.pid);
        if (fds_n != 1)
            return ERR_IO;
        *pid = reply.pid;
        *pidfd = received;
        return ERR_OK;
    }
}

enum err template_fork(struct template_client *client, struct view title, uid_t uid, int channel_fd, int account_fd,
                       pid_t *pid, int *pidfd) {
    struct template_request request = {.uid = (uint32_t)uid,
                                       .title_n = (uint32_t)MIN(title.n, (size_t)TEMPLATE_TITLE_MAX)};
    memcpy(request.title, title.p, request.title_n);
    while (client->busy)
        TRY(waitq_wait(&client->turn, US_NEVER));
    client->busy = true;
    const int fds[2] = {channel_fd, account_fd};
    enum err err = client_ask(client, &request, fds, pid, pidfd);
    if (err != ERR_OK)
        client_drop(client); /* a late answer must not meet the next question */
    client->busy = false;
    waitq_wake_one(&client->turn);
    return err;
}

/* ---- the template's side ---- */

void template_serve(int socket_fd,
                    void (*child)(void *ctx, struct view title, uid_t uid, int channel_fd, int account_fd), void *ctx) {
    (void)signal(SIGCHLD, SIG_IGN); /* children are reaped by the kernel; the supervisor watches them by pidfd */
    for (;;) {
        struct template_request request;
        int fds[2];
        size_t fds_n = 2;
        ssize_t got = receive_with_fds(socket_fd, &request, sizeof(request), fds, &fds_n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != (ssize_t)sizeof(request) || fds_n != 2 || request.title_n > TEMPLATE_TITLE_MAX)
            return;
        pid_t pid = fork();
        if (pid == 0) {
            (void)signal(SIGCHLD, SIG_DFL);
            (void)close(socket_fd);
            child(ctx, view_of(request.title, request.title_n), (uid_t)request.uid, fds[0], fds[1]);
            _exit(1);
        }
        struct template_reply reply = {.pid = pid < 0 ? -errno : (int32_t)pid};
        int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
        if (pid > 0 && pidfd < 0)
            reply.pid = -errno;
        enum err err = send_with_fds(socket_fd, &reply, sizeof(reply), &pidfd, pidfd >= 0 ? 1 : 0);
        if (pidfd >= 0)
            (void)close(pidfd);
        (void)close(fds[0]);
        (void)close(fds[1]);
        if (err != ERR_OK)
            return;
    }
}
