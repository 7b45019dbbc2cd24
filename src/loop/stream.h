/*
 * Byte streams: sockets, TLS over a stream, PROXY-protocol headed ones, pairs in
 * memory (simulation). Reads and writes suspend the calling coroutine. One
 * reader and one writer at a time.
 */
#ifndef LOOP_STREAM_H
#define LOOP_STREAM_H

#include "base/netaddr.h"
#include "loop/loop.h"

struct stream;
struct stream_ops {
    /* 1..cap octets, or ERR_CLOSED at the end. ERR_TIMEOUT, ERR_CANCELED, ERR_AGAIN (interrupted before anything came). */
    enum err (*read)(struct stream *stream, void *p, size_t cap, int64_t deadline_us, size_t *got);
    /* All octets, or an error after which the stream is of no use. */
    enum err (*write)(struct stream *stream, struct view v, int64_t deadline_us);
    /* Makes a pending read, or the next one that would wait, return ERR_AGAIN: how a notification reaches an idling session. */
    void (*interrupt)(struct stream *stream);
    /* Says goodbye (FIN, close_notify) without waiting. */
    void (*shutdown)(struct stream *stream);
    /* Gives up the descriptor (dup not needed: the stream is freed); -1 when it has none of its own (TLS, memory). */
    int (*take_fd)(struct stream *stream);
    /* Another descriptor of the same socket; NULL when it has none of its own. */
    int (*dup_fd)(struct stream *stream);
    void (*free)(struct stream *stream); /* closes */
};
struct stream {
    const struct stream_ops *ops;
    struct loop *loop;
    struct netaddr peer, local; /* after PROXY where it was allowed */
    bool encrypted;             /* TLS */
};

enum err stream_read(struct stream *stream, void *p, size_t cap, int64_t deadline_us, size_t *got) MUST_CHECK;
enum err stream_write(struct stream *stream, struct view v, int64_t deadline_us) MUST_CHECK;
void stream_interrupt(struct stream *stream);
void stream_shutdown(struct stream *stream);
int stream_take_fd(struct stream *stream);
/* Another descriptor of the same socket, the caller's to close; -1 when there is none. The stream stays as it is. */
int stream_dup_fd(struct stream *stream);
void stream_free(struct stream *stream); /* NULL is fine */

/* A connected, non-blocking socket. Takes the descriptor over (also on error). */
enum err stream_new_socket(struct loop *loop, int fd, struct stream **out) MUST_CHECK;
/* Two ends in memory; each direction holds at most `capacity` octets. */
enum err stream_new_pair(struct loop *loop, size_t capacity, struct stream **a, struct stream **b) MUST_CHECK;
/* Copies until one side ends; both directions; returns when both have ended or the deadline of silence passed.
 * Runs on the caller plus one coroutine in `group`. How `edge` pumps a TLS session to a mailbox. */
enum err stream_pump(struct stream *a, struct stream *b, struct co_group *group, int64_t idle_us) MUST_CHECK;

/* ---- buffered input ---- */

/* Octets read and not yet consumed; limit in octets. What it holds travels in a hand-over. */
struct input {
    struct stream *stream;
    struct buf buf;
    size_t at; /* consumed so far in buf */
};
void input_init(struct input *input, struct stream *stream, size_t limit);
void input_fini(struct input *input); /* not the stream */
static inline struct view input_pending(const struct input *input) {
    return (struct view){input->buf.p + input->at, input->buf.n - input->at};
}
/* Views of what was consumed stay valid until input_fill, input_unread or input_discard. */
void input_consume(struct input *input, size_t n);
/* Reads more; ERR_LIMIT when the buffer is full of unconsumed octets. */
enum err input_fill(struct input *input, int64_t deadline_us) MUST_CHECK;
/* Puts octets in front (from a hand-over). */
enum err input_unread(struct input *input, struct view v) MUST_CHECK;
/* Drops everything that was received (RFC3207-4.2: after STARTTLS). */
void input_discard(struct input *input);

/* ---- PROXY protocol ---- */

/* Reads a version 1 or 2 header from input and sets stream->peer and local. Only for listeners that say so. At most 536
 * octets (v2) or 107 (v1), and none beyond the header. ERR_SYNTAX on anything else. LOCAL/UNKNOWN keep the addresses. */
enum err proxy_read_header(struct input *input, int64_t deadline_us) MUST_CHECK;
/* The pure parser: ERR_AGAIN when more octets are needed; *used = header's length. peer/local untouched for LOCAL and UNKNOWN. */
enum err proxy_parse(struct view in, size_t *used, struct netaddr *peer, struct netaddr *local) MUST_CHECK;

#endif
