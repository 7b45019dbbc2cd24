/* Stored messages, read through windows. */
#include "store/blob_source.h"

#include "message/text.h"

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

enum err blob_index_text_put(struct account *account, uint64_t blob, uint64_t size, const struct charset_table *table,
                             struct buf *out) {
    struct blob_source source;
    struct message message;
    struct arena *chunk = arena_new("index_chunk", BLOB_SOURCE_ARENA);
    struct arena *parts = arena_new("index_parts", MESSAGE_ARENA_BUDGET);
    enum err err = chunk == NULL || parts == NULL ? ERR_NO_MEMORY : ERR_OK;
    if (err == ERR_OK) {
        blob_source_init(&source, account, blob, size, chunk);
        err = message_parse_source(parts, &source.source, &message);
    }
    if (err == ERR_OK)
        message_index_text_put(out, table, &message);
    arena_free(parts);
    arena_free(chunk);
    return err == ERR_OK ? buf_err(out) : err;
}
