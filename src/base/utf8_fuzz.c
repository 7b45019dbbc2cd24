/* Repair gives valid text and leaves valid text alone; decoding and encoding agree; a cut of valid text is valid. */
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view in = view_of(data, size);
    bool valid = utf8_is_valid(in);
    struct buf out;
    buf_init(&out, size * 3);
    buf_put_utf8_lossy(&out, in);
    BUG_IF(buf_err(&out) != ERR_OK);
    BUG_IF(!utf8_is_valid(buf_view(&out)));
    BUG_IF(valid != view_eq(buf_view(&out), in));
    BUG_IF(utf8_is_ascii(in) && !valid);
    if (valid) {
        buf_clear(&out);
        uint32_t cp;
        for (struct view rest = in; rest.n > 0; rest = view_skip(rest, utf8_decode(rest, &cp))) {
            BUG_IF(utf8_decode(rest, &cp) == 0);
            buf_put_utf8(&out, cp);
        }
        BUG_IF(!view_eq(buf_view(&out), in));
        for (size_t max = 0; max < MIN(size, (size_t)64); max++) {
            struct view cut = utf8_truncate(in, max);
            BUG_IF(!utf8_is_valid(cut) || cut.n > max || cut.n + 3 < max);
        }
    }
    buf_fini(&out);
    return 0;
}
