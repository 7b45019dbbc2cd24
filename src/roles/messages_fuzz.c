/* Every message between roles, from octets: the first two choose it, the rest is its request or reply. What decodes is encoded again to the
 * same octets. */
#include "roles/messages.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    const struct message_type *type = role_messages[data[0] % role_messages_n].type;
    const struct record_type *record = data[1] & 1 && type->reply ? type->reply : type->request;
    struct view in = view_of(data + 2, size - 2);
    struct arena *arena = arena_new("fuzz", 1 << 20);
    void *value = calloc(1, record->size);
    if (arena && value && record_decode(record, in, arena, value) == ERR_OK) {
        struct buf out, text;
        buf_init(&out, 1 << 20);
        buf_init(&text, 1 << 20);
        if (record_encode(record, value, &out) != ERR_OK || !view_eq(buf_view(&out), in))
            abort();
        record_print(record, value, &text);
        buf_fini(&out);
        buf_fini(&text);
    }
    free(value);
    arena_free(arena);
    return 0;
}
