/* Replies: their form on the wire (RFC5321-4.2), queued until input runs dry (RFC2920-3.2). */
#include "smtp/session.h"

static void put_text(struct buf *out, struct view line) {
    line = view_sub(line, 0, SMTP_REPLY_TEXT_MAX);
    for (size_t i = 0; i < line.n; i++)
        buf_put_byte(out, line.p[i] >= 32 && line.p[i] <= 126 ? line.p[i] : '?');
}

void session_reply(struct smtp_session *s, uint16_t code, struct view status, struct view text) {
    BUG_IF(code < 200 || code > 599);
    s->last_code = code;
    bool more;
    do {
        struct view line;
        more = view_split(text, '\n', &line, &text);
        buf_put_u64(&s->out, code);
        buf_put_byte(&s->out, more ? '-' : ' ');
        /* RFC2034-4: in every line of a reply. */
        if (status.n > 0) {
            buf_put(&s->out, status);
            buf_put_byte(&s->out, ' ');
        }
        put_text(&s->out, line);
        buf_put(&s->out, VIEW("\r\n"));
    } while (more);
}

/* A role's code that is no final reply to a command is our bug on this side, and the client's message must not suffer. */
static bool is_final(uint16_t code) {
    return (code >= 200 && code <= 299) || (code >= 400 && code <= 599);
}

void session_reply_or(struct smtp_session *s, const struct smtp_reply *given, uint16_t code, struct view status,
                      struct view text) {
    if (given->code == 0) {
        session_reply(s, code, status, text);
    } else if (!is_final(given->code)) {
        REPLY(s, 451, "4.3.0", "Local error, try again later");
    } else {
        static const struct view statuses[] = {VIEW_INIT("2.0.0"), VIEW_INIT("4.0.0"), VIEW_INIT("5.0.0")};
        size_t class = given->code < 300 ? 0 : given->code < 500 ? 1 : 2;
        session_reply(s, given->code, given->status.n > 0 ? given->status : statuses[class], given->text);
    }
}

enum err session_flush(struct smtp_session *s) {
    TRY(buf_err(&s->out));
    if (s->out.n == 0)
        return ERR_OK;
    int64_t deadline_us = loop_now_us(s->stream->loop) + s->params->idle_us;
    enum err err = stream_write(s->stream, buf_view(&s->out), deadline_us);
    buf_clear(&s->out);
    return err;
}
