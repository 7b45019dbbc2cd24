/* The builder's tree: parts and what is said of them. Headers are in builder_header.c, writing in builder_write.c. */
#include "message/builder_tree.h"

#include "message/fold.h"

#include "base/utf8.h"

#include <string.h>

struct builder *builder_new(struct arena *arena, const struct builder_options *options) {
    struct builder *b = ARENA_NEW(arena, struct builder);
    if (b == NULL)
        return NULL;
    b->arena = arena;
    b->options = *options;
    if (arena_view(arena, options->host, &b->options.host) != ERR_OK)
        return NULL;
    return b;
}

/* -- Parts --------------------------------------------------------------------------------------------- */

/* RFC6838-4.2: a name of a type or subtype has at most 127 characters. */
static bool is_type(struct view type) {
    struct view main, sub;
    return view_split(type, '/', &main, &sub) && fold_is_token(main) && fold_is_token(sub) && main.n <= 127 &&
           sub.n <= 127;
}

static bool is_main_type(struct view type, struct view main) {
    return view_starts_nocase(type, main) && type.n > main.n && type.p[main.n] == '/';
}

static struct builder_part *part_new(struct builder *b, enum builder_kind kind, struct view type) {
    if (b->part_count >= MESSAGE_PARTS_MAX)
        return NULL;
    struct builder_part *part = ARENA_NEW(b->arena, struct builder_part);
    if (part == NULL || arena_view(b->arena, type, &part->type) != ERR_OK)
        return NULL;
    part->builder = b;
    part->kind = kind;
    b->part_count++;
    return part;
}

/* Types whose content is lines: text (RFC2046-4.1.1), and the fields of reports (RFC3464-2.1, RFC8098-3.1). */
static bool has_lines(struct view type) {
    return is_main_type(type, VIEW("text")) || is_main_type(type, VIEW("message"));
}

struct builder_part *builder_leaf(struct builder *b, struct view type, struct view text) {
    if (!is_type(type) || is_main_type(type, VIEW("multipart")))
        return NULL;
    struct builder_part *part = part_new(b, has_lines(type) ? BUILDER_TEXT : BUILDER_OCTETS, type);
    if (part == NULL)
        return NULL;
    bool is_text = is_main_type(type, VIEW("text"));
    if (is_text && !utf8_is_valid(text)) {
        /* It will say that it is UTF-8. */
        struct buf valid;
        buf_init(&valid, 3 * text.n + 3);
        buf_put_utf8_lossy(&valid, text);
        enum err err = buf_err(&valid) != ERR_OK ? buf_err(&valid) : arena_view(b->arena, buf_view(&valid), &text);
        buf_fini(&valid);
        if (err != ERR_OK)
            return NULL;
    }
    if (is_text &&
        builder_param(part, VIEW("charset"), utf8_is_ascii(text) ? VIEW("us-ascii") : VIEW("utf-8")) != ERR_OK)
        return NULL;
    message_source_memory_init(&part->memory, text);
    part->source = &part->memory.source;
    return part;
}

struct builder_part *builder_leaf_source(struct builder *b, struct view type, struct message_source *source) {
    if (!is_type(type) || is_main_type(type, VIEW("multipart")))
        return NULL;
    struct builder_part *part = part_new(b, BUILDER_OCTETS, type);
    if (part != NULL)
        part->source = source;
    return part;
}

void builder_lines(struct builder_part *leaf) {
    if (leaf->kind == BUILDER_OCTETS)
        leaf->kind = BUILDER_TEXT;
}

struct builder_part *builder_multipart(struct builder *b, struct view subtype) {
    struct view type;
    if (!fold_is_token(subtype) || subtype.n > 127 ||
        arena_printf(b->arena, &type, "multipart/%.*s", VIEW_FMT(subtype)) != ERR_OK)
        return NULL;
    return part_new(b, BUILDER_MULTIPART, type);
}

struct builder_part *builder_message(struct builder *b, struct message_source *source) {
    struct builder_part *part = part_new(b, BUILDER_MESSAGE, VIEW("message/rfc822"));
    if (part != NULL)
        part->source = source;
    return part;
}

struct builder_part *builder_entity(struct builder *b, struct message_source *source) {
    struct builder_part *part = part_new(b, BUILDER_ENTITY, VIEW_NONE);
    if (part != NULL)
        part->source = source;
    return part;
}

enum err builder_add(struct builder_part *multipart, struct builder_part *child) {
    if (multipart->kind != BUILDER_MULTIPART || multipart->builder != child->builder)
        return ERR_SYNTAX;
    if (child->parent != NULL)
        return ERR_EXISTS;
    size_t depth = 1;
    for (const struct builder_part *p = multipart; p != NULL; p = p->parent, depth++)
        if (p == child)
            return ERR_EXISTS;
    if (depth >= MESSAGE_DEPTH_MAX)
        return ERR_LIMIT;
    child->parent = multipart;
    if (multipart->last_child == NULL)
        multipart->first_child = child;
    else
        multipart->last_child->next = child;
    multipart->last_child = child;
    multipart->child_count++;
    return ERR_OK;
}

/* -- What is said of a part ------------------------------------------------------------------------------- */

static bool has_param(const struct builder_part *part, struct view name) {
    for (const struct builder_parameter *p = part->params; p != NULL; p = p->next)
        if (view_eq_nocase(p->name, name))
            return true;
    return false;
}

/* RFC2231-3: pieces that a value takes at most, of the octets that a line leaves; a "%" form takes three each. */
static size_t pieces_of(struct view value) {
    return 1 + 3 * value.n / (FOLD_LINE_LENGTH - FOLD_PARAM_NAME_MAX - 12);
}

static enum err add_param(struct builder_part *part, struct view name, struct view value) {
    struct builder *b = part->builder;
    if (part->param_pieces + pieces_of(value) > MIME_PARAMS_MAX - 1)
        return ERR_LIMIT;
    struct builder_parameter *p = ARENA_NEW(b->arena, struct builder_parameter);
    if (p == NULL)
        return ERR_LIMIT;
    TRY(arena_view(b->arena, name, &p->name));
    TRY(arena_view(b->arena, value, &p->value));
    if (part->params_last == NULL)
        part->params = p;
    else
        part->params_last->next = p;
    part->params_last = p;
    part->param_pieces += pieces_of(value);
    return ERR_OK;
}

enum err builder_param(struct builder_part *part, struct view name, struct view value) {
    /* RFC2231-3: a "*" in a name would be read as a continuation. */
    if (part->kind == BUILDER_ENTITY || !fold_is_token(name) || view_find_byte(name, '*') >= 0)
        return ERR_SYNTAX;
    if (name.n > FOLD_PARAM_NAME_MAX)
        return ERR_LIMIT;
    if (has_param(part, name) || (part->kind == BUILDER_MULTIPART && view_eq_nocase(name, VIEW("boundary"))))
        return ERR_EXISTS;
    struct buf clean;
    buf_init(&clean, FOLD_PARAM_VALUE_MAX);
    fold_put_clean(&clean, value);
    enum err err = buf_err(&clean) != ERR_OK ? buf_err(&clean) : add_param(part, name, buf_view(&clean));
    buf_fini(&clean);
    return err;
}

/* once: an enum builder_once, or -1 for a field that may come again. */
enum err builder_part_begin(struct builder_part *part, struct fold *f, struct buf *out, struct view name, int once) {
    if (part->kind == BUILDER_ENTITY)
        return ERR_SYNTAX;
    if (once >= 0 && (part->seen >> once & 1) != 0)
        return ERR_EXISTS;
    buf_init(out, BUILDER_FIELD_MAX);
    fold_begin(f, out, name, part->builder->options.is_utf8);
    return ERR_OK;
}

enum err builder_part_finish(struct builder_part *part, struct fold *f, int once) {
    fold_end(f);
    enum err err = builder_fields_add(part->builder, &part->fields, f->out);
    buf_fini(f->out);
    if (err == ERR_OK && once >= 0)
        part->seen |= UINT32_C(1) << once;
    return err;
}

enum err builder_disposition(struct builder_part *part, struct view disposition, struct view file_name) {
    struct buf out, name;
    struct fold f;
    if (!fold_is_token(disposition) || disposition.n > 127)
        return ERR_SYNTAX;
    buf_init(&name, FOLD_PARAM_VALUE_MAX);
    fold_put_clean(&name, file_name);
    enum err err = buf_err(&name);
    if (err == ERR_OK)
        err = builder_part_begin(part, &f, &out, VIEW("Content-Disposition"), BUILDER_DISPOSITION);
    if (err == ERR_OK) {
        fold_word(&f, 1, disposition);
        if (name.n > 0) {
            fold_semicolon(&f);
            fold_param(&f, VIEW("filename"), buf_view(&name)); /* RFC2183-2.3 */
        }
        err = builder_part_finish(part, &f, BUILDER_DISPOSITION);
    }
    buf_fini(&name);
    return err;
}

enum err builder_description(struct builder_part *part, struct view text) {
    struct buf out;
    struct fold f;
    TRY(builder_part_begin(part, &f, &out, VIEW("Content-Description"), BUILDER_DESCRIPTION));
    fold_text(&f, text);
    return builder_part_finish(part, &f, BUILDER_DESCRIPTION);
}

enum err builder_language(struct builder_part *part, struct view tag) {
    /* RFC5646-2.1 */
    if (tag.n == 0 || tag.n > 127)
        return ERR_SYNTAX;
    for (size_t i = 0; i < tag.n; i++)
        if (!ascii_is_alnum(tag.p[i]) && tag.p[i] != '-')
            return ERR_SYNTAX;
    struct buf out;
    struct fold f;
    TRY(builder_part_begin(part, &f, &out, VIEW("Content-Language"), BUILDER_LANGUAGE));
    fold_word(&f, 1, tag);
    return builder_part_finish(part, &f, BUILDER_LANGUAGE);
}
