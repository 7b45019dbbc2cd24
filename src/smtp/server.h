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

/* What a listener offers beside the ground set, as bits. The role offers only what it carries through. */
enum smtp_extension {
    SMTP_OFFER_CHUNKING = 1,        /* RFC 3030: BDAT */
    SMTP_OFFER_BINARYMIME = 2,      /* RFC 3030; only together with CHUNKING */
    SMTP_OFFER_DSN = 4,             /* RFC 3461 */
    SMTP_OFFER_SMTPUTF8 = 8,        /* RFC 6531 */
    SMTP_OFFER_FUTURERELEASE = 16,  /* RFC 4865; submission only, and with hold_max_s */
    SMTP_OFFER_DELIVERBY = 32,      /* RFC 2852 */
    SMTP_OFFER_MT_PRIORITY = 64,    /* RFC 6710 */
    SMTP_OFFER_LIMITS = 128,        /* RFC 9422 */
    SMTP_OFFER_NO_SOLICITING = 256, /* RFC 3865 */
    SMTP_OFFER_REQUIRETLS = 512,    /* RFC 8689; shown and taken under TLS only */
};

#define SMTP_ENVID_MAX 100              /* RFC3461-5.4: encoded */
#define SMTP_ORCPT_MAX 500              /* RFC3461-5.4 */
#define SMTP_HOLD_MAX 999999999         /* RFC4865-3, in seconds */
#define SMTP_BY_MAX 999999999           /* RFC2852-4, in seconds */
#define SMTP_PRIORITY_MAX 9             /* RFC6710-3 */
#define SMTP_SOLICIT_MAX 1000           /* RFC3865-2.2 */
#define SMTP_RECIPIENT_DOMAINS_MAX 256u /* distinct ones that a session remembers for RCPTDOMAINMAX */
#define SMTP_LIMIT_MAX 999999           /* RFC9422-4: six digits */

enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS }; /* RFC3461-4.3 */
enum smtp_notify {                                             /* bits; RFC3461-4.1. 0: not said */
                   SMTP_NOTIFY_NEVER = 1,
                   SMTP_NOTIFY_SUCCESS = 2,
                   SMTP_NOTIFY_FAILURE = 4,
                   SMTP_NOTIFY_DELAY = 8,
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
    struct view orcpt;         /* "type;address", encoded as it came; empty: not said. smtp_orcpt_decode() reads it */
    uint8_t notify;            /* enum smtp_notify */
    void *user;                /* the role's, set in rcpt() */
    struct smtp_reply result;  /* after data(): this recipient's own */
};

struct smtp_transaction {
    struct arena *arena; /* of this transaction */
    struct smtp_path sender;
    bool has_sender;
    uint64_t declared_size; /* 0: not said */
    bool eightbit, smtputf8;
    bool binary; /* BODY=BINARYMIME */
    bool bare; /* after data(): it has a bare CR, a bare LF or NUL, which only BDAT brings; it never goes out by DATA */
    bool requiretls;   /* RFC8689-4: it travels under verified TLS, or not at all */
    uint8_t ret;       /* enum smtp_ret */
    struct view envid; /* in xtext, as it came; empty: not said */
    /* RFC4865-5.1.2: "for;86400" or "until;2026-12-24T18:00:00Z", the value of a report's Future-Release-Request; empty: not said */
    struct view hold;
    int64_t hold_until_us;            /* wall time; 0: not held */
    bool has_by, by_return, by_trace; /* RFC2852-4; by_return: mode R, else N */
    int64_t deliver_by_us;            /* wall time, from the moment MAIL came */
    bool has_priority;
    int8_t
        priority; /* as decided: RFC6710-4.1. mail() may change it, and answers 250 2.3.6 "N is the new priority" then */
    struct view solicit; /* RFC3865-2.3: the classes the sender names; empty: none */
    struct smtp_recipient *recipients;
    size_t recipients_n;
    /* the message: in memory when body_file is NULL */
    struct view body;
    struct file *body_file;
    uint64_t body_size;
    void *user;
};

#define SMTP_SAVED_MAX (44 * 1024) /* a saved session: mostly input that was received and not used */

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
    unsigned extensions;                   /* enum smtp_extension; 0: none of them */
    uint32_t hold_max_s;                   /* FUTURERELEASE: at most SMTP_HOLD_MAX */
    uint32_t by_min_s;                     /* DELIVERBY: the shortest time with mode R; 0: none is named */
    struct view priority_policy;           /* MT-PRIORITY: the name of an assignment policy, or empty */
    bool priority_trusted;          /* positive priorities are taken from whoever is not authenticated (RFC6710-4.1) */
    struct view no_soliciting;      /* NO-SOLICITING: classes that are not taken, with commas between; may be empty */
    uint32_t mails_max;             /* MAIL commands in a session before 421, 0: no limit. LIMITS shows it as MAILMAX */
    uint32_t recipient_domains_max; /* in a session, at most SMTP_RECIPIENT_DOMAINS_MAX; 0: no limit. RCPTDOMAINMAX */
    /* code 0, or the session is refused from its start: 554, 421, or 521 where no mail is ever taken (RFC7504-3). Then only QUIT. In
     * rcpt() the code for a domain that takes no mail is 556 (RFC7504-4). */
    struct smtp_reply refuse;
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
