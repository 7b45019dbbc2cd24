/* Aggregate reports written: XML by RFC9990-A. */
#include "dmarc/aggregate_internal.h"

#include "base/utf8.h"

#define AGGREGATE_NAMESPACE "urn:ietf:params:xml:ns:dmarc-2.0" /* RFC9990-A */

/* Text of an element: markup escaped; what is no character of XML 1.0 (most controls, U+FFFE and U+FFFF) becomes a space. */
static void put_escaped(struct buf *buf, struct view text) {
    while (text.n > 0) {
        uint32_t cp;
        size_t n = utf8_decode(text, &cp);
        if (n == 0)
            buf_put_utf8(buf, 0xFFFD);
        else if (cp == '&')
            buf_put_str(buf, "&amp;");
        else if (cp == '<')
            buf_put_str(buf, "&lt;");
        else if (cp == '>')
            buf_put_str(buf, "&gt;");
        else if (cp == '\r') /* a reader would make a line feed of it */
            buf_put_str(buf, "&#13;");
        else if ((cp < ' ' && cp != '\t' && cp != '\n') || cp == 0xFFFE || cp == 0xFFFF)
            buf_put_byte(buf, ' ');
        else
            buf_put(buf, view_sub(text, 0, n));
        text = view_skip(text, MAX(n, 1));
    }
}

static void put_indent(struct buf *buf, unsigned depth) {
    for (unsigned i = 0; i < depth; i++)
        buf_put_str(buf, "  ");
}

static void put_text(struct buf *buf, unsigned depth, const char *name, struct view text) {
    put_indent(buf, depth);
    buf_printf(buf, "<%s>", name);
    put_escaped(buf, text);
    buf_printf(buf, "</%s>\n", name);
}

static void put_optional(struct buf *buf, unsigned depth, const char *name, struct view text) {
    if (text.n > 0)
        put_text(buf, depth, name, text);
}

static void put_word(struct buf *buf, unsigned depth, const char *name, const char *word) {
    put_optional(buf, depth, name, view_cstr(word));
}

static void put_tag(struct buf *buf, unsigned depth, const char *tag) {
    put_indent(buf, depth);
    buf_printf(buf, "<%s>\n", tag);
}

/* RFC9990-3.1.1.12, RFC9990-3.1.1.13 */
static enum err put_result(struct buf *buf, const char *method, const struct aggregate_auth *auth, bool is_dkim) {
    if (auth->result == AGGREGATE_RESULT_UNSAID)
        return ERR_SYNTAX;
    put_indent(buf, 3);
    buf_printf(buf, "<%s>\n", method);
    put_text(buf, 4, "domain", auth->domain);
    if (is_dkim)
        put_text(buf, 4, "selector", auth->selector);
    else if (auth->scope == AGGREGATE_MFROM)
        put_word(buf, 4, "scope", aggregate_scope_name(auth->scope));
    put_word(buf, 4, "result", aggregate_result_name(auth->result));
    put_optional(buf, 4, "human_result", auth->human_result);
    put_indent(buf, 3);
    buf_printf(buf, "</%s>\n", method);
    return ERR_OK;
}

static void put_reason(struct buf *buf, const struct aggregate_reason *reason) {
    bool is_old = reason->type == AGGREGATE_OVERRIDE_UNSAID || reason->type >= AGGREGATE_FORWARDED;
    put_tag(buf, 4, "reason");
    put_word(buf, 5, "type", aggregate_override_name(is_old ? AGGREGATE_OTHER : reason->type));
    put_optional(buf, 5, "comment", reason->comment);
    put_tag(buf, 4, "/reason");
}

enum err aggregate_put_record(struct buf *buf, const struct aggregate_row *row, uint64_t count) {
    if (row->source.family == 0 || row->disposition == AGGREGATE_DISPOSITION_UNSAID ||
        row->dkim == AGGREGATE_ALIGNED_UNSAID || row->spf == AGGREGATE_ALIGNED_UNSAID || row->header_from.n == 0)
        return ERR_SYNTAX;
    put_tag(buf, 1, "record");
    put_tag(buf, 2, "row");
    put_indent(buf, 3);
    buf_put_str(buf, "<source_ip>");
    buf_put_ip(buf, &row->source);
    buf_put_str(buf, "</source_ip>\n");
    if (count > 0) {
        put_indent(buf, 3);
        buf_put_str(buf, "<count>");
        buf_put_u64(buf, count);
        buf_put_str(buf, "</count>\n");
    }
    put_tag(buf, 3, "policy_evaluated");
    put_word(buf, 4, "disposition", aggregate_disposition_name(row->disposition));
    put_word(buf, 4, "dkim", aggregate_aligned_name(row->dkim));
    put_word(buf, 4, "spf", aggregate_aligned_name(row->spf));
    for (size_t i = 0; i < MIN(row->reasons_n, AGGREGATE_REASONS_MAX); i++)
        put_reason(buf, &row->reasons[i]);
    put_tag(buf, 3, "/policy_evaluated");
    put_tag(buf, 2, "/row");
    put_tag(buf, 2, "identifiers");
    put_text(buf, 3, "header_from", row->header_from);
    if (row->envelope_from.p != NULL) /* RFC9990-3.1.1.10: empty for the null reverse-path */
        put_text(buf, 3, "envelope_from", row->envelope_from);
    put_optional(buf, 3, "envelope_to", row->envelope_to);
    put_tag(buf, 2, "/identifiers");
    put_tag(buf, 2, "auth_results");
    for (size_t i = 0; i < MIN(row->dkim_results_n, AGGREGATE_RESULTS_MAX); i++)
        TRY(put_result(buf, "dkim", &row->dkim_results[i], true));
    if (row->spf_results_n > 0)
        TRY(put_result(buf, "spf", &row->spf_results[0], false));
    put_tag(buf, 2, "/auth_results");
    put_tag(buf, 1, "/record");
    return buf_err(buf);
}

enum err aggregate_put(struct buf *buf, const struct aggregate_report *report) {
    if (report->domain.n == 0 || report->org_name.n == 0 || report->email.n == 0 || report->report_id.n == 0 ||
        report->end_s <= 0 || report->begin_s < 0 || report->p == AGGREGATE_POLICY_UNSAID || report->rows_n == 0)
        return ERR_SYNTAX;
    buf_put_str(buf, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback xmlns=\"" AGGREGATE_NAMESPACE "\">\n");
    put_text(buf, 1, "version", VIEW("1.0")); /* RFC9990-3.1.1.2 */
    put_tag(buf, 1, "report_metadata");
    put_text(buf, 2, "org_name", report->org_name);
    put_text(buf, 2, "email", report->email);
    put_optional(buf, 2, "extra_contact_info", report->extra_contact_info);
    put_text(buf, 2, "report_id", report->report_id);
    put_tag(buf, 2, "date_range");
    buf_printf(buf, "      <begin>%lld</begin>\n      <end>%lld</end>\n", (long long)report->begin_s,
               (long long)report->end_s);
    put_tag(buf, 2, "/date_range");
    if (report->errors_n > 0)
        put_optional(buf, 2, "error", report->errors[0]);
    put_optional(buf, 2, "generator", report->generator);
    put_tag(buf, 1, "/report_metadata");
    put_tag(buf, 1, "policy_published");
    put_text(buf, 2, "domain", report->domain);
    put_word(buf, 2, "discovery_method", aggregate_discovery_name(report->discovery));
    put_word(buf, 2, "p", aggregate_policy_name(report->p));
    put_word(buf, 2, "sp", aggregate_policy_name(report->sp));
    put_word(buf, 2, "np", aggregate_policy_name(report->np));
    put_optional(buf, 2, "fo", report->fo);
    put_word(buf, 2, "adkim", aggregate_alignment_name(report->adkim));
    put_word(buf, 2, "aspf", aggregate_alignment_name(report->aspf));
    put_word(buf, 2, "testing", aggregate_answer_name(report->testing));
    put_tag(buf, 1, "/policy_published");
    for (size_t i = 0; i < report->rows_n; i++) {
        if (report->rows[i].count == 0)
            return ERR_SYNTAX;
        TRY(aggregate_put_record(buf, &report->rows[i], report->rows[i].count));
    }
    buf_put_str(buf, "</feedback>\n");
    return buf_err(buf);
}
