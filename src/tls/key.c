/*
 * The half for the process that holds keys: signing for the servers of other
 * processes, and making keys and self-signed certificates. It needs no library
 * context of its own; the system's openssl.cnf stays unread all the same.
 */
#include "tls/tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define RSA_BITS 2048      /* RFC8301-3.2: at least 2048 for signers; more does not fit one UDP answer */
#define PEM_MAX 65536      /* an RSA key of 16384 bits has 12,500 characters */
#define SERIAL_OCTETS 16   /* RFC5280-4.1.2.2: at most 20 */
#define COMMON_NAME_MAX 64 /* RFC5280 appendix A.1: ub-common-name */
#define NAMES_MAX 100
#define BACKDATED_S (24 * 3600)     /* for peers whose clock is behind */
#define VALID_S (3650L * 24 * 3600) /* nobody renews it, and who trusts it trusts the key itself */

struct tls_key {
    EVP_PKEY *pkey;
};

enum err tls_key_load(struct view pem, struct tls_key **out) {
    TRY(tls_forbid_config());
    if (pem.n > PEM_MAX)
        return ERR_LIMIT;
    struct tls_key *key = calloc(1, sizeof(*key));
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    enum err err = key == NULL || bio == NULL ? ERR_NO_MEMORY : ERR_OK;
    /* An empty password, so that nothing asks the terminal for one. */
    char password[] = "";
    if (err == ERR_OK && ((key->pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, password)) == NULL ||
                          !(EVP_PKEY_is_a(key->pkey, "EC") || EVP_PKEY_is_a(key->pkey, "RSA"))))
        err = ERR_SYNTAX;
    BIO_free(bio);
    ERR_clear_error();
    if (err != ERR_OK) {
        tls_key_free(key);
        return err;
    }
    *out = key;
    return ERR_OK;
}

bool tls_key_is_of(const struct tls_key *key, struct view chain_pem) {
    BIO *bio = chain_pem.n <= PEM_MAX ? BIO_new_mem_buf(chain_pem.p, (int)chain_pem.n) : NULL;
    char password[] = "";
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, password);
    bool is_of = certificate != NULL && X509_check_private_key(certificate, key->pkey) == 1;
    X509_free(certificate);
    BIO_free(bio);
    ERR_clear_error();
    return is_of;
}

void tls_key_free(struct tls_key *key) {
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

/* RFC8446-4.2.3 */
static const struct scheme {
    const char *type;
    const char *digest;
    int padding;
    uint16_t code;
} schemes[] = {
    {"EC", "SHA256", 0, 0x0403},
    {"EC", "SHA384", 0, 0x0503},
    {"EC", "SHA512", 0, 0x0603},
    {"RSA", "SHA256", RSA_PKCS1_PADDING, 0x0401},
    {"RSA", "SHA384", RSA_PKCS1_PADDING, 0x0501},
    {"RSA", "SHA512", RSA_PKCS1_PADDING, 0x0601},
    {"RSA", "SHA256", RSA_PKCS1_PSS_PADDING, 0x0804},
    {"RSA", "SHA384", RSA_PKCS1_PSS_PADDING, 0x0805},
    {"RSA", "SHA512", RSA_PKCS1_PSS_PADDING, 0x0806},
};

static enum err sign(EVP_MD_CTX *md, const struct scheme *scheme, EVP_PKEY *pkey, struct view tbs, struct buf *out) {
    EVP_PKEY_CTX *ctx;
    if (EVP_DigestSignInit_ex(md, &ctx, scheme->digest, NULL, NULL, pkey, NULL) != 1)
        return ERR_NO_MEMORY;
    if (scheme->padding != 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, scheme->padding) != 1)
        return ERR_NO_MEMORY;
    if (scheme->padding == RSA_PKCS1_PSS_PADDING && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) != 1)
        return ERR_NO_MEMORY;
    size_t n;
    if (EVP_DigestSign(md, NULL, &n, tbs.p, tbs.n) != 1)
        return ERR_NO_MEMORY;
    uint8_t *p = buf_room(out, n);
    if (p == NULL)
        return buf_err(out);
    if (EVP_DigestSign(md, p, &n, tbs.p, tbs.n) != 1)
        return ERR_NO_MEMORY;
    buf_added(out, n);
    return ERR_OK;
}

enum err tls_key_sign(struct tls_key *key, uint16_t scheme, struct view tbs, struct buf *out) {
    const struct scheme *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (schemes[i].code == scheme && EVP_PKEY_is_a(key->pkey, schemes[i].type))
            found = &schemes[i];
    if (found == NULL)
        return ERR_SYNTAX;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md == NULL)
        return ERR_NO_MEMORY;
    ERR_clear_error();
    enum err err = sign(md, found, key->pkey, tbs, out);
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return err;
}

/* ---- making ---- */

/* Moves what a memory BIO holds. */
static enum err take_bio(BIO *bio, struct buf *out) {
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    if (n <= 0)
        return ERR_NO_MEMORY;
    buf_put(out, view_of(p, (size_t)n));
    return buf_err(out);
}

/* Between two candidates for a prime: others get their turn. OpenSSL has no lock and no error queued here. */
static int key_progress(EVP_PKEY_CTX *ctx) {
    (void)ctx;
    ERR_clear_error();
    enum err err = co_breathe();
    ERR_clear_error();
    return err == ERR_OK;
}

static EVP_PKEY *make_rsa_key(void) {
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, RSA_BITS) == 1) {
        EVP_PKEY_CTX_set_cb(ctx, key_progress);
        if (EVP_PKEY_generate(ctx, &pkey) != 1)
            pkey = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

enum err tls_make_key(struct view algorithm, struct buf *der) {
    bool is_rsa = view_eq(algorithm, VIEW("rsa"));
    if (!is_rsa && !view_eq(algorithm, VIEW("ed25519")))
        return ERR_SYNTAX;
    TRY(tls_forbid_config());
    ERR_clear_error();
    EVP_PKEY *pkey = is_rsa ? make_rsa_key() : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    /* RFC5208-5: PrivateKeyInfo */
    PKCS8_PRIV_KEY_INFO *info = pkey != NULL ? EVP_PKEY2PKCS8(pkey) : NULL;
    uint8_t *p = NULL;
    int n = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &p) : 0;
    enum err err = pkey == NULL && co_current() != NULL && co_is_canceled(co_current()) ? ERR_CANCELED : ERR_NO_MEMORY;
    if (n > 0) {
        buf_put(der, view_of(p, (size_t)n));
        err = buf_err(der);
        OPENSSL_clear_free(p, (size_t)n);
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return err;
}

static bool push_name(GENERAL_NAMES *names, int type, struct view v) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *text = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
    if (name == NULL || text == NULL || ASN1_STRING_set(text, v.p, (int)v.n) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(text);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, text);
    if (sk_GENERAL_NAME_push(names, name) <= 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static bool add_alt_names(X509 *x, const struct view *names, size_t n) {
    static const uint8_t four[4] = {127, 0, 0, 1}, six[16] = {[15] = 1};
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool is_done = all != NULL;
    for (size_t i = 0; is_done && i < n; i++) {
        is_done = push_name(all, GEN_DNS, names[i]);
        if (is_done && view_eq_nocase(names[i], VIEW("localhost")))
            is_done = push_name(all, GEN_IPADD, view_of(four, sizeof(four))) &&
                      push_name(all, GEN_IPADD, view_of(six, sizeof(six)));
    }
    is_done = is_done && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    return is_done;
}

static bool add_text_extension(X509 *x, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool is_done = extension != NULL && X509_add_ext(x, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_done;
}

static bool set_serial(X509 *x) {
    uint8_t serial[SERIAL_OCTETS];
    if (RAND_bytes(serial, sizeof(serial)) != 1)
        return false;
    serial[0] = (uint8_t)((serial[0] & 0x7F) | 0x40); /* RFC5280-4.1.2.2: positive */
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    bool is_done = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) != NULL;
    BN_free(number);
    return is_done;
}

static bool set_subject(X509 *x, struct view name) {
    X509_NAME *subject = X509_get_subject_name(x);
    /* A longer one stands in the subjectAltName only. */
    if (name.n <= COMMON_NAME_MAX && X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                                                (unsigned char *)name.p, (int)name.n, -1, 0) != 1)
        return false;
    return X509_set_issuer_name(x, subject) == 1;
}

static bool fill_certificate(X509 *x, EVP_PKEY *pkey, const struct view *names, size_t n, int64_t now_us) {
    time_t now = now_us / US_PER_S;
    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
           X509_time_adj_ex(X509_getm_notBefore(x), 0, -BACKDATED_S, &now) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(x), (int)(VALID_S / 86400), 0, &now) != NULL &&
           X509_set_pubkey(x, pkey) == 1 && set_subject(x, names[0]) && add_alt_names(x, names, n) &&
           add_text_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
           add_text_extension(x, NID_key_usage, "critical,digitalSignature") &&
           add_text_extension(x, NID_ext_key_usage, "serverAuth") &&
           add_text_extension(x, NID_subject_key_identifier, "hash") && X509_sign(x, pkey, EVP_sha256()) > 0;
}

enum err tls_make_self_signed(const struct view *names, size_t n, int64_t now_us, struct buf *key_pem,
                              struct buf *certificate_pem) {
    if (n == 0 || n > NAMES_MAX)
        return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (names[i].n == 0 || names[i].n > 255 || view_find_byte(names[i], 0) >= 0)
            return ERR_SYNTAX;
    TRY(tls_forbid_config());
    ERR_clear_error();
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *key = BIO_new(BIO_s_secmem()), *certificate = BIO_new(BIO_s_mem());
    enum err err = ERR_NO_MEMORY;
    if (pkey != NULL && x != NULL && key != NULL && certificate != NULL &&
        fill_certificate(x, pkey, names, n, now_us) &&
        PEM_write_bio_PKCS8PrivateKey(key, pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
        PEM_write_bio_X509(certificate, x) == 1) {
        err = take_bio(key, key_pem);
        if (err == ERR_OK)
            err = take_bio(certificate, certificate_pem);
    }
    BIO_free(key);
    BIO_free(certificate);
    X509_free(x);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return err;
}
