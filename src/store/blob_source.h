/*
 * A stored message as a message_source: parsing and everything that looks into
 * bodies reads the blob in pieces, through any door to the account (in process
 * or a channel), in constant memory.
 */
#ifndef STORE_BLOB_SOURCE_H
#define STORE_BLOB_SOURCE_H

#include "message/decode.h"
#include "message/stream_parse.h"
#include "store/account.h"

/* What `chunk` must be able to hold: one answer of blob_read. */
#define BLOB_SOURCE_ARENA ((size_t)ACCOUNT_READ_MAX * 2)

struct blob_source {
    struct message_source source;
    struct account *account;
    uint64_t blob;
    struct arena *chunk; /* cleared at each read */
};

/* size: of the whole message. The errors of reading: those of blob_read; ERR_PERMANENT when the blob ends before its size. */
void blob_source_init(struct blob_source *source, struct account *account, uint64_t blob, uint64_t size,
                      struct arena *chunk);

/*
 * What the full-text index holds of a stored message (message_index_text_put()), appended to out, in memory bounded by a
 * constant and out's limit. For the indexer, which runs apart from deliveries. ERR_NOT_FOUND: no such blob.
 */
enum err blob_index_text_put(struct account *account, uint64_t blob, uint64_t size, const struct charset_table *table,
                             struct buf *out) MUST_CHECK;

#endif
