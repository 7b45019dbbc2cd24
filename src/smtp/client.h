/*
 * The SMTP and LMTP client engine (RFC 5321, RFC 2033): messages to one server
 * over an open stream, one after the other, on the caller's coroutine. Runs in `courier`.
 *
 * Extensions are used where the server offers them: PIPELINING, SIZE, 8BITMIME, CHUNKING and BINARYMIME (3030), DSN (3461),
 * SMTPUTF8 (6531), DELIVERBY (2852), MT-PRIORITY (6710), LIMITS (9422), NO-SOLICITING (3865), REQUIRETLS (8689). A message that needs
 * one that is missing is not sent, and the outcome says which.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/disk.h"
#include "base/arena.h"
#include "loop/stream.h"

/* Who decided, and over what. */
enum smtp_why {
    SMTP_WHY_SERVER,     /* the server's own reply */
    SMTP_WHY_ADDRESS,    /* no valid address (or not without SMTPUTF8) */
    SMTP_WHY_SIZE,       /* larger than the server takes (RFC1870-5) */
    SMTP_WHY_TLS,        /* require_tls, or requiretls, without TLS */
    SMTP_WHY_EIGHTBIT,   /* 8-bit octets and no 8BITMIME: converted to 7 bits it could go (RFC6152-3) */
    SMTP_WHY_BINARY,     /* binary and no BINARYMIME: converted it could go (RFC3030-3) */
    SMTP_WHY_SMTPUTF8,   /* RFC6531-3.2: it cannot go to this server in any form that we make */
    SMTP_WHY_REQUIRETLS, /* RFC8689-4.2.1 */
    SMTP_WHY_DELIVERBY, /* RFC2852-4.1.4.1: return when late, and the server does not know how, or not within this time */
    SMTP_WHY_LIMIT,     /* RFC9422-4: not in this transaction; the next transaction or connection may take it */
    SMTP_WHY_LOST, /* LMTP: the connection broke before this recipient's reply; it may or may not have the message */
};

struct smtp_outcome {
    uint16_t reply; /* 2xx, 4xx, 5xx of this recipient */
    struct view status, text;
    /* It was decided before MAIL, by the greeting or by what the server offers: another host of the domain may take the message. */
    bool is_of_session;
    enum smtp_why why;
    /* Of a success: the server was not told what to report (RFC3461-5.2.2) or when (RFC2852-4.1.4.2), so that it is the sender of
     * this engine who reports "relayed" where NOTIFY has SUCCESS, or the time was said with mode N. */
    bool is_relayed_without_dsn, is_relayed_without_by;
};
struct smtp_client_params {
    struct view hostname; /* for EHLO */
    /* NULL: no STARTTLS. Takes plain over on ERR_OK. Any failure: the caller reconnects without TLS if its policy lets it. */
    enum err (*starttls)(void *ctx, struct stream *plain, struct stream **out);
    void *ctx;
    bool require_tls;
    bool lmtp; /* RFC 2033: LHLO, and a reply for each recipient */
};
/* What a recipient's parameters say; see smtp/server.h for the values. */
struct smtp_recipient_options {
    uint8_t notify;    /* enum smtp_notify, 0: not said */
    struct view orcpt; /* "type;xtext", empty: not said. 8-bit ones (RFC6533-3) only with smtputf8 */
};
struct smtp_envelope {
    struct view sender;
    const struct view *recipients;
    size_t recipients_n;
    bool eightbit;
    /* It came with SMTPUTF8. A message whose addresses and octets are all ASCII goes to any server all the same. */
    bool smtputf8;
    struct view prefix; /* octets in front of the file */
    struct file *body;
    uint64_t size;                                /* of prefix and body */
    const struct smtp_recipient_options *options; /* one a recipient, or NULL */
    /* Its content is binary (RFC3030-3): it goes by BDAT with every octet as it is, bare CR, LF and NUL too, or not at all. */
    bool binary;
    bool requiretls;   /* RFC8689-4.2.1 */
    uint8_t ret;       /* enum smtp_ret */
    struct view envid; /* in xtext, empty: not said */
    bool has_by, by_return, by_trace;
    int64_t by_s; /* what is left of the time */
    bool has_priority;
    int8_t priority;
    struct view solicit;
};

/* One connection. */
struct smtp_client;
/* stream and params are borrowed until smtp_client_free; *stream is replaced by STARTTLS. NULL: no memory. */
struct smtp_client *smtp_client_new(const struct smtp_client_params *params, struct stream **stream);
/* Greets with the first message. outcomes[recipients_n] are set on ERR_OK (each recipient has its own reply) and live in arena. ERR_CLOSED,
 * ERR_TIMEOUT, ERR_SYNTAX: the connection failed before any final answer: try later, on another one; *sent_dot tells whether the end of
 * the message had gone out. ERR_LIMIT: smtp_client_may_send() is false. Lines of the message are sent with CRLF; a bare CR, LF or NUL is sent by BINARYMIME only
 * (RFC5321-2.3.8): ERR_PERMANENT otherwise. Timeouts: RFC5321-4.5.3.2. */
enum err smtp_client_transact(struct smtp_client *client, const struct smtp_envelope *envelope, struct arena *arena,
                              struct smtp_outcome *outcomes, bool *sent_dot) MUST_CHECK;
/* Whether another message may go on this connection: it is up, and below the server's MAILMAX (RFC9422-4.1). A 421 in its outcomes, from a
 * server that had enough of waiting, is no verdict on the message: it goes again on a new connection. */
bool smtp_client_may_send(const struct smtp_client *client);
/* NOOP, to see whether an idle connection is alive. An error: it is of no use any more. */
enum err smtp_client_probe(struct smtp_client *client) MUST_CHECK;
/* Says QUIT where that makes sense. The stream is the caller's. NULL is fine. */
void smtp_client_free(struct smtp_client *client);

/* One message, and QUIT: new, transact, free. */
enum err smtp_client_send(const struct smtp_client_params *params, struct stream **stream,
                          const struct smtp_envelope *envelope, struct arena *arena, struct smtp_outcome *outcomes,
                          bool *sent_dot) MUST_CHECK;

#endif
