/* The builder's second pass: everything written into the sink. */
#include "message/builder_tree.h"

#include "message/compose.h"
#include "message/fold.h"

/* Gathered before the sink is called, so that it gets pieces worth a system call. */
#define GATHER (16 * 1024)

struct writer {
    struct builder *builder;
    struct builder_sink *sink;
    struct buf out;
    /* The content being written. */
    enum mime_encoding encoding;
    struct encode_base64 base64;
    struct encode_qp qp;
    uint64_t size;
};

static enum err flush(struct writer *w, size_t at_least) {
    enum err err = buf_err(&w->out);
    if (err == ERR_OK && w->out.n > 0 && w->out.n >= at_least) {
        err = w->sink->write(w->sink, buf_view(&w->out));
        buf_clear(&w->out);
    }
    return err;
}

static enum err put_fields(struct writer *w, const struct builder_fields *fields) {
    for (const struct builder_field *field = fields->first; field != NULL; field = field->next) {
        TRY(flush(w, GATHER));
        buf_put(&w->out, field->text);
    }
    return flush(w, GATHER);
}

/* -- Headers ------------------------------------------------------------------------------------------------- */

static void put_boundary(struct writer *w, const struct builder_part *multipart) {
    buf_put(&w->out, view_of(w->builder->stem, BUILDER_BOUNDARY_STEM));
    /* All of one length: none is the beginning of another (RFC2046-5.1.1). */
    buf_printf(&w->out, "_%04u", (unsigned)multipart->boundary);
}

static void put_delimiter(struct writer *w, const struct builder_part *multipart, bool is_close) {
    buf_put(&w->out, VIEW("--"));
    put_boundary(w, multipart);
    buf_put(&w->out, is_close ? VIEW("--") : VIEW("\r\n"));
}

static void put_content_type(struct writer *w, const struct builder_part *part) {
    struct fold f;
    fold_begin(&f, &w->out, VIEW("Content-Type"), w->builder->options.is_utf8);
    fold_word(&f, 1, part->as_global ? VIEW("message/global") : part->type);
    for (const struct builder_parameter *p = part->params; p != NULL; p = p->next) {
        fold_semicolon(&f);
        fold_param(&f, p->name, p->value);
    }
    if (part->kind == BUILDER_MULTIPART) {
        buf_put(&w->out, VIEW(";\r\n boundary=\""));
        put_boundary(w, part);
        buf_put(&w->out, VIEW("\""));
    }
    fold_end(&f);
}

static enum err put_part_header(struct writer *w, const struct builder_part *part) {
    static const struct view names[] = {
        [MIME_ENCODING_7BIT] = VIEW_INIT("7bit"),     [MIME_ENCODING_8BIT] = VIEW_INIT("8bit"),
        [MIME_ENCODING_BINARY] = VIEW_INIT("binary"), [MIME_ENCODING_QUOTED_PRINTABLE] = VIEW_INIT("quoted-printable"),
        [MIME_ENCODING_BASE64] = VIEW_INIT("base64"),
    };
    if (part->kind == BUILDER_ENTITY)
        return ERR_OK;
    put_content_type(w, part);
    /* RFC2045-6.1: 7bit is the default. */
    if (part->encoding != MIME_ENCODING_7BIT) {
        buf_put(&w->out, VIEW("Content-Transfer-Encoding: "));
        buf_put(&w->out, names[part->encoding]);
        buf_put(&w->out, VIEW("\r\n"));
    }
    TRY(put_fields(w, &part->fields));
    buf_put(&w->out, VIEW("\r\n"));
    return ERR_OK;
}

/* -- Bodies ---------------------------------------------------------------------------------------------------- */

static enum err take_encode(void *arg, struct view octets) {
    struct writer *w = arg;
    w->size += octets.n;
    while (octets.n > 0) {
        struct view piece = view_sub(octets, 0, GATHER);
        octets = view_skip(octets, piece.n);
        switch (w->encoding) {
        case MIME_ENCODING_BASE64:
            encode_base64_put(&w->base64, piece, &w->out);
            break;
        case MIME_ENCODING_QUOTED_PRINTABLE:
            encode_qp_put(&w->qp, piece, &w->out);
            break;
        case MIME_ENCODING_7BIT:
        case MIME_ENCODING_8BIT:
        case MIME_ENCODING_BINARY:
        case MIME_ENCODING_UNKNOWN:
            buf_put(&w->out, piece);
            break;
        }
        TRY(flush(w, GATHER));
    }
    return ERR_OK;
}

static enum err put_content(struct writer *w, struct builder_part *part, bool is_root) {
    w->encoding = part->encoding;
    w->base64 = (struct encode_base64){.carry_n = 0};
    w->qp = (struct encode_qp){.is_text = part->scan.is_text};
    w->size = 0;
    TRY(builder_content(part, take_encode, w));
    /* A file that changed under our hands may hold anything now; what was written cannot be trusted. */
    if (w->size != part->scan.size)
        return ERR_IO;
    if (part->encoding == MIME_ENCODING_BASE64) {
        encode_base64_end(&w->base64, &w->out);
        if (is_root && w->size > 0)
            buf_put(&w->out, VIEW("\r\n"));
    } else if (part->encoding == MIME_ENCODING_QUOTED_PRINTABLE) {
        encode_qp_end(&w->qp, &w->out);
        /* The message ends with a line end; a soft one is none of the content's. */
        if (is_root && w->qp.column > 0)
            buf_put(&w->out, VIEW("=\r\n"));
    }
    return flush(w, GATHER);
}

/* The part and all below it, without recursion: the depth is a tree's of the caller. */
static enum err put_tree(struct writer *w, struct builder_part *root) {
    struct builder_part *part = root;
    for (;;) {
        TRY(put_part_header(w, part));
        if (part->kind == BUILDER_MULTIPART) {
            put_delimiter(w, part, false);
            part = part->first_child;
            continue;
        }
        TRY(put_content(w, part, part == root));
        /* RFC2046-5.1.1: the line end before a delimiter belongs to it. */
        while (part != root && part->next == NULL) {
            part = part->parent;
            buf_put(&w->out, VIEW("\r\n"));
            put_delimiter(w, part, true);
        }
        if (part == root)
            break;
        buf_put(&w->out, VIEW("\r\n"));
        put_delimiter(w, part->parent, false);
        part = part->next;
    }
    if (root->kind == BUILDER_MULTIPART)
        buf_put(&w->out, VIEW("\r\n"));
    return flush(w, GATHER);
}

static enum err put_message(struct writer *w, struct builder_part *root) {
    const struct builder *b = w->builder;
    if (!builder_has_date(b))
        compose_put_date(&w->out, b->options.wall_us);
    TRY(put_fields(w, &b->fields));
    if (!builder_has_message_id(b))
        compose_put_message_id(&w->out, b->options.seed, b->options.host);
    buf_put(&w->out, VIEW("MIME-Version: 1.0\r\n"));
    return put_tree(w, root);
}

static enum err write_all(struct builder *b, struct builder_part *root, bool as_entity, struct builder_sink *sink) {
    struct writer w = {.builder = b, .sink = sink};
    if (root->builder != b || root->parent != NULL)
        return ERR_SYNTAX;
    TRY(builder_scan(b, root, as_entity));
    buf_init(&w.out, 4 * BUILDER_FIELD_MAX);
    enum err err = as_entity ? put_tree(&w, root) : put_message(&w, root);
    if (err == ERR_OK)
        err = flush(&w, 0);
    buf_fini(&w.out);
    return err;
}

enum err builder_write(struct builder *b, struct builder_part *root, struct builder_sink *sink) {
    return write_all(b, root, false, sink);
}

enum err builder_write_entity(struct builder *b, struct builder_part *root, struct builder_sink *sink) {
    return write_all(b, root, true, sink);
}
