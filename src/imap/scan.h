/*
 * Finding the end of an IMAP command in octets as they come: lines, and the
 * literals that continue them (RFC3501-4.3, RFC7888-3). Pure: it is fed the
 * pending octets and remembers how far it has looked.
 *
 * The command stays in the pending octets, literals inside ("{3}\r\nabc"), until
 * it is complete; imap/parse.h reads it from there. So what is pending can be
 * handed to another process at any octet and looked at again from its start.
 */
#ifndef IMAP_SCAN_H
#define IMAP_SCAN_H

#include "base/view.h"

/* One command with its literals, except the message of an APPEND. RFC2683-3.2.1.5 asks for 8000 octets; long UID sets
 * of real clients need more. */
#define IMAP_LINE_MAX ((size_t)64 * 1024)
/* What a session may hold unread: a command and a piece of the next ones. Fits a channel's packet. */
#define IMAP_INPUT_MAX (IMAP_LINE_MAX + (size_t)8 * 1024)

enum imap_scan_event {
    IMAP_SCAN_MORE,     /* everything was looked at, the command is not complete */
    IMAP_SCAN_COMMAND,  /* scan->at octets are a complete command, line end included */
    IMAP_SCAN_LITERAL,  /* scan->at octets end with a literal's announcement; say what to do with it */
    IMAP_SCAN_TOO_LONG, /* over IMAP_LINE_MAX */
};

struct imap_scan {
    size_t at;             /* octets of the pending ones that were looked at */
    size_t line_from;      /* where the current line began */
    uint64_t literal_size; /* with IMAP_SCAN_LITERAL */
    bool literal_is_sync;  /* the client waits for a continuation request */
    uint64_t literal_left; /* octets of an accepted literal that are still to come */
};

void imap_scan_init(struct imap_scan *scan);
/* pending: the same octets as at the last call, and more. */
enum imap_scan_event imap_scan_next(struct imap_scan *scan, struct view pending);
/* After IMAP_SCAN_LITERAL: the literal belongs to the command. False when the command would be over IMAP_LINE_MAX. */
bool imap_scan_accept(struct imap_scan *scan);
/* A line, without its line end, that announces a literal: "...{12}", "...{12+}". */
bool imap_scan_announces(struct view line, uint64_t *size, bool *is_sync);

#endif
