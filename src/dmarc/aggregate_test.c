/* Aggregate reports: reading with its limits, writing, and what is written reads back equal. */
#include "dmarc/aggregate.h"

#include "inflate/inflate.h"
#include "message/testing.h"

#include <string.h>

static struct arena *arena;
static struct buf text;

static int setup(void **state) {
    (void)state;
    buf_init(&text, 2 * AGGREGATE_XML_MAX);
    arena = arena_new("test", AGGREGATE_ARENA_BUDGET);
    return arena == NULL;
}

static int teardown(void **state) {
    (void)state;
    buf_fini(&text);
    arena_free(arena);
    return 0;
}

#define METADATA                                                                                            \
    "<report_metadata><org_name>r</org_name><email>a@r.example</email><report_id>7</report_id><date_range>" \
    "<begin>100</begin><end>200</end></date_range></report_metadata>"
#define POLICY "<policy_published><domain>s.example</domain><p>reject</p></policy_published>"
#define RECORD                                                                                                   \
    "<record><row><source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated><disposition>none"           \
    "</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>s.example" \
    "</header_from></identifiers><auth_results><spf><domain>s.example</domain><result>fail</result></spf>"       \
    "</auth_results></record>"
#define REPORT "<feedback>" METADATA POLICY RECORD "</feedback>"
#define DMARC2 "urn:ietf:params:xml:ns:dmarc-2.0"

/* ---- documents */

static void test_documents(void **state) {
    (void)state;
    static const struct {
        const char *xml;
        enum err err;
        size_t rows;
    } cases[] = {
        {REPORT, ERR_OK, 1},
        {"\r\n \t<?xml version=\"1.0\"?>" REPORT, ERR_OK, 1},
        {"\xEF\xBB\xBF<?xml version=\"1.0\"?>" REPORT, ERR_OK, 1},
        {"<?xml version=\"1.0\" encoding=\"utf8\"?>" REPORT, ERR_OK, 1},
        {"<?xml version=\"1.0\" encoding=\"windows-1252\"?>" REPORT, ERR_OK, 1},
        {"<feedback xmlns=\"" DMARC2 "\">" METADATA POLICY RECORD "</feedback>", ERR_OK, 1},
        {"<feedback xmlns=\"urn:other\">" METADATA POLICY RECORD "</feedback>", ERR_OK, 1},
        {"<d:feedback xmlns:d=\"http://dmarc.org/dmarc-xml/0.1\">" METADATA POLICY RECORD "</d:feedback>", ERR_OK, 1},
        {"<feedback>" RECORD POLICY RECORD METADATA "</feedback>", ERR_OK, 2}, /* any order */
        {"<feedback>" METADATA POLICY "</feedback>", ERR_OK, 0},
        {REPORT "<<< anything", ERR_OK, 1},
        {"<a><b>" REPORT, ERR_OK, 1},
        {"<feedback>" METADATA POLICY "<x>" RECORD "</x></feedback>", ERR_OK, 0}, /* unknown with all inside */
        {"<feedback>" METADATA POLICY "<row/><record/><e:record xmlns:e=\"urn:x\"/></feedback>", ERR_OK, 1},
        {"", ERR_SYNTAX, 0},
        {"feedback", ERR_SYNTAX, 0},
        {"<html></html>", ERR_SYNTAX, 0},
        {"<feedback>" METADATA RECORD "</feedback>", ERR_SYNTAX, 0}, /* about nobody */
        {"<feedback>" METADATA POLICY RECORD, ERR_SYNTAX, 0},
        {"<feedback>" METADATA POLICY RECORD "</feedbac>", ERR_SYNTAX, 0},
        {"<!DOCTYPE feedback>" REPORT, ERR_SYNTAX, 0},
        {"<!DOCTYPE feedback SYSTEM \"file:///etc/passwd\">" REPORT, ERR_SYNTAX, 0},
        {"<!DOCTYPE f [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>" REPORT, ERR_SYNTAX, 0},
        {"<feedback>&a;" METADATA POLICY RECORD "</feedback>", ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct aggregate_report report;
        arena_clear(arena);
        enum err err = aggregate_read(arena, view_cstr(cases[i].xml), &report);
        if (err != cases[i].err)
            print_error("%s\n", cases[i].xml);
        assert_int_equal(err, cases[i].err);
        if (err != ERR_OK)
            continue;
        assert_view(report.domain, "s.example");
        assert_int_equal(report.rows_n, cases[i].rows);
    }
    /* Cut anywhere it is no report. */
    for (size_t n = 0; n <= sizeof(REPORT) - 1; n++) {
        struct aggregate_report report;
        arena_clear(arena);
        assert_int_equal(aggregate_read(arena, view_of(REPORT, n), &report),
                         n == sizeof(REPORT) - 1 ? ERR_OK : ERR_SYNTAX);
    }
}

static void test_values(void **state) {
    (void)state;
    struct aggregate_report report;
    arena_clear(arena);
    assert_int_equal(
        aggregate_read(
            arena,
            VIEW(
                "<feedback><report_metadata><org_name> A &amp; \xC3\xBC\r\nB </org_name><org_name>no</org_name>"
                "<email>a<b>x</b>c</email><error>one</error><error/><error>two</error><date_range><begin>-1</begin>"
                "<begin>10</begin><end>99999999999999999999</end></date_range></report_metadata><policy_published>"
                "<domain>s.example</domain><p> Reject </p><p>none</p><sp>bogus</sp><adkim>S</adkim><aspf>relaxed</aspf>"
                "<testing>Y</testing><pct>101</pct><pct>50</pct><discovery_method>psl</discovery_method>"
                "</policy_published><record><row><source_ip>2001:DB8::1</source_ip><source_ip>192.0.2.1</source_ip>"
                "<count>x</count><count>5</count><policy_evaluated><reason><type/></reason><reason><type>forwarded"
                "</type></reason><disposition>pass</disposition></policy_evaluated></row><identifiers><envelope_from/>"
                "</identifiers><auth_results><dkim><result>HardFail</result></dkim><dkim><selector>s</selector></dkim>"
                "<spf><scope>helo</scope><result>pass</result></spf></auth_results></record></feedback>"),
            &report),
        ERR_OK);
    assert_view(report.org_name, "A & \xC3\xBC\nB");
    assert_view(report.email, "ac");
    assert_int_equal(report.errors_n, 2);
    assert_view(report.errors[1], "two");
    assert_int_equal(report.begin_s, 10);
    assert_int_equal(report.end_s, 0);
    assert_int_equal(report.p, AGGREGATE_POLICY_REJECT);
    assert_int_equal(report.sp, AGGREGATE_POLICY_UNSAID);
    assert_int_equal(report.adkim, AGGREGATE_STRICT);
    assert_int_equal(report.aspf, AGGREGATE_RELAXED);
    assert_int_equal(report.testing, AGGREGATE_YES);
    assert_int_equal(report.percent, 50);
    assert_int_equal(report.discovery, AGGREGATE_SUFFIX_LIST);
    const struct aggregate_row *row = &report.rows[0];
    assert_int_equal(row->source.family, 6);
    assert_int_equal(row->count, 5);
    assert_int_equal(row->disposition, AGGREGATE_DISPOSITION_PASS);
    assert_int_equal(row->dkim, AGGREGATE_ALIGNED_UNSAID);
    assert_int_equal(row->reasons_n, 1); /* the empty one is none */
    assert_int_equal(row->reasons[0].type, AGGREGATE_FORWARDED);
    assert_true(row->envelope_from.p != NULL && row->envelope_from.n == 0 && row->envelope_to.p == NULL);
    assert_int_equal(row->dkim_results_n, 2);
    assert_int_equal(row->dkim_results[0].result, AGGREGATE_RESULT_FAIL);
    assert_view(row->dkim_results[1].selector, "s");
    assert_int_equal(row->spf_results[0].scope, AGGREGATE_HELO);
    /* Octets that are no UTF-8 */
    arena_clear(arena);
    assert_int_equal(
        aggregate_read(arena, VIEW("<feedback>" POLICY "<version>a\xFF\xE9z</version></feedback>"), &report), ERR_OK);
    assert_view(report.version, "a\xEF\xBF\xBD\xEF\xBF\xBDz");
    assert_int_equal(aggregate_read(arena,
                                    VIEW("<?xml version='1.0' encoding='ISO-8859-1'?><feedback>" POLICY
                                         "<version>\xE9</version></feedback>"),
                                    &report),
                     ERR_OK);
    assert_view(report.version, "\xC3\xA9");
}

static void repeat(const char *what, size_t n) {
    for (size_t i = 0; i < n; i++)
        buf_put_str(&text, what);
}

static void test_limits(void **state) {
    (void)state;
    struct aggregate_report report;
    /* AGGREGATE_DEPTH_MAX */
    for (size_t depth = AGGREGATE_DEPTH_MAX - 1; depth <= AGGREGATE_DEPTH_MAX; depth++) {
        buf_clear(&text);
        buf_put_str(&text, "<feedback>" POLICY);
        repeat("<a>", depth);
        repeat("</a>", depth);
        buf_put_str(&text, "</feedback>");
        arena_clear(arena);
        assert_int_equal(aggregate_read(arena, buf_view(&text), &report),
                         depth < AGGREGATE_DEPTH_MAX ? ERR_OK : ERR_LIMIT);
    }
    /* AGGREGATE_ROWS_MAX: with the smallest records, and all is in the arena's budget. */
    buf_clear(&text);
    buf_put_str(&text, "<feedback>" POLICY);
    repeat("<record/>", AGGREGATE_ROWS_MAX + 7);
    buf_put_str(&text, "</feedback>");
    arena_clear(arena);
    assert_int_equal(aggregate_read(arena, buf_view(&text), &report), ERR_OK);
    assert_int_equal(report.rows_n, AGGREGATE_ROWS_MAX);
    assert_int_equal(report.rows_left_out, 7);
    /* AGGREGATE_RESULTS_MAX, AGGREGATE_REASONS_MAX, AGGREGATE_ERRORS_MAX */
    buf_clear(&text);
    buf_put_str(&text, "<feedback><report_metadata>");
    repeat("<error>x</error>", AGGREGATE_ERRORS_MAX + 5);
    buf_put_str(&text, "</report_metadata>" POLICY "<record><row><policy_evaluated>");
    repeat("<reason><type>other</type></reason>", AGGREGATE_REASONS_MAX + 5);
    buf_put_str(&text, "</policy_evaluated></row><auth_results>");
    repeat("<dkim><result>pass</result></dkim><spf><result>fail</result></spf>", AGGREGATE_RESULTS_MAX + 5);
    buf_put_str(&text, "</auth_results></record></feedback>");
    arena_clear(arena);
    assert_int_equal(aggregate_read(arena, buf_view(&text), &report), ERR_OK);
    assert_int_equal(report.errors_n, AGGREGATE_ERRORS_MAX);
    assert_int_equal(report.rows[0].reasons_n, AGGREGATE_REASONS_MAX);
    assert_int_equal(report.rows[0].dkim_results_n, AGGREGATE_RESULTS_MAX);
    assert_int_equal(report.rows[0].spf_results_n, AGGREGATE_RESULTS_MAX);
    assert_int_equal(report.rows[0].spf_results[AGGREGATE_RESULTS_MAX - 1].result, AGGREGATE_RESULT_FAIL);
    /* AGGREGATE_TEXT_MAX: cut at a character */
    buf_clear(&text);
    buf_put_str(&text, "<feedback>" POLICY "<version>a");
    repeat("\xE2\x82\xAC", AGGREGATE_TEXT_MAX);
    buf_put_str(&text, "</version></feedback>");
    arena_clear(arena);
    assert_int_equal(aggregate_read(arena, buf_view(&text), &report), ERR_OK);
    assert_int_equal(report.version.n, 1 + (AGGREGATE_TEXT_MAX - 1) / 3 * 3);
    /* AGGREGATE_XML_MAX */
    buf_clear(&text);
    buf_put_str(&text, REPORT);
    while (text.n <= AGGREGATE_XML_MAX)
        buf_put_byte(&text, ' ');
    arena_clear(arena);
    assert_int_equal(aggregate_read(arena, view_sub(buf_view(&text), 0, AGGREGATE_XML_MAX), &report), ERR_OK);
    assert_int_equal(aggregate_read(arena, buf_view(&text), &report), ERR_LIMIT);
    /* A document of nothing but empty results is over the arena's budget, not over the machine's memory. */
    buf_clear(&text);
    buf_put_str(&text, "<feedback>" POLICY);
    while (text.n < AGGREGATE_XML_MAX - 2000) {
        buf_put_str(&text, "<record><auth_results>");
        repeat("<dkim/>", AGGREGATE_RESULTS_MAX);
        buf_put_str(&text, "</auth_results></record>");
    }
    buf_put_str(&text, "</feedback>");
    arena_clear(arena);
    assert_int_equal(aggregate_read(arena, buf_view(&text), &report), ERR_LIMIT);
    /* The arena: ERR_LIMIT for every budget that is too small, and nothing else. */
    bool has_failed = false, has_passed = false;
    for (size_t budget = 0; budget < 60000; budget += 256) {
        struct arena *small = arena_new("small", budget);
        enum err err = aggregate_read(small, VIEW(REPORT), &report);
        assert_true(err == ERR_LIMIT || err == ERR_OK);
        *(err == ERR_OK ? &has_passed : &has_failed) = true;
        arena_free(small);
    }
    assert_true(has_failed && has_passed);
}

/* ---- names */

static void test_names(void **state) {
    (void)state;
    struct aggregate_report report = {.domain = VIEW("example.com"), .begin_s = 1013662812, .end_s = 1013749130};
    /* RFC9990-3.5.2: its examples */
    buf_clear(&text);
    assert_int_equal(aggregate_put_file_name(&text, VIEW("mail.receiver.example"), &report, VIEW_NONE), ERR_OK);
    assert_view(buf_view(&text), "mail.receiver.example!example.com!1013662812!1013749130.xml.gz");
    buf_clear(&text);
    assert_int_equal(aggregate_put_file_name(&text, VIEW("mail.receiver.example"), &report, VIEW("4a7")), ERR_OK);
    assert_view(buf_view(&text), "mail.receiver.example!example.com!1013662812!1013749130!4a7.xml.gz");
    report.report_id = VIEW("sample-ridtxt@example.com");
    buf_clear(&text);
    assert_int_equal(aggregate_put_subject(&text, VIEW("mail.receiver.example"), &report), ERR_OK);
    assert_view(buf_view(&text),
                "Report Domain: example.com Submitter: mail.receiver.example Report-ID: <sample-ridtxt@example.com>");
    static const char *const bad_domains[] = {"", ".", "a..b", "../x", "a!b", "a b", "a\nb", "\xC3\xBC.example"};
    for (size_t i = 0; i < ARRAY_LEN(bad_domains); i++) {
        assert_int_equal(aggregate_put_file_name(&text, view_cstr(bad_domains[i]), &report, VIEW_NONE), ERR_SYNTAX);
        assert_int_equal(aggregate_put_subject(&text, view_cstr(bad_domains[i]), &report), ERR_SYNTAX);
    }
    static const char *const bad_ids[] = {"a!", "a b", "-", "a/b", "\xC3\xBC"};
    for (size_t i = 0; i < ARRAY_LEN(bad_ids); i++)
        assert_int_equal(aggregate_put_file_name(&text, VIEW("r"), &report, view_cstr(bad_ids[i])), ERR_SYNTAX);
    /* RFC9990-3.5.1 */
    static const struct {
        const char *id;
        enum err err;
    } ids[] = {{"1721054318-example.com@example.org", ERR_OK},
               {"7", ERR_OK},
               {"", ERR_SYNTAX},
               {"a@b@c", ERR_SYNTAX},
               {"a@", ERR_SYNTAX},
               {"@a", ERR_SYNTAX},
               {"a..b", ERR_SYNTAX},
               {"a b", ERR_SYNTAX},
               {"a>b", ERR_SYNTAX}};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        report.report_id = view_cstr(ids[i].id);
        buf_clear(&text);
        assert_int_equal(aggregate_put_subject(&text, VIEW("r"), &report), ids[i].err);
    }
    static const struct dmarc_verdict verdict = {
        .record = {.p = DMARC_POLICY_REJECT,
                   .sp = DMARC_POLICY_QUARANTINE,
                   .strict_spf = true,
                   .fo = DMARC_FO_ALL_FAILED | DMARC_FO_SPF},
        .record_domain = VIEW_INIT("s.example"),
        .by_suffix_list = true,
    };
    aggregate_set_policy(&report, &verdict);
    assert_view(report.domain, "s.example");
    assert_view(report.fo, "0:s");
    assert_true(report.p == AGGREGATE_POLICY_REJECT && report.sp == AGGREGATE_POLICY_QUARANTINE &&
                report.np == AGGREGATE_POLICY_NONE && report.adkim == AGGREGATE_RELAXED &&
                report.aspf == AGGREGATE_STRICT && report.testing == AGGREGATE_NO &&
                report.discovery == AGGREGATE_SUFFIX_LIST);
}

/* ---- writing */

static struct aggregate_row good_row(void) {
    return (struct aggregate_row){
        .source = {.family = 4, .ip = {192, 0, 2, 1}},
        .count = 1,
        .disposition = AGGREGATE_DISPOSITION_REJECT,
        .dkim = AGGREGATE_ALIGNED_FAIL,
        .spf = AGGREGATE_ALIGNED_FAIL,
        .header_from = VIEW("s.example"),
    };
}

static struct aggregate_report good_report(struct aggregate_row *rows, size_t n) {
    return (struct aggregate_report){
        .org_name = VIEW("r"),
        .email = VIEW("a@r.example"),
        .report_id = VIEW("7"),
        .begin_s = 100,
        .end_s = 200,
        .domain = VIEW("s.example"),
        .p = AGGREGATE_POLICY_REJECT,
        .percent = -1,
        .rows = rows,
        .rows_n = n,
    };
}

/* RFC9990-A: the namespace and the order of elements. */
static void test_written(void **state) {
    (void)state;
    struct aggregate_auth dkim = {.domain = VIEW("s.example"), .selector = VIEW("s1"), .result = AGGREGATE_RESULT_FAIL};
    struct aggregate_auth spf[2] = {{.domain = VIEW("s.example"),
                                     .scope = AGGREGATE_MFROM,
                                     .result = AGGREGATE_RESULT_SOFTFAIL,
                                     .human_result = VIEW("<no>")},
                                    {.domain = VIEW("x"), .scope = AGGREGATE_HELO, .result = AGGREGATE_RESULT_PASS}};
    struct aggregate_reason reason = {AGGREGATE_MAILING_LIST, VIEW("a list")};
    struct aggregate_row row = good_row();
    row.envelope_from = VIEW("");
    row.envelope_to = VIEW("r.example");
    row.reasons = &reason;
    row.reasons_n = 1;
    row.dkim_results = &dkim;
    row.dkim_results_n = 1;
    row.spf_results = spf;
    row.spf_results_n = 2; /* the second has no place in RFC 9990 */
    struct aggregate_report report = good_report(&row, 1);
    report.discovery = AGGREGATE_TREE_WALK;
    report.sp = AGGREGATE_POLICY_NONE;
    report.np = AGGREGATE_POLICY_QUARANTINE;
    report.adkim = AGGREGATE_STRICT;
    report.aspf = AGGREGATE_RELAXED;
    report.fo = VIEW("1");
    report.testing = AGGREGATE_NO;
    report.generator = VIEW("Veredus");
    buf_clear(&text);
    assert_int_equal(aggregate_put(&text, &report), ERR_OK);
    assert_view(buf_view(&text), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                                 "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"
                                 "  <version>1.0</version>\n"
                                 "  <report_metadata>\n"
                                 "    <org_name>r</org_name>\n"
                                 "    <email>a@r.example</email>\n"
                                 "    <report_id>7</report_id>\n"
                                 "    <date_range>\n"
                                 "      <begin>100</begin>\n"
                                 "      <end>200</end>\n"
                                 "    </date_range>\n"
                                 "    <generator>Veredus</generator>\n"
                                 "  </report_metadata>\n"
                                 "  <policy_published>\n"
                                 "    <domain>s.example</domain>\n"
                                 "    <discovery_method>treewalk</discovery_method>\n"
                                 "    <p>reject</p>\n"
                                 "    <sp>none</sp>\n"
                                 "    <np>quarantine</np>\n"
                                 "    <fo>1</fo>\n"
                                 "    <adkim>s</adkim>\n"
                                 "    <aspf>r</aspf>\n"
                                 "    <testing>n</testing>\n"
                                 "  </policy_published>\n"
                                 "  <record>\n"
                                 "    <row>\n"
                                 "      <source_ip>192.0.2.1</source_ip>\n"
                                 "      <count>1</count>\n"
                                 "      <policy_evaluated>\n"
                                 "        <disposition>reject</disposition>\n"
                                 "        <dkim>fail</dkim>\n"
                                 "        <spf>fail</spf>\n"
                                 "        <reason>\n"
                                 "          <type>mailing_list</type>\n"
                                 "          <comment>a list</comment>\n"
                                 "        </reason>\n"
                                 "      </policy_evaluated>\n"
                                 "    </row>\n"
                                 "    <identifiers>\n"
                                 "      <header_from>s.example</header_from>\n"
                                 "      <envelope_from></envelope_from>\n"
                                 "      <envelope_to>r.example</envelope_to>\n"
                                 "    </identifiers>\n"
                                 "    <auth_results>\n"
                                 "      <dkim>\n"
                                 "        <domain>s.example</domain>\n"
                                 "        <selector>s1</selector>\n"
                                 "        <result>fail</result>\n"
                                 "      </dkim>\n"
                                 "      <spf>\n"
                                 "        <domain>s.example</domain>\n"
                                 "        <scope>mfrom</scope>\n"
                                 "        <result>softfail</result>\n"
                                 "        <human_result>&lt;no&gt;</human_result>\n"
                                 "      </spf>\n"
                                 "    </auth_results>\n"
                                 "  </record>\n"
                                 "</feedback>\n");
}

static void test_incomplete_is_not_written(void **state) {
    (void)state;
    struct aggregate_row row = good_row();
    struct aggregate_report good = good_report(&row, 1), bad;
    buf_clear(&text);
    assert_int_equal(aggregate_put(&text, &good), ERR_OK);
#define REFUSED(change)                                           \
    do {                                                          \
        bad = good;                                               \
        row = good_row();                                         \
        change;                                                   \
        buf_clear(&text);                                         \
        assert_int_equal(aggregate_put(&text, &bad), ERR_SYNTAX); \
    } while (0)
    REFUSED(bad.domain = VIEW_NONE);
    REFUSED(bad.org_name = VIEW_NONE);
    REFUSED(bad.email = VIEW_NONE);
    REFUSED(bad.report_id = VIEW_NONE);
    REFUSED(bad.end_s = 0);
    REFUSED(bad.p = AGGREGATE_POLICY_UNSAID);
    REFUSED(bad.rows_n = 0);
    REFUSED(row.count = 0);
    REFUSED(row.source.family = 0);
    REFUSED(row.disposition = AGGREGATE_DISPOSITION_UNSAID);
    REFUSED(row.dkim = AGGREGATE_ALIGNED_UNSAID);
    REFUSED(row.spf = AGGREGATE_ALIGNED_UNSAID);
    REFUSED(row.header_from = VIEW_NONE);
    row = good_row();
    struct buf small;
    buf_init(&small, 500);
    assert_int_equal(aggregate_put(&small, &good), ERR_LIMIT);
    buf_fini(&small);
}

/* ---- what is written reads back equal, for random reports */

static uint64_t dice;

static uint32_t roll(uint32_t n) { /* xorshift64 */
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)(dice >> 32) % n;
}

/* Characters that need care; blanks only inside. */
static struct view random_text(void) {
    static const char *const pieces[] = {"a",
                                         "&",
                                         "<",
                                         ">",
                                         "\"",
                                         "'",
                                         "]]>",
                                         "&amp;",
                                         "\xC3\xBC",
                                         "\xF0\x9F\x93\xAE",
                                         "x \t\r\n y",
                                         "<!--",
                                         "\xEF\xBF\xBD",
                                         "%s",
                                         "\x7F",
                                         "-"};
    uint8_t *p = arena_alloc(arena, 64);
    size_t n = 0;
    for (uint32_t i = 1 + roll(6); i > 0; i--) {
        struct view piece = view_cstr(pieces[roll(ARRAY_LEN(pieces))]);
        memcpy(p + n, piece.p, piece.n);
        n += piece.n;
    }
    return view_of(p, n);
}

static struct view maybe_text(void) {
    return roll(2) == 0 ? VIEW_NONE : random_text();
}

static void random_row(struct aggregate_row *row) {
    *row = (struct aggregate_row){
        .source = {.family = roll(2) == 0 ? 4 : 6, .ip = {(uint8_t)roll(256), 0, (uint8_t)roll(256), 1}},
        .count = 1 + (uint64_t)roll(1000) * roll(1000000),
        .disposition = (enum aggregate_disposition)(1 + roll(AGGREGATE_DISPOSITION_REJECT)),
        .dkim = (enum aggregate_aligned)(1 + roll(2)),
        .spf = (enum aggregate_aligned)(1 + roll(2)),
        .header_from = random_text(),
        .envelope_from = roll(3) == 0 ? VIEW("") : maybe_text(),
        .envelope_to = maybe_text(),
        .reasons_n = roll(4),
        .dkim_results_n = roll(4),
        .spf_results_n = roll(2),
    };
    row->reasons = ARENA_ARRAY(arena, 4, struct aggregate_reason);
    row->dkim_results = ARENA_ARRAY(arena, 4, struct aggregate_auth);
    row->spf_results = ARENA_ARRAY(arena, 1, struct aggregate_auth);
    for (size_t i = 0; i < row->reasons_n; i++)
        row->reasons[i] =
            (struct aggregate_reason){(enum aggregate_override)(1 + roll(AGGREGATE_TRUSTED_FORWARDER)), maybe_text()};
    for (size_t i = 0; i < row->dkim_results_n; i++)
        row->dkim_results[i] = (struct aggregate_auth){.domain = random_text(),
                                                       .selector = random_text(),
                                                       .result = (enum aggregate_result)(1 + roll(8)),
                                                       .human_result = maybe_text()};
    for (size_t i = 0; i < row->spf_results_n; i++)
        row->spf_results[i] = (struct aggregate_auth){.domain = random_text(),
                                                      .scope = (enum aggregate_scope)roll(2),
                                                      .result = (enum aggregate_result)(1 + roll(8)),
                                                      .human_result = maybe_text()};
}

static void same_results(const struct aggregate_auth *a, const struct aggregate_auth *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        assert_true(view_eq(a[i].domain, b[i].domain) && view_eq(a[i].selector, b[i].selector) &&
                    a[i].scope == b[i].scope && a[i].result == b[i].result &&
                    view_eq(a[i].human_result, b[i].human_result));
}

static void same_row(const struct aggregate_row *a, const struct aggregate_row *b) {
    assert_true(netaddr_ip_eq(&a->source, &b->source) && a->count == b->count && a->disposition == b->disposition &&
                a->dkim == b->dkim && a->spf == b->spf);
    assert_true(view_eq(a->header_from, b->header_from) && view_eq(a->envelope_to, b->envelope_to) &&
                view_eq(a->envelope_from, b->envelope_from) &&
                (a->envelope_from.p == NULL) == (b->envelope_from.p == NULL));
    assert_true(a->reasons_n == b->reasons_n && a->dkim_results_n == b->dkim_results_n &&
                a->spf_results_n == b->spf_results_n);
    for (size_t i = 0; i < a->reasons_n; i++)
        assert_true(a->reasons[i].type == b->reasons[i].type && view_eq(a->reasons[i].comment, b->reasons[i].comment));
    same_results(a->dkim_results, b->dkim_results, a->dkim_results_n);
    same_results(a->spf_results, b->spf_results, a->spf_results_n);
}

static void test_written_reads_back(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct aggregate_row rows[20];
        struct buf packed, xml;
        arena_clear(arena);
        dice = seed * 0x9E3779B97F4A7C15u;
        struct aggregate_report a = good_report(rows, 1 + roll(20)), b;
        a.org_name = random_text();
        a.extra_contact_info = maybe_text();
        a.generator = maybe_text();
        a.fo = maybe_text();
        a.end_s = 1 + (int64_t)roll(UINT32_MAX);
        a.sp = (enum aggregate_policy)roll(4);
        a.np = (enum aggregate_policy)roll(4);
        a.adkim = (enum aggregate_alignment)roll(3);
        a.aspf = (enum aggregate_alignment)roll(3);
        a.testing = (enum aggregate_answer)roll(3);
        a.discovery = (enum aggregate_discovery)roll(3);
        for (size_t i = 0; i < a.rows_n; i++)
            random_row(&rows[i]);
        buf_clear(&text);
        buf_init(&packed, AGGREGATE_PACKED_MAX);
        buf_init(&xml, AGGREGATE_XML_MAX);
        assert_int_equal(aggregate_put(&text, &a), ERR_OK);
        buf_put_gzip(&packed, buf_view(&text));
        assert_int_equal(aggregate_unpack(buf_view(&packed), &xml), ERR_OK);
        assert_int_equal(aggregate_read(arena, buf_view(&xml), &b), ERR_OK);
        assert_true(view_eq(a.org_name, b.org_name) && view_eq(a.extra_contact_info, b.extra_contact_info) &&
                    view_eq(a.generator, b.generator) && view_eq(a.fo, b.fo) && view_eq(a.report_id, b.report_id) &&
                    view_eq(a.email, b.email) && view_eq(a.domain, b.domain));
        assert_true(a.begin_s == b.begin_s && a.end_s == b.end_s && a.p == b.p && a.sp == b.sp && a.np == b.np &&
                    a.adkim == b.adkim && a.aspf == b.aspf && a.testing == b.testing && a.discovery == b.discovery);
        assert_int_equal(a.rows_n, b.rows_n);
        for (size_t i = 0; i < a.rows_n; i++)
            same_row(&a.rows[i], &b.rows[i]);
        buf_fini(&packed);
        buf_fini(&xml);
    }
}

/* ---- collecting */

static const uint8_t seed[16] = {7};

static void test_equal_rows_are_one(void **state) {
    (void)state;
    struct aggregate_collection *collection;
    struct aggregate_report report = {.percent = -1};
    assert_int_equal(aggregate_collection_new(100, 1 << 20, seed, &collection), ERR_OK);
    struct aggregate_reason reason = {AGGREGATE_OTHER, VIEW_NONE};
    struct aggregate_auth auth = {.domain = VIEW("s.example"), .result = AGGREGATE_RESULT_PASS};
    struct aggregate_row rows[11];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        rows[i] = good_row();
    /* One difference each. */
    rows[1].source.ip[3] = 2;
    rows[2].disposition = AGGREGATE_DISPOSITION_NONE;
    rows[3].dkim = AGGREGATE_ALIGNED_PASS;
    rows[4].spf = AGGREGATE_ALIGNED_PASS;
    rows[5].header_from = VIEW("t.example");
    rows[6].envelope_from = VIEW("");
    rows[7].envelope_to = VIEW("r.example");
    rows[8].reasons = &reason;
    rows[8].reasons_n = 1;
    rows[9].dkim_results = &auth;
    rows[9].dkim_results_n = 1;
    rows[10].spf_results = &auth;
    rows[10].spf_results_n = 1;
    for (uint64_t round = 1; round <= 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            rows[i].count = round;
            assert_int_equal(aggregate_collection_add(collection, &rows[i]), ERR_OK);
        }
    }
    aggregate_collection_rows(collection, &report);
    assert_int_equal(report.rows_n, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rows[i].count = 6;
        same_row(&report.rows[i], &rows[i]);
    }
    rows[0].count = UINT64_MAX; /* does not go round */
    assert_int_equal(aggregate_collection_add(collection, &rows[0]), ERR_OK);
    assert_int_equal(aggregate_collection_add(collection, &rows[0]), ERR_OK);
    assert_int_equal(report.rows[0].count, UINT64_MAX / 2);
    rows[0].count = 0;
    assert_int_equal(aggregate_collection_add(collection, &rows[0]), ERR_SYNTAX);
    rows[1].source.family = 0;
    assert_int_equal(aggregate_collection_add(collection, &rows[1]), ERR_SYNTAX);
    aggregate_collection_free(collection);
}

static void test_rows_over_the_limit(void **state) {
    (void)state;
    static const struct {
        size_t rows, budget;
    } cases[] = {{10, 1 << 20}, {1, 1 << 20}, {0, 1 << 20}, {1000, 500}, {1000, 0}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct aggregate_collection *collection;
        struct aggregate_row row = good_row();
        struct aggregate_report report = good_report(NULL, 0);
        uint64_t sum = 0;
        assert_int_equal(aggregate_collection_new(cases[k].rows, cases[k].budget, seed, &collection), ERR_OK);
        for (unsigned i = 0; i < 600; i++) {
            row.source.ip[2] = (uint8_t)(i % 300 / 256);
            row.source.ip[3] = (uint8_t)(i % 300);
            assert_int_equal(aggregate_collection_add(collection, &row), ERR_OK);
        }
        aggregate_collection_rows(collection, &report);
        assert_true(report.rows_n <= MAX(cases[k].rows, 1) + 1);
        for (size_t i = 0; i < report.rows_n; i++)
            sum += report.rows[i].count;
        assert_int_equal(sum, 600); /* every message is counted */
        const struct aggregate_row *rest = &report.rows[report.rows_n - 1];
        assert_int_equal(rest->reasons_n, 1);
        assert_int_equal(rest->source.ip[0], 0);
        if (report.rows_n > 1)
            assert_int_equal(report.rows[0].count, 2); /* known rows go on counting */
        buf_clear(&text);
        assert_int_equal(aggregate_put(&text, &report), ERR_OK);
        aggregate_collection_free(collection);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_incomplete_is_not_written),
        cmocka_unit_test(test_written_reads_back),
        cmocka_unit_test(test_equal_rows_are_one),
        cmocka_unit_test(test_rows_over_the_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
