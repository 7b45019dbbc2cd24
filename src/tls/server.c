/* Inbound TLS: certificates by name, tickets, ALPN, and the handshake. */
#include "tls/tls_internal.h"

#include "base/map.h"
#include "base/random.h"
#include "base/vec.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* RFC9325-4.2: forward secrecy always. CBC comes last, for peers that would otherwise send in plain text. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
/* What struct tls_signer can be asked for. */
#define SIGNATURES                                                                         \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:" \
    "RSA+SHA256:RSA+SHA384:RSA+SHA512"
#define LEVEL 2           /* OpenSSL's: 112 bits, keys from 2048 */
#define NAMES_MAX 1000000 /* host names with certificates: ten for each of 100,000 domains */
#define CHAINS_MAX 100000
#define CHAINS_A_NAME 4         /* an EC and an RSA key, each with one that replaces it */
#define NAME_MAX_OCTETS 253     /* RFC1035-2.3.4 without the root's dot */
#define CERTIFICATES_A_CHAIN 10 /* more than any public authority's */
#define TICKETS 1               /* RFC8446-4.6.1: one a connection; mail clients open few at once */

struct chain {
    X509 *leaf;
    STACK_OF(X509) * rest;
    EVP_PKEY *key;
};
struct host {
    struct chain *chains[CHAINS_A_NAME]; /* the latest first */
    size_t n;
};
struct ticket_key {
    uint8_t name[16], cipher[32], mac[32];
};
_Static_assert(sizeof(struct ticket_key) == TLS_TICKET_KEY_SIZE, "a ticket key is its octets");

struct tls_server {
    size_t refs;
    struct tls_library *library;
    struct tls_signer *signer;
    struct random *random;
    SSL_CTX *ctx;
    struct vec chains;      /* struct chain * */
    struct map *hosts;      /* struct host by name in lower case, "*.example.org" included */
    struct host *preferred; /* for clients that name no host, or none that we know */
    struct ticket_key tickets[2];
    bool has_old_ticket;
    struct buf alpn;
    enum err failed; /* the signer's, between its return and the handshake's */
};

/* ---- certificates ---- */

static void chain_free(struct chain *chain) {
    if (chain == NULL)
        return;
    X509_free(chain->leaf);
    sk_X509_pop_free(chain->rest, X509_free);
    EVP_PKEY_free(chain->key);
    free(chain);
}

static X509 *read_certificate(struct tls_library *library, BIO *bio) {
    X509 *x = X509_new_ex(library->ctx, NULL), *read = x;
    if (x != NULL && PEM_read_bio_X509(bio, &read, NULL, NULL) != NULL)
        return read;
    X509_free(read);
    return NULL;
}

static enum err read_chain(struct tls_library *library, struct view pem, struct chain *chain) {
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (bio == NULL || (chain->rest = sk_X509_new_null()) == NULL) {
        BIO_free(bio);
        return ERR_NO_MEMORY;
    }
    enum err err = ERR_OK;
    chain->leaf = read_certificate(library, bio);
    for (X509 *x; chain->leaf != NULL && err == ERR_OK && (x = read_certificate(library, bio)) != NULL;) {
        if (sk_X509_num(chain->rest) >= CERTIFICATES_A_CHAIN)
            err = ERR_LIMIT;
        else if (sk_X509_push(chain->rest, x) > 0)
            continue;
        else
            err = ERR_NO_MEMORY;
        X509_free(x);
    }
    if (err == ERR_OK && (chain->leaf == NULL || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
        err = ERR_SYNTAX;
    BIO_free(bio);
    ERR_clear_error();
    return err;
}

static struct view lower_name(struct view name, uint8_t to[NAME_MAX_OCTETS]) {
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > NAME_MAX_OCTETS || view_find_byte(name, 0) >= 0)
        return VIEW_NONE;
    for (size_t i = 0; i < name.n; i++)
        to[i] = ascii_lower(name.p[i]);
    return view_of(to, name.n);
}

static enum err add_name(struct tls_server *server, struct view name, struct chain *chain) {
    struct host *host = map_get(server->hosts, name);
    if (host == NULL) {
        if ((host = calloc(1, sizeof(*host))) == NULL)
            return ERR_NO_MEMORY;
        enum err err = map_put(server->hosts, name, host);
        if (err != ERR_OK) {
            free(host);
            return err;
        }
    }
    size_t keep = MIN(host->n, CHAINS_A_NAME - 1);
    memmove(host->chains + 1, host->chains, keep * sizeof(struct chain *));
    host->chains[0] = chain;
    host->n = keep + 1;
    if (server->preferred == NULL)
        server->preferred = host;
    return ERR_OK;
}

/* RFC9525-2.1: names are those of the subjectAltName. */
static enum err add_names(struct tls_server *server, struct chain *chain) {
    GENERAL_NAMES *names = X509_get_ext_d2i(chain->leaf, NID_subject_alt_name, NULL, NULL);
    enum err err = ERR_OK;
    size_t added = 0;
    for (int i = 0; err == ERR_OK && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        uint8_t lower[NAME_MAX_OCTETS];
        if (name->type != GEN_DNS)
            continue;
        const ASN1_IA5STRING *text = name->d.dNSName;
        struct view v = lower_name(view_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)), lower);
        if (v.n == 0)
            continue;
        err = add_name(server, v, chain);
        added++;
    }
    GENERAL_NAMES_free(names);
    /* A certificate for addresses only: found by whoever names no host. The empty name is nobody's. */
    if (err == ERR_OK && added == 0)
        err = add_name(server, VIEW_NONE, chain);
    return err;
}

enum err tls_server_add_chain(struct tls_server *server, uint64_t key, struct view pem) {
    if (pem.n > TLS_CHAIN_MAX)
        return ERR_LIMIT;
    struct chain *chain = calloc(1, sizeof(*chain)), **slot;
    if (chain == NULL)
        return ERR_NO_MEMORY;
    ERR_clear_error();
    enum err err = read_chain(server->library, pem, chain);
    EVP_PKEY *public_key = err == ERR_OK ? X509_get0_pubkey(chain->leaf) : NULL;
    struct tls_remote remote = {server->signer, key, &server->failed};
    if (err == ERR_OK)
        err = public_key == NULL ? ERR_SYNTAX : tls_remote_key_new(server->library, &remote, public_key, &chain->key);
    /* OpenSSL's judgement of it (strength, key usage) now rather than at each handshake. */
    if (err == ERR_OK && SSL_CTX_use_cert_and_key(server->ctx, chain->leaf, chain->key, chain->rest, 1) != 1)
        err = ERR_SYNTAX;
    ERR_clear_error();
    if (err == ERR_OK && (slot = vec_add(&server->chains)) == NULL)
        err = ERR_LIMIT;
    if (err != ERR_OK) {
        chain_free(chain);
        return err;
    }
    *slot = chain;
    return add_names(server, chain);
}

static struct host *find_host(struct tls_server *server, struct view name) {
    uint8_t lower[NAME_MAX_OCTETS];
    struct view v = lower_name(name, lower);
    struct host *host = v.n > 0 ? map_get(server->hosts, v) : NULL;
    ssize_t dot = view_find_byte(v, '.');
    if (host == NULL && dot > 0) {
        /* RFC9525-6.3: a wildcard stands for exactly one label. */
        lower[dot - 1] = '*';
        host = map_get(server->hosts, view_skip(v, (size_t)dot - 1));
    }
    return host != NULL ? host : server->preferred;
}

/* Before a certificate is chosen: gives the SSL object those of the host that the client named. */
static int choose_chains(SSL *ssl, void *ctx) {
    struct tls_server *server = ctx;
    struct host *host = find_host(server, view_cstr(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)));
    SSL_certs_clear(ssl);
    if (host == NULL)
        return 0;
    for (size_t i = host->n; i-- > 0;) { /* the latest last: it takes the place of older ones with its kind of key */
        struct chain *chain = host->chains[i];
        if (SSL_use_cert_and_key(ssl, chain->leaf, chain->key, chain->rest, 1) != 1)
            return 0;
    }
    return 1;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type */
static int acknowledge_name(SSL *ssl, int *alert, void *ctx) {
    (void)ssl;
    (void)alert;
    (void)ctx;
    return SSL_TLSEXT_ERR_OK; /* RFC6066-3; also makes the name part of the session */
}

/* ---- tickets ---- */

void tls_server_set_ticket_key(struct tls_server *server, const uint8_t key[TLS_TICKET_KEY_SIZE]) {
    server->tickets[1] = server->tickets[0];
    memcpy(&server->tickets[0], key, TLS_TICKET_KEY_SIZE);
    server->has_old_ticket = true;
}

void tls_server_rotate_tickets(struct tls_server *server) {
    uint8_t key[TLS_TICKET_KEY_SIZE];
    random_fill(server->random, key, sizeof(key));
    tls_server_set_ticket_key(server, key);
    wipe(key, sizeof(key));
}

/* RFC5077-4 */
static int use_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                          int encrypt) {
    struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key *key = &server->tickets[0];
    int result = 1;
    if (encrypt) {
        memcpy(name, key->name, sizeof(key->name));
        random_fill(server->random, iv, (size_t)EVP_CIPHER_get_iv_length(server->library->ticket_cipher));
    } else if (memcmp(name, key->name, sizeof(key->name)) != 0) {
        key = &server->tickets[1];
        if (!server->has_old_ticket || memcmp(name, key->name, sizeof(key->name)) != 0)
            return 0; /* a full handshake */
        result = 2;   /* take it, and make a new one */
    }
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    if (EVP_MAC_CTX_set_params(mac, params) != 1 ||
        EVP_CipherInit_ex2(cipher, server->library->ticket_cipher, key->cipher, iv, encrypt, NULL) != 1)
        return -1;
    return result;
}

/* ---- ALPN ---- */

enum err tls_server_set_alpn(struct tls_server *server, const struct view *names, size_t n) {
    buf_clear(&server->alpn);
    enum err err = tls_put_alpn(&server->alpn, names, n);
    if (err != ERR_OK)
        buf_clear(&server->alpn);
    return err;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
                           unsigned n, void *ctx) {
    (void)ssl;
    struct tls_server *server = ctx;
    unsigned char *chosen;
    if (server->alpn.n == 0)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_select_next_proto(&chosen, out_n, server->alpn.p, (unsigned)server->alpn.n, in, n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC7301-3.2: no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- the server ---- */

static enum err fill_server(struct tls_server *server) {
    uint8_t seed[16];
    random_fill(server->random, seed, sizeof(seed));
    random_fill(server->random, &server->tickets[0], sizeof(server->tickets[0]));
    server->hosts = map_new(seed, NAMES_MAX);
    server->ctx = tls_context_new(server->library, TLS_server_method());
    if (server->hosts == NULL || server->ctx == NULL)
        return ERR_NO_MEMORY;
    SSL_CTX_set_app_data(server->ctx, server);
    SSL_CTX_set_security_level(server->ctx, LEVEL);
    SSL_CTX_set_session_cache_mode(server->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_cert_cb(server->ctx, choose_chains, server);
    SSL_CTX_set_tlsext_servername_callback(server->ctx, acknowledge_name);
    SSL_CTX_set_alpn_select_cb(server->ctx, choose_protocol, server);
    return SSL_CTX_set_cipher_list(server->ctx, CIPHERS) == 1 &&
                   SSL_CTX_set1_sigalgs_list(server->ctx, SIGNATURES) == 1 &&
                   SSL_CTX_set_num_tickets(server->ctx, TICKETS) == 1 &&
                   SSL_CTX_set_tlsext_ticket_key_evp_cb(server->ctx, use_ticket_key) == 1
               ? ERR_OK
               : ERR_NO_MEMORY;
}

enum err tls_server_new(struct tls_library *library, struct tls_signer *signer, struct random *random,
                        struct tls_server **out) {
    struct tls_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return ERR_NO_MEMORY;
    *server = (struct tls_server){.refs = 1, .library = library, .signer = signer, .random = random};
    server->chains = VEC_OF(struct chain *, CHAINS_MAX);
    buf_init(&server->alpn, TLS_ALPN_MAX);
    enum err err = fill_server(server);
    ERR_clear_error();
    if (err != ERR_OK) {
        tls_server_unref(server);
        return err;
    }
    *out = server;
    return ERR_OK;
}

struct tls_server *tls_server_ref(struct tls_server *server) {
    server->refs++;
    return server;
}

void tls_server_unref(struct tls_server *server) {
    if (server == NULL || --server->refs > 0)
        return;
    SSL_CTX_free(server->ctx);
    void *host;
    size_t cursor = 0;
    struct view name;
    while (server->hosts != NULL && map_next(server->hosts, &cursor, &name, &host))
        free(host);
    map_free(server->hosts);
    for (size_t i = 0; i < server->chains.n; i++)
        chain_free(*VEC_AT(&server->chains, struct chain *, i));
    vec_fini(&server->chains);
    buf_fini(&server->alpn);
    wipe(server->tickets, sizeof(server->tickets));
    free(server);
}

enum err tls_accept(struct tls_server *server, struct stream *inner, int64_t deadline_us, struct stream **out,
                    struct tls_facts *facts) {
    struct tls_stream *t;
    ERR_clear_error();
    TRY(tls_stream_new(server->library, SSL_new(server->ctx), inner, &t));
    t->server = tls_server_ref(server);
    SSL_set_accept_state(t->ssl);
    enum err err = tls_stream_handshake(t, deadline_us, &server->failed);
    ERR_clear_error();
    if (err != ERR_OK) {
        tls_stream_discard(t);
        return err;
    }
    tls_stream_get_facts(t, facts);
    *out = &t->stream;
    return ERR_OK;
}
