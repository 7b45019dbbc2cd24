/* Lists of tag=value. */
#include "dkim/tags.h"

#include "base/buf.h"
#include "base/reader.h"

/* RFC6376-3.2: ALNUMPUNC */
static bool is_name_char(uint8_t c) {
    return ascii_is_alnum(c) || c == '_';
}

/* RFC6376-3.2: VALCHAR without ";", and the white space between; RFC8616-4 adds what is not ASCII. */
static bool is_value_char(uint8_t c) {
    return ascii_is_space(c) || (c > 0x20 && c != ';' && c != 0x7f);
}

static enum err refuse(struct dkim_tags *tags, enum err err, const char *why) {
    tags->why = why;
    return err;
}

/* One tag-spec, up to its ";" or the end. */
static enum err read_tag(struct reader *r, struct dkim_tags *out) {
    (void)reader_while(r, ascii_is_space);
    struct view name = reader_while(r, is_name_char);
    (void)reader_while(r, ascii_is_space);
    if (name.n == 0 || !ascii_is_alpha(name.p[0]))
        return refuse(out, ERR_SYNTAX, "a tag without a name");
    if (!reader_accept(r, '='))
        return refuse(out, ERR_SYNTAX, "a tag name without \"=\"");
    size_t at = r->at;
    struct view value = reader_while(r, is_value_char);
    if (!reader_at_end(r) && reader_peek(r) != ';')
        return refuse(out, ERR_SYNTAX, "a control character in a value");
    for (size_t i = 0; i < out->n; i++)
        if (view_eq(out->tags[i].name, name))
            return refuse(out, ERR_SYNTAX, "the same tag twice");
    if (out->n == DKIM_TAGS_MAX)
        return refuse(out, ERR_LIMIT, "too many tags");
    out->tags[out->n++] = (struct dkim_tag){.name = name, .value = view_trim(value), .at = at, .n = value.n};
    return ERR_OK;
}

enum err dkim_tags_parse(struct view text, struct dkim_tags *out) {
    out->n = 0;
    out->why = NULL;
    struct reader r = reader_of(text);
    do {
        TRY(read_tag(&r, out));
        if (!reader_accept(&r, ';'))
            break;
        /* RFC6376-3.2: the last ";" may have nothing after it. */
        (void)reader_while(&r, ascii_is_space);
    } while (!reader_at_end(&r));
    return ERR_OK;
}

const struct dkim_tag *dkim_tags_find(const struct dkim_tags *tags, const char *name) {
    struct view wanted = view_cstr(name);
    for (size_t i = 0; i < tags->n; i++)
        if (view_eq(tags->tags[i].name, wanted))
            return &tags->tags[i];
    return NULL;
}

struct view dkim_tags_value(const struct dkim_tags *tags, const char *name, struct view otherwise) {
    const struct dkim_tag *tag = dkim_tags_find(tags, name);
    return tag ? tag->value : otherwise;
}

enum err dkim_tag_squeeze(struct arena *arena, struct view value, struct view *out) {
    bool has_space = false;
    for (size_t i = 0; i < value.n && !has_space; i++)
        has_space = ascii_is_space(value.p[i]);
    if (!has_space) {
        *out = value;
        return ERR_OK;
    }
    uint8_t *p = arena_alloc(arena, value.n);
    if (!p)
        return ERR_LIMIT;
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++)
        if (!ascii_is_space(value.p[i]))
            p[n++] = value.p[i];
    *out = view_of(p, n);
    return ERR_OK;
}

enum err dkim_tag_base64(struct arena *arena, struct view value, struct view *out) {
    struct view text;
    TRY(dkim_tag_squeeze(arena, value, &text));
    struct buf octets;
    buf_init(&octets, text.n + 4);
    enum err err = base64_decode(text, &octets);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&octets), out);
    buf_fini(&octets);
    return err;
}

bool dkim_tag_next(struct view *rest, struct view *item) {
    if (!rest->p)
        return false;
    struct view head, tail;
    bool is_more = view_split(*rest, ':', &head, &tail);
    *item = view_trim(head);
    *rest = is_more ? view_of(tail.p ? tail.p : (const uint8_t *)"", tail.n) : VIEW_NONE;
    return true;
}
