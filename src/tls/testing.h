/* Shared by the tests of tls/: a virtual loop with a server, a client and keys; a signer that can be told to wait or fail. */
#ifndef TLS_TESTING_H
#define TLS_TESTING_H

#include "tls/tls_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL_US (INT64_C(1790000000) * US_PER_S)
#define KEYS_MAX 8

struct test_signer {
    struct tls_signer signer;
    struct tls_key *keys[KEYS_MAX];
    struct random *random;
    int64_t wait_us;   /* a random time up to this */
    bool fails_odd;    /* every second call */
    enum err fails_as; /* or each call */
    size_t calls, inside, most_inside;
    uint64_t key; /* of the last call */
    uint16_t scheme;
};

struct world {
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    struct tls_library *library;
    struct tls_server *server;
    struct tls_client *client;
    struct test_signer signer;
};

static inline enum err test_sign(struct tls_signer *signer, uint64_t key, uint16_t scheme, struct view tbs,
                                 struct buf *out) {
    struct test_signer *s = (struct test_signer *)signer;
    assert_int_equal(ERR_peek_error(), 0);
    size_t call = s->calls++;
    if (++s->inside > s->most_inside)
        s->most_inside = s->inside;
    enum err err = ERR_OK;
    if (s->wait_us > 0)
        err = co_sleep((int64_t)random_below(s->random, (uint64_t)s->wait_us));
    s->inside--;
    if (err == ERR_OK && s->fails_as != ERR_OK)
        err = s->fails_as;
    if (err == ERR_OK && s->fails_odd && call % 2 == 1)
        err = ERR_AGAIN;
    /* What another's failure may leave behind. */
    ERR_raise(ERR_LIB_USER, 1);
    if (err != ERR_OK)
        return err;
    assert_true(key < KEYS_MAX && s->keys[key] != NULL);
    s->key = key;
    s->scheme = scheme;
    err = tls_key_sign(s->keys[key], scheme, tbs, out);
    ERR_raise(ERR_LIB_USER, 2);
    return err;
}

/* A key and a certificate, PEM, of any kind; what tls_make_self_signed() does for P-256 is done here for others. */
static inline void make_chain(EVP_PKEY *pkey, const char *alt_name, struct buf *key_pem, struct buf *pem) {
    assert_non_null(pkey);
    X509 *x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    time_t now = WALL_US / US_PER_S;
    X509_time_adj_ex(X509_getm_notBefore(x), 0, -60, &now);
    X509_time_adj_ex(X509_getm_notAfter(x), 30, 0, &now);
    X509_set_pubkey(x, pkey);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8, (unsigned char *)"test", -1, -1,
                               0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, alt_name);
    assert_non_null(extension);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
    long n = BIO_get_mem_data(bio, &p);
    buf_put(key_pem, view_of(p, (size_t)n));
    BIO_free(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    n = BIO_get_mem_data(bio, &p);
    buf_put(pem, view_of(p, (size_t)n));
    BIO_free(bio);
    X509_free(x);
    EVP_PKEY_free(pkey);
}

static inline void world_add(struct world *w, uint64_t id, struct view key_pem, struct view pem) {
    assert_int_equal(tls_key_load(key_pem, &w->signer.keys[id]), ERR_OK);
    assert_int_equal(tls_server_add_chain(w->server, id, pem), ERR_OK);
}

static inline void world_add_made(struct world *w, uint64_t id, EVP_PKEY *pkey, const char *alt_name) {
    struct buf key_pem, pem;
    buf_init(&key_pem, 100000);
    buf_init(&pem, 100000);
    make_chain(pkey, alt_name, &key_pem, &pem);
    world_add(w, id, buf_view(&key_pem), buf_view(&pem));
    buf_fini(&key_pem);
    buf_fini(&pem);
}

/* Self-signed for these names, trusted by the client. */
static inline void world_add_self_signed(struct world *w, uint64_t id, const struct view *names, size_t n) {
    struct buf key_pem, pem;
    buf_init(&key_pem, 100000);
    buf_init(&pem, 100000);
    assert_int_equal(tls_make_self_signed(names, n, WALL_US, &key_pem, &pem), ERR_OK);
    world_add(w, id, buf_view(&key_pem), buf_view(&pem));
    assert_int_equal(tls_library_add_authorities(w->library, buf_view(&pem)), ERR_OK);
    buf_fini(&key_pem);
    buf_fini(&pem);
}

static inline void world_init(struct world *w, uint64_t seed) {
    *w = (struct world){0};
    virtual_clock_init(&w->clock, WALL_US);
    random_seeded_init(&w->random, seed);
    w->loop = loop_new_virtual(&w->clock, &w->random.random, NULL);
    w->signer = (struct test_signer){.signer = {test_sign}, .random = &w->random.random};
    assert_int_equal(tls_library_new(&w->library), ERR_OK);
    assert_int_equal(tls_server_new(w->library, &w->signer.signer, &w->random.random, &w->server), ERR_OK);
    assert_int_equal(tls_client_new(w->library, &w->client), ERR_OK);
}

static inline void world_fini(struct world *w) {
    loop_free(w->loop);
    tls_client_free(w->client);
    tls_server_unref(w->server);
    for (size_t i = 0; i < KEYS_MAX; i++)
        tls_key_free(w->signer.keys[i]);
    tls_library_free(w->library);
}

/* One side of a connection. */
struct side {
    struct world *w;
    struct tls_server *server; /* NULL: the client */
    const char *server_name, *verify_name;
    struct stream *inner, *tls;
    struct tls_facts facts;
    int64_t deadline_us;
    enum err err;
    bool is_done;
    struct co *co;
};

static inline void shake_hands(void *arg) {
    struct side *s = arg;
    s->err = s->server != NULL ? tls_accept(s->server, s->inner, s->deadline_us, &s->tls, &s->facts)
                               : tls_connect(s->w->client, s->inner, s->server_name, s->verify_name, s->deadline_us,
                                             &s->tls, &s->facts);
    if (s->err != ERR_OK) {
        stream_free(s->inner);
        s->inner = NULL;
    }
    s->is_done = true;
}

static inline void sides_init(struct world *w, struct side *a, struct side *b, size_t capacity) {
    *a = (struct side){.w = w, .server = w->server, .deadline_us = US_NEVER};
    *b = (struct side){.w = w, .deadline_us = US_NEVER};
    assert_int_equal(stream_new_pair(w->loop, capacity, &a->inner, &b->inner), ERR_OK);
}

static inline void sides_shake(struct world *w, struct side *a, struct side *b) {
    assert_int_equal(co_spawn(w->loop, NULL, "accept", shake_hands, a, &a->co), ERR_OK);
    assert_int_equal(co_spawn(w->loop, NULL, "connect", shake_hands, b, &b->co), ERR_OK);
    loop_run(w->loop);
    assert_true(a->is_done && b->is_done);
}

static inline void sides_fini(struct side *a, struct side *b) {
    stream_free(a->tls);
    stream_free(b->tls);
}

#endif
