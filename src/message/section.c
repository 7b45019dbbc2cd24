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

enum err message_section(const struct message *message, const struct section *section, struct buf *built,
                         struct view *out) {
    const struct mime_part *part = message_part_at(message, section->path, section->depth);
    if (part == NULL)
        return ERR_NOT_FOUND;
    const struct mime_part *inner = message_of(part, section->depth);
    switch (section->text) {
    case SECTION_ALL:
        *out = section->depth == 0 ? message->bytes : message_part_body(message, part);
        return ERR_OK;
    case SECTION_MIME:
        if (section->depth == 0)
            return ERR_NOT_FOUND;
        *out = message_part_header(message, part);
        return ERR_OK;
    case SECTION_HEADER:
    case SECTION_TEXT:
        if (inner == NULL)
            return ERR_NOT_FOUND;
        *out =
            section->text == SECTION_HEADER ? message_part_header(message, inner) : message_part_body(message, inner);
        return ERR_OK;
    case SECTION_HEADER_FIELDS:
    case SECTION_HEADER_FIELDS_NOT:
        if (inner == NULL)
            return ERR_NOT_FOUND;
        buf_clear(built);
        header_put_subset(built, message_part_header(message, inner), section->names, section->name_count,
                          section->text == SECTION_HEADER_FIELDS_NOT);
        TRY(buf_err(built));
        *out = buf_view(built);
        return ERR_OK;
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
