/* Fuzz target: any text written as a header field reads back equal, and no text makes a second field. */
#include "message/compose.h"
#include "message/header.h"
#include "message/structure_testing.h"
#include "message/trace.h"
#include "message/words.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(struct view v) {
    size_t length = 0;
    if (!view_ends(v, VIEW("\r\n")))
        abort();
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == 0)
            abort();
        if (v.p[i] == '\r' ? i + 1 == v.n || v.p[i + 1] != '\n' : v.p[i] == '\n' && (i == 0 || v.p[i - 1] != '\r'))
            abort();
        length = v.p[i] == '\n' ? 0 : length + 1;
        if (length > FOLD_LINE_MAX + 1)
            abort();
    }
}

static void check_text(struct view text, bool is_utf8) {
    struct buf buf, back, expected;
    struct header_field f;
    buf_init(&buf, 16 * 1024 * 1024);
    buf_init(&back, 16 * 1024 * 1024);
    buf_init(&expected, 16 * 1024 * 1024);
    compose_put_text(&buf, VIEW("Subject"), text, is_utf8);
    check_lines(buf_view(&buf));
    if (!header_find(buf_view(&buf), VIEW("Subject"), &f) || f.raw.n != buf.n)
        abort();
    words_decode(NULL, f.value, &back);
    buf_put_utf8_lossy(&expected, text);
    for (size_t i = 0; i < expected.n; i++)
        if (expected.p[i] < ' ' || expected.p[i] == 127)
            expected.p[i] = ' ';
    if (!view_eq(buf_view(&back), buf_view(&expected)))
        abort();
    buf_fini(&buf);
    buf_fini(&back);
    buf_fini(&expected);
}

static void check_dsn(struct view text) {
    struct dsn_recipient recipient = {
        .final = view_sub(text, 0, 60), .diagnostic = text, .remote_mta = view_sub(text, 3, 50)};
    struct dsn dsn = {
        .from = VIEW("a@b"),
        .to = VIEW("c@d"),
        .host = VIEW("h"),
        .recipients = &recipient,
        .recipient_count = 1,
        .header = text,
        .body = text.n % 2 == 0 ? VIEW_NONE : text,
        .is_utf8 = text.n % 4 > 1,
    };
    struct buf buf;
    buf_init(&buf, 16 * 1024 * 1024);
    if (dsn_put(&buf, &dsn) != ERR_OK)
        abort();
    check_lines(buf_view(&buf));
    if (check_message(buf_view(&buf)) != NULL)
        abort();
    buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view text = view_of(data, size);
    if (size > 100000)
        return 0;
    check_text(text, false);
    check_text(text, true);
    check_dsn(text);
    struct buf buf;
    struct trace_received r = {.helo = view_sub(text, 0, 200),
                               .host = view_sub(text, 5, 200),
                               .by = VIEW("x"),
                               .tls = view_sub(text, 2, 100),
                               .is_tls = true,
                               .is_esmtp = true,
                               .recipient = view_sub(text, 7, 200)};
    buf_init(&buf, 65536);
    trace_put_received(&buf, &r);
    check_lines(buf_view(&buf));
    if (header_count(buf_view(&buf), VIEW("Received")) != 1)
        abort();
    buf_fini(&buf);
    return 0;
}
