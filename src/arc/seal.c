/* Adding a set to a chain. */
#include "arc/arc_internal.h"

#include "base/clock.h"

/* Tags stand in the order of their names: any order is good, this one is what most sealers write. */
#define LINE_OF_BASE64 64 /* octets of b= that go on its first line: it begins on a line of its own */
#define NUMBER_MAX 24     /* octets of a number as text */

struct sealing {
    const struct dkim_input *input;
    const struct arc_report *report;
    const struct arc_seal_options *options;
    struct dkim_signer *signer;
    uint32_t instance;
    struct buf results, signature, seal; /* the three fields, with CRLF */
};

static void fold_number(struct dkim_folder *folder, const char *name, int64_t number) {
    struct buf text;
    buf_init(&text, NUMBER_MAX);
    buf_put_i64(&text, number);
    dkim_fold_tag(folder, name, buf_view(&text));
    buf_fini(&text);
}

/* RFC8617-4.1.1 */
static void put_results(struct sealing *s) {
    buf_put(&s->results, VIEW("ARC-Authentication-Results: i="));
    buf_put_u64(&s->results, s->instance);
    buf_put(&s->results, VIEW("; "));
    buf_put(&s->results, view_trim(s->options->results));
    buf_put(&s->results, VIEW("\r\n"));
}

static enum err ask(struct sealing *s, const uint8_t digest[DKIM_DIGEST_SIZE], struct buf *out) {
    const struct dkim_sign_key *key = &s->options->key;
    TRY(s->signer->sign(s->signer, s->options->domain, key->selector, key->algorithm, digest, out));
    return buf_err(out);
}

/* RFC8617-4.1.2; b: the signature, or empty. *b_at: where b='s value is. */
static void put_signature(struct sealing *s, const uint8_t *body_hash, const struct view *names, size_t names_n,
                          struct view b, size_t *b_at) {
    struct dkim_folder folder;
    dkim_fold_begin(&folder, &s->signature, VIEW("ARC-Message-Signature"));
    dkim_fold_tag(&folder, "a", dkim_algorithm_name(s->options->key.algorithm));
    dkim_fold_open(&folder, "b", LINE_OF_BASE64);
    *b_at = s->signature.n;
    dkim_fold_more(&folder, b);
    dkim_fold_break(&folder);
    dkim_fold_base64(&folder, "bh", view_of(body_hash, DKIM_DIGEST_SIZE));
    dkim_fold_tag(&folder, "c", VIEW("relaxed/relaxed"));
    dkim_fold_tag(&folder, "d", s->options->domain);
    dkim_fold_names(&folder, "h", names, names_n);
    fold_number(&folder, "i", s->instance);
    dkim_fold_tag(&folder, "s", s->options->key.selector);
    fold_number(&folder, "t", s->options->now_us / US_PER_S);
    buf_put(&s->signature, VIEW("\r\n"));
}

/* RFC8617-4.1.3 */
static void put_seal(struct sealing *s, struct view b, size_t *b_at) {
    struct dkim_folder folder;
    dkim_fold_begin(&folder, &s->seal, VIEW("ARC-Seal"));
    dkim_fold_tag(&folder, "a", dkim_algorithm_name(s->options->key.algorithm));
    dkim_fold_open(&folder, "b", LINE_OF_BASE64);
    *b_at = s->seal.n;
    dkim_fold_more(&folder, b);
    dkim_fold_break(&folder);
    dkim_fold_tag(&folder, "cv", arc_status_name(s->report->status));
    dkim_fold_tag(&folder, "d", s->options->domain);
    fold_number(&folder, "i", s->instance);
    dkim_fold_tag(&folder, "s", s->options->key.selector);
    fold_number(&folder, "t", s->options->now_us / US_PER_S);
    buf_put(&s->seal, VIEW("\r\n"));
}

/* Of the names that sign, and DKIM-Signature as often as it is there: RFC8617-4.1.2. */
static enum err choose_names(struct sealing *s, struct arena *arena, const struct view **names, size_t *n) {
    *names = s->options->names;
    *n = s->options->names_n;
    if (*names)
        return ERR_OK;
    struct view *chosen, *all;
    size_t chosen_n, fields_n, all_n = 0;
    TRY(dkim_signed_names(s->input, arena, &chosen, &chosen_n));
    const struct dkim_field *fields = dkim_input_fields(s->input, &fields_n);
    all = ARENA_ARRAY(arena, chosen_n + fields_n, struct view);
    if (!all)
        return ERR_LIMIT;
    for (size_t i = 0; i < chosen_n; i++)
        all[all_n++] = chosen[i];
    for (size_t i = 0; i < fields_n; i++)
        if (view_eq_nocase(fields[i].name, VIEW("DKIM-Signature")))
            all[all_n++] = VIEW("DKIM-Signature");
    *names = all;
    *n = all_n;
    return ERR_OK;
}

static enum err sign_message(struct sealing *s, struct arena *arena, struct buf *b) {
    const struct view *names;
    size_t names_n, b_at;
    TRY(choose_names(s, arena, &names, &names_n));
    uint8_t body_hash[DKIM_DIGEST_SIZE], digest[DKIM_DIGEST_SIZE];
    uint64_t octets;
    TRY(dkim_input_body_hash(s->input, DKIM_RELAXED, DKIM_BODY_WHOLE, body_hash, &octets));
    put_signature(s, body_hash, names, names_n, VIEW_NONE, &b_at);
    TRY(buf_err(&s->signature));
    struct dkim_signature signature = {.raw = buf_view(&s->signature),
                                       .b_at = b_at,
                                       .header_canon = DKIM_RELAXED,
                                       .names = (struct view *)names,
                                       .names_n = names_n};
    TRY(dkim_signature_hash(s->input, &signature, digest));
    TRY(ask(s, digest, b));
    buf_clear(&s->signature);
    put_signature(s, body_hash, names, names_n, buf_view(b), &b_at);
    return buf_err(&s->signature);
}

static enum err sign_seal(struct sealing *s, struct buf *b) {
    struct arc_raw_set raw[ARC_SETS_MAX];
    size_t n = 0, b_at;
    /* RFC8617-5.1.2: a seal on a broken chain covers its own set alone. */
    for (size_t i = 0; s->report->status == ARC_PASS && i < s->report->n; i++) {
        const struct arc_set *set = &s->report->sets[i];
        raw[n++] = (struct arc_raw_set){
            .results = set->results->raw, .signature = set->signature->raw, .seal = set->seal->raw};
    }
    put_seal(s, VIEW_NONE, &b_at);
    TRY(buf_err(&s->seal));
    raw[n++] = (struct arc_raw_set){.results = buf_view(&s->results),
                                    .signature = buf_view(&s->signature),
                                    .seal = buf_view(&s->seal),
                                    .b_at = b_at};
    uint8_t digest[DKIM_DIGEST_SIZE];
    TRY(arc_seal_hash(dkim_input_crypto(s->input), raw, n, digest));
    TRY(ask(s, digest, b));
    buf_clear(&s->seal);
    put_seal(s, buf_view(b), &b_at);
    return buf_err(&s->seal);
}

static enum err make_fields(struct sealing *s, struct arena *arena) {
    struct buf b;
    buf_init(&b, DKIM_SIGNATURE_MAX);
    put_results(s);
    enum err err = buf_err(&s->results);
    if (err == ERR_OK)
        err = sign_message(s, arena, &b);
    buf_clear(&b);
    if (err == ERR_OK)
        err = sign_seal(s, &b);
    buf_fini(&b);
    return err;
}

enum err arc_seal(const struct dkim_input *input, const struct arc_report *report,
                  const struct arc_seal_options *options, struct dkim_signer *signer, struct arena *arena,
                  struct buf *out) {
    if (dkim_input_is_over(input))
        return ERR_SYNTAX;
    /* RFC8617-4.2.1, RFC8617-5.1.2 */
    if (report->is_closed || report->highest >= ARC_SETS_MAX)
        return ERR_DENIED;
    struct sealing s = {
        .input = input, .report = report, .options = options, .signer = signer, .instance = report->highest + 1};
    buf_init(&s.results, DKIM_HEADER_MAX);
    buf_init(&s.signature, DKIM_HEADER_MAX);
    buf_init(&s.seal, DKIM_HEADER_MAX);
    enum err err = make_fields(&s, arena);
    if (err == ERR_OK) {
        /* RFC8617-5.1: the seal stands on top. */
        buf_put(out, buf_view(&s.seal));
        buf_put(out, buf_view(&s.signature));
        buf_put(out, buf_view(&s.results));
        err = buf_err(out);
    }
    buf_fini(&s.seal);
    buf_fini(&s.signature);
    buf_fini(&s.results);
    return err;
}
