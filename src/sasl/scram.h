/*
 * SCRAM (RFC 5802, RFC 7677) as pure functions, for both sides, and SASL PLAIN
 * (RFC 4616). No I/O, no state beyond the structs given in.
 *
 * `edge` and `web` derive a client proof themselves when a client sends PLAIN or
 * LOGIN, so `directory` only ever checks proofs (DESIGN.md, "Passwords").
 */
#ifndef SASL_SCRAM_H
#define SASL_SCRAM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/random.h"

enum scram_hash { SCRAM_SHA1 = 1, SCRAM_SHA256 = 2, SCRAM_SHA512 = 3 };
#define SCRAM_KEY_MAX 64
#define SCRAM_SALT_SIZE 16
#define SCRAM_NONCE_SIZE 24            /* characters of our part of a nonce */
#define SCRAM_ITERATIONS_DEFAULT 10000 /* RFC7677-4: at least 4096 */
#define SCRAM_ITERATIONS_MAX 1000000   /* a stored or received count above is refused */
#define SCRAM_PASSWORD_MAX 1024        /* octets */

size_t scram_key_size(enum scram_hash hash); /* 20, 32, 64 */

struct scram_keys {
    uint8_t stored_key[SCRAM_KEY_MAX];
    uint8_t server_key[SCRAM_KEY_MAX];
};
/* RFC5802-3: a verifier from a password that is already prepared (SASLprep/PRECIS by the caller). Costs `iterations` HMACs: not for a loop. */
enum err scram_make_keys(enum scram_hash hash, struct view password, struct view salt, uint32_t iterations,
                         struct scram_keys *out) MUST_CHECK;

/* RFC5802-3 Hi() in slices: init, then step until it says done; each step does at most `rounds` HMACs. */
struct scram_derivation {
    enum scram_hash hash;
    uint32_t left;
    uint8_t u[SCRAM_KEY_MAX], result[SCRAM_KEY_MAX];
    void *hmac; /* keyed with the password, freed by fini */
};
enum err scram_derivation_init(struct scram_derivation *d, enum scram_hash hash, struct view password, struct view salt,
                               uint32_t iterations) MUST_CHECK;
bool scram_derivation_step(struct scram_derivation *d, uint32_t rounds); /* true: d->result is SaltedPassword */
void scram_derivation_fini(struct scram_derivation *d);                  /* wipes */

/* RFC5802-7 texts. user is written as saslname (',' and '=' escaped). Channel binding flag "n" (none). */
void scram_put_client_first_bare(struct buf *buf, struct view user, struct view client_nonce);
void scram_put_server_first(struct buf *buf, struct view nonce, struct view salt, uint32_t iterations);
void scram_put_client_final_bare(struct buf *buf, struct view gs2_header_and_binding, struct view nonce);

/* Client side: ClientProof and the ServerSignature to expect, from SaltedPassword and AuthMessage = client-first-bare "," server-first ","
 * client-final-without-proof. Each out has room for SCRAM_KEY_MAX octets. */
enum err scram_client_proof(enum scram_hash hash, struct view salted_password, struct view auth_message, uint8_t *proof,
                            uint8_t *server_signature) MUST_CHECK;
/* Server side: ERR_OK and the signature, or ERR_DENIED. Time does not depend on the keys. */
enum err scram_check_proof(enum scram_hash hash, const struct scram_keys *keys, struct view auth_message,
                           struct view proof, uint8_t *server_signature) MUST_CHECK;
/* A stable made-up salt for a user that does not exist: HMAC(secret, user). */
enum err scram_fake_salt(struct view secret, struct view user, uint8_t salt[SCRAM_SALT_SIZE]) MUST_CHECK;
/* SCRAM_NONCE_SIZE printable characters without ','. */
void scram_make_nonce(struct random *random, uint8_t nonce[SCRAM_NONCE_SIZE]);

/* RFC4616-2: message = [authzid] NUL authcid NUL passwd. ERR_SYNTAX. Views into message. */
struct sasl_plain {
    struct view authzid, authcid, password;
};
enum err sasl_plain_parse(struct view message, struct sasl_plain *out) MUST_CHECK;
/* RFC4013 for ASCII and PRECIS OpaqueString (RFC8265-4.2) subset: rejects control characters and empty; maps non-ASCII spaces to SP; NFC is the
 * caller's library's. ERR_SYNTAX. */
enum err sasl_prepare_password(struct view password, struct buf *out) MUST_CHECK;

#endif
