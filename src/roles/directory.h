/*
 * Inside the directory role: who there is, who has proven it, who gets mail.
 * Four rooms: logins (directory_auth.c), routes (directory_route.c), signatures
 * of DKIM (directory_sign.c), the control socket (directory_control.c).
 */
#ifndef ROLES_DIRECTORY_H
#define ROLES_DIRECTORY_H

#include "base/map.h"
#include "roles/role.h"
#include "sasl/scram.h"
#include "tls/tls.h"

#define DIRECTORY_SESSIONS_MAX 50000        /* logins begun or open, all edges together */
#define DIRECTORY_SESSIONS_PER_PEER 20000   /* above an edge's connections: a mad one leaves room for the others */
#define DIRECTORY_NETWORKS_MAX 100000       /* networks whose failures are remembered */
#define DIRECTORY_CLEAN_US (1 * US_PER_S)   /* between two looks for room: each goes through all */
#define DIRECTORY_LOGIN_US (120 * US_PER_S) /* between start and proof */
#define DIRECTORY_FAILURES_FREE 3           /* wrong passwords of a network before it is slowed down */
#define DIRECTORY_FAILURES_FORGET_US (3600 * US_PER_S)
#define DIRECTORY_DELAY_FIRST_US (500 * US_PER_MS)
#define DIRECTORY_DELAY_MAX_US (10 * US_PER_S)
#define DIRECTORY_ALIAS_DEPTH_MAX 8
#define DIRECTORY_KEYS_MAX 16
#define DIRECTORY_SECRET_SIZE 32
#define DIRECTORY_SIGNERS_MAX 1000 /* domains whose keys are kept ready: an RSA key takes some 10 KB */

struct directory_store;
struct dkim_crypto;
struct dkim_private_key;

struct directory_key {
    uint64_t id;
    struct tls_key *key;
    struct buf chain; /* PEM */
};

struct directory {
    struct role_env *env;
    struct directory_store *store;
    uint8_t secret[DIRECTORY_SECRET_SIZE]; /* of made-up salts; kept in the file `secret` */
    struct map *sessions;                  /* id -> struct auth_session */
    struct map *networks;                  /* network's address -> struct network_failures */
    struct directory_key keys[DIRECTORY_KEYS_MAX];
    size_t keys_n;
    const struct dkim_crypto *crypto;
    struct map *signers; /* domain -> struct directory_signer */
    uint64_t signers_clock;
    uint64_t next_session;
    int64_t cleaned_us; /* sessions and networks, last */
    struct directory_peer *peers;
    unsigned controls;          /* open connections of the command line */
    bool makes_keys;            /* a coroutine that makes missing keys runs */
    bool keys_are_asked;        /* and shall look again */
    struct waitq keys_are_made; /* it has ended */
};

/* Who is at the other end of a channel: bound to it when it was offered, never said by a message. */
struct directory_peer {
    struct directory *directory;
    enum role role;
    uint32_t index;
    struct channel *channel;
    unsigned sessions; /* in directory->sessions */
    struct directory_peer *next;
};

/* ---- logins ---- */
struct auth_session {
    uint64_t id;
    struct directory_peer *peer; /* the only one that may use it */
    struct arena *arena;
    enum scram_hash hash;
    struct view nonce, salt;
    uint32_t iterations;
    struct scram_keys keys;
    bool exists; /* the account is there and enabled; else every proof is wrong */
    bool proven;
    uint64_t account;
    struct view address;
    enum protocol protocol;
    struct netaddr network;
    bool throttled;
    int64_t started_us;
};
channel_handle_fn directory_handle_auth_start, directory_handle_auth_proof, directory_handle_auth_end;
/* A proven session of this peer, or NULL. */
struct auth_session *directory_session(struct directory *d, struct directory_peer *peer, uint64_t id);
/* All sessions of a peer that is gone. */
void directory_sessions_drop(struct directory *d, struct directory_peer *peer);
/* Begun logins that were never finished, failures that are forgotten; how many. */
uint64_t directory_auth_cleanup(struct directory *d);
void directory_auth_fini(struct directory *d);

/* ---- routes ---- */
channel_handle_fn directory_handle_recipient, directory_handle_sender, directory_handle_relay;
/* Lower-case ASCII, the last '@' splits; ERR_SYNTAX without a domain. The result lives in arena. */
enum err directory_normalise(struct view address, struct arena *arena, struct view *whole, struct view *local,
                             struct view *domain) MUST_CHECK;

/* One may send as whoever's mail one gets. ERR_DENIED if not. */
enum err directory_may_send_as(struct directory *d, const struct auth_session *session, struct view address,
                               struct arena *arena) MUST_CHECK;

/* ---- signatures of DKIM ---- */
/* A domain's private keys, ready to sign. Until the next call that suspends. */
struct directory_signer_key {
    char selector[64];
    size_t selector_n;
    struct dkim_private_key *key;
};
struct directory_signer {
    char domain[256];
    size_t domain_n;
    struct directory_signer_key keys[DKIM_KEYS_MAX];
    size_t n;
    uint64_t used; /* when, on signers_clock */
};
channel_handle_fn directory_handle_dkim_keys, directory_handle_dkim_sign;
/* Of a domain of ours in lower case; one that is not there has no keys. */
enum err directory_signer_get(struct directory *d, struct view domain, const struct directory_signer **out) MUST_CHECK;
/* The domain's keys have changed, or it is gone. */
void directory_signer_forget(struct directory *d, struct view domain);
void directory_signers_fini(struct directory *d);

/* ---- control ---- */
/* Serves one connection of the command line on the calling coroutine; takes the stream over. */
void directory_control(struct directory *d, struct stream *stream, uint32_t uid);
/* Makes the domain with its keys when it is missing. */
enum err directory_ensure_domain(struct directory *d, struct view name) MUST_CHECK;
/* Makes the keys that domains lack, on a coroutine of its own. */
void directory_complete_keys(struct directory *d);
/* Until that has ended, or the deadline. */
enum err directory_await_keys(struct directory *d, int64_t deadline_us) MUST_CHECK;
/* Tells the supervisor about an account that was made, changed or removed. */
enum err directory_announce(struct directory *d, uint64_t account, struct view address, uint64_t quota_octets,
                            bool gone) MUST_CHECK;

#endif
