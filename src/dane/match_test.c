/* Records against certificates: every usage, selector and matching type, and what must not match. */
#include "dane/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define WALL_US (INT64_C(1790000000) * US_PER_S)
#define DER_MAX 4096

struct der {
    uint8_t p[DER_MAX];
    size_t n;
};
static struct view der_view(const struct der *der) {
    return view_of(der->p, der->n);
}

struct made {
    EVP_PKEY *key;
    X509 *x;
    struct der certificate, spki;
};

static struct made ca, leaf, old, other;
static struct arena *arena;

/* days: when it ends. issuer NULL: self-signed. */
static void make(struct made *made, const char *name, const char *alt_name, int days, const struct made *issuer,
                 bool is_ca) {
    made->key = EVP_EC_gen("P-256");
    X509 *x = made->x = X509_new();
    static long serial = 1;
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    time_t now = WALL_US / US_PER_S;
    X509_time_adj_ex(X509_getm_notBefore(x), -60, 0, &now);
    X509_time_adj_ex(X509_getm_notAfter(x), days, 0, &now);
    X509_set_pubkey(x, made->key);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8, (const unsigned char *)name, -1,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer->x : x));
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer ? issuer->x : x, x, NULL, NULL, 0);
    const struct {
        int nid;
        const char *value;
    } extensions[] = {{NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "CA:FALSE"},
                      {NID_subject_alt_name, alt_name}};
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        if (!extensions[i].value)
            continue;
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, extensions[i].nid, extensions[i].value);
        assert_non_null(extension);
        X509_add_ext(x, extension, -1);
        X509_EXTENSION_free(extension);
    }
    assert_true(X509_sign(x, issuer ? issuer->key : made->key, EVP_sha256()) > 0);
    uint8_t *p = made->certificate.p;
    made->certificate.n = (size_t)i2d_X509(x, &p);
    p = made->spki.p;
    made->spki.n = (size_t)i2d_PUBKEY(made->key, &p);
    assert_true(made->certificate.n <= DER_MAX && made->spki.n <= DER_MAX);
}

static int set_up(void **state) {
    (void)state;
    make(&ca, "an authority", NULL, 100, NULL, true);
    make(&leaf, "mx", "DNS:mx.example,DNS:*.wild.example", 10, &ca, false);
    make(&old, "mx", "DNS:mx.example", -10, &ca, false);
    make(&other, "another authority", NULL, 100, NULL, true);
    arena = arena_new("test", 1 << 20);
    return arena ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    struct made *all[] = {&ca, &leaf, &old, &other};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        X509_free(all[i]->x);
        EVP_PKEY_free(all[i]->key);
    }
    arena_free(arena);
    return 0;
}

static uint8_t digests[8][SHA512_DIGEST_LENGTH];

static struct dane_record record_of(const struct made *made, uint8_t usage, uint8_t selector, uint8_t matching) {
    static size_t at;
    struct view data = der_view(selector == TLSA_SPKI ? &made->spki : &made->certificate);
    uint8_t *digest = digests[at++ % ARRAY_LEN(digests)];
    if (matching == TLSA_SHA256)
        data = view_of(SHA256(data.p, data.n, digest), SHA256_DIGEST_LENGTH);
    if (matching == TLSA_SHA512)
        data = view_of(SHA512(data.p, data.n, digest), SHA512_DIGEST_LENGTH);
    return (struct dane_record){.tlsa = {usage, selector, matching, data}};
}

static struct dane_match match_with(struct dane_record *records, size_t n, const struct made *server,
                                    const struct made *second, const char *name) {
    struct dane_result result = {.status = DANE_SECURE, .base = view_cstr(name), .records = records, .records_n = n};
    result.usable_n = dane_judge(records, n);
    result.names[result.names_n++] = result.base;
    struct view chain[2] = {der_view(&server->certificate)};
    if (second)
        chain[1] = der_view(&second->certificate);
    struct dane_match match;
    assert_int_equal(dane_match_chain(chain, second ? 2 : 1, &result, WALL_US, &match), ERR_OK);
    return match;
}

/* RFC6698-2.1, RFC7672-3.1 */
static void usages(void **state) {
    (void)state;
    for (uint8_t selector = 0; selector <= 1; selector++)
        for (uint8_t matching = 0; matching <= 2; matching++) {
            struct dane_record ee = record_of(&leaf, TLSA_DANE_EE, selector, matching);
            struct dane_match match = match_with(&ee, 1, &leaf, NULL, "mx.example");
            assert_true(match.is_matched && match.record == &ee && match.depth == 0 && match.code == X509_V_OK);
            assert_false(match_with(&ee, 1, &other, NULL, "mx.example").is_matched);
            struct dane_record ta = record_of(&ca, TLSA_DANE_TA, selector, matching);
            match = match_with(&ta, 1, &leaf, &ca, "mx.example");
            assert_true(match.is_matched && match.record == &ta);
            assert_true(match.depth == 1 || matching == TLSA_FULL);
            assert_false(match_with(&ta, 1, &other, &ca, "mx.example").is_matched);
            /* a trust anchor is not the leaf, and a leaf is not a trust anchor */
            ee.tlsa.usage = TLSA_DANE_TA;
            assert_false(match_with(&ee, 1, &leaf, &ca, "mx.example").is_matched);
            ta.tlsa.usage = TLSA_DANE_EE;
            assert_false(match_with(&ta, 1, &leaf, &ca, "mx.example").is_matched);
        }
}

/* RFC7672-3.1.1: no names and no dates under DANE-EE; RFC7672-3.2.2: both under DANE-TA */
static void names_and_dates(void **state) {
    (void)state;
    struct dane_record ee = record_of(&old, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256);
    assert_true(match_with(&ee, 1, &old, NULL, "nobody.example").is_matched);
    struct dane_record ta = record_of(&ca, TLSA_DANE_TA, TLSA_CERT, TLSA_SHA256);
    struct dane_match match = match_with(&ta, 1, &old, &ca, "mx.example");
    assert_false(match.is_matched);
    assert_int_equal(match.code, X509_V_ERR_CERT_HAS_EXPIRED);
    match = match_with(&ta, 1, &leaf, &ca, "nobody.example");
    assert_false(match.is_matched);
    assert_int_equal(match.code, X509_V_ERR_HOSTNAME_MISMATCH);
    assert_true(match_with(&ta, 1, &leaf, &ca, "a.wild.example").is_matched);
    assert_false(match_with(&ta, 1, &leaf, &ca, "a.b.wild.example").is_matched);
    assert_false(match_with(&ta, 1, &leaf, &ca, "wild.example").is_matched);
    /* RFC7672-3.1.2: the server must send the trust anchor */
    assert_false(match_with(&ta, 1, &leaf, NULL, "mx.example").is_matched);
    /* any of the names will do */
    struct dane_result result = {.status = DANE_SECURE, .base = VIEW("nobody.example"), .records = &ta, .records_n = 1};
    result.usable_n = dane_judge(&ta, 1);
    result.names[0] = result.base;
    result.names[1] = VIEW("mx.example");
    result.names_n = 2;
    struct view chain[2] = {der_view(&leaf.certificate), der_view(&ca.certificate)};
    assert_int_equal(dane_match_chain(chain, 2, &result, WALL_US, &match), ERR_OK);
    assert_true(match.is_matched);
}

/* RFC7671-8.1: while a key is rolled both records are there */
static void rollover(void **state) {
    (void)state;
    struct dane_record both[] = {record_of(&other, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256),
                                 record_of(&leaf, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256)};
    assert_true(match_with(both, 2, &leaf, NULL, "mx.example").record == &both[1]);
    assert_true(match_with(both, 2, &other, NULL, "mx.example").record == &both[0]);
    assert_false(match_with(both, 2, &ca, NULL, "mx.example").is_matched);
}

/* RFC7671-9 */
static void digest_agility(void **state) {
    (void)state;
    struct dane_record records[] = {
        record_of(&leaf, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256), record_of(&other, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA512),
        record_of(&leaf, TLSA_DANE_EE, TLSA_CERT, TLSA_SHA256), record_of(&leaf, TLSA_DANE_TA, TLSA_SPKI, TLSA_SHA256),
        record_of(&leaf, TLSA_DANE_EE, TLSA_SPKI, TLSA_FULL)};
    assert_int_equal(dane_judge(records, 5), 4);
    assert_int_equal(records[0].use, TLSA_WEAKER);
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(records[i].use, TLSA_USABLE);
    struct dane_match match = match_with(records, 2, &leaf, NULL, "mx.example");
    assert_false(match.is_matched); /* the stronger digest alone counts */
    assert_true(match_with(records, 2, &other, NULL, "mx.example").is_matched);
    /* one that is unusable weakens none */
    records[1].tlsa.data.n--;
    assert_int_equal(dane_judge(records, 2), 1);
    assert_int_equal(records[0].use, TLSA_USABLE);
    assert_int_equal(records[1].use, TLSA_WRONG_SIZE);
}

/* RFC7671-4, RFC7672-3.1.3 */
static void judged(void **state) {
    (void)state;
    static const uint8_t octets[64] = {0x30, 0x82};
    static const struct {
        uint8_t usage, selector, matching;
        size_t n;
        enum tlsa_use use;
    } table[] = {
        {3, 1, 1, 32, TLSA_USABLE},
        {3, 0, 2, 64, TLSA_USABLE},
        {2, 0, 1, 32, TLSA_USABLE},
        {0, 0, 1, 32, TLSA_NOT_FOR_SMTP},
        {1, 1, 2, 64, TLSA_NOT_FOR_SMTP},
        {4, 1, 1, 32, TLSA_UNKNOWN_USAGE},
        {255, 1, 1, 32, TLSA_UNKNOWN_USAGE},
        {3, 2, 1, 32, TLSA_UNKNOWN_SELECTOR},
        {3, 255, 1, 32, TLSA_UNKNOWN_SELECTOR},
        {3, 1, 3, 32, TLSA_UNKNOWN_MATCHING},
        {3, 1, 255, 32, TLSA_UNKNOWN_MATCHING},
        {3, 1, 1, 31, TLSA_WRONG_SIZE},
        {3, 1, 1, 33, TLSA_WRONG_SIZE},
        {3, 1, 2, 32, TLSA_WRONG_SIZE},
        {3, 0, 0, 64, TLSA_BROKEN},
        {3, 1, 0, 64, TLSA_BROKEN},
        {2, 1, 0, 1, TLSA_BROKEN},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct tlsa tlsa = {table[i].usage, table[i].selector, table[i].matching, view_of(octets, table[i].n)};
        assert_int_equal(tlsa_judge(&tlsa), table[i].use);
        assert_non_null(tlsa_use_text(table[i].use));
    }
    /* what follows a certificate or a key is not part of it */
    uint8_t longer[DER_MAX + 1] = {0};
    memcpy(longer, leaf.certificate.p, leaf.certificate.n);
    struct tlsa whole = {3, 0, 0, view_of(longer, leaf.certificate.n)};
    assert_int_equal(tlsa_judge(&whole), TLSA_USABLE);
    whole.data.n++;
    assert_int_equal(tlsa_judge(&whole), TLSA_BROKEN);
    struct dane_record many[DANE_RECORDS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = record_of(&leaf, 3, 1, 1);
    assert_int_equal(dane_judge(many, ARRAY_LEN(many)), DANE_RECORDS_MAX);
    assert_int_equal(many[DANE_RECORDS_MAX].use, TLSA_TOO_MANY);
}

static void parsed(void **state) {
    (void)state;
    struct tlsa tlsa;
    assert_int_equal(tlsa_parse(VIEW("\x03\x01\x01\xab\xcd"), &tlsa), ERR_OK);
    assert_true(tlsa.usage == 3 && tlsa.selector == 1 && tlsa.matching == 1 && view_eq(tlsa.data, VIEW("\xab\xcd")));
    struct buf text;
    buf_init(&text, 200);
    buf_put_tlsa_line(&text, VIEW("mx.example"), 25, &tlsa);
    assert_true(view_eq(buf_view(&text), VIEW("_25._tcp.mx.example. IN TLSA 3 1 1 ABCD\n")));
    buf_fini(&text);
    for (size_t n = 0; n <= 3; n++)
        assert_int_equal(tlsa_parse(view_sub(VIEW("\x03\x01\x01\xab"), 0, n), &tlsa), ERR_SYNTAX);
}

/* What we tell an owner to publish is what their server matches; the key alone says the same. */
static void published(void **state) {
    (void)state;
    struct tlsa of_certificate, of_key;
    assert_int_equal(tlsa_of_certificate(der_view(&leaf.certificate), arena, &of_certificate), ERR_OK);
    assert_int_equal(tlsa_of_key(der_view(&leaf.spki), arena, &of_key), ERR_OK);
    assert_true(view_eq(of_certificate.data, of_key.data));
    assert_true(of_key.usage == 3 && of_key.selector == 1 && of_key.matching == 1);
    struct dane_record record = {.tlsa = of_key};
    assert_true(match_with(&record, 1, &leaf, NULL, "mx.example").is_matched);
    bool is_same;
    assert_int_equal(tlsa_matches(&of_key, der_view(&leaf.certificate), &is_same), ERR_OK);
    assert_true(is_same);
    assert_int_equal(tlsa_matches(&of_key, der_view(&other.certificate), &is_same), ERR_OK);
    assert_false(is_same);
    assert_int_equal(tlsa_matches(&of_key, VIEW("x"), &is_same), ERR_SYNTAX);
    assert_int_equal(tlsa_of_certificate(der_view(&leaf.spki), arena, &of_key), ERR_SYNTAX);
    assert_int_equal(tlsa_of_key(der_view(&leaf.certificate), arena, &of_key), ERR_SYNTAX);
}

static void refused(void **state) {
    (void)state;
    struct dane_record record = record_of(&leaf, 3, 1, 1);
    struct dane_result result = {.status = DANE_SECURE, .base = VIEW("mx.example"), .records = &record, .records_n = 1};
    struct view chain = der_view(&leaf.certificate);
    struct dane_match match;
    assert_int_equal(dane_match_chain(&chain, 1, &result, WALL_US, &match), ERR_BUG); /* nothing usable */
    result.usable_n = dane_judge(&record, 1);
    assert_int_equal(dane_match_chain(&chain, 0, &result, WALL_US, &match), ERR_SYNTAX);
    chain = VIEW("no certificate");
    assert_int_equal(dane_match_chain(&chain, 1, &result, WALL_US, &match), ERR_SYNTAX);
    chain = der_view(&leaf.certificate);
    result.base = VIEW("mx\0example");
    assert_int_equal(dane_match_chain(&chain, 1, &result, WALL_US, &match), ERR_SYNTAX);
}

/* A handshake with a server that shows leaf and ca; whether the client took it. */
static bool shakes_hands(const struct dane_result *result, long *code, char sni[64]) {
    SSL_CTX *contexts[2] = {SSL_CTX_new(TLS_server_method()), SSL_CTX_new(TLS_client_method())};
    assert_int_equal(SSL_CTX_use_certificate(contexts[0], leaf.x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(contexts[0], leaf.key), 1);
    assert_int_equal(SSL_CTX_add1_chain_cert(contexts[0], ca.x), 1);
    assert_int_equal(dane_arm_context(contexts[1]), ERR_OK);
    SSL_CTX_set_verify(contexts[1], SSL_VERIFY_PEER, NULL);
    SSL *server = SSL_new(contexts[0]), *client = SSL_new(contexts[1]);
    BIO *ends[2];
    assert_int_equal(BIO_new_bio_pair(&ends[0], 65536, &ends[1], 65536), 1);
    SSL_set_bio(server, ends[0], ends[0]);
    SSL_set_bio(client, ends[1], ends[1]);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(client), WALL_US / US_PER_S);
    assert_int_equal(dane_arm(client, result), ERR_OK);
    int done = 0;
    for (size_t i = 0; i < 10 && done != 1; i++) {
        done = SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    *code = SSL_get_verify_result(client);
    const char *name = SSL_get_servername(server, TLSEXT_NAMETYPE_host_name);
    (void)snprintf(sni, 64, "%s", name ? name : "");
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(contexts[0]);
    SSL_CTX_free(contexts[1]);
    return done == 1;
}

/* RFC7672-2.2: a connection that is armed lets nobody else in. */
static void armed(void **state) {
    (void)state;
    const struct {
        struct dane_record record;
        const char *name;
        bool passes;
    } table[] = {
        {record_of(&leaf, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256), "nobody.example", true},
        {record_of(&ca, TLSA_DANE_TA, TLSA_CERT, TLSA_SHA256), "mx.example", true},
        {record_of(&ca, TLSA_DANE_TA, TLSA_CERT, TLSA_SHA256), "nobody.example", false},
        {record_of(&other, TLSA_DANE_EE, TLSA_SPKI, TLSA_SHA256), "mx.example", false},
        {record_of(&other, TLSA_DANE_TA, TLSA_SPKI, TLSA_SHA512), "mx.example", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct dane_record record = table[i].record;
        struct dane_result result = {
            .status = DANE_SECURE, .base = view_cstr(table[i].name), .records = &record, .records_n = 1};
        result.usable_n = dane_judge(&record, 1);
        result.names[result.names_n++] = result.base;
        long code;
        char sni[64];
        assert_int_equal(shakes_hands(&result, &code, sni), table[i].passes);
        assert_int_equal(code == X509_V_OK, table[i].passes);
        assert_string_equal(sni, table[i].name); /* RFC7672-8.1 */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usages),         cmocka_unit_test(names_and_dates), cmocka_unit_test(rollover),
        cmocka_unit_test(digest_agility), cmocka_unit_test(judged),          cmocka_unit_test(parsed),
        cmocka_unit_test(published),      cmocka_unit_test(refused),         cmocka_unit_test(armed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
