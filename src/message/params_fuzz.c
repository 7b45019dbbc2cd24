/* Fuzz target: parameters, content types, header fields and subsets. */
#include "message/header.h"
#include "message/params.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", 16 * 1024 * 1024);
    struct view text = view_of(data, size), type, subtype;
    struct mime_params params;
    if (arena == NULL)
        return 0;
    if (mime_content_type_parse(arena, text, &type, &subtype, &params) && (type.n == 0 || subtype.n == 0))
        abort();
    if (params.count > MIME_PARAMS_MAX)
        abort();
    for (size_t i = 0; i < params.count; i++)
        if (params.list[i].name.n == 0 || params.list[i].value.p == NULL)
            abort();

    struct header_iter it;
    struct header_field f;
    size_t end = 0;
    header_iter_init(&it, text);
    while (header_next(&it, &f)) {
        struct view value;
        if (f.offset < end || f.raw.p != text.p + f.offset || f.value.p < f.raw.p || f.name.p != f.raw.p ||
            f.value.p + f.value.n > f.raw.p + f.raw.n)
            abort();
        end = f.offset + f.raw.n;
        if (header_unfold(arena, f.value, &value) == ERR_OK && view_find_byte(value, '\n') >= 0)
            abort();
    }
    if (end > size)
        abort();

    /* The fields of a name and the others are all fields. */
    struct buf in, out;
    struct view name = VIEW("a");
    buf_init(&in, size + 16);
    buf_init(&out, size + 16);
    header_put_subset(&in, text, &name, 1, false);
    header_put_subset(&out, text, &name, 1, true);
    /* A byte order mark in front of a field in the middle is part of its name, but not when that field comes first. */
    bool has_mark = view_starts(buf_view(&out), VIEW("\xef\xbb\xbf"));
    if (buf_err(&in) != ERR_OK || buf_err(&out) != ERR_OK || (!has_mark && header_count(buf_view(&out), name) != 0))
        abort();
    buf_fini(&in);
    buf_fini(&out);
    arena_free(arena);
    return 0;
}
