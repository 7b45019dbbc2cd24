/* SCRAM against the examples of its RFCs, and what must be refused. */
#include "sasl/scram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct example {
    enum scram_hash hash;
    const char *user, *password, *client_nonce, *nonce, *salt, *proof, *signature;
    uint32_t iterations;
};
static const struct example examples[] = {
    /* RFC5802-5 */
    {SCRAM_SHA1, "user", "pencil", "fyko+d2lbbFgONRv9qkxdawL", "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
     "QSXCR+Q6sek8bf92", "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=", 4096},
    /* RFC7677-3 */
    {SCRAM_SHA256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
     "W22ZaJ0SNY7soEsUEjb6gQ==", "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", 4096},
};

static void decode(const char *text, struct buf *out) {
    buf_init(out, 200);
    assert_int_equal(base64_decode(view_cstr(text), out), ERR_OK);
}

static void test_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        const struct example *e = &examples[i];
        struct buf salt, proof, signature, message;
        decode(e->salt, &salt);
        decode(e->proof, &proof);
        decode(e->signature, &signature);
        buf_init(&message, 1000);
        scram_put_client_first_bare(&message, view_cstr(e->user), view_cstr(e->client_nonce));
        buf_put_byte(&message, ',');
        scram_put_server_first(&message, view_cstr(e->nonce), buf_view(&salt), e->iterations);
        buf_put_byte(&message, ',');
        scram_put_client_final_bare(&message, VIEW("n,,"), view_cstr(e->nonce));
        size_t n = scram_key_size(e->hash);
        for (uint32_t slice = 1; slice < 6000; slice = slice * 7 + 1) {
            struct scram_derivation d;
            assert_int_equal(scram_derivation_init(&d, e->hash, view_cstr(e->password), buf_view(&salt), e->iterations),
                             ERR_OK);
            while (!scram_derivation_step(&d, slice))
                ;
            uint8_t got[SCRAM_KEY_MAX], server[SCRAM_KEY_MAX];
            assert_int_equal(scram_client_proof(e->hash, view_of(d.result, n), buf_view(&message), got, server),
                             ERR_OK);
            assert_memory_equal(got, proof.p, n);
            assert_memory_equal(server, signature.p, n);
            scram_derivation_fini(&d);
        }
        struct scram_keys keys;
        uint8_t server[SCRAM_KEY_MAX];
        assert_int_equal(scram_make_keys(e->hash, view_cstr(e->password), buf_view(&salt), e->iterations, &keys),
                         ERR_OK);
        assert_int_equal(scram_check_proof(e->hash, &keys, buf_view(&message), buf_view(&proof), server), ERR_OK);
        assert_memory_equal(server, signature.p, n);
        for (size_t bit = 0; bit < proof.n * 8; bit++) {
            proof.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(scram_check_proof(e->hash, &keys, buf_view(&message), buf_view(&proof), server),
                             ERR_DENIED);
            proof.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_int_equal(
            scram_check_proof(e->hash, &keys, buf_view(&message), view_sub(buf_view(&proof), 0, n - 1), server),
            ERR_DENIED);
        buf_fini(&salt);
        buf_fini(&proof);
        buf_fini(&signature);
        buf_fini(&message);
    }
}

static void test_names_are_escaped(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    scram_put_client_first_bare(&buf, VIEW("a,b=c"), VIEW("x"));
    assert_true(view_eq(buf_view(&buf), VIEW("n=a=2Cb=3Dc,r=x")));
    buf_fini(&buf);
}

static void test_plain(void **state) {
    (void)state;
    static const struct {
        struct view message;
        enum err err;
        struct view authzid, authcid, password;
    } cases[] = {
        {VIEW_INIT("\0tim\0tanstaaftanstaaf"), ERR_OK, VIEW_INIT(""), VIEW_INIT("tim"),
         VIEW_INIT("tanstaaftanstaaf")}, /* RFC4616-4 */
        {VIEW_INIT("Ursel\0Kurt\0xipj3plmq"), ERR_OK, VIEW_INIT("Ursel"), VIEW_INIT("Kurt"), VIEW_INIT("xipj3plmq")},
        {VIEW_INIT("\0user\0"), ERR_SYNTAX, {0}, {0}, {0}},
        {VIEW_INIT("\0\0pass"), ERR_SYNTAX, {0}, {0}, {0}},
        {VIEW_INIT("user\0pass"), ERR_SYNTAX, {0}, {0}, {0}},
        {VIEW_INIT(""), ERR_SYNTAX, {0}, {0}, {0}},
        {VIEW_INIT("\0a\0b\0c"), ERR_SYNTAX, {0}, {0}, {0}},
        {VIEW_INIT("\0a\0\xff"), ERR_SYNTAX, {0}, {0}, {0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sasl_plain plain;
        assert_int_equal(sasl_plain_parse(cases[i].message, &plain), cases[i].err);
        if (cases[i].err != ERR_OK)
            continue;
        assert_true(view_eq(plain.authzid, cases[i].authzid));
        assert_true(view_eq(plain.authcid, cases[i].authcid));
        assert_true(view_eq(plain.password, cases[i].password));
    }
}

static void test_passwords_are_prepared(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 2000);
    assert_int_equal(sasl_prepare_password(VIEW("a\xc2\xa0z \xc3\xa9"), &buf), ERR_OK);
    assert_true(view_eq(buf_view(&buf), VIEW("a z \xc3\xa9")));
    assert_int_equal(sasl_prepare_password(VIEW(""), &buf), ERR_SYNTAX);
    assert_int_equal(sasl_prepare_password(VIEW("a\tb"), &buf), ERR_SYNTAX);
    assert_int_equal(sasl_prepare_password(VIEW("a\xff"), &buf), ERR_SYNTAX);
    buf_fini(&buf);
}

static void test_limits(void **state) {
    (void)state;
    struct scram_derivation d;
    struct scram_keys keys;
    assert_int_equal(scram_derivation_init(&d, SCRAM_SHA256, VIEW("x"), VIEW("s"), SCRAM_ITERATIONS_MAX + 1),
                     ERR_LIMIT);
    assert_int_equal(scram_derivation_init(&d, SCRAM_SHA256, VIEW("x"), VIEW("s"), 0), ERR_LIMIT);
    assert_int_equal(scram_make_keys((enum scram_hash)9, VIEW("x"), VIEW("s"), 1, &keys), ERR_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples), cmocka_unit_test(test_names_are_escaped),      cmocka_unit_test(test_plain),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_passwords_are_prepared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
