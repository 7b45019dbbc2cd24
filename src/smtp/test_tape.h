/*
 * For fuzz targets and tests: a stream whose input is given beforehand and
 * whose output is kept. It never waits, so no coroutine is needed; at the end of
 * the input the peer has left.
 */
#ifndef SMTP_TEST_TAPE_H
#define SMTP_TEST_TAPE_H

#include "loop/stream.h"

struct tape {
    struct stream stream;
    struct view in;
    size_t piece; /* octets a read gives at most */
    bool by_line; /* a read ends with a line, and nothing has come before it is waited for */
    struct buf out;
    size_t writes;
    /* The peer reads no more after so many writes; 0: it reads all. */
    size_t writes_max;
};

static enum err tape_read(struct stream *stream, void *p, size_t cap, int64_t deadline_us, size_t *got) {
    struct tape *tape = (struct tape *)stream;
    if (tape->in.n == 0)
        return ERR_CLOSED;
    if (tape->by_line && deadline_us <= loop_now_us(stream->loop))
        return ERR_TIMEOUT;
    size_t n = MIN(MIN(cap, tape->piece), tape->in.n);
    ssize_t lf = tape->by_line ? view_find_byte(view_sub(tape->in, 0, n), '\n') : -1;
    if (lf >= 0)
        n = (size_t)lf + 1;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = tape->in.p[i];
    tape->in = view_skip(tape->in, n);
    *got = n;
    return ERR_OK;
}

static enum err tape_write(struct stream *stream, struct view v, int64_t deadline_us) {
    struct tape *tape = (struct tape *)stream;
    (void)deadline_us;
    tape->writes++;
    if (tape->writes_max != 0 && tape->writes > tape->writes_max)
        return ERR_CLOSED;
    buf_put(&tape->out, v);
    return ERR_OK;
}

static void tape_interrupt(struct stream *stream) {
    (void)stream;
}

static int tape_take_fd(struct stream *stream) {
    (void)stream;
    return -1;
}

static const struct stream_ops tape_ops = {.read = tape_read,
                                           .write = tape_write,
                                           .interrupt = tape_interrupt,
                                           .shutdown = tape_interrupt,
                                           .take_fd = tape_take_fd,
                                           .free = tape_interrupt};

static inline void tape_init(struct tape *tape, struct loop *loop, struct view in, size_t piece) {
    *tape = (struct tape){.stream = {.ops = &tape_ops, .loop = loop}, .in = in, .piece = piece};
    buf_init(&tape->out, (size_t)64 * 1024 * 1024);
}

#endif
