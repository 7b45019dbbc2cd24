/*
 * The mbox format (RFC 4155) in its four dialects, read as a stream for import
 * and written for export: mboxo and mboxrd quote "From " lines with ">", mboxcl
 * also has Content-Length, mboxcl2 has it and does not quote.
 */
#ifndef MESSAGE_MBOX_H
#define MESSAGE_MBOX_H

#include "base/arena.h"
#include "base/buf.h"

enum mbox_dialect { MBOX_AUTO, MBOX_O, MBOX_RD, MBOX_CL, MBOX_CL2 };

struct mbox_message {
    struct view sender; /* of the "From " line; may be empty */
    int64_t date_us;    /* of the "From " line, UTC; 0: none that can be read */
};

/* Events come in order: begin, octets of the message (unquoted, line ends as in the file), end. An error from a callback ends the reading. */
struct mbox_events {
    enum err (*begin)(void *arg, const struct mbox_message *message);
    enum err (*octets)(void *arg, struct view octets);
    enum err (*end)(void *arg);
    void *arg;
};

/* The longest "From " line that is one. */
#define MBOX_FROM_MAX 1000

struct mbox_reader;
struct mbox_reader *mbox_reader_new(struct arena *arena, enum mbox_dialect dialect, const struct mbox_events *events);
/* The next octets of the file. ERR_SYNTAX at once when a file does not begin with a "From " line; else the callbacks' errors. */
enum err mbox_reader_feed(struct mbox_reader *reader, struct view octets) MUST_CHECK;
enum err mbox_reader_end(struct mbox_reader *reader) MUST_CHECK;
/* The dialect in use, known after the first message. */
enum mbox_dialect mbox_reader_dialect(const struct mbox_reader *reader);

/* One message in mboxrd form, "From " line and final empty line included, line ends LF. */
void mbox_put_from(struct buf *buf, struct view sender, int64_t wall_us);
/* Quotes a piece of a message; *at_line_start is kept between pieces, true at first. */
void mbox_put_octets(struct buf *buf, struct view octets, bool *at_line_start);

#endif
