/* Fuzz target: what is derived fits its record, and the record comes back equal. */
#include "message/derive.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct view v) {
    if (!utf8_is_valid(v))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", 64 * 1024 * 1024);
    struct message message;
    struct derived_fields fields, again;
    struct buf wire;
    buf_init(&wire, 64 * 1024 * 1024);
    if (arena == NULL || message_parse(arena, view_of(data, size), &message) != ERR_OK ||
        derive_fields(arena, NULL, &message, &fields) != ERR_OK ||
        record_encode(&derived_fields_record, &fields, &wire) != ERR_OK ||
        record_decode(&derived_fields_record, buf_view(&wire), arena, &again) != ERR_OK ||
        !record_equal(&derived_fields_record, &fields, &again))
        abort();
    check(fields.subject);
    for (uint32_t i = 0; i < fields.to_n; i++) {
        check(fields.to[i].name);
        check(fields.to[i].email);
    }
    for (uint32_t i = 0; i < fields.attachments_n; i++) {
        const struct derived_attachment *a = &fields.attachments[i];
        check(a->name);
        check(a->type);
        check(a->content_id);
        if (a->section.n == 0 || a->size > size)
            abort();
    }
    buf_fini(&wire);
    arena_free(arena);
    return 0;
}
