/*
 * The SMTP server engine (RFC 5321; submission RFC 6409): one session on one
 * coroutine, every verb in one table with its own file, all policy and all
 * effects behind struct smtp_server_ops. It runs in `edge`; tests run it over a
 * stream pair. It never logs: `event` reports what a role may log.
 *
 * One result per recipient is kept all the way (so LMTP is the same code).
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "base/disk.h"
#include "base/record.h"
#include "loop/stream.h"

#define SMTP_LINE_MAX 512            /* RFC5321-4.5.3.1.4, with CRLF; longer for AUTH and parameters: */
#define SMTP_COMMAND_MAX 4096        /* extensions raise it, RFC5321-4.1.1.11; AUTH RFC4954-4.(3) 12288 is its own limit */
#define SMTP_AUTH_LINE_MAX 12288
#define SMTP_TEXT_LINE_MAX 998       /* RFC5321-4.5.3.1.6 without CRLF; longer lines are accepted up to SMTP_TEXT_LINE_HARD_MAX */
#define SMTP_SPOOL_MEMORY (256 * 1024) /* then a file, DESIGN section 2 */
#define SMTP_ERRORS_MAX 20           /* bad commands before 421 */

struct smtp_path { /* a reverse- or forward-path without its brackets; empty for <> */
    struct view local, domain, whole;
};

enum smtp_kind { SMTP_KIND_MX, SMTP_KIND_SUBMISSION, SMTP_KIND_LMTP };

/* A reply as its parts; text may have several lines separated by \n. code 0: the engine's default for that place. */
struct smtp_reply {
    uint16_t code;
    struct view status; /* "5.7.1" */
    struct view text;
};

struct smtp_recipient {
    struct view address;   /* as given, quotes normalised */
    struct view orcpt;
    uint8_t notify;
    void *user;            /* the role's, set in rcpt() */
    struct smtp_reply result; /* after data(): this recipient's own */
};

struct smtp_transaction {
    struct arena *arena; /* of this transaction */
    struct smtp_path sender;
    bool has_sender;
    uint64_t declared_size; /* 0: not said */
    bool eightbit, smtputf8;
    struct smtp_recipient *recipients;
    size_t recipients_n;
    /* the message: in memory when body_file is NULL */
    struct view body;
    struct file *body_file;
    uint64_t body_size;
    void *user;
};

struct smtp_session_facts {
    struct netaddr peer, local;
    struct view helo;
    bool esmtp, tls;
    char tls_version[16], tls_cipher[64];
    struct view authenticated; /* the account's address, empty when not */
};

struct smtp_session;
struct smtp_server_ops {
    /* Each may suspend. A reply with code 0 means "go on". ctx is smtp_server_params.ctx. */
    enum err (*auth)(void *ctx, struct smtp_session *session, struct view user, struct view password, struct smtp_reply *reply); /* ERR_OK: reply ignored */
    enum err (*starttls)(void *ctx, struct smtp_session *session, struct stream *plain, struct stream **out, struct smtp_session_facts *facts);
    void (*mail)(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply);
    void (*rcpt)(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_recipient *r, struct smtp_reply *reply);
    /* A file for a message that outgrew memory, within the budgets; ERR_FULL: 452. */
    enum err (*spool)(void *ctx, struct smtp_session *session, struct file **out);
    /* Octets of spool now held by this session (may shrink); ERR_FULL over a budget. */
    enum err (*account_spool)(void *ctx, struct smtp_session *session, uint64_t octets);
    /* The whole message is there. Sets each recipient's result (2xx only when durable) and the reply of the transaction. */
    void (*data)(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply);
    void (*transaction_end)(void *ctx, struct smtp_session *session, struct smtp_transaction *t); /* always called, frees what mail/rcpt made */
    void (*event)(void *ctx, struct smtp_session *session, const char *event, struct view detail);
};
struct smtp_server_params {
    enum smtp_kind kind;
    const struct smtp_server_ops *ops;
    void *ctx;
    struct view hostname;
    uint64_t size_max;
    uint32_t recipients_max;
    bool tls_available, auth_requires_tls; /* always true for the latter outside tests */
    int64_t idle_us;                       /* RFC5321-4.5.3.2.7: at least 5 minutes */
};

/* stream and everything in params is borrowed until run returns; after STARTTLS the engine owns the new stream and gives it back in *stream. */
enum err smtp_session_run(const struct smtp_server_params *params, struct stream **stream, const struct smtp_session_facts *facts) MUST_CHECK;
const struct smtp_session_facts *smtp_session_facts(const struct smtp_session *session);
struct view smtp_session_greeting_name(const struct smtp_session *session);

#endif
