/* Certificate chains against TLSA records. */
#include "dane/match.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <limits.h>
#include <string.h>

#define NAME_MAX_OCTETS 256 /* DNS_NAME_TEXT_MAX and a NUL */

enum err dane_arm_context(struct ssl_ctx_st *context) {
    /* RFC7671-9: SHA2-256 and SHA2-512, in this order of strength, are the library's own. */
    enum err err = SSL_CTX_dane_enable(context) == 1 ? ERR_OK : ERR_NO_MEMORY;
    ERR_clear_error();
    return err;
}

/* For the library. False: a name with a NUL, or too long for one. */
static bool put_name(struct view name, char out[NAME_MAX_OCTETS]) {
    if (name.n == 0 || name.n >= NAME_MAX_OCTETS || view_find_byte(name, 0) >= 0)
        return false;
    memcpy(out, name.p, name.n);
    out[name.n] = 0;
    return true;
}

static enum err add_records(SSL *ssl, const struct dane_result *result) {
    size_t added = 0;
    for (size_t i = 0; i < result->records_n; i++) {
        const struct tlsa *tlsa = &result->records[i].tlsa;
        if (result->records[i].use != TLSA_USABLE)
            continue;
        int code = SSL_dane_tlsa_add(ssl, tlsa->usage, tlsa->selector, tlsa->matching, tlsa->data.p, tlsa->data.n);
        if (code < 0)
            return ERR_NO_MEMORY;
        added += code > 0; /* 0: the library finds it unusable, and we thought better of it */
    }
    return added ? ERR_OK : ERR_SYNTAX;
}

static enum err arm(SSL *ssl, const struct dane_result *result) {
    char name[NAME_MAX_OCTETS];
    if (!put_name(result->base, name))
        return ERR_SYNTAX;
    if (SSL_dane_enable(ssl, name) != 1)
        return ERR_NO_MEMORY;
    /* RFC7672-3.1.1: under DANE-EE "even if none of the names in the certificate match". */
    (void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    for (size_t i = 1; i < result->names_n; i++)
        if (!put_name(result->names[i], name))
            return ERR_SYNTAX;
        else if (SSL_add1_host(ssl, name) != 1)
            return ERR_NO_MEMORY;
    /* RFC7672-3.2.3: a wildcard is a whole left label. */
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return add_records(ssl, result);
}

enum err dane_arm(struct ssl_st *ssl, const struct dane_result *result) {
    if (result->status != DANE_SECURE || result->usable_n == 0)
        return ERR_BUG;
    enum err err = arm(ssl, result);
    ERR_clear_error();
    return err;
}

/* ---- without a connection ---- */

static enum err read_chain(const struct view *certificates, size_t n, STACK_OF(X509) * chain) {
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = certificates[i].p;
        if (certificates[i].n == 0 || certificates[i].n > LONG_MAX)
            return ERR_SYNTAX;
        X509 *x = d2i_X509(NULL, &p, (long)certificates[i].n);
        if (!x)
            return ERR_SYNTAX;
        if (sk_X509_push(chain, x) <= 0) {
            X509_free(x);
            return ERR_NO_MEMORY;
        }
    }
    return n ? ERR_OK : ERR_SYNTAX;
}

/* Which record it was, by what the library says of it. */
static void find_record(SSL *ssl, const struct dane_result *result, struct dane_match *out) {
    uint8_t usage, selector, matching;
    const unsigned char *data;
    size_t n;
    out->depth = SSL_get0_dane_tlsa(ssl, &usage, &selector, &matching, &data, &n);
    for (size_t i = 0; out->depth >= 0 && i < result->records_n; i++) {
        const struct tlsa *tlsa = &result->records[i].tlsa;
        if (tlsa->usage == usage && tlsa->selector == selector && tlsa->matching == matching &&
            view_eq(tlsa->data, view_of(data, n)))
            out->record = &result->records[i];
    }
}

/* What the library does inside a handshake. */
static enum err verify(SSL *ssl, X509_STORE_CTX *store, STACK_OF(X509) * chain, const struct dane_result *result,
                       int64_t wall_us, struct dane_match *out) {
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), wall_us / US_PER_S);
    if (X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), sk_X509_value(chain, 0), chain) != 1 ||
        X509_STORE_CTX_set_default(store, "ssl_server") != 1 ||
        X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(store), SSL_get0_param(ssl)) != 1)
        return ERR_NO_MEMORY;
    X509_STORE_CTX_set0_dane(store, SSL_get0_dane(ssl));
    int is_good = X509_verify_cert(store);
    *out = (struct dane_match){.is_matched = is_good == 1, .code = X509_STORE_CTX_get_error(store), .depth = -1};
    if (out->code == X509_V_ERR_OUT_OF_MEM)
        return ERR_NO_MEMORY;
    if (is_good != 1 && out->code == X509_V_OK)
        out->code = X509_V_ERR_UNSPECIFIED;
    out->text = X509_verify_cert_error_string(out->code);
    if (out->is_matched) {
        SSL_set_verify_result(ssl, X509_V_OK);
        find_record(ssl, result, out);
    }
    return ERR_OK;
}

enum err dane_match_chain(const struct view *certificates, size_t n, const struct dane_result *result, int64_t wall_us,
                          struct dane_match *out) {
    /* Whoever comes first decides for the process whether OpenSSL reads its configuration. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return ERR_NO_MEMORY;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    STACK_OF(X509) *chain = sk_X509_new_null();
    enum err err = context && store && chain ? dane_arm_context(context) : ERR_NO_MEMORY;
    SSL *ssl = err == ERR_OK ? SSL_new(context) : NULL;
    if (err == ERR_OK && !ssl)
        err = ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = dane_arm(ssl, result);
    if (err == ERR_OK)
        err = read_chain(certificates, n, chain);
    if (err == ERR_OK)
        err = verify(ssl, store, chain, result, wall_us, out);
    X509_STORE_CTX_free(store);
    sk_X509_pop_free(chain, X509_free);
    SSL_free(ssl);
    SSL_CTX_free(context);
    ERR_clear_error();
    return err;
}
