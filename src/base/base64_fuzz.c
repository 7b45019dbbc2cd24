/* A text that decodes is the only spelling of its octets; any octets come back. The same for hex, but for its case. */
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view in = view_of(data, size);
    struct buf octets, text;
    buf_init(&octets, size);
    buf_init(&text, size * 2 + 4);
    if (base64_decode(in, &octets) == ERR_OK) {
        buf_put_base64(&text, buf_view(&octets));
        BUG_IF(!view_eq(buf_view(&text), in));
    }
    buf_clear(&octets);
    buf_clear(&text);
    if (hex_decode(in, &octets) == ERR_OK) {
        buf_put_hex(&text, buf_view(&octets));
        BUG_IF(!view_eq_nocase(buf_view(&text), in));
    }
    buf_clear(&octets);
    buf_clear(&text);
    buf_put_base64(&text, in);
    BUG_IF(base64_decode(buf_view(&text), &octets) != ERR_OK);
    BUG_IF(!view_eq(buf_view(&octets), in));
    buf_fini(&octets);
    buf_fini(&text);
    return 0;
}
