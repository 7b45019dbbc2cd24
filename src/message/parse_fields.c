/* The content fields of an entity's header, as the MIME parser wants them. */
#include "message/parse_impl.h"

#include "message/header.h"
#include "message/words.h"

#include <string.h>

/* RFC2046-5.1.1: a boundary has at most 70 characters; real ones are sometimes longer, but not without end. */
#define BOUNDARY_MAX 1000

static enum mime_encoding encoding_of(struct view token) {
    static const struct {
        struct view name;
        enum mime_encoding encoding;
    } table[] = {
        {VIEW_INIT("7bit"), MIME_ENCODING_7BIT},
        {VIEW_INIT("7-bit"), MIME_ENCODING_7BIT},
        {VIEW_INIT("7bits"), MIME_ENCODING_7BIT},
        {VIEW_INIT("8bit"), MIME_ENCODING_8BIT},
        {VIEW_INIT("8-bit"), MIME_ENCODING_8BIT},
        {VIEW_INIT("8bits"), MIME_ENCODING_8BIT},
        {VIEW_INIT("binary"), MIME_ENCODING_BINARY},
        {VIEW_INIT("quoted-printable"), MIME_ENCODING_QUOTED_PRINTABLE},
        {VIEW_INIT("quoted"), MIME_ENCODING_QUOTED_PRINTABLE}, /* "quoted printable" */
        {VIEW_INIT("base64"), MIME_ENCODING_BASE64},
        {VIEW_INIT("base-64"), MIME_ENCODING_BASE64},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (view_eq_nocase(token, table[i].name))
            return table[i].encoding;
    return MIME_ENCODING_UNKNOWN;
}

static void read_text(struct parser *p, struct view value, struct view *out) {
    if (out->p != NULL)
        return;
    if (header_unfold(p->arena, value, out) != ERR_OK)
        p->message->degraded = true;
}

static void read_disposition(struct parser *p, struct mime_part *part, struct view value) {
    struct view rest;
    if (part->disposition.p != NULL)
        return;
    struct view token = mime_first_token(value, &rest);
    mime_params_parse(p->arena, rest, &part->disposition_params);
    /* RFC2183-2.8: what is not recognised is an attachment; a field without a type but with a file name is one too. */
    if (token.n == 0 && part->disposition_params.count > 0)
        token = VIEW("attachment");
    if (token.n > 0)
        part->disposition = token;
}

static void read_languages(struct parser *p, struct mime_part *part, struct view value) {
    struct view found[MESSAGE_LANGUAGES_MAX];
    size_t n = 0, at = 0;
    if (part->languages != NULL)
        return;
    while (n < MESSAGE_LANGUAGES_MAX) {
        at = mime_skip_cfws(value, at);
        size_t start = at;
        while (at < value.n && value.p[at] > ' ' && value.p[at] != ',' && value.p[at] != '(' && value.p[at] != ';')
            at++;
        if (at > start)
            found[n++] = view_sub(value, start, at - start);
        else if (at < value.n)
            at++;
        else
            break;
    }
    if (n == 0)
        return;
    part->languages = ARENA_ARRAY(p->arena, n, struct view);
    if (part->languages == NULL) {
        p->message->degraded = true;
        return;
    }
    memcpy(part->languages, found, n * sizeof(found[0]));
    part->language_count = n;
}

static void read_encoding(struct mime_part *part, struct view value) {
    if (part->encoding_text.p != NULL)
        return;
    struct view token = mime_first_token(value, NULL);
    if (token.n == 0)
        return;
    part->encoding_text = token;
    part->encoding = encoding_of(token);
}

/* The first one that can be read counts; of those that cannot, the parameters of the first. */
static void read_type(struct parser *p, struct mime_part *part, struct view value, bool is_second) {
    struct view type, subtype;
    struct mime_params params;
    if (part->has_type || (is_second && !mime_content_type_parse(NULL, value, &type, &subtype, NULL)))
        return;
    part->has_type = mime_content_type_parse(p->arena, value, &part->type, &part->subtype, &params);
    part->params = params;
}

static void read_field(struct parser *p, struct mime_part *part, const struct header_field *f, bool *saw_type) {
    struct view name = view_skip(f->name, 8); /* after "Content-" */
    if (view_eq_nocase(name, VIEW("Type"))) {
        read_type(p, part, f->value, *saw_type);
        *saw_type = true;
    } else if (view_eq_nocase(name, VIEW("Transfer-Encoding"))) {
        read_encoding(part, f->value);
    } else if (view_eq_nocase(name, VIEW("Disposition"))) {
        read_disposition(p, part, f->value);
    } else if (view_eq_nocase(name, VIEW("ID"))) {
        read_text(p, f->value, &part->id);
    } else if (view_eq_nocase(name, VIEW("Description"))) {
        read_text(p, f->value, &part->description);
    } else if (view_eq_nocase(name, VIEW("MD5"))) {
        read_text(p, f->value, &part->md5);
    } else if (view_eq_nocase(name, VIEW("Location"))) {
        read_text(p, f->value, &part->location);
    } else if (view_eq_nocase(name, VIEW("Language"))) {
        read_languages(p, part, f->value);
    }
}

/* From a line's start to the next that begins with "c"; the other fields are nothing to us. */
static size_t skip_fields(const struct header_iter *it, size_t at) {
    while (at < it->in.n && (it->in.p[at] | 0x20) != 'c') {
        const uint8_t *end = memchr(it->in.p + at, it->eol, it->in.n - at);
        at = end == NULL ? it->in.n : (size_t)(end - it->in.p) + 1;
    }
    return at;
}

void parser_read_fields(struct parser *p, struct mime_part *part, bool in_digest) {
    struct header_iter it;
    struct header_field f;
    bool saw_type = false;
    size_t count = 0, used = arena_used(p->arena);
    /* Fields are counted only where there are lines enough for too many. */
    bool is_short = part->header_lines < MESSAGE_HEADER_FIELDS_MAX;
    header_iter_init(&it, part->header);
    for (;;) {
        if (is_short)
            it.at = skip_fields(&it, it.at);
        if (!header_next(&it, &f))
            break;
        if (++count > MESSAGE_HEADER_FIELDS_MAX) {
            p->message->degraded = true;
            break;
        }
        if ((f.name.p[0] | 0x20) == 'c' && view_starts_nocase(f.name, VIEW("Content-")))
            read_field(p, part, &f, &saw_type);
    }
    p->fields_used += arena_used(p->arena) - used;
    if (part->has_type)
        return;
    /* RFC2045-5.2: the default is text/plain; RFC2046-5.1.5: inside multipart/digest message/rfc822. */
    bool is_message = in_digest && !saw_type;
    part->type = is_message ? VIEW("message") : VIEW("text");
    part->subtype = is_message ? VIEW("rfc822") : VIEW("plain");
}

struct view parser_boundary(struct parser *p, const struct mime_params *params) {
    struct view boundary = mime_params_get(params, VIEW("boundary"));
    if (boundary.p == NULL && params->count > 0) {
        struct buf text;
        buf_init(&text, BOUNDARY_MAX);
        if (words_param(NULL, params, VIEW("boundary"), &text) != ERR_OK ||
            arena_view(p->arena, buf_view(&text), &boundary) != ERR_OK)
            boundary = VIEW_NONE;
        p->fields_used += boundary.n;
        buf_fini(&text);
    }
    if (boundary.p == NULL || boundary.n > BOUNDARY_MAX)
        return VIEW_NONE;
    /* RFC2046-5.1.1: it does not end with white space. */
    while (boundary.n > 0 && (boundary.p[boundary.n - 1] == ' ' || boundary.p[boundary.n - 1] == '\t'))
        boundary.n--;
    return boundary;
}

struct view parser_boundary_of_header(struct parser *p, struct view header) {
    struct header_field field;
    struct view type, subtype, boundary = VIEW_NONE;
    struct mime_params params;
    size_t used = arena_used(p->arena);
    if (header_find(header, VIEW("Content-Type"), &field) &&
        mime_content_type_parse(NULL, field.value, &type, &subtype, NULL) && view_eq_nocase(type, VIEW("multipart")) &&
        mime_content_type_parse(p->arena, field.value, &type, &subtype, &params)) {
        p->fields_used += arena_used(p->arena) - used;
        boundary = parser_boundary(p, &params);
    }
    return boundary;
}
