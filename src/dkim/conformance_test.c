/* The messages of two other implementations (conformance/dkim), case by case. */
#include "dkim/verify.h"

#include "base/clock.h"
#include "dkim/testing.h"

#include <stdio.h>
#include <stdlib.h>

#define FOLDER CONFORMANCE_DIR "/dkim"
#define FILE_MAX (1 << 20)

struct world {
    struct dkim_crypto *crypto;
    struct arena *arena;
    struct table_dns dns;
    size_t passed;
};

static int make_world(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    assert_int_equal(dkim_crypto_new(&w->crypto), ERR_OK);
    w->arena = arena_new("test", DKIM_ARENA_BUDGET + 32 * FILE_MAX);
    assert_non_null(w->arena);
    table_init(&w->dns);
    *state = w;
    return 0;
}

static int free_world(void **state) {
    struct world *w = *state;
    arena_free(w->arena);
    dkim_crypto_free(w->crypto);
    free(w);
    return 0;
}

static struct view slurp(struct world *w, const char *name) {
    char path[500];
    assert_true(snprintf(path, sizeof(path), "%s/%s", FOLDER, name) < (int)sizeof(path));
    FILE *f = fopen(path, "rb");
    if (!f)
        skip();
    uint8_t *p = arena_alloc(w->arena, FILE_MAX);
    assert_non_null(p);
    size_t n = fread(p, 1, FILE_MAX, f);
    assert_true(n > 0 && n < FILE_MAX);
    assert_int_equal(fclose(f), 0);
    return view_of(p, n);
}

static struct dkim_input *feed(struct world *w, struct view message) {
    struct dkim_input *input;
    assert_int_equal(dkim_input_new(w->crypto, &input), ERR_OK);
    dkim_input_fix_lines(input);
    assert_int_equal(dkim_input_want(input, DKIM_RELAXED, DKIM_BODY_WHOLE), ERR_OK);
    assert_int_equal(dkim_input_want(input, DKIM_SIMPLE, DKIM_BODY_WHOLE), ERR_OK);
    assert_int_equal(dkim_input_feed(input, message), ERR_OK);
    assert_int_equal(dkim_input_end(input), ERR_OK);
    return input;
}

/* The first `signatures` of the message have this result; 0: it has none. */
static void expect(struct world *w, const char *name, struct view message, int64_t now_s, enum dkim_result result,
                   size_t signatures) {
    struct dkim_input *input = feed(w, message);
    struct dkim_report report;
    assert_int_equal(dkim_verify(input, &w->dns.client, now_s * US_PER_S, NULL, w->arena, &report), ERR_OK);
    bool is_good = report.n >= signatures && (signatures > 0 || report.n == 0);
    for (size_t i = 0; i < signatures; i++) {
        is_good = is_good && report.verdicts[i].result == result;
        if (!is_good)
            print_error("%s: signature %zu: %.*s (%.*s)\n", name, i + 1,
                        VIEW_FMT(dkim_result_name(report.verdicts[i].result)), VIEW_FMT(report.verdicts[i].why));
    }
    assert_true(is_good);
    w->passed++;
    dkim_input_free(input);
}

/* Lines "NAME RECORD", an empty one, and the message. RFC6376-6.1.3 */
static void messages_of_mail_auth(void **state) {
    struct world *w = *state;
    static const struct {
        const char *name;
        int64_t now_s;
        size_t signatures;
    } cases[] = {
        {"mail-auth/001.txt", 1528637909, 2}, {"mail-auth/002.txt", 1615825284, 1},
        {"mail-auth/003.txt", 1667592145, 2}, {"mail-auth/004.txt", 1667862801, 1},
        {"mail-auth/005.txt", 1667843664, 1}, {"mail-auth/006.txt", 1667592145, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct view rest = slurp(w, cases[i].name), line, name, record;
        while (view_split(rest, '\n', &line, &rest) && view_trim(line).n > 0) {
            assert_true(view_split(view_trim(line), ' ', &name, &record));
            table_add(&w->dns, name, record);
        }
        expect(w, cases[i].name, rest, cases[i].now_s, DKIM_PASS, cases[i].signatures);
        /* RFC6376-3.4: one octet more in the body, and none of them holds. */
        struct buf longer;
        buf_init(&longer, FILE_MAX + 1);
        buf_put(&longer, rest);
        buf_put_byte(&longer, '!');
        expect(w, cases[i].name, buf_view(&longer), cases[i].now_s, DKIM_FAIL, cases[i].signatures);
        buf_fini(&longer);
        table_init(&w->dns);
    }
    print_message("%zu cases passed\n", w->passed);
}

static void messages_of_dkimpy(void **state) {
    struct world *w = *state;
    table_add(&w->dns, VIEW("brisbane._domainkey.football.example.com"),
              VIEW("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="));
    table_add(&w->dns, VIEW("test._domainkey.football.example.com"), slurp(w, "dkimpy/test.txt"));
    table_add(&w->dns, VIEW("sed._domainkey.test.ex"), slurp(w, "dkimpy/eximtest.dns"));
    expect(w, "rfc6376.signed.msg", slurp(w, "dkimpy/rfc6376.signed.msg"), 1528637909, DKIM_PASS, 2);
    expect(w, "ed25519test2.msg", slurp(w, "dkimpy/ed25519test2.msg"), 1528637909, DKIM_PASS, 1);
    /* Their keys are no longer in DNS, nor in the data set. */
    expect(w, "message.mbox", slurp(w, "dkimpy/message.mbox"), 1528637909, DKIM_PERMERROR, 1);
    expect(w, "test.message", slurp(w, "dkimpy/test.message"), 1528637909, DKIM_NONE, 0);
    print_message("%zu cases passed\n", w->passed);
}

/* Their message, signed by us with their key, and each of their key records. RFC6376-3.6.1 */
static void keys_of_dkimpy(void **state) {
    struct world *w = *state;
    static const struct {
        const char *record;
        enum dkim_result result;
    } cases[] = {
        {"dkimpy/test.txt", DKIM_PASS},
        {"dkimpy/test2.txt", DKIM_PASS},
        {"dkimpy/badversion.txt", DKIM_PERMERROR},
        {"dkimpy/badk.txt", DKIM_PERMERROR},
        {"dkimpy/test_bad.txt", DKIM_PERMERROR},
        {"dkimpy/test_tlsrpt.txt", DKIM_PERMERROR},
    };
    struct test_signer signer = {.signer = {.sign = test_signer_sign}};
    assert_int_equal(dkim_private_key_load(w->crypto, slurp(w, "dkimpy/test.private"), &signer.keys[DKIM_RSA_SHA256]),
                     ERR_OK);
    static const char *const messages[] = {"dkimpy/test.message", "dkimpy/test_extra.message", "dkimpy/test2.message",
                                           "dkimpy/rfc6376.msg"};
    for (size_t m = 0; m < ARRAY_LEN(messages) * 4; m++) {
        struct dkim_sign_key key = {VIEW("test"), DKIM_RSA_SHA256};
        struct dkim_sign_options options = {.domain = VIEW("example.com"),
                                            .header_canon = m & 1 ? DKIM_RELAXED : DKIM_SIMPLE,
                                            .body_canon = m & 2 ? DKIM_RELAXED : DKIM_SIMPLE,
                                            .now_us = 1528637909 * US_PER_S};
        struct view message = slurp(w, messages[m / 4]);
        struct dkim_input *input = feed(w, message);
        struct buf out;
        buf_init(&out, FILE_MAX);
        assert_int_equal(dkim_sign(input, &options, &key, 1, &signer.signer, w->arena, &out), ERR_OK);
        buf_put(&out, message);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            table_init(&w->dns);
            table_add(&w->dns, VIEW("test._domainkey.example.com"), slurp(w, cases[i].record));
            expect(w, cases[i].record, buf_view(&out), 1528637909, cases[i].result, 1);
        }
        buf_fini(&out);
        dkim_input_free(input);
        arena_clear(w->arena);
    }
    /* RFC6376-5.4: without From there is nothing to sign. */
    struct dkim_input *input = feed(w, slurp(w, "dkimpy/test_nofrom.message"));
    struct dkim_sign_options options = {.domain = VIEW("example.com")};
    struct dkim_sign_key key = {VIEW("test"), DKIM_RSA_SHA256};
    struct buf out;
    buf_init(&out, FILE_MAX);
    assert_int_equal(dkim_sign(input, &options, &key, 1, &signer.signer, w->arena, &out), ERR_SYNTAX);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
    dkim_input_free(input);
    dkim_private_key_free(signer.keys[DKIM_RSA_SHA256]);
    print_message("%zu cases passed\n", w->passed + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_of_mail_auth, make_world, free_world),
        cmocka_unit_test_setup_teardown(messages_of_dkimpy, make_world, free_world),
        cmocka_unit_test_setup_teardown(keys_of_dkimpy, make_world, free_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
