/*
 * The public test suite of ARC (conformance/arc), case by case: chains to
 * validate, and messages whose seals must come out octet for octet.
 *
 * The files use a small part of YAML, which is read here: mappings by
 * indentation, plain values, literal and folded blocks.
 */
#include "arc/arc_internal.h"

#include "base/clock.h"
#include "dkim/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (4 << 20)
#define ARENA_MAX (64 << 20)

/* ---- YAML ---- */

struct yaml {
    struct view rest;
    struct arena *arena;
};

static struct view first_line(struct view v) {
    ssize_t lf = view_find_byte(v, '\n');
    return lf < 0 ? v : view_sub(v, 0, (size_t)lf + 1);
}

static size_t indent_of(struct view line) {
    size_t n = 0;
    while (n < line.n && line.p[n] == ' ')
        n++;
    return n;
}

static bool is_blank_line(struct view line) {
    return view_trim(line).n == 0;
}

/* Lines that are indented deeper than `parent`, without their indentation. */
static struct view read_block(struct yaml *y, size_t parent, struct view style) {
    struct buf out;
    buf_init(&out, FILE_MAX);
    size_t indent = 0;
    while (y->rest.n > 0) {
        struct view line = first_line(y->rest);
        if (!is_blank_line(line)) {
            if (indent == 0)
                indent = indent_of(line);
            if (indent_of(line) <= parent || indent_of(line) < indent)
                break;
        }
        y->rest = view_skip(y->rest, line.n);
        if (is_blank_line(line) && line.n <= indent)
            buf_put(&out, VIEW("\n"));
        else
            buf_put(&out, view_skip(line, indent));
    }
    struct view text = buf_view(&out);
    bool keeps = view_ends(style, VIEW("+"));
    while (!keeps && view_ends(text, VIEW("\n")))
        text.n--;
    bool is_folded = view_starts(style, VIEW(">"));
    for (size_t i = 0; is_folded && i < text.n; i++)
        if (out.p[i] == '\n')
            out.p[i] = ' ';
    if (!keeps && !view_ends(style, VIEW("-")) && text.n > 0)
        text.n++; /* the one line end that was there */
    struct view copy;
    assert_int_equal(arena_view(y->arena, text, &copy), ERR_OK);
    buf_fini(&out);
    return copy;
}

/* The next "key: value" at this indentation. False when the mapping, or the document, ends. A key whose value is a mapping has an
 * empty value, and is_map. */
struct entry {
    struct view key, value;
    bool is_map;
};

static bool next_entry(struct yaml *y, size_t indent, struct entry *out) {
    for (;;) {
        struct view line = first_line(y->rest);
        if (line.n == 0 || view_starts(line, VIEW("---")))
            return false;
        if (is_blank_line(line) || view_trim(line).p[0] == '#') {
            y->rest = view_skip(y->rest, line.n);
            continue;
        }
        if (indent_of(line) != indent)
            return false;
        y->rest = view_skip(y->rest, line.n);
        struct view tail;
        assert_true(view_split(line, ':', &out->key, &tail));
        out->key = view_trim(out->key);
        out->value = view_trim(tail);
        out->is_map = out->value.n == 0;
        if (view_starts(out->value, VIEW("|")) || view_starts(out->value, VIEW(">")))
            out->value = read_block(y, indent, out->value);
        return true;
    }
}

/* ---- the suite ---- */

struct test_case {
    struct view name, message, cv, t, names, server, seal, signature, results;
};

struct world {
    struct dkim_crypto *crypto;
    struct arena *arena;
    struct table_dns dns;
    struct test_signer signer;
    struct view domain, selector;
    struct test_case cases[200];
    size_t n;
    size_t passed, failed;
};

static void read_cases(struct world *w, struct yaml *y, size_t indent) {
    struct entry name, e;
    while (next_entry(y, indent, &name)) {
        assert_true(w->n < ARRAY_LEN(w->cases));
        struct test_case *c = &w->cases[w->n++];
        *c = (struct test_case){.name = name.key};
        const struct {
            const char *key;
            struct view *value;
        } places[] = {{"message", &c->message}, {"cv", &c->cv},   {"t", &c->t},           {"sig-headers", &c->names},
                      {"srv-id", &c->server},   {"AS", &c->seal}, {"AMS", &c->signature}, {"AAR", &c->results}};
        while (next_entry(y, indent + 2, &e))
            for (size_t i = 0; i < ARRAY_LEN(places); i++)
                if (view_eq(e.key, view_cstr(places[i].key)))
                    *places[i].value = e.value;
    }
}

/* One document of the stream into w. */
static bool read_document(struct world *w, struct yaml *y) {
    while (view_starts(y->rest, VIEW("---")))
        y->rest = view_skip(y->rest, first_line(y->rest).n);
    table_init(&w->dns);
    w->n = 0;
    struct entry e, record;
    bool is_any = false;
    while (next_entry(y, 0, &e)) {
        is_any = true;
        if (view_eq(e.key, VIEW("tests"))) {
            read_cases(w, y, indent_of(first_line(y->rest)));
        } else if (view_eq(e.key, VIEW("txt-records"))) {
            while (next_entry(y, 2, &record)) {
                struct buf joined;
                buf_init(&joined, 65535);
                for (size_t i = 0; i < record.value.n; i++)
                    if (record.value.p[i] != '\n')
                        buf_put_byte(&joined, record.value.p[i]);
                assert_int_equal(arena_view(w->arena, buf_view(&joined), &record.value), ERR_OK);
                buf_fini(&joined);
                table_add(&w->dns, record.key, record.value);
            }
        } else if (view_eq(e.key, VIEW("domain"))) {
            w->domain = e.value;
        } else if (view_eq(e.key, VIEW("sel"))) {
            w->selector = e.value;
        } else if (view_eq(e.key, VIEW("privatekey"))) {
            dkim_private_key_free(w->signer.keys[DKIM_RSA_SHA256]);
            assert_int_equal(dkim_private_key_load(w->crypto, e.value, &w->signer.keys[DKIM_RSA_SHA256]), ERR_OK);
        }
    }
    return is_any;
}

static struct dkim_input *feed(struct world *w, struct view message) {
    struct dkim_input *input;
    assert_int_equal(dkim_input_new(w->crypto, &input), ERR_OK);
    dkim_input_fix_lines(input);
    assert_int_equal(dkim_input_want(input, DKIM_RELAXED, DKIM_BODY_WHOLE), ERR_OK);
    assert_int_equal(dkim_input_feed(input, message), ERR_OK);
    assert_int_equal(dkim_input_end(input), ERR_OK);
    return input;
}

static void count(struct world *w, const struct test_case *c, bool is_good, struct view said, struct view why) {
    if (is_good) {
        w->passed++;
        return;
    }
    w->failed++;
    print_error("%.*s: said %.*s (%.*s)\n", VIEW_FMT(c->name), VIEW_FMT(view_sub(said, 0, 700)), VIEW_FMT(why));
}

static void run_validation(struct world *w, const struct test_case *c) {
    struct dkim_input *input = feed(w, c->message);
    struct arc_report report;
    assert_int_equal(arc_verify(input, &w->dns.client, 20000 * US_PER_S, w->arena, &report), ERR_OK);
    /* Three cases expect nothing: a handler said cv=fail already (RFC8617-5.2, steps 2 and 3). */
    struct view cv = view_trim(c->cv), said = arc_status_name(report.status);
    bool is_good = cv.n == 0 ? report.status == ARC_FAIL : view_eq_nocase(cv, said);
    /* Every verdict but a pass says why. */
    is_good = is_good && (report.status != ARC_FAIL || report.why.n > 0);
    count(w, c, is_good, said, report.why);
    dkim_input_free(input);
}

/* All tags are there with the same value, white space aside. */
static bool same_tags(struct world *w, struct view ours, struct view theirs) {
    struct dkim_tags a, b;
    if (dkim_tags_parse(ours, &a) != ERR_OK || dkim_tags_parse(theirs, &b) != ERR_OK || a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        struct view x, y;
        char *name = arena_cstr(w->arena, a.tags[i].name);
        assert_int_equal(dkim_tag_squeeze(w->arena, a.tags[i].value, &x), ERR_OK);
        assert_int_equal(dkim_tag_squeeze(w->arena, dkim_tags_value(&b, name, VIEW("?")), &y), ERR_OK);
        if (!view_eq(x, y))
            return false;
    }
    return true;
}

/* The results of our own server, of all its fields together (RFC8617-4.1.1). */
static void gather_results(const struct dkim_input *input, struct view server, struct buf *out) {
    size_t n;
    const struct dkim_field *fields = dkim_input_fields(input, &n);
    buf_put(out, server);
    for (size_t i = 0; i < n; i++) {
        struct view id, rest;
        if (view_eq_nocase(fields[i].name, VIEW("Authentication-Results")) &&
            view_split(dkim_field_value(&fields[i]), ';', &id, &rest) && view_eq(view_trim(id), server)) {
            buf_put(out, VIEW("; "));
            buf_put(out, view_trim(rest));
        }
    }
}

static struct view field_of(const struct dkim_input *input, struct view name) {
    size_t n;
    const struct dkim_field *fields = dkim_input_fields(input, &n);
    for (size_t i = 0; i < n; i++)
        if (view_eq(fields[i].name, name))
            return dkim_field_value(&fields[i]);
    return VIEW_NONE;
}

static struct view canonical(struct view name, struct view value, struct buf *out) {
    struct buf raw;
    buf_init(&raw, FILE_MAX);
    buf_put(&raw, name);
    buf_put(&raw, VIEW(":"));
    buf_put(&raw, value);
    for (size_t i = 0; i < raw.n; i++)
        if (raw.p[i] == '\r' || raw.p[i] == '\n')
            raw.p[i] = ' ';
    dkim_put_field(out, DKIM_RELAXED, buf_view(&raw), true);
    buf_fini(&raw);
    return buf_view(out);
}

static bool same_results(struct view ours, struct view theirs) {
    struct buf a, b;
    buf_init(&a, FILE_MAX);
    buf_init(&b, FILE_MAX);
    bool is_same = view_eq(canonical(VIEW("x"), ours, &a), canonical(VIEW("x"), theirs, &b));
    buf_fini(&a);
    buf_fini(&b);
    return is_same;
}

/*
 * The suite's own sealer does not fold b= of the message signature, and white space inside it is signed by the seal (relaxed
 * keeps one space). So its seals are compared with what ours are over that field without the folds.
 */
static bool same_seal(struct world *w, const struct dkim_input *sealed, const struct arc_report *before,
                      struct view theirs) {
    size_t n, count = 0;
    const struct dkim_field *fields = dkim_input_fields(sealed, &n);
    struct arc_raw_set raw[ARC_SETS_MAX];
    for (; before->status == ARC_PASS && count < before->n; count++)
        raw[count] = (struct arc_raw_set){.results = before->sets[count].results->raw,
                                          .signature = before->sets[count].signature->raw,
                                          .seal = before->sets[count].seal->raw};
    struct dkim_tags tags;
    const struct dkim_tag *b;
    struct view squeezed;
    struct buf unfolded, digest_signature, base64;
    buf_init(&unfolded, FILE_MAX);
    buf_init(&digest_signature, DKIM_SIGNATURE_MAX);
    buf_init(&base64, 2 * DKIM_SIGNATURE_MAX);
    assert_int_equal(dkim_tags_parse(dkim_field_value(&fields[1]), &tags), ERR_OK);
    b = dkim_tags_find(&tags, "b");
    assert_int_equal(dkim_tag_squeeze(w->arena, b->value, &squeezed), ERR_OK);
    buf_put(&unfolded, view_sub(fields[1].raw, 0, fields[1].value_at + b->at));
    buf_put(&unfolded, squeezed);
    buf_put(&unfolded, view_skip(fields[1].raw, fields[1].value_at + b->at + b->n));
    assert_int_equal(dkim_tags_parse(dkim_field_value(&fields[0]), &tags), ERR_OK);
    b = dkim_tags_find(&tags, "b");
    raw[count++] = (struct arc_raw_set){.results = fields[2].raw,
                                        .signature = buf_view(&unfolded),
                                        .seal = fields[0].raw,
                                        .b_at = fields[0].value_at + b->at,
                                        .b_n = b->n};
    uint8_t digest[DKIM_DIGEST_SIZE];
    assert_int_equal(arc_seal_hash(w->crypto, raw, count, digest), ERR_OK);
    assert_int_equal(dkim_private_key_sign(w->signer.keys[DKIM_RSA_SHA256], digest, &digest_signature), ERR_OK);
    buf_put_base64(&base64, buf_view(&digest_signature));
    struct buf seal;
    buf_init(&seal, FILE_MAX);
    buf_put(&seal, view_sub(dkim_field_value(&fields[0]), 0, b->at));
    buf_put(&seal, buf_view(&base64));
    buf_put(&seal, view_skip(dkim_field_value(&fields[0]), b->at + b->n));
    bool is_same = same_tags(w, buf_view(&seal), theirs);
    buf_fini(&seal);
    buf_fini(&base64);
    buf_fini(&digest_signature);
    buf_fini(&unfolded);
    return is_same;
}

static void run_sealing(struct world *w, const struct test_case *c) {
    struct dkim_input *input = feed(w, c->message);
    struct arc_report report;
    assert_int_equal(arc_verify(input, &w->dns.client, 20000 * US_PER_S, w->arena, &report), ERR_OK);
    struct view names[20], rest = c->names, item;
    size_t names_n = 0;
    while (dkim_tag_next(&rest, &item))
        names[names_n++] = item;
    struct buf results, out;
    buf_init(&results, FILE_MAX);
    buf_init(&out, FILE_MAX);
    gather_results(input, c->server, &results);
    uint64_t seconds;
    assert_int_equal(view_to_u64(c->t, 1000000, &seconds), ERR_OK);
    struct arc_seal_options options = {.domain = w->domain,
                                       .key = {.selector = w->selector, .algorithm = DKIM_RSA_SHA256},
                                       .results = buf_view(&results),
                                       .now_us = (int64_t)seconds * US_PER_S,
                                       .names = names,
                                       .names_n = names_n};
    enum err err = arc_seal(input, &report, &options, &w->signer.signer, w->arena, &out);
    if (view_trim(c->seal).n == 0) {
        count(w, c, err == ERR_DENIED && out.n == 0, VIEW("a seal"), report.why);
    } else {
        buf_put(&out, c->message);
        struct dkim_input *sealed = feed(w, buf_view(&out));
        bool is_good = err == ERR_OK && same_seal(w, sealed, &report, c->seal) &&
                       same_tags(w, field_of(sealed, VIEW("ARC-Message-Signature")), c->signature) &&
                       same_results(field_of(sealed, VIEW("ARC-Authentication-Results")), c->results);
        /* And what we made is a chain that we believe. */
        struct arc_report after;
        assert_int_equal(arc_verify(sealed, &w->dns.client, 20000 * US_PER_S, w->arena, &after), ERR_OK);
        is_good = is_good && after.status == (report.status == ARC_FAIL ? ARC_FAIL : ARC_PASS) &&
                  after.is_closed == (report.status == ARC_FAIL);
        count(w, c, is_good, buf_view(&out), after.why);
        dkim_input_free(sealed);
    }
    buf_fini(&out);
    buf_fini(&results);
    dkim_input_free(input);
}

static struct view slurp(struct arena *arena, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f)
        return VIEW_NONE;
    uint8_t *p = arena_alloc(arena, FILE_MAX);
    assert_non_null(p);
    size_t n = fread(p, 1, FILE_MAX, f);
    assert_true(n > 0 && n < FILE_MAX);
    assert_int_equal(fclose(f), 0);
    return view_of(p, n);
}

static void run_file(const char *path, void (*run)(struct world *w, const struct test_case *c), size_t expected) {
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    struct arena *texts = arena_new("texts", ARENA_MAX);
    w->arena = arena_new("test", ARENA_MAX);
    assert_non_null(texts);
    assert_non_null(w->arena);
    struct yaml y = {.rest = slurp(texts, path), .arena = texts};
    bool is_there = y.rest.n > 0;
    if (is_there) {
        assert_int_equal(dkim_crypto_new(&w->crypto), ERR_OK);
        w->signer.signer.sign = test_signer_sign;
        while (read_document(w, &y)) {
            for (size_t i = 0; i < w->n; i++)
                run(w, &w->cases[i]);
            arena_clear(w->arena);
        }
        print_message("%zu cases passed, %zu failed\n", w->passed, w->failed);
        assert_int_equal(w->failed, 0);
        assert_int_equal(w->passed, expected);
    }
    dkim_private_key_free(w->signer.keys[DKIM_RSA_SHA256]);
    dkim_crypto_free(w->crypto);
    arena_free(w->arena);
    arena_free(texts);
    free(w);
    if (!is_there)
        skip();
}

/* RFC8617-5.2, RFC8617-4.1.2, RFC8617-4.1.3, RFC8617-4.2.1 */
static void validates(void **state) {
    (void)state;
    run_file(CONFORMANCE_DIR "/arc/arc-draft-validation-tests.yml", run_validation, 175);
}

/* RFC8617-5.1, RFC8617-5.1.1, RFC8617-5.1.2, RFC8617-4.1.1 */
static void seals(void **state) {
    (void)state;
    run_file(CONFORMANCE_DIR "/arc/arc-draft-sign-tests.yml", run_sealing, 17);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(validates),
        cmocka_unit_test(seals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
