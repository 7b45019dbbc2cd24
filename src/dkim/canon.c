/* Canonical header fields, and the streams that hash a canonical body. */
#include "dkim/canon.h"

#include <stdlib.h>
#include <string.h>

#define OUT_SIZE 4096 /* octets gathered before a hash is called: it works on blocks of 64 */

struct view dkim_canon_name(enum dkim_canon canon) {
    return canon == DKIM_RELAXED ? VIEW("relaxed") : VIEW("simple");
}

/* ---- header fields ---- */

static struct view without_line_end(struct view raw) {
    if (raw.n > 0 && raw.p[raw.n - 1] == '\n') {
        raw.n--;
        if (raw.n > 0 && raw.p[raw.n - 1] == '\r')
            raw.n--;
    }
    return raw;
}

/* RFC6376-3.4.2: unfolded, each run of white space one space, none at the ends. A line end is white space only in a fold. */
static void put_relaxed_value(struct buf *out, struct view value) {
    bool is_gap = false, is_empty = true;
    for (size_t i = 0; i < value.n;) {
        uint8_t c = value.p[i];
        bool is_crlf = c == '\r' && i + 1 < value.n && value.p[i + 1] == '\n';
        if (ascii_is_blank(c) || c == '\n' || is_crlf) {
            is_gap = is_gap || ascii_is_blank(c);
            i += is_crlf ? 2 : 1;
            continue;
        }
        if (is_gap && !is_empty)
            buf_put_byte(out, ' ');
        size_t from = i++;
        while (i < value.n && !ascii_is_blank(value.p[i]) && value.p[i] != '\r' && value.p[i] != '\n')
            i++;
        buf_put(out, view_sub(value, from, i - from));
        is_gap = is_empty = false;
    }
}

void dkim_put_field(struct buf *out, enum dkim_canon canon, struct view raw, bool is_last) {
    struct view line = without_line_end(raw);
    if (canon == DKIM_SIMPLE) {
        buf_put(out, line);
        if (!is_last)
            buf_put(out, raw.n > line.n ? view_skip(raw, line.n) : VIEW("\r\n"));
        return;
    }
    struct view name, value;
    (void)view_split(line, ':', &name, &value);
    name = view_trim(name);
    for (size_t i = 0; i < name.n; i++)
        buf_put_byte(out, ascii_lower(name.p[i]));
    buf_put_byte(out, ':');
    put_relaxed_value(out, value);
    if (!is_last)
        buf_put(out, VIEW("\r\n"));
}

/* ---- bodies ---- */

struct sum {
    struct dkim_hash *hash;
    uint64_t length, left; /* octets that count; of them, not seen yet */
    uint8_t digest[DKIM_DIGEST_SIZE];
};

/* One canonicalisation of the body, with the hashes taken of it. Canonical octets go to `copy` too, if there is one. */
struct form {
    enum dkim_canon canon;
    bool has_cr;    /* a CR came, and what follows decides */
    bool has_blank; /* relaxed: white space came, and what follows decides */
    uint64_t lines; /* line ends that came, and count only if something follows */
    uint64_t octets;
    struct buf *copy;
    struct sum sums[DKIM_BODY_SUMS_MAX];
    size_t sums_n;
    size_t out_n;
    uint8_t out[OUT_SIZE];
};

struct dkim_body {
    const struct dkim_crypto *crypto;
    bool is_ended;
    struct form *forms[2]; /* by enum dkim_canon; NULL: nobody wants it */
};

static void pass_on(struct form *form, struct view v) {
    for (size_t i = 0; i < form->sums_n; i++) {
        struct sum *sum = &form->sums[i];
        struct view counted = view_sub(v, 0, (size_t)MIN((uint64_t)v.n, sum->left));
        dkim_hash_put(sum->hash, counted);
        sum->left -= counted.n;
    }
    if (form->copy)
        buf_put(form->copy, v);
}

static void flush(struct form *form) {
    pass_on(form, view_of(form->out, form->out_n));
    form->out_n = 0;
}

static void emit(struct form *form, struct view v) {
    form->octets += v.n;
    if (v.n >= OUT_SIZE) {
        flush(form);
        pass_on(form, v);
        return;
    }
    if (v.n > OUT_SIZE - form->out_n)
        flush(form);
    if (v.n > 0)
        memcpy(form->out + form->out_n, v.p, v.n);
    form->out_n += v.n;
}

/* Something follows: the line ends and the white space before it count. */
static void emit_pending(struct form *form) {
    for (; form->lines > 0; form->lines--)
        emit(form, VIEW("\r\n"));
    if (form->has_blank)
        emit(form, VIEW(" "));
    form->has_blank = false;
}

/* The octet after a CR. True when it is used up. */
static bool after_cr(struct form *form, uint8_t c) {
    form->has_cr = false;
    if (c == '\n') {
        /* RFC6376-3.4.4: white space at the end of a line is ignored. */
        form->has_blank = false;
        form->lines++;
        return true;
    }
    emit_pending(form);
    emit(form, VIEW("\r"));
    return false;
}

/* Octets at v, which begins with none of them, that are neither CR nor, when relaxed, white space that changes: a space
 * between two other octets does not. */
static size_t plain_run(const struct form *form, struct view v) {
    if (form->canon == DKIM_SIMPLE) {
        const uint8_t *cr = memchr(v.p, '\r', v.n);
        return cr ? (size_t)(cr - v.p) : v.n;
    }
    size_t n = 0;
    while (n < v.n && v.p[n] != '\r' && v.p[n] != '\t' &&
           (v.p[n] != ' ' || (n + 1 < v.n && !ascii_is_blank(v.p[n + 1]) && v.p[n + 1] != '\r')))
        n++;
    return n;
}

static void feed_form(struct form *form, struct view v) {
    while (v.n > 0) {
        uint8_t c = v.p[0];
        if (form->has_cr && after_cr(form, c)) {
            v = view_skip(v, 1);
        } else if (c == '\r') {
            form->has_cr = true;
            v = view_skip(v, 1);
        } else if (form->canon == DKIM_RELAXED && ascii_is_blank(c)) {
            form->has_blank = true;
            v = view_skip(v, 1);
        } else {
            size_t n = plain_run(form, v);
            emit_pending(form);
            emit(form, view_sub(v, 0, n));
            v = view_skip(v, n);
        }
    }
}

static void end_form(struct form *form) {
    if (form->has_cr) {
        form->has_cr = false;
        emit_pending(form);
        emit(form, VIEW("\r"));
    }
    /* RFC6376-3.4.3: one CRLF instead of those at the end, also of an empty body. RFC6376-3.4.4: unless it is empty. */
    if (form->canon == DKIM_SIMPLE || form->octets > 0)
        emit(form, VIEW("\r\n"));
    flush(form);
}

enum err dkim_body_new(const struct dkim_crypto *crypto, struct dkim_body **out) {
    struct dkim_body *body = calloc(1, sizeof(*body));
    if (!body)
        return ERR_NO_MEMORY;
    body->crypto = crypto;
    *out = body;
    return ERR_OK;
}

void dkim_body_free(struct dkim_body *body) {
    if (!body)
        return;
    for (size_t f = 0; f < ARRAY_LEN(body->forms); f++) {
        for (size_t i = 0; body->forms[f] && i < body->forms[f]->sums_n; i++)
            dkim_hash_free(body->forms[f]->sums[i].hash);
        free(body->forms[f]);
    }
    free(body);
}

static const struct sum *find_sum(const struct dkim_body *body, enum dkim_canon canon, uint64_t length) {
    const struct form *form = body->forms[canon];
    for (size_t i = 0; form && i < form->sums_n; i++)
        if (form->sums[i].length == length)
            return &form->sums[i];
    return NULL;
}

enum err dkim_body_want(struct dkim_body *body, enum dkim_canon canon, uint64_t length) {
    if (find_sum(body, canon, length))
        return ERR_OK;
    struct form *form = body->forms[canon];
    if (!form) {
        form = body->forms[canon] = calloc(1, sizeof(*form));
        if (!form)
            return ERR_NO_MEMORY;
        form->canon = canon;
    }
    if (form->sums_n == DKIM_BODY_SUMS_MAX)
        return ERR_LIMIT;
    struct sum *sum = &form->sums[form->sums_n];
    TRY(dkim_hash_new(body->crypto, &sum->hash));
    sum->length = sum->left = length;
    form->sums_n++;
    return ERR_OK;
}

void dkim_body_feed(struct dkim_body *body, struct view piece) {
    for (size_t f = 0; f < ARRAY_LEN(body->forms); f++)
        if (body->forms[f])
            feed_form(body->forms[f], piece);
}

enum err dkim_body_end(struct dkim_body *body) {
    BUG_IF(body->is_ended);
    body->is_ended = true;
    for (size_t f = 0; f < ARRAY_LEN(body->forms); f++) {
        struct form *form = body->forms[f];
        if (!form)
            continue;
        end_form(form);
        for (size_t i = 0; i < form->sums_n; i++)
            TRY(dkim_hash_end(form->sums[i].hash, form->sums[i].digest));
    }
    return ERR_OK;
}

enum err dkim_body_hash(const struct dkim_body *body, enum dkim_canon canon, uint64_t length,
                        uint8_t digest[DKIM_DIGEST_SIZE], uint64_t *octets) {
    BUG_IF(!body->is_ended);
    const struct sum *sum = find_sum(body, canon, length);
    if (!sum)
        return ERR_NOT_FOUND;
    memcpy(digest, sum->digest, DKIM_DIGEST_SIZE);
    *octets = body->forms[canon]->octets;
    return ERR_OK;
}

void dkim_put_body(struct buf *out, enum dkim_canon canon, struct view body) {
    struct form form = {.canon = canon, .copy = out};
    feed_form(&form, body);
    end_form(&form);
}
