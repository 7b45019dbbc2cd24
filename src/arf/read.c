/* Feedback reports read. */
#include "arf/arf.h"

#include "message/date.h"
#include "message/decode.h"
#include "message/header.h"

#include "base/clock.h"

#include <string.h>

enum kind {
    TEXT,    /* all of the value */
    TOKEN,   /* up to the first white space or comment */
    MAILBOX, /* without angle brackets */
    MTA,     /* without its type */
    TEXTS,   /* lists of these */
    TOKENS,
    MAILBOXES,
    TYPE,
    DATE,
    NUMBER,
    ADDRESS,
    PORT,
    CANONICAL, /* base64 */
    FAILURE,
    DELIVERY,
    ALIGNMENT,
};

#define AT(member) offsetof(struct arf_report, member)
#define PORT_MAX 65535
#define BEGINNING 512 /* octets of a part that tell whether it is a report */

/* RFC5965-3.1, RFC5965-3.2, RFC6591-3.2, RFC6692-3, RFC9991-4 */
static const struct field {
    struct view name;
    enum kind kind;
    size_t offset;
} fields[] = {
    {VIEW_INIT("Feedback-Type"), TYPE, 0},
    {VIEW_INIT("User-Agent"), TEXT, AT(user_agent)},
    {VIEW_INIT("Version"), TOKEN, AT(version)},
    {VIEW_INIT("Arrival-Date"), DATE, 0},
    {VIEW_INIT("Received-Date"), DATE, 0}, /* RFC5965-3.2: its old name */
    {VIEW_INIT("Incidents"), NUMBER, 0},
    {VIEW_INIT("Original-Envelope-Id"), TEXT, AT(original_envelope_id)},
    {VIEW_INIT("Original-Mail-From"), MAILBOX, AT(original_mail_from)},
    {VIEW_INIT("Original-Rcpt-To"), MAILBOXES, AT(original_rcpt_to)},
    {VIEW_INIT("Reporting-MTA"), MTA, AT(reporting_mta)},
    {VIEW_INIT("Source-IP"), ADDRESS, 0},
    {VIEW_INIT("Source-Port"), PORT, 0},
    {VIEW_INIT("Authentication-Results"), TEXTS, AT(authentication_results)},
    {VIEW_INIT("Reported-Domain"), TOKENS, AT(reported_domains)},
    {VIEW_INIT("Reported-URI"), TOKENS, AT(reported_uris)},
    {VIEW_INIT("Auth-Failure"), FAILURE, 0},
    {VIEW_INIT("Delivery-Result"), DELIVERY, 0},
    {VIEW_INIT("Identity-Alignment"), ALIGNMENT, 0},
    {VIEW_INIT("DKIM-Domain"), TOKEN, AT(dkim_domain)},
    {VIEW_INIT("DKIM-Identity"), TOKEN, AT(dkim_identity)},
    {VIEW_INIT("DKIM-Selector"), TOKEN, AT(dkim_selector)},
    {VIEW_INIT("DKIM-Selector-DNS"), TEXT, AT(dkim_selector_dns)},
    {VIEW_INIT("DKIM-ADSP-DNS"), TEXT, AT(dkim_adsp_dns)},
    {VIEW_INIT("SPF-DNS"), TEXTS, AT(spf_dns)},
    {VIEW_INIT("DKIM-Canonicalized-Header"), CANONICAL, AT(dkim_canonical_header)},
    {VIEW_INIT("DKIM-Canonicalized-Body"), CANONICAL, AT(dkim_canonical_body)},
};

/* ---- values */

static struct view token_of(struct view value) {
    size_t at = mime_skip_cfws(value, 0), end = at;
    while (end < value.n && value.p[end] > ' ' && value.p[end] != 127 && value.p[end] != '(')
        end++;
    return view_sub(value, at, end - at);
}

static struct view mailbox_of(struct view value) {
    ssize_t end = view_rfind_byte(value, '>');
    if (value.n > 0 && value.p[0] == '<' && end > 0)
        return view_trim(view_sub(value, 1, (size_t)end - 1));
    return value;
}

/* RFC5965-3.2: "dns; mail.example.com", the type often missing. */
static struct view mta_of(struct view value) {
    ssize_t at = view_find_byte(value, ';');
    return token_of(view_skip(value, (size_t)(at + 1)));
}

/* RFC5965-3.2: an address; some add the host's name, or write it as a literal of SMTP. */
static bool read_address(struct view value, struct netaddr *out) {
    struct view text = token_of(value);
    struct netaddr addr;
    if (text.n > 1 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = view_sub(text, 1, text.n - 2);
    if (view_starts_nocase(text, VIEW("IPv6:")))
        text = view_skip(text, 5);
    if (netaddr_parse(text, 0, &addr) != ERR_OK)
        return false;
    uint16_t port = out->port;
    *out = addr;
    out->port = port;
    return true;
}

static enum err put_list(struct arena *arena, struct arf_list *list, struct view value) {
    if (value.n == 0 || list->n == ARF_LIST_MAX)
        return ERR_OK;
    if (list->list == NULL)
        list->list = ARENA_ARRAY(arena, ARF_LIST_MAX, struct view);
    if (list->list == NULL)
        return ERR_LIMIT;
    list->list[list->n++] = value;
    return ERR_OK;
}

static enum err put_canonical(struct arena *arena, struct view value, struct view *out) {
    struct buf decoded;
    if (out->p != NULL || value.n > ARF_CANONICAL_MAX * 3 / 2)
        return ERR_OK;
    buf_init(&decoded, ARF_CANONICAL_MAX);
    decode_put_base64(&decoded, value);
    enum err err = buf_err(&decoded) == ERR_OK      ? arena_view(arena, buf_view(&decoded), out)
                   : buf_err(&decoded) == ERR_LIMIT ? ERR_OK
                                                    : buf_err(&decoded);
    buf_fini(&decoded);
    return err;
}

/* RFC9991-4: the mechanisms that failed. What is between them is a comma, and was other things. */
static uint8_t alignment_of(struct view value) {
    uint8_t out = ARF_ALIGNMENT_SAID;
    for (size_t at = mime_skip_cfws(value, 0), end; at < value.n; at = end + 1) {
        for (end = at; end < value.n && ascii_is_alpha(value.p[end]);)
            end++;
        struct view word = view_sub(value, at, end - at);
        out |= view_eq_nocase(word, VIEW("dkim"))  ? ARF_ALIGNMENT_DKIM
               : view_eq_nocase(word, VIEW("spf")) ? ARF_ALIGNMENT_SPF
                                                   : 0;
    }
    return out;
}

static int word_of(struct view value, const char *(*name)(int), int count) {
    struct view word = token_of(value);
    for (int i = 1; i < count; i++) {
        if (view_eq_nocase(word, view_cstr(name(i))))
            return i;
    }
    return 0;
}

static const char *type_name(int value) {
    return arf_type_name((enum arf_type)value);
}
static const char *failure_name(int value) {
    return arf_failure_name((enum arf_failure)value);
}
static const char *delivery_name(int value) {
    return arf_delivery_name((enum arf_delivery)value);
}

/* ---- fields */

struct reading {
    struct arena *arena;
    struct arf_report *out;
    bool has_type;
};

/* The fields that are no texts. */
static void take_value(struct reading *r, enum kind kind, struct view value) {
    struct arf_report *out = r->out;
    struct message_date date;
    uint32_t number;
    switch (kind) {
    case DATE:
        if (out->arrival_us == 0 && message_date_parse(value, &date) == ERR_OK)
            out->arrival_us = date.unix_s * US_PER_S;
        break;
    case NUMBER: /* RFC5965-3.2: an unsigned 32-bit integer */
        if (view_to_u32(token_of(value), UINT32_MAX, &number) == ERR_OK)
            out->incidents = number;
        break;
    case ADDRESS:
        if (out->source.family == 0)
            (void)read_address(value, &out->source);
        break;
    case PORT: /* RFC6692-3 */
        if (view_to_u32(token_of(value), PORT_MAX, &number) == ERR_OK)
            out->source.port = (uint16_t)number;
        break;
    case FAILURE:
        if (out->failure == ARF_FAILURE_UNSAID)
            out->failure = (enum arf_failure)word_of(value, failure_name, ARF_FAILURE_DMARC + 1);
        break;
    case DELIVERY:
        if (out->delivery == ARF_DELIVERY_UNSAID && token_of(value).n > 0) {
            out->delivery = (enum arf_delivery)word_of(value, delivery_name, ARF_DELIVERY_OTHER + 1);
            if (out->delivery == ARF_DELIVERY_UNSAID)
                out->delivery = ARF_DELIVERY_OTHER;
        }
        break;
    case ALIGNMENT:
        if (out->alignment == 0)
            out->alignment = alignment_of(value);
        break;
    case TYPE:
        if (!r->has_type) {
            r->has_type = true;
            out->type_text = token_of(value);
            out->type = (enum arf_type)word_of(value, type_name, ARF_AUTH_FAILURE + 1);
        }
        break;
    default:
        break;
    }
}

static enum err take_field(struct reading *r, const struct field *field, struct view raw) {
    void *member = (uint8_t *)r->out + field->offset;
    struct view value;
    if (field->kind == CANONICAL)
        return put_canonical(r->arena, raw, member);
    TRY(header_unfold(r->arena, view_sub(raw, 0, ARF_TEXT_MAX), &value));
    switch (field->kind) {
    case TEXT:
    case TOKEN:
    case MAILBOX:
    case MTA:
        if (((struct view *)member)->p == NULL)
            *(struct view *)member = field->kind == TEXT      ? value
                                     : field->kind == TOKEN   ? token_of(value)
                                     : field->kind == MAILBOX ? mailbox_of(value)
                                                              : mta_of(value);
        return ERR_OK;
    case TEXTS:
        return put_list(r->arena, member, value);
    case TOKENS:
        return put_list(r->arena, member, token_of(value));
    case MAILBOXES:
        return put_list(r->arena, member, mailbox_of(value));
    default:
        take_value(r, field->kind, value);
        return ERR_OK;
    }
}

static enum err read_fields(struct reading *r, struct view text) {
    struct header_iter it;
    struct header_field field;
    while (text.n > 0 && (text.p[0] == '\r' || text.p[0] == '\n')) /* an empty line before the first one */
        text = view_skip(text, 1);
    header_iter_init(&it, text);
    while (header_next(&it, &field)) {
        for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
            if (view_eq_nocase(field.name, fields[i].name)) {
                TRY(take_field(r, &fields[i], field.value));
                break;
            }
        }
    }
    return ERR_OK;
}

/* ---- parts */

/* The next part that is not inside an attached message: a report about a report is another message's. */
static const struct mime_part *next_own(const struct mime_part *part) {
    if (part->first_child != NULL)
        return part->first_child;
    while (part->next == NULL) {
        part = part->parent;
        if (part == NULL)
            return NULL;
    }
    return part->next;
}

/* Does it begin with the field that every report must have (RFC5965-3.1)? */
static bool begins_as_report(const struct message *message, const struct mime_part *part) {
    struct mime_part clipped = *part;
    struct buf body;
    clipped.body_size = MIN(clipped.body_size, (size_t)BEGINNING);
    buf_init(&body, 2 * BEGINNING);
    decode_put_body(&body, message, &clipped);
    bool is_one = view_starts_nocase(view_trim(buf_view(&body)), VIEW("Feedback-Type:"));
    buf_fini(&body);
    return is_one;
}

/* RFC5965-2: message/feedback-report. Some programs give it another type. */
static enum err find_report(struct arena *arena, const struct message *message, const struct mime_part **found,
                            struct view *text) {
    for (const struct mime_part *part = message->root; part != NULL; part = next_own(part)) {
        if (mime_part_is(part, VIEW("message"), VIEW("feedback-report"))) {
            *found = part;
            return decode_beginning(arena, message, part, ARF_REPORT_MAX, text);
        }
    }
    if (!mime_part_is(message->root, VIEW("multipart"), VIEW("report")))
        return ERR_NOT_FOUND;
    for (const struct mime_part *part = message->root; part != NULL; part = next_own(part)) {
        if (!part->is_multipart && !part->is_message && begins_as_report(message, part)) {
            *found = part;
            return decode_beginning(arena, message, part, ARF_REPORT_MAX, text);
        }
    }
    return ERR_NOT_FOUND;
}

/* RFC5965-2(e): the message, or only its header (RFC6591-3.1). */
static bool is_returned(const struct mime_part *part) {
    return part->is_message || mime_part_is(part, VIEW("message"), VIEW("rfc822")) ||
           mime_part_is(part, VIEW("message"), VIEW("global")) ||
           mime_part_is(part, VIEW("message"), VIEW("global-headers")) ||
           mime_part_is(part, VIEW("text"), VIEW("rfc822-headers")) ||
           mime_part_is(part, VIEW("message"), VIEW("rfc822-headers"));
}

static enum err find_returned(struct arena *arena, const struct message *message, const struct mime_part *report,
                              struct arf_report *out) {
    bool is_after = false;
    for (const struct mime_part *part = message->root; part != NULL; part = next_own(part)) {
        if (part == report)
            is_after = true;
        else if (is_returned(part) && (out->returned == NULL || is_after)) {
            out->returned = part;
            if (is_after)
                break;
        }
    }
    if (out->returned == NULL)
        return ERR_OK;
    if (out->returned->embedded == NULL)
        return decode_beginning(arena, message, out->returned, ARF_REPORT_MAX, &out->returned_header);
    out->returned_header = out->returned->embedded->header;
    return ERR_OK;
}

enum err arf_read(struct arena *arena, const struct message *message, struct arf_report *out) {
    struct arf_report report = {.incidents = 1};
    struct reading r = {.arena = arena, .out = &report};
    const struct mime_part *part;
    struct view text;
    TRY(find_report(arena, message, &part, &text));
    TRY(read_fields(&r, text));
    if (!r.has_type && report.user_agent.p == NULL && report.version.p == NULL)
        return ERR_NOT_FOUND; /* RFC5965-3.1: none of what must be there */
    TRY(find_returned(arena, message, part, &report));
    *out = report;
    return ERR_OK;
}

enum err arf_returned_field(struct arena *arena, const struct arf_report *report, struct view name, struct view *out) {
    struct header_field field;
    if (header_find(report->returned_header, name, &field))
        return header_unfold(arena, field.value, out);
    *out = VIEW_NONE;
    return ERR_OK;
}
