/* Fuzz target: octets become a tree of parts, which is written, parsed and compared. */
#include "message/builder_testing.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 20000)
        return 0;
    struct arena *arena = arena_new("fuzz", 64 * 1024 * 1024);
    if (arena == NULL)
        return 0;
    struct choices choices = {.octets = view_of(data, size), .arena = arena};
    const char *error = round_trip(&choices, NULL);
    if (error != NULL) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    arena_free(arena);
    return 0;
}
