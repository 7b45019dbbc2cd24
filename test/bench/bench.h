/*
 * What the load generators of test/bench share: options, samples, JSON, the
 * text of messages, and many client connections on one epoll descriptor.
 *
 * The connections are written apart from the server's loop and streams, so that
 * a fault there cannot hide itself. A generator is one thread; it is bounded in
 * count and in time by its options.
 */
#ifndef TEST_BENCH_BENCH_H
#define TEST_BENCH_BENCH_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/vec.h"

#include <openssl/ssl.h>

/* ---- options ---- */

enum bench_option_kind { BENCH_FLAG, BENCH_NUMBER, BENCH_TEXT };
struct bench_option {
    const char *name; /* with its dashes */
    enum bench_option_kind kind;
    void *out;    /* bool *, uint64_t * or struct view * */
    uint64_t max; /* of a number; the least is 0 */
    const char *help;
};
/* Reads "--name value" arguments; on a mistake or --help prints the table and leaves with 2 or 0. */
void bench_options(int argc, char **argv, const struct bench_option *options, size_t n);
_Noreturn void bench_die(const char *what, const char *why);
int64_t bench_now_us(void);
/* As many descriptors as the hard limit admits; ends the program when that is fewer than `least`. */
void bench_raise_descriptors(size_t least);

/* ---- samples and what is printed of them ---- */

#define BENCH_SAMPLES_MAX 4000000
struct bench_samples {
    struct vec us; /* of int64_t */
};
void bench_samples_init(struct bench_samples *samples);
void bench_samples_fini(struct bench_samples *samples);
void bench_samples_add(struct bench_samples *samples, int64_t us);
/* {"n":..,"min":..,"p50":..,"p90":..,"p99":..,"max":..} in microseconds; sorts them. */
void bench_put_samples(struct buf *out, struct bench_samples *samples);
/* A JSON string; other octets than printable ASCII become '?'. */
void bench_put_text(struct buf *out, struct view text);
/* Prints the buffer as one line on stdout and empties it. */
void bench_print(struct buf *out);

/* ---- addresses and messages ---- */

/* The pattern with each '%' replaced by the number ("u%@bench.test", 7: "u7@bench.test"). */
void bench_put_pattern(struct buf *out, struct view pattern, uint64_t number);
/* A message of about `size` octets: headers with a Message-ID of its own, lines of words that compress as mail does. No line
 * starts with a dot. It ends with CR LF. */
void bench_put_message(struct buf *out, struct random *random, uint64_t number, size_t size);

/* ---- connections ---- */

struct bench_net;
struct bench_conn;
enum bench_conn_state { BENCH_CLOSED, BENCH_CONNECTING, BENCH_HANDSHAKE, BENCH_OPEN };
struct bench_conn_ops {
    void (*opened)(struct bench_conn *conn);                  /* also after TLS */
    void (*line)(struct bench_conn *conn, struct view line);  /* without CR LF */
    void (*closed)(struct bench_conn *conn, const char *why); /* by the peer or an error; not by bench_conn_close() */
};
struct bench_conn {
    struct bench_net *net;
    void *user; /* the program's */
    enum bench_conn_state state;
    int fd;
    SSL *ssl;
    struct buf in, out; /* octets that are not a line yet; octets not sent yet */
    bool wants_write;
};
#define BENCH_LINE_MAX 65536             /* octets of a server's line */
#define BENCH_OUT_MAX (64 * 1024 * 1024) /* octets waiting in one connection */

/* Connections to 127.0.0.1:port; with TLS and any certificate when is_tls. ops is kept by pointer. */
struct bench_net *bench_net_new(uint64_t port, bool is_tls, const struct bench_conn_ops *ops);
void bench_net_free(struct bench_net *net); /* after its connections */
/* Starts connecting. conn is zeroed, or was closed; user stays. */
void bench_conn_open(struct bench_net *net, struct bench_conn *conn);
/* Sent when the event being served is done, so that several puts are one packet. */
void bench_conn_put(struct bench_conn *conn, struct view v);
void bench_conn_close(struct bench_conn *conn);
/* Waits for events up to timeout_ms and serves them. */
void bench_net_turn(struct bench_net *net, int timeout_ms);

#endif
