/*
 * The MIME parser: a stack of open entities, fed one line after the other.
 *
 * parser_line() sees each line once, in order, and of a body line it needs only
 * the first octets; so a reader over a file can feed it as well as the loop in
 * message_parse() that walks a message in memory.
 */
#include "message/parse.h"

#include "message/header.h"
#include "message/words.h"

#include <string.h>

/* RFC2046-5.1.1: a boundary has at most 70 characters; one in pieces (RFC2231-3) is allowed more, but not without end. */
#define BOUNDARY_MAX 1000

enum frame_state {
    FRAME_HEADER,    /* in the header of the entity */
    FRAME_BODY,      /* in a leaf's body */
    FRAME_MULTIPART, /* in a multipart: preamble, or a child is open above */
    FRAME_EPILOGUE,  /* after its close delimiter */
    FRAME_MESSAGE,   /* the embedded message is open above */
};

struct frame {
    struct mime_part *part;
    struct view boundary;
    enum frame_state state;
    bool is_digest;    /* RFC2046-5.1.5: children default to message/rfc822 */
    uint8_t tries;     /* lookups of own_delimiter() in this header */
    bool is_suspect;   /* the first header line is no field; see settle_suspect() */
    size_t lines_from; /* value of lines_seen at the start of header or body */
};

struct parser {
    struct arena *arena;
    struct message *message;
    struct frame frames[MESSAGE_DEPTH_MAX];
    size_t depth;
    size_t lines_seen;
    /* Octets of the line end before the current line when that line was content of a body, else 0: what a delimiter
     * takes away from the body before it (RFC2046-5.1.1). */
    size_t body_eol;
    size_t suspect_eol; /* octets of the line end of the suspect line */
};

static bool push_part(struct parser *p, struct mime_part *part, size_t offset) {
    if (p->depth == MESSAGE_DEPTH_MAX)
        return false;
    part->header_offset = part->body_offset = offset;
    part->depth = (uint32_t)p->depth;
    struct frame *f = &p->frames[p->depth++];
    *f = (struct frame){.part = part, .state = FRAME_HEADER, .lines_from = p->lines_seen};
    p->message->part_count++;
    return true;
}

static struct mime_part *new_part(struct parser *p) {
    struct mime_part *part = NULL;
    if (p->message->part_count < MESSAGE_PARTS_MAX && p->depth < MESSAGE_DEPTH_MAX)
        part = ARENA_NEW(p->arena, struct mime_part);
    if (part == NULL)
        p->message->degraded = true;
    return part;
}

/* -- The content fields of a header ---------------------------------------------------------- */

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

static void read_field(struct parser *p, struct mime_part *part, const struct header_field *f, bool *saw_type) {
    struct view name = view_skip(f->name, 8); /* after "Content-" */
    if (view_eq_nocase(name, VIEW("Type"))) {
        /* The first one that can be read counts. */
        *saw_type = true;
        if (!part->has_type)
            part->has_type = mime_content_type_parse(p->arena, f->value, &part->type, &part->subtype, &part->params);
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

static void read_content_fields(struct parser *p, struct mime_part *part, bool in_digest) {
    struct view header = message_part_header(p->message, part);
    if (header.n > MESSAGE_HEADER_MAX) {
        header.n = MESSAGE_HEADER_MAX;
        p->message->degraded = true;
    }
    struct header_iter it;
    struct header_field f;
    bool saw_type = false;
    size_t count = 0;
    header_iter_init(&it, header);
    while (header_next(&it, &f)) {
        if (++count > MESSAGE_HEADER_FIELDS_MAX) {
            p->message->degraded = true;
            break;
        }
        if ((f.name.p[0] | 0x20) == 'c' && view_starts_nocase(f.name, VIEW("Content-")))
            read_field(p, part, &f, &saw_type);
    }
    if (part->has_type)
        return;
    /* RFC2045-5.2: the default is text/plain; RFC2046-5.1.5: inside multipart/digest message/rfc822. */
    bool is_message = in_digest && !saw_type;
    part->type = is_message ? VIEW("message") : VIEW("text");
    part->subtype = is_message ? VIEW("rfc822") : VIEW("plain");
}

/* -- The stack ----------------------------------------------------------------------------------- */

static void make_opaque(struct parser *p, struct mime_part *part) {
    part->type = VIEW("application");
    part->subtype = VIEW("octet-stream");
    p->message->degraded = true;
}

static void make_text(struct mime_part *part) {
    part->type = VIEW("text");
    part->subtype = VIEW("plain");
    part->was_multipart = true;
}

/* The boundary parameter, put together when it comes in pieces (RFC2231-3); empty when there is none. RFC2046-5.1.1: it
 * does not end with white space. */
static struct view boundary_of(struct parser *p, const struct mime_params *params) {
    struct view boundary = mime_params_get(params, VIEW("boundary"));
    if (boundary.p == NULL && params->count > 0) {
        struct buf text;
        buf_init(&text, BOUNDARY_MAX);
        if (words_param(NULL, params, VIEW("boundary"), &text) != ERR_OK ||
            arena_view(p->arena, buf_view(&text), &boundary) != ERR_OK)
            boundary = VIEW_NONE;
        buf_fini(&text);
    }
    if (boundary.p == NULL)
        return VIEW_NONE;
    while (boundary.n > 0 && (boundary.p[boundary.n - 1] == ' ' || boundary.p[boundary.n - 1] == '\t'))
        boundary.n--;
    return boundary;
}

/* The header of the top entity ends; its body begins at offset. */
static void end_header(struct parser *p, size_t offset) {
    struct frame *f = &p->frames[p->depth - 1];
    struct mime_part *part = f->part;
    part->header_size = offset - part->header_offset;
    part->header_lines = p->lines_seen - f->lines_from;
    part->body_offset = offset;
    f->lines_from = p->lines_seen;
    f->state = FRAME_BODY;
    bool in_digest = !part->is_root && p->depth >= 2 && p->frames[p->depth - 2].is_digest;
    read_content_fields(p, part, in_digest);

    bool is_full = p->depth == MESSAGE_DEPTH_MAX || p->message->part_count >= MESSAGE_PARTS_MAX;
    if (view_eq_nocase(part->type, VIEW("multipart"))) {
        struct view boundary = boundary_of(p, &part->params);
        if (boundary.n == 0) {
            make_text(part);
        } else if (is_full) {
            make_opaque(p, part);
            part->was_multipart = true;
        } else {
            f->is_digest = view_eq_nocase(part->subtype, VIEW("digest"));
            f->boundary = boundary;
            f->state = FRAME_MULTIPART;
            part->is_multipart = true;
        }
    } else if (mime_part_is(part, VIEW("message"), VIEW("rfc822")) ||
               mime_part_is(part, VIEW("message"), VIEW("global"))) {
        struct mime_part *inner = is_full ? NULL : new_part(p);
        if (inner == NULL) {
            make_opaque(p, part);
            return;
        }
        inner->parent = part;
        inner->is_root = true;
        part->embedded = inner;
        part->is_message = true;
        f->state = FRAME_MESSAGE;
        if (!push_part(p, inner, offset))
            BUG("depth was checked");
    }
}

/*
 * An entity that begins with a line which is no field: when the next line is one, the first was a stray line in a header
 * (an mbox "From " line, a broken field). Else there is no header at all, and that line is the first of the body. This
 * is called when the next line turned out to be no field.
 */
static void settle_suspect(struct parser *p) {
    size_t lines = p->suspect_eol > 0;
    p->lines_seen -= lines;
    for (;;) {
        struct frame *f = &p->frames[p->depth - 1];
        if (f->state != FRAME_HEADER)
            break;
        f->is_suspect = false;
        end_header(p, f->part->header_offset);
    }
    p->lines_seen += lines;
    p->body_eol = p->suspect_eol;
}

static bool has_suspect(const struct parser *p) {
    const struct frame *f = &p->frames[p->depth - 1];
    return f->state == FRAME_HEADER && f->is_suspect;
}

/* Ends all entities above `keep`; their bodies end at offset `end`, `trimmed` line ends before what was seen. */
static void close_to(struct parser *p, size_t keep, size_t end, size_t trimmed) {
    while (p->depth > keep) {
        struct frame *f = &p->frames[p->depth - 1];
        if (f->state == FRAME_HEADER) {
            /* No empty line. This may open an embedded message, which has no octets and is closed next. */
            end_header(p, end);
            continue;
        }
        struct mime_part *part = f->part;
        part->body_size = end - part->body_offset;
        part->lines = p->lines_seen - f->lines_from - trimmed;
        if (part->is_multipart && part->first_child == NULL) {
            part->is_multipart = false;
            make_text(part);
        }
        p->depth--;
    }
}

/* RFC2046-5.1.1: which open multipart does the delimiter line end a part of? Returns its index + 1, or 0. Only exact
 * lines count: "--a" is no delimiter for the boundary "ab", and neither is "--abc". */
static size_t find_delimiter(const struct parser *p, struct view line, bool *is_close) {
    struct view text = view_skip(line, 2);
    for (size_t i = p->depth; i-- > 0;) {
        const struct frame *f = &p->frames[i];
        size_t n = f->boundary.n;
        /* The last octet first: boundaries inside each other mostly begin alike. */
        if (f->state != FRAME_MULTIPART || text.n < n || text.p[n - 1] != f->boundary.p[n - 1] ||
            memcmp(text.p, f->boundary.p, n) != 0)
            continue;
        struct view rest = view_skip(text, n);
        while (rest.n > 0 && (rest.p[rest.n - 1] == ' ' || rest.p[rest.n - 1] == '\t'))
            rest.n--;
        *is_close = rest.n == 2 && rest.p[0] == '-' && rest.p[1] == '-';
        if (rest.n == 0 || *is_close)
            return i + 1;
    }
    return 0;
}

/* Headers are looked through at most so often for a boundary, so that time stays linear. */
#define OWN_DELIMITER_TRIES 3

/* The empty line after the header of a multipart is missing, and here comes its first delimiter. */
static bool own_delimiter(struct parser *p, size_t offset, struct view line) {
    struct frame *f = &p->frames[p->depth - 1];
    if (f->tries == OWN_DELIMITER_TRIES)
        return false;
    f->tries++;
    size_t from = f->part->header_offset;
    struct view header = view_sub(p->message->bytes, from, MIN(offset - from, (size_t)MESSAGE_HEADER_MAX));
    struct header_field field;
    struct view type, subtype;
    struct mime_params params;
    if (!header_find(header, VIEW("Content-Type"), &field) ||
        !mime_content_type_parse(p->arena, field.value, &type, &subtype, &params) ||
        !view_eq_nocase(type, VIEW("multipart")))
        return false;
    struct view boundary = boundary_of(p, &params);
    return boundary.n > 0 && view_eq(view_skip(line, 2), boundary);
}

/* A delimiter of the multipart in frame `index`, whose line is [offset, next). False: no part can be added any more. */
static bool delimiter(struct parser *p, size_t index, bool is_close, size_t offset, size_t next, bool has_eol) {
    struct mime_part *part = NULL;
    if (!is_close) {
        if (p->message->part_count < MESSAGE_PARTS_MAX)
            part = ARENA_NEW(p->arena, struct mime_part);
        if (part == NULL) {
            p->message->degraded = true;
            return false;
        }
    }
    close_to(p, index + 1, offset - p->body_eol, p->body_eol > 0);
    p->body_eol = 0;
    p->lines_seen += has_eol;
    struct frame *f = &p->frames[index];
    if (is_close) {
        f->state = FRAME_EPILOGUE;
        return true;
    }
    struct mime_part *mother = f->part;
    part->parent = mother;
    if (mother->last_child != NULL)
        mother->last_child->next = part;
    else
        mother->first_child = part;
    mother->last_child = part;
    mother->child_count++;
    if (!push_part(p, part, next))
        BUG("a multipart at the depth limit is opaque");
    return true;
}

/* One line: its octets without the line end, which begin at offset, and the octets of its line end (0 at the end of the
 * message). */
static void parser_line(struct parser *p, size_t offset, struct view line, size_t eol) {
    size_t next = offset + line.n + eol;
    if (has_suspect(p)) {
        if (header_line_is_field(line))
            p->frames[p->depth - 1].is_suspect = false;
        else
            settle_suspect(p);
    }
    if (line.n > 2 && line.p[0] == '-' && line.p[1] == '-') {
        bool is_close = false;
        size_t index = find_delimiter(p, line, &is_close);
        if (index == 0 && p->frames[p->depth - 1].state == FRAME_HEADER && own_delimiter(p, offset, line)) {
            end_header(p, offset);
            index = find_delimiter(p, line, &is_close);
        }
        if (index > 0 && delimiter(p, index - 1, is_close, offset, next, eol > 0))
            return;
    }
    p->lines_seen += eol > 0;
    struct frame *f = &p->frames[p->depth - 1];
    if (f->state == FRAME_HEADER) {
        p->body_eol = 0;
        if (line.n == 0) {
            end_header(p, next);
        } else if (offset == f->part->header_offset && !header_line_is_field(line) &&
                   !view_starts(line, VIEW("From "))) {
            f->is_suspect = true;
            p->suspect_eol = eol;
        }
    } else {
        p->body_eol = eol;
    }
}

enum err message_parse(struct arena *arena, struct view bytes, struct message *out) {
    struct message message = {.bytes = bytes};
    struct parser parser = {.arena = arena, .message = &message};
    message.root = new_part(&parser);
    if (message.root == NULL)
        return ERR_LIMIT;
    message.root->is_root = true;
    if (!push_part(&parser, message.root, 0))
        BUG("the stack is empty");
    message.has_nul = view_find_byte(bytes, 0) >= 0;
    uint8_t eol_byte = '\n';
    if (view_find_byte(bytes, '\n') < 0 && view_find_byte(bytes, '\r') >= 0)
        eol_byte = '\r';

    size_t at = 0;
    while (at < bytes.n) {
        const uint8_t *line = bytes.p + at;
        const uint8_t *end = memchr(line, eol_byte, bytes.n - at);
        size_t n = end != NULL ? (size_t)(end - line) : bytes.n - at;
        size_t eol = end != NULL;
        if (end != NULL && eol_byte == '\n' && n > 0 && line[n - 1] == '\r') {
            n--;
            eol = 2;
        }
        parser_line(&parser, at, view_of(line, n), eol);
        at += n + eol;
    }
    if (has_suspect(&parser))
        settle_suspect(&parser);
    close_to(&parser, 0, bytes.n, 0);
    *out = message;
    return ERR_OK;
}

struct view message_part_header(const struct message *message, const struct mime_part *part) {
    return view_sub(message->bytes, part->header_offset, part->header_size);
}

struct view message_part_body(const struct message *message, const struct mime_part *part) {
    return view_sub(message->bytes, part->body_offset, part->body_size);
}

struct view message_part_all(const struct message *message, const struct mime_part *part) {
    return view_sub(message->bytes, part->header_offset, part->header_size + part->body_size);
}

struct mime_part *message_part_next(const struct mime_part *part) {
    if (part->first_child != NULL)
        return part->first_child;
    if (part->embedded != NULL)
        return part->embedded;
    while (part != NULL && part->next == NULL)
        part = part->parent;
    return part == NULL ? NULL : part->next;
}

bool mime_part_is(const struct mime_part *part, struct view type, struct view subtype) {
    return view_eq_nocase(part->type, type) && view_eq_nocase(part->subtype, subtype);
}

struct view mime_part_charset(const struct mime_part *part) {
    struct view charset = mime_params_get(&part->params, VIEW("charset"));
    return charset.n == 0 ? VIEW("us-ascii") : charset;
}
