/*
 * TLS 1.2 and 1.3 (RFC 8446, 8996, 9325) as streams, on OpenSSL 3 with our own
 * library context: the system's openssl.cnf does not reach it.
 *
 * A server context needs no private key in its process: signing goes through
 * struct tls_signer, which may suspend the coroutine (a call to `directory`).
 * That is the one listed place where a coroutine switch happens inside a
 * library's callback; OpenSSL's error queue is empty at the switch.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "loop/stream.h"

struct tls_library; /* OSSL_LIB_CTX, providers, fetched algorithms */
/* In prepare(), before confinement: everything that loads or reads files. */
enum err tls_library_new(struct tls_library **out) MUST_CHECK;
void tls_library_free(struct tls_library *library);
/* Certificate authorities (PEM, one after the other; octets between them are skipped) for clients that verify. Before tls_client_new().
 * ERR_SYNTAX when there is none. */
enum err tls_library_add_authorities(struct tls_library *library, struct view pem) MUST_CHECK;

/* Signs `tbs` (not hashed yet) with key `key` by RFC8446-4.2.3 SignatureScheme `scheme`; the signature goes to *out. May suspend. */
struct tls_signer {
    enum err (*sign)(struct tls_signer *signer, uint64_t key, uint16_t scheme, struct view tbs, struct buf *out);
};

struct tls_server;          /* certificates by name, ticket keys, limits; shared by connections, reference counted */
#define TLS_CHAIN_MAX 16384 /* octets of PEM a chain */
#define TLS_HANDSHAKE_US (60 * US_PER_S)
enum err tls_server_new(struct tls_library *library, struct tls_signer *signer, struct random *random,
                        struct tls_server **out) MUST_CHECK;
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server);
/* PEM, leaf first. names: from the leaf's SAN. The first chain added is the default. ERR_SYNTAX. */
enum err tls_server_add_chain(struct tls_server *server, uint64_t key, struct view pem) MUST_CHECK;

/* Protocols of RFC7301 in our order of preference. None set: the client's list is ignored. A client that offers only others is refused
 * (RFC7301-3.2). ERR_LIMIT. */
enum err tls_server_set_alpn(struct tls_server *server, const struct view *names, size_t n) MUST_CHECK;
/* RFC5077-4: tickets made with the key before are still taken (and renewed), those of the key before that are not. The first key is drawn
 * when the server is made. */
#define TLS_TICKET_KEY_SIZE 80
void tls_server_rotate_tickets(struct tls_server *server);
/* The same with a key from elsewhere, so that several processes take each other's tickets. */
void tls_server_set_ticket_key(struct tls_server *server, const uint8_t key[TLS_TICKET_KEY_SIZE]);

struct tls_facts {
    uint16_t version; /* 0x0304 */
    char cipher[64];
    char server_name[256]; /* SNI */
    char alpn[32];
    bool resumed; /* by a ticket (RFC8446-2.2) */
};
/* Handshakes over `inner` (with octets already read in `early`, which must be empty after STARTTLS) on the current coroutine. Takes inner
 * over only on ERR_OK. ERR_SYNTAX protocol error, ERR_TIMEOUT, ERR_CLOSED. */
enum err tls_accept(struct tls_server *server, struct stream *inner, int64_t deadline_us, struct stream **out,
                    struct tls_facts *facts) MUST_CHECK;

/* After a read that said ERR_CLOSED: the peer's octets ended without its close_notify (RFC8446-6.1), so the end may be an attacker's. */
bool tls_stream_is_truncated(const struct stream *stream);

/* Outbound. verify_name NULL: opportunistic, any certificate (RFC7435). */
struct tls_client;
enum err tls_client_new(struct tls_library *library, struct tls_client **out) MUST_CHECK;
void tls_client_free(struct tls_client *client);
/* Offered to servers (RFC7301). ERR_LIMIT. */
enum err tls_client_set_alpn(struct tls_client *client, const struct view *names, size_t n) MUST_CHECK;
/* ERR_DENIED when the server's certificate is not for verify_name, or not from an authority of the library. */
enum err tls_connect(struct tls_client *client, struct stream *inner, const char *server_name, const char *verify_name,
                     int64_t deadline_us, struct stream **out, struct tls_facts *facts) MUST_CHECK;

/* The other half, for the process that holds keys (directory). */
struct tls_key;
enum err tls_key_load(struct view pem, struct tls_key **out) MUST_CHECK;
/* Whether the chain's first certificate (PEM) is readable and its public key is this key's. */
bool tls_key_is_of(const struct tls_key *key, struct view chain_pem);
void tls_key_free(struct tls_key *key);
enum err tls_key_sign(struct tls_key *key, uint16_t scheme, struct view tbs, struct buf *out) MUST_CHECK;
/* A new P-256 key and a self-signed certificate for these names (and 127.0.0.1, ::1 when localhost is one), both PEM. */
enum err tls_make_self_signed(const struct view *names, size_t n, int64_t now_us, struct buf *key_pem,
                              struct buf *certificate_pem) MUST_CHECK;
/* DKIM key pairs, PKCS#8 DER; algorithm "ed25519" or "rsa" (2048: takes up to a second; on a coroutine it yields between candidates, the
 * other listed place where a library's callback suspends). */
enum err tls_make_key(struct view algorithm, struct buf *der) MUST_CHECK;

#endif
