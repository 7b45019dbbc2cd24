/* Stored messages, read through windows. */
#include "store/blob_source.h"

#include <string.h>

static enum err read_blob(struct message_source *base, uint64_t offset, void *p, size_t n, size_t *got) {
    struct blob_source *source = (struct blob_source *)base;
    size_t want = (size_t)MIN((uint64_t)n, offset < base->size ? base->size - offset : 0), done = 0;
    while (done < want) {
        struct blob_read_args args = {.blob = source->blob,
                                      .offset = offset + done,
                                      .length = (uint32_t)MIN(want - done, (size_t)ACCOUNT_READ_MAX)};
        struct blob_read_result result;
        arena_clear(source->chunk);
        TRY(account_do_blob_read(source->account, &args, NULL, source->chunk, &result));
        if (result.bytes.n == 0 || result.bytes.n > want - done)
            return ERR_PERMANENT;
        memcpy((uint8_t *)p + done, result.bytes.p, result.bytes.n);
        done += result.bytes.n;
        TRY(co_breathe());
    }
    *got = done;
    return ERR_OK;
}

void blob_source_init(struct blob_source *source, struct account *account, uint64_t blob, uint64_t size,
                      struct arena *chunk) {
    *source = (struct blob_source){{.size = size, .read = read_blob}, account, blob, chunk};
}
