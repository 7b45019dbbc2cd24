/*
 * The algorithms of DKIM: SHA-256, RSA (RFC8301-3.2) and Ed25519 (RFC8463-3),
 * from a library context of OpenSSL of our own that reads no configuration file
 * and loads no module. A process makes its struct dkim_crypto before it confines
 * itself; nothing is looked up afterwards.
 *
 * Public halves are for whoever verifies. Private keys are for the process that
 * holds them (directory), for tests and for tools.
 */
#ifndef DKIM_CRYPTO_H
#define DKIM_CRYPTO_H

#include "base/buf.h"

#define DKIM_DIGEST_SIZE 32        /* SHA-256 */
#define DKIM_RSA_BITS_MIN 1024     /* RFC8301-3.2: verifiers must not accept less */
#define DKIM_RSA_BITS_SIGN 2048    /* RFC8301-3.2: signers should use at least this */
#define DKIM_RSA_BITS_MAX 8192     /* RFC8301-3.2 asks for 4096; what is longer only costs us time */
#define DKIM_SIGNATURE_MAX 1024    /* octets of a signature: those of the longest RSA key */
#define DKIM_PRIVATE_KEY_MAX 16384 /* octets of a private key, as text or not */

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };
/* "rsa-sha256", "ed25519-sha256": RFC6376-3.3.2, RFC8463-3 */
struct view dkim_algorithm_name(enum dkim_algorithm algorithm);
/* "rsa", "ed25519": the k= of key records */
struct view dkim_algorithm_key_type(enum dkim_algorithm algorithm);

struct dkim_crypto;
/* Everything that will be needed is fetched here, and used once. */
enum err dkim_crypto_new(struct dkim_crypto **out) MUST_CHECK;
void dkim_crypto_free(struct dkim_crypto *crypto);

/* A SHA-256 that is fed in pieces. Failures stick and show at the end. */
struct dkim_hash;
enum err dkim_hash_new(const struct dkim_crypto *crypto, struct dkim_hash **out) MUST_CHECK;
void dkim_hash_free(struct dkim_hash *hash);
void dkim_hash_put(struct dkim_hash *hash, struct view v);
enum err dkim_hash_end(struct dkim_hash *hash, uint8_t digest[DKIM_DIGEST_SIZE]) MUST_CHECK;
enum err dkim_digest(const struct dkim_crypto *crypto, struct view v, uint8_t digest[DKIM_DIGEST_SIZE]) MUST_CHECK;

struct dkim_public_key;
/*
 * From the decoded p= of a key record: RSA as SubjectPublicKeyInfo or RSAPublicKey (RFC6376-3.6.1; both are published),
 * Ed25519 as 32 octets (RFC8463-4). ERR_SYNTAX; ERR_LIMIT: an RSA key longer than DKIM_RSA_BITS_MAX or with an absurd
 * exponent. Short keys are made: what they are worth is for the caller to say.
 */
enum err dkim_public_key_new(const struct dkim_crypto *crypto, enum dkim_algorithm algorithm, struct view data,
                             struct dkim_public_key **out) MUST_CHECK;
void dkim_public_key_free(struct dkim_public_key *key);
uint32_t dkim_public_key_bits(const struct dkim_public_key *key);
/* Whether the signature over a SHA-256 is this key's: RSASSA-PKCS1-v1_5 (RFC6376-3.3.2), or PureEdDSA of the digest
 * (RFC8463-3). */
bool dkim_public_key_verify(const struct dkim_public_key *key, const uint8_t digest[DKIM_DIGEST_SIZE],
                            struct view signature);

struct dkim_private_key;
/* PKCS#8 DER (what tls_make_key() makes) or PEM of RSA or Ed25519. ERR_SYNTAX, ERR_LIMIT. */
enum err dkim_private_key_load(const struct dkim_crypto *crypto, struct view data,
                               struct dkim_private_key **out) MUST_CHECK;
void dkim_private_key_free(struct dkim_private_key *key);
enum dkim_algorithm dkim_private_key_algorithm(const struct dkim_private_key *key);
uint32_t dkim_private_key_bits(const struct dkim_private_key *key);
/* Appends the signature over a SHA-256 digest. */
enum err dkim_private_key_sign(const struct dkim_private_key *key, const uint8_t digest[DKIM_DIGEST_SIZE],
                               struct buf *out) MUST_CHECK;
/* Appends what p= says, before base64. */
enum err dkim_private_key_put_public(const struct dkim_private_key *key, struct buf *out) MUST_CHECK;

#endif
