/*
 * The mbox format (RFC 4155) in its four dialects, read as a stream for import
 * and written for export: mboxo and mboxrd quote "From " lines with ">", mboxcl
 * also has Content-Length, mboxcl2 has it and does not quote.
 *
 * A message begins at a "From " line: after an empty line with a sender and a
 * date; or without an empty line when a header field follows too; or as "From "
 * and at most one word when a field follows. Prose is none of these. The empty
 * line before it, and one at the end of the file, belong to the format.
 *
 * Content-Length is believed only against such a line, when the octet after it
 * is the end of the file or another such line, and (MBOX_AUTO) all messages
 * before told the truth; so no message can hide the ones behind it from a file
 * whose writer did not use lengths.
 */
#ifndef MESSAGE_MBOX_H
#define MESSAGE_MBOX_H

#include "base/arena.h"
#include "base/buf.h"

enum mbox_dialect { MBOX_AUTO, MBOX_O, MBOX_RD, MBOX_CL, MBOX_CL2 };

struct mbox_message {
    struct view sender; /* of the "From " line; may be empty. Valid during the call. */
    int64_t date_us;    /* of the "From " line, UTC; 0: none that can be read */
};

/* Events come in order: begin, octets of the message (unquoted, line ends as in the file), end. An error from a callback
 * ends the reading. */
struct mbox_events {
    enum err (*begin)(void *arg, const struct mbox_message *message);
    enum err (*octets)(void *arg, struct view octets);
    enum err (*end)(void *arg);
    void *arg;
};

/* The longest "From " line that is one. */
#define MBOX_FROM_MAX 1000
/* How far a Content-Length is followed before it is believed or not; beyond, only those of files that are known to have
 * true ones are. With a smaller arena it is less. */
#define MBOX_LOOK_MAX (1024 * 1024)

struct mbox_reader;
/* Lives in the arena; events are copied. NULL: the arena has no room (16 KiB). */
struct mbox_reader *mbox_reader_new(struct arena *arena, enum mbox_dialect dialect, const struct mbox_events *events);
/* The next octets of the file, cut anywhere. ERR_SYNTAX at once when a file does not begin with a "From " line (empty
 * lines and a byte order mark before it are skipped); else the callbacks' errors. An error stays. */
enum err mbox_reader_feed(struct mbox_reader *reader, struct view octets) MUST_CHECK;
/* The end of the file; a file without any message is fine. */
enum err mbox_reader_end(struct mbox_reader *reader) MUST_CHECK;
/* The dialect in use, known after the first message. Of MBOX_AUTO: MBOX_RD, unless its Content-Length was true. */
enum mbox_dialect mbox_reader_dialect(const struct mbox_reader *reader);

/* One message in mboxrd form: mbox_put_from(), pieces with mbox_put_octets(), mbox_put_end(). Line ends become LF. */
struct mbox_writer {
    size_t quotes;   /* ">" at the start of the line, held back */
    uint8_t matched; /* octets of "From " after them, held back */
    bool in_line, held_cr;
};
/* Starts a message (and *writer). An empty sender is MAILER-DAEMON. */
void mbox_put_from(struct buf *buf, struct mbox_writer *writer, struct view sender, int64_t wall_us);
void mbox_put_octets(struct buf *buf, struct mbox_writer *writer, struct view octets);
/* A last line without line end gets one; then the empty line. */
void mbox_put_end(struct buf *buf, struct mbox_writer *writer);

#endif
