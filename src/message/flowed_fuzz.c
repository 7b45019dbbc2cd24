/* Fuzz target: any text written as format=flowed reads back equal; any flowed text can be read. */
#include "message/flowed_testing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view text = view_of(data, size);
    struct buf out, back, normal;
    if (size > 100000)
        return 0;
    buf_init(&out, 8 * size + 64);
    buf_init(&back, 8 * size + 64);
    buf_init(&normal, 8 * size + 64);
    flowed_put(&out, text);
    flowed_put_text(&back, buf_view(&out), false);
    flowed_put_normal(&normal, text);
    if (buf_err(&out) != ERR_OK || !view_eq(buf_view(&back), buf_view(&normal)))
        abort();
    buf_clear(&back);
    flowed_put_text(&back, text, size % 2 == 0);
    if (buf_err(&back) != ERR_OK)
        abort();
    buf_fini(&out);
    buf_fini(&back);
    buf_fini(&normal);
    return 0;
}
