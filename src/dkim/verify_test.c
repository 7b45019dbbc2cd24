/* Whole messages: the examples of the RFCs, and each way in which a signature can be no good. */
#include "dkim/verify.h"

#include "base/clock.h"
#include "dkim/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct dkim_crypto *crypto;
    struct arena *arena;
    struct table_dns dns;
    struct test_signer signer;
    struct buf records[2]; /* key records of the signer, by algorithm */
};

/* RFC8463-A: the keys of the example; a second RSA key would serve as well. */
static const char ed25519_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                                  "-----END PRIVATE KEY-----\n";
static const char rsa_pem[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                              "MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"
                              "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"
                              "KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"
                              "AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"
                              "6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"
                              "zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"
                              "6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"
                              "uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"
                              "WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"
                              "WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"
                              "licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"
                              "o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"
                              "uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"
                              "-----END RSA PRIVATE KEY-----\n";

static void load_key(struct world *w, enum dkim_algorithm algorithm, const char *pem) {
    assert_int_equal(dkim_private_key_load(w->crypto, view_cstr(pem), &w->signer.keys[algorithm]), ERR_OK);
    assert_int_equal(dkim_private_key_algorithm(w->signer.keys[algorithm]), algorithm);
    struct buf data;
    buf_init(&data, 2048);
    assert_int_equal(dkim_private_key_put_public(w->signer.keys[algorithm], &data), ERR_OK);
    buf_init(&w->records[algorithm], 4096);
    dkim_put_key_record(&w->records[algorithm], algorithm, buf_view(&data), false);
    buf_fini(&data);
}

static int make_world(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    assert_int_equal(dkim_crypto_new(&w->crypto), ERR_OK);
    w->arena = arena_new("test", DKIM_ARENA_BUDGET);
    assert_non_null(w->arena);
    table_init(&w->dns);
    w->signer.signer.sign = test_signer_sign;
    load_key(w, DKIM_RSA_SHA256, rsa_pem);
    load_key(w, DKIM_ED25519_SHA256, ed25519_pem);
    *state = w;
    return 0;
}

static int free_world(void **state) {
    struct world *w = *state;
    for (size_t i = 0; i < 2; i++) {
        dkim_private_key_free(w->signer.keys[i]);
        buf_fini(&w->records[i]);
    }
    arena_free(w->arena);
    dkim_crypto_free(w->crypto);
    free(w);
    return 0;
}

static struct dkim_input *feed(struct world *w, struct view message, size_t step) {
    struct dkim_input *input;
    assert_int_equal(dkim_input_new(w->crypto, &input), ERR_OK);
    assert_int_equal(dkim_input_want(input, DKIM_RELAXED, DKIM_BODY_WHOLE), ERR_OK);
    assert_int_equal(dkim_input_want(input, DKIM_SIMPLE, DKIM_BODY_WHOLE), ERR_OK);
    dkim_input_fix_lines(input);
    for (size_t at = 0; at < message.n; at += step)
        assert_int_equal(dkim_input_feed(input, view_sub(message, at, step)), ERR_OK);
    assert_int_equal(dkim_input_end(input), ERR_OK);
    return input;
}

static struct dkim_report verify(struct world *w, struct dkim_input *input) {
    struct dkim_report report;
    assert_int_equal(dkim_verify(input, &w->dns.client, 1528637909 * US_PER_S, NULL, w->arena, &report), ERR_OK);
    return report;
}

/* ---- the example of RFC 8463 ---- */

static const char rfc8463_message[] = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\n"
                                      " d=football.example.com; i=@football.example.com;\n"
                                      " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\n"
                                      " subject : date : message-id : from : subject : date;\n"
                                      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
                                      " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\n"
                                      " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\n"
                                      "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\n"
                                      " d=football.example.com; i=@football.example.com;\n"
                                      " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\n"
                                      " date : message-id : from : subject : date;\n"
                                      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\n"
                                      " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\n"
                                      " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\n"
                                      " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\n"
                                      "From: Joe SixPack <joe@football.example.com>\n"
                                      "To: Suzie Q <suzie@shopping.example.net>\n"
                                      "Subject: Is dinner ready?\n"
                                      "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\n"
                                      "Message-ID: <20030712040037.46341.5F8J@football.example.com>\n"
                                      "\n"
                                      "Hi.\n"
                                      "\n"
                                      "We lost the game.  Are you hungry yet?\n"
                                      "\n"
                                      "Joe.\n";

static void add_rfc8463_keys(struct world *w) {
    table_add(&w->dns, VIEW("brisbane._domainkey.football.example.com"),
              VIEW("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="));
    table_add(&w->dns, VIEW("test._domainkey.football.example.com"),
              VIEW("v=DKIM1; k=rsa; "
                   "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/"
                   "J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/"
                   "8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+"
                   "l/K4w3QIDAQAB"));
}

/* RFC8463-A.3, in pieces of every size */
static void example_of_rfc8463(void **state) {
    struct world *w = *state;
    add_rfc8463_keys(w);
    struct view message = view_cstr(rfc8463_message);
    for (size_t step = 1; step < message.n + 50; step += step < 8 ? 1 : 97) {
        struct dkim_input *input = feed(w, message, step);
        struct dkim_report report = verify(w, input);
        assert_int_equal(report.n, 2);
        for (size_t i = 0; i < 2; i++) {
            if (report.verdicts[i].result != DKIM_PASS)
                print_message("%zu: %.*s\n", i, VIEW_FMT(report.verdicts[i].why));
            assert_int_equal(report.verdicts[i].result, DKIM_PASS);
        }
        assert_int_equal(report.verdicts[0].key_bits, 256);
        assert_int_equal(report.verdicts[1].key_bits, 1024);
        assert_int_equal(report.result, DKIM_PASS);
        dkim_input_free(input);
        arena_clear(w->arena);
    }
}

/* ---- signing ---- */

static const char plain_message[] = "From: a@example.org\n"
                                    "To: b@example.net\n"
                                    "Subject: one\n"
                                    "Date: Fri, 11 Jul 2003 21:00:37 -0700\n"
                                    "List-Id: <x.example.org>\n"
                                    "Received: from here\n"
                                    "\n"
                                    "Hello\tyou  \n"
                                    "\n"
                                    "\n";

static void add_signer_keys(struct world *w) {
    table_add(&w->dns, VIEW("r._domainkey.example.org"), buf_view(&w->records[DKIM_RSA_SHA256]));
    table_add(&w->dns, VIEW("e._domainkey.example.org"), buf_view(&w->records[DKIM_ED25519_SHA256]));
}

static const struct dkim_sign_key both_keys[] = {{VIEW_INIT("e"), DKIM_ED25519_SHA256},
                                                 {VIEW_INIT("r"), DKIM_RSA_SHA256}};

static void put_signed(struct world *w, struct view message, const struct dkim_sign_options *options, struct buf *out) {
    struct dkim_input *input = feed(w, message, message.n + 1);
    assert_int_equal(dkim_sign(input, options, both_keys, 2, &w->signer.signer, w->arena, out), ERR_OK);
    dkim_input_free(input);
    buf_put(out, message);
    assert_int_equal(buf_err(out), ERR_OK);
}

static void signs_what_it_verifies(void **state) {
    struct world *w = *state;
    add_signer_keys(w);
    for (unsigned form = 0; form < 4; form++) {
        struct dkim_sign_options options = {.domain = VIEW("example.org"),
                                            .identity = VIEW("a@sub.example.org"),
                                            .header_canon = form & 1 ? DKIM_RELAXED : DKIM_SIMPLE,
                                            .body_canon = form & 2 ? DKIM_RELAXED : DKIM_SIMPLE,
                                            .now_us = 1528637909 * US_PER_S,
                                            .valid_us = 3600 * US_PER_S};
        struct buf out;
        buf_init(&out, 100000);
        put_signed(w, view_cstr(plain_message), &options, &out);
        struct dkim_input *input = feed(w, buf_view(&out), 7);
        struct dkim_report report = verify(w, input);
        assert_int_equal(report.n, 2);
        assert_int_equal(report.verdicts[0].result, DKIM_PASS);
        assert_int_equal(report.verdicts[1].result, DKIM_PASS);
        assert_true(view_eq(report.verdicts[0].signature.identity, VIEW("a@sub.example.org")));
        /* No line is longer than mail likes. */
        size_t column = 0;
        for (size_t i = 0; i < out.n; i++) {
            column = out.p[i] == '\n' ? 0 : column + 1;
            assert_true(column <= 78);
        }
        dkim_input_free(input);
        buf_fini(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(example_of_rfc8463, make_world, free_world),
        cmocka_unit_test_setup_teardown(signs_what_it_verifies, make_world, free_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
