/* Fuzz target: encoded words, charsets, encoded parameters, base subjects, message ids. All text is valid UTF-8 at the end. */
#include "message/thread.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Opened once: it loads some forty libraries. */
static struct charset_table table;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (table.open == 0 && charset_prepare(&table) != ERR_OK)
        abort();
    struct arena *arena = arena_new("fuzz", 16 * 1024 * 1024);
    struct view text = view_of(data, size), label, rest;
    struct buf out;
    if (arena == NULL)
        return 0;
    buf_init(&out, 16 * 1024 * 1024);
    words_decode(&table, text, &out);
    if (!utf8_is_valid(buf_view(&out)))
        abort();
    if (words_is_plain(text) && out.n > size)
        abort();

    buf_clear(&out);
    view_split(text, '\n', &label, &rest);
    charset_put_utf8(&table, label, rest, &out);
    if (!utf8_is_valid(buf_view(&out)))
        abort();

    buf_clear(&out);
    struct mime_params params;
    mime_params_parse(arena, text, &params);
    if (words_param(&table, &params, VIEW("name"), &out) == ERR_OK && !utf8_is_valid(buf_view(&out)))
        abort();

    buf_clear(&out);
    thread_base_subject(&table, text, &out, NULL);
    if (!utf8_is_valid(buf_view(&out)))
        abort();

    struct thread_ids ids;
    thread_ids_parse(arena, text, &ids);
    for (size_t i = 0; i < ids.count; i++)
        if (ids.list[i].n == 0 || ids.list[i].n > THREAD_ID_MAX + 1)
            abort();
    if (thread_message_id(arena, text).n > THREAD_ID_MAX + 1)
        abort();

    buf_fini(&out);
    arena_free(arena);
    return 0;
}
