/* Handshakes: kinds of keys and versions, names, a signer that waits or fails, tickets, ALPN, what verification refuses. */
#include "tls/testing.h"

#include <openssl/core_names.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
