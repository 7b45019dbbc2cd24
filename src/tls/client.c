/* Outbound TLS: opportunistic, with any certificate, or verified. */
#include "tls/tls_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* RFC7435-3: some protection is better than none, so what old servers have is offered after what RFC9325-4.2 recommends. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:kRSA+AESGCM:kRSA+AES"
#define CIPHERS_VERIFIED "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
/* OpenSSL's security levels: 1 admits keys of 1024 bits, which opportunistic delivery must take rather than fall back to plain text. */
#define LEVEL 1
#define LEVEL_VERIFIED 2

/* Nothing is looked at, so nothing needs to be computed. */
static int take_any(X509_STORE_CTX *store, void *ctx) {
    (void)store;
    (void)ctx;
    return 1;
}

static enum err fill_client(struct tls_client *client) {
    struct tls_library *library = client->library;
    client->any = tls_context_new(library, TLS_client_method());
    client->verified = tls_context_new(library, TLS_client_method());
    if (client->any == NULL || client->verified == NULL)
        return ERR_NO_MEMORY;
    SSL_CTX_set_security_level(client->any, LEVEL);
    SSL_CTX_set_security_level(client->verified, LEVEL_VERIFIED);
    SSL_CTX_set_verify(client->any, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(client->any, take_any, NULL);
    SSL_CTX_set_verify(client->verified, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set1_cert_store(client->verified, library->authorities);
    SSL_CTX_set_session_cache_mode(client->any, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_cache_mode(client->verified, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_cipher_list(client->any, CIPHERS) == 1 &&
                   SSL_CTX_set_cipher_list(client->verified, CIPHERS_VERIFIED) == 1
               ? ERR_OK
               : ERR_NO_MEMORY;
}

enum err tls_client_new(struct tls_library *library, struct tls_client **out) {
    struct tls_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return ERR_NO_MEMORY;
    client->library = library;
    enum err err = fill_client(client);
    ERR_clear_error();
    if (err != ERR_OK) {
        tls_client_free(client);
        return err;
    }
    *out = client;
    return ERR_OK;
}

void tls_client_free(struct tls_client *client) {
    if (client == NULL)
        return;
    SSL_CTX_free(client->any);
    SSL_CTX_free(client->verified);
    free(client);
}

enum err tls_client_set_alpn(struct tls_client *client, const struct view *names, size_t n) {
    struct buf list;
    buf_init(&list, TLS_ALPN_MAX);
    enum err err = tls_put_alpn(&list, names, n);
    /* These two return 0 for success. */
    if (err == ERR_OK && (SSL_CTX_set_alpn_protos(client->any, list.p, (unsigned)list.n) != 0 ||
                          SSL_CTX_set_alpn_protos(client->verified, list.p, (unsigned)list.n) != 0))
        err = ERR_NO_MEMORY;
    buf_fini(&list);
    ERR_clear_error();
    return err;
}

static enum err name_peer(SSL *ssl, const char *server_name, const char *verify_name, int64_t wall_us) {
    /* RFC6066-3: no addresses in SNI. */
    ASN1_OCTET_STRING *address = server_name != NULL ? a2i_IPADDRESS(server_name) : NULL;
    bool is_named = server_name != NULL && address == NULL;
    ASN1_OCTET_STRING_free(address);
    if (is_named && SSL_set_tlsext_host_name(ssl, server_name) != 1)
        return ERR_SYNTAX;
    if (verify_name == NULL)
        return ERR_OK;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_time(param, wall_us / US_PER_S);
    /* RFC9525-6.3: no wildcard but a whole left label. */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, verify_name) == 1)
        return ERR_OK;
    return X509_VERIFY_PARAM_set1_host(param, verify_name, 0) == 1 ? ERR_OK : ERR_SYNTAX;
}

enum err tls_connect(struct tls_client *client, struct stream *inner, const char *server_name, const char *verify_name,
                     int64_t deadline_us, struct stream **out, struct tls_facts *facts) {
    struct tls_stream *t;
    ERR_clear_error();
    TRY(tls_stream_new(client->library, SSL_new(verify_name != NULL ? client->verified : client->any), inner, &t));
    SSL_set_connect_state(t->ssl);
    enum err err = name_peer(t->ssl, server_name, verify_name, loop_wall_us(inner->loop));
    if (err == ERR_OK)
        err = tls_stream_handshake(t, deadline_us, NULL);
    ERR_clear_error();
    if (err != ERR_OK) {
        tls_stream_discard(t);
        return err;
    }
    tls_stream_get_facts(t, facts);
    *out = &t->stream;
    return ERR_OK;
}
