/* SCRAM over OpenSSL's digests. */
#include "sasl/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

static const EVP_MD *hash_md(enum scram_hash hash) {
    switch (hash) {
    case SCRAM_SHA1:
        return EVP_sha1();
    case SCRAM_SHA256:
        return EVP_sha256();
    case SCRAM_SHA512:
        return EVP_sha512();
    }
    return NULL;
}

size_t scram_key_size(enum scram_hash hash) {
    switch (hash) {
    case SCRAM_SHA1:
        return 20;
    case SCRAM_SHA256:
        return 32;
    case SCRAM_SHA512:
        return 64;
    }
    return 0;
}

static enum err hmac_of(enum scram_hash hash, struct view key, struct view text, uint8_t *out) {
    static const uint8_t empty[1];
    unsigned n = 0;
    const void *p = key.n ? key.p : empty;
    if (key.n > INT32_MAX || !HMAC(hash_md(hash), p, (int)key.n, text.p, text.n, out, &n))
        return ERR_NO_MEMORY;
    return ERR_OK;
}

static enum err hash_of(enum scram_hash hash, struct view text, uint8_t *out) {
    unsigned n = 0;
    return EVP_Digest(text.p, text.n, out, &n, hash_md(hash), NULL) == 1 ? ERR_OK : ERR_NO_MEMORY;
}

/* RFC5802-3: the derivation of ClientKey, StoredKey and ServerKey. */
static enum err keys_of(enum scram_hash hash, struct view salted, uint8_t *client_key, struct scram_keys *keys) {
    TRY(hmac_of(hash, salted, VIEW("Client Key"), client_key));
    TRY(hash_of(hash, view_of(client_key, scram_key_size(hash)), keys->stored_key));
    return hmac_of(hash, salted, VIEW("Server Key"), keys->server_key);
}

enum err scram_make_keys(enum scram_hash hash, struct view password, struct view salt, uint32_t iterations,
                         struct scram_keys *out) {
    if (!hash_md(hash) || password.n > SCRAM_PASSWORD_MAX || iterations == 0 || iterations > SCRAM_ITERATIONS_MAX)
        return ERR_LIMIT;
    uint8_t salted[SCRAM_KEY_MAX], client_key[SCRAM_KEY_MAX];
    size_t n = scram_key_size(hash);
    if (PKCS5_PBKDF2_HMAC((const char *)password.p, (int)password.n, salt.p, (int)salt.n, (int)iterations,
                          hash_md(hash), (int)n, salted) != 1)
        return ERR_NO_MEMORY;
    enum err err = keys_of(hash, view_of(salted, n), client_key, out);
    wipe(salted, sizeof(salted));
    wipe(client_key, sizeof(client_key));
    return err;
}

/* ---- Hi() in slices ---- */

static bool mac_once(EVP_MAC_CTX *keyed, struct view a, struct view b, uint8_t *out, size_t room) {
    size_t n = 0;
    return EVP_MAC_init(keyed, NULL, 0, NULL) == 1 && EVP_MAC_update(keyed, a.p, a.n) == 1 &&
           (b.n == 0 || EVP_MAC_update(keyed, b.p, b.n) == 1) && EVP_MAC_final(keyed, out, &n, room) == 1;
}

enum err scram_derivation_init(struct scram_derivation *d, enum scram_hash hash, struct view password, struct view salt,
                               uint32_t iterations) {
    *d = (struct scram_derivation){.hash = hash, .left = iterations};
    if (!hash_md(hash) || password.n > SCRAM_PASSWORD_MAX || salt.n > 1024 || iterations == 0 ||
        iterations > SCRAM_ITERATIONS_MAX)
        return ERR_LIMIT;
    static const uint8_t empty[1], first_block[4] = {0, 0, 0, 1};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *keyed = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    char name[16];
    struct view md_name = view_cstr(EVP_MD_get0_name(hash_md(hash)));
    memset(name, 0, sizeof(name));
    memcpy(name, md_name.p, MIN(md_name.n, sizeof(name) - 1));
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0), OSSL_PARAM_construct_end()};
    size_t n = scram_key_size(hash);
    if (!keyed || EVP_MAC_init(keyed, password.n ? password.p : empty, password.n, params) != 1 ||
        !mac_once(keyed, salt, view_of(first_block, 4), d->u, sizeof(d->u))) {
        EVP_MAC_CTX_free(keyed);
        return ERR_NO_MEMORY;
    }
    d->hmac = keyed;
    memcpy(d->result, d->u, n);
    d->left--;
    return ERR_OK;
}

bool scram_derivation_step(struct scram_derivation *d, uint32_t rounds) {
    size_t n = scram_key_size(d->hash);
    for (; d->left && rounds; d->left--, rounds--) {
        if (!mac_once(d->hmac, view_of(d->u, n), VIEW_NONE, d->u, sizeof(d->u)))
            BUG("HMAC with a key that worked before"); /* no input reaches this: sizes are fixed */
        for (size_t i = 0; i < n; i++)
            d->result[i] ^= d->u[i];
    }
    return d->left == 0;
}

void scram_derivation_fini(struct scram_derivation *d) {
    EVP_MAC_CTX_free(d->hmac);
    wipe(d, sizeof(*d));
}

/* ---- texts ---- */

void scram_put_client_first_bare(struct buf *buf, struct view user, struct view client_nonce) {
    buf_put_str(buf, "n=");
    for (size_t i = 0; i < user.n; i++) /* RFC5802-5.1: ',' and '=' in a saslname */
        if (user.p[i] == ',')
            buf_put_str(buf, "=2C");
        else if (user.p[i] == '=')
            buf_put_str(buf, "=3D");
        else
            buf_put_byte(buf, user.p[i]);
    buf_put_str(buf, ",r=");
    buf_put(buf, client_nonce);
}

void scram_put_server_first(struct buf *buf, struct view nonce, struct view salt, uint32_t iterations) {
    buf_put_str(buf, "r=");
    buf_put(buf, nonce);
    buf_put_str(buf, ",s=");
    buf_put_base64(buf, salt);
    buf_put_str(buf, ",i=");
    buf_put_u64(buf, iterations);
}

void scram_put_client_final_bare(struct buf *buf, struct view gs2_header_and_binding, struct view nonce) {
    buf_put_str(buf, "c=");
    buf_put_base64(buf, gs2_header_and_binding);
    buf_put_str(buf, ",r=");
    buf_put(buf, nonce);
}

/* ---- proofs ---- */

enum err scram_client_proof(enum scram_hash hash, struct view salted_password, struct view auth_message, uint8_t *proof,
                            uint8_t *server_signature) {
    uint8_t client_key[SCRAM_KEY_MAX], signature[SCRAM_KEY_MAX];
    struct scram_keys keys;
    size_t n = scram_key_size(hash);
    enum err err = keys_of(hash, salted_password, client_key, &keys);
    if (err == ERR_OK)
        err = hmac_of(hash, view_of(keys.stored_key, n), auth_message, signature);
    if (err == ERR_OK)
        err = hmac_of(hash, view_of(keys.server_key, n), auth_message, server_signature);
    for (size_t i = 0; err == ERR_OK && i < n; i++)
        proof[i] = client_key[i] ^ signature[i];
    wipe(client_key, sizeof(client_key));
    wipe(&keys, sizeof(keys));
    return err;
}

enum err scram_check_proof(enum scram_hash hash, const struct scram_keys *keys, struct view auth_message,
                           struct view proof, uint8_t *server_signature) {
    size_t n = scram_key_size(hash);
    if (n == 0 || proof.n != n)
        return ERR_DENIED;
    uint8_t signature[SCRAM_KEY_MAX], client_key[SCRAM_KEY_MAX], stored[SCRAM_KEY_MAX];
    TRY(hmac_of(hash, view_of(keys->stored_key, n), auth_message, signature));
    for (size_t i = 0; i < n; i++)
        client_key[i] = proof.p[i] ^ signature[i];
    enum err err = hash_of(hash, view_of(client_key, n), stored);
    wipe(client_key, sizeof(client_key));
    if (err != ERR_OK)
        return err;
    if (!equal_constant_time(view_of(stored, n), view_of(keys->stored_key, n)))
        return ERR_DENIED;
    return hmac_of(hash, view_of(keys->server_key, n), auth_message, server_signature);
}

enum err scram_fake_salt(struct view secret, struct view user, uint8_t salt[SCRAM_SALT_SIZE]) {
    uint8_t mac[SCRAM_KEY_MAX];
    TRY(hmac_of(SCRAM_SHA256, secret, user, mac));
    memcpy(salt, mac, SCRAM_SALT_SIZE);
    return ERR_OK;
}

void scram_make_nonce(struct random *random, uint8_t nonce[SCRAM_NONCE_SIZE]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    random_fill(random, nonce, SCRAM_NONCE_SIZE);
    for (size_t i = 0; i < SCRAM_NONCE_SIZE; i++)
        nonce[i] = (uint8_t)letters[nonce[i] & 63];
}
