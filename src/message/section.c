/* IMAP's section specifications: which octets of a message BODY[section] means. */
#include "message/structure.h"

#include "message/header.h"

#include "base/reader.h"

const struct mime_part *message_part_at(const struct message *message, const uint32_t *path, size_t depth) {
    const struct mime_part *container = message->root;
    const struct mime_part *part = message->root;
    for (size_t i = 0; i < depth; i++) {
        if (container == NULL || path[i] == 0)
            return NULL;
        if (container->is_multipart) {
            part = container->first_child;
            for (uint32_t n = 1; n < path[i] && part != NULL; n++)
                part = part->next;
            if (part == NULL)
                return NULL;
        } else {
            /* RFC3501-6.4.5: "Every message has at least one part number"; a message without MIME parts has only part 1. */
            if (path[i] != 1)
                return NULL;
            part = container;
        }
        container = part->is_message ? part->embedded : part->is_multipart ? part : NULL;
    }
    return part;
}

/* The message that HEADER and TEXT are about: the root for an empty path, else the one inside a message/rfc822 part. */
static const struct mime_part *message_of(const struct mime_part *part, size_t depth) {
    return depth == 0 ? part : part->embedded;
}

/* Octets of the message: a view of them, or of a stream read into built. */
static enum err octets_of(const struct message *message, size_t offset, size_t size, struct buf *built,
                          struct view *out) {
    if (message->bytes.n > 0 || size == 0) {
        *out = view_sub(message->bytes, offset, size);
        return ERR_OK;
    }
    if (message->source == NULL)
        return ERR_NOT_FOUND;
    buf_clear(built);
    TRY(message_source_read(message->source, offset, size, built));
    *out = buf_view(built);
    return ERR_OK;
}

static enum err header_of(const struct message *message, const struct mime_part *part, struct buf *built,
                          struct view *out) {
    if (part->header.n < part->header_size)
        return octets_of(message, part->header_offset, part->header_size, built, out);
    *out = message_part_header(message, part);
    return ERR_OK;
}

static enum err put_subset(const struct section *section, struct view header, struct buf *built) {
    struct buf subset;
    buf_init(&subset, built->limit);
    header_put_subset(&subset, header, section->names, section->name_count, section->text == SECTION_HEADER_FIELDS_NOT);
    enum err err = buf_err(&subset);
    if (err == ERR_OK) {
        buf_clear(built);
        buf_put(built, buf_view(&subset));
        err = buf_err(built);
    }
    buf_fini(&subset);
    return err;
}

enum err message_section(const struct message *message, const struct section *section, struct buf *built,
                         struct view *out) {
    const struct mime_part *part = message_part_at(message, section->path, section->depth);
    if (part == NULL)
        return ERR_NOT_FOUND;
    const struct mime_part *inner = message_of(part, section->depth);
    bool is_of_message = section->text != SECTION_ALL && section->text != SECTION_MIME;
    if (is_of_message && inner == NULL)
        return ERR_NOT_FOUND;
    switch (section->text) {
    case SECTION_ALL:
        if (section->depth == 0)
            return octets_of(message, 0, part->header_size + part->body_size, built, out);
        return octets_of(message, part->body_offset, part->body_size, built, out);
    case SECTION_MIME:
        return section->depth == 0 ? ERR_NOT_FOUND : header_of(message, part, built, out);
    case SECTION_HEADER:
        return header_of(message, inner, built, out);
    case SECTION_TEXT:
        return octets_of(message, inner->body_offset, inner->body_size, built, out);
    case SECTION_HEADER_FIELDS:
    case SECTION_HEADER_FIELDS_NOT: {
        struct view header;
        TRY(header_of(message, inner, built, &header));
        TRY(put_subset(section, header, built));
        *out = buf_view(built);
        return ERR_OK;
    }
    }
    return ERR_NOT_FOUND;
}

enum err section_parse(struct view text, struct section *out) {
    struct section section = {.depth = 0};
    struct reader r = reader_of(text);
    bool after_dot = false;
    while (!reader_at_end(&r) && ascii_is_digit((uint8_t)reader_peek(&r))) {
        /* RFC3501-9: nz-number. */
        uint64_t number = reader_u64(&r, UINT32_MAX);
        TRY(reader_err(&r));
        if (number == 0)
            return ERR_SYNTAX;
        if (section.depth == SECTION_PATH_MAX)
            return ERR_LIMIT;
        section.path[section.depth++] = (uint32_t)number;
        after_dot = reader_accept(&r, '.');
        if (!after_dot)
            break;
    }
    struct view word = reader_rest(&r);
    if (section.depth > 0 && !after_dot && word.n > 0)
        return ERR_SYNTAX;
    if (word.n == 0 && !after_dot)
        section.text = SECTION_ALL;
    else if (view_eq_nocase(word, VIEW("HEADER")))
        section.text = SECTION_HEADER;
    else if (view_eq_nocase(word, VIEW("TEXT")))
        section.text = SECTION_TEXT;
    else if (section.depth > 0 && view_eq_nocase(word, VIEW("MIME")))
        section.text = SECTION_MIME;
    else
        return ERR_SYNTAX;
    *out = section;
    return ERR_OK;
}
