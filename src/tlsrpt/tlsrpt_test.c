/* TLS reports: records, JSON with what careless programs write, collections, and the mail. */
#include "tlsrpt/tlsrpt.h"

#include "dns/table_testing.h"
#include "inflate/inflate.h"
#include "message/bodies.h"
#include "message/header.h"
#include "message/testing.h"

#define WALL_US (INT64_C(1790000000) * US_PER_S)
#define OUT_MAX ((size_t)16 << 20)

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new("test", TLSRPT_ARENA_BUDGET + MESSAGE_ARENA_BUDGET);
    return arena == NULL;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

/* RFC8460-3 */
static void records(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        size_t n;
        const char *uris[3]; /* of a mailto its addresses */
    } table[] = {
        {"v=TLSRPTv1;rua=mailto:reports@example.com", ERR_OK, 1, {"reports@example.com"}}, /* RFC8460-3.1.1 */
        {"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt",
         ERR_OK,
         1,
         {"https://reporting.example.com/v1/tlsrpt"}},
        {"v=TLSRPTv1 ; rua=mailto:a@b.example , https://c.example/?x=y ;",
         ERR_OK,
         2,
         {"a@b.example", "https://c.example/?x=y"}},
        {"v=TLSRPTv1; x=y; rua=mailto:a@b.example", ERR_OK, 1, {"a@b.example"}},
        {"v=TLSRPTv1; rua=mailto:a@b.example; rua=mailto:c@d.example", ERR_OK, 1, {"a@b.example"}},
        {"v=TLSRPTv1; rua=mailto:a%2cb@c.example", ERR_OK, 1, {"a,b@c.example"}},
        {"v=TLSRPTv1; rua=http://c.example/, ftp://x, MAILTO:a@b.example", ERR_OK, 1, {"a@b.example"}},
        {"v=TLSRPTv1; rua=http://c.example/", ERR_OK, 0, {NULL}},
        {"v=TLSRPTv1; rua=https://", ERR_OK, 0, {NULL}},
        {"v=TLSRPTv1; rua=", ERR_SYNTAX, 0, {NULL}},
        {"v=TLSRPTv1; rua=mailto:a@b.example,,mailto:a@b.example", ERR_SYNTAX, 0, {NULL}},
        {"v=TLSRPTv1; rua=mailto:a@b.example mailto:a@b.example", ERR_SYNTAX, 0, {NULL}},
        {"v=TLSRPTv1; RUA=mailto:a@b.example", ERR_SYNTAX, 0, {NULL}}, /* %s"rua=" */
        {"v=TLSRPTv1; x; rua=mailto:a@b.example", ERR_SYNTAX, 0, {NULL}},
        {"v=TLSRPTv1; x=y=z; rua=mailto:a@b.example", ERR_SYNTAX, 0, {NULL}},
        {"v=TLSRPTv1;", ERR_SYNTAX, 0, {NULL}},
        {"v=TLSRPTv1", ERR_SYNTAX, 0, {NULL}},
        {"v=TLSRPTv2; rua=mailto:a@b.example", ERR_SYNTAX, 0, {NULL}},
        {"v=tlsrptv1; rua=mailto:a@b.example", ERR_SYNTAX, 0, {NULL}},
        {"rua=mailto:a@b.example; v=TLSRPTv1;", ERR_SYNTAX, 0, {NULL}},
        {"", ERR_SYNTAX, 0, {NULL}},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct tlsrpt_record record = {.uris_n = 0};
        print_message("%s\n", table[i].text);
        assert_int_equal(tlsrpt_record_parse(arena, view_cstr(table[i].text), &record), table[i].err);
        assert_int_equal(record.uris_n, table[i].n);
        for (size_t k = 0; k < record.uris_n; k++)
            assert_view(record.uris[k].is_mail ? record.uris[k].to : record.uris[k].text, table[i].uris[k]);
    }
}

static void discovery(void **state) {
    (void)state;
    static const struct {
        const char *texts[2];
        enum tlsrpt_found found;
    } cases[] = {
        {{"v=TLSRPTv1;rua=mailto:a@b.example"}, TLSRPT_RECORD},
        {{"other", "v=TLSRPTv1;rua=mailto:a@b.example"}, TLSRPT_RECORD},
        {{"v=TLSRPTv1;rua=mailto:a@b.example", "v=TLSRPTv1;rua=mailto:c@d.example"}, TLSRPT_INVALID},
        {{"v=TLSRPTv1;"}, TLSRPT_INVALID},
        {{"other"}, TLSRPT_NOTHING},
        {{NULL}, TLSRPT_NOTHING},
    };
    struct dns_table table;
    struct tlsrpt_record record;
    enum tlsrpt_found found;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        dns_table_init(&table);
        for (size_t k = 0; k < 2 && cases[i].texts[k]; k++)
            dns_table_add(&table, VIEW("_smtp._tls.example.com"), DNS_TXT, view_cstr(cases[i].texts[k]));
        assert_int_equal(tlsrpt_discover(&table.client, VIEW("example.com"), arena, &found, &record), ERR_OK);
        assert_int_equal(found, cases[i].found);
        dns_table_fini(&table);
    }
    dns_table_init(&table);
    dns_table_add(&table, VIEW("_smtp._tls.dead.example"), DNS_TABLE_TIMEOUT, VIEW_NONE);
    assert_int_equal(tlsrpt_discover(&table.client, VIEW("dead.example"), arena, &found, &record), ERR_OK);
    assert_int_equal(found, TLSRPT_NO_ANSWER);
    assert_int_equal(tlsrpt_discover(&table.client, VIEW("no name"), arena, &found, &record), ERR_OK);
    assert_int_equal(found, TLSRPT_NOTHING);
    table.fail = ERR_AGAIN;
    assert_int_equal(tlsrpt_discover(&table.client, VIEW("a.example"), arena, &found, &record), ERR_AGAIN);
    dns_table_fini(&table);
}

/* What is no report, and what is one although it is odd. */
static void odd_reports(void **state) {
    (void)state;
    static const struct {
        const char *json;
        enum err err;
        size_t policies_n;
    } table[] = {
        {"{\"policies\":[]}", ERR_OK, 0},
        {"\xef\xbb\xbf{\"policies\":[{}]}", ERR_OK, 1},
        {"{\"policies\":[{},5,null,[],{}],\"x\":{\"y\":[1]}}", ERR_OK, 2},
        {"{\"policies\":[{\"policy\":5,\"summary\":\"x\",\"failure-details\":{}}]}", ERR_OK, 1},
        {"{\"policies\":{}}", ERR_SYNTAX, 0},
        {"{}", ERR_SYNTAX, 0},
        {"[]", ERR_SYNTAX, 0},
        {"5", ERR_SYNTAX, 0},
        {"", ERR_SYNTAX, 0},
        {"{\"policies\":[]", ERR_SYNTAX, 0},
        {"{\"policies\":[]} x", ERR_SYNTAX, 0},
        {"{\"policies\":[],\"report-id\":\"\\u0000\"}", ERR_SYNTAX, 0},
        {"{\"policies\":[],\"report-id\":\"\xff\"}", ERR_SYNTAX, 0},
        {"{\"policies\":[],\"x\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}", ERR_LIMIT, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct tlsrpt_report report = {.policies_n = 0};
        print_message("%s\n", table[i].json);
        assert_int_equal(tlsrpt_read(arena, view_cstr(table[i].json), &report), table[i].err);
        assert_int_equal(report.policies_n, table[i].policies_n);
    }
}

static void odd_values(void **state) {
    (void)state;
    struct tlsrpt_report r;
    assert_int_equal(
        tlsrpt_read(
            arena,
            VIEW(
                "{\"date-range\":{\"start-datetime\":\"2016-04-01t02:00:00.25+02:00\",\"end-datetime\":\"2016-04-01\"},"
                "\"organization-name\":7,\"policies\":[{\"policy\":{\"policy-type\":\"STS\",\"policy-string\":\"x\","
                "\"mx-host\":[\"a\",5,\"b\"]},\"summary\":{\"total-successful-session-count\":\"12\","
                "\"total-failure-session-count\":3.0},\"failure-details\":[{\"result-type\":\"Certificate-Expired\","
                "\"failed-session-count\":-1},{\"result-type\":\"new-thing\",\"failed-session-count\":1e300}]}]}"),
            &r),
        ERR_OK);
    assert_int_equal(r.begin_s, 1459468800);
    assert_int_equal(r.end_s, 1459468800);
    assert_null(r.organization.p);
    const struct tlsrpt_policy *p = &r.policies[0];
    assert_int_equal(p->type, TLSRPT_STS);
    assert_true(p->lines_n == 1 && p->mx_n == 2 && p->successes == 12 && p->failures == 3 && p->details_n == 2);
    assert_int_equal(p->details[0].result, TLSRPT_EXPIRED);
    assert_int_equal(p->details[1].result, TLSRPT_OTHER_RESULT);
    assert_view(p->details[1].result_text, "new-thing");
    assert_true(p->details[0].sessions == 0 && p->details[1].sessions == 0);
    static const char *const no_times[] = {"2016-13-01T00:00:00Z", "2016-04-01T00:00:00Zx", "yesterday", "",
                                           "2016-04-01T0:0:0Z"};
    for (size_t i = 0; i < ARRAY_LEN(no_times); i++) {
        struct view json;
        assert_int_equal(
            arena_printf(arena, &json, "{\"date-range\":{\"start-datetime\":\"%s\"},\"policies\":[]}", no_times[i]),
            ERR_OK);
        assert_int_equal(tlsrpt_read(arena, json, &r), ERR_OK);
        assert_int_equal(r.begin_s, 0);
    }
}

static void limits(void **state) {
    (void)state;
    struct buf json, file;
    struct tlsrpt_report report;
    buf_init(&json, OUT_MAX);
    buf_init(&file, OUT_MAX);
    buf_put_str(&json, "{\"policies\":[{}");
    for (size_t i = 0; i < TLSRPT_POLICIES_MAX + 5; i++)
        buf_put_str(&json, ",{}");
    buf_put_str(&json, "]}");
    assert_int_equal(tlsrpt_read(arena, buf_view(&json), &report), ERR_OK);
    assert_int_equal(report.policies_n, TLSRPT_POLICIES_MAX);
    assert_int_equal(report.left_out, 6);
    buf_clear(&json);
    buf_put_str(&json, "{\"policies\":[{\"failure-details\":[{}");
    for (size_t i = 0; i < TLSRPT_FAILURES_MAX; i++)
        buf_put_str(&json, ",{}");
    buf_put_str(&json, "]},{\"failure-details\":[{}]}]}");
    assert_int_equal(tlsrpt_read(arena, buf_view(&json), &report), ERR_OK);
    assert_int_equal(report.policies[0].details_n, TLSRPT_FAILURES_MAX);
    assert_int_equal(report.left_out, 2);
    buf_clear(&json);
    buf_put_byte(&json, '[');
    for (size_t i = 0; i <= TLSRPT_VALUES_MAX; i++)
        buf_put_str(&json, "1,");
    assert_int_equal(tlsrpt_read(arena, buf_view(&json), &report), ERR_LIMIT);
    /* a long text is cut at a character, also behind gzip */
    buf_clear(&json);
    buf_put_str(&json, "{\"policies\":[],\"report-id\":\"x");
    for (size_t i = 0; i < TLSRPT_TEXT_MAX; i++)
        buf_put_str(&json, "\xc3\xa4");
    buf_put_str(&json, "\"}");
    buf_put_gzip(&file, buf_view(&json));
    assert_int_equal(tlsrpt_read_file(arena, buf_view(&file), &report), ERR_OK);
    assert_int_equal(report.report_id.n, TLSRPT_TEXT_MAX - 1);
    file.p[file.n - 1] ^= 1;
    assert_int_equal(tlsrpt_read_file(arena, buf_view(&file), &report), ERR_SYNTAX);
    buf_clear(&json);
    while (json.n <= TLSRPT_JSON_MAX)
        buf_put_str(&json, "                                                                ");
    assert_int_equal(tlsrpt_read(arena, buf_view(&json), &report), ERR_LIMIT);
    buf_clear(&file);
    buf_put_gzip(&file, buf_view(&json));
    assert_int_equal(tlsrpt_read_file(arena, buf_view(&file), &report), ERR_LIMIT);
    buf_fini(&json);
    buf_fini(&file);
}

static const struct view lines[] = {VIEW_INIT("version: STSv1"), VIEW_INIT("mode: testing"),
                                    VIEW_INIT("mx: *.mail.company-y.example"), VIEW_INIT("max_age: 86400")};
static const struct view patterns[] = {VIEW_INIT("*.mail.company-y.example")};

static void add(struct tlsrpt_collection *c, bool is_success, enum tlsrpt_result result, const char *reason,
                enum err expected) {
    struct tlsrpt_session session = {.policy = TLSRPT_STS,
                                     .domain = VIEW("company-y.example"),
                                     .lines = lines,
                                     .lines_n = ARRAY_LEN(lines),
                                     .mx = patterns,
                                     .mx_n = 1,
                                     .is_success = is_success,
                                     .failure = {.result = result,
                                                 .sending_ip = VIEW("2001:db8::1"),
                                                 .mx_host = VIEW("mx1.mail.company-y.example"),
                                                 .reason = view_cstr(reason)}};
    assert_int_equal(tlsrpt_collection_add(c, &session), expected);
}

static void collected(void **state) {
    (void)state;
    struct tlsrpt_collection *c;
    struct tlsrpt_report report = {.policies_n = 7};
    assert_int_equal(tlsrpt_collection_new(1 << 20, &c), ERR_OK);
    tlsrpt_collection_report(c, &report);
    assert_int_equal(report.policies_n, 0);
    for (size_t i = 0; i < 5; i++)
        add(c, true, 0, NULL, ERR_OK);
    for (size_t i = 0; i < 3; i++)
        add(c, false, TLSRPT_EXPIRED, NULL, ERR_OK);
    add(c, false, TLSRPT_OTHER_RESULT, "code 9", ERR_OK);
    struct tlsrpt_session dane = {.policy = TLSRPT_TLSA, .domain = VIEW("mx.example"), .is_success = true};
    assert_int_equal(tlsrpt_collection_add(c, &dane), ERR_OK);
    dane.domain = VIEW("MX.example");
    assert_int_equal(tlsrpt_collection_add(c, &dane), ERR_OK);
    tlsrpt_collection_report(c, &report);
    assert_int_equal(report.policies_n, 2);
    const struct tlsrpt_policy *p = &report.policies[0];
    assert_true(p->type == TLSRPT_STS && p->successes == 5 && p->failures == 4 && p->details_n == 2);
    assert_true(p->details[0].result == TLSRPT_EXPIRED && p->details[0].sessions == 3);
    assert_true(p->details[1].result == TLSRPT_VALIDATION_FAILURE && p->details[1].sessions == 1);
    assert_view(p->details[1].reason, "code 9");
    assert_true(p->lines_n == 4 && p->mx_n == 1 && view_eq(p->mx[0], patterns[0]));
    assert_true(report.policies[1].successes == 2 && report.policies[1].details_n == 0);
    tlsrpt_collection_free(c);
    tlsrpt_collection_free(NULL);
}

/* More kinds of failure than are told apart: no session is lost, nor when the budget is. */
static void collected_much(void **state) {
    (void)state;
    for (size_t round = 0; round < 2; round++) {
        struct tlsrpt_collection *c;
        struct tlsrpt_report report = {.policies_n = 0};
        assert_int_equal(tlsrpt_collection_new(round ? 4096 : 1 << 20, &c), ERR_OK);
        size_t n = TLSRPT_COLLECT_FAILURES_MAX + 40;
        char reason[32];
        for (size_t i = 0; i < n; i++) {
            (void)snprintf(reason, sizeof(reason), "reason %zu", i);
            add(c, false, TLSRPT_NOT_TRUSTED, reason, ERR_OK);
        }
        tlsrpt_collection_report(c, &report);
        const struct tlsrpt_policy *p = &report.policies[0];
        uint64_t sum = 0;
        for (size_t i = 0; i < p->details_n; i++)
            sum += p->details[i].sessions;
        assert_int_equal(sum, n);
        assert_int_equal(p->failures, n);
        assert_true(p->details_n <= TLSRPT_COLLECT_FAILURES_MAX + 1);
        assert_true(p->details[p->details_n - 1].sessions >= 40);
        struct tlsrpt_session other = {.policy = TLSRPT_TLSA, .is_success = true};
        for (size_t i = 0; i < TLSRPT_COLLECT_POLICIES_MAX; i++) {
            (void)snprintf(reason, sizeof(reason), "mx%zu.example", i);
            other.domain = view_cstr(reason);
            enum err err = tlsrpt_collection_add(c, &other);
            assert_true(err == (i + 1 < TLSRPT_COLLECT_POLICIES_MAX ? ERR_OK : ERR_LIMIT) ||
                        (round && err == ERR_LIMIT));
        }
        tlsrpt_collection_free(c);
    }
}

struct sink {
    struct builder_sink sink;
    struct buf out;
};

static enum err take(struct builder_sink *sink, struct view octets) {
    struct sink *s = (struct sink *)sink;
    buf_put(&s->out, octets);
    return buf_err(&s->out);
}

static struct view field(struct view header, struct view name) {
    struct header_field found;
    struct view value;
    assert_true(header_find(header, name, &found));
    assert_int_equal(header_unfold(arena, found.value, &value), ERR_OK);
    return view_trim(value);
}

/* RFC8460-5: what is sent is what is read, by ourselves. */
static void mailed(void **state) {
    (void)state;
    struct tlsrpt_collection *c;
    assert_int_equal(tlsrpt_collection_new(1 << 20, &c), ERR_OK);
    add(c, true, 0, NULL, ERR_OK);
    add(c, false, TLSRPT_STARTTLS_NOT_SUPPORTED, "x\0y\xff\"", ERR_OK);
    struct tlsrpt_report report = {.organization = VIEW("Company-\xc3\x9c"),
                                   .contact = VIEW("sts-reporting@company-x.example"),
                                   .report_id = VIEW("2016-04-01T00:00:00Z_company-y.example"),
                                   .begin_s = 1459468800,
                                   .end_s = 1459468800 + 86399},
                         again;
    tlsrpt_collection_report(c, &report);
    struct tlsrpt_mail mail = {.report = &report,
                               .domain = VIEW("company-y.example"),
                               .from = VIEW("noreply@company-x.example"),
                               .to = VIEW("reports@company-y.example"),
                               .unique_id = VIEW("001"),
                               .wall_us = WALL_US};
    struct sink sink = {.sink = {take}};
    buf_init(&sink.out, OUT_MAX);
    assert_int_equal(tlsrpt_mail_write(arena, &mail, &sink.sink), ERR_OK);
    struct message message;
    assert_int_equal(message_parse(arena, buf_view(&sink.out), &message), ERR_OK);
    struct view header = message_part_header(&message, message.root);
    assert_true(mime_part_is(message.root, VIEW("multipart"), VIEW("report")));
    assert_view(mime_params_get(&message.root->params, VIEW("report-type")), "tlsrpt");
    assert_view(field(header, VIEW("TLS-Report-Domain")), "company-y.example");
    assert_view(field(header, VIEW("TLS-Report-Submitter")), "company-x.example");
    assert_view(field(header, VIEW("From")), "noreply@company-x.example");
    assert_view(field(header, VIEW("Subject")),
                "Report Domain: company-y.example Submitter: company-x.example Report-ID: "
                "<2016-04-01T00-00-00Z_company-y.example@company-x.example>");
    assert_int_equal(message.root->child_count, 2);
    assert_true(mime_part_is(message.root->first_child, VIEW("text"), VIEW("plain")));
    const struct mime_part *file = message.root->last_child;
    assert_true(mime_part_is(file, VIEW("application"), VIEW("tlsrpt+gzip")));
    struct buf name; /* maybe in pieces (RFC2231-3) */
    buf_init(&name, 4 * ATTACHMENT_NAME_MAX);
    mime_part_put_name(&name, NULL, file);
    assert_view(buf_view(&name), "company-x.example!company-y.example!1459468800!1459555199!001.json.gz");
    buf_fini(&name);
    for (size_t i = 0; i < sink.out.n; i++)
        assert_true(sink.out.p[i] < 0x80); /* 7bit */
    assert_int_equal(tlsrpt_read_message(arena, &message, &again), ERR_OK);
    assert_true(view_eq(again.organization, report.organization) && view_eq(again.contact, report.contact));
    assert_true(view_eq(again.report_id, report.report_id));
    assert_true(again.begin_s == report.begin_s && again.end_s == report.end_s && again.policies_n == 1);
    const struct tlsrpt_policy *p = &again.policies[0];
    assert_true(p->type == TLSRPT_STS && p->successes == 1 && p->failures == 1 && p->lines_n == 4 && p->details_n == 1);
    assert_true(p->mx_n == 1 && view_eq(p->mx[0], patterns[0]));
    assert_int_equal(p->details[0].result, TLSRPT_STARTTLS_NOT_SUPPORTED);
    assert_view(p->details[0].reason, "x");
    buf_fini(&sink.out);
    tlsrpt_collection_free(c);
}

static void not_mailed(void **state) {
    (void)state;
    struct tlsrpt_report report = {.contact = VIEW("a@company-x.example")};
    struct tlsrpt_mail good = {
        .report = &report, .domain = VIEW("b.example"), .from = VIEW("a@b.example"), .to = VIEW("c@d.example")};
    struct sink sink = {.sink = {take}};
    struct tlsrpt_mail mail = good;
    buf_init(&sink.out, OUT_MAX);
    assert_int_equal(tlsrpt_mail_write(arena, &mail, &sink.sink), ERR_OK);
    mail.domain = VIEW("b.example\r\nX: y");
    assert_int_equal(tlsrpt_mail_write(arena, &mail, &sink.sink), ERR_SYNTAX);
    mail = good;
    mail.unique_id = VIEW("../x");
    assert_int_equal(tlsrpt_mail_write(arena, &mail, &sink.sink), ERR_SYNTAX);
    mail = good;
    mail.to = VIEW("nobody");
    assert_int_equal(tlsrpt_mail_write(arena, &mail, &sink.sink), ERR_SYNTAX);
    report.contact = VIEW("nobody");
    assert_int_equal(tlsrpt_mail_write(arena, &good, &sink.sink), ERR_SYNTAX);
    report.contact = VIEW("a@company-x.example");
    buf_fini(&sink.out);
    buf_init(&sink.out, 100); /* a sink that fails */
    assert_int_equal(tlsrpt_mail_write(arena, &good, &sink.sink), ERR_LIMIT);
    buf_fini(&sink.out);
}

/* RFC8460-5.3: which part it is, and none. */
static void found_in_mail(void **state) {
    (void)state;
    static const struct {
        const char *type, *body;
        enum err err;
    } table[] = {
        {"application/tlsrpt+json", "{\"policies\":[]}", ERR_OK},
        {"Application/TLSRPT", "{\"policies\":[]}", ERR_OK},
        {"application/octet-stream; name=\"a!b!1!2.json\"", "{\"policies\":[]}", ERR_OK},
        {"application/json; name=a.JSON", "{\"policies\":[]}", ERR_OK},
        {"application/tlsrpt+json", "{}", ERR_SYNTAX},
        {"application/tlsrpt+gzip", "\x1f\x8b\x08", ERR_SYNTAX},
        {"text/plain", "{\"policies\":[]}", ERR_NOT_FOUND},
        {"application/json", "{\"policies\":[]}", ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct view text;
        struct message message;
        struct tlsrpt_report report;
        assert_int_equal(arena_printf(arena, &text, "Content-Type: %s\r\n\r\n%s", table[i].type, table[i].body),
                         ERR_OK);
        assert_int_equal(message_parse(arena, text, &message), ERR_OK);
        assert_int_equal(tlsrpt_read_message(arena, &message, &report), table[i].err);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),        cmocka_unit_test(discovery), cmocka_unit_test(odd_reports),
        cmocka_unit_test(odd_values),     cmocka_unit_test(limits),    cmocka_unit_test(collected),
        cmocka_unit_test(collected_much), cmocka_unit_test(mailed),    cmocka_unit_test(not_mailed),
        cmocka_unit_test(found_in_mail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
