/* Fuzz target: the preview, search over the same message. */
#include "message/preview.h"
#include "message/search.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view bytes = view_of(data, size);
    struct arena *arena = arena_new("fuzz", MESSAGE_ARENA_BUDGET);
    struct message m;
    struct buf out, work;
    buf_init(&out, 16 * 1024 * 1024);
    buf_init(&work, 16 * 1024 * 1024);
    if (arena == NULL || message_parse(arena, bytes, &m) != ERR_OK)
        abort();
    message_preview_put(&out, NULL, &m);
    size_t characters = 0;
    for (size_t i = 0; i < out.n; i++)
        characters += (out.p[i] & 0xc0) != 0x80;
    if (buf_err(&out) != ERR_OK || !utf8_is_valid(buf_view(&out)) || characters > PREVIEW_CHARACTERS)
        abort();
    buf_clear(&out);
    search_fold(&out, view_sub(bytes, size / 2, 3));
    if (!search_text(bytes, buf_view(&out)) && utf8_is_ascii(bytes))
        abort();
    search_body(NULL, &m, buf_view(&out), &work);
    search_header(NULL, bytes, VIEW_NONE, buf_view(&out), &work);
    buf_fini(&out);
    buf_fini(&work);
    arena_free(arena);
    return 0;
}
