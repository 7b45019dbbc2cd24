/* Reading DKIM-Signature and ARC-Message-Signature, and the hash over what they name. */
#include "dkim/signature.h"

#include "base/clock.h"
#include "dkim/key.h"
#include "dns/idna.h"

#include <string.h>

#define SECONDS_MAX (INT64_MAX / US_PER_S)
#define INSTANCE_MAX 50 /* RFC8617-4.2.1 */

struct reading {
    struct dkim_tags tags;
    struct arena *arena;
    struct dkim_signature *out;
    const char *why;
};

static enum err refuse(struct reading *r, const char *why) {
    r->why = why;
    return ERR_SYNTAX;
}

/* A tag that must be there and not be empty. */
static enum err need(struct reading *r, const char *name, const char *why, struct view *value) {
    *value = dkim_tags_value(&r->tags, name, VIEW_NONE);
    return value->n > 0 ? ERR_OK : refuse(r, why);
}

static enum err read_algorithm(struct reading *r) {
    struct view a;
    TRY(need(r, "a", "a= is missing", &a));
    r->out->is_sha1 = view_eq(a, VIEW("rsa-sha1"));
    if (view_eq(a, VIEW("ed25519-sha256")))
        r->out->algorithm = DKIM_ED25519_SHA256;
    else if (view_eq(a, VIEW("rsa-sha256")) || r->out->is_sha1)
        r->out->algorithm = DKIM_RSA_SHA256;
    else
        return refuse(r, "a= is an unknown algorithm");
    return ERR_OK;
}

static bool canon_of(struct view name, enum dkim_canon *out) {
    *out = view_eq(name, VIEW("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
    return *out == DKIM_RELAXED || view_eq(name, VIEW("simple"));
}

static enum err read_canon(struct reading *r, struct view otherwise) {
    struct view header, body;
    if (!view_split(dkim_tags_value(&r->tags, "c", otherwise), '/', &header, &body))
        body = VIEW("simple");
    if (!canon_of(header, &r->out->header_canon) || !canon_of(body, &r->out->body_canon))
        return refuse(r, "c= is an unknown canonicalisation");
    return ERR_OK;
}

static enum err read_base64(struct reading *r, const char *name, const char *missing, const char *broken,
                            struct view *out) {
    struct view text;
    TRY(need(r, name, missing, &text));
    enum err err = dkim_tag_base64(r->arena, text, out);
    return err == ERR_SYNTAX ? refuse(r, broken) : err;
}

/* RFC6376-3.5: h=. What ARC signs of a header may be nothing, or an empty name, of which there is no field. */
static enum err read_names(struct reading *r, enum dkim_signature_kind kind) {
    struct view list, item;
    const struct dkim_tag *tag = dkim_tags_find(&r->tags, "h");
    if (!tag)
        return refuse(r, "h= is missing");
    list = tag->value;
    size_t n = 0;
    struct view rest = list;
    while (dkim_tag_next(&rest, &item))
        n++;
    if (n > DKIM_SIGNED_NAMES_MAX)
        return refuse(r, "h= names too many fields");
    r->out->names = ARENA_ARRAY(r->arena, n, struct view);
    if (!r->out->names)
        return ERR_LIMIT;
    while (dkim_tag_next(&list, &item)) {
        if (item.n == 0 && kind == DKIM_SIGNATURE_DKIM)
            return refuse(r, "h= has an empty name");
        r->out->names[r->out->names_n++] = item;
        if (view_eq_nocase(item, VIEW("From")))
            r->out->is_from_signed = true;
    }
    return ERR_OK;
}

static enum err read_seconds(struct reading *r, const char *name, const char *why, int64_t *out_us) {
    *out_us = -1;
    const struct dkim_tag *tag = dkim_tags_find(&r->tags, name);
    if (!tag)
        return ERR_OK;
    uint64_t seconds;
    enum err err = view_to_u64(tag->value, (uint64_t)SECONDS_MAX, &seconds);
    if (err == ERR_LIMIT)
        seconds = (uint64_t)SECONDS_MAX; /* RFC6376-3.5: x= that is no date of ours never comes */
    else if (err != ERR_OK)
        return refuse(r, why);
    *out_us = (int64_t)seconds * US_PER_S;
    return ERR_OK;
}

static enum err read_times(struct reading *r) {
    TRY(read_seconds(r, "t", "t= is not a number", &r->out->signed_us));
    TRY(read_seconds(r, "x", "x= is not a number", &r->out->expires_us));
    /* RFC6376-3.5 */
    if (r->out->signed_us >= 0 && r->out->expires_us >= 0 && r->out->expires_us <= r->out->signed_us)
        return refuse(r, "x= is not later than t=");
    return ERR_OK;
}

static enum err read_length(struct reading *r) {
    r->out->length = DKIM_BODY_WHOLE;
    const struct dkim_tag *tag = dkim_tags_find(&r->tags, "l");
    if (!tag)
        return ERR_OK;
    if (tag->value.n > DKIM_LENGTH_DIGITS_MAX)
        return refuse(r, "l= has too many digits");
    enum err err = view_to_u64(tag->value, DKIM_BODY_WHOLE - 1, &r->out->length);
    if (err == ERR_LIMIT)
        r->out->length = DKIM_BODY_WHOLE - 1;
    return err == ERR_SYNTAX ? refuse(r, "l= is not a number") : ERR_OK;
}

static enum err read_domain(struct reading *r) {
    TRY(need(r, "d", "d= is missing", &r->out->domain_as_written));
    enum err err = dns_idna_to_ascii(r->out->domain_as_written, r->arena, &r->out->domain);
    if (err == ERR_SYNTAX || (err == ERR_OK && !dkim_is_domain(r->out->domain)))
        return refuse(r, "d= is not a domain");
    TRY(err);
    return need(r, "s", "s= is missing", &r->out->selector);
}

/* RFC6376-3.5: i= is in d= or below it. */
static enum err read_identity(struct reading *r) {
    const struct dkim_tag *tag = dkim_tags_find(&r->tags, "i");
    if (!tag)
        return arena_printf(r->arena, &r->out->identity, "@%.*s", VIEW_FMT(r->out->domain));
    r->out->identity = tag->value;
    ssize_t at = view_rfind_byte(tag->value, '@');
    struct view domain;
    enum err err = ERR_SYNTAX;
    if (at >= 0)
        err = dns_idna_to_ascii(view_skip(tag->value, (size_t)at + 1), r->arena, &domain);
    if (err == ERR_SYNTAX)
        return refuse(r, "i= has no domain");
    TRY(err);
    return dkim_domain_is_under(domain, r->out->domain) ? ERR_OK : refuse(r, "i= is not in the domain of d=");
}

/* RFC6376-3.5: q= names ways to get the key, of which there is one. */
static enum err read_query(struct reading *r) {
    struct view list = dkim_tags_value(&r->tags, "q", VIEW("dns/txt")), item;
    while (dkim_tag_next(&list, &item))
        if (view_eq(item, VIEW("dns/txt")))
            return ERR_OK;
    return refuse(r, "q= does not know dns/txt");
}

static enum err read_instance(struct reading *r) {
    struct view i;
    TRY(need(r, "i", "i= is missing", &i));
    if (view_to_u32(i, INSTANCE_MAX, &r->out->instance) != ERR_OK || r->out->instance == 0)
        return refuse(r, "i= is not a number from 1 to 50");
    return ERR_OK;
}

static enum err read_dkim_tags(struct reading *r) {
    struct view v;
    TRY(need(r, "v", "v= is missing", &v));
    if (!view_eq(v, VIEW("1")))
        return refuse(r, "v= is not 1");
    TRY(read_identity(r));
    if (!r->out->is_from_signed)
        return refuse(r, "From is not signed"); /* RFC6376-5.4 */
    return ERR_OK;
}

static enum err read_all(struct reading *r, enum dkim_signature_kind kind) {
    /* What tells signatures apart comes first, so that the verdict about a broken one has it. */
    TRY(read_domain(r));
    TRY(read_algorithm(r));
    struct view b;
    TRY(need(r, "b", "b= is missing", &b));
    TRY(dkim_tag_squeeze(r->arena, b, &r->out->b_text));
    TRY(read_base64(r, "b", "b= is missing", "b= is not base64", &r->out->b));
    TRY(read_base64(r, "bh", "bh= is missing", "bh= is not base64", &r->out->bh));
    TRY(read_canon(r, kind == DKIM_SIGNATURE_DKIM ? DKIM_CANON : DKIM_ARC_CANON));
    TRY(read_names(r, kind));
    TRY(read_length(r));
    TRY(read_times(r));
    TRY(read_query(r));
    return kind == DKIM_SIGNATURE_DKIM ? read_dkim_tags(r) : read_instance(r);
}

enum err dkim_signature_parse(enum dkim_signature_kind kind, const struct dkim_field *field, struct arena *arena,
                              struct dkim_signature *out, const char **why) {
    struct reading r = {.arena = arena, .out = out};
    *out = (struct dkim_signature){.raw = field->raw, .length = DKIM_BODY_WHOLE, .signed_us = -1, .expires_us = -1};
    if (dkim_tags_parse(dkim_field_value(field), &r.tags) != ERR_OK) {
        *why = r.tags.why;
        return ERR_SYNTAX;
    }
    const struct dkim_tag *b = dkim_tags_find(&r.tags, "b");
    if (b) {
        out->b_at = field->value_at + b->at;
        out->b_n = b->n;
    }
    enum err err = read_all(&r, kind);
    if (err == ERR_SYNTAX)
        *why = r.why;
    return err;
}

bool dkim_domain_is_under(struct view domain, struct view parent) {
    return view_eq(domain, parent) ||
           (domain.n > parent.n && view_ends(domain, parent) && domain.p[domain.n - parent.n - 1] == '.');
}

/* ---- the hash ---- */

void dkim_put_unsigned_field(struct buf *out, enum dkim_canon canon, struct view raw, size_t b_at, size_t b_n) {
    struct buf whole;
    buf_init(&whole, raw.n);
    buf_put(&whole, view_sub(raw, 0, b_at));
    buf_put(&whole, view_skip(raw, b_at + b_n));
    if (buf_err(&whole) == ERR_OK)
        dkim_put_field(out, canon, buf_view(&whole), true);
    else if (buf_err(out) == ERR_OK)
        out->err = buf_err(&whole);
    buf_fini(&whole);
}

/* RFC6376-5.4.2: of several fields of a name the last comes first; a name without a field (left) stands for none. */
static void put_signed_fields(const struct dkim_input *input, const struct dkim_signature *signature, bool *used,
                              struct buf *out) {
    size_t fields_n;
    const struct dkim_field *fields = dkim_input_fields(input, &fields_n);
    for (size_t i = 0; i < signature->names_n; i++) {
        struct view name = signature->names[i];
        uint32_t hash = dkim_field_hash(name);
        for (size_t f = fields_n; f-- > 0;) {
            if (used[f] || fields[f].hash != hash || !view_eq_nocase(fields[f].name, name))
                continue;
            used[f] = true;
            /* RFC6376-3.7: its own field comes at the end. */
            if (fields[f].raw.p == signature->raw.p)
                continue;
            dkim_put_field(out, signature->header_canon, fields[f].raw, false);
            break;
        }
    }
}

enum err dkim_signature_hash(const struct dkim_input *input, const struct dkim_signature *signature,
                             uint8_t digest[DKIM_DIGEST_SIZE]) {
    bool used[DKIM_FIELDS_MAX] = {false};
    struct buf out;
    /* Each field once, with a line end that it may have lacked. */
    buf_init(&out, DKIM_HEADER_MAX + 2 * DKIM_FIELDS_MAX + signature->raw.n);
    put_signed_fields(input, signature, used, &out);
    dkim_put_unsigned_field(&out, signature->header_canon, signature->raw, signature->b_at, signature->b_n);
    enum err err = buf_err(&out);
    if (err == ERR_OK)
        err = dkim_digest(dkim_input_crypto(input), buf_view(&out), digest);
    buf_fini(&out);
    return err;
}
