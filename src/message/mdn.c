/* Disposition notifications, written (RFC8098-3, RFC6533-5). */
#include "message/report.h"

#include "message/fold.h"
#include "message/nfc.h"

#include "base/utf8.h"

/* What is returned of the original's header: enough to recognise it. */
#define RETURNED_HEADER_MAX (64 * 1024)
/* Octets of one field's value; more is cut. */
#define VALUE_MAX 2000
/* RFC2045-6.8: encoded lines have at most 76 characters. */
#define BASE64_LINE_OCTETS (76 / 4 * 3)

static const struct {
    struct view name, text;
} dispositions[] = {
    [MDN_DISPLAYED] = {VIEW_INIT("displayed"),
                       VIEW_INIT("This is a receipt for the mail that you sent.\r\n\r\n"
                                 "It was displayed on the recipient's computer. That does not say that it was\r\n"
                                 "read or understood.\r\n")},
    [MDN_DELETED] = {VIEW_INIT("deleted"), VIEW_INIT("This is a receipt for the mail that you sent.\r\n\r\n"
                                                     "It was deleted; it may or may not have been seen before.\r\n")},
    [MDN_DISPATCHED] = {VIEW_INIT("dispatched"),
                        VIEW_INIT("This is a receipt for the mail that you sent.\r\n\r\n"
                                  "It was passed on, for example printed or forwarded, without having been\r\n"
                                  "displayed necessarily.\r\n")},
    [MDN_PROCESSED] = {VIEW_INIT("processed"),
                       VIEW_INIT("This is a receipt for the mail that you sent.\r\n\r\n"
                                 "It was processed by a program, without being displayed.\r\n")},
};

/* Text in one line: controls become spaces, what is no UTF-8 U+FFFD; without ASCII's limits only when 8-bit may be. */
static void put_value(struct buf *buf, struct view text, bool is_utf8) {
    text = view_trim(view_sub(text, 0, VALUE_MAX));
    while (text.n > 0) {
        uint32_t cp = 0;
        size_t n = utf8_decode(text, &cp);
        if (n == 0) {
            cp = 0xFFFD;
            n = 1;
        }
        if (cp < ' ' || cp == 127)
            buf_put_byte(buf, ' ');
        else if (cp >= 128 && !is_utf8)
            buf_put_byte(buf, '?');
        else
            buf_put_utf8(buf, cp);
        text = view_skip(text, n);
    }
}

/* RFC6533-3: type utf-8 where it is not ASCII, as it is or with embedded characters in 7 bits. */
static void put_typed_address(struct buf *buf, struct view address, bool is_utf8) {
    bool is_international = !utf8_is_ascii(address);
    buf_put(buf, is_international ? VIEW("utf-8;") : VIEW("rfc822;"));
    address = view_sub(address, 0, VALUE_MAX);
    while (address.n > 0) {
        uint32_t cp = 0;
        size_t n = utf8_decode(address, &cp);
        bool is_special = cp == '\\' || cp == '+' || cp == '=';
        if (n == 0 || cp < ' ' || cp == 127)
            buf_put_byte(buf, '?');
        else if (is_international && !is_utf8 && (cp >= 128 || cp == ' ' || is_special))
            buf_printf(buf, "\\x{%X}", (unsigned)cp);
        else
            buf_put_utf8(buf, cp);
        address = view_skip(address, MAX(n, (size_t)1));
    }
}

static void put_field(struct buf *buf, struct view name, struct buf *value) {
    if (buf->err == ERR_OK)
        buf->err = buf_err(value);
    compose_put_structured(buf, name, buf_view(value));
    buf_clear(value);
}

static void put_boundary(struct buf *buf, const struct mdn_request *r, bool is_close) {
    buf_put(buf, VIEW("\r\n--=_"));
    buf_put_hex(buf, view_of(r->random, sizeof(r->random)));
    buf_put(buf, is_close ? VIEW("--\r\n") : VIEW("\r\n"));
}

/* Lines with CRLF, none too long, without NUL and lone CR. */
static void put_lines(struct buf *buf, struct view v) {
    while (v.n > 0 && buf_err(buf) == ERR_OK) {
        struct view line, rest;
        view_split(v, '\n', &line, &rest);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        for (size_t i = 0; i < line.n; i++) {
            if (i > 0 && i % FOLD_LINE_MAX == 0)
                buf_put(buf, VIEW("\r\n"));
            buf_put_byte(buf, line.p[i] == 0 || line.p[i] == '\r' ? '?' : line.p[i]);
        }
        buf_put(buf, VIEW("\r\n"));
        v = rest;
    }
}

/* The encoding field, the empty line and the body. RFC6533-4.5: in 7 bits when the receiver takes no more. */
static void put_body(struct buf *buf, struct view lines, bool is_utf8) {
    if (utf8_is_ascii(lines)) {
        buf_put(buf, VIEW("\r\n"));
        put_lines(buf, lines);
    } else if (is_utf8) {
        buf_put(buf, VIEW("Content-Transfer-Encoding: 8bit\r\n\r\n"));
        put_lines(buf, lines);
    } else {
        buf_put(buf, VIEW("Content-Transfer-Encoding: base64\r\n\r\n"));
        for (size_t at = 0; at < lines.n; at += BASE64_LINE_OCTETS) {
            buf_put_base64(buf, view_sub(lines, at, BASE64_LINE_OCTETS));
            buf_put(buf, VIEW("\r\n"));
        }
    }
}

static void put_text_part(struct buf *buf, const struct mdn_request *r, struct buf *value) {
    buf_put(buf, VIEW("Content-Type: text/plain; charset=utf-8\r\n"));
    buf_put(value, dispositions[r->mdn.disposition].text);
    buf_put(value, VIEW("\r\nRecipient: "));
    put_value(value, r->mdn.final, true);
    buf_put(value, VIEW("\r\nSubject: "));
    put_value(value, r->subject, true);
    if (r->mdn.error.n > 0) {
        buf_put(value, VIEW("\r\nError: "));
        put_value(value, r->mdn.error, true);
    }
    buf_put(value, VIEW("\r\n"));
    struct buf text;
    buf_init(&text, 64 * 1024);
    net_unicode_put(&text, buf_view(value)); /* RFC5198-2 */
    put_body(buf, buf_view(&text), r->is_utf8);
    if (buf->err == ERR_OK)
        buf->err = buf_err(&text);
    buf_fini(&text);
    buf_clear(value);
}

static bool is_ascii_mdn(const struct mdn *mdn) {
    return utf8_is_ascii(mdn->final) && utf8_is_ascii(mdn->original) && utf8_is_ascii(mdn->reporting_ua) &&
           utf8_is_ascii(mdn->error) && utf8_is_ascii(mdn->original_message_id);
}

static void put_notification_part(struct buf *buf, const struct mdn_request *r, struct buf *value) {
    const struct mdn *mdn = &r->mdn;
    bool is_global = r->is_utf8 && !is_ascii_mdn(mdn);
    buf_put(buf, is_global ? VIEW("Content-Type: message/global-disposition-notification\r\n"
                                  "Content-Transfer-Encoding: 8bit\r\n\r\n")
                           : VIEW("Content-Type: message/disposition-notification\r\n\r\n"));
    if (mdn->reporting_ua.n > 0) {
        put_value(value, mdn->reporting_ua, is_global);
        put_field(buf, VIEW("Reporting-UA"), value);
    }
    if (mdn->original.n > 0) {
        put_typed_address(value, mdn->original, is_global);
        put_field(buf, VIEW("Original-Recipient"), value);
    }
    put_typed_address(value, mdn->final, is_global);
    put_field(buf, VIEW("Final-Recipient"), value);
    if (mdn->original_message_id.n > 0) {
        buf_put_byte(value, '<');
        put_value(value, mdn->original_message_id, is_global);
        buf_put_byte(value, '>');
        put_field(buf, VIEW("Original-Message-ID"), value);
    }
    buf_put(value, mdn->automatic ? VIEW("automatic-action/") : VIEW("manual-action/"));
    buf_put(value, mdn->sent_automatically ? VIEW("MDN-sent-automatically; ") : VIEW("MDN-sent-manually; "));
    buf_put(value, dispositions[mdn->disposition].name);
    buf_put(value, mdn->has_error ? VIEW("/error") : VIEW(""));
    put_field(buf, VIEW("Disposition"), value);
    if (mdn->error.n > 0) {
        put_value(value, mdn->error, is_global);
        put_field(buf, VIEW("Error"), value);
    }
}

static void put_returned_part(struct buf *buf, const struct mdn_request *r) {
    struct view header = r->header;
    if (header.n > RETURNED_HEADER_MAX) {
        header.n = RETURNED_HEADER_MAX;
        ssize_t end = view_rfind_byte(header, '\n');
        if (end >= 0)
            header.n = (size_t)end + 1;
    }
    buf_put(buf, r->is_utf8 && !utf8_is_ascii(header) ? VIEW("Content-Type: message/global-headers\r\n")
                                                      : VIEW("Content-Type: text/rfc822-headers\r\n"));
    put_body(buf, header, r->is_utf8);
}

/* RFC5322-3.6.4: so that the notification stands beside the message it is about. */
static void put_reference(struct buf *buf, struct view name, struct view id, struct buf *value) {
    if (id.n == 0 || !utf8_is_ascii(id))
        return;
    buf_put_byte(value, '<');
    put_value(value, id, false);
    buf_put_byte(value, '>');
    put_field(buf, name, value);
}

enum err mdn_put(struct buf *buf, const struct mdn_request *r) {
    struct buf value;
    buf_init(&value, 64 * 1024);
    compose_put_mailbox(buf, VIEW("From"), VIEW_NONE, r->from, r->is_utf8);
    compose_put_mailbox(buf, VIEW("To"), VIEW_NONE, r->to, r->is_utf8);
    compose_put_date(buf, r->wall_us);
    compose_put_message_id(buf, r->random, r->host);
    put_reference(buf, VIEW("In-Reply-To"), r->mdn.original_message_id, &value);
    put_reference(buf, VIEW("References"), r->mdn.original_message_id, &value);
    buf_put(&value, VIEW("Disposition notification: "));
    buf_put(&value, dispositions[r->mdn.disposition].name);
    if (r->subject.n > 0) {
        buf_put(&value, VIEW(": "));
        buf_put(&value, view_sub(r->subject, 0, VALUE_MAX));
    }
    compose_put_text(buf, VIEW("Subject"), buf_view(&value), r->is_utf8);
    buf_clear(&value);
    /* RFC3834-5: so that no responder answers. */
    buf_put(buf, VIEW("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; report-type=disposition-notification;\r\n boundary=\"=_"));
    buf_put_hex(buf, view_of(r->random, sizeof(r->random)));
    buf_put(buf, VIEW("\"\r\n"));
    put_boundary(buf, r, false);
    put_text_part(buf, r, &value);
    put_boundary(buf, r, false);
    put_notification_part(buf, r, &value);
    if (r->header.p != NULL) {
        put_boundary(buf, r, false);
        put_returned_part(buf, r);
    }
    put_boundary(buf, r, true);
    enum err err = buf_err(&value);
    buf_fini(&value);
    return err != ERR_OK ? err : buf_err(buf);
}
