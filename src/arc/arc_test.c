/* Chains that we make and break: what the public suite does not have. */
#include "arc/arc.h"

#include "base/clock.h"
#include "dkim/testing.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_US (1528637909 * US_PER_S)
#define ARENA_MAX (64 << 20)

/* RFC8463-A.2 */
static const char ed25519_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                                  "-----END PRIVATE KEY-----\n";
static const char message[] = "From: a@example.org\n"
                              "To: b@example.net\n"
                              "Subject: one\n"
                              "\n"
                              "Hello\n";

struct world {
    struct dkim_crypto *crypto;
    struct arena *arena;
    struct table_dns dns;
    struct test_signer signer;
    struct buf text; /* the message so far, with CRLF fields in front */
};

static int make_world(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    assert_int_equal(dkim_crypto_new(&w->crypto), ERR_OK);
    w->arena = arena_new("test", ARENA_MAX);
    assert_non_null(w->arena);
    table_init(&w->dns);
    table_add(&w->dns, VIEW("e._domainkey.example.org"),
              VIEW("k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="));
    w->signer.signer.sign = test_signer_sign;
    assert_int_equal(dkim_private_key_load(w->crypto, view_cstr(ed25519_pem), &w->signer.keys[DKIM_ED25519_SHA256]),
                     ERR_OK);
    buf_init(&w->text, 1 << 20);
    buf_put_str(&w->text, message);
    *state = w;
    return 0;
}

static int free_world(void **state) {
    struct world *w = *state;
    buf_fini(&w->text);
    dkim_private_key_free(w->signer.keys[DKIM_ED25519_SHA256]);
    arena_free(w->arena);
    dkim_crypto_free(w->crypto);
    free(w);
    return 0;
}

static struct dkim_input *feed(struct world *w) {
    struct dkim_input *input;
    assert_int_equal(dkim_input_new(w->crypto, &input), ERR_OK);
    dkim_input_fix_lines(input);
    assert_int_equal(dkim_input_want(input, DKIM_RELAXED, DKIM_BODY_WHOLE), ERR_OK);
    assert_int_equal(dkim_input_feed(input, buf_view(&w->text)), ERR_OK);
    assert_int_equal(dkim_input_end(input), ERR_OK);
    return input;
}

/* The input is gone afterwards: only the report's values are to be looked at. */
static struct arc_report verify(struct world *w) {
    struct dkim_input *input = feed(w);
    struct arc_report report;
    assert_int_equal(arc_verify(input, &w->dns.client, NOW_US, w->arena, &report), ERR_OK);
    dkim_input_free(input);
    return report;
}

static void put_in_front(struct world *w, struct view fields) {
    struct buf all;
    buf_init(&all, 1 << 20);
    buf_put(&all, fields);
    buf_put(&all, buf_view(&w->text));
    assert_int_equal(buf_err(&all), ERR_OK);
    buf_fini(&w->text);
    w->text = all;
}

static enum err seal(struct world *w) {
    struct dkim_input *input = feed(w);
    struct arc_report report;
    assert_int_equal(arc_verify(input, &w->dns.client, NOW_US, w->arena, &report), ERR_OK);
    struct arc_seal_options options = {.domain = VIEW("example.org"),
                                       .key = {.selector = VIEW("e"), .algorithm = DKIM_ED25519_SHA256},
                                       .results = VIEW("mx.example.org; arc=none"),
                                       .now_us = NOW_US};
    struct buf out;
    buf_init(&out, 1 << 20);
    enum err err = arc_seal(input, &report, &options, &w->signer.signer, w->arena, &out);
    if (err == ERR_OK)
        put_in_front(w, buf_view(&out));
    else
        assert_int_equal(out.n, 0);
    buf_fini(&out);
    dkim_input_free(input);
    arena_clear(w->arena);
    return err;
}

static void replace(struct world *w, struct view before, struct view after) {
    ssize_t at = view_find(buf_view(&w->text), before);
    assert_true(at >= 0);
    struct buf all;
    buf_init(&all, 1 << 20);
    buf_put(&all, view_sub(buf_view(&w->text), 0, (size_t)at));
    buf_put(&all, after);
    buf_put(&all, view_skip(buf_view(&w->text), (size_t)at + before.n));
    buf_fini(&w->text);
    w->text = all;
}

/* RFC8617-5.2, RFC8463-3: each handler seals with Ed25519. */
static void handlers(void **state) {
    struct world *w = *state;
    assert_int_equal(verify(w).status, ARC_NONE);
    for (uint32_t i = 1; i <= 5; i++) {
        assert_int_equal(seal(w), ERR_OK);
        struct arc_report report = verify(w);
        assert_int_equal(report.status, ARC_PASS);
        assert_int_equal(report.n, i);
        assert_int_equal(report.oldest_pass, 0);
        assert_int_equal(report.why.n, 0);
    }
}

/* RFC8617-5.2 step 5: the message changed between the second handler and the third. */
static void oldest_pass(void **state) {
    struct world *w = *state;
    assert_int_equal(seal(w), ERR_OK);
    assert_int_equal(seal(w), ERR_OK);
    replace(w, VIEW("Subject: one"), VIEW("Subject: [list] one"));
    assert_int_equal(verify(w).status, ARC_FAIL);
    replace(w, VIEW("Subject: [list] one"), VIEW("Subject: one"));
    /* A handler that seals first and changes then would break it; this one changed before. */
    struct dkim_input *input = feed(w);
    struct arc_report before;
    assert_int_equal(arc_verify(input, &w->dns.client, NOW_US, w->arena, &before), ERR_OK);
    struct buf out;
    buf_init(&out, 1 << 20);
    replace(w, VIEW("Subject: one"), VIEW("Subject: [list] one"));
    struct dkim_input *changed = feed(w);
    struct arc_seal_options options = {.domain = VIEW("example.org"),
                                       .key = {.selector = VIEW("e"), .algorithm = DKIM_ED25519_SHA256},
                                       .results = VIEW("lists.example.org; arc=pass"),
                                       .now_us = NOW_US};
    assert_int_equal(arc_seal(changed, &before, &options, &w->signer.signer, w->arena, &out), ERR_OK);
    put_in_front(w, buf_view(&out));
    dkim_input_free(changed);
    dkim_input_free(input);
    buf_fini(&out);
    struct arc_report report = verify(w);
    assert_int_equal(report.status, ARC_PASS);
    assert_int_equal(report.oldest_pass, 3);
    assert_int_equal(report.n, 3);
}

/* RFC8617-4.2.1: fifty sets, and no more. */
static void fifty(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < ARC_SETS_MAX; i++)
        assert_int_equal(seal(w), ERR_OK);
    struct arc_report report = verify(w);
    assert_int_equal(report.status, ARC_PASS);
    assert_int_equal(report.n, ARC_SETS_MAX);
    /* All of them are by one key, which is asked for once. */
    w->dns.asked = 0;
    report = verify(w);
    assert_int_equal(w->dns.asked, 1);
    assert_int_equal(seal(w), ERR_DENIED);
}

/* RFC8617-5.1.2, RFC8617-5.1.3: a broken chain is sealed once more, as broken, and then never again. */
static void broken(void **state) {
    struct world *w = *state;
    assert_int_equal(seal(w), ERR_OK);
    replace(w, VIEW("Hello"), VIEW("hello"));
    struct arc_report report = verify(w);
    assert_int_equal(report.status, ARC_FAIL);
    assert_false(report.is_closed);
    assert_false(report.is_temporary);
    assert_true(view_find(report.why, VIEW("body")) >= 0);
    assert_int_equal(seal(w), ERR_OK);
    report = verify(w);
    assert_int_equal(report.status, ARC_FAIL);
    assert_true(report.is_closed);
    assert_int_equal(report.highest, 2);
    assert_int_equal(seal(w), ERR_DENIED);
}

/* RFC8617-5.2.1: for good, says the RFC; but the caller may know better while the client waits. */
static void dns_trouble(void **state) {
    struct world *w = *state;
    assert_int_equal(seal(w), ERR_OK);
    w->dns.rows[0].status = DNS_TEMPORARY;
    struct arc_report report = verify(w);
    assert_int_equal(report.status, ARC_FAIL);
    assert_true(report.is_temporary);
    w->dns.rows[0].status = DNS_NXDOMAIN;
    report = verify(w);
    assert_int_equal(report.status, ARC_FAIL);
    assert_false(report.is_temporary);
}

/* A field more than a seal covers is found: RFC8617-5.2 step 3. */
static void odd_fields(void **state) {
    struct world *w = *state;
    assert_int_equal(seal(w), ERR_OK);
    static const char *const more[] = {
        "ARC-Authentication-Results: i=1; x\n",
        "ARC-Authentication-Results: i=2; x\n",
        "ARC-Seal: i=3; cv=pass\n",
        "ARC-Seal: i=51; cv=pass\n",
        "ARC-Message-Signature: x\n",
        "ARC-Authentication-Results: 1; x\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        put_in_front(w, view_cstr(more[i]));
        struct arc_report report = verify(w);
        assert_int_equal(report.status, ARC_FAIL);
        assert_true(report.why.n > 0);
        replace(w, view_cstr(more[i]), VIEW(""));
    }
    put_in_front(w, VIEW("ARC-Something: i=1; x\n"));
    assert_int_equal(verify(w).status, ARC_PASS);
}

static void signer_fails(void **state) {
    struct world *w = *state;
    w->signer.fails = ERR_AGAIN;
    assert_int_equal(seal(w), ERR_AGAIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(handlers, make_world, free_world),
        cmocka_unit_test_setup_teardown(oldest_pass, make_world, free_world),
        cmocka_unit_test_setup_teardown(fifty, make_world, free_world),
        cmocka_unit_test_setup_teardown(broken, make_world, free_world),
        cmocka_unit_test_setup_teardown(dns_trouble, make_world, free_world),
        cmocka_unit_test_setup_teardown(odd_fields, make_world, free_world),
        cmocka_unit_test_setup_teardown(signer_fails, make_world, free_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
