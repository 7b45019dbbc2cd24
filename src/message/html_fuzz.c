/* Fuzz target: HTML as text, for every purpose. Text is valid, without control characters, and not much longer. */
#include "message/html.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The most that one octet can become: a line end in preformatted text and the prefix of a line. */
#define GROWTH (size_t)(24 * HTML_PREFIX_MAX)

static void check(struct view html, enum html_purpose purpose) {
    struct buf out;
    buf_init(&out, (html.n + 16) * GROWTH);
    html_put_text(&out, html, purpose);
    if (buf_err(&out) != ERR_OK || !utf8_is_valid(buf_view(&out)))
        abort();
    for (size_t i = 0; i < out.n; i++) {
        if (out.p[i] < ' ' && out.p[i] != '\n' && out.p[i] != '\t')
            abort();
        if (purpose != HTML_READ && out.p[i] == '\n' && i > 0 && out.p[i - 1] == '\n')
            abort();
    }
    if (out.n > 0 && out.p[out.n - 1] == '\n')
        abort();
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf html;
    if (size > 100000)
        return 0;
    buf_init(&html, 3 * size + 16);
    buf_put_utf8_lossy(&html, view_of(data, size));
    check(buf_view(&html), HTML_PREVIEW);
    check(buf_view(&html), HTML_READ);
    check(buf_view(&html), HTML_INDEX);
    struct view charset = html_charset(view_of(data, size));
    if (charset.n > 1024)
        abort();
    buf_fini(&html);
    return 0;
}
