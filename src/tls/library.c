/* The library context: providers, what is fetched early, what both directions have in common. */
#include "tls/tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <time.h>

/* RFC8446-4.2.7: groups, the hybrid with ML-KEM first where OpenSSL has it (3.5). */
#define GROUPS "X25519:P-256:P-384"
#define GROUPS_HYBRID "X25519MLKEM768:" GROUPS

enum err tls_forbid_config(void) {
    /* OpenSSL decides once a process: whoever comes first chooses. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
        OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return ERR_NO_MEMORY;
    return ERR_OK;
}

enum err tls_take_error(void) {
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    int reason = ERR_GET_REASON(code);
    if (reason == ERR_R_MALLOC_FAILURE)
        return ERR_NO_MEMORY;
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return ERR_DENIED;
    return ERR_SYNTAX;
}

/* Whatever OpenSSL finds out at its first use, it finds out now. */
static enum err fetch_early(struct tls_library *library) {
    tzset(); /* gmtime_r(), which checks of a certificate's dates use, reads the time zone's file at its first call */
    library->ticket_cipher = EVP_CIPHER_fetch(library->ctx, "AES-256-CBC", NULL);
    SSL_CTX *server = tls_context_new(library, TLS_server_method());
    SSL_CTX *client = tls_context_new(library, TLS_client_method());
    SSL *ssl = server != NULL ? SSL_new(server) : NULL;
    uint8_t seed[32];
    bool is_done = library->ticket_cipher != NULL && client != NULL && ssl != NULL &&
                   RAND_bytes_ex(library->ctx, seed, sizeof(seed), 0) == 1 &&
                   RAND_priv_bytes_ex(library->ctx, seed, sizeof(seed), 0) == 1;
    SSL_free(ssl);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return is_done ? ERR_OK : ERR_NO_MEMORY;
}

static enum err fill_library(struct tls_library *library) {
    if ((library->ctx = OSSL_LIB_CTX_new()) == NULL ||
        (library->plain = OSSL_PROVIDER_load(library->ctx, "default")) == NULL ||
        (library->authorities = X509_STORE_new()) == NULL || (library->bio = tls_stream_bio_method()) == NULL)
        return ERR_NO_MEMORY;
    TRY(tls_remote_register(library));
    if (EVP_set_default_properties(library->ctx, TLS_PROPERTIES) != 1)
        return ERR_NO_MEMORY;
    return fetch_early(library);
}

enum err tls_library_new(struct tls_library **out) {
    TRY(tls_forbid_config());
    struct tls_library *library = calloc(1, sizeof(*library));
    if (library == NULL)
        return ERR_NO_MEMORY;
    enum err err = fill_library(library);
    ERR_clear_error();
    if (err != ERR_OK) {
        tls_library_free(library);
        return err;
    }
    *out = library;
    return ERR_OK;
}

void tls_library_free(struct tls_library *library) {
    if (library == NULL)
        return;
    X509_STORE_free(library->authorities);
    EVP_CIPHER_free(library->ticket_cipher);
    BIO_meth_free(library->bio);
    if (library->remote != NULL)
        (void)OSSL_PROVIDER_unload(library->remote);
    if (library->plain != NULL)
        (void)OSSL_PROVIDER_unload(library->plain);
    OSSL_LIB_CTX_free(library->ctx);
    free(library);
}

enum err tls_library_add_authorities(struct tls_library *library, struct view pem) {
    if (pem.n > INT32_MAX)
        return ERR_LIMIT;
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (bio == NULL)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    size_t n = 0;
    for (;; n++) {
        X509 *empty = X509_new_ex(library->ctx, NULL), *x = empty;
        if (empty == NULL || PEM_read_bio_X509(bio, &x, NULL, NULL) == NULL) {
            X509_free(x);
            err = empty == NULL ? ERR_NO_MEMORY : ERR_OK;
            break;
        }
        int added = X509_STORE_add_cert(library->authorities, x);
        X509_free(x);
        if (added != 1) {
            err = ERR_NO_MEMORY;
            break;
        }
    }
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(bio);
    return err == ERR_OK && (n == 0 || !is_end) ? ERR_SYNTAX : err;
}

SSL_CTX *tls_context_new(struct tls_library *library, const SSL_METHOD *method) {
    SSL_CTX *ctx = SSL_CTX_new_ex(library->ctx, NULL, method);
    if (ctx == NULL)
        return NULL;
    /* RFC8996-1: TLS 1.0 and 1.1 are over. RFC9325-3.3, 3.5: no compression, no renegotiation. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    bool is_set = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1;
    if (SSL_CTX_set1_groups_list(ctx, GROUPS_HYBRID) != 1) {
        ERR_clear_error();
        is_set = is_set && SSL_CTX_set1_groups_list(ctx, GROUPS) == 1;
    }
    if (!is_set) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

enum err tls_put_alpn(struct buf *buf, const struct view *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (names[i].n == 0 || names[i].n > UINT8_MAX)
            return ERR_LIMIT;
        buf_put_byte(buf, (uint8_t)names[i].n);
        buf_put(buf, names[i]);
    }
    return buf_err(buf);
}
