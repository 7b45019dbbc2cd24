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

#define SMTP_LINE_MAX 512     /* RFC5321-4.5.3.1.4, with CRLF; longer for AUTH and parameters: */
#define SMTP_COMMAND_MAX 4096 /* extensions raise it, RFC5321-4.1.1.11; AUTH RFC4954-4.(3) 12288 is its own limit */
#define SMTP_AUTH_LINE_MAX 12288
#define SMTP_TEXT_LINE_MAX \
    998 /* RFC5321-4.5.3.1.6 without CRLF; longer lines are accepted up to SMTP_TEXT_LINE_HARD_MAX */
#define SMTP_TEXT_LINE_HARD_MAX \
    (1024 * 1024) /* one line of a message; nobody writes longer ones, and parsers after us work by line */
#define SMTP_SPOOL_MEMORY (256 * 1024) /* then a file, DESIGN section 2 */
#define SMTP_ERRORS_MAX 20             /* bad commands before 421 */
#define SMTP_AUTH_FAILURES_MAX 5       /* wrong passwords in one session before 421 */

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
static inline void smtp_reply_set(struct smtp_reply *reply, uint16_t code, struct view status, struct view text) {
    *reply = (struct smtp_reply){.code = code, .status = status, .text = text};
}

struct smtp_recipient {
    struct view address;       /* as given, quotes normalised */
    struct view local, domain; /* its parts; domain is empty for <Postmaster> (RFC5321-4.1.1.3) */
    struct view orcpt;
    uint8_t notify;
    void *user;               /* the role's, set in rcpt() */
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

#define SMTP_SAVED_MAX (40 * 1024) /* a saved session: mostly input that was received and not used */

struct smtp_session_facts {
    struct netaddr peer, local;
    struct view helo;
    bool esmtp, tls;
    char tls_version[16], tls_cipher[64];
    struct view authenticated; /* the account's address, empty when not */
};

struct smtp_session;
struct smtp_server_ops {
    /* Each may suspend. A reply with code 0 means "go on". ctx is smtp_server_params.ctx. Views in replies are read at once and never kept.
     * NULL for auth, starttls, spool, account_spool, transaction_end and event: there is none. A reply of 421 ends the session. */
    /* ERR_DENIED, ERR_TEMPORARY, ...: not authenticated; a reply with a code replaces the engine's own. Counted against SMTP_AUTH_FAILURES_MAX
     * when ERR_DENIED. On ERR_OK the session is authenticated as `user`, or as what smtp_session_set_authenticated() was given. */
    enum err (*auth)(void *ctx, struct smtp_session *session, struct view user, struct view password,
                     struct smtp_reply *reply); /* ERR_OK: reply ignored */
    /* Takes plain over on ERR_OK and sets tls, tls_version, tls_cipher; an error ends the session (the caller frees plain). */
    enum err (*starttls)(void *ctx, struct smtp_session *session, struct stream *plain, struct stream **out,
                         struct smtp_session_facts *facts);
    void (*mail)(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply);
    /* r moves when more recipients come: keep r->user, not r. r->user of a refused one is forgotten at once. */
    void (*rcpt)(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_recipient *r,
                 struct smtp_reply *reply);
    /* A file for a message that outgrew memory, within the budgets; ERR_FULL: 452. */
    enum err (*spool)(void *ctx, struct smtp_session *session, struct file **out);
    /* Octets of spool now held by this session (may shrink); ERR_FULL over a budget. */
    enum err (*account_spool)(void *ctx, struct smtp_session *session, uint64_t octets);
    /* The whole message is there. Sets each recipient's result (2xx only when durable) and the reply of the transaction. What
     * has no code counts as 451. LMTP is answered with each recipient's result, the others with the reply. */
    void (*data)(void *ctx, struct smtp_session *session, struct smtp_transaction *t, struct smtp_reply *reply);
    void (*transaction_end)(void *ctx, struct smtp_session *session,
                            struct smtp_transaction *t); /* always called, frees what mail/rcpt made */
    /* For the role's log. detail may be a peer's octets: log it escaped. "smtp.command.bad", "smtp.tls.failed", "smtp.timeout",
     * "smtp.message.refused" (detail: why), "smtp.errors" (too many), "smtp.login.failed" (where auth() was not asked). */
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
    /* NULL, or true when the role wants to end: the session says 421 4.3.2 between two commands (RFC5321-3.8). Set it, then
     * stream_interrupt() to wake a session that waits. */
    const bool *stopping;
    /*
     * NULL, or true when the role wants to take the session elsewhere (an upgrade, hibernation): at the next boundary of commands
     * outside a transaction its state goes to *saved, octets received and not used included, and run returns ERR_AGAIN. Set it, then
     * stream_interrupt(). A transaction is finished first.
     */
    const bool *saving;
    struct buf *saved;   /* with room for SMTP_SAVED_MAX; may hold a password on its way */
    struct view restore; /* what was saved: the session goes on there, without a greeting, and `facts` is not used */
};

/* stream and everything in params is borrowed until run returns; after STARTTLS the engine owns the new stream and gives it back in *stream.
 * ERR_OK: QUIT. ERR_AGAIN: saved. ERR_CLOSED: the peer left. ERR_LIMIT: turned out by 421 (errors, failures). ERR_TIMEOUT, ERR_CANCELED (also `stopping`), or the
 * stream's error. Does not
 * shut the stream down. facts (may be
 * NULL) is copied, with authenticated but without helo. A failed handshake is ERR_CLOSED. */
enum err smtp_session_run(const struct smtp_server_params *params, struct stream **stream,
                          const struct smtp_session_facts *facts) MUST_CHECK;
const struct smtp_session_facts *smtp_session_facts(const struct smtp_session *session);
struct view smtp_session_greeting_name(const struct smtp_session *session);
/* From within auth(): the account's address, when it is not what the user typed. ERR_LIMIT above SMTP_IDENTITY_MAX. */
enum err smtp_session_set_authenticated(struct smtp_session *session, struct view address) MUST_CHECK;
#define SMTP_IDENTITY_MAX 320 /* a local part of 64, '@', a domain of 255 */
/* The running transaction, or NULL. */
struct smtp_transaction *smtp_session_transaction(struct smtp_session *session);

#endif
