/* Feedback reports written, and the words of their fields. */
#include "arf/arf.h"

#include "base/clock.h"

#define COLUMNS 76   /* of a line that is folded (RFC5322-2.1.1: 78 with its end) */
#define WORD_MAX 900 /* octets of a word without white space; longer ones are cut (RFC5322-2.1.1: 998 a line) */
#define FIELDS_MAX (1024 * 1024)

const char *arf_type_name(enum arf_type type) {
    static const char *const names[] = {"other", "abuse", "fraud", "virus", "not-spam", "auth-failure"};
    return names[type];
}

const char *arf_failure_name(enum arf_failure failure) {
    static const char *const names[] = {"", "adsp", "bodyhash", "revoked", "signature", "spf", "dmarc"};
    return names[failure];
}

const char *arf_delivery_name(enum arf_delivery delivery) {
    static const char *const names[] = {"", "delivered", "spam", "policy", "reject", "other"};
    return names[delivery];
}

static bool is_visible(uint8_t c) {
    return c > ' ' && c != 127;
}

static bool has_words(struct view value) {
    for (size_t i = 0; i < value.n; i++) {
        if (is_visible(value.p[i]))
            return true;
    }
    return false;
}

/* The words of a value, folded between them: no line end or other control gets through. */
static void put_words(struct buf *buf, struct view value, size_t column) {
    while (has_words(value)) {
        size_t from = 0, to;
        while (!is_visible(value.p[from]))
            from++;
        for (to = from; to < value.n && is_visible(value.p[to]);)
            to++;
        struct view word = view_sub(value, from, MIN(to - from, WORD_MAX));
        buf_put_str(buf, column + 1 + word.n > COLUMNS ? "\r\n " : " ");
        column = column + 1 + word.n > COLUMNS ? 1 + word.n : column + 1 + word.n;
        for (size_t i = 0; i < word.n; i++) /* RFC5965-3: US-ASCII */
            buf_put_byte(buf, word.p[i] < 128 ? word.p[i] : '?');
        value = view_skip(value, to);
    }
}

static void put_field(struct buf *buf, const char *name, struct view value) {
    if (!has_words(value))
        return;
    buf_put_str(buf, name);
    buf_put_byte(buf, ':');
    put_words(buf, value, view_cstr(name).n + 1);
    buf_put_str(buf, "\r\n");
}

static void put_list(struct buf *buf, const char *name, const struct arf_list *list) {
    for (size_t i = 0; i < MIN(list->n, ARF_LIST_MAX); i++)
        put_field(buf, name, list->list[i]);
}

/* RFC5965-3.5: a path, the null one too. */
static void put_path(struct buf *buf, const char *name, struct view mailbox) {
    mailbox = view_trim(view_sub(mailbox, 0, WORD_MAX));
    buf_printf(buf, "%s: <", name);
    for (size_t i = 0; i < mailbox.n; i++)
        buf_put_byte(buf, mailbox.p[i] >= ' ' && mailbox.p[i] < 127 ? mailbox.p[i] : '?');
    buf_put_str(buf, ">\r\n");
}

static void put_canonical(struct buf *buf, const char *name, struct view octets) {
    if (octets.n == 0 || octets.n > ARF_CANONICAL_MAX)
        return;
    buf_printf(buf, "%s:", name);
    do { /* RFC2045-6.8: lines of 76 */
        buf_put_str(buf, "\r\n ");
        buf_put_base64(buf, view_sub(octets, 0, 54));
        octets = view_skip(octets, 54);
    } while (octets.n > 0);
    buf_put_str(buf, "\r\n");
}

static void put_failure(struct buf *buf, const struct arf_report *report) {
    put_field(buf, "Auth-Failure", view_cstr(arf_failure_name(report->failure)));
    put_field(buf, "Delivery-Result", view_cstr(arf_delivery_name(report->delivery)));
    if (report->alignment != 0) {
        uint8_t failed = report->alignment & (ARF_ALIGNMENT_DKIM | ARF_ALIGNMENT_SPF);
        put_field(buf, "Identity-Alignment",
                  failed == 0                    ? VIEW("none")
                  : failed == ARF_ALIGNMENT_DKIM ? VIEW("dkim")
                  : failed == ARF_ALIGNMENT_SPF  ? VIEW("spf")
                                                 : VIEW("dkim, spf"));
    }
    put_field(buf, "DKIM-Domain", report->dkim_domain);
    put_field(buf, "DKIM-Identity", report->dkim_identity);
    put_field(buf, "DKIM-Selector", report->dkim_selector);
    put_field(buf, "DKIM-Selector-DNS", report->dkim_selector_dns);
    put_field(buf, "DKIM-ADSP-DNS", report->dkim_adsp_dns);
    put_list(buf, "SPF-DNS", &report->spf_dns);
    put_canonical(buf, "DKIM-Canonicalized-Header", report->dkim_canonical_header);
    put_canonical(buf, "DKIM-Canonicalized-Body", report->dkim_canonical_body);
}

static void put_report(struct buf *buf, const struct arf_report *report) {
    put_field(buf, "Feedback-Type", view_cstr(arf_type_name(report->type)));
    put_field(buf, "User-Agent", report->user_agent);
    put_field(buf, "Version", VIEW("1")); /* RFC5965-3.1 */
    put_field(buf, "Original-Envelope-Id", report->original_envelope_id);
    if (report->original_mail_from.p != NULL)
        put_path(buf, "Original-Mail-From", report->original_mail_from);
    for (size_t i = 0; i < MIN(report->original_rcpt_to.n, ARF_LIST_MAX); i++)
        put_path(buf, "Original-Rcpt-To", report->original_rcpt_to.list[i]);
    if (report->arrival_us != 0) {
        buf_put_str(buf, "Arrival-Date: ");
        buf_put_rfc5322_date(buf, report->arrival_us);
        buf_put_str(buf, "\r\n");
    }
    if (has_words(report->reporting_mta)) {
        buf_put_str(buf, "Reporting-MTA: dns;");
        put_words(buf, report->reporting_mta, 19);
        buf_put_str(buf, "\r\n");
    }
    if (report->source.family != 0) {
        buf_put_str(buf, "Source-IP: ");
        buf_put_ip(buf, &report->source);
        buf_put_str(buf, "\r\n");
        if (report->source.port != 0) /* RFC6692-3 */
            buf_printf(buf, "Source-Port: %u\r\n", report->source.port);
    }
    if (report->incidents > 1)
        buf_printf(buf, "Incidents: %u\r\n", report->incidents);
    put_list(buf, "Authentication-Results", &report->authentication_results);
    put_list(buf, "Reported-Domain", &report->reported_domains);
    put_list(buf, "Reported-URI", &report->reported_uris);
    if (report->type == ARF_AUTH_FAILURE)
        put_failure(buf, report);
}

/* RFC5965-3.1, RFC6591-3.2.1, RFC9991-4: what must be there. */
static bool is_complete(const struct arf_report *report) {
    return report->type != ARF_OTHER && has_words(report->user_agent) &&
           (report->type != ARF_AUTH_FAILURE || (report->failure != ARF_FAILURE_UNSAID &&
                                                 (report->failure != ARF_FAILURE_DMARC || report->alignment != 0)));
}

struct to_buf {
    struct builder_sink sink;
    struct buf *buf;
};

static enum err write_to_buf(struct builder_sink *sink, struct view octets) {
    struct to_buf *to = (struct to_buf *)sink;
    buf_put(to->buf, octets);
    return buf_err(to->buf);
}

static enum err put_address(struct arena *arena, struct builder *b, struct view name, struct view text) {
    struct address_list list;
    address_parse(arena, text, &list);
    return list.count == 0 ? ERR_SYNTAX : builder_addresses(b, name, list.list, list.count);
}

static enum err add(struct builder_part *multipart, struct builder_part *part) {
    return part == NULL ? ERR_LIMIT : builder_add(multipart, part);
}

static enum err write_mail(struct arena *arena, struct buf *buf, const struct arf_request *request,
                           struct buf *report) {
    struct builder *b = builder_new(arena, &request->options);
    struct builder_part *root = b == NULL ? NULL : builder_multipart(b, VIEW("report"));
    struct message_source_memory fields, returned;
    struct to_buf to = {{write_to_buf}, buf};
    if (root == NULL)
        return ERR_LIMIT;
    put_report(report, &request->report);
    TRY(buf_err(report));
    TRY(put_address(arena, b, VIEW("From"), request->from));
    TRY(put_address(arena, b, VIEW("To"), request->to));
    TRY(builder_text(b, VIEW("Subject"), request->subject));
    TRY(builder_structured(b, VIEW("Auto-Submitted"), VIEW("auto-generated"))); /* RFC3834-5 */
    TRY(builder_param(root, VIEW("report-type"), VIEW("feedback-report")));     /* RFC5965-2(a) */
    TRY(add(root, builder_leaf(b, VIEW("text/plain"), request->text)));
    message_source_memory_init(&fields, buf_view(report));
    message_source_memory_init(&returned, request->returned);
    struct builder_part *machine = builder_leaf_source(b, VIEW("message/feedback-report"), &fields.source);
    TRY(add(root, machine));
    builder_lines(machine);
    if (request->is_header) {
        struct builder_part *header = builder_leaf_source(b, VIEW("text/rfc822-headers"), &returned.source);
        TRY(add(root, header));
        builder_lines(header);
    } else {
        TRY(add(root, builder_message(b, &returned.source)));
    }
    return builder_write(b, root, &to.sink);
}

enum err arf_put(struct arena *arena, struct buf *buf, const struct arf_request *request) {
    struct buf report;
    if (!is_complete(&request->report))
        return ERR_SYNTAX;
    buf_init(&report, FIELDS_MAX);
    enum err err = write_mail(arena, buf, request, &report);
    buf_fini(&report);
    return err;
}
