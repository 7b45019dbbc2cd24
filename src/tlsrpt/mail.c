/* The mail that brings a TLS report. */
#include "tlsrpt/tlsrpt.h"

#include "dns/name.h"
#include "inflate/inflate.h"

#define NAME_LIMIT 1000 /* octets of a file's name: two domains, two times, an id */
#define SUBJECT_LIMIT 2000
#define ID_MAX 200 /* octets of a report id in a Subject */

static struct view domain_of(struct view address) {
    ssize_t at = view_rfind_byte(address, '@');
    return at > 0 ? view_skip(address, (size_t)at + 1) : VIEW_NONE;
}

/* A name as DNS has it, without what would mean something in a Subject or a file's name. */
static bool is_domain(struct view name) {
    struct buf wire;
    buf_init(&wire, DNS_NAME_WIRE_MAX);
    bool is_name = dns_name_to_wire(name, &wire) == ERR_OK;
    buf_fini(&wire);
    for (size_t i = 0; i < name.n; i++)
        is_name = is_name && (ascii_is_alnum(name.p[i]) || name.p[i] == '-' || name.p[i] == '.' || name.p[i] == '_');
    return is_name;
}

static enum err check(const struct tlsrpt_mail *mail) {
    for (size_t i = 0; i < mail->unique_id.n; i++)
        if (!ascii_is_alnum(mail->unique_id.p[i]))
            return ERR_SYNTAX;
    return is_domain(domain_of(mail->report->contact)) && is_domain(mail->domain) ? ERR_OK : ERR_SYNTAX;
}

enum err tlsrpt_put_file_name(struct buf *buf, const struct tlsrpt_mail *mail) {
    TRY(check(mail));
    buf_put(buf, domain_of(mail->report->contact));
    buf_put_byte(buf, '!');
    buf_put(buf, mail->domain);
    buf_printf(buf, "!%lld!%lld", (long long)mail->report->begin_s, (long long)mail->report->end_s);
    if (mail->unique_id.n) {
        buf_put_byte(buf, '!');
        buf_put(buf, mail->unique_id);
    }
    buf_put_str(buf, ".json.gz");
    return buf_err(buf);
}

/* RFC8460-5.3: Report-ID: "<" id-left "@" id-right ">", with what a report id has beyond an id made harmless. */
static void put_subject(struct buf *buf, const struct tlsrpt_mail *mail) {
    struct view id = view_sub(mail->report->report_id, 0, ID_MAX), submitter = domain_of(mail->report->contact), right;
    (void)view_split(id, '@', &id, &right);
    buf_put_str(buf, "Report Domain: ");
    buf_put(buf, mail->domain);
    buf_put_str(buf, " Submitter: ");
    buf_put(buf, submitter);
    buf_put_str(buf, " Report-ID: <");
    for (size_t i = 0; i < id.n; i++) {
        /* RFC5322-3.6.4: dot-atom-text; the dots where they may stand */
        bool is_dot = id.p[i] == '.' && i > 0 && i + 1 < id.n && id.p[i - 1] != '.';
        buf_put_byte(buf, ascii_is_alnum(id.p[i]) || id.p[i] == '-' || id.p[i] == '_' || id.p[i] == '+' || is_dot
                              ? id.p[i]
                              : '-');
    }
    if (id.n == 0)
        buf_put_i64(buf, mail->report->begin_s);
    buf_put_byte(buf, '@');
    buf_put(buf, is_domain(right) ? right : submitter);
    buf_put_byte(buf, '>');
}

static enum err add_address(struct builder *b, struct view name, struct view address) {
    struct view host = domain_of(address);
    if (host.n == 0)
        return ERR_SYNTAX;
    struct address one = {.mailbox = view_sub(address, 0, address.n - host.n - 1), .host = host};
    return builder_addresses(b, name, &one, 1);
}

static enum err add_header(struct builder *b, const struct tlsrpt_mail *mail, struct buf *subject) {
    put_subject(subject, mail);
    TRY(buf_err(subject));
    TRY(add_address(b, VIEW("From"), mail->from));
    TRY(add_address(b, VIEW("To"), mail->to));
    TRY(builder_structured(b, VIEW("Subject"), buf_view(subject)));
    TRY(builder_structured(b, VIEW("TLS-Report-Domain"), mail->domain));
    TRY(builder_structured(b, VIEW("TLS-Report-Submitter"), domain_of(mail->report->contact)));
    /* RFC3834-5: so that no responder answers. */
    return builder_structured(b, VIEW("Auto-Submitted"), VIEW("auto-generated"));
}

struct pieces {
    struct buf subject, text, name, json, file;
};

static enum err write_mail(struct builder *b, const struct tlsrpt_mail *mail, struct pieces *p,
                           struct builder_sink *sink) {
    struct builder_part *report = builder_multipart(b, VIEW("report"));
    TRY(add_header(b, mail, &p->subject));
    TRY(tlsrpt_put_file_name(&p->name, mail));
    TRY(tlsrpt_put_json(&p->json, mail->report));
    buf_put_gzip(&p->file, buf_view(&p->json)); /* RFC8460-5.2: SHOULD */
    TRY(buf_err(&p->file));
    buf_put_str(&p->text, "This is an aggregate TLS report from ");
    buf_put(&p->text, domain_of(mail->report->contact));
    buf_put_str(&p->text, " about ");
    buf_put(&p->text, mail->domain);
    buf_put_str(&p->text, ".\n");
    struct builder_part *text = builder_leaf(b, VIEW("text/plain"), buf_view(&p->text));
    struct message_source_memory source;
    message_source_memory_init(&source, buf_view(&p->file));
    struct builder_part *file = builder_leaf_source(b, TLSRPT_GZIP_TYPE, &source.source);
    if (!report || !text || !file)
        return ERR_LIMIT;
    /* RFC8460-5.3 */
    TRY(builder_param(report, VIEW("report-type"), VIEW("tlsrpt")));
    TRY(builder_disposition(file, VIEW("attachment"), buf_view(&p->name)));
    TRY(builder_add(report, text));
    TRY(builder_add(report, file));
    return builder_write(b, report, sink);
}

enum err tlsrpt_mail_write(struct arena *arena, const struct tlsrpt_mail *mail, struct builder_sink *sink) {
    TRY(check(mail));
    struct builder_options options = {.wall_us = mail->wall_us, .host = domain_of(mail->report->contact)};
    for (size_t i = 0; i < sizeof(options.seed); i++)
        options.seed[i] = mail->random[i];
    struct builder *b = builder_new(arena, &options);
    if (!b)
        return ERR_LIMIT;
    struct pieces p;
    buf_init(&p.subject, SUBJECT_LIMIT);
    buf_init(&p.text, SUBJECT_LIMIT);
    buf_init(&p.name, NAME_LIMIT);
    buf_init(&p.json, TLSRPT_JSON_MAX);
    buf_init(&p.file, TLSRPT_JSON_MAX);
    enum err err = write_mail(b, mail, &p, sink);
    struct buf *all[] = {&p.subject, &p.text, &p.name, &p.json, &p.file};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_fini(all[i]);
    return err;
}
