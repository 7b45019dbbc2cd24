/*
 * Where the octets of a message are: in memory, or behind a read function (a
 * file, a compressed blob, an account's blob_read). A parsed message refers to
 * one, so that everything which looks into bodies works in constant memory.
 */
#ifndef MESSAGE_SOURCE_H
#define MESSAGE_SOURCE_H

#include "base/buf.h"

struct message_source {
    uint64_t size;
    /* Reads up to n octets from offset into p; *got is 0 only at or after the end. May suspend. */
    enum err (*read)(struct message_source *source, uint64_t offset, void *p, size_t n, size_t *got);
};

/* Octets that one read of a body asks for. */
#define MESSAGE_WINDOW (64 * 1024)

struct message_source_memory {
    struct message_source source;
    struct view bytes;
};
void message_source_memory_init(struct message_source_memory *source, struct view bytes);
/* All of [offset, offset + n) appended to out; ERR_NOT_FOUND when the source ends before. */
enum err message_source_read(struct message_source *source, uint64_t offset, size_t n, struct buf *out) MUST_CHECK;

#endif
