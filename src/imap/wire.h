/*
 * The two directions of an IMAP connection, for the greeter and the session:
 * responses go out through a bounded buffer, commands come in whole, with
 * continuation requests for their literals and a safe way past what is too big.
 */
#ifndef IMAP_WIRE_H
#define IMAP_WIRE_H

#include "imap/scan.h"
#include "loop/stream.h"

/* ---- out ---- */
#define IMAP_OUT_PIECE ((size_t)64 * 1024) /* octets of one write: a slow reader blocks only its own session */
#define IMAP_OUT_MAX ((size_t)512 * 1024)  /* the largest response line: an envelope, structures, a long SEARCH piece */
#define IMAP_WRITE_TIMEOUT_US (5 * 60 * US_PER_S) /* a client that reads nothing for so long is gone */

struct imap_out {
    struct buf buf;
    struct stream *stream;
    enum err err; /* sticky; nothing is written any more */
};
void imap_out_init(struct imap_out *out, struct stream *stream);
void imap_out_fini(struct imap_out *out);
/* Writes everything. */
void imap_out_flush(struct imap_out *out);
/* Writes when a piece is full: called after each response. False when the connection is of no use any more. */
bool imap_out_breathe(struct imap_out *out);
/* Octets of any length, in pieces. */
void imap_out_octets(struct imap_out *out, struct view v);

/* ---- in ---- */
/* Octets of refused literals and overlong lines that are read and dropped before the connection is closed instead. */
#define IMAP_SKIP_MAX ((uint64_t)128 * 1024 * 1024)

enum imap_literal_action {
    IMAP_LITERAL_ACCEPT, /* part of the command */
    IMAP_LITERAL_STREAM, /* the caller reads it: the message of an APPEND */
    IMAP_LITERAL_REFUSE,
};
enum imap_line_kind {
    IMAP_LINE_COMMAND,
    IMAP_LINE_STREAM,   /* the command up to and with the announcement of a literal */
    IMAP_LINE_REFUSED,  /* a literal was refused; the command is over */
    IMAP_LINE_TOO_LONG, /* over IMAP_LINE_MAX; the command is over */
};

struct imap_wire {
    struct input input;
    struct imap_scan scan;
    struct imap_out *out;
    uint64_t continued; /* pending octets, literals included, up to which continuation requests were sent */
    enum imap_literal_action (*literal)(void *ctx, struct view so_far, uint64_t size);
    void *ctx;
    struct buf command; /* the current command */
};
/* unread: octets that were received elsewhere, up to IMAP_INPUT_MAX. literal may be NULL: accept what fits. */
enum err imap_wire_init(struct imap_wire *wire, struct imap_out *out, struct view unread,
                        enum imap_literal_action (*literal)(void *, struct view, uint64_t), void *ctx) MUST_CHECK;
void imap_wire_fini(struct imap_wire *wire);
/* The next command, valid until the next call. Flushes the output before it waits. Of a refused or overlong command only
 * the start is given, enough to see the tag. ERR_AGAIN: interrupted. ERR_LIMIT: over IMAP_SKIP_MAX. Else the stream's errors. */
enum err imap_wire_read(struct imap_wire *wire, int64_t deadline_us, struct view *command,
                        enum imap_line_kind *kind) MUST_CHECK;
/* A streamed literal: the client may send it. */
void imap_wire_go_on(struct imap_wire *wire, bool is_sync);
/* A piece of at most `left` octets of it; say imap_wire_taken() when done with the piece. */
enum err imap_wire_piece(struct imap_wire *wire, uint64_t left, int64_t deadline_us, struct view *piece) MUST_CHECK;
void imap_wire_taken(struct imap_wire *wire, size_t n);
/* Reads and drops: the literal (0: none) and what is left of its command. */
enum err imap_wire_skip(struct imap_wire *wire, uint64_t literal, int64_t deadline_us) MUST_CHECK;
/* Octets received and not yet part of a command that was read. */
struct view imap_wire_unread(const struct imap_wire *wire);
/* Forgets how far the pending octets were looked at (they changed). */
void imap_wire_rescan(struct imap_wire *wire);
int64_t imap_deadline(const struct imap_wire *wire, int64_t timeout_us);

#endif
