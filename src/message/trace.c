/* Trace fields. */
#include "message/trace.h"

#include "message/header.h"

#include "base/clock.h"

/* A fold is made where a clause would go beyond this column. */
#define TRACE_COLUMN 78

/* A peer's text: controls become "?", and in comments parentheses and backslashes are escaped. */
static void put_clean(struct buf *buf, struct view v, bool in_comment) {
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c < ' ' || c == 127)
            c = '?';
        if (in_comment && (c == '(' || c == ')' || c == '\\'))
            buf_put_byte(buf, '\\');
        buf_put_byte(buf, c);
    }
}

/* A word of a clause: what is no atom (RFC5322-3.2.3, "." , ":" and brackets allowed for names and literals) is "?". */
static void put_word(struct buf *buf, struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        bool is_bad = c <= ' ' || c == 127 || c == '(' || c == ')' || c == '<' || c == '>' || c == ';' || c == ',' ||
                      c == '"' || c == '\\';
        buf_put_byte(buf, is_bad ? '?' : c);
    }
    if (v.n == 0)
        buf_put(buf, VIEW("unknown"));
}

void trace_put_return_path(struct buf *buf, struct view path) {
    buf_put(buf, VIEW("Return-Path: <"));
    put_clean(buf, path, false);
    buf_put(buf, VIEW(">\r\n"));
}

/* RFC9228-4: in front of what was there, one for each delivery. */
void trace_put_delivered_to(struct buf *buf, struct view address) {
    buf_put(buf, VIEW("Delivered-To: "));
    put_clean(buf, address, false);
    buf_put(buf, VIEW("\r\n"));
}

struct view trace_protocol(const struct trace_received *r) {
    static const struct view names[2][2][4] = {
        /* RFC3848 */
        {{VIEW_INIT("ESMTP"), VIEW_INIT("ESMTPS"), VIEW_INIT("ESMTPA"), VIEW_INIT("ESMTPSA")},
         {VIEW_INIT("LMTP"), VIEW_INIT("LMTPS"), VIEW_INIT("LMTPA"), VIEW_INIT("LMTPSA")}},
        /* RFC6531-4.3 */
        {{VIEW_INIT("UTF8SMTP"), VIEW_INIT("UTF8SMTPS"), VIEW_INIT("UTF8SMTPA"), VIEW_INIT("UTF8SMTPSA")},
         {VIEW_INIT("UTF8LMTP"), VIEW_INIT("UTF8LMTPS"), VIEW_INIT("UTF8LMTPA"), VIEW_INIT("UTF8LMTPSA")}},
    };
    if (!r->is_esmtp && !r->is_lmtp)
        return VIEW("SMTP");
    return names[r->is_utf8][r->is_lmtp][r->is_tls + 2 * r->is_authenticated];
}

/* Clauses are put one by one; each is preceded by a space, or by a fold when it would not fit into the line. */
struct folder {
    struct buf *buf;
    size_t line_start;
};

/* The clause was just put from `from` on, with a space in front: turns that into a fold when the line got too long. */
static void fold_clause(struct folder *f, size_t from) {
    struct buf *buf = f->buf;
    if (buf_err(buf) != ERR_OK || buf->n - f->line_start <= TRACE_COLUMN || from == f->line_start)
        return;
    size_t n = buf->n - from;
    if (buf_room(buf, 2) == NULL)
        return;
    buf_added(buf, 2);
    for (size_t i = n; i-- > 0;)
        buf->p[from + 2 + i] = buf->p[from + i];
    buf->p[from] = '\r';
    buf->p[from + 1] = '\n';
    buf->p[from + 2] = '\t';
    f->line_start = from + 2;
}

void trace_put_received(struct buf *buf, const struct trace_received *r) {
    struct folder f = {buf, buf->n};
    buf_put(buf, VIEW("Received:"));
    size_t from = buf->n;
    /* RFC5321-4.4: From-domain with the TCP-info in a comment. */
    buf_put(buf, VIEW(" from "));
    put_word(buf, r->helo);
    if (r->host.n > 0 || r->address.n > 0) {
        buf_put(buf, VIEW(" ("));
        if (r->host.n > 0) {
            put_word(buf, r->host);
            if (r->address.n > 0)
                buf_put_byte(buf, ' ');
        }
        if (r->address.n > 0) {
            /* RFC5321-4.1.3: IPv6 literals carry a tag. */
            buf_put(buf, view_find_byte(r->address, ':') >= 0 ? VIEW("[IPv6:") : VIEW("["));
            put_word(buf, r->address);
            buf_put_byte(buf, ']');
        }
        buf_put_byte(buf, ')');
    }
    fold_clause(&f, from);

    from = buf->n;
    buf_put(buf, VIEW(" by "));
    put_word(buf, r->by);
    buf_put(buf, VIEW(" with "));
    buf_put(buf, trace_protocol(r));
    fold_clause(&f, from);

    if (r->is_tls && r->tls.n > 0) {
        from = buf->n;
        buf_put(buf, VIEW(" ("));
        put_clean(buf, r->tls, true);
        buf_put_byte(buf, ')');
        fold_clause(&f, from);
    }
    if (r->id.n > 0) {
        from = buf->n;
        buf_put(buf, VIEW(" id "));
        put_word(buf, r->id);
        fold_clause(&f, from);
    }
    if (r->recipient.n > 0) {
        from = buf->n;
        buf_put(buf, VIEW(" for <"));
        put_clean(buf, r->recipient, false);
        buf_put_byte(buf, '>');
        fold_clause(&f, from);
    }
    buf_put_byte(buf, ';');
    from = buf->n;
    buf_put_byte(buf, ' ');
    buf_put_rfc5322_date(buf, r->wall_us);
    fold_clause(&f, from);
    buf_put(buf, VIEW("\r\n"));
}

size_t trace_hops(struct view header) {
    struct header_iter it;
    struct header_field f;
    size_t n = 0;
    header_iter_init(&it, header);
    while (n <= TRACE_HOPS_MAX && header_next(&it, &f))
        n += view_eq_nocase(f.name, VIEW("Received"));
    return n;
}

/* RFC9228-4: one address alone; some programs write angle brackets. */
static struct view delivered_address(struct view value) {
    struct view address = view_trim(value);
    if (address.n >= 2 && address.p[0] == '<' && address.p[address.n - 1] == '>')
        address = view_trim(view_sub(address, 1, address.n - 2));
    return address;
}

bool trace_has_delivered_to(struct view header, struct view address) {
    struct header_iter it;
    struct header_field f;
    header_iter_init(&it, header);
    while (header_next(&it, &f))
        if (view_eq_nocase(f.name, VIEW("Delivered-To")) && view_eq_nocase(delivered_address(f.value), address))
            return true;
    return false;
}
