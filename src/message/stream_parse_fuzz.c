/* Fuzz target: the tree of a stream that is cut at random is the tree of the whole message. */
#include "message/stream_testing.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* The first octet says how it is cut. */
    uint64_t seed = size == 0 ? 1 : (uint64_t)data[0] + 1;
    struct view bytes = size == 0 ? VIEW_NONE : view_of(data + 1, size - 1);
    const char *error = check_streams(bytes, seed);
    if (error != NULL) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    return 0;
}
