/* Making DKIM-Signature fields. */
#include "dkim/sign.h"

#include "base/clock.h"
#include "dkim/signature.h"

#define LINE_MAX_COLUMNS 73 /* RFC5322-2.1.1: lines should have 78 characters at most; 73 is where most signers fold */

/* ---- folding ---- */

void dkim_fold_begin(struct dkim_folder *folder, struct buf *out, struct view field_name) {
    buf_put(out, field_name);
    buf_put(out, VIEW(":"));
    *folder = (struct dkim_folder){.out = out, .column = field_name.n + 1, .is_first = true};
}

/* Room for a piece that is not cut. A new line begins with the space that would have stood there anyway: relaxed, it is
 * the same. */
static void make_room(struct dkim_folder *folder, size_t n) {
    if (!folder->is_first)
        buf_put(folder->out, VIEW(";"));
    bool breaks = !folder->is_first && folder->column + 2 + n > LINE_MAX_COLUMNS;
    buf_put(folder->out, breaks ? VIEW("\r\n ") : VIEW(" "));
    folder->column = breaks ? 1 : folder->column + 2;
    folder->is_first = false;
}

static void put_piece(struct dkim_folder *folder, struct view v) {
    buf_put(folder->out, v);
    folder->column += v.n;
}

static void break_line(struct dkim_folder *folder) {
    buf_put(folder->out, VIEW("\r\n "));
    folder->column = 1;
}

void dkim_fold_open(struct dkim_folder *folder, const char *name, size_t value_n) {
    struct view tag = view_cstr(name);
    make_room(folder, tag.n + 1 + value_n);
    put_piece(folder, tag);
    put_piece(folder, VIEW("="));
}

void dkim_fold_tag(struct dkim_folder *folder, const char *name, struct view value) {
    dkim_fold_open(folder, name, value.n);
    put_piece(folder, value);
}

void dkim_fold_more(struct dkim_folder *folder, struct view data) {
    struct buf text;
    buf_init(&text, data.n * 2 + 4);
    buf_put_base64(&text, data);
    if (buf_err(&text) != ERR_OK && buf_err(folder->out) == ERR_OK)
        folder->out->err = buf_err(&text);
    for (struct view rest = buf_view(&text); rest.n > 0;) {
        if (folder->column >= LINE_MAX_COLUMNS)
            break_line(folder);
        struct view piece = view_sub(rest, 0, LINE_MAX_COLUMNS - folder->column);
        put_piece(folder, piece);
        rest = view_skip(rest, piece.n);
    }
    buf_fini(&text);
}

void dkim_fold_break(struct dkim_folder *folder) {
    folder->column = LINE_MAX_COLUMNS;
}

void dkim_fold_base64(struct dkim_folder *folder, const char *name, struct view data) {
    /* A short one (bh=) stays whole. */
    dkim_fold_open(folder, name, MIN((data.n + 2) / 3 * 4, (size_t)LINE_MAX_COLUMNS - 8));
    dkim_fold_more(folder, data);
}

void dkim_fold_names(struct dkim_folder *folder, const char *name, const struct view *names, size_t n) {
    dkim_fold_open(folder, name, n > 0 ? names[0].n + 1 : 0);
    for (size_t i = 0; i < n; i++) {
        size_t room = names[i].n + (i + 1 < n ? 1 : 0);
        if (i > 0 && folder->column + room > LINE_MAX_COLUMNS)
            break_line(folder);
        put_piece(folder, names[i]);
        if (i + 1 < n)
            put_piece(folder, VIEW(":"));
    }
}

/* ---- what is signed ---- */

static const struct policy {
    struct view name;
    bool is_oversigned;
} policies[] = {
    /* RFC6376-5.4.1, and what RFC6376-8.15 warns of: who reads the message sees them, or reads its body by them. */
    {VIEW_INIT("From"), true},
    {VIEW_INIT("To"), true},
    {VIEW_INIT("Cc"), true},
    {VIEW_INIT("Subject"), true},
    {VIEW_INIT("Date"), true},
    {VIEW_INIT("Message-ID"), true},
    {VIEW_INIT("Reply-To"), true},
    {VIEW_INIT("In-Reply-To"), true},
    {VIEW_INIT("References"), true},
    {VIEW_INIT("MIME-Version"), true},
    {VIEW_INIT("Content-Type"), true},
    {VIEW_INIT("Content-Transfer-Encoding"), true},
    /* A list that takes the message on adds its own of these. */
    {VIEW_INIT("Sender"), false},
    {VIEW_INIT("Content-Disposition"), false},
    {VIEW_INIT("Content-Language"), false},
    {VIEW_INIT("Resent-Date"), false},
    {VIEW_INIT("Resent-From"), false},
    {VIEW_INIT("Resent-Sender"), false},
    {VIEW_INIT("Resent-To"), false},
    {VIEW_INIT("Resent-Cc"), false},
    {VIEW_INIT("Resent-Message-ID"), false},
    {VIEW_INIT("List-Id"), false},
    {VIEW_INIT("List-Help"), false},
    {VIEW_INIT("List-Subscribe"), false},
    {VIEW_INIT("List-Unsubscribe"), false},
    {VIEW_INIT("List-Unsubscribe-Post"), false}, /* RFC8058-4: must be signed */
    {VIEW_INIT("List-Owner"), false},
    {VIEW_INIT("List-Post"), false},
    {VIEW_INIT("List-Archive"), false},
    {VIEW_INIT("Auto-Submitted"), false},
    {VIEW_INIT("Feedback-ID"), false},
    {VIEW_INIT("CFBL-Address"), false}, /* RFC 9477 wants it signed */
    {VIEW_INIT("CFBL-Feedback-ID"), false},
    {VIEW_INIT("TLS-Required"), false}, /* RFC 8689: who adds it changes how the message travels */
};

enum err dkim_signed_names(const struct dkim_input *input, struct arena *arena, struct view **names, size_t *n) {
    size_t fields_n, total = 0;
    const struct dkim_field *fields = dkim_input_fields(input, &fields_n);
    size_t counts[ARRAY_LEN(policies)];
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        uint32_t hash = dkim_field_hash(policies[i].name);
        counts[i] = policies[i].is_oversigned ? 1 : 0;
        for (size_t f = 0; f < fields_n; f++)
            if (fields[f].hash == hash && view_eq_nocase(fields[f].name, policies[i].name))
                counts[i]++;
        total += counts[i];
    }
    if (total > DKIM_SIGNED_NAMES_MAX)
        return ERR_LIMIT;
    struct view *out = ARENA_ARRAY(arena, total, struct view);
    if (!out)
        return ERR_LIMIT;
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(policies); i++)
        for (size_t k = 0; k < counts[i]; k++)
            out[at++] = policies[i].name;
    *names = out;
    *n = total;
    return ERR_OK;
}

/* ---- signing ---- */

static bool has_from(const struct dkim_input *input) {
    size_t n;
    const struct dkim_field *fields = dkim_input_fields(input, &n);
    for (size_t i = 0; i < n; i++)
        if (view_eq_nocase(fields[i].name, VIEW("From")))
            return true;
    return false;
}

static void fold_seconds(struct dkim_folder *folder, const char *name, int64_t at_us) {
    struct buf text;
    buf_init(&text, 32);
    buf_put_i64(&text, at_us / US_PER_S);
    dkim_fold_tag(folder, name, buf_view(&text));
    buf_fini(&text);
}

/* The field up to "b=". */
static void put_terms(struct buf *out, struct dkim_folder *folder, const struct dkim_sign_options *options,
                      const struct dkim_sign_key *key, const uint8_t *body_hash) {
    static const char *const canons[2][2] = {{"simple/simple", "simple/relaxed"},
                                             {"relaxed/simple", "relaxed/relaxed"}};
    dkim_fold_begin(folder, out, VIEW("DKIM-Signature"));
    dkim_fold_tag(folder, "v", VIEW("1"));
    dkim_fold_tag(folder, "a", dkim_algorithm_name(key->algorithm));
    dkim_fold_tag(folder, "c", view_cstr(canons[options->header_canon][options->body_canon]));
    dkim_fold_tag(folder, "d", options->domain);
    dkim_fold_tag(folder, "s", key->selector);
    if (options->identity.n > 0)
        dkim_fold_tag(folder, "i", options->identity);
    fold_seconds(folder, "t", options->now_us);
    if (options->valid_us > 0)
        fold_seconds(folder, "x", options->now_us + options->valid_us);
    dkim_fold_names(folder, "h", options->names, options->names_n);
    dkim_fold_base64(folder, "bh", view_of(body_hash, DKIM_DIGEST_SIZE));
    dkim_fold_base64(folder, "b", VIEW_NONE);
}

static enum err sign_one(const struct dkim_input *input, const struct dkim_sign_options *options,
                         const struct dkim_sign_key *key, const uint8_t *body_hash, struct dkim_signer *signer,
                         struct buf *signature, struct buf *out) {
    size_t from = out->n;
    struct dkim_folder folder;
    put_terms(out, &folder, options, key, body_hash);
    TRY(buf_err(out));
    struct view raw = view_skip(buf_view(out), from);
    struct dkim_signature unsigned_one = {.raw = raw,
                                          .b_at = raw.n,
                                          .header_canon = options->header_canon,
                                          .names = (struct view *)options->names,
                                          .names_n = options->names_n};
    uint8_t digest[DKIM_DIGEST_SIZE];
    TRY(dkim_signature_hash(input, &unsigned_one, digest));
    TRY(signer->sign(signer, options->domain, key->selector, key->algorithm, digest, signature));
    TRY(buf_err(signature));
    dkim_fold_more(&folder, buf_view(signature));
    buf_put(out, VIEW("\r\n"));
    return buf_err(out);
}

enum err dkim_sign(const struct dkim_input *input, const struct dkim_sign_options *options,
                   const struct dkim_sign_key *keys, size_t keys_n, struct dkim_signer *signer, struct arena *arena,
                   struct buf *out) {
    if (dkim_input_is_over(input) || !has_from(input))
        return ERR_SYNTAX;
    struct dkim_sign_options all = *options;
    if (!all.names) {
        struct view *names;
        TRY(dkim_signed_names(input, arena, &names, &all.names_n));
        all.names = names;
    }
    uint8_t body_hash[DKIM_DIGEST_SIZE];
    uint64_t octets;
    TRY(dkim_input_body_hash(input, all.body_canon, DKIM_BODY_WHOLE, body_hash, &octets));
    size_t from = out->n;
    for (size_t i = 0; i < keys_n; i++) {
        struct buf signature;
        buf_init(&signature, DKIM_SIGNATURE_MAX);
        enum err err = sign_one(input, &all, &keys[i], body_hash, signer, &signature, out);
        buf_fini(&signature);
        if (err != ERR_OK) {
            out->n = from;
            return err;
        }
    }
    return ERR_OK;
}
