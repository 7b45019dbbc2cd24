/* Fuzz target: what decodes as modified UTF-7 encodes to the same octets; what encodes decodes to the same name. */
#include "imap/list_match.h"
#include "imap/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view in = view_of(data, MIN(size, 2000)), pattern, name;
    struct buf a, b;
    buf_init(&a, 100000);
    buf_init(&b, 100000);
    if (utf7_decode(in, &a) == ERR_OK) {
        BUG_IF(utf7_encode(buf_view(&a), &b) != ERR_OK);
        BUG_IF(!view_eq(buf_view(&b), in));
    }
    buf_clear(&a);
    buf_clear(&b);
    if (utf7_encode(in, &a) == ERR_OK) {
        BUG_IF(utf7_decode(buf_view(&a), &b) != ERR_OK);
        BUG_IF(!view_eq(buf_view(&b), in));
    }
    if (view_split(in, '\n', &pattern, &name))
        (void)imap_list_match(pattern, name);
    buf_fini(&a);
    buf_fini(&b);
    return 0;
}
