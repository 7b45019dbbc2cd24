/* Delivery reports and disposition notifications, read. */
#include "message/report.h"

#include "message/address.h"
#include "message/date.h"
#include "message/decode.h"
#include "message/header.h"

#include "base/clock.h"
#include "base/utf8.h"

/* -- Parts ------------------------------------------------------------------------------------------ */

/* The next part that is not inside an attached message: a report about a report is another message's. */
static const struct mime_part *next_own(const struct mime_part *part) {
    do {
        if (part->first_child != NULL)
            part = part->first_child;
        else {
            while (part->next == NULL) {
                part = part->parent;
                if (part == NULL || part->parent == NULL)
                    return NULL;
            }
            part = part->next;
        }
    } while (part->is_multipart);
    return part;
}

static bool is_either(const struct mime_part *part, struct view subtype, struct view global_subtype) {
    return mime_part_is(part, VIEW("message"), subtype) || mime_part_is(part, VIEW("message"), global_subtype);
}

/* RFC6522-3 third part, RFC6533-4.4: any of these. */
static bool is_returned(const struct mime_part *part) {
    return part->is_message || is_either(part, VIEW("rfc822"), VIEW("global")) ||
           is_either(part, VIEW("global-headers"), VIEW("rfc822-headers")) ||
           mime_part_is(part, VIEW("text"), VIEW("rfc822-headers"));
}

/* What is returned comes after the status part; some programs put it before. */
static const struct mime_part *find_returned(const struct message *message, const struct mime_part *status) {
    for (const struct mime_part *part = next_own(status); part != NULL; part = next_own(part))
        if (is_returned(part))
            return part;
    for (const struct mime_part *part = next_own(message->root); part != NULL; part = next_own(part))
        if (is_returned(part))
            return part;
    return NULL;
}

/* -- Values ----------------------------------------------------------------------------------------- */

/* RFC3464-2.1.2, RFC8098-3.1.2: "type; text". Without a type all is text. */
static struct view after_type(struct view value, struct view *type) {
    size_t at = mime_skip_cfws(value, 0);
    size_t start = at;
    while (at < value.n && (ascii_is_alnum(value.p[at]) || value.p[at] == '-' || value.p[at] == '_'))
        at++;
    struct view found = view_sub(value, start, at - start);
    at = mime_skip_cfws(value, at);
    if (found.n > 0 && at < value.n && value.p[at] == ';') {
        *type = found;
        return view_trim(view_skip(value, at + 1));
    }
    *type = VIEW_NONE;
    return view_trim(value);
}

/* Without comments at both ends. */
static struct view without_comments(struct view text) {
    text = view_trim(view_skip(text, mime_skip_cfws(text, 0)));
    while (text.n > 0 && text.p[text.n - 1] == ')') {
        size_t depth = 0, at = text.n;
        while (at > 0) {
            at--;
            if (text.p[at] == ')')
                depth++;
            else if (text.p[at] == '(' && --depth == 0)
                break;
        }
        if (depth > 0)
            break;
        text = view_trim(view_sub(text, 0, at));
    }
    return text;
}

/* RFC6533-3: EmbeddedUnicodeChar "\x{HEXPOINT}" at `at`: its octets, or 0. */
static size_t embedded_at(struct view v, size_t at, uint32_t *cp) {
    if (!view_starts(view_skip(v, at), VIEW("\\x{")))
        return 0;
    size_t i = at + 3;
    *cp = 0;
    while (i < v.n && i - at < 9 && ascii_hex_value(v.p[i]) >= 0)
        *cp = *cp << 4 | (uint32_t)ascii_hex_value(v.p[i++]);
    bool is_scalar = *cp <= 0x10FFFF && (*cp < 0xD800 || *cp > 0xDFFF) && *cp != 0;
    return i - at >= 5 && i < v.n && v.p[i] == '}' && is_scalar ? i - at + 1 : 0;
}

static enum err read_typed_address(struct arena *arena, struct view value, struct view *out) {
    struct view type;
    struct view address = without_comments(after_type(value, &type));
    if (address.n >= 2 && address.p[0] == '<' && address.p[address.n - 1] == '>')
        address = view_trim(view_sub(address, 1, address.n - 2));
    if (!view_eq_nocase(type, VIEW("utf-8")) || view_find(address, VIEW("\\x{")) < 0) {
        *out = address.n == 0 ? VIEW("") : address;
        return ERR_OK;
    }
    struct buf text;
    buf_init(&text, address.n);
    for (size_t at = 0; at < address.n;) {
        uint32_t cp = 0;
        size_t n = embedded_at(address, at, &cp);
        if (n > 0)
            buf_put_utf8(&text, cp);
        else
            buf_put_byte(&text, address.p[at]);
        at += MAX(n, (size_t)1);
    }
    enum err err = buf_err(&text) == ERR_OK ? arena_view(arena, buf_view(&text), out) : buf_err(&text);
    buf_fini(&text);
    return err;
}

static struct view read_name(struct view value) {
    struct view type;
    return without_comments(after_type(value, &type));
}

static int64_t read_date(struct view value) {
    struct message_date date;
    return message_date_parse(value, &date) == ERR_OK ? date.unix_s * US_PER_S : 0;
}

static size_t digits_at(struct view v, size_t at) {
    size_t n = 0;
    while (at + n < v.n && ascii_is_digit(v.p[at + n]))
        n++;
    return n;
}

/* RFC3463-2: "class.subject.detail" anywhere in a text that no digit or dot touches; empty: none. */
static struct view find_status(struct view text) {
    for (size_t at = 0; at + 5 <= text.n; at++) {
        uint8_t c = text.p[at];
        if ((c != '2' && c != '4' && c != '5') || text.p[at + 1] != '.' ||
            (at > 0 && (ascii_is_alnum(text.p[at - 1]) || text.p[at - 1] == '.')))
            continue;
        size_t subject = digits_at(text, at + 2);
        size_t dot = at + 2 + subject;
        size_t detail = dot < text.n && text.p[dot] == '.' ? digits_at(text, dot + 1) : 0;
        size_t end = dot + 1 + detail;
        bool is_longer = end + 1 < text.n && text.p[end] == '.' && ascii_is_digit(text.p[end + 1]);
        if (subject >= 1 && subject <= 3 && detail >= 1 && detail <= 3 && !is_longer)
            return view_sub(text, at, end - at);
    }
    return VIEW("");
}

static bool read_action(struct view value, enum dsn_action *action) {
    static const struct {
        struct view name;
        enum dsn_action action;
    } names[] = {
        {VIEW_INIT("failed"), DSN_FAILED},       {VIEW_INIT("failure"), DSN_FAILED},
        {VIEW_INIT("delayed"), DSN_DELAYED},     {VIEW_INIT("delay"), DSN_DELAYED},
        {VIEW_INIT("delivered"), DSN_DELIVERED}, {VIEW_INIT("relayed"), DSN_RELAYED},
        {VIEW_INIT("expanded"), DSN_EXPANDED},
    };
    struct view token = mime_first_token(value, NULL);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (view_eq_nocase(token, names[i].name)) {
            *action = names[i].action;
            return true;
        }
    return false;
}

/* -- Delivery reports ------------------------------------------------------------------------------- */

struct reading {
    struct arena *arena;
    struct delivery_status *out;
    size_t cap;
    struct dsn_recipient current;
    bool has_final, has_original, has_action;
};

/* The action that a status means (RFC3463-2), where the report does not say it. */
static enum dsn_action action_of(struct view status) {
    if (status.n > 0 && status.p[0] == '2')
        return DSN_DELIVERED;
    return status.n > 0 && status.p[0] == '4' ? DSN_DELAYED : DSN_FAILED;
}

static enum err end_recipient(struct reading *r) {
    bool is_there = r->has_final || r->has_original;
    struct dsn_recipient recipient = r->current;
    if (recipient.status.n == 0)
        recipient.status = find_status(recipient.diagnostic);
    if (!r->has_action)
        recipient.action = action_of(recipient.status);
    if (!r->has_final)
        recipient.final = recipient.original;
    r->current = (struct dsn_recipient){0};
    r->has_final = r->has_original = r->has_action = false;
    if (!is_there || r->out->recipient_count == REPORT_RECIPIENTS_MAX)
        return ERR_OK;
    if (r->out->recipient_count == r->cap) {
        size_t cap = r->cap == 0 ? 4 : r->cap * 2;
        struct dsn_recipient *grown =
            arena_grow(r->arena, r->out->recipients, r->cap, cap, sizeof(struct dsn_recipient));
        if (grown == NULL)
            return ERR_LIMIT;
        r->out->recipients = grown;
        r->cap = cap;
    }
    r->out->recipients[r->out->recipient_count++] = recipient;
    return ERR_OK;
}

static enum err take_status_field(struct reading *r, struct view name, struct view value) {
    struct dsn_recipient *c = &r->current;
    if (view_eq_nocase(name, VIEW("Final-Recipient"))) {
        if (r->has_final)
            TRY(end_recipient(r));
        r->has_final = true;
        return read_typed_address(r->arena, value, &c->final);
    }
    if (view_eq_nocase(name, VIEW("Original-Recipient"))) {
        if (r->has_original || (r->has_final && r->has_action))
            TRY(end_recipient(r));
        r->has_original = true;
        return read_typed_address(r->arena, value, &c->original);
    }
    if (view_eq_nocase(name, VIEW("Action")))
        r->has_action = read_action(value, &c->action) || r->has_action;
    else if (view_eq_nocase(name, VIEW("Status")))
        c->status = find_status(value);
    else if (view_eq_nocase(name, VIEW("Remote-MTA")))
        c->remote_mta = read_name(value);
    else if (view_eq_nocase(name, VIEW("Diagnostic-Code")))
        c->diagnostic = after_type(value, &(struct view){0});
    else if (view_eq_nocase(name, VIEW("Last-Attempt-Date")))
        c->last_attempt_us = read_date(value);
    else if (view_eq_nocase(name, VIEW("Will-Retry-Until")))
        c->retry_until_us = read_date(value);
    else if (view_eq_nocase(name, VIEW("Reporting-MTA")))
        r->out->reporting_mta = read_name(value);
    else if (view_eq_nocase(name, VIEW("Original-Envelope-Id")))
        r->out->envelope_id = value;
    else if (view_eq_nocase(name, VIEW("Arrival-Date")))
        r->out->arrival_us = read_date(value);
    return ERR_OK;
}

/* RFC3464-2.1: groups of fields, separated by empty lines. */
static enum err read_groups(struct reading *r, struct view text) {
    while (text.n > 0) {
        struct header_iter it;
        struct header_field field;
        header_iter_init(&it, text);
        while (header_next(&it, &field)) {
            struct view value;
            TRY(header_unfold(r->arena, field.value, &value));
            TRY(take_status_field(r, field.name, value));
        }
        TRY(end_recipient(r));
        text = view_skip(text, it.at);
        while (text.n > 0 && (text.p[0] == '\r' || text.p[0] == '\n'))
            text = view_skip(text, 1);
    }
    return ERR_OK;
}

enum err delivery_status_read(struct arena *arena, const struct message *message, struct delivery_status *out) {
    struct delivery_status found = {0};
    const struct mime_part *part = message->root->is_multipart ? next_own(message->root) : message->root;
    for (; part != NULL; part = next_own(part)) {
        if (!is_either(part, VIEW("delivery-status"), VIEW("global-delivery-status")))
            continue;
        struct delivery_status status = {0};
        struct reading r = {.arena = arena, .out = &status};
        struct view text;
        TRY(decode_beginning(arena, message, part, REPORT_STATUS_MAX, &text));
        TRY(read_groups(&r, text));
        /* Of several the one with recipients counts; a first one may hold prose. */
        if (status.recipient_count == 0 && status.reporting_mta.p == NULL)
            continue;
        if (found.reporting_mta.p != NULL && status.recipient_count == 0)
            continue;
        status.returned = find_returned(message, part);
        found = status;
        if (status.recipient_count > 0)
            break;
    }
    if (found.recipient_count == 0 && found.reporting_mta.p == NULL)
        return ERR_NOT_FOUND;
    *out = found;
    return ERR_OK;
}

/* -- Disposition notifications ---------------------------------------------------------------------- */

/* RFC8098-3.2.6: "action-mode/sending-mode; type/modifier,modifier". Careless programs leave pieces out. */
static bool read_disposition(struct view value, struct mdn *out) {
    static const struct {
        struct view name;
        enum mdn_disposition disposition;
        bool is_error;
    } types[] = {
        {VIEW_INIT("displayed"), MDN_DISPLAYED, false},   {VIEW_INIT("deleted"), MDN_DELETED, false},
        {VIEW_INIT("dispatched"), MDN_DISPATCHED, false}, {VIEW_INIT("processed"), MDN_PROCESSED, false},
        {VIEW_INIT("denied"), MDN_PROCESSED, false},      {VIEW_INIT("failed"), MDN_PROCESSED, true},
    };
    struct view mode, type, modifiers, modifier;
    if (!view_split(value, ';', &mode, &type))
        type = value;
    out->automatic = view_find_nocase(mode, VIEW("automatic-action")) >= 0;
    out->sent_automatically = view_find_nocase(mode, VIEW("sent-automatically")) >= 0;
    view_split(type, '/', &type, &modifiers);
    while (modifiers.n > 0) {
        view_split(modifiers, ',', &modifier, &modifiers);
        out->has_error |= view_eq_nocase(without_comments(modifier), VIEW("error"));
    }
    type = without_comments(type);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (view_eq_nocase(type, types[i].name)) {
            out->disposition = types[i].disposition;
            out->has_error |= types[i].is_error;
            return true;
        }
    return false;
}

static struct view read_id(struct view value) {
    ssize_t open = view_find_byte(value, '<');
    ssize_t close = view_rfind_byte(value, '>');
    if (open >= 0 && close > open)
        value = view_sub(value, (size_t)open + 1, (size_t)(close - open) - 1);
    value = view_trim(value);
    return value.n == 0 ? VIEW_NONE : value;
}

static enum err read_mdn_fields(struct arena *arena, struct view text, struct mdn *out, bool *has_disposition) {
    struct header_iter it;
    struct header_field field;
    while (text.n > 0 && (text.p[0] == '\r' || text.p[0] == '\n'))
        text = view_skip(text, 1);
    header_iter_init(&it, text);
    while (header_next(&it, &field)) {
        struct view value;
        TRY(header_unfold(arena, field.value, &value));
        if (view_eq_nocase(field.name, VIEW("Reporting-UA")))
            out->reporting_ua = value;
        else if (view_eq_nocase(field.name, VIEW("Final-Recipient")))
            TRY(read_typed_address(arena, value, &out->final));
        else if (view_eq_nocase(field.name, VIEW("Original-Recipient")))
            TRY(read_typed_address(arena, value, &out->original));
        else if (view_eq_nocase(field.name, VIEW("Original-Message-ID")))
            out->original_message_id = read_id(value);
        else if (view_eq_nocase(field.name, VIEW("Disposition")))
            *has_disposition |= read_disposition(value, out);
        else if (view_eq_nocase(field.name, VIEW("Error")) && out->error.p == NULL)
            out->error = value;
    }
    return ERR_OK;
}

enum err mdn_read(struct arena *arena, const struct message *message, struct mdn *out) {
    const struct mime_part *part = message->root->is_multipart ? next_own(message->root) : message->root;
    for (; part != NULL; part = next_own(part)) {
        if (!is_either(part, VIEW("disposition-notification"), VIEW("global-disposition-notification")))
            continue;
        struct mdn mdn = {0};
        struct view text;
        bool has_disposition = false;
        TRY(decode_beginning(arena, message, part, REPORT_STATUS_MAX, &text));
        TRY(read_mdn_fields(arena, text, &mdn, &has_disposition));
        if (!has_disposition)
            continue;
        mdn.returned = find_returned(message, part);
        *out = mdn;
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

/* -- May a notification be sent --------------------------------------------------------------------- */

/* RFC8098-2.1: the local part with case, the domain without. */
static bool is_same_address(const struct address *a, const struct address *b) {
    return view_eq(a->mailbox, b->mailbox) && view_eq_nocase(a->host, b->host);
}

/* The one distinct address in all fields of that name; false when there is none, another, or what is no address. */
static bool only_address(struct arena *arena, struct view header, struct view name, struct address *out) {
    struct header_iter it;
    struct header_field field;
    bool found = false;
    header_iter_init(&it, header);
    while (header_next(&it, &field)) {
        struct address_list list;
        if (!view_eq_nocase(field.name, name))
            continue;
        address_parse(arena, field.value, &list);
        if (list.truncated)
            return false;
        for (size_t i = 0; i < list.count; i++) {
            const struct address *a = &list.list[i];
            if (a->kind != ADDRESS_MAILBOX)
                continue;
            if (a->mailbox.n == 0 || a->host.n == 0 || (found && !is_same_address(a, out)))
                return false;
            *out = *a;
            found = true;
        }
    }
    return found;
}

bool mdn_may_answer(struct arena *arena, struct view header) {
    struct address to, path;
    struct header_field field;
    if (!only_address(arena, header, VIEW("Disposition-Notification-To"), &to) ||
        !only_address(arena, header, VIEW("Return-Path"), &path) || !is_same_address(&to, &path))
        return false;
    /* RFC8098-2.1: a field of that name occurs at most once. */
    if (header_count(header, VIEW("Disposition-Notification-To")) > 1 || header_count(header, VIEW("Newsgroups")) > 0)
        return false;
    /* RFC8098-2.2: no parameter is defined, so one that is required is not understood. */
    if (header_find(header, VIEW("Disposition-Notification-Options"), &field) &&
        view_find_nocase(field.value, VIEW("required")) >= 0)
        return false;
    /* RFC8098-2.1: an MDN MUST NOT be generated in response to an MDN; RFC3834-2: nor to what a program wrote. */
    if (header_find(header, VIEW("Content-Type"), &field)) {
        struct view type, subtype;
        struct mime_params params;
        if (mime_content_type_parse(arena, field.value, &type, &subtype, &params) &&
            view_eq_nocase(type, VIEW("multipart")) && view_eq_nocase(subtype, VIEW("report")))
            return false;
    }
    return !header_find(header, VIEW("Auto-Submitted"), &field) ||
           view_eq_nocase(mime_first_token(field.value, NULL), VIEW("no"));
}
