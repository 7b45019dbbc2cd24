/* Fuzz target: all parsed forms of a value. What comes out is UTF-8 without NUL. */
#include "message/forms.h"
#include "message/nfc.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct view v) {
    if (!utf8_is_valid(v) || view_find_byte(v, 0) >= 0)
        abort();
}

static void check_strings(const struct form_strings *strings) {
    if (strings->is_null != (strings->count == 0))
        abort();
    for (size_t i = 0; i < strings->count; i++)
        check(strings->list[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", 16 * 1024 * 1024);
    if (arena == NULL)
        return 0;
    struct view value = view_of(data, size);
    struct form_groups groups;
    struct form_strings strings;
    struct buf out;
    buf_init(&out, 16 * 1024 * 1024);
    form_groups_parse(arena, NULL, value, &groups);
    for (size_t i = 0; i < groups.count; i++) {
        check(groups.list[i].name);
        for (size_t k = 0; k < groups.list[i].count; k++) {
            check(groups.list[i].list[k].name);
            check(groups.list[i].list[k].email);
        }
    }
    form_message_ids_parse(arena, value, &strings);
    check_strings(&strings);
    form_urls_parse(arena, value, &strings);
    check_strings(&strings);
    form_put_raw(&out, value);
    check(buf_view(&out));
    buf_clear(&out);
    form_put_text(&out, NULL, value);
    check(buf_view(&out));
    buf_clear(&out);
    size_t before = out.n;
    if (form_put_date(&out, value) != (out.n > before))
        abort();
    buf_clear(&out);
    /* RFC5198: what is made is in the form already. */
    net_unicode_put(&out, value);
    check(buf_view(&out));
    if (buf_err(&out) == ERR_OK && !net_unicode_is(buf_view(&out)))
        abort();
    buf_fini(&out);
    arena_free(arena);
    return 0;
}
