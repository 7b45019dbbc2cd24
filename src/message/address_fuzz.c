/* Fuzz target: address lists. Groups are balanced, nothing is longer than what came in. */
#include "message/address.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new("fuzz", 16 * 1024 * 1024);
    if (arena == NULL)
        return 0;
    struct address_list list;
    bool in_group = false;
    size_t total = 0;
    address_parse(arena, view_of(data, size), &list);
    for (size_t i = 0; i < list.count; i++) {
        const struct address *a = &list.list[i];
        if (a->kind == ADDRESS_GROUP_START ? in_group : a->kind == ADDRESS_GROUP_END ? !in_group : false)
            abort();
        if (a->kind != ADDRESS_MAILBOX)
            in_group = a->kind == ADDRESS_GROUP_START;
        total += a->name.n + a->adl.n + a->mailbox.n + a->host.n;
    }
    if ((in_group && !list.truncated) || total > size)
        abort();
    arena_free(arena);
    return 0;
}
