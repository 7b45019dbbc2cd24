/* Writing single header fields into a buf. */
#include "message/compose.h"

#include "base/clock.h"

static void put_clean(struct buf *buf, struct view v) {
    for (size_t i = 0; i < v.n; i++)
        buf_put_byte(buf, v.p[i] < ' ' || v.p[i] == 127 ? ' ' : v.p[i]);
}

void compose_put_text(struct buf *buf, struct view name, struct view text, bool is_utf8) {
    struct fold f;
    fold_begin(&f, buf, name, is_utf8);
    fold_text(&f, text);
    fold_end(&f);
}

void compose_put_structured(struct buf *buf, struct view name, struct view value) {
    struct fold f;
    fold_begin(&f, buf, name, true);
    fold_structured(&f, value);
    fold_end(&f);
}

void compose_put_mailbox(struct buf *buf, struct view name, struct view display, struct view address, bool is_utf8) {
    struct fold f;
    struct buf clean;
    buf_init(&clean, FOLD_LINE_MAX);
    put_clean(&clean, address);
    struct view local = buf_view(&clean), domain = VIEW_NONE;
    ssize_t at = view_rfind_byte(local, '@');
    if (at >= 0) {
        domain = view_skip(local, (size_t)at + 1);
        local = view_sub(local, 0, (size_t)at);
    }
    fold_begin(&f, buf, name, is_utf8);
    if (display.n > 0)
        fold_phrase(&f, display, VIEW_NONE);
    if (clean.n == 0)
        fold_word(&f, 1, VIEW("<>"));
    else
        fold_address(&f, VIEW("<"), local, domain, VIEW(">"));
    fold_end(&f);
    if (buf->err == ERR_OK)
        buf->err = buf_err(&clean);
    buf_fini(&clean);
}

void compose_put_date(struct buf *buf, int64_t wall_us) {
    buf_put(buf, VIEW("Date: "));
    buf_put_rfc5322_date(buf, wall_us);
    buf_put(buf, VIEW("\r\n"));
}

void compose_put_message_id(struct buf *buf, const uint8_t random[16], struct view host) {
    buf_put(buf, VIEW("Message-ID: <"));
    buf_put_hex(buf, view_of(random, 16));
    buf_put_byte(buf, '@');
    put_clean(buf, host.n > 0 ? host : VIEW("localhost"));
    buf_put(buf, VIEW(">\r\n"));
}
