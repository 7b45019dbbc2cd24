/*
 * Writing: header fields folded at 78 columns (RFC5322-2.1.1) with encoded
 * words where needed (RFC 2047), and delivery status notifications (RFC 3464 in
 * a multipart/report of RFC 6522). Line ends are CRLF. Control characters in
 * values become spaces, so that nothing can inject a field.
 */
#ifndef MESSAGE_COMPOSE_H
#define MESSAGE_COMPOSE_H

#include "message/fold.h"

#include <stdint.h>

/* Unstructured text, UTF-8 in. is_utf8 (SMTPUTF8, RFC6532): written raw; else encoded words where not ASCII. */
void compose_put_text(struct buf *buf, struct view name, struct view text, bool is_utf8);
/* A value that is structured already (ASCII), folded at its spaces. */
void compose_put_structured(struct buf *buf, struct view name, struct view value);
/* One mailbox: display name (may be empty, UTF-8) and address "local@domain", both unquoted. */
void compose_put_mailbox(struct buf *buf, struct view name, struct view display, struct view address, bool is_utf8);
void compose_put_date(struct buf *buf, int64_t wall_us);
/* Message-ID from 16 octets of randomness and our host name. */
void compose_put_message_id(struct buf *buf, const uint8_t random[16], struct view host);

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED }; /* RFC3464-2.3.3 */

struct dsn_recipient {
    struct view final;    /* RFC3464-2.3.2 address */
    struct view original; /* RFC3464-2.3.1, from ORCPT: "rfc822;a@b" decoded to "a@b"; empty: not known */
    enum dsn_action action;
    struct view status;      /* "5.1.1"; empty: 5.0.0, 4.0.0 or 2.0.0 after the action */
    struct view remote_mta;  /* host name; empty: none */
    struct view diagnostic;  /* the reply text, any octets; empty: none */
    int64_t last_attempt_us; /* 0: none */
    int64_t retry_until_us;  /* 0: none; RFC3464-2.3.9 for delayed */
};

struct dsn {
    struct view from;        /* postmaster address */
    struct view to;          /* the envelope sender that gets it */
    struct view host;        /* our name: Reporting-MTA and Message-ID */
    struct view envelope_id; /* RFC3461-4.4 ENVID decoded; empty: none */
    int64_t arrival_us;      /* 0: not known */
    int64_t wall_us;
    uint8_t random[16]; /* for boundary and Message-ID */
    const struct dsn_recipient *recipients;
    size_t recipient_count;
    struct view header; /* the original's header block; attached as text/rfc822-headers (RFC6522-4) */
    struct view body;   /* with RET=FULL (RFC3461-4.3) the original's body, else p == NULL: headers only */
    bool is_utf8;       /* the receiver takes SMTPUTF8: message/global forms of RFC6533 */
};

/* The whole message. It is 7bit, but for raw UTF-8 with SMTPUTF8, and for an original returned whole that is 8bit itself.
 * ERR_LIMIT: buf's. */
enum err dsn_put(struct buf *buf, const struct dsn *dsn) MUST_CHECK;

#endif
