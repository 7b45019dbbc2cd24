/* The part index. */
#include "message/index.h"

#include "base/reader.h"

#include <string.h>

#define INDEX_VERSION 1

enum { FLAG_MULTIPART = 1, FLAG_MESSAGE = 2 };

struct entry {
    uint8_t flags;
    uint16_t parent;
    uint64_t header_offset, header_size, body_size;
    uint32_t lines;
};

void message_index_put(struct buf *buf, const struct message *message) {
    /* The numbers of the entities that are open, by depth. */
    uint16_t open[MESSAGE_DEPTH_MAX];
    uint16_t number = 0;
    buf_put_byte(buf, INDEX_VERSION);
    for (const struct mime_part *p = message->root; p != NULL; p = message_part_next(p)) {
        open[p->depth] = ++number;
        buf_put_byte(buf, (uint8_t)((p->is_multipart ? FLAG_MULTIPART : 0) | (p->is_message ? FLAG_MESSAGE : 0)));
        buf_put_be16(buf, p->depth == 0 ? 0 : open[p->depth - 1]);
        buf_put_be64(buf, p->header_offset);
        buf_put_be64(buf, p->header_size);
        buf_put_be64(buf, p->body_size);
        buf_put_be32(buf, (uint32_t)MIN(p->lines, (size_t)UINT32_MAX));
    }
}

static size_t entry_count(struct view index) {
    return (index.n - 1) / MESSAGE_INDEX_ENTRY_SIZE;
}

/* Entity `number` (from 1), checked against the size of the message. */
static enum err entry_at(struct view index, size_t number, uint64_t size, struct entry *out) {
    struct reader r = reader_of(view_skip(index, 1 + (number - 1) * MESSAGE_INDEX_ENTRY_SIZE));
    struct entry e;
    e.flags = reader_be8(&r);
    e.parent = reader_be16(&r);
    e.header_offset = reader_be64(&r);
    e.header_size = reader_be64(&r);
    e.body_size = reader_be64(&r);
    e.lines = reader_be32(&r);
    TRY(reader_err(&r));
    if (e.header_offset > size || e.header_size > size - e.header_offset ||
        e.body_size > size - e.header_offset - e.header_size || e.parent >= number)
        return ERR_SYNTAX;
    *out = e;
    return ERR_OK;
}

/* The n-th entity (from 1) whose parent is `parent`. */
static enum err child_of(struct view index, uint64_t size, size_t parent, uint32_t n, size_t *number) {
    for (size_t i = parent + 1; i <= entry_count(index); i++) {
        struct entry e;
        TRY(entry_at(index, i, size, &e));
        if (e.parent == parent && --n == 0) {
            *number = i;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

enum err message_index_section(struct view index, uint64_t size, const struct section *section,
                               struct message_range *out) {
    if (index.n < 1 + MESSAGE_INDEX_ENTRY_SIZE || index.n > MESSAGE_INDEX_MAX || index.p[0] != INDEX_VERSION ||
        (index.n - 1) % MESSAGE_INDEX_ENTRY_SIZE != 0)
        return ERR_SYNTAX;
    /* The same walk as message_part_at(). */
    size_t part = 1, container = 1;
    struct entry e;
    for (size_t i = 0; i < section->depth; i++) {
        if (container == 0 || section->path[i] == 0)
            return ERR_NOT_FOUND;
        TRY(entry_at(index, container, size, &e));
        if (e.flags & FLAG_MULTIPART)
            TRY(child_of(index, size, container, section->path[i], &part));
        else if (section->path[i] != 1)
            return ERR_NOT_FOUND;
        else
            part = container;
        TRY(entry_at(index, part, size, &e));
        container = 0;
        if (e.flags & FLAG_MESSAGE)
            TRY(child_of(index, size, part, 1, &container));
        else if (e.flags & FLAG_MULTIPART)
            container = part;
    }
    TRY(entry_at(index, part, size, &e));
    bool wants_message = section->text != SECTION_ALL && section->text != SECTION_MIME;
    if (section->text == SECTION_MIME && section->depth == 0)
        return ERR_NOT_FOUND;
    if (wants_message && section->depth > 0) {
        if (!(e.flags & FLAG_MESSAGE))
            return ERR_NOT_FOUND;
        TRY(child_of(index, size, part, 1, &part));
        TRY(entry_at(index, part, size, &e));
    }
    bool is_header = wants_message ? section->text != SECTION_TEXT : section->text == SECTION_MIME;
    struct message_range range = {.is_subset = section->text == SECTION_HEADER_FIELDS ||
                                               section->text == SECTION_HEADER_FIELDS_NOT};
    if (section->text == SECTION_ALL && section->depth == 0) {
        range.size = size;
    } else {
        range.offset = is_header ? e.header_offset : e.header_offset + e.header_size;
        range.size = is_header ? e.header_size : e.body_size;
    }
    *out = range;
    return ERR_OK;
}
