/* Streams: the calls through their operations, and buffered input. */
#include "loop/stream.h"

#include <string.h>

/* Input is read in pieces that double while the peer fills them, so that an idle session holds little. */
#define INPUT_ROOM_FIRST ((size_t)512)
#define INPUT_KEEP 4096 /* an empty buffer larger than this is given back before waiting */

enum err stream_read(struct stream *stream, void *p, size_t cap, int64_t deadline_us, size_t *got) {
    BUG_IF(cap == 0);
    return stream->ops->read(stream, p, cap, deadline_us, got);
}

enum err stream_write(struct stream *stream, struct view v, int64_t deadline_us) {
    return v.n == 0 ? ERR_OK : stream->ops->write(stream, v, deadline_us);
}

void stream_interrupt(struct stream *stream) {
    stream->ops->interrupt(stream);
}

void stream_shutdown(struct stream *stream) {
    stream->ops->shutdown(stream);
}

int stream_dup_fd(struct stream *stream) {
    return stream->ops->dup_fd != NULL ? stream->ops->dup_fd(stream) : -1;
}

int stream_take_fd(struct stream *stream) {
    return stream->ops->take_fd(stream);
}

void stream_free(struct stream *stream) {
    if (stream != NULL)
        stream->ops->free(stream);
}

/* ---- buffered input ---- */

void input_init(struct input *input, struct stream *stream, size_t limit) {
    *input = (struct input){.stream = stream};
    buf_init(&input->buf, limit);
}

void input_fini(struct input *input) {
    buf_fini(&input->buf);
    input->at = 0;
}

void input_consume(struct input *input, size_t n) {
    BUG_IF(n > input->buf.n - input->at);
    input->at += n; /* nothing moves: views of what was consumed stay valid until more is read */
}

enum err input_fill(struct input *input, int64_t deadline_us) {
    struct buf *buf = &input->buf;
    buf_consume(buf, input->at);
    input->at = 0;
    if (buf->n >= buf->limit)
        return ERR_LIMIT;
    if (buf->n == 0 && buf->cap > INPUT_KEEP)
        buf_fini(buf);
    size_t room = MIN(buf->limit - buf->n, MAX(buf->cap - buf->n, INPUT_ROOM_FIRST));
    uint8_t *p = buf_room(buf, room);
    if (p == NULL) {
        enum err err = buf->err;
        buf->err = ERR_OK; /* what it holds is still good */
        return err;
    }
    size_t got;
    TRY(stream_read(input->stream, p, room, deadline_us, &got));
    buf_added(buf, got);
    return ERR_OK;
}

enum err input_unread(struct input *input, struct view v) {
    struct buf *buf = &input->buf;
    if (v.n == 0)
        return ERR_OK;
    if (v.n <= input->at) {
        input->at -= v.n;
        memmove(buf->p + input->at, v.p, v.n);
        return ERR_OK;
    }
    if (v.n > buf->limit || buf->n - input->at > buf->limit - v.n)
        return ERR_LIMIT;
    struct buf joined;
    buf_init(&joined, buf->limit);
    joined.secret = buf->secret;
    buf_put(&joined, v);
    buf_put(&joined, input_pending(input));
    enum err err = buf_err(&joined);
    if (err != ERR_OK) {
        buf_fini(&joined);
        return err;
    }
    buf_fini(buf);
    *buf = joined;
    input->at = 0;
    return ERR_OK;
}

void input_discard(struct input *input) {
    buf_clear(&input->buf);
    input->at = 0;
}
