/* Fuzz target: fields of mailing lists and mailto URLs. */
#include "message/list.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", 16 * 1024 * 1024);
    struct view v = view_of(data, size);
    struct list_id id;
    struct list_unsubscribe unsubscribe;
    struct mailto mailto;
    if (arena == NULL)
        return 0;
    if (list_id_parse(arena, NULL, v, &id) && (id.id.n == 0 || id.id.n > LIST_ID_MAX || !utf8_is_valid(id.description)))
        abort();
    list_unsubscribe_read(arena, v, &unsubscribe);
    if (unsubscribe.one_click && unsubscribe.https.n == 0)
        abort();
    if (list_mailto_parse(arena, v, &mailto)) {
        if (!utf8_is_valid(mailto.to) || !utf8_is_valid(mailto.subject) || !utf8_is_valid(mailto.body) ||
            view_find_byte(mailto.to, '\n') >= 0 || view_find_byte(mailto.subject, '\r') >= 0)
            abort();
    }
    (void)list_one_click_is_signed(v);
    (void)list_post_is_closed(v);
    arena_free(arena);
    return 0;
}
