/*
 * For tests and fuzzing: a strict reader of ENVELOPE, BODY and BODYSTRUCTURE
 * after the grammar of RFC3501-9, and the invariants of a part tree. Each
 * returns NULL when all is well, else what is wrong.
 */
#ifndef MESSAGE_STRUCTURE_TESTING_H
#define MESSAGE_STRUCTURE_TESTING_H

#include "message/index.h"
#include "message/structure.h"

#include "base/reader.h"

static inline bool check_string(struct reader *r, struct view *out) {
    struct view text;
    if (reader_accept(r, '"')) {
        size_t from = r->at;
        for (;;) {
            int c = reader_byte(r);
            if (c == '"')
                break;
            if (c == '\\')
                c = reader_byte(r) == '"' || r->in.p[r->at - 1] == '\\' ? 'x' : -1;
            if (c <= 0 || c == '\r' || c == '\n' || c > 127)
                return reader_fail(r, ERR_SYNTAX);
        }
        text = view_sub(r->in, from, r->at - from - 1);
    } else if (reader_accept(r, '{')) {
        uint64_t n = reader_u64(r, 1 << 30);
        if (!reader_accept_view(r, VIEW("}\r\n")))
            return reader_fail(r, ERR_SYNTAX);
        text = reader_take(r, (size_t)n);
        if (view_find_byte(text, 0) >= 0)
            return reader_fail(r, ERR_SYNTAX);
    } else {
        return reader_fail(r, ERR_SYNTAX);
    }
    if (out != NULL)
        *out = text;
    return reader_err(r) == ERR_OK;
}

static inline bool check_nstring(struct reader *r) {
    return reader_accept_view(r, VIEW("NIL")) || check_string(r, NULL);
}

static inline bool check_number(struct reader *r) {
    reader_u64(r, UINT32_MAX);
    return reader_err(r) == ERR_OK;
}

static inline bool check_sp(struct reader *r) {
    return reader_expect(r, ' ');
}

static inline bool check_envelope(struct reader *r) {
    if (!reader_expect(r, '(') || !check_nstring(r) || !check_sp(r) || !check_nstring(r))
        return false;
    for (int i = 0; i < 6; i++) {
        if (!check_sp(r))
            return false;
        if (reader_accept_view(r, VIEW("NIL")))
            continue;
        if (!reader_expect(r, '('))
            return false;
        do {
            if (!reader_expect(r, '(') || !check_nstring(r) || !check_sp(r) || !check_nstring(r) || !check_sp(r) ||
                !check_nstring(r) || !check_sp(r) || !check_nstring(r) || !reader_expect(r, ')'))
                return false;
        } while (reader_peek(r) == '(');
        if (!reader_expect(r, ')'))
            return false;
    }
    return check_sp(r) && check_nstring(r) && check_sp(r) && check_nstring(r) && reader_expect(r, ')');
}

static inline bool check_params(struct reader *r) {
    if (reader_accept_view(r, VIEW("NIL")))
        return true;
    if (!reader_expect(r, '('))
        return false;
    do {
        if (!check_string(r, NULL) || !check_sp(r) || !check_string(r, NULL))
            return false;
    } while (reader_accept(r, ' '));
    return reader_expect(r, ')');
}

static inline bool check_extensions(struct reader *r) {
    if (!reader_accept_view(r, VIEW("NIL"))) {
        if (!reader_expect(r, '(') || !check_string(r, NULL) || !check_sp(r) || !check_params(r) ||
            !reader_expect(r, ')'))
            return false;
    }
    if (!check_sp(r))
        return false;
    if (reader_peek(r) == '(') {
        reader_byte(r);
        do {
            if (!check_string(r, NULL))
                return false;
        } while (reader_accept(r, ' '));
        if (!reader_expect(r, ')'))
            return false;
    } else if (!check_nstring(r)) {
        return false;
    }
    return check_sp(r) && check_nstring(r);
}

static inline bool check_body(struct reader *r, bool extensible) {
    if (!reader_expect(r, '('))
        return false;
    if (reader_peek(r) == '(') {
        do {
            if (!check_body(r, extensible))
                return false;
        } while (reader_peek(r) == '(');
        if (!check_sp(r) || !check_string(r, NULL))
            return false;
        if (extensible && (!check_sp(r) || !check_params(r) || !check_sp(r) || !check_extensions(r)))
            return false;
        return reader_expect(r, ')');
    }
    struct view type, subtype;
    if (!check_string(r, &type) || !check_sp(r) || !check_string(r, &subtype) || !check_sp(r) || !check_params(r) ||
        !check_sp(r) || !check_nstring(r) || !check_sp(r) || !check_nstring(r) || !check_sp(r) ||
        !check_string(r, NULL) || !check_sp(r) || !check_number(r))
        return false;
    bool is_message = view_eq_nocase(type, VIEW("message")) && view_eq_nocase(subtype, VIEW("rfc822"));
    if (view_eq_nocase(type, VIEW("multipart")))
        return reader_fail(r, ERR_SYNTAX);
    if (is_message && (!check_sp(r) || !check_envelope(r) || !check_sp(r) || !check_body(r, extensible)))
        return false;
    if ((is_message || view_eq_nocase(type, VIEW("text"))) && (!check_sp(r) || !check_number(r)))
        return false;
    if (extensible && (!check_sp(r) || !check_nstring(r) || !check_sp(r) || !check_extensions(r)))
        return false;
    return reader_expect(r, ')');
}

static inline size_t count_lines(struct view v, uint8_t eol) {
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++)
        n += v.p[i] == eol;
    return n;
}

/* What must hold for every message whatsoever. */
static inline const char *check_tree(const struct message *m) {
    size_t count = 0;
    struct view first = view_sub(m->bytes, 0, MESSAGE_FIRST_WINDOW);
    uint8_t eol = view_find_byte(first, '\n') < 0 && view_find_byte(first, '\r') >= 0 ? '\r' : '\n';
    for (const struct mime_part *p = m->root; p != NULL; p = message_part_next(p)) {
        if (++count > MESSAGE_PARTS_MAX)
            return "too many parts";
        if (p->header_offset + p->header_size != p->body_offset)
            return "the body does not follow the header";
        size_t end = p->body_offset + p->body_size;
        if (end > m->bytes.n)
            return "a part ends after the message";
        if (p->depth >= MESSAGE_DEPTH_MAX)
            return "too deep";
        if (p->type.n == 0 || p->subtype.n == 0)
            return "no type";
        if (p->is_multipart != (p->first_child != NULL))
            return "a multipart without parts, or parts without multipart";
        if (p->is_message != (p->embedded != NULL))
            return "a message without embedded message, or the reverse";
        if (p->parent != NULL) {
            const struct mime_part *mother = p->parent;
            if (p->header_offset < mother->body_offset || end > mother->body_offset + mother->body_size)
                return "a part reaches out of its parent";
            if (p->is_root &&
                (p->header_offset != mother->body_offset || end != mother->body_offset + mother->body_size))
                return "an embedded message is not all of its part's body";
        } else if (p->header_offset != 0 || end != m->bytes.n) {
            return "the root is not the whole message";
        }
        if (p->next != NULL && p->next->header_offset < end)
            return "parts overlap";
        if (p->lines != count_lines(message_part_body(m, p), eol))
            return "wrong number of lines in a body";
        if (p->header_lines != count_lines(message_part_header(m, p), eol))
            return "wrong number of lines in a header";
    }
    return count == m->part_count ? NULL : "part_count differs";
}

static inline bool is_inside(struct view inner, struct view outer) {
    return inner.n == 0 || (inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n);
}

/* The index must say of a section what the tree says of it. */
static inline const char *check_range(const struct message *m, const struct section *section, struct view index,
                                      enum err err, struct view got) {
    struct message_range range = {0, 0, false};
    enum err index_err = message_index_section(index, m->bytes.n, section, &range);
    if (index_err != err)
        return "the index knows another set of sections";
    if (err != ERR_OK)
        return NULL;
    bool is_subset = section->text == SECTION_HEADER_FIELDS || section->text == SECTION_HEADER_FIELDS_NOT;
    if (range.is_subset != is_subset || range.offset > m->bytes.n || range.size > m->bytes.n - range.offset)
        return "the index leads out of the message";
    if (!is_subset && !view_eq(view_sub(m->bytes, range.offset, range.size), got))
        return "the index gives other octets";
    return NULL;
}

/* All sections of the parts below `container`, whose path is in section. */
static inline const char *check_sections(const struct message *m, const struct mime_part *container,
                                         struct section *section, struct view index, struct buf *built) {
    static const enum section_text texts[] = {SECTION_ALL,  SECTION_HEADER,        SECTION_TEXT,
                                              SECTION_MIME, SECTION_HEADER_FIELDS, SECTION_HEADER_FIELDS_NOT};
    static const struct view names[] = {VIEW_INIT("Subject"), VIEW_INIT("x-none")};
    uint32_t n = 1;
    for (const struct mime_part *p = container->is_multipart ? container->first_child : container; p != NULL; n++) {
        section->path[section->depth++] = n;
        if (message_part_at(m, section->path, section->depth) != p)
            return "a path leads to another part";
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
            struct view out = VIEW_NONE;
            section->text = texts[i];
            section->names = names;
            section->name_count = ARRAY_LEN(names);
            enum err err = message_section(m, section, built, &out);
            bool exists = texts[i] == SECTION_ALL || texts[i] == SECTION_MIME || p->is_message;
            if (exists != (err == ERR_OK))
                return "a section exists that should not, or the reverse";
            const char *range_error = check_range(m, section, index, err, out);
            if (range_error != NULL)
                return range_error;
            if (err == ERR_OK && i < 4 && !is_inside(out, m->bytes))
                return "a section outside of the message";
            if (err == ERR_OK && i >= 4 && !view_ends(out, VIEW("\r\n")))
                return "a header subset without its empty line";
        }
        const char *error = NULL;
        if (p->is_message)
            error = check_sections(m, p->embedded, section, index, built);
        else if (p->is_multipart)
            error = check_sections(m, p, section, index, built);
        if (error != NULL)
            return error;
        section->depth--;
        if (!container->is_multipart)
            break;
        p = p->next;
    }
    return NULL;
}

/* Everything about one message. */
static inline const char *check_message(struct view bytes) {
    struct arena *arena = arena_new("check", MESSAGE_ARENA_BUDGET);
    struct arena *scratch = arena_new("scratch", MESSAGE_ARENA_BUDGET);
    struct buf out;
    struct message m;
    const char *error = NULL;
    buf_init(&out, 64 * 1024 * 1024);
    if (arena == NULL || scratch == NULL || message_parse(arena, bytes, &m) != ERR_OK) {
        error = "not parsed";
        goto done;
    }
    error = check_tree(&m);
    for (int i = 0; i < 3 && error == NULL; i++) {
        buf_clear(&out);
        if (i == 0)
            structure_put_envelope(&out, scratch, message_part_header(&m, m.root));
        else
            structure_put_body(&out, scratch, &m, i == 2);
        struct reader r = reader_of(buf_view(&out));
        bool ok = buf_err(&out) == ERR_OK && (i == 0 ? check_envelope(&r) : check_body(&r, i == 2));
        if (!ok || !reader_at_end(&r))
            error = i == 0 ? "ENVELOPE breaks its grammar" : "BODY breaks its grammar";
        arena_clear(scratch);
    }
    if (error == NULL) {
        struct section section = {.depth = 0};
        struct buf index;
        buf_init(&index, MESSAGE_INDEX_MAX);
        message_index_put(&index, &m);
        buf_clear(&out);
        error = buf_err(&index) != ERR_OK ? "no index" : check_sections(&m, m.root, &section, buf_view(&index), &out);
        buf_fini(&index);
    }
done:
    buf_fini(&out);
    arena_free(arena);
    arena_free(scratch);
    return error;
}

#endif
