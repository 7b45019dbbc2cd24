/* Private keys, for the process that holds them, for tests and for tools. */
#include "dkim/crypto_internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct dkim_private_key {
    const struct dkim_crypto *crypto;
    enum dkim_algorithm algorithm;
    EVP_PKEY *pkey;
};

static EVP_PKEY *read_pkey(const struct dkim_crypto *crypto, struct view data) {
    if (view_starts(data, VIEW("-----BEGIN"))) {
        BIO *bio = BIO_new_mem_buf(data.p, (int)data.n);
        /* An empty password, so that nothing asks the terminal for one. */
        char password[] = "";
        EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, password, crypto->ctx, NULL) : NULL;
        BIO_free(bio);
        return pkey;
    }
    const uint8_t *p = data.p;
    return d2i_AutoPrivateKey_ex(NULL, &p, (long)data.n, crypto->ctx, NULL);
}

enum err dkim_private_key_load(const struct dkim_crypto *crypto, struct view data, struct dkim_private_key **out) {
    if (data.n > DKIM_PRIVATE_KEY_MAX)
        return ERR_LIMIT;
    struct dkim_private_key *key = calloc(1, sizeof(*key));
    if (!key)
        return ERR_NO_MEMORY;
    key->crypto = crypto;
    key->pkey = data.n > 0 ? read_pkey(crypto, data) : NULL;
    ERR_clear_error();
    if (!key->pkey || !(EVP_PKEY_is_a(key->pkey, "RSA") || EVP_PKEY_is_a(key->pkey, "ED25519"))) {
        dkim_private_key_free(key);
        return ERR_SYNTAX;
    }
    key->algorithm = EVP_PKEY_is_a(key->pkey, "RSA") ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
    *out = key;
    return ERR_OK;
}

void dkim_private_key_free(struct dkim_private_key *key) {
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

enum dkim_algorithm dkim_private_key_algorithm(const struct dkim_private_key *key) {
    return key->algorithm;
}

uint32_t dkim_private_key_bits(const struct dkim_private_key *key) {
    int bits = EVP_PKEY_get_bits(key->pkey);
    return key->algorithm == DKIM_ED25519_SHA256 ? 256 : bits > 0 ? (uint32_t)bits : 0;
}

static bool sign_ed25519(const struct dkim_private_key *key, const uint8_t *digest, uint8_t *p, size_t *n) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_done = ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, key->crypto->ctx, NULL, key->pkey, NULL) == 1 &&
                   EVP_DigestSign(ctx, p, n, digest, DKIM_DIGEST_SIZE) == 1;
    EVP_MD_CTX_free(ctx);
    return is_done;
}

static bool sign_rsa(const struct dkim_private_key *key, const uint8_t *digest, uint8_t *p, size_t *n) {
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(key->crypto->ctx, key->pkey, NULL);
    bool is_done = ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                   EVP_PKEY_CTX_set_signature_md(ctx, key->crypto->sha256) == 1 &&
                   EVP_PKEY_sign(ctx, p, n, digest, DKIM_DIGEST_SIZE) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_done;
}

enum err dkim_private_key_sign(const struct dkim_private_key *key, const uint8_t digest[DKIM_DIGEST_SIZE],
                               struct buf *out) {
    int room = EVP_PKEY_get_size(key->pkey);
    if (room <= 0)
        return ERR_BUG;
    size_t n = (size_t)room;
    uint8_t *p = buf_room(out, n);
    if (!p)
        return buf_err(out);
    ERR_clear_error();
    bool is_done =
        key->algorithm == DKIM_ED25519_SHA256 ? sign_ed25519(key, digest, p, &n) : sign_rsa(key, digest, p, &n);
    ERR_clear_error();
    if (!is_done)
        return ERR_NO_MEMORY;
    buf_added(out, n);
    return ERR_OK;
}

enum err dkim_private_key_put_public(const struct dkim_private_key *key, struct buf *out) {
    enum err err = ERR_NO_MEMORY;
    if (key->algorithm == DKIM_ED25519_SHA256) {
        uint8_t raw[DKIM_ED25519_SIZE];
        size_t n = sizeof(raw);
        if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &n) == 1) {
            buf_put(out, view_of(raw, n));
            err = buf_err(out);
        }
    } else {
        uint8_t *der = NULL;
        int n = i2d_PUBKEY(key->pkey, &der);
        if (n > 0) {
            buf_put(out, view_of(der, (size_t)n));
            err = buf_err(out);
        }
        OPENSSL_free(der);
    }
    ERR_clear_error();
    return err;
}
