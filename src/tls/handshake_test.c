/* Handshakes: kinds of keys and versions, names, a signer that waits or fails, tickets, ALPN, what verification refuses. */
#include "tls/testing.h"

#include <openssl/core_names.h>
#include <openssl/provider.h>

/* ---- keys and versions ---- */

struct kind {
    const char *name;
    int version;
    const char *ciphers; /* TLS 1.2 */
    uint64_t key;
    const char *sigalgs; /* the client's; NULL: OpenSSL's */
    uint16_t scheme;
};

static void test_kinds(void **state) {
    (void)state;
    static const struct kind kinds[] = {
        {"ec", TLS1_3_VERSION, NULL, 0, NULL, 0x0403},
        {"ec", TLS1_2_VERSION, NULL, 0, NULL, 0x0403},
        {"rsa", TLS1_3_VERSION, NULL, 1, NULL, 0x0804},
        {"rsa", TLS1_2_VERSION, NULL, 1, NULL, 0x0804},
        {"rsa", TLS1_2_VERSION, NULL, 1, "RSA+SHA256", 0x0401},
        {"rsa", TLS1_2_VERSION, NULL, 1, "RSA+SHA512", 0x0601},
        {"rsa", TLS1_3_VERSION, NULL, 1, "RSA-PSS+SHA512", 0x0806},
        {"p384", TLS1_3_VERSION, NULL, 2, NULL, 0x0503},
        {"p384", TLS1_2_VERSION, NULL, 2, NULL, 0x0403},
        {"both", TLS1_3_VERSION, NULL, 3, NULL, 0x0403},
        {"both", TLS1_3_VERSION, NULL, 4, "RSA-PSS+SHA384", 0x0805},
    };
    struct world w;
    world_init(&w, 1);
    world_add_made(&w, 0, EVP_EC_gen("P-256"), "DNS:ec");
    world_add_made(&w, 1, EVP_RSA_gen(2048), "DNS:rsa");
    world_add_made(&w, 2, EVP_EC_gen("P-384"), "DNS:p384");
    world_add_made(&w, 3, EVP_EC_gen("P-256"), "DNS:both");
    world_add_made(&w, 4, EVP_RSA_gen(2048), "DNS:both");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct kind *k = &kinds[i];
        struct tls_client *client;
        assert_int_equal(tls_client_new(w.library, &client), ERR_OK);
        SSL_CTX_set_max_proto_version(client->any, k->version);
        if (k->sigalgs != NULL)
            assert_int_equal(SSL_CTX_set1_sigalgs_list(client->any, k->sigalgs), 1);
        struct tls_client *usual = w.client;
        w.client = client;
        struct side a, b;
        sides_init(&w, &a, &b, 4096);
        b.server_name = k->name;
        w.signer.scheme = 0;
        sides_shake(&w, &a, &b);
        assert_int_equal(a.err, ERR_OK);
        assert_int_equal(b.err, ERR_OK);
        assert_int_equal(a.facts.version, k->version);
        assert_int_equal(b.facts.version, k->version);
        assert_string_equal(a.facts.server_name, k->name);
        assert_string_equal(a.facts.cipher, b.facts.cipher);
        assert_int_equal(w.signer.scheme, k->scheme);
        assert_true(a.tls->encrypted && b.tls->encrypted);
        sides_fini(&a, &b);
        w.client = usual;
        tls_client_free(client);
    }
    world_fini(&w);
}

/* ---- names and verification ---- */

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *server_name, *verify_name;
        uint64_t key;
        enum err err;
    } cases[] = {
        {"localhost", "localhost", 0, ERR_OK},
        {"LocalHost", "LOCALHOST", 0, ERR_OK},
        {"localhost", "127.0.0.1", 0, ERR_OK},
        {"localhost", "::1", 0, ERR_OK},
        {"127.0.0.1", "127.0.0.1", 0, ERR_OK}, /* no SNI: the first chain */
        {NULL, "localhost", 0, ERR_OK},
        {"unknown.test", "localhost", 0, ERR_OK},
        {"mail.example.org", "mail.example.org", 1, ERR_OK},
        {"a.b.example.org", "localhost", 0, ERR_OK},
        {"example.net", "example.net", 1, ERR_OK},
        /* RFC9525-6.3: the name that was asked for and no other */
        {"localhost", "other.test", 0, ERR_DENIED},
        {"localhost", "127.0.0.2", 0, ERR_DENIED},
        {"mail.example.org", "a.b.example.org", 1, ERR_DENIED},
        {"example.org", "example.org", 0, ERR_DENIED},
        /* signed by nobody we know */
        {"stranger", "stranger", 2, ERR_DENIED},
        /* RFC7435: opportunistic clients take it */
        {"stranger", NULL, 2, ERR_OK},
        {"unknown.test", NULL, 0, ERR_OK},
    };
    static const struct view first[] = {VIEW_INIT("localhost")};
    static const struct view second[] = {VIEW_INIT("*.example.org"), VIEW_INIT("EXAMPLE.net")};
    struct world w;
    world_init(&w, 3);
    world_add_self_signed(&w, 0, first, 1);
    world_add_self_signed(&w, 1, second, 2);
    world_add_made(&w, 2, EVP_EC_gen("P-256"), "DNS:stranger");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct side a, b;
        sides_init(&w, &a, &b, 4096);
        b.server_name = cases[i].server_name;
        b.verify_name = cases[i].verify_name;
        w.signer.key = KEYS_MAX;
        sides_shake(&w, &a, &b);
        assert_int_equal(b.err, cases[i].err);
        assert_int_equal(w.signer.key, cases[i].key);
        if (cases[i].err != ERR_OK)
            assert_int_equal(a.err, ERR_SYNTAX); /* the client's alert */
        sides_fini(&a, &b);
    }
    /* In eleven years it has expired. */
    virtual_clock_advance(&w.clock, INT64_C(4000) * 24 * 3600 * US_PER_S);
    struct side a, b;
    sides_init(&w, &a, &b, 4096);
    b.server_name = b.verify_name = "localhost";
    sides_shake(&w, &a, &b);
    assert_int_equal(b.err, ERR_DENIED);
    sides_fini(&a, &b);
    world_fini(&w);
}

/* ---- a signer that waits and fails ---- */

#define MANY 50

static void test_signer_waits(void **state) {
    (void)state;
    static const struct view names[] = {VIEW_INIT("localhost")};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world w;
        world_init(&w, seed);
        world_add_self_signed(&w, 0, names, 1);
        w.signer.wait_us = US_PER_S;
        w.signer.fails_odd = true;
        struct side a[MANY], b[MANY];
        for (size_t i = 0; i < MANY; i++) {
            sides_init(&w, &a[i], &b[i], 4096);
            assert_int_equal(co_spawn(w.loop, NULL, "accept", shake_hands, &a[i], NULL), ERR_OK);
            assert_int_equal(co_spawn(w.loop, NULL, "connect", shake_hands, &b[i], NULL), ERR_OK);
        }
        loop_run(w.loop);
        assert_int_equal(w.signer.calls, MANY);
        assert_true(w.signer.most_inside > MANY / 2);
        size_t good = 0;
        for (size_t i = 0; i < MANY; i++) {
            assert_true(a[i].is_done && b[i].is_done);
            assert_int_equal(a[i].err, b[i].err == ERR_OK ? ERR_OK : ERR_AGAIN); /* the signer's own */
            if (b[i].err == ERR_OK)
                good++;
            else
                assert_int_equal(b[i].err, ERR_SYNTAX); /* RFC8446-6.2: internal_error */
            sides_fini(&a[i], &b[i]);
        }
        assert_int_equal(good, MANY / 2);
        world_fini(&w);
    }
}

static void test_signer_fails(void **state) {
    (void)state;
    static const enum err errors[] = {ERR_AGAIN, ERR_TIMEOUT, ERR_DENIED, ERR_NO_MEMORY};
    static const struct view names[] = {VIEW_INIT("localhost")};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct world w;
    world_init(&w, 4);
    world_add_self_signed(&w, 0, names, 1);
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        SSL_CTX_set_max_proto_version(w.client->any, versions[v]);
        for (size_t i = 0; i <= ARRAY_LEN(errors); i++) {
            w.signer.fails_as = i < ARRAY_LEN(errors) ? errors[i] : ERR_OK; /* the last: it left nothing behind */
            struct side a, b;
            sides_init(&w, &a, &b, 4096);
            sides_shake(&w, &a, &b);
            assert_int_equal(a.err, w.signer.fails_as);
            assert_int_equal(b.err, i < ARRAY_LEN(errors) ? ERR_SYNTAX : ERR_OK);
            sides_fini(&a, &b);
        }
    }
    world_fini(&w);
}

/* What it signs with a key that is not the certificate's, nobody believes. */
static void test_wrong_key(void **state) {
    (void)state;
    static const struct view names[] = {VIEW_INIT("localhost")};
    struct world w;
    world_init(&w, 5);
    world_add_self_signed(&w, 0, names, 1);
    world_add_self_signed(&w, 1, names, 1);
    struct tls_key *key = w.signer.keys[0];
    w.signer.keys[0] = w.signer.keys[1];
    w.signer.keys[1] = key;
    struct side a, b;
    sides_init(&w, &a, &b, 4096);
    sides_shake(&w, &a, &b);
    assert_int_equal(a.err, ERR_SYNTAX);
    assert_int_equal(b.err, ERR_SYNTAX);
    sides_fini(&a, &b);
    world_fini(&w);
}

/* ---- no private key ---- */

static void test_no_private_key(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 6);
    world_add_made(&w, 0, EVP_EC_gen("P-256"), "DNS:ec");
    world_add_made(&w, 1, EVP_RSA_gen(2048), "DNS:rsa");
    static const char *const names[] = {"ec", "rsa"};
    static const char *const secrets[] = {
        OSSL_PKEY_PARAM_PRIV_KEY,    OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct side a, b;
        sides_init(&w, &a, &b, 4096);
        b.server_name = names[i];
        sides_shake(&w, &a, &b);
        assert_int_equal(a.err, ERR_OK);
        EVP_PKEY *pkey = SSL_get_privatekey(((struct tls_stream *)a.tls)->ssl);
        assert_non_null(pkey);
        assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(pkey)), TLS_REMOTE_PROVIDER);
        for (size_t k = 0; k < ARRAY_LEN(secrets); k++) {
            BIGNUM *number = NULL;
            assert_int_not_equal(EVP_PKEY_get_bn_param(pkey, secrets[k], &number), 1);
            assert_null(number);
        }
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_not_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
        BIO_free(bio);
        uint8_t *der = NULL;
        assert_true(i2d_PrivateKey(pkey, &der) <= 0);
        ERR_clear_error();
        sides_fini(&a, &b);
    }
    world_fini(&w);
}

/* ---- tickets ---- */

struct resumption {
    struct side side;
    SSL_SESSION *given, *got;
};

/* A client that keeps its session, which tls_connect() does not. */
static void resume(void *arg) {
    struct resumption *r = arg;
    struct side *s = &r->side;
    SSL *ssl = SSL_new(s->w->client->any);
    struct tls_stream *t;
    assert_int_equal(tls_stream_new(s->w->library, ssl, s->inner, &t), ERR_OK);
    SSL_set_connect_state(ssl);
    assert_int_equal(SSL_set_tlsext_host_name(ssl, "localhost"), 1);
    if (r->given != NULL)
        assert_int_equal(SSL_set_session(ssl, r->given), 1);
    assert_int_equal(tls_stream_handshake(t, US_NEVER, NULL), ERR_OK);
    tls_stream_get_facts(t, &s->facts);
    uint8_t byte;
    size_t got;
    /* RFC8446-4.6.1: the ticket comes after the handshake */
    assert_int_equal(stream_read(&t->stream, &byte, 1, US_NEVER, &got), ERR_CLOSED);
    assert_false(t->is_truncated);
    stream_shutdown(&t->stream); /* or OpenSSL takes the session for a broken one */
    r->got = SSL_get1_session(ssl);
    stream_free(&t->stream);
}

static void say_goodbye(void *arg) {
    stream_shutdown(arg);
}

static bool is_resumed(struct world *w, struct tls_server *server, SSL_SESSION *given, SSL_SESSION **got) {
    struct side a;
    struct resumption r = {.given = given};
    sides_init(w, &a, &r.side, 4096);
    a.server = server;
    assert_int_equal(co_spawn(w->loop, NULL, "accept", shake_hands, &a, NULL), ERR_OK);
    assert_int_equal(co_spawn(w->loop, NULL, "resume", resume, &r, NULL), ERR_OK);
    loop_run(w->loop);
    assert_int_equal(a.err, ERR_OK);
    assert_int_equal(co_spawn(w->loop, NULL, "shutdown", say_goodbye, a.tls, NULL), ERR_OK);
    loop_run(w->loop);
    stream_free(a.tls);
    assert_int_equal(a.facts.resumed, r.side.facts.resumed);
    assert_string_equal(a.facts.server_name, "localhost");
    if (got != NULL)
        *got = r.got;
    else
        SSL_SESSION_free(r.got);
    return a.facts.resumed;
}

static void test_tickets(void **state) {
    (void)state;
    static const struct view names[] = {VIEW_INIT("localhost")};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct world w;
        world_init(&w, 7);
        SSL_CTX_set_max_proto_version(w.client->any, versions[v]);
        world_add_self_signed(&w, 0, names, 1);
        uint8_t key[TLS_TICKET_KEY_SIZE];
        random_fill(&w.random.random, key, sizeof(key));
        tls_server_set_ticket_key(w.server, key);
        SSL_SESSION *first, *second;
        assert_false(is_resumed(&w, w.server, NULL, &first));
        assert_int_equal(w.signer.calls, 1);
        assert_true(is_resumed(&w, w.server, first, NULL));
        assert_int_equal(w.signer.calls, 1); /* and no signature */
        /* Another process with the same key takes it. */
        struct tls_server *other;
        assert_int_equal(tls_server_new(w.library, &w.signer.signer, &w.random.random, &other), ERR_OK);
        struct buf key_pem, pem;
        buf_init(&key_pem, 10000);
        buf_init(&pem, 10000);
        assert_int_equal(tls_make_self_signed(names, 1, WALL_US, &key_pem, &pem), ERR_OK);
        assert_int_equal(tls_key_load(buf_view(&key_pem), &w.signer.keys[1]), ERR_OK);
        assert_int_equal(tls_server_add_chain(other, 1, buf_view(&pem)), ERR_OK);
        buf_fini(&key_pem);
        buf_fini(&pem);
        assert_false(is_resumed(&w, other, first, NULL));
        tls_server_set_ticket_key(other, key);
        assert_true(is_resumed(&w, other, first, NULL));
        tls_server_unref(other);
        /* The key before is good, and the ticket is renewed; the one before that is not. */
        tls_server_rotate_tickets(w.server);
        assert_true(is_resumed(&w, w.server, first, &second));
        tls_server_rotate_tickets(w.server);
        assert_false(is_resumed(&w, w.server, first, NULL));
        assert_true(is_resumed(&w, w.server, second, NULL));
        SSL_SESSION_free(first);
        SSL_SESSION_free(second);
        world_fini(&w);
    }
}

/* ---- ALPN ---- */

static void test_alpn(void **state) {
    (void)state;
    static const struct view imap[] = {VIEW_INIT("imap"), VIEW_INIT("managesieve")};
    static const struct view offers[] = {VIEW_INIT("h2"), VIEW_INIT("managesieve"), VIEW_INIT("imap")};
    static const struct view names[] = {VIEW_INIT("localhost")};
    static const struct {
        size_t served, offered;
        const char *chosen; /* NULL: refused */
    } cases[] = {{0, 0, ""}, {0, 3, ""}, {2, 0, ""}, {2, 3, "imap"}, {2, 2, "managesieve"}, {2, 1, NULL}};
    struct world w;
    world_init(&w, 8);
    world_add_self_signed(&w, 0, names, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(tls_server_set_alpn(w.server, imap, cases[i].served), ERR_OK);
        assert_int_equal(tls_client_set_alpn(w.client, offers, cases[i].offered), ERR_OK);
        struct side a, b;
        sides_init(&w, &a, &b, 4096);
        sides_shake(&w, &a, &b);
        if (cases[i].chosen == NULL) {
            assert_int_equal(a.err, ERR_SYNTAX);
            assert_int_equal(b.err, ERR_SYNTAX);
        } else {
            assert_string_equal(a.facts.alpn, cases[i].chosen);
            assert_string_equal(b.facts.alpn, cases[i].chosen);
        }
        sides_fini(&a, &b);
    }
    static const struct view bad[] = {VIEW_INIT("")};
    assert_int_equal(tls_server_set_alpn(w.server, bad, 1), ERR_LIMIT);
    world_fini(&w);
}

/* ---- chains ---- */

/* A certificate that the issuer signs; NULL: itself. */
static X509 *issue(const char *name, bool is_authority, EVP_PKEY *pkey, X509 *issuer, EVP_PKEY *issuer_key) {
    X509 *x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), is_authority ? 1 : 2);
    time_t now = WALL_US / US_PER_S;
    X509_time_adj_ex(X509_getm_notBefore(x), 0, -60, &now);
    X509_time_adj_ex(X509_getm_notAfter(x), 30, 0, &now);
    X509_set_pubkey(x, pkey);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8, (const unsigned char *)name, -1,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer != NULL ? issuer : x));
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer != NULL ? issuer : x, x, NULL, NULL, 0);
    int nid = is_authority ? NID_basic_constraints : NID_subject_alt_name;
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, &ctx, nid, is_authority ? "critical,CA:TRUE" : "DNS:leaf.test");
    assert_non_null(extension);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    return x;
}

static void put_pem(struct buf *buf, X509 *x, EVP_PKEY *pkey) {
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(
        x != NULL ? PEM_write_bio_X509(bio, x) : PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    buf_put(buf, view_of(p, (size_t)n));
    BIO_free(bio);
}

/* What stands between the leaf and an authority is sent along: without it nobody could verify. */
static void test_intermediate(void **state) {
    (void)state;
    EVP_PKEY *keys[3];
    X509 *x[3];
    for (size_t i = 0; i < 3; i++)
        keys[i] = EVP_EC_gen("P-256");
    x[0] = issue("root", true, keys[0], NULL, keys[0]);
    x[1] = issue("between", true, keys[1], x[0], keys[0]);
    x[2] = issue("leaf", false, keys[2], x[1], keys[1]);
    struct buf root, chain, key_pem;
    buf_init(&root, 10000);
    buf_init(&chain, 10000);
    buf_init(&key_pem, 10000);
    put_pem(&root, x[0], NULL);
    put_pem(&key_pem, NULL, keys[2]);
    for (size_t with = 0; with < 2; with++) {
        put_pem(&chain, x[2 - with], NULL); /* the leaf alone, then followed by what is between */
        struct world w;
        world_init(&w, 10);
        assert_int_equal(tls_library_add_authorities(w.library, buf_view(&root)), ERR_OK);
        world_add(&w, 5, buf_view(&key_pem), buf_view(&chain));
        struct side a, b;
        sides_init(&w, &a, &b, 4096);
        b.server_name = b.verify_name = "leaf.test";
        sides_shake(&w, &a, &b);
        assert_int_equal(b.err, with ? ERR_OK : ERR_DENIED);
        sides_fini(&a, &b);
        world_fini(&w);
    }
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY_free(keys[i]);
        X509_free(x[i]);
    }
    buf_fini(&root);
    buf_fini(&chain);
    buf_fini(&key_pem);
}

static void test_chains(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 9);
    struct buf key_pem, pem, long_pem;
    buf_init(&key_pem, 100000);
    buf_init(&pem, 100000);
    buf_init(&long_pem, 100000);
    static const struct view junk[] = {
        VIEW_INIT(""),
        VIEW_INIT("junk"),
        VIEW_INIT("-----BEGIN CERTIFICATE-----\n"),
        VIEW_INIT("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        assert_int_equal(tls_server_add_chain(w.server, 0, junk[i]), ERR_SYNTAX);
        assert_int_equal(tls_library_add_authorities(w.library, junk[i]), ERR_SYNTAX);
    }
    make_chain(EVP_RSA_gen(1024), "DNS:weak", &key_pem, &pem);
    assert_int_equal(tls_server_add_chain(w.server, 0, buf_view(&pem)), ERR_SYNTAX);
    buf_clear(&pem);
    make_chain(EVP_RSA_gen(2048), "DNS:good", &key_pem, &pem);
    /* A broken one behind a good one is not passed over. */
    buf_put(&long_pem, buf_view(&pem));
    buf_put(&long_pem, junk[3]);
    assert_int_equal(tls_server_add_chain(w.server, 0, buf_view(&long_pem)), ERR_SYNTAX);
    while (long_pem.n <= TLS_CHAIN_MAX)
        buf_put(&long_pem, buf_view(&pem));
    assert_int_equal(tls_server_add_chain(w.server, 0, buf_view(&long_pem)), ERR_LIMIT);
    /* No chain was taken: handshakes fail, politely. */
    struct side a, b;
    sides_init(&w, &a, &b, 4096);
    sides_shake(&w, &a, &b);
    assert_int_equal(a.err, ERR_SYNTAX);
    assert_int_equal(b.err, ERR_SYNTAX);
    sides_fini(&a, &b);
    assert_int_equal(tls_server_add_chain(w.server, 0, buf_view(&pem)), ERR_OK);
    buf_fini(&key_pem);
    buf_fini(&pem);
    buf_fini(&long_pem);
    world_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),        cmocka_unit_test(test_names),     cmocka_unit_test(test_signer_waits),
        cmocka_unit_test(test_signer_fails), cmocka_unit_test(test_wrong_key), cmocka_unit_test(test_no_private_key),
        cmocka_unit_test(test_tickets),      cmocka_unit_test(test_alpn),      cmocka_unit_test(test_chains),
        cmocka_unit_test(test_intermediate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
