/* Compressed octets from strangers: bounded in both directions, and what was written reads back. */
#include "inflate/inflate.h"

#include <stdlib.h>

#define OUT_MAX ((size_t)4 * 1024 * 1024)

static void check(bool holds) {
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf out, file, again;
    buf_init(&out, OUT_MAX);
    buf_init(&file, OUT_MAX);
    buf_init(&again, OUT_MAX);
    if (size > 0) {
        struct view octets = view_of(data + 1, size - 1);
        enum err err = inflate_octets(octets, data[0] & 1 ? INFLATE_RAW : INFLATE_GZIP, &out);
        check(err == ERR_OK || err == ERR_SYNTAX || err == ERR_LIMIT);
        check(out.n <= INFLATE_RATIO_FROM + 65536 || out.n / (2 * INFLATE_RATIO_MAX) <= octets.n);
    }
    buf_put_gzip(&file, view_of(data, size));
    check(buf_err(&file) == ERR_OK && inflate_is_gzip(buf_view(&file)));
    check(inflate_octets(buf_view(&file), INFLATE_GZIP, &again) == ERR_OK);
    check(view_eq(buf_view(&again), view_of(data, size)));
    buf_fini(&out);
    buf_fini(&file);
    buf_fini(&again);
    return 0;
}
