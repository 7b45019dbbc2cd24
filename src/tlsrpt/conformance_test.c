/* The reports of two other implementations' test sets (conformance/tlsrpt), each value of each. */
#include "tlsrpt/tlsrpt.h"

#include "message/corpus_testing.h"
#include "message/testing.h"

#include <jansson.h>
#include <string.h>

#define FOLDER CONFORMANCE_DIR "/tlsrpt"
#define FILE_MAX ((size_t)1 << 20)

static struct arena *arena;
static size_t values;

static int make_arena(void **state) {
    (void)state;
    arena = arena_new("test", TLSRPT_ARENA_BUDGET + MESSAGE_ARENA_BUDGET);
    return arena == NULL;
}

static int free_arena(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static void load(const char *path, struct buf *bytes) {
    char full[1024];
    (void)snprintf(full, sizeof(full), "%s/%s", FOLDER, path);
    buf_init(bytes, FILE_MAX);
    if (!corpus_read(full, bytes)) {
        buf_fini(bytes);
        skip();
    }
}

/* All that is in expected is in got. A text may have become a list of one, as RFC 8460 has "mx-host". */
static bool has_all(const json_t *got, const json_t *expected) {
    const char *key;
    json_t *value;
    if (json_is_array(got) && json_is_string(expected))
        return json_array_size(got) == 1 && has_all(json_array_get(got, 0), expected);
    if (json_is_object(expected)) {
        json_object_foreach((json_t *)(uintptr_t)expected, key, value) {
            if (!has_all(json_object_get(got, key), value)) {
                print_error("%s differs\n", key);
                return false;
            }
        }
        return json_is_object(got);
    }
    if (json_is_array(expected)) {
        bool is_same = json_array_size(got) == json_array_size(expected);
        for (size_t i = 0; is_same && i < json_array_size(expected); i++)
            is_same = has_all(json_array_get(got, i), json_array_get(expected, i));
        return is_same;
    }
    values++;
    return json_equal(got, expected);
}

/* What was read, written again, has every value of the expected document. */
static void compare(const struct tlsrpt_report *report, const char *expected_path) {
    struct buf expected, written;
    load(expected_path, &expected);
    buf_init(&written, FILE_MAX);
    assert_int_equal(tlsrpt_put_json(&written, report), ERR_OK);
    json_t *a = json_loadb((const char *)written.p, written.n, 0, NULL);
    json_t *b = json_loadb((const char *)expected.p, expected.n, 0, NULL);
    assert_non_null(a);
    assert_non_null(b);
    assert_true(has_all(a, b));
    json_decref(a);
    json_decref(b);
    buf_fini(&expected);
    buf_fini(&written);
    for (size_t i = 0; i < report->policies_n; i++) {
        const struct tlsrpt_policy *policy = &report->policies[i];
        bool is_unknown = view_eq(policy->type_text, VIEW("invalid-policy-type"));
        assert_int_equal(policy->type == TLSRPT_OTHER_POLICY, is_unknown);
        for (size_t k = 0; k < policy->details_n; k++)
            assert_int_not_equal(policy->details[k].result, TLSRPT_OTHER_RESULT);
    }
}

static void documents(void **state) {
    (void)state;
    static const char *const paths[] = {"mail-auth/rpt01.json",    "mail-auth/rpt02.json",
                                        "mail-auth/rpt03.json",    "parsedmarc/mail.ru.json",
                                        "parsedmarc/rfc8460.json", "parsedmarc/smtp_tls.json"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct buf bytes;
        struct tlsrpt_report report;
        load(paths[i], &bytes);
        print_message("%s\n", paths[i]);
        assert_int_equal(tlsrpt_read_file(arena, buf_view(&bytes), &report), ERR_OK);
        assert_true(report.begin_s > 0 && report.end_s > report.begin_s);
        buf_fini(&bytes);
        compare(&report, paths[i]);
    }
    print_message("%zu values compared\n", values);
    assert_true(values > 80);
}

static void mails(void **state) {
    (void)state;
    static const struct {
        const char *path, *expected;
    } table[] = {{"mail-auth/rpt01.eml", "mail-auth/rpt01.json"},
                 {"mail-auth/rpt02.eml", "mail-auth/rpt02.json"},
                 {"parsedmarc/google.com_smtp_tls_report.eml", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf bytes;
        struct message message;
        struct tlsrpt_report report;
        load(table[i].path, &bytes);
        print_message("%s\n", table[i].path);
        assert_int_equal(message_parse(arena, buf_view(&bytes), &message), ERR_OK);
        assert_int_equal(tlsrpt_read_message(arena, &message, &report), ERR_OK);
        buf_fini(&bytes);
        if (table[i].expected) {
            compare(&report, table[i].expected);
            continue;
        }
        assert_view(report.organization, "Google Inc.");
        assert_view(report.report_id, "2024-09-03T00:00:00Z_cardinalhealth.ca");
        assert_int_equal(report.policies_n, 1);
        assert_view(report.policies[0].domain, "cardinalhealth.ca");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(documents, make_arena, free_arena),
        cmocka_unit_test_setup_teardown(mails, make_arena, free_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
