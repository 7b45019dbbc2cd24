/* Fuzz target: text under a label (the first line). Always valid UTF-8, and the same when it comes in pieces. */
#include "message/charset.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Opened once: it loads some forty libraries. */
static struct charset_table table;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 50000)
        return 0;
    if (table.open == 0 && charset_prepare(&table) != ERR_OK)
        abort();
    struct view label, text;
    struct buf whole, cut;
    struct charset_stream s;
    view_split(view_of(data, size), '\n', &label, &text);
    buf_init(&whole, 16 * size + 64);
    buf_init(&cut, 16 * size + 64);
    charset_put_utf8(&table, label, text, &whole);
    if (buf_err(&whole) != ERR_OK || !utf8_is_valid(buf_view(&whole)))
        abort();
    charset_stream_init(&s, &table, label);
    uint32_t seed = (uint32_t)size;
    for (struct view rest = text; rest.n > 0;) {
        seed = seed * 1664525 + 1013904223;
        struct view piece = view_sub(rest, 0, 1 + (seed >> 24) % 7);
        charset_stream_put(&s, piece, &cut);
        rest = view_skip(rest, piece.n);
    }
    charset_stream_end(&s, &cut);
    if (!view_eq(buf_view(&whole), buf_view(&cut)))
        abort();
    buf_clear(&cut);
    charset_put_utf8(NULL, label, text, &cut);
    if (buf_err(&cut) != ERR_OK || !utf8_is_valid(buf_view(&cut)))
        abort();
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
