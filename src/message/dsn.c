/* Delivery status notifications: RFC 3464 in a multipart/report (RFC 6522), written by the builder. */
#include "message/compose.h"

#include "message/builder_tree.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

/* What is kept of a diagnostic text: RFC5321-4.5.3.1.5 has replies of 512 octets a line, a few lines are enough. */
#define DIAGNOSTIC_MAX 2000
/* Fields and parts of the builder; the texts are in bufs of their own. */
#define ARENA_BUDGET (256 * 1024)
/* What is returned of the original's header: enough to recognise it. */
#define RETURNED_HEADER_MAX (64 * 1024)

static const struct {
    struct view name, status, subject, text;
} actions[] = {
    [DSN_FAILED] = {VIEW_INIT("failed"), VIEW_INIT("5.0.0"), VIEW_INIT("Undelivered mail returned to sender"),
                    VIEW_INIT("Your message could not be delivered to one or more recipients.\r\n"
                              "This is final: it will not be tried again.\r\n")},
    [DSN_DELAYED] = {VIEW_INIT("delayed"), VIEW_INIT("4.0.0"), VIEW_INIT("Delayed mail (still being tried)"),
                     VIEW_INIT("Your message could not yet be delivered to one or more recipients.\r\n"
                               "Delivery is tried again; you need not send it again.\r\n")},
    [DSN_DELIVERED] = {VIEW_INIT("delivered"), VIEW_INIT("2.0.0"), VIEW_INIT("Mail delivered"),
                       VIEW_INIT("Your message was delivered.\r\n")},
    [DSN_RELAYED] = {VIEW_INIT("relayed"), VIEW_INIT("2.0.0"), VIEW_INIT("Mail relayed"),
                     VIEW_INIT("Your message was passed on to a server that sends no delivery reports.\r\n")},
    [DSN_EXPANDED] = {VIEW_INIT("expanded"), VIEW_INIT("2.0.0"), VIEW_INIT("Mail delivered to a list"),
                      VIEW_INIT("Your message was delivered to a list, which passes it on.\r\n")},
};

static bool has_8bit(struct view v) {
    return !utf8_is_ascii(v);
}

/* The reply of a server as printable ASCII in one line. */
static void put_diagnostic(struct buf *buf, struct view text) {
    bool gap = false;
    text = view_trim(view_sub(text, 0, DIAGNOSTIC_MAX));
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c <= ' ') {
            gap = true;
            continue;
        }
        if (gap)
            buf_put_byte(buf, ' ');
        gap = false;
        buf_put_byte(buf, c >= 127 ? '?' : c);
    }
}

/* "rfc822;a@b", or for an internationalized address RFC6533-3's "utf-8;", raw or as utf-8-addr-xtext. */
static void put_typed_address(struct buf *buf, struct view address, bool is_utf8) {
    bool is_international = has_8bit(address);
    buf_put(buf, is_international ? VIEW("utf-8;") : VIEW("rfc822;"));
    while (address.n > 0) {
        uint32_t cp = 0;
        size_t n = utf8_decode(address, &cp);
        if (n == 0) {
            buf_put_byte(buf, '?');
            n = 1;
        } else if (cp < ' ' || cp == 127) {
            buf_put_byte(buf, '?');
        } else if (cp >= 0x80 && !is_utf8) {
            buf_printf(buf, "\\x{%X}", (unsigned)cp);
        } else if (is_international && !is_utf8 && (cp == ' ' || cp == '\\' || cp == '+' || cp == '=')) {
            buf_printf(buf, "\\x{%X}", (unsigned)cp);
        } else {
            buf_put(buf, view_sub(address, 0, n));
        }
        address = view_skip(address, n);
    }
}

/* Any octets as lines that SMTP can carry: CRLF ends them, lone CR and NUL become "?", none is longer than 998. */
static void put_lines(struct buf *buf, struct view v) {
    size_t at = 0;
    while (at < v.n && buf_err(buf) == ERR_OK) {
        struct view rest = view_skip(v, at);
        ssize_t end = view_find_byte(rest, '\n');
        size_t n = end < 0 ? rest.n : (size_t)end;
        at += n + (end >= 0);
        if (n > 0 && rest.p[n - 1] == '\r')
            n--;
        for (size_t i = 0; i < n; i++) {
            if (i > 0 && i % FOLD_LINE_MAX == 0)
                buf_put(buf, VIEW("\r\n"));
            buf_put_byte(buf, rest.p[i] == 0 || rest.p[i] == '\r' ? '?' : rest.p[i]);
        }
        buf_put(buf, VIEW("\r\n"));
    }
}

static enum dsn_action worst_action(const struct dsn *dsn) {
    enum dsn_action worst = DSN_EXPANDED;
    for (size_t i = 0; i < dsn->recipient_count; i++)
        if (dsn->recipients[i].action < worst)
            worst = dsn->recipients[i].action;
    return worst;
}

/* What people read. */
static void put_text(struct buf *buf, const struct dsn *dsn) {
    buf_put(buf, VIEW("This is the mail system at "));
    put_diagnostic(buf, dsn->host);
    buf_put(buf, VIEW(".\r\n\r\n"));
    buf_put(buf, actions[worst_action(dsn)].text);
    for (size_t i = 0; i < dsn->recipient_count; i++) {
        const struct dsn_recipient *r = &dsn->recipients[i];
        struct buf line;
        buf_init(&line, 16 * 1024);
        buf_put_byte(&line, '<');
        for (size_t k = 0; k < r->final.n; k++)
            buf_put_byte(&line, r->final.p[k] < ' ' ? '?' : r->final.p[k]);
        buf_put(&line, VIEW(">: "));
        buf_put(&line, actions[r->action].name);
        if (r->remote_mta.n > 0) {
            buf_put(&line, VIEW(" by "));
            put_diagnostic(&line, r->remote_mta);
        }
        if (r->diagnostic.n > 0) {
            buf_put(&line, VIEW("\r\n    "));
            put_diagnostic(&line, r->diagnostic);
        }
        buf_put(buf, VIEW("\r\n"));
        put_lines(buf, buf_view(&line));
        buf_fini(&line);
    }
}

/* A field of the status part whose value is in `value`, which is cleared. */
static void put_status_field(struct buf *buf, struct view name, struct buf *value) {
    compose_put_structured(buf, name, buf_view(value));
    buf_clear(value);
}

static void put_date_field(struct buf *buf, struct view name, int64_t wall_us) {
    if (wall_us == 0)
        return;
    buf_put(buf, name);
    buf_put(buf, VIEW(": "));
    buf_put_rfc5322_date(buf, wall_us);
    buf_put(buf, VIEW("\r\n"));
}

static void put_recipient(struct buf *buf, const struct dsn *dsn, const struct dsn_recipient *r, struct buf *value) {
    /* RFC3464-2.3: an empty line separates the groups of fields. */
    buf_put(buf, VIEW("\r\n"));
    if (r->original.n > 0) {
        put_typed_address(value, r->original, dsn->is_utf8);
        put_status_field(buf, VIEW("Original-Recipient"), value);
    }
    put_typed_address(value, r->final, dsn->is_utf8);
    put_status_field(buf, VIEW("Final-Recipient"), value);
    compose_put_structured(buf, VIEW("Action"), actions[r->action].name);
    put_diagnostic(value, r->status.n > 0 ? r->status : actions[r->action].status);
    put_status_field(buf, VIEW("Status"), value);
    if (r->remote_mta.n > 0) {
        buf_put(value, VIEW("dns; "));
        put_diagnostic(value, r->remote_mta);
        put_status_field(buf, VIEW("Remote-MTA"), value);
    }
    if (r->diagnostic.n > 0) {
        buf_put(value, VIEW("smtp; "));
        put_diagnostic(value, r->diagnostic);
        put_status_field(buf, VIEW("Diagnostic-Code"), value);
    }
    put_date_field(buf, VIEW("Last-Attempt-Date"), r->last_attempt_us);
    if (r->action == DSN_DELAYED)
        put_date_field(buf, VIEW("Will-Retry-Until"), r->retry_until_us);
}

static void put_status(struct buf *buf, const struct dsn *dsn, struct buf *value) {
    buf_put(value, VIEW("dns; "));
    put_diagnostic(value, dsn->host);
    put_status_field(buf, VIEW("Reporting-MTA"), value);
    if (dsn->envelope_id.n > 0) {
        put_diagnostic(value, dsn->envelope_id);
        put_status_field(buf, VIEW("Original-Envelope-Id"), value);
    }
    put_date_field(buf, VIEW("Arrival-Date"), dsn->arrival_us);
    for (size_t i = 0; i < dsn->recipient_count; i++)
        put_recipient(buf, dsn, &dsn->recipients[i], value);
}

/* The original: its header, and with RET=FULL its body. */
static void put_returned(struct buf *buf, const struct dsn *dsn) {
    struct view header = dsn->header;
    if (dsn->body.p == NULL && header.n > RETURNED_HEADER_MAX) {
        header.n = RETURNED_HEADER_MAX;
        ssize_t end = view_rfind_byte(header, '\n');
        if (end >= 0)
            header.n = (size_t)end + 1;
    }
    /* The empty line that ends the header is put below, once. */
    while (header.n > 0 && (header.p[header.n - 1] == '\n' || header.p[header.n - 1] == '\r'))
        header.n--;
    put_lines(buf, header);
    if (dsn->body.p != NULL) {
        buf_put(buf, VIEW("\r\n"));
        put_lines(buf, dsn->body);
    }
}

/* -- The tree ---------------------------------------------------------------------------------------- */

struct texts {
    struct buf text, status, returned, value;
};

struct buf_sink {
    struct builder_sink sink;
    struct buf *buf;
};

static enum err write_to_buf(struct builder_sink *sink, struct view octets) {
    struct buf *buf = ((struct buf_sink *)sink)->buf;
    buf_put(buf, octets);
    return buf_err(buf);
}

/* A mailbox that may be none that builder_addresses() takes: a report goes back to whatever address the mail came from. */
static enum err add_mailbox(struct builder *b, struct view name, struct view display, struct view address) {
    struct buf field;
    buf_init(&field, 16 * 1024);
    compose_put_mailbox(&field, name, display, address, b->options.is_utf8);
    enum err err = builder_fields_add(b, &b->fields, &field);
    buf_fini(&field);
    return err;
}

static enum err add_leaf(struct builder_part *report, struct view type, const struct buf *text) {
    struct builder_part *part = builder_leaf(report->builder, type, buf_view(text));
    return part == NULL ? ERR_LIMIT : builder_add(report, part);
}

/* RFC6533-4: the types of internationalized reports, where they are needed and will be understood. */
static struct view status_type(const struct dsn *dsn) {
    bool is_global = false;
    for (size_t i = 0; i < dsn->recipient_count; i++)
        is_global |= has_8bit(dsn->recipients[i].final) || has_8bit(dsn->recipients[i].original);
    return is_global && dsn->is_utf8 ? VIEW("message/global-delivery-status") : VIEW("message/delivery-status");
}

static struct view returned_type(const struct dsn *dsn) {
    bool is_global = has_8bit(dsn->header) && dsn->is_utf8;
    if (dsn->body.p != NULL)
        return is_global ? VIEW("message/global") : VIEW("message/rfc822");
    return is_global ? VIEW("message/global-headers") : VIEW("text/rfc822-headers");
}

static enum err write_report(struct builder *b, const struct dsn *dsn, struct texts *texts, struct buf *out) {
    struct buf_sink sink = {.sink = {write_to_buf}, .buf = out};
    TRY(add_mailbox(b, VIEW("From"), VIEW("Mail Delivery System"), dsn->from));
    TRY(add_mailbox(b, VIEW("To"), VIEW_NONE, dsn->to));
    TRY(builder_text(b, VIEW("Subject"), actions[worst_action(dsn)].subject));
    /* RFC3834-5: so that no responder answers. */
    TRY(builder_structured(b, VIEW("Auto-Submitted"), VIEW("auto-replied")));
    struct builder_part *report = builder_multipart(b, VIEW("report"));
    if (report == NULL)
        return ERR_LIMIT;
    TRY(builder_param(report, VIEW("report-type"), VIEW("delivery-status")));
    put_text(&texts->text, dsn);
    put_status(&texts->status, dsn, &texts->value);
    put_returned(&texts->returned, dsn);
    TRY(buf_err(&texts->text));
    TRY(buf_err(&texts->value));
    TRY(buf_err(&texts->status));
    TRY(buf_err(&texts->returned));
    TRY(add_leaf(report, VIEW("text/plain"), &texts->text));
    TRY(add_leaf(report, status_type(dsn), &texts->status));
    TRY(add_leaf(report, returned_type(dsn), &texts->returned));
    return builder_write(b, report, &sink.sink);
}

enum err dsn_put(struct buf *buf, const struct dsn *dsn) {
    struct builder_options options = {
        .is_utf8 = dsn->is_utf8,
        /* RFC6531-3.1: SMTPUTF8 brings 8BITMIME. A message that is returned whole has no other encoding. */
        .allow_8bit = dsn->is_utf8 || dsn->body.p != NULL,
        .wall_us = dsn->wall_us,
        .host = dsn->host,
    };
    memcpy(options.seed, dsn->random, sizeof(options.seed));
    struct arena *arena = arena_new("dsn", ARENA_BUDGET);
    if (arena == NULL)
        return ERR_NO_MEMORY;
    struct texts texts;
    buf_init(&texts.text, buf->limit);
    buf_init(&texts.status, buf->limit);
    buf_init(&texts.returned, buf->limit);
    buf_init(&texts.value, 16 * 1024);
    struct builder *b = builder_new(arena, &options);
    enum err err = b == NULL ? ERR_LIMIT : write_report(b, dsn, &texts, buf);
    buf_fini(&texts.text);
    buf_fini(&texts.status);
    buf_fini(&texts.returned);
    buf_fini(&texts.value);
    arena_free(arena);
    return err;
}
