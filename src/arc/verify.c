/* Chain validation. */
#include "arc/arc_internal.h"

#include "base/clock.h"
#include "base/reader.h"
#include "dkim/memo.h"
#include "dns/idna.h"

#include <string.h>

#define RESULTS_FIELD VIEW("ARC-Authentication-Results")
#define SIGNATURE_FIELD VIEW("ARC-Message-Signature")
#define SEAL_FIELD VIEW("ARC-Seal")

struct view arc_status_name(enum arc_status status) {
    static const struct view names[] = {
        [ARC_NONE] = VIEW_INIT("none"), [ARC_FAIL] = VIEW_INIT("fail"), [ARC_PASS] = VIEW_INIT("pass")};
    return names[status];
}

/* ---- the structure ---- */

struct chain {
    const struct dkim_input *input;
    struct arena *arena;
    struct arc_set *sets; /* ARC_SETS_MAX, by instance - 1 */
    struct dkim_tags *tags;
    struct arc_report *report;
};

/* The verdict that stops the algorithm. ERR_OK. */
static enum err fail(struct chain *c, const char *why) {
    c->report->status = ARC_FAIL;
    if (c->report->why.n == 0)
        c->report->why = view_cstr(why);
    return ERR_OK;
}

static bool read_instance(struct view text, uint32_t *out) {
    return view_to_u32(text, ARC_SETS_MAX, out) == ERR_OK && *out > 0;
}

/* RFC8617-4.1.1: the instance stands first: i=N; and then the results. */
static bool read_results(struct view value, uint32_t *instance, struct view *text) {
    struct reader r = reader_of(value);
    (void)reader_while(&r, ascii_is_space);
    (void)reader_expect(&r, 'i');
    (void)reader_while(&r, ascii_is_space);
    (void)reader_expect(&r, '=');
    (void)reader_while(&r, ascii_is_space);
    struct view digits = reader_while(&r, ascii_is_digit);
    (void)reader_while(&r, ascii_is_space);
    (void)reader_expect(&r, ';');
    *text = view_trim(reader_rest(&r));
    return reader_err(&r) == ERR_OK && read_instance(digits, instance);
}

static bool read_tags_instance(struct chain *c, struct view value, uint32_t *instance) {
    return dkim_tags_parse(value, c->tags) == ERR_OK &&
           read_instance(dkim_tags_value(c->tags, "i", VIEW_NONE), instance);
}

/* Puts a field into its set. NULL, or what is wrong. */
static const char *place_field(struct chain *c, const struct dkim_field *field) {
    struct view value = dkim_field_value(field), text;
    uint32_t instance;
    bool is_results = view_eq_nocase(field->name, RESULTS_FIELD), is_seal = view_eq_nocase(field->name, SEAL_FIELD);
    if (is_results ? !read_results(value, &instance, &text) : !read_tags_instance(c, value, &instance))
        return is_results ? "an ARC-Authentication-Results has no good i="
               : is_seal  ? "an ARC-Seal is no list of tags with a good i="
                          : "an ARC-Message-Signature is no list of tags with a good i=";
    struct arc_set *set = &c->sets[instance - 1];
    const struct dkim_field **place = is_results ? &set->results : is_seal ? &set->seal : &set->signature;
    c->report->highest = MAX(c->report->highest, instance);
    if (*place)
        return "an instance has the same field twice";
    *place = field;
    if (is_results)
        set->results_text = text;
    return NULL;
}

/* RFC8617-5.2 step 1. *is_broken: something could not be placed; its text is in the report. */
static void collect(struct chain *c, size_t *found, bool *is_broken) {
    size_t n;
    const struct dkim_field *fields = dkim_input_fields(c->input, &n);
    *found = 0;
    *is_broken = false;
    for (size_t i = 0; i < n; i++) {
        struct view name = fields[i].name;
        if (!view_starts_nocase(name, VIEW("ARC-")) ||
            !(view_eq_nocase(name, RESULTS_FIELD) || view_eq_nocase(name, SIGNATURE_FIELD) ||
              view_eq_nocase(name, SEAL_FIELD)))
            continue;
        (*found)++;
        const char *why = place_field(c, &fields[i]);
        if (why && !*is_broken)
            c->report->why = view_cstr(why);
        *is_broken = *is_broken || why;
    }
}

/* ---- seals ---- */

/* RFC8617-4.1.3. NULL in *why when it is good. */
static enum err read_seal(struct chain *c, struct arc_set *set, const char **why) {
    struct dkim_signature *s = &set->sealed.signature;
    *s = (struct dkim_signature){.raw = set->seal->raw, .signed_us = -1, .expires_us = -1};
    *why = "an ARC-Seal is no list of tags";
    if (dkim_tags_parse(dkim_field_value(set->seal), c->tags) != ERR_OK)
        return ERR_OK;
    struct view cv = dkim_tags_value(c->tags, "cv", VIEW_NONE), a = dkim_tags_value(c->tags, "a", VIEW_NONE);
    *why = "cv= of an ARC-Seal is missing or unknown";
    if (!view_eq(cv, VIEW("none")) && !view_eq(cv, VIEW("pass")) && !view_eq(cv, VIEW("fail")))
        return ERR_OK;
    set->status = view_eq(cv, VIEW("pass")) ? ARC_PASS : view_eq(cv, VIEW("fail")) ? ARC_FAIL : ARC_NONE;
    *why = "an ARC-Seal has h=";
    if (dkim_tags_find(c->tags, "h"))
        return ERR_OK;
    *why = "a= of an ARC-Seal is missing or unknown";
    s->is_sha1 = view_eq(a, VIEW("rsa-sha1"));
    if (view_eq(a, VIEW("ed25519-sha256")))
        s->algorithm = DKIM_ED25519_SHA256;
    else if (view_eq(a, VIEW("rsa-sha256")) || s->is_sha1)
        s->algorithm = DKIM_RSA_SHA256;
    else
        return ERR_OK;
    *why = "d= or s= of an ARC-Seal is missing or no name";
    s->domain_as_written = dkim_tags_value(c->tags, "d", VIEW_NONE);
    s->selector = dkim_tags_value(c->tags, "s", VIEW_NONE);
    enum err err = dns_idna_to_ascii(s->domain_as_written, c->arena, &s->domain);
    if (err == ERR_SYNTAX || s->selector.n == 0 || (err == ERR_OK && !dkim_is_domain(s->domain)))
        return ERR_OK;
    TRY(err);
    *why = "t= of an ARC-Seal is not a number";
    const struct dkim_tag *t = dkim_tags_find(c->tags, "t"), *b = dkim_tags_find(c->tags, "b");
    uint64_t seconds;
    if (t && view_to_u64(t->value, (uint64_t)(INT64_MAX / US_PER_S), &seconds) != ERR_OK)
        return ERR_OK;
    if (t)
        s->signed_us = (int64_t)seconds * US_PER_S;
    *why = "b= of an ARC-Seal is missing or not base64";
    if (!b || b->value.n == 0)
        return ERR_OK;
    s->b_at = set->seal->value_at + b->at;
    s->b_n = b->n;
    err = dkim_tag_base64(c->arena, b->value, &s->b);
    if (err == ERR_SYNTAX)
        return ERR_OK;
    *why = NULL;
    return err;
}

enum err arc_seal_hash(const struct dkim_crypto *crypto, const struct arc_raw_set *sets, size_t n,
                       uint8_t digest[DKIM_DIGEST_SIZE]) {
    struct buf out;
    buf_init(&out, 2 * DKIM_HEADER_MAX);
    for (size_t i = 0; i < n; i++) {
        dkim_put_field(&out, DKIM_RELAXED, sets[i].results, false);
        dkim_put_field(&out, DKIM_RELAXED, sets[i].signature, false);
        if (i + 1 < n)
            dkim_put_field(&out, DKIM_RELAXED, sets[i].seal, false);
        else
            dkim_put_unsigned_field(&out, DKIM_RELAXED, sets[i].seal, sets[i].b_at, sets[i].b_n);
    }
    enum err err = buf_err(&out);
    if (err == ERR_OK)
        err = dkim_digest(crypto, buf_view(&out), digest);
    buf_fini(&out);
    return err;
}

/* ---- the algorithm ---- */

/* RFC8617-5.2 step 3. */
static enum err check_structure(struct chain *c) {
    for (size_t i = 0; i < c->report->n; i++) {
        struct arc_set *set = &c->sets[i];
        if (!set->results || !set->signature || !set->seal)
            return fail(c, "an instance lacks one of its three fields, or is missing");
        const char *why;
        TRY(read_seal(c, set, &why));
        if (why)
            return fail(c, why);
        if (set->status != (i == 0 ? ARC_NONE : ARC_PASS))
            return fail(c, "cv= must be none in the first ARC-Seal, and pass in those after it");
    }
    return ERR_OK;
}

static enum err check_message_signature(struct chain *c, struct arc_set *set, struct dns_client *dns, int64_t now_us) {
    const char *why = "";
    struct dkim_verdict *verdict = &set->message;
    enum err err = dkim_signature_parse(DKIM_SIGNATURE_ARC, set->signature, c->arena, &verdict->signature, &why);
    if (err == ERR_SYNTAX) {
        verdict->result = DKIM_PERMERROR;
        verdict->why = view_cstr(why);
        return ERR_OK;
    }
    TRY(err);
    /* RFC8617-4.1.2: the ARC fields are the seal's to cover. Of all three a seal is what no signature can be older than. */
    for (size_t i = 0; i < verdict->signature.names_n; i++)
        if (view_eq_nocase(verdict->signature.names[i], SEAL_FIELD)) {
            verdict->result = DKIM_PERMERROR;
            verdict->why = VIEW("h= names ARC-Seal");
            return ERR_OK;
        }
    return dkim_verify_signature(c->input, dns, now_us, NULL, c->arena, verdict);
}

static enum err check_seal(struct chain *c, size_t index, struct dns_client *dns) {
    struct arc_raw_set raw[ARC_SETS_MAX];
    for (size_t i = 0; i <= index; i++) {
        const struct arc_set *set = &c->sets[i];
        raw[i] = (struct arc_raw_set){.results = set->results->raw,
                                      .signature = set->signature->raw,
                                      .seal = set->seal->raw,
                                      .b_at = set->sealed.signature.b_at,
                                      .b_n = set->sealed.signature.b_n};
    }
    uint8_t digest[DKIM_DIGEST_SIZE];
    const struct dkim_crypto *crypto = dkim_input_crypto(c->input);
    TRY(arc_seal_hash(crypto, raw, index + 1, digest));
    return dkim_verify_digest(crypto, dns, c->arena, digest, &c->sets[index].sealed);
}

/* Whether a verdict ends the validation; it does so with its reason. */
static enum err judge(struct chain *c, const struct dkim_verdict *verdict, const char *what, size_t index,
                      bool *is_good) {
    *is_good = verdict->result == DKIM_PASS;
    if (*is_good)
        return ERR_OK;
    c->report->status = ARC_FAIL;
    c->report->is_temporary = verdict->result == DKIM_TEMPERROR;
    return arena_printf(c->arena, &c->report->why, "%s %zu: %.*s", what, index + 1, VIEW_FMT(verdict->why));
}

/* RFC8617-5.2 step 5 */
static enum err find_oldest_pass(struct chain *c, struct dns_client *dns, int64_t now_us) {
    for (size_t i = c->report->n - 1; i-- > 0;) {
        TRY(check_message_signature(c, &c->sets[i], dns, now_us));
        if (c->sets[i].message.result != DKIM_PASS) {
            c->report->oldest_pass = (uint32_t)i + 2;
            return ERR_OK;
        }
    }
    return ERR_OK;
}

/* RFC8617-5.2 steps 4 to 7. The seals go before the older signatures: only a chain that holds is worth that work. */
static enum err check_signatures(struct chain *c, struct dns_client *dns, int64_t now_us) {
    bool is_good;
    size_t last = c->report->n - 1;
    TRY(check_message_signature(c, &c->sets[last], dns, now_us));
    TRY(judge(c, &c->sets[last].message, "ARC-Message-Signature", last, &is_good));
    for (size_t i = c->report->n; is_good && i-- > 0;) {
        TRY(check_seal(c, i, dns));
        TRY(judge(c, &c->sets[i].sealed, "ARC-Seal", i, &is_good));
    }
    if (!is_good)
        return ERR_OK;
    c->report->status = ARC_PASS;
    return find_oldest_pass(c, dns, now_us);
}

/* RFC8617-5.2 step 2: the last handler found the chain broken. */
static enum err look_at_last(struct chain *c) {
    struct arc_set *last = c->report->highest > 0 ? &c->sets[c->report->highest - 1] : NULL;
    if (!last || !last->seal)
        return ERR_OK;
    const char *why;
    TRY(read_seal(c, last, &why));
    c->report->sealer = last->sealed.signature.domain;
    if (last->status == ARC_FAIL) {
        c->report->is_closed = true;
        return fail(c, "the last ARC-Seal says cv=fail");
    }
    return ERR_OK;
}

static enum err run(struct chain *c, struct dns_client *dns, int64_t now_us) {
    size_t found;
    bool is_broken;
    collect(c, &found, &is_broken);
    if (found == 0)
        return ERR_OK;
    TRY(look_at_last(c));
    if (is_broken)
        return fail(c, "the chain is broken");
    if (c->report->status == ARC_FAIL)
        return ERR_OK;
    c->report->n = c->report->highest;
    c->report->sets = c->sets;
    TRY(check_structure(c));
    return c->report->status == ARC_FAIL ? ERR_OK : check_signatures(c, dns, now_us);
}

enum err arc_verify(const struct dkim_input *input, struct dns_client *dns, int64_t now_us, struct arena *arena,
                    struct arc_report *out) {
    struct arc_report report = {.status = ARC_NONE};
    if (dkim_input_is_over(input)) {
        *out = (struct arc_report){
            .status = ARC_FAIL, .why = VIEW("the header is too long to be looked at"), .is_closed = true};
        return ERR_OK;
    }
    struct chain c = {.input = input, .arena = arena, .report = &report};
    c.sets = ARENA_ARRAY(arena, ARC_SETS_MAX, struct arc_set);
    c.tags = ARENA_NEW(arena, struct dkim_tags);
    struct dkim_memo *memo = ARENA_NEW(arena, struct dkim_memo);
    if (!c.sets || !c.tags || !memo)
        return ERR_LIMIT;
    dkim_memo_init(memo, dns, arena, DKIM_MEMO_MAX);
    TRY(run(&c, &memo->client, now_us));
    *out = report;
    return ERR_OK;
}
