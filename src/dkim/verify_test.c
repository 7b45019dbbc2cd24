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

/* ---- one signature, each thing that can be wrong ---- */

/* Fills in bh= (as %BH) and signs a field whose last tag is an empty b=. */
static void put_field(struct world *w, const char *tags, struct view message, struct buf *out) {
    struct dkim_input *input = feed(w, message, message.n + 1);
    uint8_t digest[DKIM_DIGEST_SIZE];
    uint64_t octets;
    struct view before, after = view_cstr(tags);
    ssize_t at = view_find(after, VIEW("%BH"));
    size_t from = out->n;
    buf_put(out, VIEW("DKIM-Signature: "));
    if (at >= 0) {
        before = view_sub(after, 0, (size_t)at);
        after = view_skip(after, (size_t)at + 3);
        assert_int_equal(dkim_input_body_hash(input, DKIM_RELAXED, DKIM_BODY_WHOLE, digest, &octets), ERR_OK);
        buf_put(out, before);
        buf_put_base64(out, view_of(digest, sizeof(digest)));
    }
    buf_put(out, after);
    struct dkim_field field = {
        .name = VIEW("DKIM-Signature"), .raw = view_skip(buf_view(out), from), .value_at = strlen("DKIM-Signature:")};
    struct dkim_signature signature;
    const char *why;
    struct buf b;
    buf_init(&b, DKIM_SIGNATURE_MAX);
    /* With no b= yet it is no signature; what was read until then is enough to hash it. */
    struct dkim_tags tag_list;
    if (dkim_tags_parse(dkim_field_value(&field), &tag_list) == ERR_OK) {
        struct buf whole;
        buf_init(&whole, 10000);
        buf_put(&whole, field.raw);
        buf_put(&whole, VIEW("AAAA"));
        struct dkim_field filled = field;
        filled.raw = buf_view(&whole);
        enum err err = dkim_signature_parse(DKIM_SIGNATURE_DKIM, &filled, w->arena, &signature, &why);
        assert_true(err == ERR_OK || err == ERR_SYNTAX);
        signature.raw = field.raw;
        signature.b_n = 0;
        assert_int_equal(dkim_signature_hash(input, &signature, digest), ERR_OK);
        assert_int_equal(dkim_private_key_sign(w->signer.keys[DKIM_ED25519_SHA256], digest, &b), ERR_OK);
        buf_fini(&whole);
    }
    buf_put_base64(out, buf_view(&b));
    buf_put(out, VIEW("\r\n"));
    buf_fini(&b);
    dkim_input_free(input);
}

struct signature_case {
    const char *tags;
    enum dkim_result result;
    const char *why; /* somewhere in what people are told */
};

#define GOOD "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=e; bh=%BH; "
#define B "; b="
static const struct signature_case signatures[] = {
    {GOOD "h=From:To:Subject" B, DKIM_PASS, ""},
    /* RFC6376-6.1.1: what must be there, and how it must look. */
    {"a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "v= is missing"},
    {"v=2; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "v= is not 1"},
    {"v=1; c=relaxed/relaxed; d=example.org; s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "a= is missing"},
    {"v=1; a=rsa-md5; c=relaxed/relaxed; d=example.org; s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "a= is an unknown"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "d= is missing"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=exa mple.org; s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "d= is not"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org(x); s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "d= is not"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; bh=%BH; h=From" B, DKIM_PERMERROR, "s= is missing"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=e; h=From" B, DKIM_PERMERROR, "bh= is missing"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=e; bh=?; h=From" B, DKIM_PERMERROR,
     "bh= is not base64"},
    {"v=1; a=ed25519-sha256; c=relaxed/nofws; d=example.org; s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "c= is"},
    {GOOD "x=1" B, DKIM_PERMERROR, "h= is missing"},
    {GOOD "h=To:Subject" B, DKIM_PERMERROR, "From is not signed"},
    {GOOD "h=From::To" B, DKIM_PERMERROR, "empty name"},
    {GOOD "h=From; h=To" B, DKIM_PERMERROR, "twice"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=e; bh=%BH; h=From; b=?", DKIM_PERMERROR,
     "b= is not base64"},
    /* RFC6376-3.5: i=, l=, q=, t=, x= */
    {GOOD "h=From; i=@example.org" B, DKIM_PASS, ""},
    {GOOD "h=From; i=me@sub.Example.ORG" B, DKIM_PASS, ""},
    {GOOD "h=From; i=@badexample.org" B, DKIM_PERMERROR, "i= is not in"},
    {GOOD "h=From; i=@org" B, DKIM_PERMERROR, "i= is not in"},
    {GOOD "h=From; i=example.org" B, DKIM_PERMERROR, "i= has no domain"},
    {GOOD "h=From; q=dns/txt" B, DKIM_PASS, ""},
    {GOOD "h=From; q=http:dns/txt" B, DKIM_PASS, ""},
    {GOOD "h=From; q=http" B, DKIM_PERMERROR, "q="},
    {GOOD "h=From; t=1528637908; x=1528637910" B, DKIM_PASS, ""},
    {GOOD "h=From; x=1528637909" B, DKIM_PASS, ""},
    {GOOD "h=From; t=1; x=1528637908" B, DKIM_PERMERROR, "expired"},
    {GOOD "h=From; t=5; x=5" B, DKIM_PERMERROR, "not later"},
    {GOOD "h=From; t=soon" B, DKIM_PERMERROR, "t= is not a number"},
    {GOOD "h=From; x=-1" B, DKIM_PERMERROR, "x= is not a number"},
    {GOOD "h=From; x=99999999999999999999999999" B, DKIM_PASS, ""},
    {GOOD "h=From; l=1x" B, DKIM_PERMERROR, "l= is not a number"},
    {GOOD "h=From; l=1000" B, DKIM_PERMERROR, "longer than the body"},
    {GOOD "h=From; l=11" B, DKIM_PASS, ""},                /* all of it */
    {GOOD "h=From; l=5" B, DKIM_FAIL, "body was changed"}, /* bh= is of the whole */
    /* RFC6376-5.4.2: names without a field, also twice. */
    {GOOD "h=From:From:Nothing:Nothing" B, DKIM_PASS, ""},
    /* RFC6376-3.2: unknown tags are ignored. */
    {GOOD "h=From; zz=1; z=From:a" B, DKIM_PASS, ""},
    /* RFC8301-3.1 */
    {"v=1; a=rsa-sha1; c=relaxed/relaxed; d=example.org; s=r; bh=%BH; h=From" B, DKIM_PERMERROR, "rsa-sha1"},
    /* RFC6376-6.1.2: the key. */
    {"v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=e; bh=%BH; h=From" B, DKIM_PERMERROR, "k= of the key"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=nokey; bh=%BH; h=From" B, DKIM_PERMERROR, "no key"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=gone; bh=%BH; h=From" B, DKIM_PERMERROR, "revoked"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=later; bh=%BH; h=From" B, DKIM_TEMPERROR, "no key"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=other; bh=%BH; h=From" B, DKIM_FAIL,
     "does not verify"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=sha1; bh=%BH; h=From" B, DKIM_PERMERROR, "sha256"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=tls; bh=%BH; h=From" B, DKIM_PERMERROR, "email"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=strict; bh=%BH; h=From" B, DKIM_PASS, ""},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=strict; bh=%BH; h=From; i=@a.example.org" B,
     DKIM_PERMERROR, "t=s"},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=broken; bh=%BH; h=From" B, DKIM_PERMERROR,
     "no public key"},
    {"v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=short; bh=%BH; h=From" B, DKIM_PERMERROR,
     "1024"}, /* RFC8301-3.2 */
    /* RFC6376-6.1.2: two records, one of which is the key. */
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=two; bh=%BH; h=From" B, DKIM_PASS, ""},
    /* RFC8616-4: the name of the key in U-labels. */
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=b\xc3\xbc"
     "cher.example; s=e; bh=%BH; h=From; i=@b\xc3\xbc"
     "cher.example" B,
     DKIM_PASS, ""},
    {"v=1; a=ed25519-sha256; c=relaxed/relaxed; d=b\xc3\xbc"
     "cher.example; s=e; bh=%BH; h=From; i=@xn--bcher-kva.example" B,
     DKIM_PASS, ""},
};

static void add_many_keys(struct world *w) {
    struct view record = buf_view(&w->records[DKIM_ED25519_SHA256]);
    static const char *const tags[3] = {"v=DKIM1; h=sha1;", "v=DKIM1; s=tlsrpt;", "v=DKIM1; t=s;"};
    static const char *const names[3] = {"sha1._domainkey.example.org", "tls._domainkey.example.org",
                                         "strict._domainkey.example.org"};
    add_signer_keys(w);
    for (size_t i = 0; i < 3; i++) {
        struct buf text;
        struct view copy;
        buf_init(&text, 1000);
        buf_put_str(&text, tags[i]);
        buf_put(&text, view_skip(record, strlen("v=DKIM1;")));
        assert_int_equal(arena_view(w->arena, buf_view(&text), &copy), ERR_OK);
        table_add(&w->dns, view_cstr(names[i]), copy);
        buf_fini(&text);
    }
    table_add(&w->dns, VIEW("gone._domainkey.example.org"), VIEW("v=DKIM1; k=ed25519; p="));
    table_add(&w->dns, VIEW("later._domainkey.example.org"), VIEW("x"));
    w->dns.rows[w->dns.n - 1].status = DNS_TEMPORARY;
    table_add(&w->dns, VIEW("other._domainkey.example.org"),
              VIEW("k=ed25519; p=yi50DjK5O9pqbFpNHklsv9lqaS0ArSYu02qp1S0DW1Y="));
    table_add(&w->dns, VIEW("broken._domainkey.example.org"), VIEW("k=ed25519; p=AAAA"));
    table_add(&w->dns, VIEW("short._domainkey.example.org"),
              VIEW("p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANmBe10IgY+u7h3enWTukkqtUD5PR52Tb/"
                   "mPfjC0QJTocVBq6Za/PlzfV+Py92VaCak19F4WrbVTK5Gg5tW220MCAwEAAQ=="));
    table_add(&w->dns, VIEW("two._domainkey.example.org"),
              VIEW("k=ed25519; p=yi50DjK5O9pqbFpNHklsv9lqaS0ArSYu02qp1S0DW1Y="));
    table_add(&w->dns, VIEW("two._domainkey.example.org"), record);
    table_add(&w->dns, VIEW("e._domainkey.xn--bcher-kva.example"), record);
}

static void each_signature(void **state) {
    struct world *w = *state;
    add_many_keys(w);
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
        struct buf out;
        buf_init(&out, 100000);
        put_field(w, signatures[i].tags, view_cstr(plain_message), &out);
        buf_put_str(&out, plain_message);
        struct dkim_input *input = feed(w, buf_view(&out), 11);
        struct dkim_report report = verify(w, input);
        assert_int_equal(report.n, 1);
        const struct dkim_verdict *verdict = &report.verdicts[0];
        bool is_good =
            verdict->result == signatures[i].result &&
            (signatures[i].why[0] ? view_find(verdict->why, view_cstr(signatures[i].why)) >= 0 : verdict->why.n == 0);
        if (!is_good)
            print_error("%s: %.*s (%.*s)\n", signatures[i].tags, VIEW_FMT(dkim_result_name(verdict->result)),
                        VIEW_FMT(verdict->why));
        assert_true(is_good);
        assert_int_equal(report.result, verdict->result);
        dkim_input_free(input);
        buf_fini(&out);
    }
}

/* ---- what changes on the way ---- */

struct change_case {
    const char *before, *after; /* in the signed message */
    enum dkim_result result;
};

/* RFC6376-5.4.2, RFC6376-8.15: a field more of a signed name is noticed, whatever its place. */
static const struct change_case changes[] = {
    {"", "", DKIM_PASS},
    {"Received: from here", "Received: from there", DKIM_PASS},
    {"Received: from here\n", "", DKIM_PASS},
    {"List-Id: <x.example.org>\n", "List-Id: <x.example.org>\nX-Spam: no\n", DKIM_PASS},
    {"Subject: one", "subject:   one  ", DKIM_PASS},
    {"Subject: one", "Subject: two", DKIM_FAIL},
    {"Subject: one", "Subject: one\nSubject: two", DKIM_FAIL},
    {"From: a@example.org", "From: b@example.org\nFrom: a@example.org", DKIM_FAIL},
    {"Received: from here\n", "Received: from here\nReply-To: evil@example.com\n", DKIM_FAIL},
    {"Received: from here\n", "Received: from here\nContent-Type: text/html\n", DKIM_FAIL},
    {"Date: Fri", "Date: Sat", DKIM_FAIL},
    {"Hello", "hello", DKIM_FAIL},
    {"Hello\tyou  \n", "Hello you\n", DKIM_PASS},
    {"you  \n\n\n", "you  \n", DKIM_PASS},
    {"you  \n\n\n", "you  \n\n\n.\n", DKIM_FAIL},
};

static void each_change(void **state) {
    struct world *w = *state;
    add_signer_keys(w);
    struct dkim_sign_options options = {.domain = VIEW("example.org"),
                                        .header_canon = DKIM_RELAXED,
                                        .body_canon = DKIM_RELAXED,
                                        .now_us = 1528637909 * US_PER_S};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct buf out, changed;
        buf_init(&out, 100000);
        buf_init(&changed, 100000);
        put_signed(w, view_cstr(plain_message), &options, &out);
        struct view before = view_cstr(changes[i].before);
        ssize_t at = view_find(buf_view(&out), before);
        assert_true(at >= 0);
        buf_put(&changed, view_sub(buf_view(&out), 0, (size_t)at));
        buf_put_str(&changed, changes[i].after);
        buf_put(&changed, view_skip(buf_view(&out), (size_t)at + before.n));
        struct dkim_input *input = feed(w, buf_view(&changed), 13);
        struct dkim_report report = verify(w, input);
        if (report.result != changes[i].result)
            print_error("%s -> %s\n", changes[i].before, changes[i].after);
        assert_int_equal(report.n, 2);
        assert_int_equal(report.verdicts[0].result, changes[i].result);
        assert_int_equal(report.verdicts[1].result, changes[i].result);
        dkim_input_free(input);
        buf_fini(&changed);
        buf_fini(&out);
    }
}

/* ---- limits and options ---- */

static void many_signatures(void **state) {
    struct world *w = *state;
    add_signer_keys(w);
    struct buf out;
    buf_init(&out, 100000);
    for (size_t i = 0; i < DKIM_SIGNATURES_MAX + 3; i++)
        put_field(w, GOOD "h=From" B, view_cstr(plain_message), &out);
    buf_put_str(&out, plain_message);
    struct dkim_input *input = feed(w, buf_view(&out), 1000);
    struct dkim_report report = verify(w, input);
    assert_int_equal(report.n, DKIM_SIGNATURES_MAX);
    assert_int_equal(report.skipped, 3);
    assert_int_equal(report.result, DKIM_PASS);
    dkim_input_free(input);
    buf_fini(&out);
}

static void headers_over_limits(void **state) {
    struct world *w = *state;
    for (unsigned which = 0; which < 2; which++) {
        struct buf out;
        buf_init(&out, 4 << 20);
        buf_put_str(&out, "From: a@example.org\n");
        for (size_t i = 0; which == 0 && i < DKIM_FIELDS_MAX; i++)
            buf_put_str(&out, "X: 1\n");
        for (size_t i = 0; which == 1 && i < DKIM_HEADER_MAX; i += 10)
            buf_put_str(&out, " 23456789\n");
        buf_put_str(&out, "\nbody\n");
        struct dkim_input *input = feed(w, buf_view(&out), 10000);
        assert_true(dkim_input_is_over(input));
        struct dkim_report report = verify(w, input);
        assert_int_equal(report.result, DKIM_NEUTRAL);
        assert_int_equal(report.n, 1);
        struct dkim_sign_options options = {.domain = VIEW("example.org")};
        assert_int_equal(dkim_sign(input, &options, both_keys, 2, &w->signer.signer, w->arena, &out), ERR_SYNTAX);
        dkim_input_free(input);
        buf_fini(&out);
    }
}

/* RFC6376-8.2: whoever takes l= takes what is behind it. */
static void options_of_policy(void **state) {
    struct world *w = *state;
    add_signer_keys(w);
    w->dns.rows[1].security = DNS_SECURE;
    struct buf out;
    buf_init(&out, 100000);
    put_field(w, GOOD "h=From; l=11" B, view_cstr(plain_message), &out);
    buf_put_str(&out, plain_message);
    buf_put_str(&out, "And buy this.\n");
    struct dkim_input *input = feed(w, buf_view(&out), 1000);
    struct dkim_report report = verify(w, input);
    assert_int_equal(report.result, DKIM_PASS);
    assert_true(report.verdicts[0].unsigned_octets > 0);
    assert_int_equal(report.verdicts[0].security, DNS_SECURE);
    struct dkim_options options = {.refuses_partial = true};
    assert_int_equal(dkim_verify(input, &w->dns.client, 0, &options, w->arena, &report), ERR_OK);
    assert_int_equal(report.result, DKIM_POLICY);
    options = (struct dkim_options){.refuses_insecure_key = true};
    assert_int_equal(dkim_verify(input, &w->dns.client, 0, &options, w->arena, &report), ERR_OK);
    assert_int_equal(report.result, DKIM_PASS);
    w->dns.rows[1].security = DNS_INSECURE;
    assert_int_equal(dkim_verify(input, &w->dns.client, 0, &options, w->arena, &report), ERR_OK);
    assert_int_equal(report.result, DKIM_POLICY);
    dkim_input_free(input);
    buf_fini(&out);
}

/* A signer that cannot sign leaves nothing behind, and its error comes out. */
static void signer_fails(void **state) {
    struct world *w = *state;
    w->signer.fails = ERR_AGAIN;
    struct dkim_input *input = feed(w, view_cstr(plain_message), 1000);
    struct dkim_sign_options options = {.domain = VIEW("example.org"), .body_canon = DKIM_RELAXED};
    struct buf out;
    buf_init(&out, 100000);
    buf_put_str(&out, "before");
    assert_int_equal(dkim_sign(input, &options, both_keys, 2, &w->signer.signer, w->arena, &out), ERR_AGAIN);
    assert_true(view_eq(buf_view(&out), VIEW("before")));
    buf_fini(&out);
    dkim_input_free(input);
}

/* Memory that a report may take is the caller's to limit; a smaller one is an error, never a verdict. */
static void small_arenas(void **state) {
    struct world *w = *state;
    add_rfc8463_keys(w);
    struct dkim_input *input = feed(w, view_cstr(rfc8463_message), 1000);
    bool is_done = false;
    for (size_t budget = 0; !is_done; budget += 97) {
        struct arena *arena = arena_new("small", budget);
        struct dkim_report report;
        enum err err = dkim_verify(input, &w->dns.client, 0, NULL, arena, &report);
        is_done = err == ERR_OK;
        if (is_done)
            assert_int_equal(report.result, DKIM_PASS);
        else
            assert_true(err == ERR_LIMIT || err == ERR_NO_MEMORY);
        arena_free(arena);
    }
    dkim_input_free(input);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(example_of_rfc8463, make_world, free_world),
        cmocka_unit_test_setup_teardown(signs_what_it_verifies, make_world, free_world),
        cmocka_unit_test_setup_teardown(each_signature, make_world, free_world),
        cmocka_unit_test_setup_teardown(each_change, make_world, free_world),
        cmocka_unit_test_setup_teardown(many_signatures, make_world, free_world),
        cmocka_unit_test_setup_teardown(headers_over_limits, make_world, free_world),
        cmocka_unit_test_setup_teardown(options_of_policy, make_world, free_world),
        cmocka_unit_test_setup_teardown(signer_fails, make_world, free_world),
        cmocka_unit_test_setup_teardown(small_arenas, make_world, free_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
