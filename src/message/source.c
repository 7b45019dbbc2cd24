/* Octets of a message from memory, and reading all of a range from any source. */
#include "message/source.h"

#include <string.h>

static enum err read_memory(struct message_source *source, uint64_t offset, void *p, size_t n, size_t *got) {
    const struct message_source_memory *memory = (const struct message_source_memory *)source;
    struct view octets = VIEW_NONE;
    if (offset < memory->bytes.n)
        octets = view_sub(memory->bytes, (size_t)offset, n);
    if (octets.n > 0)
        memcpy(p, octets.p, octets.n);
    *got = octets.n;
    return ERR_OK;
}

void message_source_memory_init(struct message_source_memory *source, struct view bytes) {
    *source = (struct message_source_memory){.source = {.size = bytes.n, .read = read_memory}, .bytes = bytes};
}

enum err message_source_read(struct message_source *source, uint64_t offset, size_t n, struct buf *out) {
    while (n > 0) {
        /* In windows, so that a wrong size asks for no more memory than there are octets. */
        size_t part = MIN(n, (size_t)MESSAGE_WINDOW), got = 0;
        uint8_t *room = buf_room(out, part);
        if (room == NULL)
            return buf_err(out);
        TRY(source->read(source, offset, room, part, &got));
        if (got == 0)
            return ERR_NOT_FOUND;
        if (got > part)
            return ERR_BUG;
        buf_added(out, got);
        offset += got;
        n -= got;
    }
    return ERR_OK;
}
