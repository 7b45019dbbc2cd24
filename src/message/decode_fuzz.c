/* Fuzz target: transfer encodings give the same octets for every way to cut them, and no more than they have. */
#include "message/decode.h"
#include "message/stream_testing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct buf *out, enum mime_encoding encoding, struct view text, struct cuts cuts) {
    struct decoder decoder;
    decoder_init(&decoder, encoding);
    for (size_t at = 0; at < text.n;) {
        size_t n = cuts_next(&cuts, text.n - at);
        decoder_feed(&decoder, out, view_sub(text, at, n));
        at += n;
    }
    decoder_end(&decoder, out);
    if (buf_err(out) != ERR_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    /* The first octet says which encoding, and how the others are cut. */
    enum mime_encoding encoding = (data[0] & 1) ? MIME_ENCODING_BASE64 : MIME_ENCODING_QUOTED_PRINTABLE;
    struct view text = view_of(data + 1, size - 1);
    const struct cuts cuts[] = {{.piece = 1}, {.piece = 2}, {.seed = data[0] + 1u}, {.seed = data[0] + 1000u}};
    struct buf whole, pieces;
    buf_init(&whole, size + 2 * DECODE_HELD_MAX + 8192);
    buf_init(&pieces, size + 2 * DECODE_HELD_MAX + 8192);
    decode(&whole, encoding, text, (struct cuts){.piece = SIZE_MAX});
    if (whole.n > text.n)
        abort();
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        buf_clear(&pieces);
        decode(&pieces, encoding, text, cuts[i]);
        if (!view_eq(buf_view(&whole), buf_view(&pieces)))
            abort();
    }
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
