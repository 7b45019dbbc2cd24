/* TLSA records. */
#include "dane/tlsa.h"

#include "base/reader.h"

#include <openssl/evp.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <limits.h>
#include <string.h>

enum err tlsa_parse(struct view rdata, struct tlsa *out) {
    struct reader r = reader_of(rdata);
    struct tlsa tlsa;
    tlsa.usage = reader_be8(&r);
    tlsa.selector = reader_be8(&r);
    tlsa.matching = reader_be8(&r);
    TRY(reader_err(&r));
    tlsa.data = reader_rest(&r);
    if (tlsa.data.n == 0)
        return ERR_SYNTAX;
    *out = tlsa;
    return ERR_OK;
}

/* Neither function reads past octets.n; one of the two is there on success. */
static X509 *read_certificate(struct view octets) {
    const unsigned char *p = octets.p;
    X509 *x = octets.n && octets.n <= LONG_MAX ? d2i_X509(NULL, &p, (long)octets.n) : NULL;
    if (x && p != octets.p + octets.n) {
        X509_free(x);
        x = NULL;
    }
    ERR_clear_error();
    return x;
}

static EVP_PKEY *read_key(struct view octets) {
    const unsigned char *p = octets.p;
    EVP_PKEY *key = octets.n && octets.n <= LONG_MAX ? d2i_PUBKEY(NULL, &p, (long)octets.n) : NULL;
    if (key && p != octets.p + octets.n) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    ERR_clear_error();
    return key;
}

static bool is_whole(const struct tlsa *tlsa) {
    if (tlsa->selector == TLSA_CERT) {
        X509 *x = read_certificate(tlsa->data);
        bool is_there = x && X509_get0_pubkey(x);
        X509_free(x);
        ERR_clear_error();
        return is_there;
    }
    EVP_PKEY *key = read_key(tlsa->data);
    EVP_PKEY_free(key);
    return key != NULL;
}

enum tlsa_use tlsa_judge(const struct tlsa *tlsa) {
    /* RFC7672-3.1.3: "SMTP client treatment of TLSA RRs with certificate usages PKIX-TA(0) or PKIX-EE(1) is undefined": what
     * it then advises, as unusable. */
    if (tlsa->usage == TLSA_PKIX_TA || tlsa->usage == TLSA_PKIX_EE)
        return TLSA_NOT_FOR_SMTP;
    if (tlsa->usage > TLSA_DANE_EE)
        return TLSA_UNKNOWN_USAGE;
    if (tlsa->selector > TLSA_SPKI)
        return TLSA_UNKNOWN_SELECTOR;
    switch (tlsa->matching) {
    case TLSA_FULL:
        return is_whole(tlsa) ? TLSA_USABLE : TLSA_BROKEN;
    case TLSA_SHA256:
        return tlsa->data.n == SHA256_DIGEST_LENGTH ? TLSA_USABLE : TLSA_WRONG_SIZE;
    case TLSA_SHA512:
        return tlsa->data.n == SHA512_DIGEST_LENGTH ? TLSA_USABLE : TLSA_WRONG_SIZE;
    default:
        return TLSA_UNKNOWN_MATCHING;
    }
}

const char *tlsa_use_text(enum tlsa_use use) {
    static const char *const texts[] = {
        "usable",
        "usages 0 and 1 are not for SMTP between servers",
        "its usage is not known",
        "its selector is not known",
        "its matching type is not known",
        "its digest has the wrong length",
        "its data is no certificate or key",
        "a stronger digest of the same usage and selector is there",
        "there are too many records",
    };
    return texts[use];
}

void buf_put_tlsa(struct buf *buf, const struct tlsa *tlsa) {
    static const char digits[] = "0123456789ABCDEF";
    buf_printf(buf, "%u %u %u ", tlsa->usage, tlsa->selector, tlsa->matching);
    for (size_t i = 0; i < tlsa->data.n; i++) {
        buf_put_byte(buf, (uint8_t)digits[tlsa->data.p[i] >> 4]);
        buf_put_byte(buf, (uint8_t)digits[tlsa->data.p[i] & 15]);
    }
}

/* RFC6698-2.1.3: the digest of the selected octets, or they themselves. */
static bool is_same(const struct tlsa *tlsa, struct view selected) {
    uint8_t digest[SHA512_DIGEST_LENGTH];
    switch (tlsa->matching) {
    case TLSA_FULL:
        return view_eq(tlsa->data, selected);
    case TLSA_SHA256:
        return view_eq(tlsa->data, view_of(SHA256(selected.p, selected.n, digest), SHA256_DIGEST_LENGTH));
    case TLSA_SHA512:
        return view_eq(tlsa->data, view_of(SHA512(selected.p, selected.n, digest), SHA512_DIGEST_LENGTH));
    default:
        return false;
    }
}

/* RFC6698-2.1.2: SubjectPublicKeyInfo as it stands in the certificate. */
static enum err take_key(X509 *x, unsigned char **out, size_t *n) {
    unsigned char *der = NULL;
    int got = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    ERR_clear_error();
    if (got <= 0)
        return ERR_NO_MEMORY;
    *out = der;
    *n = (size_t)got;
    return ERR_OK;
}

enum err tlsa_matches(const struct tlsa *tlsa, struct view certificate, bool *out) {
    X509 *x = read_certificate(certificate);
    if (!x)
        return ERR_SYNTAX;
    enum err err = ERR_OK;
    if (tlsa->selector == TLSA_CERT) {
        *out = is_same(tlsa, certificate);
    } else if (tlsa->selector == TLSA_SPKI) {
        unsigned char *key;
        size_t n;
        err = take_key(x, &key, &n);
        if (err == ERR_OK) {
            *out = is_same(tlsa, view_of(key, n));
            OPENSSL_free(key);
        }
    } else {
        *out = false;
    }
    X509_free(x);
    return err;
}

static enum err digest_of(struct view octets, struct arena *arena, struct tlsa *out) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct tlsa tlsa = {.usage = TLSA_DANE_EE, .selector = TLSA_SPKI, .matching = TLSA_SHA256};
    (void)SHA256(octets.p, octets.n, digest);
    TRY(arena_view(arena, view_of(digest, sizeof(digest)), &tlsa.data));
    *out = tlsa;
    return ERR_OK;
}

enum err tlsa_of_key(struct view public_key, struct arena *arena, struct tlsa *out) {
    EVP_PKEY *key = read_key(public_key);
    if (!key)
        return ERR_SYNTAX;
    EVP_PKEY_free(key);
    return digest_of(public_key, arena, out);
}

enum err tlsa_of_certificate(struct view certificate, struct arena *arena, struct tlsa *out) {
    X509 *x = read_certificate(certificate);
    if (!x)
        return ERR_SYNTAX;
    unsigned char *key;
    size_t n;
    enum err err = take_key(x, &key, &n);
    if (err == ERR_OK) {
        err = digest_of(view_of(key, n), arena, out);
        OPENSSL_free(key);
    }
    X509_free(x);
    return err;
}

void buf_put_tlsa_name(struct buf *buf, struct view host, uint16_t port) {
    buf_printf(buf, "_%u._tcp.", port);
    buf_put(buf, host);
}

void buf_put_tlsa_line(struct buf *buf, struct view host, uint16_t port, const struct tlsa *tlsa) {
    buf_put_tlsa_name(buf, host, port);
    buf_put_str(buf, ". IN TLSA ");
    buf_put_tlsa(buf, tlsa);
    buf_put_byte(buf, '\n');
}
