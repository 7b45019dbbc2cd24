/*
 * Inside the SMTP client engine: its session, and the steps that client.c takes
 * in order. Nobody outside smtp/ includes this.
 */
#ifndef SMTP_CLIENT_SESSION_H
#define SMTP_CLIENT_SESSION_H

#include "smtp/client.h"
#include "smtp/dot_stuff.h"
#include "smtp/reply_parse.h"

/* What the server offers (RFC5321-4.1.1.1). */
struct extensions {
    bool pipelining, size, eightbit, smtputf8, starttls;
    bool chunking, binary, dsn, deliverby, priority, no_soliciting, requiretls;
    uint64_t size_max;                               /* 0: not said */
    uint64_t by_min_s;                               /* 0: not said */
    uint64_t mails_max, recipients_max, domains_max; /* RFC9422-4; 0: not said */
};

struct smtp_client {
    const struct smtp_client_params *params;
    const struct smtp_envelope *envelope;
    struct stream **place; /* the caller's, for STARTTLS */
    struct stream *stream;
    struct input input;
    struct reply_parser reply; /* the newest */
    struct buf out;
    struct arena *arena;
    struct smtp_outcome *outcomes; /* reply 0: not decided */
    size_t pending;                /* outcomes not decided */
    size_t accepted_n;             /* by RCPT */
    struct extensions offers;
    bool in_transaction; /* MAIL is next, or was said */
    bool is_over;        /* the server said 421, or the stream is of no use */
    bool is_greeted, is_refused;
    bool needs_reset; /* a transaction is open at the server */
    uint64_t mails;
    struct buf domains; /* of recipients, as hashes of eight octets, for RCPTDOMAINMAX */
    /* Of the message under way. */
    bool has_eightbit, needs_smtputf8, by_chunks;
    uint64_t size;     /* of the text that will be sent, without dots */
    uint64_t octets;   /* of prefix and file, as they are: what chunks carry */
    size_t answered_n; /* LMTP: replies to the message so far */
    bool *sent_dot;
};

/* ---- replies and outcomes (client.c) ---- */

static inline bool reply_is_good(const struct smtp_client *c) {
    return c->reply.code < 300;
}
static inline bool reply_is_refusal(const struct smtp_client *c) {
    return c->reply.code >= 400;
}
/* Waits for the next reply, all of it within `within_us`. ERR_SYNTAX also for replies over the limits. */
enum err client_read_reply(struct smtp_client *c, int64_t within_us) MUST_CHECK;
/* Sends what is in c->out. When no reply is outstanding and one is there already, it is of no command: the refusal it may be
 * decides all (c->pending becomes 0), else ERR_SYNTAX. */
enum err client_send(struct smtp_client *c, bool is_outstanding, int64_t within_us) MUST_CHECK;
/* Decides one recipient, by the newest reply. */
enum err client_decide(struct smtp_client *c, size_t recipient, uint16_t code) MUST_CHECK;
enum err client_decide_as(struct smtp_client *c, size_t recipient, enum smtp_why why, uint16_t code, struct view status,
                          struct view text) MUST_CHECK;
/* Decides all that are not decided: by the newest reply, or by a text of ours. */
enum err client_decide_rest(struct smtp_client *c) MUST_CHECK;
/* Decided here, not by the server. */
enum err client_decide_rest_as(struct smtp_client *c, enum smtp_why why, uint16_t code, struct view status,
                               struct view text) MUST_CHECK;

/* ---- the message (client_data.c) ---- */

/* Reads the message once: its size, whether it has octets above 127. ERR_PERMANENT: it cannot be sent at all. */
enum err client_measure(struct smtp_client *c) MUST_CHECK;
/* After 354, or with BDAT in front of each part: sends the message and decides the accepted recipients. */
enum err client_send_message(struct smtp_client *c) MUST_CHECK;
enum err client_send_chunks(struct smtp_client *c) MUST_CHECK;
/* Reads the reply to the whole message, or for LMTP one for each recipient, and decides. */
enum err client_take_verdict(struct smtp_client *c) MUST_CHECK;
/* MAIL, RCPT and DATA, pipelined where offered (client_transaction.c). */
enum err client_transaction(struct smtp_client *c) MUST_CHECK;

/* From this size on chunks pay, since no line of it is looked at; below it, DATA goes with the recipients in one packet. */
#define CHUNKS_FROM ((uint64_t)256 * 1024)
/* One chunk: a refusal is heard this late (RFC3030-2). */
#define CHUNK_MAX ((uint64_t)1024 * 1024)

/* RFC5321-4.5.3.2 */
#define WAIT_GREETING (300 * US_PER_S)
#define WAIT_HELLO (300 * US_PER_S)
#define WAIT_MAIL (300 * US_PER_S)
#define WAIT_RCPT (300 * US_PER_S)
#define WAIT_DATA (120 * US_PER_S)
#define WAIT_BLOCK (180 * US_PER_S)
#define WAIT_END (600 * US_PER_S)
#define WAIT_QUIT (10 * US_PER_S) /* nothing depends on it */

#endif
