/* Feedback reports (RFC5965-3.1, RFC6591-3.2): fields one by one, limits, and what is written reads back equal. */
#include "arf/arf.h"

#include "arf/cfbl.h"
#include "base/clock.h"
#include "message/testing.h"

#include <string.h>

static struct arena *arena;
static struct buf mail;

static int setup(void **state) {
    (void)state;
    buf_init(&mail, 4 << 20);
    arena = arena_new("test", 16 << 20);
    return arena == NULL;
}

static int teardown(void **state) {
    (void)state;
    buf_fini(&mail);
    arena_free(arena);
    return 0;
}

static enum err read_mail(struct view bytes, struct arf_report *out) {
    struct message message;
    assert_int_equal(message_parse(arena, bytes, &message), ERR_OK);
    return arf_read(arena, &message, out);
}

static enum err read_fields(const char *type, const char *fields, struct arf_report *out) {
    buf_clear(&mail);
    buf_printf(
        &mail,
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n"
        "Content-Type: %s\r\n\r\n%s\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: spam\r\n"
        "Message-ID:\r\n <a@b>\r\n\r\nbuy\r\n--b--\r\n",
        type, fields);
    return read_mail(buf_view(&mail), out);
}

#define BASE "Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n"

static void test_parts(void **state) {
    (void)state;
    static const struct {
        const char *type, *fields;
        enum err err;
        enum arf_type report;
    } cases[] = {
        {"message/feedback-report", BASE, ERR_OK, ARF_ABUSE},
        {"Message/Feedback-Report; charset=us-ascii", "\r\n" BASE, ERR_OK, ARF_ABUSE},
        {"text/plain", BASE, ERR_OK, ARF_ABUSE},               /* no type, but it begins as one */
        {"text/plain", "User-Agent: x\r\n", ERR_NOT_FOUND, 0}, /* and this does not */
        {"message/feedback-report", "Feedback-Type: NOT-SPAM (x)\r\n", ERR_OK, ARF_NOT_SPAM},
        {"message/feedback-report", "Feedback-Type: opt-out\r\n", ERR_OK, ARF_OTHER},
        {"message/feedback-report", "User-Agent: x\r\n", ERR_OK, ARF_OTHER},
        {"message/feedback-report", "", ERR_NOT_FOUND, 0},
        {"message/feedback-report", "just words\r\n", ERR_NOT_FOUND, 0},
        {"message/feedback-report", "Feedback-Type: fraud\r\nFeedback-Type: virus\r\n", ERR_OK, ARF_FRAUD},
        {"message/delivery-status", BASE, ERR_OK, ARF_ABUSE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arf_report report;
        struct view id;
        arena_clear(arena);
        assert_int_equal(read_fields(cases[i].type, cases[i].fields, &report), cases[i].err);
        if (cases[i].err != ERR_OK)
            continue;
        assert_int_equal(report.type, cases[i].report);
        assert_int_equal(report.incidents, 1);
        assert_non_null(report.returned);
        assert_int_equal(arf_returned_field(arena, &report, VIEW("Message-Id"), &id), ERR_OK);
        assert_view(id, "<a@b>");
        assert_int_equal(arf_returned_field(arena, &report, VIEW("CFBL-Feedback-ID"), &id), ERR_OK);
        assert_null(id.p);
    }
}

static void test_a_report_inside_a_message_is_not_ours(void **state) {
    (void)state;
    struct arf_report report;
    arena_clear(arena);
    assert_int_equal(
        read_mail(VIEW("Content-Type: message/rfc822\r\n\r\nContent-Type: message/feedback-report\r\n\r\n" BASE),
                  &report),
        ERR_NOT_FOUND);
}

/* Each value as it is read. */
static void test_values(void **state) {
    (void)state;
    static const struct {
        const char *field, *text;
    } addresses[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1 (host.example)", "192.0.2.1"},
        {" (x) 2001:db8::1", "2001:db8::1"},
        {"[192.0.2.1]", "192.0.2.1"},
        {"[IPv6:2001:db8::1]", "2001:db8::1"},
        {"host.example", ""},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        char fields[256];
        struct arf_report report;
        struct buf ip;
        arena_clear(arena);
        snprintf(fields, sizeof(fields), BASE "Source-Port: 2525\r\nSource-IP: %s\r\n", addresses[i].field);
        assert_int_equal(read_fields("message/feedback-report", fields, &report), ERR_OK);
        assert_int_equal(report.source.port, 2525); /* RFC6692-3, in any order */
        buf_init(&ip, 100);
        if (report.source.family != 0)
            buf_put_ip(&ip, &report.source);
        assert_view(buf_view(&ip), addresses[i].text);
        buf_fini(&ip);
    }
    static const struct {
        const char *field;
        uint8_t alignment;
    } alignments[] = {
        /* RFC9991-4 */
        {"none", ARF_ALIGNMENT_SAID},
        {"dkim", ARF_ALIGNMENT_SAID | ARF_ALIGNMENT_DKIM},
        {"SPF", ARF_ALIGNMENT_SAID | ARF_ALIGNMENT_SPF},
        {"dkim (d=x) , spf", ARF_ALIGNMENT_SAID | ARF_ALIGNMENT_SPF | ARF_ALIGNMENT_DKIM},
        {"dkim-spf", ARF_ALIGNMENT_SAID | ARF_ALIGNMENT_SPF | ARF_ALIGNMENT_DKIM},
    };
    for (size_t i = 0; i < ARRAY_LEN(alignments); i++) {
        char fields[256];
        struct arf_report report;
        arena_clear(arena);
        snprintf(fields, sizeof(fields), BASE "Identity-Alignment: %s\r\n", alignments[i].field);
        assert_int_equal(read_fields("message/feedback-report", fields, &report), ERR_OK);
        assert_int_equal(report.alignment, alignments[i].alignment);
    }
    struct arf_report report;
    arena_clear(arena);
    assert_int_equal(
        read_fields("message/feedback-report",
                    BASE "Incidents: 4294967295\r\nIncidents: x\r\nOriginal-Mail-From: < a@b >\r\n"
                         "Original-Rcpt-To: <c@d>\r\noriginal-rcpt-to: e@f\r\nReporting-MTA: dns; m.example (x)\r\n"
                         "Received-Date: Wed, 14 Apr 2010 12:15:31 -0700\r\nSource-Port: 65536\r\n"
                         "Reported-URI: http://x/ (bad)\r\nReported-URI: \r\nSPF-DNS: txt : a :\r\n \"v=spf1\"\r\n"
                         "DKIM-Canonicalized-Body: aGVs\r\n bG8=\r\n",
                    &report),
        ERR_OK);
    assert_int_equal(report.incidents, UINT32_MAX);
    assert_view(report.original_mail_from, "a@b");
    assert_int_equal(report.original_rcpt_to.n, 2);
    assert_view(report.original_rcpt_to.list[1], "e@f");
    assert_view(report.reporting_mta, "m.example");
    assert_int_equal(report.arrival_us, 1271272531 * US_PER_S);
    assert_int_equal(report.source.port, 0);
    assert_int_equal(report.reported_uris.n, 1);
    assert_view(report.reported_uris.list[0], "http://x/");
    assert_true(report.spf_dns.n == 1 && report.spf_dns.list != NULL);
    assert_view(report.spf_dns.list[0], "txt : a : \"v=spf1\"");
    assert_view(report.dkim_canonical_body, "hello");
}

static void test_limits(void **state) {
    (void)state;
    struct arf_report report;
    struct buf fields;
    buf_init(&fields, 8 << 20);
    buf_put_str(&fields, BASE);
    for (int i = 0; i < 3 * ARF_LIST_MAX; i++)
        buf_printf(&fields, "Reported-Domain: d%d.example\r\n", i);
    buf_put_str(&fields, "DKIM-Selector-DNS: ");
    for (int i = 0; i < 2 * ARF_TEXT_MAX; i++)
        buf_put_byte(&fields, 'a');
    buf_put_str(&fields, "\r\nDKIM-Canonicalized-Header: ");
    for (int i = 0; i < 2 * ARF_CANONICAL_MAX; i++)
        buf_put_byte(&fields, 'A');
    buf_put_str(&fields, "\r\n");
    buf_put_byte(&fields, 0);
    arena_clear(arena);
    assert_int_equal(read_fields("message/feedback-report", (const char *)fields.p, &report), ERR_OK);
    assert_int_equal(report.reported_domains.n, ARF_LIST_MAX);
    assert_true(report.dkim_selector_dns.n <= ARF_TEXT_MAX && report.dkim_selector_dns.n > ARF_TEXT_MAX - 10);
    assert_null(report.dkim_canonical_header.p);
    buf_fini(&fields);
    struct arena *small = arena_new("small", 3000);
    struct message message;
    assert_int_equal(message_parse(small, buf_view(&mail), &message), ERR_OK);
    assert_int_equal(arf_read(small, &message, &report), ERR_LIMIT);
    arena_free(small);
}

static void same(const struct arf_list *a, const struct arf_list *b) {
    assert_int_equal(a->n, b->n);
    if (a->list == NULL || b->list == NULL) {
        assert_int_equal(a->n, 0);
        return;
    }
    for (size_t i = 0; i < a->n; i++)
        assert_true(view_eq(a->list[i], b->list[i]));
}

static void test_written_reads_back(void **state) {
    (void)state;
    static const struct view rcpt[] = {VIEW_INIT("a@receiver.example"), VIEW_INIT("b@receiver.example")};
    static const struct view results[] = {VIEW_INIT(
        "mx.receiver.example; dkim=fail (bodyhash) header.d=sender.example header.s=a-very-long-selector-name; "
        "spf=fail smtp.mailfrom=sender.example; dmarc=fail header.from=sender.example")};
    static const struct view domains[] = {VIEW_INIT("sender.example")}, uris[] = {VIEW_INIT("http://sender.example/")};
    static const struct view spf[] = {VIEW_INIT("txt : sender.example : \"v=spf1 -all\"")};
    static const uint8_t octets[300] = {1, 2, 3, 0, 255};
    for (int type = ARF_ABUSE; type <= ARF_AUTH_FAILURE; type++) {
        struct arf_request request = {
            .from = VIEW("\"Feedback loop\" <fbl@receiver.example>"),
            .to = VIEW("abuse@sender.example"),
            .subject = VIEW("Beschwerde \xC3\xBC"
                            "ber Post"),
            .text = VIEW("Somebody complained.\n"),
            .returned = VIEW(
                "From: x@sender.example\r\nMessage-ID: <1@sender.example>\r\nCFBL-Feedback-ID: 1:2\r\n\r\nbuy\r\n"),
            .is_header = type == ARF_AUTH_FAILURE,
            .options = {.host = VIEW("receiver.example"), .wall_us = 1300000000 * US_PER_S},
        };
        struct arf_report report, *r = &request.report;
        *r = (struct arf_report){
            .type = (enum arf_type)type,
            .user_agent = VIEW("Veredus/1"),
            .original_envelope_id = VIEW("QQ314159"),
            .original_mail_from = type == ARF_VIRUS ? VIEW("") : VIEW("x@sender.example"),
            .original_rcpt_to = {(struct view *)(uintptr_t)rcpt, 2},
            .arrival_us = 1299999999 * US_PER_S,
            .reporting_mta = VIEW("mx.receiver.example"),
            .source = {.family = 4, .ip = {192, 0, 2, 1}, .port = 4711},
            .incidents = 3,
            .authentication_results = {(struct view *)(uintptr_t)results, 1},
            .reported_domains = {(struct view *)(uintptr_t)domains, 1},
            .reported_uris = {(struct view *)(uintptr_t)uris, 1},
        };
        if (type == ARF_AUTH_FAILURE) {
            r->failure = ARF_FAILURE_DMARC;
            r->delivery = ARF_DELIVERY_REJECT;
            r->alignment = ARF_ALIGNMENT_SAID | ARF_ALIGNMENT_DKIM | ARF_ALIGNMENT_SPF;
            r->dkim_domain = VIEW("sender.example");
            r->dkim_identity = VIEW("@sender.example");
            r->dkim_selector = VIEW("s1");
            r->spf_dns = (struct arf_list){(struct view *)(uintptr_t)spf, 1};
            r->dkim_canonical_body = view_of(octets, sizeof(octets));
            r->dkim_canonical_header = VIEW("from:x@sender.example\r\n");
        }
        arena_clear(arena);
        buf_clear(&mail);
        assert_int_equal(arf_put(arena, &mail, &request), ERR_OK);
        size_t line = 0;
        for (size_t i = 0; i < mail.n; i++) {
            line = mail.p[i] == '\n' ? 0 : line + 1;
            assert_true(line <= 998 && mail.p[i] < 128);
        }
        struct message message;
        assert_int_equal(message_parse(arena, buf_view(&mail), &message), ERR_OK);
        assert_true(mime_part_is(message.root, VIEW("multipart"), VIEW("report")));
        assert_view(mime_params_get(&message.root->params, VIEW("report-type")), "feedback-report");
        assert_int_equal(message.root->child_count, 3);
        assert_true(mime_part_is(message.root->first_child->next, VIEW("message"), VIEW("feedback-report")));
        assert_int_equal(message.root->first_child->next->encoding, MIME_ENCODING_7BIT);
        assert_int_equal(arf_read(arena, &message, &report), ERR_OK);
        assert_int_equal(report.type, r->type);
        assert_view(report.version, "1");
        assert_true(view_eq(report.user_agent, r->user_agent));
        assert_true(view_eq(report.original_envelope_id, r->original_envelope_id));
        assert_true(report.original_mail_from.p != NULL && view_eq(report.original_mail_from, r->original_mail_from));
        same(&report.original_rcpt_to, &r->original_rcpt_to);
        assert_int_equal(report.arrival_us, r->arrival_us);
        assert_true(view_eq(report.reporting_mta, r->reporting_mta));
        assert_true(netaddr_ip_eq(&report.source, &r->source) && report.source.port == r->source.port);
        assert_int_equal(report.incidents, r->incidents);
        same(&report.authentication_results, &r->authentication_results);
        same(&report.reported_domains, &r->reported_domains);
        same(&report.reported_uris, &r->reported_uris);
        assert_int_equal(report.failure, r->failure);
        assert_int_equal(report.delivery, r->delivery);
        assert_int_equal(report.alignment, r->alignment);
        assert_true(view_eq(report.dkim_domain, r->dkim_domain) && view_eq(report.dkim_identity, r->dkim_identity) &&
                    view_eq(report.dkim_selector, r->dkim_selector));
        same(&report.spf_dns, &r->spf_dns);
        assert_true(view_eq(report.dkim_canonical_body, r->dkim_canonical_body));
        assert_true(view_eq(report.dkim_canonical_header, r->dkim_canonical_header));
        struct view id; /* RFC9477-3.5: both are in what is returned */
        assert_int_equal(arf_returned_field(arena, &report, VIEW("Message-ID"), &id), ERR_OK);
        assert_view(id, "<1@sender.example>");
        assert_int_equal(arf_returned_field(arena, &report, VIEW("CFBL-Feedback-ID"), &id), ERR_OK);
        assert_view(id, "1:2");
    }
}

static void test_incomplete_is_not_written(void **state) {
    (void)state;
    struct arf_request good = {
        .from = VIEW("a@b.example"),
        .to = VIEW("c@d.example"),
        .text = VIEW("x"),
        .returned = VIEW("A: b\r\n\r\n"),
        .report = {.type = ARF_AUTH_FAILURE,
                   .user_agent = VIEW("x"),
                   .failure = ARF_FAILURE_DMARC,
                   .alignment = ARF_ALIGNMENT_SAID},
        .options = {.host = VIEW("b.example")},
    };
    buf_clear(&mail);
    assert_int_equal(arf_put(arena, &mail, &good), ERR_OK);
    struct arf_request bad = good;
    bad.report.type = ARF_OTHER;
    assert_int_equal(arf_put(arena, &mail, &bad), ERR_SYNTAX);
    bad = good;
    bad.report.user_agent = VIEW(" ");
    assert_int_equal(arf_put(arena, &mail, &bad), ERR_SYNTAX);
    bad = good;
    bad.report.failure = ARF_FAILURE_UNSAID;
    assert_int_equal(arf_put(arena, &mail, &bad), ERR_SYNTAX);
    bad = good;
    bad.report.alignment = 0;
    assert_int_equal(arf_put(arena, &mail, &bad), ERR_SYNTAX);
    bad = good;
    bad.to = VIEW("");
    assert_int_equal(arf_put(arena, &mail, &bad), ERR_SYNTAX);
    /* No line can be smuggled into a field. */
    good.report.user_agent = VIEW("x\r\nFeedback-Type: fraud");
    good.report.original_mail_from = VIEW("a\r\nVersion: 9");
    buf_clear(&mail);
    struct arf_report report;
    assert_int_equal(arf_put(arena, &mail, &good), ERR_OK);
    assert_int_equal(read_mail(buf_view(&mail), &report), ERR_OK);
    assert_int_equal(report.type, ARF_AUTH_FAILURE);
    assert_view(report.version, "1");
}

/* RFC9477-5 */
static void test_cfbl(void **state) {
    (void)state;
    static const struct {
        const char *field, *address, *domain;
        bool wants_xarf;
    } cases[] = {
        {"fbl@example.com; report=arf", "fbl@example.com", "example.com", false},
        {"fbl@example.com; report=xarf", "fbl@example.com", "example.com", true},
        {"fbl@example.com;\r\n report=xarf", "fbl@example.com", "example.com", true},
        {"(x) fbl@example.com (y)", "fbl@example.com", "example.com", false},
        {"<fbl@example.com>", "fbl@example.com", "example.com", false},
        {"b\xC3\xBC@example.com", "b\xC3\xBC@example.com", "example.com", false}, /* RFC6532-3.2 */
        {"a@example.com, b@example.com", NULL, NULL, false},
        {"fbl", NULL, NULL, false},
        {"\"a b\"@example.com", NULL, NULL, false},
        {"", NULL, NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char header[256];
        struct cfbl cfbl;
        snprintf(header, sizeof(header), "Subject: x\r\nCFBL-Address: %s\r\n\r\n", cases[i].field);
        assert_int_equal(cfbl_read(arena, view_cstr(header), &cfbl), ERR_OK);
        assert_int_equal(cfbl.addresses_n, cases[i].address != NULL);
        assert_null(cfbl.feedback_id.p);
        if (cases[i].address == NULL)
            continue;
        assert_view(cfbl.addresses[0].address, cases[i].address);
        assert_view(cfbl.addresses[0].domain, cases[i].domain);
        assert_int_equal(cfbl.addresses[0].wants_xarf, cases[i].wants_xarf);
        assert_true(view_starts(cfbl.addresses[0].field, VIEW("CFBL-Address:")));
    }
    static const struct {
        const char *header, *id;
    } ids[] = {
        {"CFBL-Feedback-ID: 111:222:333:4444\r\n", "111:222:333:4444"},
        {"CFBL-Feedback-ID: 111:\r\n 222 (x) :3\r\n", "111:222:3"},
        {"CFBL-Feedback-ID: a;b\r\n", NULL},
        {"CFBL-Feedback-ID: \r\n", NULL},
        {"CFBL-Feedback-ID: a\r\nCFBL-Feedback-ID: b\r\n", NULL},
        {"Subject: x\r\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct cfbl cfbl;
        assert_int_equal(cfbl_read(arena, view_cstr(ids[i].header), &cfbl), ERR_OK);
        assert_int_equal(cfbl.feedback_id.p == NULL, ids[i].id == NULL);
        assert_view(cfbl.feedback_id, ids[i].id == NULL ? "" : ids[i].id);
    }
    char long_id[CFBL_FEEDBACK_ID_MAX + 2];
    memset(long_id, 'x', sizeof(long_id));
    for (size_t n = 0; n <= CFBL_FEEDBACK_ID_MAX + 1; n++) {
        struct cfbl cfbl;
        bool is_good = n > 0 && n <= CFBL_FEEDBACK_ID_MAX;
        buf_clear(&mail);
        buf_put_str(&mail, "CFBL-Address: ");
        assert_int_equal(cfbl_put_address(&mail, VIEW("fbl@example.com"), n % 2 == 1), ERR_OK);
        buf_put_str(&mail, "\r\nCFBL-Feedback-ID: ");
        assert_int_equal(cfbl_put_feedback_id(&mail, view_of(long_id, n)), is_good ? ERR_OK : ERR_SYNTAX);
        buf_put_str(&mail, "\r\n");
        arena_clear(arena);
        assert_int_equal(cfbl_read(arena, buf_view(&mail), &cfbl), ERR_OK);
        assert_int_equal(cfbl.addresses_n, 1);
        assert_int_equal(cfbl.addresses[0].wants_xarf, n % 2 == 1);
        if (is_good)
            assert_true(view_eq(cfbl.feedback_id, view_of(long_id, n)));
    }
    static const char *const bad[] = {"", "@", "a@", "@b", "a", "a b@c", "a@b@c", "a@b\r\nX: y"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(cfbl_put_address(&mail, view_cstr(bad[i]), false), ERR_SYNTAX);
    assert_int_equal(cfbl_put_feedback_id(&mail, VIEW("a b")), ERR_SYNTAX);
    buf_clear(&mail);
    for (int i = 0; i < 2 * CFBL_ADDRESSES_MAX; i++)
        buf_put_str(&mail, "CFBL-Address: fbl@example.com\r\n");
    struct cfbl cfbl;
    assert_int_equal(cfbl_read(arena, buf_view(&mail), &cfbl), ERR_OK);
    assert_int_equal(cfbl.addresses_n, CFBL_ADDRESSES_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_a_report_inside_a_message_is_not_ours),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_written_reads_back),
        cmocka_unit_test(test_incomplete_is_not_written),
        cmocka_unit_test(test_cfbl),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
