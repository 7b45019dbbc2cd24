/* The feedback reports of two other implementations' test sets (conformance/arf, conformance/dmarc), case by case. */
#include "arf/arf.h"

#include "base/clock.h"
#include "message/corpus_testing.h"
#include "message/decode.h"
#include "message/testing.h"

#include <jansson.h>

static struct arena *arena;
static struct buf bytes;

static int setup(void **state) {
    (void)state;
    buf_init(&bytes, 16 << 20);
    arena = arena_new("test", 2 * MESSAGE_ARENA_BUDGET);
    return arena == NULL;
}

static int teardown(void **state) {
    (void)state;
    arena_free(arena);
    buf_fini(&bytes);
    return 0;
}

static enum err read_file(const char *folder, const char *name, struct arf_report *out) {
    char path[1024];
    struct message message;
    print_message("%s/%s\n", folder, name);
    snprintf(path, sizeof(path), "%s/%s/%s", CONFORMANCE_DIR, folder, name);
    if (!corpus_read(path, &bytes))
        skip();
    arena_clear(arena);
    assert_int_equal(message_parse(arena, buf_view(&bytes), &message), ERR_OK);
    return arf_read(arena, &message, out);
}

/*
 * ---- mail-auth: every value of the expected parse. Where we decide otherwise:
 *  - addresses have their angle brackets there; here they are without.
 *  - folded values keep their line ends there; here they are unfolded.
 *  - canonicalized octets are base64 there; here they are decoded.
 *  - "message" is never set there; what is returned is compared where "headers" is.
 */
static size_t values;

static const json_t *at(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    assert_non_null(value);
    values++;
    return value;
}

static struct view text_of(const json_t *expected) {
    return json_is_null(expected) ? VIEW_NONE : view_cstr(json_string_value(expected));
}

/* Runs of white space count as one space. */
static void put_flat(struct buf *out, struct view v) {
    bool in_space = false;
    buf_clear(out);
    for (size_t i = 0; i < v.n; i++) {
        bool is_space = v.p[i] <= ' ';
        if (!is_space || !in_space)
            buf_put_byte(out, is_space ? ' ' : v.p[i]);
        in_space = is_space;
    }
    buf_put_byte(out, 0);
}

static void same_text(struct view got, const json_t *expected) {
    struct buf a, b;
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    assert_int_equal(got.p == NULL, json_is_null(expected));
    put_flat(&a, view_trim(got));
    put_flat(&b, view_trim(text_of(expected)));
    assert_string_equal((const char *)a.p, (const char *)b.p);
    buf_fini(&a);
    buf_fini(&b);
}

static void same_list(const struct arf_list *list, const json_t *expected) {
    assert_int_equal(list->n, json_array_size(expected));
    for (size_t i = 0; i < list->n; i++)
        same_text(list->list[i], json_array_get(expected, i));
}

static void same_mailbox(struct view got, const json_t *expected) {
    struct view text = text_of(expected);
    if (text.n > 1 && text.p[0] == '<')
        text = view_sub(text, 1, text.n - 2);
    assert_true(view_eq(got, text));
}

static void same_canonical(struct view got, const json_t *expected) {
    struct buf decoded;
    buf_init(&decoded, 1 << 20);
    decode_put_base64(&decoded, text_of(expected));
    assert_true(view_eq(got, buf_view(&decoded)));
    buf_fini(&decoded);
}

/* "BodyHash" is "bodyhash", "AuthFailure" "auth-failure"; "Unspecified" what was not said. */
static void same_word(const char *got, const json_t *expected) {
    char flat[64];
    size_t n = 0;
    for (const char *p = *got == 0 ? "Unspecified" : got; *p != 0 && n + 1 < sizeof(flat); p++) {
        if (*p != '-')
            flat[n++] = *p;
    }
    flat[n] = 0;
    if (!view_eq_nocase(view_cstr(flat), text_of(expected)))
        assert_string_equal(flat, json_string_value(expected));
}

static void same_report(const struct arf_report *report, const json_t *expected) {
    same_word(arf_type_name(report->type), at(expected, "feedback_type"));
    assert_int_equal(report->arrival_us / US_PER_S, json_integer_value(at(expected, "arrival_date")));
    same_list(&report->authentication_results, at(expected, "authentication_results"));
    assert_int_equal(report->incidents, json_integer_value(at(expected, "incidents")));
    same_text(report->original_envelope_id, at(expected, "original_envelope_id"));
    same_mailbox(report->original_mail_from, at(expected, "original_mail_from"));
    same_mailbox(report->original_rcpt_to.n == 0 ? VIEW_NONE : report->original_rcpt_to.list[0],
                 at(expected, "original_rcpt_to"));
    same_list(&report->reported_domains, at(expected, "reported_domain"));
    same_list(&report->reported_uris, at(expected, "reported_uri"));
    same_text(report->reporting_mta, at(expected, "reporting_mta"));
    struct buf ip;
    buf_init(&ip, 100);
    if (report->source.family != 0)
        buf_put_ip(&ip, &report->source);
    same_text(buf_view(&ip), at(expected, "source_ip"));
    buf_fini(&ip);
    same_text(report->user_agent, at(expected, "user_agent"));
    char version[16];
    snprintf(version, sizeof(version), "%lld", json_integer_value(at(expected, "version")));
    assert_view(report->version, version);
    assert_int_equal(report->source.port, json_integer_value(at(expected, "source_port")));
    same_word(arf_failure_name(report->failure), at(expected, "auth_failure"));
    same_word(arf_delivery_name(report->delivery), at(expected, "delivery_result"));
    same_text(report->dkim_adsp_dns, at(expected, "dkim_adsp_dns"));
    same_canonical(report->dkim_canonical_body, at(expected, "dkim_canonicalized_body"));
    same_canonical(report->dkim_canonical_header, at(expected, "dkim_canonicalized_header"));
    same_text(report->dkim_domain, at(expected, "dkim_domain"));
    same_text(report->dkim_identity, at(expected, "dkim_identity"));
    same_text(report->dkim_selector, at(expected, "dkim_selector"));
    same_text(report->dkim_selector_dns, at(expected, "dkim_selector_dns"));
    assert_true(json_is_null(at(expected, "spf_dns")) && report->spf_dns.n == 0);
    same_word("", at(expected, "identity_alignment"));
    assert_int_equal(report->alignment, 0);
    assert_non_null(report->returned);
    if (!json_is_null(at(expected, "headers")))
        same_text(report->returned_header, at(expected, "headers"));
}

static const char *const mail_auth[] = {"001", "002", "003", "004", "005"};

static void test_mail_auth(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mail_auth); i++) {
        char path[1024];
        struct arf_report report;
        json_error_t error;
        snprintf(path, sizeof(path), "%s.eml", mail_auth[i]);
        assert_int_equal(read_file("arf", path, &report), ERR_OK);
        snprintf(path, sizeof(path), "%s/arf/%s.json", CONFORMANCE_DIR, mail_auth[i]);
        json_t *expected = json_load_file(path, 0, &error);
        assert_non_null(expected);
        same_report(&report, expected);
        json_decref(expected);
    }
    print_message("conformance: %zu feedback reports, %zu values\n", ARRAY_LEN(mail_auth), values);
}

/* ---- parsedmarc: failure reports as they are met */

static const struct {
    const char *name;
    enum err err;
    enum arf_failure failure;
    enum arf_delivery delivery;
    uint8_t alignment;
    const char *agent, *domain, *source, *mail_from, *message_id;
} failures[] = {
    /* Its delivery result is none of RFC6591-3.2.2. */
    {"DMARC_Failure_Report_for_domain.de__mail-from_sharepoint_domain.de__ip_10.10.10.10_.eml", ERR_OK,
     ARF_FAILURE_DMARC, ARF_DELIVERY_OTHER, 0, "Lua/1.0", "domain.de", "10.10.10.10", "sharepoint@domain.de",
     "<38.E7.30937.BD6E1BB5@ mailrelay.de>"},
    /* Made a multipart/mixed of attachments on its way; it never said Auth-Failure. */
    {"_Netease_DMARC_Failure_Report__Rent_Reminder.eml", ERR_OK, ARF_FAILURE_UNSAID, ARF_DELIVERY_DELIVERED,
     ARF_ALIGNMENT_SAID | ARF_ALIGNMENT_SPF | ARF_ALIGNMENT_DKIM, "NtesDmarcReporter/1.0", "cardinal.com",
     "167.89.69.24", "bounces+1137616-c1ad-xsj399=163.com@email.entrata.com",
     "<oguVx1AxQayV5Sv2nYK-rA@ismtpd0007p1las1.sendgrid.net>"},
    {"dmarc_ruf_report_linkedin.crlf.eml", ERR_OK, ARF_FAILURE_DMARC, ARF_DELIVERY_DELIVERED, 0, "Lua/1.0",
     "example.com", "10.10.10.10", "", "<01010101010101010101010101010101@ABAB01MS0016.someserver.loc>"},
    {"dmarc_ruf_report_linkedin.eml", ERR_OK, ARF_FAILURE_DMARC, ARF_DELIVERY_DELIVERED, 0, "Lua/1.0", "example.com",
     "10.10.10.10", "", "<01010101010101010101010101010101@ABAB01MS0016.someserver.loc>"},
    /* Prose only. */
    {"exim_plain_text_only_no_arf_part.eml", ERR_NOT_FOUND, 0, 0, 0, NULL, NULL, NULL, NULL, NULL},
};

static void test_failures(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        struct arf_report report;
        struct view id;
        struct buf ip;
        assert_int_equal(read_file("dmarc/parsedmarc/failure", failures[i].name, &report), failures[i].err);
        if (failures[i].err != ERR_OK)
            continue;
        assert_int_equal(report.type, ARF_AUTH_FAILURE);
        assert_int_equal(report.failure, failures[i].failure);
        assert_int_equal(report.delivery, failures[i].delivery);
        assert_int_equal(report.alignment, failures[i].alignment);
        assert_view(report.user_agent, failures[i].agent);
        assert_int_equal(report.reported_domains.n, 1);
        assert_view(report.reported_domains.list[0], failures[i].domain);
        assert_view(report.original_mail_from, failures[i].mail_from);
        buf_init(&ip, 100);
        buf_put_ip(&ip, &report.source);
        assert_view(buf_view(&ip), failures[i].source);
        buf_fini(&ip);
        assert_int_equal(arf_returned_field(arena, &report, VIEW("message-id"), &id), ERR_OK);
        assert_view(id, failures[i].message_id);
    }
    print_message("conformance: %zu failure samples of parsedmarc\n", ARRAY_LEN(failures));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_auth),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
