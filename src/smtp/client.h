/*
 * The SMTP client engine (RFC 5321): one message to one server over an open
 * stream, on the caller's coroutine. Runs in `courier`.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/disk.h"
#include "base/arena.h"
#include "loop/stream.h"

struct smtp_outcome {
    uint16_t reply; /* 2xx, 4xx, 5xx of this recipient */
    struct view status, text;
    /* It was decided before MAIL, by the greeting or by what the server offers: another host of the domain may take the message. */
    bool is_of_session;
};
struct smtp_client_params {
    struct view hostname; /* for EHLO */
    /* NULL: no STARTTLS. Takes plain over on ERR_OK. Any failure: the caller reconnects without TLS if its policy lets it. */
    enum err (*starttls)(void *ctx, struct stream *plain, struct stream **out);
    void *ctx;
    bool require_tls;
};
struct smtp_envelope {
    struct view sender;
    const struct view *recipients;
    size_t recipients_n;
    bool eightbit, smtputf8;
    struct view prefix; /* octets in front of the file */
    struct file *body;
    uint64_t size; /* of prefix and body */
};
/* Greets, sends, quits. outcomes[recipients_n] are set on ERR_OK (each recipient has its own reply) and live in arena. ERR_CLOSED, ERR_TIMEOUT,
 * ERR_SYNTAX: the connection failed before any final answer: try later; *sent_dot tells whether the final dot had gone out. Lines of the message
 * are sent with CRLF; a bare CR or LF is never sent (RFC5321-2.3.8): ERR_PERMANENT. Timeouts: RFC5321-4.5.3.2. *stream may be replaced. */
enum err smtp_client_send(const struct smtp_client_params *params, struct stream **stream,
                          const struct smtp_envelope *envelope, struct arena *arena, struct smtp_outcome *outcomes,
                          bool *sent_dot) MUST_CHECK;

#endif
