/*
 * For tests and fuzzing: a tree of parts made from choices (random numbers, or
 * the octets of a fuzzer), written by the builder, read by the parser, and
 * compared with what went in. Returns NULL when all is equal, else what is not.
 */
#ifndef MESSAGE_BUILDER_TESTING_H
#define MESSAGE_BUILDER_TESTING_H

#include "message/builder.h"
#include "message/decode.h"
#include "message/fold.h"
#include "message/header.h"
#include "message/parse.h"
#include "message/words.h"

#include "base/random.h"
#include "base/utf8.h"

#include <string.h>

#define ROUND_PARTS 12
#define ROUND_FIELDS 12

/* -- Choices ----------------------------------------------------------------------------------------- */

struct choices {
    struct random *random; /* NULL: octets */
    struct view octets;
    struct arena *arena;
};

static inline size_t choose(struct choices *c, size_t bound) {
    if (c->random != NULL)
        return (size_t)random_below(c->random, bound);
    size_t value = c->octets.n > 0 ? c->octets.p[0] : 0;
    if (bound > 256 && c->octets.n > 1) {
        value = value << 8 | c->octets.p[1];
        c->octets = view_skip(c->octets, 1);
    }
    c->octets = view_skip(c->octets, 1);
    return value % bound;
}

/* -- Texts ------------------------------------------------------------------------------------------- */

static const uint8_t round_seed[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static inline void put_piece(struct choices *c, struct buf *out) {
    static const struct view pieces[] = {
        VIEW_INIT("=?utf-8?q?x?="),
        VIEW_INIT("=?"),
        VIEW_INIT("?="),
        VIEW_INIT("\""),
        VIEW_INIT("\\"),
        VIEW_INIT("("),
        VIEW_INIT(")"),
        VIEW_INIT(","),
        VIEW_INIT(";"),
        VIEW_INIT("<"),
        VIEW_INIT(">"),
        VIEW_INIT("@"),
        VIEW_INIT(":"),
        VIEW_INIT("."),
        VIEW_INIT("'"),
        VIEW_INIT("%41"),
        VIEW_INIT("*0*=utf-8''"),
        VIEW_INIT("\r\nEvil: x"),
        VIEW_INIT("\r"),
        VIEW_INIT("\n"),
        VIEW_INIT("\0"),
        VIEW_INIT("\t"),
        VIEW_INIT("\x7f"),
        VIEW_INIT("\xff"),
        VIEW_INIT("\xc3"),
        VIEW_INIT("_"),
        VIEW_INIT("="),
        VIEW_INIT("[x]"),
        VIEW_INIT("\r\n"),
        VIEW_INIT("From "),
        VIEW_INIT("\r\nFrom me\r\n"),
        VIEW_INIT("\r\n.\r\n"),
        VIEW_INIT(" \r\n"),
        VIEW_INIT("\t\r\n"),
        VIEW_INIT("=41"),
        VIEW_INIT("\r\n--\r\n"),
        VIEW_INIT("=\r\n"),
        VIEW_INIT("\r\r\n"),
        VIEW_INIT("\xef\xbb\xbf"),
        /* The boundary that round_seed leads to at first. */
        VIEW_INIT("\r\n--=_05b58595e5f5c5d52535051565754554a_0000\r\n"),
        VIEW_INIT("\n--=_05b58595e5f5c5d52535051565754554a"),
    };
    buf_put(out, pieces[choose(c, ARRAY_LEN(pieces))]);
}

static inline void put_character(struct choices *c, struct buf *out) {
    static const uint32_t below[] = {0x80, 0x800, 0x3000, 0x10000, 0x110000};
    buf_put_utf8(out, (uint32_t)choose(c, below[choose(c, ARRAY_LEN(below))]));
}

static inline void put_run(struct choices *c, struct buf *out, size_t max) {
    uint8_t octet = choose(c, 2) == 0 ? ' ' : (uint8_t)('a' + choose(c, 26));
    for (size_t n = choose(c, max); n > 0; n--)
        buf_put_byte(out, octet);
}

/* Up to `pieces` pieces of everything; in the arena. */
static inline struct view some_text(struct choices *c, size_t pieces, size_t run_max) {
    struct buf out;
    struct view text = VIEW_NONE;
    buf_init(&out, 1024 * 1024);
    size_t flavour = choose(c, 4);
    for (size_t n = choose(c, pieces + 1); n > 0; n--) {
        switch (choose(c, flavour == 0 ? 2 : 8)) {
        case 0:
        case 1:
            for (size_t k = choose(c, 9) + 1; k > 0; k--)
                buf_put_byte(&out, (uint8_t)('a' + choose(c, 26)));
            buf_put_byte(&out, ' ');
            break;
        case 2:
            buf_put_byte(&out, ' ');
            break;
        case 3:
            put_piece(c, &out);
            break;
        case 4:
            for (size_t k = choose(c, 30); k > 0; k--)
                put_character(c, &out);
            break;
        case 5:
            buf_put_byte(&out, (uint8_t)choose(c, 256));
            break;
        case 6:
            put_run(c, &out, choose(c, 8) == 0 ? run_max : 70);
            break;
        default:
            buf_put_byte(&out, (uint8_t)('!' + choose(c, 94)));
            break;
        }
    }
    if (buf_err(&out) != ERR_OK || arena_view(c->arena, buf_view(&out), &text) != ERR_OK)
        text = VIEW_NONE;
    buf_fini(&out);
    return text;
}

static inline struct view cleaned(struct arena *arena, struct view v) {
    struct buf out;
    struct view text = VIEW_NONE;
    buf_init(&out, 3 * v.n + 3);
    fold_put_clean(&out, v);
    if (arena_view(arena, buf_view(&out), &text) != ERR_OK)
        text = VIEW_NONE;
    buf_fini(&out);
    return text;
}

/* -- What goes in ------------------------------------------------------------------------------------ */

struct round_param {
    struct view name, value;
};

struct round_part {
    struct round_part *next, *child;
    struct builder_part *part;
    bool is_leaf, is_message, is_entity, is_text, is_signed;
    bool has_charset;          /* given by the builder */
    struct view type, content; /* the content as it must come back */
    struct round_param params[3];
    size_t param_count;
    struct view disposition, file_name, id, description;
    struct message_source_memory memory;
};

struct round_field {
    struct view name, text;
    const struct address *addresses;
    struct view hosts[8]; /* as they must come back */
    size_t count;
    bool is_addresses;
};

struct round {
    struct choices *c;
    struct arena *arena;
    struct builder_options options;
    struct builder *builder;
    struct round_field fields[ROUND_FIELDS];
    size_t field_count, parts;
};

#define ROUND_TRY(call, what) \
    do {                      \
        if ((call) != ERR_OK) \
            return what;      \
    } while (0)

static inline const char *add_addresses(struct round *r, struct view name) {
    static const struct {
        struct view raw, ascii;
    } hosts[] = {
        {VIEW_INIT("example.org"), VIEW_INIT("example.org")},
        {VIEW_INIT("[192.0.2.1]"), VIEW_INIT("[192.0.2.1]")},
        {VIEW_INIT("b\xc3\xbc"
                   "cher.example"),
         VIEW_INIT("xn--bcher-kva.example")},
        {VIEW_INIT("a.very.long.name.of.a.host.that.goes.on.and.on.and.on.and.on.and.on.and.on.example.org"),
         VIEW_INIT("a.very.long.name.of.a.host.that.goes.on.and.on.and.on.and.on.and.on.and.on.example.org")},
    };
    static const struct view locals[] = {
        VIEW_INIT("joe"),       VIEW_INIT("john doe"), VIEW_INIT("a\"b\\c"), VIEW_INIT(".dot."),
        VIEW_INIT("a,b;c:d@e"), VIEW_INIT("a.b.c+d"),  VIEW_INIT("(x)"),     VIEW_INIT("=?utf-8?q?x?="),
    };
    struct choices *c = r->c;
    struct round_field *f = &r->fields[r->field_count];
    struct address *list = ARENA_ARRAY(r->arena, 8, struct address);
    bool in_group = false;
    if (list == NULL)
        return "arena";
    *f = (struct round_field){.name = name, .addresses = list, .is_addresses = true};
    for (size_t n = choose(c, 6); n > 0; n--) {
        struct address *a = &list[f->count];
        if (choose(c, 5) == 0) {
            a->kind = in_group ? ADDRESS_GROUP_END : ADDRESS_GROUP_START;
            in_group = !in_group;
            a->mailbox = some_text(c, 4, 1200);
            f->count++;
            continue;
        }
        size_t host = choose(c, ARRAY_LEN(hosts));
        a->host = hosts[host].raw;
        f->hosts[f->count] = r->options.is_utf8 ? hosts[host].raw : hosts[host].ascii;
        a->mailbox = r->options.is_utf8 && choose(c, 3) == 0 ? VIEW("gr\xc3\xbc\xc3\x9f e")
                                                             : locals[choose(c, ARRAY_LEN(locals))];
        if (choose(c, 4) > 0)
            a->name = some_text(c, 6, 1200);
        f->count++;
    }
    if (in_group)
        list[f->count++].kind = ADDRESS_GROUP_END;
    if (f->count > 0)
        r->field_count++;
    ROUND_TRY(builder_addresses(r->builder, name, list, f->count), "addresses");
    return NULL;
}

static inline const char *add_fields(struct round *r) {
    static const struct view names[] = {VIEW_INIT("From"),
                                        VIEW_INIT("To"),
                                        VIEW_INIT("Subject"),
                                        VIEW_INIT("Comments"),
                                        VIEW_INIT("X-Long-Name-Of-A-Field-That-Is-Not-Yet-Known"),
                                        VIEW_INIT("Keywords")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (choose(r->c, 3) == 0)
            continue;
        if (i < 2) {
            const char *error = add_addresses(r, names[i]);
            if (error != NULL)
                return error;
            continue;
        }
        struct view text = some_text(r->c, 40, 1200);
        r->fields[r->field_count++] = (struct round_field){.name = names[i], .text = cleaned(r->arena, text)};
        ROUND_TRY(builder_text(r->builder, names[i], text), "text");
    }
    return NULL;
}

static inline struct view normalised(struct arena *arena, struct view v, bool is_utf8) {
    struct buf valid, out;
    struct view text = VIEW_NONE;
    buf_init(&valid, 3 * v.n + 3);
    buf_init(&out, 6 * v.n + 6);
    if (is_utf8)
        buf_put_utf8_lossy(&valid, v);
    else
        buf_put(&valid, v);
    for (size_t i = 0; i < valid.n; i++) {
        if (valid.p[i] == '\n' && i > 0 && valid.p[i - 1] == '\r')
            continue;
        if (valid.p[i] == '\r' || valid.p[i] == '\n')
            buf_put(&out, VIEW("\r\n"));
        else
            buf_put_byte(&out, valid.p[i]);
    }
    if (arena_view(arena, buf_view(&out), &text) != ERR_OK)
        text = VIEW_NONE;
    buf_fini(&valid);
    buf_fini(&out);
    return text;
}

static inline const char *add_details(struct round *r, struct round_part *p) {
    static const struct view names[] = {VIEW_INIT("name"), VIEW_INIT("x-y"), VIEW_INIT("Format")};
    struct choices *c = r->c;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (choose(c, 3) > 0)
            continue;
        struct view value = view_sub(some_text(c, 12, 200), 0, 240);
        p->params[p->param_count++] = (struct round_param){names[i], cleaned(r->arena, value)};
        ROUND_TRY(builder_param(p->part, names[i], value), "param");
    }
    if (choose(c, 2) == 0) {
        struct view name = view_sub(some_text(c, 12, 300), 0, 300);
        p->disposition = choose(c, 2) == 0 ? VIEW("inline") : VIEW("attachment");
        p->file_name = cleaned(r->arena, name);
        ROUND_TRY(builder_disposition(p->part, p->disposition, name), "disposition");
    }
    if (choose(c, 4) == 0) {
        p->id = choose(c, 2) == 0 ? VIEW("a@b")
                                  : VIEW("a.quite.long.identifier.of.a.part.with.many.dots.0123456789@example.org.");
        ROUND_TRY(builder_content_id(p->part, p->id), "id");
    }
    if (choose(c, 4) == 0) {
        struct view text = some_text(c, 20, 1200);
        p->description = cleaned(r->arena, text);
        ROUND_TRY(builder_description(p->part, text), "description");
    }
    return NULL;
}

/* A message: without a header, where one ends and a delimiter's line end begins is a matter of taste. */
static inline bool with_header(struct arena *arena, struct view *content) {
    struct buf out;
    buf_init(&out, content->n + 100);
    buf_put(&out, VIEW("Subject: inside\r\n\r\n"));
    buf_put(&out, *content);
    bool done = arena_view(arena, buf_view(&out), content) == ERR_OK;
    buf_fini(&out);
    return done;
}

static inline const char *make_leaf(struct round *r, struct round_part *p) {
    static const struct view types[] = {VIEW_INIT("text/plain"), VIEW_INIT("text/html"),
                                        VIEW_INIT("application/octet-stream"), VIEW_INIT("message/delivery-status"),
                                        VIEW_INIT("image/png")};
    struct choices *c = r->c;
    struct view content = some_text(c, choose(c, 3) == 0 ? 300 : 30, 5000);
    p->is_leaf = true;
    switch (choose(c, 6)) {
    case 0:
        p->is_message = true;
        if (!with_header(r->arena, &content))
            return "arena";
        p->content = content;
        message_source_memory_init(&p->memory, content);
        p->part = builder_message(r->builder, &p->memory.source);
        break;
    case 1:
    case 2:
        p->type = types[choose(c, ARRAY_LEN(types))];
        p->is_text = choose(c, 3) == 0;
        p->content = p->is_text ? normalised(r->arena, content, false) : content;
        message_source_memory_init(&p->memory, content);
        p->part = builder_leaf_source(r->builder, p->type, &p->memory.source);
        if (p->part != NULL && p->is_text)
            builder_lines(p->part);
        break;
    default:
        p->type = types[choose(c, ARRAY_LEN(types))];
        p->is_text = view_starts(p->type, VIEW("text/")) || view_starts(p->type, VIEW("message/"));
        p->content = p->is_text ? normalised(r->arena, content, view_starts(p->type, VIEW("text/"))) : content;
        p->part = builder_leaf(r->builder, p->type, content);
        p->has_charset = view_starts(p->type, VIEW("text/"));
        break;
    }
    return p->part == NULL ? "leaf" : add_details(r, p);
}

static inline struct round_part *make_part(struct round *r, size_t depth, const char **error);

static inline const char *make_multipart(struct round *r, struct round_part *p, size_t depth) {
    static const struct view subtypes[] = {VIEW_INIT("mixed"),  VIEW_INIT("alternative"), VIEW_INIT("related"),
                                           VIEW_INIT("report"), VIEW_INIT("x-other"),     VIEW_INIT("signed")};
    static const struct view entity =
        VIEW_INIT("Content-Type: text/plain;  charset=us-ascii\r\n\r\nFrom me \r\n.\r\nbody ");
    struct choices *c = r->c;
    struct view subtype = subtypes[choose(c, ARRAY_LEN(subtypes))];
    bool is_signed = view_eq(subtype, VIEW("signed"));
    struct round_part **link = &p->child;
    p->part = builder_multipart(r->builder, subtype);
    if (p->part == NULL || arena_printf(r->arena, &p->type, "multipart/%.*s", VIEW_FMT(subtype)) != ERR_OK)
        return "multipart";
    for (size_t n = is_signed ? 2 : choose(c, 4) + 1; n > 0; n--) {
        const char *error = NULL;
        struct round_part *child = NULL;
        if (is_signed && n == 2 && choose(c, 2) == 0) {
            child = ARENA_NEW(r->arena, struct round_part);
            if (child == NULL)
                return "arena";
            child->is_entity = true;
            child->content = entity;
            message_source_memory_init(&child->memory, entity);
            child->part = builder_entity(r->builder, &child->memory.source);
        } else {
            child = make_part(r, depth + 1, &error);
        }
        if (error != NULL)
            return error;
        child->is_signed = is_signed && n == 2;
        ROUND_TRY(builder_add(p->part, child->part), "add");
        *link = child;
        link = &child->next;
    }
    return add_details(r, p);
}

static inline struct round_part *make_part(struct round *r, size_t depth, const char **error) {
    struct round_part *p = ARENA_NEW(r->arena, struct round_part);
    if (p == NULL) {
        *error = "arena";
        return NULL;
    }
    bool is_multipart = depth < 4 && r->parts++ < ROUND_PARTS && choose(r->c, 3) == 0;
    *error = is_multipart ? make_multipart(r, p, depth) : make_leaf(r, p);
    return p;
}

/* -- What comes out ---------------------------------------------------------------------------------- */

struct round_sink {
    struct builder_sink sink;
    struct buf out;
};

static inline enum err round_write(struct builder_sink *sink, struct view octets) {
    struct round_sink *s = (struct round_sink *)sink;
    buf_put(&s->out, octets);
    return buf_err(&s->out);
}

/* A header's lines: at most 78 octets where there was a place to fold, ASCII unless raw UTF-8 was asked for. */
static inline const char *check_header(struct view header, bool is_utf8) {
    for (size_t at = 0; at < header.n;) {
        struct view rest = view_skip(header, at), line;
        ssize_t end = view_find(rest, VIEW("\r\n"));
        if (end < 0)
            return "a header line without an end";
        line = view_sub(rest, 0, (size_t)end);
        at += line.n + 2;
        if (line.n == 0)
            return at == header.n ? NULL : "an empty line inside a header";
        if (!is_utf8 && !utf8_is_ascii(line))
            return "8-bit octets in a header";
        size_t i = 0;
        while (i < line.n && line.p[i] == ' ')
            i++;
        if (i == line.n)
            return "a blank line inside a header";
        bool in_quotes = false;
        for (; i < line.n; i++) {
            if (line.p[i] < ' ' || line.p[i] == 127)
                return "a control character in a header";
            if (line.p[i] == '"')
                in_quotes = !in_quotes;
            else if (line.p[i] == '\\' && in_quotes)
                i++;
            else if (line.p[i] == ' ' && !in_quotes && line.n > FOLD_LINE_LENGTH)
                return "a long header line that could be folded";
        }
    }
    return NULL;
}

static inline const char *check_octets(const struct round *r, struct view v) {
    const struct builder_options *o = &r->options;
    size_t length = 0;
    for (size_t i = 0; i < v.n; i++) {
        bool is_end = v.p[i] == '\r' && i + 1 < v.n && v.p[i + 1] == '\n';
        if (is_end) {
            length = 0;
            i++;
            continue;
        }
        length++;
        if (o->allow_binary)
            continue;
        if (length > FOLD_LINE_MAX)
            return "a line over 998 octets";
        if (v.p[i] == 0 || v.p[i] == '\r' || v.p[i] == '\n')
            return "a NUL or bare line end";
        if (v.p[i] >= 0x80 && !o->allow_8bit && !o->is_utf8)
            return "an 8-bit octet";
    }
    return NULL;
}

/* What is signed must pass every relay unchanged. */
static inline const char *check_signed(struct view v, bool may_have_utf8, bool is_made) {
    for (size_t i = 0; i < v.n; i++) {
        bool is_start = i == 0 || v.p[i - 1] == '\n';
        if (v.p[i] >= 0x80 && !may_have_utf8)
            return "8-bit octets in a signed part";
        if (!is_made)
            continue;
        if (is_start && view_starts(view_skip(v, i), VIEW("From ")))
            return "a From line in a signed part";
        if (is_start && view_starts(view_skip(v, i), VIEW(".\r\n")))
            return "a dot line in a signed part";
        if ((v.p[i] == ' ' || v.p[i] == '\t') && view_starts(view_skip(v, i + 1), VIEW("\r\n")))
            return "white space at the end of a signed line";
    }
    return NULL;
}

static inline bool has_decoded(struct arena *arena, struct view value, struct view expected) {
    struct buf out;
    struct view unfolded;
    if (header_unfold(arena, value, &unfolded) != ERR_OK)
        return false;
    buf_init(&out, 4 * unfolded.n + 64 * 1024);
    words_decode(NULL, unfolded, &out);
    bool equal = view_eq(buf_view(&out), expected);
    buf_fini(&out);
    return equal;
}

static inline const char *compare_param(const struct mime_params *params, struct view name, struct view expected) {
    struct buf out;
    buf_init(&out, 64 * 1024);
    const char *error = words_param(NULL, params, name, &out) != ERR_OK ? "a parameter is not there"
                        : !view_eq(buf_view(&out), expected)            ? "a parameter differs"
                                                                        : NULL;
    buf_fini(&out);
    return error;
}

static inline const char *compare_details(const struct round *r, const struct round_part *p,
                                          const struct mime_part *m) {
    for (size_t i = 0; i < p->param_count; i++) {
        const char *error = compare_param(&m->params, p->params[i].name, p->params[i].value);
        if (error != NULL)
            return error;
    }
    if (!view_eq(m->disposition, p->disposition))
        return "the disposition differs";
    if (p->file_name.n > 0) {
        const char *error = compare_param(&m->disposition_params, VIEW("filename"), p->file_name);
        if (error != NULL)
            return error;
    }
    if (p->id.n > 0 && !view_eq(view_sub(m->id, 1, p->id.n), p->id))
        return "the id differs";
    if (p->description.p != NULL && !has_decoded(r->arena, m->description, p->description))
        return "the description differs";
    return NULL;
}

static inline const char *compare_leaf(const struct message *message, const struct round_part *p,
                                       const struct mime_part *m) {
    struct buf out;
    const char *error = NULL;
    buf_init(&out, 16 * 1024 * 1024);
    decode_put_body(&out, message, m);
    if (!view_eq(buf_view(&out), p->content))
        error = "the content differs";
    buf_clear(&out);
    decode_put_text(&out, NULL, message, m);
    if (p->has_charset && !view_eq(buf_view(&out), p->content))
        error = "the text differs";
    buf_fini(&out);
    return error;
}

static inline const char *compare_part(const struct round *r, const struct message *message, const struct round_part *p,
                                       const struct mime_part *m, bool below_signed) {
    const char *error = NULL;
    below_signed |= p->is_signed;
    if (p->is_entity)
        return view_eq(message_part_all(message, m), p->content) ? NULL : "the entity differs";
    if (p->is_signed)
        error = check_signed(message_part_all(message, m), r->options.is_utf8, false);
    if (error == NULL)
        error = check_header(message_part_header(message, m), r->options.is_utf8);
    if (error != NULL)
        return error;
    struct view type, subtype;
    view_split(p->type, '/', &type, &subtype);
    if (p->is_message ? !view_eq(m->type, VIEW("message")) ||
                            (!view_eq(m->subtype, VIEW("rfc822")) && !view_eq(m->subtype, VIEW("global")))
                      : !view_eq(m->type, type) || !view_eq(m->subtype, subtype))
        return "the type differs";
    if (p->is_message && view_eq(m->subtype, VIEW("rfc822")) &&
        (m->encoding == MIME_ENCODING_BASE64 || m->encoding == MIME_ENCODING_QUOTED_PRINTABLE))
        return "a message/rfc822 is encoded";
    if (below_signed && (m->encoding == MIME_ENCODING_8BIT || m->encoding == MIME_ENCODING_BINARY))
        return "a signed part is not 7bit";
    if (below_signed && p->is_leaf && !p->is_message)
        error = check_signed(message_part_body(message, m), false, true);
    if (error == NULL)
        error = compare_details(r, p, m);
    if (error == NULL && p->is_leaf)
        error = compare_leaf(message, p, m);
    const struct mime_part *part = p->is_leaf ? NULL : m->first_child;
    for (const struct round_part *child = p->child; child != NULL && error == NULL; child = child->next) {
        if (part == NULL)
            return "a part is not there";
        error = compare_part(r, message, child, part, below_signed);
        part = part->next;
    }
    return error == NULL && part != NULL ? "a part too many" : error;
}

static inline const char *compare_addresses(const struct round *r, const struct round_field *f, struct view value) {
    struct address_list list;
    address_parse(r->arena, value, &list);
    if (list.count != f->count)
        return "the number of addresses differs";
    for (size_t i = 0; i < f->count; i++) {
        const struct address *in = &f->addresses[i], *out = &list.list[i];
        if (in->kind != out->kind)
            return "the kind of an address differs";
        struct view name = in->kind == ADDRESS_MAILBOX ? in->name : in->mailbox;
        struct view got = in->kind == ADDRESS_MAILBOX ? out->name : out->mailbox;
        if (in->kind != ADDRESS_GROUP_END && !has_decoded(r->arena, got, cleaned(r->arena, name)))
            return "a name differs";
        if (in->kind == ADDRESS_MAILBOX && (!view_eq(in->mailbox, out->mailbox) || !view_eq(f->hosts[i], out->host)))
            return "an address differs";
    }
    return NULL;
}

static inline const char *compare_fields(const struct round *r, struct view header) {
    struct header_iter it;
    struct header_field field;
    size_t at = 0;
    bool has_date = false, has_id = false, has_version = false;
    header_iter_init(&it, header);
    while (header_next(&it, &field)) {
        has_date |= view_eq(field.name, VIEW("Date"));
        has_id |= view_eq(field.name, VIEW("Message-ID"));
        has_version |= view_eq(field.name, VIEW("MIME-Version"));
        if (view_eq(field.name, VIEW("Evil")))
            return "an injected field";
        if (at == r->field_count || !view_eq(field.name, r->fields[at].name))
            continue;
        const struct round_field *f = &r->fields[at++];
        if (f->is_addresses) {
            const char *error = compare_addresses(r, f, field.value);
            if (error != NULL)
                return error;
        } else if (!has_decoded(r->arena, field.value, f->text)) {
            return "a text differs";
        }
    }
    if (!has_date || !has_id || !has_version)
        return "a field that is always there is missing";
    return at == r->field_count ? NULL : "a field is missing";
}

/* A message made from choices; bits: what the recipient takes. */
static inline const char *round_make(struct round *r, struct choices *c, size_t bits, struct round_part **root) {
    *r = (struct round){.c = c, .arena = c->arena};
    r->options = (struct builder_options){
        .is_utf8 = (bits & 1) != 0,
        .allow_8bit = (bits & 2) != 0,
        .allow_binary = (bits & 4) != 0,
        .wall_us = INT64_C(1795556963) * 1000000,
        .host = VIEW("mail.example.org"),
    };
    memcpy(r->options.seed, round_seed, sizeof(round_seed));
    r->builder = builder_new(c->arena, &r->options);
    if (r->builder == NULL)
        return "builder";
    const char *error = add_fields(r);
    *root = error == NULL ? make_part(r, 0, &error) : NULL;
    return error;
}

static inline const char *round_compare(struct round *r, const struct round_part *root, struct view all) {
    struct message message;
    const char *error = check_octets(r, all);
    if (error == NULL && message_parse(r->arena, all, &message) != ERR_OK)
        error = "parse";
    if (error == NULL && message.degraded)
        error = "degraded";
    if (error == NULL)
        error = compare_fields(r, message_part_header(&message, message.root));
    if (error == NULL)
        error = compare_part(r, &message, root, message.root, false);
    return error;
}

/* One message there and back. On an error *written holds it, when it was written; the caller has inited it. */
static inline const char *round_trip(struct choices *c, struct buf *written) {
    struct round r;
    struct round_part *root = NULL;
    struct round_sink sink = {.sink = {round_write}};
    const char *error = round_make(&r, c, choose(c, 8), &root);
    if (error != NULL)
        return error;
    buf_init(&sink.out, 64 * 1024 * 1024);
    if (builder_write(r.builder, root->part, &sink.sink) != ERR_OK)
        error = "write";
    if (error == NULL)
        error = round_compare(&r, root, buf_view(&sink.out));
    if (error != NULL && written != NULL)
        buf_put(written, buf_view(&sink.out));
    buf_fini(&sink.out);
    return error;
}

#endif
