/* Delivery status notifications: RFC 3464 in a multipart/report (RFC 6522). */
#include "message/compose.h"

#include "base/clock.h"
#include "base/utf8.h"

/* What is kept of a diagnostic text: RFC5321-4.5.3.1.5 has replies of 512 octets a line, a few lines are enough. */
#define DIAGNOSTIC_MAX 2000
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

static void put_boundary(struct buf *buf, const struct dsn *dsn, bool is_close) {
    buf_put(buf, VIEW("--=_"));
    buf_put_hex(buf, view_of(dsn->random, sizeof(dsn->random)));
    buf_put(buf, is_close ? VIEW("--\r\n") : VIEW("\r\n"));
}

static void put_text_part(struct buf *buf, const struct dsn *dsn) {
    bool is_8bit = false;
    for (size_t i = 0; i < dsn->recipient_count; i++)
        is_8bit |= has_8bit(dsn->recipients[i].final);
    buf_put(buf, VIEW("Content-Type: text/plain; charset=utf-8\r\n"));
    if (is_8bit)
        buf_put(buf, VIEW("Content-Transfer-Encoding: 8bit\r\n"));
    buf_put(buf, VIEW("\r\nThis is the mail system at "));
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

static void put_status_part(struct buf *buf, const struct dsn *dsn, struct buf *value) {
    bool is_global = false;
    for (size_t i = 0; i < dsn->recipient_count; i++)
        is_global |= has_8bit(dsn->recipients[i].final) || has_8bit(dsn->recipients[i].original);
    if (is_global && dsn->is_utf8)
        buf_put(buf, VIEW("Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
    else
        buf_put(buf, VIEW("Content-Type: message/delivery-status\r\n\r\n"));
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

static void put_returned_part(struct buf *buf, const struct dsn *dsn) {
    bool is_full = dsn->body.p != NULL;
    struct view header = dsn->header;
    if (!is_full && header.n > RETURNED_HEADER_MAX) {
        header.n = RETURNED_HEADER_MAX;
        ssize_t end = view_rfind_byte(header, '\n');
        if (end >= 0)
            header.n = (size_t)end + 1;
    }
    /* The empty line that ends the header is put below, once. */
    while (header.n > 0 && (header.p[header.n - 1] == '\n' || header.p[header.n - 1] == '\r'))
        header.n--;
    bool header_8bit = has_8bit(header);
    if (is_full)
        buf_put(buf, header_8bit && dsn->is_utf8 ? VIEW("Content-Type: message/global\r\n")
                                                 : VIEW("Content-Type: message/rfc822\r\n"));
    else
        buf_put(buf, header_8bit && dsn->is_utf8 ? VIEW("Content-Type: message/global-headers\r\n")
                                                 : VIEW("Content-Type: text/rfc822-headers\r\n"));
    if (header_8bit || (is_full && has_8bit(dsn->body)))
        buf_put(buf, VIEW("Content-Transfer-Encoding: 8bit\r\n"));
    buf_put(buf, VIEW("\r\n"));
    put_lines(buf, header);
    if (is_full) {
        buf_put(buf, VIEW("\r\n"));
        put_lines(buf, dsn->body);
    }
    buf_put(buf, VIEW("\r\n"));
}

enum err dsn_put(struct buf *buf, const struct dsn *dsn) {
    struct buf value;
    buf_init(&value, 16 * 1024);
    compose_put_mailbox(buf, VIEW("From"), VIEW("Mail Delivery System"), dsn->from, dsn->is_utf8);
    compose_put_mailbox(buf, VIEW("To"), VIEW_NONE, dsn->to, dsn->is_utf8);
    compose_put_date(buf, dsn->wall_us);
    compose_put_message_id(buf, dsn->random, dsn->host);
    compose_put_text(buf, VIEW("Subject"), actions[worst_action(dsn)].subject, false);
    /* RFC3834-5: so that no responder answers. */
    buf_put(buf, VIEW("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"=_"));
    buf_put_hex(buf, view_of(dsn->random, sizeof(dsn->random)));
    buf_put(buf, VIEW("\"\r\n\r\n"));
    put_boundary(buf, dsn, false);
    put_text_part(buf, dsn);
    buf_put(buf, VIEW("\r\n"));
    put_boundary(buf, dsn, false);
    put_status_part(buf, dsn, &value);
    buf_put(buf, VIEW("\r\n"));
    put_boundary(buf, dsn, false);
    put_returned_part(buf, dsn);
    put_boundary(buf, dsn, true);
    enum err err = buf_err(&value);
    buf_fini(&value);
    return err != ERR_OK ? err : buf_err(buf);
}
