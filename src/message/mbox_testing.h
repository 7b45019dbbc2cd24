/* For tests and fuzzing of mbox: what a reader tells, as text. */
#ifndef MESSAGE_MBOX_TESTING_H
#define MESSAGE_MBOX_TESTING_H

#include "message/mbox.h"

/* "{sender,date;octets}" for each message. */
static inline enum err mbox_show_begin(void *arg, const struct mbox_message *message) {
    struct buf *out = arg;
    buf_put_byte(out, '{');
    buf_put(out, message->sender);
    buf_put_byte(out, ',');
    buf_put_i64(out, message->date_us / 1000000);
    buf_put_byte(out, ';');
    return buf_err(out);
}

static inline enum err mbox_show_octets(void *arg, struct view octets) {
    buf_put(arg, octets);
    return buf_err(arg);
}

static inline enum err mbox_show_end(void *arg) {
    buf_put_byte(arg, '}');
    return buf_err(arg);
}

/* Reads a whole file in pieces: next(arg, left) says how many octets the next one has. */
static inline enum err mbox_show(struct arena *arena, enum mbox_dialect dialect, struct view file,
                                 size_t (*next)(void *arg, size_t left), void *arg, struct buf *out,
                                 enum mbox_dialect *found) {
    struct mbox_events events = {mbox_show_begin, mbox_show_octets, mbox_show_end, out};
    struct mbox_reader *reader = mbox_reader_new(arena, dialect, &events);
    if (reader == NULL)
        return ERR_LIMIT;
    enum err err = ERR_OK;
    while (file.n > 0 && err == ERR_OK) {
        size_t n = next(arg, file.n);
        err = mbox_reader_feed(reader, view_sub(file, 0, n));
        file = view_skip(file, n);
    }
    if (err == ERR_OK)
        err = mbox_reader_end(reader);
    if (found != NULL)
        *found = mbox_reader_dialect(reader);
    return err;
}

static inline size_t mbox_whole(void *arg, size_t left) {
    (void)arg;
    return left;
}

static inline size_t mbox_bytewise(void *arg, size_t left) {
    (void)arg;
    (void)left;
    return 1;
}

#endif
