/*
 * Reports about mail, read: multipart/report (RFC 6522) with delivery status
 * (RFC 3464, internationalized RFC 6533) and disposition notifications
 * (RFC 8098); and a disposition notification, written.
 */
#ifndef MESSAGE_REPORT_H
#define MESSAGE_REPORT_H

#include "message/compose.h"
#include "message/parse.h"

/* Recipients of one report that are read; more are left out. */
#define REPORT_RECIPIENTS_MAX 1000
/* Octets of a status part that are looked at; a thousand recipients with long diagnostics have less. */
#define REPORT_STATUS_MAX (1024 * 1024)

/*
 * Views that come out live in the arena and are UTF-8; addresses come without their type ("rfc822;"), comments and
 * angle brackets, of type utf-8 decoded (RFC6533-3). Reports broken in the usual ways are read: no report-type, several
 * status parts, no empty lines between recipients, a missing action or status (taken from the other, or from the
 * diagnostic).
 */

struct delivery_status {
    struct view reporting_mta, envelope_id; /* p == NULL: not there */
    int64_t arrival_us;                     /* 0: not there */
    struct dsn_recipient *recipients;       /* diagnostic: the text after its type */
    size_t recipient_count;
    const struct mime_part *returned; /* message/rfc822, message/global, text/rfc822-headers ...; NULL: none */
};
/* ERR_NOT_FOUND: no delivery report. ERR_LIMIT: arena. */
enum err delivery_status_read(struct arena *arena, const struct message *message,
                              struct delivery_status *out) MUST_CHECK;

enum mdn_disposition {
    MDN_DISPLAYED,
    MDN_DELETED,
    MDN_DISPATCHED,
    MDN_PROCESSED
}; /* RFC8098-3.2.6.2; RFC 3798's "failed" is read as processed with an error, "denied" as processed */

struct mdn {
    struct view reporting_ua, final, original; /* RFC8098-3.2.1, 3.2.4, 3.2.3; p == NULL: not there */
    struct view original_message_id;           /* without angle brackets */
    bool automatic, sent_automatically;        /* RFC8098-3.2.6.1 */
    enum mdn_disposition disposition;
    bool has_error;    /* RFC8098-3.2.6 modifier "error" */
    struct view error; /* RFC8098-3.2.7, the first one; p == NULL: not there */
    const struct mime_part *returned;
};
/* ERR_NOT_FOUND: no disposition notification, or its disposition cannot be read. ERR_LIMIT: arena. */
enum err mdn_read(struct arena *arena, const struct message *message, struct mdn *out) MUST_CHECK;

struct mdn_request {
    struct view from, to; /* to: the address of Disposition-Notification-To (RFC8098-2.1) */
    struct view subject;  /* of the original, UTF-8 */
    struct view host;
    int64_t wall_us;
    uint8_t random[16];
    struct mdn mdn;
    struct view header; /* of the original, returned as text/rfc822-headers; p == NULL: none */
    bool is_utf8;       /* the receiver takes SMTPUTF8 (RFC6533-5); else all is 7bit */
};
/* The whole notification (RFC8098-3), line ends CRLF; it is sent from the null sender. Errors are buf's. */
enum err mdn_put(struct buf *buf, const struct mdn_request *request) MUST_CHECK;
/*
 * RFC8098-2.1: may a notification be sent without asking the user? Not when Return-Path and Disposition-Notification-To
 * differ, either is missing, there is more than one address, an option is required (RFC8098-2.2), the message is
 * itself a report, or a program wrote it (RFC3834-2), or it went to a newsgroup.
 */
bool mdn_may_answer(struct arena *arena, struct view header);

#endif
