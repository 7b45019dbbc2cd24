/* A message on its way through: the header is gathered and split, then the body is hashed. */
#include "dkim/input.h"

#include "base/vec.h"
#include "dkim/tags.h"
#include "message/header.h"

#include <stdlib.h>

struct dkim_input {
    const struct dkim_crypto *crypto;
    bool fixes_lines;
    bool was_cr;  /* fixes_lines: the last octet */
    bool is_body; /* the empty line came */
    bool is_over, is_ended;
    enum err err;   /* sticky */
    size_t line_at; /* octets of the header before the line that is coming */
    struct buf header;
    struct vec fields;
    struct dkim_body *body;
};

enum err dkim_input_new(const struct dkim_crypto *crypto, struct dkim_input **out) {
    struct dkim_input *input = calloc(1, sizeof(*input));
    if (!input)
        return ERR_NO_MEMORY;
    input->crypto = crypto;
    buf_init(&input->header, DKIM_HEADER_MAX + 2);
    input->fields = VEC_OF(struct dkim_field, DKIM_FIELDS_MAX);
    enum err err = dkim_body_new(crypto, &input->body);
    if (err != ERR_OK) {
        dkim_input_free(input);
        return err;
    }
    *out = input;
    return ERR_OK;
}

void dkim_input_free(struct dkim_input *input) {
    if (!input)
        return;
    dkim_body_free(input->body);
    vec_fini(&input->fields);
    buf_fini(&input->header);
    free(input);
}

const struct dkim_crypto *dkim_input_crypto(const struct dkim_input *input) {
    return input->crypto;
}

void dkim_input_fix_lines(struct dkim_input *input) {
    input->fixes_lines = true;
}

enum err dkim_input_want(struct dkim_input *input, enum dkim_canon canon, uint64_t length) {
    return dkim_body_want(input->body, canon, length);
}

struct view dkim_field_value(const struct dkim_field *field) {
    struct view value = view_skip(field->raw, field->value_at);
    if (view_ends(value, VIEW("\n")))
        value.n -= view_ends(value, VIEW("\r\n")) ? 2 : 1;
    return value;
}

uint32_t dkim_field_hash(struct view name) {
    /* FNV-1a: only to compare names faster; who makes names collide makes them as slow as without it. */
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.n; i++)
        hash = (hash ^ ascii_lower(name.p[i])) * 16777619u;
    return hash;
}

/* ---- the header is complete ---- */

/* The canonicalisation and length that a signature names, as far as they can be read; a broken signature needs no hash. */
static bool read_body_terms(struct view value, struct view otherwise, enum dkim_canon *canon, uint64_t *length) {
    struct dkim_tags tags;
    if (dkim_tags_parse(value, &tags) != ERR_OK)
        return false;
    /* RFC6376-3.5: c=HEADER[/BODY] */
    struct view header, body;
    if (!view_split(dkim_tags_value(&tags, "c", otherwise), '/', &header, &body))
        body = VIEW("simple");
    *canon = view_eq_nocase(body, VIEW("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
    *length = DKIM_BODY_WHOLE;
    const struct dkim_tag *l = dkim_tags_find(&tags, "l");
    if (!l)
        return true;
    enum err err = view_to_u64(l->value, DKIM_BODY_WHOLE - 1, length);
    if (err == ERR_LIMIT)
        *length = DKIM_BODY_WHOLE - 1;
    return err != ERR_SYNTAX;
}

static enum err want_for(struct dkim_input *input, const struct dkim_field *field) {
    bool is_arc = view_eq_nocase(field->name, VIEW("ARC-Message-Signature"));
    if (!is_arc && !view_eq_nocase(field->name, VIEW("DKIM-Signature")))
        return ERR_OK;
    enum dkim_canon canon;
    uint64_t length;
    if (!read_body_terms(dkim_field_value(field), is_arc ? DKIM_ARC_CANON : DKIM_CANON, &canon, &length))
        return ERR_OK;
    enum err err = dkim_body_want(input->body, canon, length);
    /* What is over the limit has no hash, and its verdict says so. */
    return err == ERR_LIMIT ? ERR_OK : err;
}

static enum err split_header(struct dkim_input *input) {
    input->is_body = true;
    if (input->is_over)
        return ERR_OK;
    struct header_iter it;
    struct header_field field;
    header_iter_init(&it, buf_view(&input->header));
    /* What lies in front of the first field, and how lines end, is not guessed here: once relays have put their fields in front,
     * the same octets must be read the same way. */
    it.at = 0;
    it.eol = '\n';
    while (header_next(&it, &field)) {
        if (input->fields.n == DKIM_FIELDS_MAX) {
            input->is_over = true;
            return ERR_OK;
        }
        struct dkim_field *mine = vec_add(&input->fields);
        if (!mine)
            return ERR_NO_MEMORY;
        *mine = (struct dkim_field){.name = field.name,
                                    .raw = field.raw,
                                    .value_at = (size_t)(field.value.p - field.raw.p),
                                    .hash = dkim_field_hash(field.name)};
        TRY(want_for(input, mine));
    }
    return ERR_OK;
}

/* ---- octets ---- */

/* Takes header lines off v until the empty one. */
static enum err feed_header(struct dkim_input *input, struct view *v) {
    while (v->n > 0 && !input->is_body) {
        ssize_t lf = view_find_byte(*v, '\n');
        struct view part = lf < 0 ? *v : view_sub(*v, 0, (size_t)lf + 1);
        *v = view_skip(*v, part.n);
        if (part.n > DKIM_HEADER_MAX - MIN(input->header.n, (size_t)DKIM_HEADER_MAX)) {
            input->is_over = true;
            input->is_body = true;
            return ERR_OK;
        }
        buf_put(&input->header, part);
        TRY(buf_err(&input->header));
        if (lf < 0)
            break;
        struct view line = view_skip(buf_view(&input->header), input->line_at);
        if (view_eq(line, VIEW("\r\n")) || view_eq(line, VIEW("\n"))) {
            input->header.n = input->line_at;
            return split_header(input);
        }
        input->line_at = input->header.n;
    }
    return ERR_OK;
}

static enum err feed_octets(struct dkim_input *input, struct view v) {
    TRY(feed_header(input, &v));
    if (v.n > 0 && !input->is_over)
        dkim_body_feed(input->body, v);
    return ERR_OK;
}

static enum err feed_fixed(struct dkim_input *input, struct view v) {
    while (v.n > 0) {
        ssize_t lf = view_find_byte(v, '\n');
        size_t n = lf < 0 ? v.n : (size_t)lf;
        TRY(feed_octets(input, view_sub(v, 0, n)));
        if (n > 0)
            input->was_cr = v.p[n - 1] == '\r';
        if (lf >= 0) {
            TRY(feed_octets(input, input->was_cr ? VIEW("\n") : VIEW("\r\n")));
            input->was_cr = false;
            n++;
        }
        v = view_skip(v, n);
    }
    return ERR_OK;
}

enum err dkim_input_feed(struct dkim_input *input, struct view piece) {
    if (input->err == ERR_OK)
        input->err = input->fixes_lines ? feed_fixed(input, piece) : feed_octets(input, piece);
    return input->err;
}

enum err dkim_input_end(struct dkim_input *input) {
    TRY(input->err);
    BUG_IF(input->is_ended);
    if (!input->is_body) {
        struct view header = buf_view(&input->header);
        if (header.n > 0 && !view_ends(header, VIEW("\n")))
            buf_put(&input->header, VIEW("\r\n"));
        TRY(buf_err(&input->header));
        TRY(split_header(input));
    }
    input->is_ended = true;
    return input->err = dkim_body_end(input->body);
}

bool dkim_input_is_over(const struct dkim_input *input) {
    return input->is_over;
}

struct view dkim_input_header(const struct dkim_input *input) {
    return buf_view(&input->header);
}

const struct dkim_field *dkim_input_fields(const struct dkim_input *input, size_t *n) {
    *n = input->fields.n;
    return input->fields.p;
}

enum err dkim_input_body_hash(const struct dkim_input *input, enum dkim_canon canon, uint64_t length,
                              uint8_t digest[DKIM_DIGEST_SIZE], uint64_t *octets) {
    BUG_IF(!input->is_ended);
    return dkim_body_hash(input->body, canon, length, digest, octets);
}
