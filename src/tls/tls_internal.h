/* What the files of tls/ know of each other. Nothing outside of tls/ includes this. */
#ifndef TLS_TLS_INTERNAL_H
#define TLS_TLS_INTERNAL_H

#include "tls/tls.h"

#include <openssl/ssl.h>

/* ---- library ---- */

struct tls_library {
    OSSL_LIB_CTX *ctx;
    OSSL_PROVIDER *plain, *remote; /* OpenSSL's own algorithms, and our keys that live elsewhere */
    BIO_METHOD *bio;               /* an SSL object's side of a tls_stream */
    EVP_CIPHER *ticket_cipher;
    X509_STORE *authorities;
};

/*
 * OpenSSL's algorithms where both providers have one; a query that names a provider still finds it. Set once for the
 * library context and not named at calls: OpenSSL would keep a copy with each certificate, and 3.0.13 (Ubuntu 24.04)
 * loses the copy of one that a peer sent broken.
 */
#define TLS_PROPERTIES "?provider=default"

/* Keeps OpenSSL from ever reading the system's openssl.cnf, for whatever library context. */
enum err tls_forbid_config(void) MUST_CHECK;
/* A context with what both directions have in common, or NULL. */
SSL_CTX *tls_context_new(struct tls_library *library, const SSL_METHOD *method);
/* RFC7301-3.1: ProtocolNameList without its length. */
#define TLS_ALPN_MAX 256
enum err tls_put_alpn(struct buf *buf, const struct view *names, size_t n) MUST_CHECK;
/* The class of OpenSSL's last error; empties the queue. */
enum err tls_take_error(void);

/* ---- keys that live elsewhere ---- */

#define TLS_REMOTE_PROVIDER "veredus"
/* Copied into the EVP_PKEY made of it. */
struct tls_remote {
    struct tls_signer *signer;
    uint64_t key;
    enum err *failed; /* where the signer's error goes; what reads it runs before any other coroutine does */
};
enum err tls_remote_register(struct tls_library *library) MUST_CHECK;
/* A key object whose signatures come from the signer; public_key is the certificate's. ERR_SYNTAX: neither EC nor RSA. */
enum err tls_remote_key_new(struct tls_library *library, const struct tls_remote *remote, EVP_PKEY *public_key,
                            EVP_PKEY **out) MUST_CHECK;

/* ---- clients ---- */

struct tls_client {
    struct tls_library *library;
    SSL_CTX *any, *verified;
};

/* ---- streams ---- */

struct tls_stream {
    struct stream stream;
    struct stream *inner;
    struct tls_server *server; /* referenced; NULL for a client's */
    SSL *ssl;
    /* Octets from inner that the SSL object did not take yet. */
    uint8_t *in;
    size_t in_at, in_n, in_cap;
    size_t in_want;   /* how many the next read asks for */
    struct buf out;   /* octets for inner */
    bool is_flushing; /* a coroutine is in inner's write */
    struct waitq flushed;
    bool is_ended;     /* inner has no more octets */
    bool is_truncated; /* and the peer did not say so */
    bool is_shut;      /* our close_notify is made */
    bool is_fin_due;   /* inner is to be shut down once `out` is empty */
    enum err failed;   /* nothing more can be read or written */
};

BIO_METHOD *tls_stream_bio_method(void);
/* Takes ssl over, also on error. */
enum err tls_stream_new(struct tls_library *library, SSL *ssl, struct stream *inner,
                        struct tls_stream **out) MUST_CHECK;
/* failed: where the signer's error was put, or NULL. */
enum err tls_stream_handshake(struct tls_stream *t, int64_t deadline_us, enum err *failed) MUST_CHECK;
void tls_stream_get_facts(struct tls_stream *t, struct tls_facts *facts);
/* Without inner. */
void tls_stream_discard(struct tls_stream *t);

#endif
