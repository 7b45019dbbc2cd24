/*
 * Inside the SMTP server engine: the session, the table of verbs, replies.
 * Nobody outside smtp/ includes this.
 */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include "smtp/address.h"
#include "smtp/data_scan.h"
#include "smtp/server.h"

/* Where a session is; a verb names those it is allowed in. */
enum smtp_state {
    SMTP_START = 1,        /* not greeted, or TLS has just begun */
    SMTP_READY = 2,        /* greeted, no transaction */
    SMTP_MAIL = 4,         /* MAIL was accepted, no recipient yet */
    SMTP_RCPT = 8,         /* at least one recipient */
    SMTP_CHUNKS = 16,      /* a BDAT came, its LAST did not */
    SMTP_TURNED_AWAY = 32, /* refused by the greeting: QUIT, and nothing else (RFC5321-3.1) */
};
#define SMTP_ANY (SMTP_START | SMTP_READY | SMTP_MAIL | SMTP_RCPT | SMTP_CHUNKS)

/* Sets of enum smtp_kind. */
#define KIND_BIT(kind) (1u << (kind))
#define KIND_MX KIND_BIT(SMTP_KIND_MX)
#define KIND_SUBMISSION KIND_BIT(SMTP_KIND_SUBMISSION)
#define KIND_LMTP KIND_BIT(SMTP_KIND_LMTP)
#define KIND_ALL (KIND_MX | KIND_SUBMISSION | KIND_LMTP)
#define KIND_SMTP (KIND_MX | KIND_SUBMISSION)

/* What a command line said; each verb's parse() fills its own part. Views into the input, good until more is read. */
struct smtp_command {
    struct view text;    /* a name, a string, a mechanism */
    struct view initial; /* AUTH: initial response */
    bool has_initial;
    struct smtp_path path;
    uint64_t size;
    bool has_size, eightbit, binary, smtputf8, requiretls;
    uint32_t params_seen; /* bits of the parameter table */
    uint8_t ret, notify;
    struct view envid, orcpt, hold, solicit;
    bool has_hold, hold_is_time;
    int64_t hold_s; /* seconds to wait, or a time since 1970 */
    bool has_by, by_return, by_trace;
    int64_t by_s;
    bool has_priority;
    int8_t priority;
    bool last;      /* BDAT */
    bool is_broken; /* BDAT: what stands behind the size is wrong, the octets come all the same */
};

/* One read of a message's text; what follows its end goes back into the input, which therefore holds as much. */
#define SMTP_READ_PIECE ((size_t)32 * 1024)
/* Replies wait for the input to run dry; above this they go out anyway. */
#define SMTP_FLUSH_AT ((size_t)4096)

struct smtp_session;
struct smtp_verb {
    struct view name;
    unsigned kinds;
    unsigned states;
    size_t line_max;      /* without CRLF */
    bool is_mistake_free; /* its refusals are policy, not mistakes of the client */
    bool takes_utf8;      /* UTF-8 in its arguments, where SMTPUTF8 is offered (RFC6531-3.3) */
    unsigned extension;   /* it exists only where that is offered; 0: always */
    /* Reads the arguments (without the space in front, and without blanks at the end). False: it has replied. */
    bool (*parse)(struct smtp_session *s, struct view args, struct smtp_command *command);
    /* An error ends the session with it. */
    enum err (*run)(struct smtp_session *s, const struct smtp_command *command);
};

/* A message on its way in (spool.c). */
struct spool {
    bool is_open;
    struct data_scan scan;
    struct file *file;
    uint64_t size;             /* of the text so far, whether kept or not */
    uint64_t written;          /* to the file; the rest of it is in the session's body */
    uint64_t accounted;        /* what the role was told last */
    struct smtp_reply refusal; /* code 0: all is well */
};

struct smtp_session {
    const struct smtp_server_params *params;
    struct stream *stream;
    struct input input;
    struct buf out;
    enum smtp_state state;
    struct smtp_session_facts facts;
    uint8_t helo[SMTP_DOMAIN_MAX];
    uint8_t authenticated[SMTP_IDENTITY_MAX];
    unsigned errors, auth_failures;
    bool is_between;    /* waits for a command: may be saved */
    uint16_t last_code; /* of the newest reply */
    /* The transaction; arena is made at the first MAIL and reused. */
    struct arena *arena;
    struct smtp_transaction transaction;
    bool in_transaction;
    bool any_rcpt; /* a RCPT was tried */
    size_t recipients_cap;
    struct buf body;
    struct spool spool;
    /* For the limits of RFC9422-4: MAIL commands so far; the domains of recipients, as hashes of eight octets each. */
    uint32_t mails;
    struct buf domains;
};

/* The table's ends: verb_*.c. */
extern const struct smtp_verb smtp_verb_helo, smtp_verb_ehlo, smtp_verb_lhlo, smtp_verb_mail, smtp_verb_rcpt,
    smtp_verb_data, smtp_verb_bdat, smtp_verb_auth, smtp_verb_starttls, smtp_verb_rset, smtp_verb_noop, smtp_verb_quit,
    smtp_verb_vrfy, smtp_verb_expn, smtp_verb_help;
/* All verbs, for HELP and the dispatcher. */
extern const struct smtp_verb *const smtp_verbs[];
extern const size_t smtp_verbs_n;

static inline unsigned session_kind(const struct smtp_session *s) {
    return KIND_BIT(s->params->kind);
}

/* ---- replies (reply.c) ---- */

#define SMTP_REPLY_TEXT_MAX 480 /* of one line, so that the line keeps RFC5321-4.5.3.1.5's 512 octets */

/* Queues a reply. status empty: none (greetings, 3yz; RFC2034-4). Lines of text are separated by \n; what is not printable becomes '?'. */
void session_reply(struct smtp_session *s, uint16_t code, struct view status, struct view text);
/* A reply that an op gave; def's parts where it gave none. */
void session_reply_or(struct smtp_session *s, const struct smtp_reply *given, uint16_t code, struct view status,
                      struct view text);
#define REPLY(s, code, status, text) session_reply((s), (code), VIEW(status), VIEW(text))
/* Sends what is queued. */
enum err session_flush(struct smtp_session *s) MUST_CHECK;

/* ---- the session (server.c) ---- */

/* Waits for a line of at most max octets. *line has no CRLF and is good until more is read. ERR_LIMIT: it was longer and is
 * gone. ERR_SYNTAX: it ended in a bare LF. Sends what is queued when it must wait. Other errors end the session. */
enum err session_read_line(struct smtp_session *s, size_t max, struct view *line) MUST_CHECK;
/* Whether the role wants to end. */
static inline bool session_is_stopping(const struct smtp_session *s) {
    return s->params->stopping != NULL && *s->params->stopping;
}
void session_event(struct smtp_session *s, const char *event, struct view detail);
/* Ends the transaction, if there is one; the state is READY after it. */
void session_reset(struct smtp_session *s);
bool session_offers_tls(const struct smtp_session *s);
bool session_offers_auth(const struct smtp_session *s);
/* All of these extensions, in this session and as it is now. */
bool session_offers(const struct smtp_session *s, unsigned extensions);
bool session_offers_verb(const struct smtp_session *s, const struct smtp_verb *verb);
/* Parse functions that verbs share. */
bool parse_nothing(struct smtp_session *s, struct view args, struct smtp_command *command); /* 501 for any argument */
bool parse_text(struct smtp_session *s, struct view args, struct smtp_command *command);    /* anything */

/* ---- the message (spool.c) ---- */

/* Opens the spool; ERR_OK or what the role's budget says. */
enum err spool_open(struct smtp_session *s) MUST_CHECK;
/* Gives back whatever is held. */
void spool_close(struct smtp_session *s);
/* Text of the message. */
void spool_take(struct smtp_session *s, struct view text);
void spool_refuse(struct smtp_session *s, uint16_t code, struct view status, struct view text);
#define REFUSE(s, code, status, text) spool_refuse((s), (code), VIEW(status), VIEW(text))
/* Octets of a message as they come: what is there already, then the stream, with the time that RFC5321-4.5.3.2.5 gives. take() says how many
 * it used of what it got; fewer: it has enough. */
enum err spool_receive(struct smtp_session *s,
                       size_t (*take)(struct smtp_session *s, struct view in, void *ctx, bool *enough),
                       void *ctx) MUST_CHECK;
/* The whole message is there: the role judges it, and the transaction is answered and over. */
enum err spool_finish(struct smtp_session *s) MUST_CHECK;
/* RCPT was said and nobody was accepted, or RCPT was not said: false, and it has replied. */
bool spool_has_recipients(struct smtp_session *s);

/* ---- saving (save.c) ---- */

/* Whether the role wants the session saved, and it can be. */
bool session_is_leaving(const struct smtp_session *s);
enum err session_save(struct smtp_session *s) MUST_CHECK;
/* ERR_SYNTAX: that is not what was saved. */
enum err session_restore(struct smtp_session *s, struct view text) MUST_CHECK;

/* ---- parameters of MAIL and RCPT (params.c) ---- */

/* Reads *(SP keyword ["=" value]) (RFC5321-4.1.2). False: it has replied. on: KIND of the verb, SMTP_ON_MAIL or SMTP_ON_RCPT. */
enum smtp_on { SMTP_ON_MAIL = 1, SMTP_ON_RCPT = 2 };
bool parse_params(struct smtp_session *s, enum smtp_on on, struct reader *r, struct smtp_command *command);

/* ---- the mechanisms of AUTH (verb_auth.c) ---- */

struct smtp_mechanism {
    struct view name;
    bool needs_tls; /* sends a password in the clear */
    bool client_first;
    /* Runs the exchange from the client's first response (decoded). ERR_OK: *user and *password are to be checked. ERR_SYNTAX: replied. */
    enum err (*run)(struct smtp_session *s, struct view response);
};
extern const struct smtp_mechanism smtp_mechanisms[];
extern const size_t smtp_mechanisms_n;
bool mechanism_is_offered(const struct smtp_session *s, const struct smtp_mechanism *mechanism);

#endif
