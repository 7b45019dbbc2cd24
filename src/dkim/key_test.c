/* Key records: grammar, lookup, the text for a zone; and public keys that are none. */
#include "dkim/key.h"

#include "dkim/testing.h"
#include "dkim/verify.h"

#include <string.h>

#define ED "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

struct key_case {
    const char *text;
    bool is_good, is_revoked, is_testing, is_strict, sha256, email;
};

/* RFC6376-3.6.1 */
static const struct key_case cases[] = {
    {"v=DKIM1; k=ed25519; p=" ED, true, false, false, false, true, true},
    {"k=ed25519; p=" ED, true, false, false, false, true, true},
    {"p=", true, true, false, false, true, true},
    {"v=DKIM1; p=; n=gone", true, true, false, false, true, true},
    {"v=DKIM1; k=ed25519; t=y:s; p=" ED, true, false, true, true, true, true},
    {"v=DKIM1; k=ed25519; t= y ; p=" ED, true, false, true, false, true, true},
    {"v=DKIM1; k=ed25519; t=x; p=" ED, true, false, false, false, true, true},
    {"v=DKIM1; k=ed25519; h=sha1; p=" ED, true, false, false, false, false, true},
    {"v=DKIM1; k=ed25519; h=sha1:sha256; p=" ED, true, false, false, false, true, true},
    {"v=DKIM1; k=ed25519; s=tlsrpt; p=" ED, true, false, false, false, true, false},
    {"v=DKIM1; k=ed25519; s=x:email; p=" ED, true, false, false, false, true, true},
    {"v=DKIM1; k=ed25519; s=*; p=" ED, true, false, false, false, true, true},
    {"v=DKIM1; k=ed25519; x=1; p=11qYAYKxCrfVS/7TyWQH Og7hcvPapiMlrwIaaPcHURo=", true, false, false, false, true, true},
    {"k=ed25519; v=DKIM1; p=" ED, false, false, false, false, false, false},
    {"v=DKIM2; k=ed25519; p=" ED, false, false, false, false, false, false},
    {"v=DKIM1; k=dsa; p=" ED, false, false, false, false, false, false},
    {"v=DKIM1; k=ed25519", false, false, false, false, false, false},
    {"v=DKIM1; k=ed25519; p=!", false, false, false, false, false, false},
    {"v=DKIM1 k=ed25519 p=" ED, false, false, false, false, false, false},
    {"v=spf1 -all", false, false, false, false, false, false},
    {"", false, false, false, false, false, false},
};

static void records(void **state) {
    (void)state;
    struct arena *arena = arena_new("test", 1000000);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dkim_key_record record;
        const char *why = NULL;
        enum err err = dkim_key_parse(view_cstr(cases[i].text), arena, &record, &why);
        if ((err == ERR_OK) != cases[i].is_good)
            print_error("%s\n", cases[i].text);
        assert_int_equal(err, cases[i].is_good ? ERR_OK : ERR_SYNTAX);
        if (err != ERR_OK) {
            assert_non_null(why);
            continue;
        }
        assert_int_equal(record.is_revoked, cases[i].is_revoked);
        assert_int_equal(record.is_testing, cases[i].is_testing);
        assert_int_equal(record.is_strict, cases[i].is_strict);
        assert_int_equal(record.allows_sha256, cases[i].sha256);
        assert_int_equal(record.allows_email, cases[i].email);
    }
    arena_free(arena);
}

struct lookup_case {
    const char *selector, *domain;
    enum dkim_key_status status;
    const char *name;
};

static void lookups(void **state) {
    (void)state;
    struct table_dns dns;
    table_init(&dns);
    table_add(&dns, VIEW("ok._domainkey.example.org"), VIEW("v=DKIM1; k=ed25519; p=" ED));
    dns.rows[0].security = DNS_SECURE;
    table_add(&dns, VIEW("two._domainkey.example.org"), VIEW("v=spf1 -all"));
    table_add(&dns, VIEW("two._domainkey.example.org"), VIEW("p="));
    table_add(&dns, VIEW("bad._domainkey.example.org"), VIEW("hello"));
    table_add(&dns, VIEW("none._domainkey.example.org"), VIEW("x"));
    dns.rows[dns.n - 1].status = DNS_NODATA;
    table_add(&dns, VIEW("temp._domainkey.example.org"), VIEW("x"));
    dns.rows[dns.n - 1].status = DNS_TEMPORARY;
    table_add(&dns, VIEW("bogus._domainkey.example.org"), VIEW("x"));
    dns.rows[dns.n - 1].status = DNS_TEMPORARY;
    dns.rows[dns.n - 1].security = DNS_BOGUS;
    table_add(&dns, VIEW("xn--bcher-kva._domainkey.xn--bcher-kva.example"), VIEW("p="));
    /* RFC8616-4, RFC6376-6.1.2 */
    static const struct lookup_case all[] = {
        {"ok", "example.org", DKIM_KEY_OK, "ok._domainkey.example.org"},
        {"OK", "Example.ORG.", DKIM_KEY_OK, "ok._domainkey.example.org"},
        {"two", "example.org", DKIM_KEY_OK, "two._domainkey.example.org"},
        {"bad", "example.org", DKIM_KEY_BAD, "bad._domainkey.example.org"},
        {"none", "example.org", DKIM_KEY_NONE, "none._domainkey.example.org"},
        {"missing", "example.org", DKIM_KEY_NONE, "missing._domainkey.example.org"},
        {"temp", "example.org", DKIM_KEY_TEMPORARY, "temp._domainkey.example.org"},
        {"bogus", "example.org", DKIM_KEY_TEMPORARY, "bogus._domainkey.example.org"},
        {"b\xc3\xbc"
         "cher",
         "b\xc3\xbc"
         "cher.example",
         DKIM_KEY_OK, "xn--bcher-kva._domainkey.xn--bcher-kva.example"},
        {"a b", "example.org", DKIM_KEY_BAD_NAME, ""},
        {"", "example.org", DKIM_KEY_BAD_NAME, ""},
        {"a", "example..org", DKIM_KEY_BAD_NAME, ""},
        {"a", "legitimate.com(.attacker.com", DKIM_KEY_BAD_NAME, NULL},
    };
    struct arena *arena = arena_new("test", 1000000);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct dkim_key_answer answer;
        assert_int_equal(
            dkim_key_lookup(&dns.client, view_cstr(all[i].selector), view_cstr(all[i].domain), arena, &answer), ERR_OK);
        if (answer.status != all[i].status)
            print_error("%s %s: %d %.*s\n", all[i].selector, all[i].domain, answer.status, VIEW_FMT(answer.why));
        assert_int_equal(answer.status, all[i].status);
        assert_true((answer.why.n > 0) == (answer.status != DKIM_KEY_OK));
        if (all[i].name)
            assert_true(view_eq(answer.name, view_cstr(all[i].name)));
        assert_int_equal(answer.security, i < 2 ? DNS_SECURE : i == 7 ? DNS_BOGUS : DNS_INSECURE);
    }
    arena_free(arena);
}

struct failing_dns {
    struct dns_client client;
    enum err err;
};

static enum err fail_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                            struct dns_answer *out) {
    (void)name;
    (void)type;
    (void)arena;
    (void)out;
    return ((struct failing_dns *)client)->err;
}

/* RFC6376-6.1.2: a resolver that cannot be asked is no verdict about the domain; our own limits are errors of ours. */
static void resolver_fails(void **state) {
    (void)state;
    static const struct {
        enum err err, comes_out;
    } all[] = {{ERR_AGAIN, ERR_OK},          {ERR_TIMEOUT, ERR_OK},  {ERR_CLOSED, ERR_OK},
               {ERR_CANCELED, ERR_CANCELED}, {ERR_LIMIT, ERR_LIMIT}, {ERR_NO_MEMORY, ERR_NO_MEMORY}};
    struct arena *arena = arena_new("test", 100000);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct failing_dns dns = {.client = {.lookup = fail_lookup}, .err = all[i].err};
        struct dkim_key_answer answer;
        assert_int_equal(dkim_key_lookup(&dns.client, VIEW("s"), VIEW("example.org"), arena, &answer),
                         all[i].comes_out);
        if (all[i].comes_out == ERR_OK)
            assert_int_equal(answer.status, DKIM_KEY_TEMPORARY);
    }
    arena_free(arena);
}

/* RFC6376-3.6.2.2: a record of more than 255 octets is several strings. */
static void zone_lines(void **state) {
    (void)state;
    struct buf record, line;
    buf_init(&record, 4096);
    buf_init(&line, 4096);
    uint8_t data[294];
    memset(data, 'x', sizeof(data));
    dkim_put_key_record(&record, DKIM_RSA_SHA256, view_of(data, sizeof(data)), true);
    assert_true(view_starts(buf_view(&record), VIEW("v=DKIM1; k=rsa; t=y; p=eHh4")));
    dkim_put_zone_line(&line, VIEW("s"), VIEW("example.org"), buf_view(&record));
    struct view text = buf_view(&line), rest, head;
    assert_true(view_starts(text, VIEW("s._domainkey.example.org. IN TXT \"v=DKIM1;")));
    /* The strings put together again are the record. */
    struct buf joined;
    buf_init(&joined, 4096);
    assert_true(view_split(text, '"', &head, &rest));
    while (rest.n > 0) {
        struct view string;
        assert_true(view_split(rest, '"', &string, &rest));
        assert_true(string.n <= DKIM_TXT_PIECE);
        buf_put(&joined, string);
        (void)view_split(rest, '"', &head, &rest);
    }
    assert_true(view_eq(buf_view(&joined), buf_view(&record)));
    buf_fini(&joined);
    buf_fini(&line);
    buf_fini(&record);
}

/* RFC6376-3.6.1, RFC8301-3.2, RFC8463-4: octets that are no key we would use. */
static void not_keys(void **state) {
    (void)state;
    struct dkim_crypto *crypto;
    assert_int_equal(dkim_crypto_new(&crypto), ERR_OK);
    struct der {
        const char *octets;
        size_t n;
        enum err err;
    };
#define DER(literal, err) \
    { literal, sizeof(literal) - 1, err }
    static const struct der all[] = {
        DER("", ERR_SYNTAX),
        DER("\x30\x06\x02\x01\x0f\x02\x01\x03", ERR_OK),                    /* 15, 3: tiny, and a key */
        DER("\x30\x06\x02\x01\x0e\x02\x01\x03", ERR_SYNTAX),                /* even */
        DER("\x30\x06\x02\x01\x0f\x02\x01\x01", ERR_SYNTAX),                /* exponent 1 */
        DER("\x30\x06\x02\x01\x0f\x02\x01\x04", ERR_SYNTAX),                /* even exponent */
        DER("\x30\x06\x02\x01\x8f\x02\x01\x03", ERR_SYNTAX),                /* negative */
        DER("\x30\x06\x02\x01\x00\x02\x01\x03", ERR_SYNTAX),                /* zero */
        DER("\x30\x06\x02\x01\x0f\x02\x01\x03\x00", ERR_SYNTAX),            /* more behind it */
        DER("\x30\x07\x02\x01\x0f\x02\x01\x03", ERR_SYNTAX),                /* less than it says */
        DER("\x30\x80\x02\x01\x0f\x02\x01\x03\x00\x00", ERR_SYNTAX),        /* indefinite */
        DER("\x30\x0a\x02\x01\x0f\x02\x05\x01\x00\x00\x00\x01", ERR_LIMIT), /* exponent of 5 octets */
        DER("\x04\x06\x02\x01\x0f\x02\x01\x03", ERR_SYNTAX),
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct dkim_public_key *key = NULL;
        enum err err = dkim_public_key_new(crypto, DKIM_RSA_SHA256, view_of(all[i].octets, all[i].n), &key);
        if (err != all[i].err)
            print_error("%zu: %s\n", i, err_name(err));
        assert_int_equal(err, all[i].err);
        if (err == ERR_OK) {
            assert_int_equal(dkim_public_key_bits(key), 4);
            assert_false(dkim_public_key_verify(key, (const uint8_t *)"01234567890123456789012345678901", VIEW("x")));
            dkim_public_key_free(key);
        }
    }
    struct dkim_public_key *key;
    assert_int_equal(dkim_public_key_new(crypto, DKIM_ED25519_SHA256, VIEW("short"), &key), ERR_SYNTAX);
    struct dkim_private_key *private;
    assert_int_equal(dkim_private_key_load(crypto, VIEW(""), &private), ERR_SYNTAX);
    assert_int_equal(dkim_private_key_load(crypto, VIEW("-----BEGIN PRIVATE KEY-----\nx\n"), &private), ERR_SYNTAX);
    dkim_crypto_free(crypto);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),    cmocka_unit_test(lookups),  cmocka_unit_test(resolver_fails),
        cmocka_unit_test(zone_lines), cmocka_unit_test(not_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
