/*
 * Inside the edge role: the processes that face the internet. Rooms: connections
 * and limits (edge.c), logins (edge_auth.c), SMTP (edge_smtp.c), checks of what
 * comes in (edge_check.c), signatures of what goes out (edge_sign.c), the two-step
 * delivery (edge_deliver.c), IMAP and the hand-over (edge_imap.c).
 */
#ifndef ROLES_EDGE_H
#define ROLES_EDGE_H

#include "base/map.h"
#include "roles/doors.h"
#include "roles/role.h"
#include "sasl/scram.h"
#include "smtp/server.h"
#include "tls/tls.h"

#define EDGE_TLS_US (60 * US_PER_S)
#define EDGE_BUSY_US (100 * US_PER_MS) /* pause when descriptors ran out */
/* RFC5321-4.5.3.2.6: a client waits ten minutes for the reply; then it sends all again. One call that began in time may still take two minutes. */
#define EDGE_DELIVER_US (5 * 60 * US_PER_S)
#define EDGE_ACCEPT_RETRY_US (1 * US_PER_S)
#define EDGE_GOODBYE_US (1 * US_PER_S)                  /* for the one line to a peer over a limit */
#define EDGE_DERIVE_ROUNDS 500                          /* HMACs between two yields: about a quarter of a millisecond */
#define EDGE_PUMP_IDLE_US (INT64_C(40) * 60 * US_PER_S) /* silence both ways; the mailbox's own limit comes first */
#define EDGE_NETWORKS_MAX 100000
#define EDGE_CHAINS_RETRY_US (1 * US_PER_S) /* without certificates there is no TLS: asked until they come */

struct dkim_crypto;
struct dmarc_suffixes;
/* What is made before confinement. */
struct edge_tools {
    struct tls_library *library;
    struct dkim_crypto *crypto;
    struct dmarc_suffixes *suffixes; /* NULL: there is no public suffix list; RFC 9989 needs none */
};

struct edge {
    struct role_env *env;
    struct tls_library *library;
    const struct edge_tools *tools;
    struct tls_server *tls; /* NULL until directory has sent the chains */
    struct tls_signer signer;
    struct waitq tls_ready;
    struct role_peer directory, queue, resolver;
    struct doors doors;
    struct map *networks; /* network -> struct edge_network */
    uint32_t connections;
    uint64_t next_connection;
    uint64_t spooled; /* octets in memory and files, all sessions */
    struct edge_listener *listeners;
    struct edge_connection *open; /* all connections */
    struct waitq closed;          /* one of them */
    bool stopping;
    bool fetches, fetch_again; /* fetch_chains runs; and shall look once more */
};

struct edge_listener {
    struct edge *edge;
    struct listener *listener;
    struct listener_offer offer;
    struct co *co; /* which accepts; NULL when it has ended */
    struct edge_listener *next;
};

struct edge_network {
    uint32_t connections;
    struct netaddr network;
};

struct edge_connection {
    struct edge *edge;
    struct edge_listener *listener;
    struct stream *stream;
    struct log log;
    struct netaddr peer;
    struct tls_facts tls;
    char tls_text[100]; /* "TLSv1.3 TLS_AES_128_GCM_SHA256", empty without TLS */
    uint64_t auth;      /* directory's session of a submission, 0 */
    uint64_t account;
    char address[MESSAGE_ADDRESS_MAX + 1]; /* who logged in */
    size_t address_n;
    uint32_t attempts;
    uint64_t spooled;
    struct co *co;
    bool speaks;                         /* its protocol runs: it can say goodbye */
    struct edge_connection *next, *prev; /* in edge->open */
};

/* ---- logins ---- */
struct edge_login {
    uint64_t session, account;
    struct view address, grant; /* in the arena */
};
/* Derives the proof from a password and lets directory check it. Waits as long as directory says. ERR_DENIED: wrong. */
enum err edge_login_password(struct edge_connection *c, enum protocol protocol, struct view user, struct view password,
                             struct arena *arena, struct edge_login *out) MUST_CHECK;

/* The login is over, or was given up half-way; 0: there was none. */
void edge_login_end(struct edge *edge, uint64_t session);

/* TLS on the connection's stream; fills tls and tls_text. Takes plain over only on ERR_OK. */
enum err edge_start_tls(struct edge_connection *c, struct stream *plain, struct stream **out) MUST_CHECK;

/* ---- protocols: run on the connection's coroutine until it ends ---- */
void edge_smtp(struct edge_connection *c);
void edge_imap(struct edge_connection *c);

/* ---- checks ---- */
struct edge_cut {
    size_t offset, size; /* octets of the message that are left out */
};
struct edge_checks {
    struct view fields;    /* Authentication-Results and Received-SPF, for the top of the message */
    struct edge_cut *cuts; /* fields that claim to be ours and are not, in their order */
    size_t cuts_n;
    struct smtp_reply reply; /* code 0: nothing is to be refused */
    bool is_junk;            /* taken, and put aside: the author's domain wants it so (DMARC p=quarantine) */
};
/* Whether mail from this connection is checked: what comes from outside and from nobody who has logged in. */
bool edge_checks_mail(const struct edge_connection *c);
/* Everything in *out lives in the transaction's arena. ERR_AGAIN: the resolver cannot be asked; other errors: ours. */
enum err edge_check(struct edge_connection *c, const struct smtp_session_facts *facts, struct smtp_transaction *t,
                    struct edge_checks *out) MUST_CHECK;

/* ---- signatures ---- */
/* For what a login submits: a DKIM-Signature of each key of the author's domain when the login may send as the author, and Date and Message-ID
 * if they are missing (RFC6409-8), for the top of the message, below Received. They live in the transaction's arena. Errors: directory cannot
 * be asked or has forgotten the login, or ours: the message must not go out. */
enum err edge_sign_message(struct edge_connection *c, struct smtp_transaction *t, struct view *fields) MUST_CHECK;

struct dkim_input;
/* The whole message, and its end. */
enum err edge_feed(const struct smtp_transaction *t, struct arena *arena, struct dkim_input *input) MUST_CHECK;

/* ---- delivery ---- */
/* What rcpt() leaves with a recipient. */
struct edge_recipient {
    struct recipient_target *targets;
    uint32_t n;
};
/* DESIGN section 2, "Receiving": asks all, decides, commits. Sets every recipient's result and the reply. */
void edge_deliver(struct edge_connection *c, const struct smtp_session_facts *facts, struct smtp_transaction *t,
                  struct smtp_reply *reply);

#endif
