/* The reports of two other implementations' test sets (conformance/dmarc), case by case. */
#include "dmarc/aggregate.h"

#include "message/corpus_testing.h"
#include "message/testing.h"

#include <jansson.h>
#include <string.h>

#define FOLDER CONFORMANCE_DIR "/dmarc"

static struct arena *arena;

static int make_arena(void **state) {
    (void)state;
    arena = arena_new("test", AGGREGATE_ARENA_BUDGET + MESSAGE_ARENA_BUDGET);
    return arena == NULL;
}

static int free_arena(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

/* As a mail when the name says so, else as a file. */
static enum err read_file(const char *path, struct aggregate_report *out) {
    struct buf bytes, xml;
    char full[1024];
    buf_init(&bytes, 16 << 20);
    buf_init(&xml, AGGREGATE_XML_MAX);
    snprintf(full, sizeof(full), "%s/%s", FOLDER, path);
    if (!corpus_read(full, &bytes)) {
        buf_fini(&bytes);
        skip();
    }
    arena_clear(arena);
    enum err err;
    if (view_ends(view_cstr(path), VIEW(".eml"))) {
        struct message message;
        assert_int_equal(message_parse(arena, buf_view(&bytes), &message), ERR_OK);
        err = aggregate_read_message(arena, &message, out);
    } else {
        err = aggregate_unpack(buf_view(&bytes), &xml);
        if (err == ERR_OK)
            err = aggregate_read(arena, buf_view(&xml), out);
    }
    buf_fini(&bytes);
    buf_fini(&xml);
    return err;
}

/* ---- mail-auth: every value of the expected parse */

/*
 * Where we decide otherwise than the expected parse:
 *  - "version" is a number there; ours is the text, and compares by value.
 *  - "envelope_from" is "" there also when the element is missing; we know the two apart.
 *  - override types "forwarded" and "sampled_out" (RFC7489-C) are "Other" there; we keep them.
 *  - "testing" is false there when it was not said; we know the two apart.
 *  - "extensions" and "version_published" are of drafts that became no RFC; we skip them.
 */
static const struct {
    enum aggregate_override type;
    const char *theirs;
} decided_overrides[] = {{AGGREGATE_FORWARDED, "Other"}, {AGGREGATE_SAMPLED_OUT, "Other"}};

static size_t values;

static const json_t *at(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    values++;
    return value == NULL ? json_null() : value;
}

static void same_text(struct view got, const json_t *expected) {
    assert_view(got, json_is_null(expected) ? "" : json_string_value(expected));
}

/* "TrustedForwarder" is "trusted_forwarder". */
static void same_word(const char *got, const json_t *expected) {
    char flat[64];
    size_t n = 0;
    for (const char *p = *got == 0 ? "Unspecified" : got; *p != 0 && n + 1 < sizeof(flat); p++) {
        if (*p != '_')
            flat[n++] = *p;
    }
    flat[n] = 0;
    const char *text = json_is_null(expected) ? "Unspecified" : json_string_value(expected);
    if (!view_eq_nocase(view_cstr(flat), view_cstr(text)))
        assert_string_equal(flat, text);
}

static void same_short(const char *got, const json_t *expected, const char *a, const char *a_name, const char *b,
                       const char *b_name) {
    same_word(strcmp(got, a) == 0 ? a_name : strcmp(got, b) == 0 ? b_name : got, expected);
}

static void same_results(const struct aggregate_auth *list, size_t n, const json_t *expected, bool is_dkim) {
    assert_int_equal(n, json_array_size(expected));
    for (size_t i = 0; i < n; i++) {
        const json_t *auth = json_array_get(expected, i);
        same_text(list[i].domain, at(auth, "domain"));
        same_text(list[i].human_result, at(auth, "human_result"));
        same_word(aggregate_result_name(list[i].result), at(auth, "result"));
        if (is_dkim)
            same_text(list[i].selector, at(auth, "selector"));
        else
            same_short(aggregate_scope_name(list[i].scope), at(auth, "scope"), "mfrom", "MailFrom", "helo", "Helo");
    }
}

static void same_reasons(const struct aggregate_row *row, const json_t *expected) {
    assert_int_equal(row->reasons_n, json_array_size(expected));
    for (size_t i = 0; i < row->reasons_n; i++) {
        const json_t *reason = json_array_get(expected, i);
        const char *name = aggregate_override_name(row->reasons[i].type);
        for (size_t k = 0; k < ARRAY_LEN(decided_overrides); k++) {
            if (decided_overrides[k].type == row->reasons[i].type)
                name = decided_overrides[k].theirs;
        }
        same_word(name, at(reason, "type_"));
        same_text(row->reasons[i].comment, at(reason, "comment"));
    }
}

static void same_row(const struct aggregate_row *row, const json_t *expected) {
    const json_t *r = at(expected, "row"), *evaluated = at(r, "policy_evaluated");
    struct buf ip;
    buf_init(&ip, 100);
    buf_put_ip(&ip, &row->source);
    same_text(buf_view(&ip), at(r, "source_ip"));
    buf_fini(&ip);
    assert_int_equal(row->count, json_integer_value(at(r, "count")));
    same_word(aggregate_disposition_name(row->disposition), at(evaluated, "disposition"));
    same_word(aggregate_aligned_name(row->dkim), at(evaluated, "dkim"));
    same_word(aggregate_aligned_name(row->spf), at(evaluated, "spf"));
    same_reasons(row, at(evaluated, "reason"));
    const json_t *identifiers = at(expected, "identifiers"), *auth = at(expected, "auth_results");
    same_text(row->envelope_to, at(identifiers, "envelope_to"));
    same_text(row->envelope_from, at(identifiers, "envelope_from"));
    same_text(row->header_from, at(identifiers, "header_from"));
    same_results(row->dkim_results, row->dkim_results_n, at(auth, "dkim"), true);
    same_results(row->spf_results, row->spf_results_n, at(auth, "spf"), false);
}

static void same_report(const struct aggregate_report *report, const json_t *expected) {
    const json_t *metadata = at(expected, "report_metadata"), *range = at(metadata, "date_range");
    const json_t *errors = at(metadata, "error"), *policy = at(expected, "policy_published");
    const json_t *rows = at(expected, "record");
    char version[32];
    snprintf(version, sizeof(version), "%.1f", json_number_value(at(expected, "version")));
    assert_view(report->version, report->version.p == NULL ? "" : version);
    same_text(report->org_name, at(metadata, "org_name"));
    same_text(report->email, at(metadata, "email"));
    same_text(report->extra_contact_info, at(metadata, "extra_contact_info"));
    same_text(report->report_id, at(metadata, "report_id"));
    same_text(report->generator, at(metadata, "generator"));
    assert_int_equal(report->begin_s, json_integer_value(at(range, "begin")));
    assert_int_equal(report->end_s, json_integer_value(at(range, "end")));
    assert_int_equal(report->errors_n, json_array_size(errors));
    for (size_t i = 0; i < report->errors_n; i++)
        same_text(report->errors[i], json_array_get(errors, i));
    same_text(report->domain, at(policy, "domain"));
    same_short(aggregate_alignment_name(report->adkim), at(policy, "adkim"), "r", "Relaxed", "s", "Strict");
    same_short(aggregate_alignment_name(report->aspf), at(policy, "aspf"), "r", "Relaxed", "s", "Strict");
    same_word(aggregate_policy_name(report->p), at(policy, "p"));
    same_word(aggregate_policy_name(report->sp), at(policy, "sp"));
    same_word(aggregate_policy_name(report->np), at(policy, "np"));
    same_word(aggregate_discovery_name(report->discovery), at(policy, "discovery_method"));
    assert_int_equal(report->testing == AGGREGATE_YES, json_is_true(at(policy, "testing")));
    same_text(report->fo, at(policy, "fo"));
    assert_int_equal(report->rows_n, json_array_size(rows));
    for (size_t i = 0; i < report->rows_n; i++)
        same_row(&report->rows[i], json_array_get(rows, i));
}

static const char *const mail_auth[] = {"001.xml", "002.xml", "003.xml", "004.xml", "005.xml",
                                        "100.eml", "101.eml", "102.eml", "103.eml", "104.eml"};

static void test_mail_auth(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mail_auth); i++) {
        char path[256];
        struct aggregate_report report;
        json_error_t error;
        print_message("mail-auth/%s\n", mail_auth[i]);
        snprintf(path, sizeof(path), "mail-auth/%s", mail_auth[i]);
        assert_int_equal(read_file(path, &report), ERR_OK);
        snprintf(path, sizeof(path), "%s/mail-auth/%.3s.json", FOLDER, mail_auth[i]);
        json_t *expected = json_load_file(path, 0, &error);
        assert_non_null(expected);
        same_report(&report, expected);
        json_decref(expected);
    }
    print_message("conformance: %zu reports of mail-auth, %zu values\n", ARRAY_LEN(mail_auth), values);
}

/* ---- parsedmarc: files as they are met */

static const struct {
    const char *name;
    enum err err;
    const char *domain, *org_name, *report_id;
    size_t rows;
    uint64_t messages;
    const char *source; /* of the first row */
} parsedmarc[] = {
    {"Report_domain-_borschow.com_Submitter-_google.com_Report-ID-_949348866075514174.eml", ERR_OK, "borschow.com",
     "google.com", "949348866075514174", 1, 1, "92.53.116.102"},
    {"_example.com_1538204542_1538463818.xml", ERR_OK, "example.com", "", "example.com:1538463741", 1, 1,
     "12.20.127.122"},
    {"addisonfoods.com_example.com_1536105600_1536191999.xml", ERR_OK, "example.com", "addisonfoods.com",
     "3ceb5548498640beaeb47327e202b0b9", 1, 1, "109.203.100.17"},
    {"empty_reason.xml", ERR_OK, "example.com", "example.org", "20240125141224705995", 1, 2, "198.51.100.123"},
    {"estadocuenta1.infonacot.gob.mx_example.com_1536853302_1536939702_2940.xml.zip", ERR_OK, "example.com",
     "XYZ Corporation", "2940", 1, 1, "148.243.137.254"},
    /* Text between elements. */
    {"example.net_example.com_1529366400_1529452799.xml", ERR_OK, "example.com", "example.net",
     "b043f0e264cf4ea995e93765242f6dfb", 1, 1, "199.230.200.36"},
    {"fastmail.com_example.com_1516060800_1516147199_102675056.xml.gz", ERR_OK, "indemed.com", "FastMail Pty Ltd",
     "102675056", 1, 1, "104.195.80.20"},
    /* In a schema element that never ends. */
    {"ikea.com_example.de_1538690400_1538776800.xml", ERR_OK, "example.de", "ikea.com",
     "aggr_report_2018_10_05_5bc7e9b4f3e8a", 1, 1, "234.234.234.234"},
    {"invalid_utf_8.xml", ERR_OK, "example.com", "", "example.com:1538463741", 1, 1, "12.20.127.122"},
    /* An address in angle brackets, which opens an element that nothing ends. RFC9990-3.1.1: discard it. */
    {"invalid_xml.xml", ERR_SYNTAX, NULL, NULL, NULL, 0, 0, NULL},
    /* A line end after the gzip file. */
    {"mimecast-weird-gzip.eml", ERR_OK, "ab.id.au", "Mimecast",
     "157a5fe30ec76f4bc0d8bccfc96c118a167a1280fee7c7465af5115e73082e5e", 1, 1, "40.93.199.22"},
    {"old_draft_from_wiki.xml", ERR_OK, "example.com", "acme.com", "9391651994964116463", 1, 2, "72.150.241.94"},
    {"protection.outlook.com_example.com_1711756800_1711843200.xml", ERR_OK, "example.com", "Outlook.com",
     "cfeafefe4129445e8c81018bd9177197", 1, 1, "100.24.188.149"},
    {"rfc9990-example.net_example.com_1700000000_1700086399.xml", ERR_OK, "example.com", "example.net",
     "dmarcbis-test-report-001", 2, 7, "198.51.100.1"},
    {"rfc9990-sample.xml", ERR_OK, "example.com", "Sample Reporter", "3v98abbp8ya9n3va8yr8oa3ya", 1, 123,
     "192.0.2.123"},
    {"twilight.eml", ERR_OK, "twlnet.com", "google.com", "1627703331531660819", 1, 1, "87.106.127.28"},
    {"usssa.com_example.com_1538784000_1538870399.xml", ERR_OK, "example.com", "usssa.com",
     "8953b4d4a4ee4218b6ac0e2cb2667ee1", 2, 2, "12.20.127.40"},
    {"veeam.com_example.com_1530133200_1530219600.xml", ERR_OK, "example.com", "veeam.com",
     "sonexushealth.com:1530233361", 1, 1, "199.230.200.36"},
};

static void test_parsedmarc(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(parsedmarc); i++) {
        char path[512];
        struct aggregate_report report;
        uint64_t messages = 0;
        print_message("parsedmarc/%s\n", parsedmarc[i].name);
        snprintf(path, sizeof(path), "parsedmarc/aggregate/%s", parsedmarc[i].name);
        assert_int_equal(read_file(path, &report), parsedmarc[i].err);
        if (parsedmarc[i].err != ERR_OK)
            continue;
        assert_view(report.domain, parsedmarc[i].domain);
        assert_view(report.org_name, parsedmarc[i].org_name);
        assert_view(report.report_id, parsedmarc[i].report_id);
        assert_int_equal(report.rows_n, parsedmarc[i].rows);
        for (size_t k = 0; k < report.rows_n; k++)
            messages += report.rows[k].count;
        assert_int_equal(messages, parsedmarc[i].messages);
        struct buf ip;
        buf_init(&ip, 100);
        buf_put_ip(&ip, &report.rows[0].source);
        assert_view(buf_view(&ip), parsedmarc[i].source);
        buf_fini(&ip);
    }
    print_message("conformance: %zu aggregate samples of parsedmarc\n", ARRAY_LEN(parsedmarc));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_auth),
        cmocka_unit_test(test_parsedmarc),
    };
    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
