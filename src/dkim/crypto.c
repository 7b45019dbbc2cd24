/* The algorithms: a library context, digests, public keys from DNS. Private keys are in private.c. */
#include "dkim/crypto_internal.h"

#include "base/reader.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define RSA_EXPONENT_OCTETS_MAX \
    4 /* 3 and 65537 are in use; a longer one makes each verification slower, which is all it does */

struct view dkim_algorithm_name(enum dkim_algorithm algorithm) {
    return algorithm == DKIM_RSA_SHA256 ? VIEW("rsa-sha256") : VIEW("ed25519-sha256");
}

struct view dkim_algorithm_key_type(enum dkim_algorithm algorithm) {
    return algorithm == DKIM_RSA_SHA256 ? VIEW("rsa") : VIEW("ed25519");
}

/* ---- the context ---- */

/* A key of each algorithm is made and asked about a signature that is not its own: whatever is found out at first use is
 * found out now. The modulus is 2^2047 + 1: any odd number will do. */
static enum err use_once(const struct dkim_crypto *crypto) {
    uint8_t rsa[4 + 4 + 1 + 256 + 5], digest[DKIM_DIGEST_SIZE], signature[256], ed25519[32] = {1};
    struct buf der;
    buf_init(&der, sizeof(rsa));
    static const uint8_t head[] = {0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00, 0x80},
                         tail[] = {1, 2, 3, 1, 0, 1};
    buf_put(&der, view_of(head, sizeof(head)));
    for (size_t i = 0; i < 254; i++)
        buf_put_byte(&der, 0);
    buf_put(&der, view_of(tail, sizeof(tail)));
    enum err err = buf_err(&der);
    if (err == ERR_OK)
        err = dkim_digest(crypto, VIEW("veredus"), digest);
    memset(signature, 0x42, sizeof(signature));
    static const enum dkim_algorithm all[] = {DKIM_RSA_SHA256, DKIM_ED25519_SHA256};
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(all); i++) {
        bool is_rsa = all[i] == DKIM_RSA_SHA256;
        struct dkim_public_key *key;
        err = dkim_public_key_new(crypto, all[i], is_rsa ? buf_view(&der) : view_of(ed25519, sizeof(ed25519)), &key);
        if (err != ERR_OK)
            break;
        if (dkim_public_key_verify(key, digest, view_of(signature, is_rsa ? 256 : 64)))
            err = ERR_BUG;
        dkim_public_key_free(key);
    }
    buf_fini(&der);
    return err;
}

enum err dkim_crypto_new(struct dkim_crypto **out) {
    /* OpenSSL decides once a process whether it reads its configuration: whoever comes first chooses. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return ERR_NO_MEMORY;
    struct dkim_crypto *crypto = calloc(1, sizeof(*crypto));
    if (!crypto)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    if (!(crypto->ctx = OSSL_LIB_CTX_new()) || !(crypto->provider = OSSL_PROVIDER_load(crypto->ctx, "default")) ||
        !(crypto->sha256 = EVP_MD_fetch(crypto->ctx, "SHA2-256", NULL)))
        err = ERR_NO_MEMORY;
    /* Blinding of private RSA keys draws from it. */
    uint8_t seed[32];
    if (err == ERR_OK && RAND_priv_bytes_ex(crypto->ctx, seed, sizeof(seed), 0) != 1)
        err = ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = use_once(crypto);
    ERR_clear_error();
    if (err != ERR_OK) {
        dkim_crypto_free(crypto);
        return err;
    }
    *out = crypto;
    return ERR_OK;
}

void dkim_crypto_free(struct dkim_crypto *crypto) {
    if (!crypto)
        return;
    EVP_MD_free(crypto->sha256);
    if (crypto->provider)
        (void)OSSL_PROVIDER_unload(crypto->provider);
    OSSL_LIB_CTX_free(crypto->ctx);
    free(crypto);
}

/* ---- digests ---- */

struct dkim_hash {
    EVP_MD_CTX *ctx;
    bool is_failed;
};

enum err dkim_hash_new(const struct dkim_crypto *crypto, struct dkim_hash **out) {
    struct dkim_hash *hash = calloc(1, sizeof(*hash));
    if (!hash)
        return ERR_NO_MEMORY;
    hash->ctx = EVP_MD_CTX_new();
    if (!hash->ctx || EVP_DigestInit_ex2(hash->ctx, crypto->sha256, NULL) != 1) {
        dkim_hash_free(hash);
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    *out = hash;
    return ERR_OK;
}

void dkim_hash_free(struct dkim_hash *hash) {
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->ctx);
    free(hash);
}

void dkim_hash_put(struct dkim_hash *hash, struct view v) {
    if (v.n > 0 && EVP_DigestUpdate(hash->ctx, v.p, v.n) != 1)
        hash->is_failed = true;
}

enum err dkim_hash_end(struct dkim_hash *hash, uint8_t digest[DKIM_DIGEST_SIZE]) {
    unsigned n;
    if (hash->is_failed || EVP_DigestFinal_ex(hash->ctx, digest, &n) != 1) {
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

enum err dkim_digest(const struct dkim_crypto *crypto, struct view v, uint8_t digest[DKIM_DIGEST_SIZE]) {
    unsigned n;
    if (EVP_Digest(v.n > 0 ? v.p : digest, v.n, digest, &n, crypto->sha256, NULL) != 1) {
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

/* ---- public keys ---- */

struct dkim_public_key {
    const struct dkim_crypto *crypto;
    enum dkim_algorithm algorithm;
    EVP_PKEY *pkey;
};

/* X.690: one element with a definite length of its shortest form, as DER has it. */
static struct view der_take(struct reader *r, uint8_t tag) {
    (void)reader_expect(r, tag);
    size_t n = reader_be8(r);
    if (n == 0x81)
        n = reader_be8(r);
    else if (n == 0x82)
        n = reader_be16(r);
    else if (n >= 0x80)
        (void)reader_fail(r, ERR_SYNTAX);
    return reader_take(r, n);
}

/* A positive INTEGER without the zero that keeps it positive. */
static struct view der_integer(struct reader *r) {
    struct view v = der_take(r, 0x02);
    if (v.n == 0 || v.p[0] >= 0x80)
        (void)reader_fail(r, ERR_SYNTAX);
    while (v.n > 0 && v.p[0] == 0)
        v = view_skip(v, 1);
    return v;
}

/* RFC8017 appendix A.1.1, bare or inside RFC5280-4.1's SubjectPublicKeyInfo. */
static enum err read_rsa(struct view data, struct view *modulus, struct view *exponent) {
    /* rsaEncryption, and its NULL. */
    static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    struct reader outer = reader_of(data);
    struct reader r = reader_of(der_take(&outer, 0x30));
    if (reader_err(&outer) != ERR_OK || !reader_at_end(&outer))
        return ERR_SYNTAX;
    if (reader_peek(&r) == 0x30) {
        struct reader kind = reader_of(der_take(&r, 0x30));
        bool is_rsa = view_eq(der_take(&kind, 0x06), view_of(oid, sizeof(oid)));
        struct reader bits = reader_of(der_take(&r, 0x03));
        if (!is_rsa || reader_err(&kind) != ERR_OK || reader_err(&r) != ERR_OK || !reader_at_end(&r) ||
            !reader_expect(&bits, 0))
            return ERR_SYNTAX;
        r = reader_of(der_take(&bits, 0x30));
        if (reader_err(&bits) != ERR_OK || !reader_at_end(&bits))
            return ERR_SYNTAX;
    }
    *modulus = der_integer(&r);
    *exponent = der_integer(&r);
    return reader_err(&r) == ERR_OK && reader_at_end(&r) ? ERR_OK : ERR_SYNTAX;
}

static EVP_PKEY *make_rsa(const struct dkim_crypto *crypto, struct view modulus, struct view exponent) {
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(crypto->ctx, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(modulus.p, (int)modulus.n, NULL), *e = BN_bin2bn(exponent.p, (int)exponent.n, NULL);
    OSSL_PARAM *params = NULL;
    if (ctx && builder && n && e && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(builder);
    if (params && (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1))
        pkey = NULL;
    OSSL_PARAM_free(params);
    BN_free(e);
    BN_free(n);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

static enum err make_pkey(const struct dkim_crypto *crypto, enum dkim_algorithm algorithm, struct view data,
                          EVP_PKEY **out) {
    if (algorithm == DKIM_ED25519_SHA256) {
        if (data.n != DKIM_ED25519_SIZE)
            return ERR_SYNTAX;
        *out = EVP_PKEY_new_raw_public_key_ex(crypto->ctx, "ED25519", NULL, data.p, data.n);
    } else {
        struct view modulus, exponent;
        TRY(read_rsa(data, &modulus, &exponent));
        if (modulus.n > DKIM_RSA_BITS_MAX / 8 || exponent.n > RSA_EXPONENT_OCTETS_MAX)
            return ERR_LIMIT;
        /* An even number is no product of two odd primes, and no exponent either; 1 would make every signature good. */
        if (modulus.n == 0 || (modulus.p[modulus.n - 1] & 1) == 0 || exponent.n == 0 ||
            (exponent.p[exponent.n - 1] & 1) == 0 || (exponent.n == 1 && exponent.p[0] == 1))
            return ERR_SYNTAX;
        *out = make_rsa(crypto, modulus, exponent);
    }
    return *out ? ERR_OK : ERR_SYNTAX;
}

enum err dkim_public_key_new(const struct dkim_crypto *crypto, enum dkim_algorithm algorithm, struct view data,
                             struct dkim_public_key **out) {
    struct dkim_public_key *key = calloc(1, sizeof(*key));
    if (!key)
        return ERR_NO_MEMORY;
    key->crypto = crypto;
    key->algorithm = algorithm;
    ERR_clear_error();
    enum err err = make_pkey(crypto, algorithm, data, &key->pkey);
    if (err == ERR_SYNTAX && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE)
        err = ERR_NO_MEMORY;
    ERR_clear_error();
    if (err != ERR_OK) {
        dkim_public_key_free(key);
        return err;
    }
    *out = key;
    return ERR_OK;
}

void dkim_public_key_free(struct dkim_public_key *key) {
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

uint32_t dkim_public_key_bits(const struct dkim_public_key *key) {
    int bits = EVP_PKEY_get_bits(key->pkey);
    /* Of Ed25519 OpenSSL counts 253; everybody calls it 256. */
    return key->algorithm == DKIM_ED25519_SHA256 ? 256 : bits > 0 ? (uint32_t)bits : 0;
}

bool dkim_public_key_verify(const struct dkim_public_key *key, const uint8_t digest[DKIM_DIGEST_SIZE],
                            struct view signature) {
    bool is_good = false;
    if (signature.n == 0)
        return false;
    ERR_clear_error();
    if (key->algorithm == DKIM_ED25519_SHA256) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        is_good = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, key->crypto->ctx, NULL, key->pkey, NULL) == 1 &&
                  EVP_DigestVerify(ctx, signature.p, signature.n, digest, DKIM_DIGEST_SIZE) == 1;
        EVP_MD_CTX_free(ctx);
    } else {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(key->crypto->ctx, key->pkey, NULL);
        is_good = ctx && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                  EVP_PKEY_CTX_set_signature_md(ctx, key->crypto->sha256) == 1 &&
                  EVP_PKEY_verify(ctx, signature.p, signature.n, digest, DKIM_DIGEST_SIZE) == 1;
        EVP_PKEY_CTX_free(ctx);
    }
    ERR_clear_error();
    return is_good;
}
