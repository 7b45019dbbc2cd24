/* Many client connections on one epoll descriptor, level-triggered, plain or TLS. */
#include "bench/bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 32768
#define EVENTS_MAX 256

struct bench_net {
    int epoll_fd;
    uint16_t port;
    SSL_CTX *tls;
    const struct bench_conn_ops *ops;
    struct bench_conn *serving; /* flushes when its event has been served */
    uint8_t input[READ_SIZE];
};

struct bench_net *bench_net_new(uint64_t port, bool is_tls, const struct bench_conn_ops *ops) {
    struct bench_net *net = calloc(1, sizeof(*net));
    if (net == NULL)
        bench_die("memory", "out");
    net->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    net->port = (uint16_t)port;
    net->ops = ops;
    if (net->epoll_fd < 0)
        bench_die("epoll_create1", strerror(errno));
    if (is_tls) {
        net->tls = SSL_CTX_new(TLS_client_method());
        if (net->tls == NULL)
            bench_die("SSL_CTX_new", "failed");
        /* The server's certificate is its own; whom we talk to is not what is measured. */
        SSL_CTX_set_verify(net->tls, SSL_VERIFY_NONE, NULL);
        (void)SSL_CTX_set_mode(net->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                             SSL_MODE_RELEASE_BUFFERS);
        (void)SSL_CTX_set_session_cache_mode(net->tls, SSL_SESS_CACHE_OFF);
    }
    return net;
}

void bench_net_free(struct bench_net *net) {
    (void)close(net->epoll_fd);
    SSL_CTX_free(net->tls);
    free(net);
}

static void watch(struct bench_conn *conn, int how, bool wants_write) {
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0), .data.ptr = conn};
    if (epoll_ctl(conn->net->epoll_fd, how, conn->fd, &event) != 0)
        bench_die("epoll_ctl", strerror(errno));
    conn->wants_write = wants_write;
}

static void want_write(struct bench_conn *conn, bool wants) {
    if (conn->wants_write != wants)
        watch(conn, EPOLL_CTL_MOD, wants);
}

void bench_conn_close(struct bench_conn *conn) {
    if (conn->state == BENCH_CLOSED)
        return;
    conn->state = BENCH_CLOSED;
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    (void)close(conn->fd); /* which also takes it out of epoll */
    buf_fini(&conn->in);
    buf_fini(&conn->out);
}

static void fail(struct bench_conn *conn, const char *why) {
    bench_conn_close(conn);
    conn->net->ops->closed(conn, why);
}

void bench_conn_open(struct bench_net *net, struct bench_conn *conn) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(net->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1;
    conn->net = net;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        bench_die("socket", strerror(errno));
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    buf_init(&conn->in, BENCH_LINE_MAX);
    buf_init(&conn->out, BENCH_OUT_MAX);
    conn->state = BENCH_CONNECTING;
    if (connect(conn->fd, (const struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) {
        fail(conn, strerror(errno));
        return;
    }
    watch(conn, EPOLL_CTL_ADD, true);
}

/* What a failed TLS call wants; false when it is over (and the connection closed). */
static bool tls_wants(struct bench_conn *conn, int result) {
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return true;
    case SSL_ERROR_WANT_WRITE:
        want_write(conn, true);
        return true;
    case SSL_ERROR_ZERO_RETURN:
        fail(conn, "closed by the server");
        return false;
    default:
        ERR_clear_error();
        fail(conn, "TLS failed or the server closed");
        return false;
    }
}

static void flush_out(struct bench_conn *conn) {
    while (conn->state == BENCH_OPEN && conn->out.n > 0) {
        ssize_t sent;
        if (conn->ssl != NULL) {
            sent = SSL_write(conn->ssl, conn->out.p, (int)MIN(conn->out.n, (size_t)INT32_MAX));
            if (sent <= 0) {
                (void)tls_wants(conn, (int)sent);
                return;
            }
        } else {
            sent = send(conn->fd, conn->out.p, conn->out.n, MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) {
                want_write(conn, true);
                return;
            }
            if (sent < 0) {
                fail(conn, strerror(errno));
                return;
            }
        }
        buf_consume(&conn->out, (size_t)sent);
    }
    if (conn->state == BENCH_OPEN)
        want_write(conn, false);
}

void bench_conn_put(struct bench_conn *conn, struct view v) {
    if (conn->state != BENCH_OPEN)
        return;
    buf_put(&conn->out, v);
    if (buf_err(&conn->out) != ERR_OK)
        bench_die("output of a connection", err_name(buf_err(&conn->out)));
    if (conn->net->serving != conn)
        want_write(conn, true);
}

static void take_lines(struct bench_conn *conn) {
    size_t done = 0;
    while (conn->state == BENCH_OPEN) {
        struct view rest = view_skip(buf_view(&conn->in), done);
        ssize_t end = view_find_byte(rest, '\n');
        if (end < 0)
            break;
        struct view line = view_sub(rest, 0, (size_t)end);
        done += (size_t)end + 1;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        conn->net->ops->line(conn, line);
    }
    if (conn->state != BENCH_OPEN)
        return;
    buf_consume(&conn->in, done);
    if (conn->in.n == 0) { /* ten thousand idle connections keep nothing */
        buf_fini(&conn->in);
        buf_init(&conn->in, BENCH_LINE_MAX);
    }
}

static void read_in(struct bench_conn *conn) {
    struct bench_net *net = conn->net;
    while (conn->state == BENCH_OPEN) {
        ssize_t got;
        if (conn->ssl != NULL) {
            got = SSL_read(conn->ssl, net->input, READ_SIZE);
            if (got <= 0) {
                (void)tls_wants(conn, (int)got);
                return;
            }
        } else {
            got = recv(conn->fd, net->input, READ_SIZE, 0);
            if (got < 0 && errno == EAGAIN)
                return;
            if (got <= 0) {
                fail(conn, got == 0 ? "closed by the server" : strerror(errno));
                return;
            }
        }
        buf_put(&conn->in, view_of(net->input, (size_t)got));
        if (buf_err(&conn->in) != ERR_OK) {
            fail(conn, "a line that is too long");
            return;
        }
        take_lines(conn);
        if (got < READ_SIZE && conn->ssl == NULL)
            return;
    }
}

static void handshake(struct bench_conn *conn) {
    int result = SSL_connect(conn->ssl);
    if (result == 1) {
        conn->state = BENCH_OPEN;
        conn->net->ops->opened(conn);
    } else {
        want_write(conn, false);
        (void)tls_wants(conn, result);
    }
}

static void connected(struct bench_conn *conn) {
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        fail(conn, strerror(error));
        return;
    }
    if (conn->net->tls == NULL) {
        conn->state = BENCH_OPEN;
        conn->net->ops->opened(conn);
        return;
    }
    conn->ssl = SSL_new(conn->net->tls);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1)
        bench_die("SSL_new", "failed");
    conn->state = BENCH_HANDSHAKE;
}

static void serve(struct bench_conn *conn) {
    if (conn->state == BENCH_CONNECTING)
        connected(conn);
    if (conn->state == BENCH_HANDSHAKE)
        handshake(conn);
    if (conn->state == BENCH_OPEN)
        read_in(conn);
    if (conn->state == BENCH_OPEN)
        flush_out(conn);
}

void bench_net_turn(struct bench_net *net, int timeout_ms) {
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(net->epoll_fd, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct bench_conn *conn = events[i].data.ptr;
        ERR_clear_error(); /* SSL_get_error() would take another connection's error for ours */
        net->serving = conn;
        if (conn->state != BENCH_CLOSED)
            serve(conn);
        net->serving = NULL;
    }
}
