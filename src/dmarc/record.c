/* The policy record: a tolerant reader, as RFC9989-4.8 asks for. */
#include "dmarc/record.h"

static struct view trim(struct view v) {
    while (v.n > 0 && ascii_is_blank(v.p[0]))
        v = view_skip(v, 1);
    while (v.n > 0 && ascii_is_blank(v.p[v.n - 1]))
        v.n--;
    return v;
}

/* The next tag of *rest. False at the end. A piece without "=" has the name alone, and value.p == NULL. */
static bool next_tag(struct view *rest, struct view *name, struct view *value) {
    while (rest->n > 0) {
        struct view piece, tail;
        (void)view_split(*rest, ';', &piece, &tail);
        *rest = tail;
        piece = trim(piece);
        if (piece.n == 0)
            continue;
        bool has_value = view_split(piece, '=', name, value);
        *name = trim(*name);
        *value = has_value ? trim(*value) : VIEW_NONE;
        if (has_value && value->p == NULL)
            *value = VIEW("");
        return true;
    }
    return false;
}

bool dmarc_record_is_one(struct view text) {
    struct view name, value, piece, tail;
    (void)view_split(text, ';', &piece, &tail);
    if (!view_split(piece, '=', &name, &value))
        return false;
    /* RFC9989-4.8: the name has no case, the value has. */
    return view_eq_nocase(trim(name), VIEW("v")) && view_eq(trim(value), VIEW("DMARC1"));
}

const char *dmarc_policy_name(enum dmarc_policy policy) {
    static const char *const names[] = {"none", "quarantine", "reject"};
    return names[policy];
}

static bool read_policy(struct view value, enum dmarc_policy *out) {
    for (int i = DMARC_POLICY_NONE; i <= DMARC_POLICY_REJECT; i++) {
        if (view_eq_nocase(value, view_cstr(dmarc_policy_name((enum dmarc_policy)i)))) {
            *out = (enum dmarc_policy)i;
            return true;
        }
    }
    return false;
}

/* One letter of `allowed`, in any case; 0 when it is something else. */
static uint8_t read_letter(struct view value, struct view allowed) {
    uint8_t c = value.n == 1 ? ascii_lower(value.p[0]) : 0;
    return view_find_byte(allowed, c) >= 0 ? c : 0;
}

/* RFC9989-4.7: colon-separated options; those that do not exist are ignored, and when none is left the default stands. */
static bool read_fo(struct view value, uint8_t *out) {
    const struct view letters = VIEW("01ds");
    uint8_t fo = 0;
    bool is_good = true;
    while (value.n > 0) {
        struct view item, rest;
        (void)view_split(value, ':', &item, &rest);
        value = rest;
        uint8_t c = read_letter(trim(item), letters);
        if (c == 0)
            is_good = false;
        else
            fo |= (uint8_t)(1u << view_find_byte(letters, c));
    }
    if (fo != 0)
        *out = fo;
    return is_good && fo != 0;
}

/* "mailto:a@b" or another scheme: something before and after a colon, printable ASCII. RFC3986-3.1 scheme. */
static bool is_uri(struct view uri) {
    struct view scheme, rest;
    if (!view_split(uri, ':', &scheme, &rest) || scheme.n == 0 || rest.n == 0 || !ascii_is_alpha(scheme.p[0]))
        return false;
    for (size_t i = 0; i < scheme.n; i++)
        if (!ascii_is_alnum(scheme.p[i]) && scheme.p[i] != '+' && scheme.p[i] != '-' && scheme.p[i] != '.')
            return false;
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] <= ' ' || rest.p[i] >= 127)
            return false;
    if (!view_eq_nocase(scheme, VIEW("mailto")))
        return true;
    struct view address, query;
    (void)view_split(rest, '?', &address, &query);
    ssize_t at = view_rfind_byte(address, '@');
    return at > 0 && (size_t)at + 1 < address.n;
}

static enum err read_uris(struct arena *arena, struct view value, const struct view **list, size_t *n, bool *is_good) {
    struct view *uris = ARENA_ARRAY(arena, DMARC_URIS_MAX, struct view);
    if (uris == NULL)
        return ERR_LIMIT;
    *n = 0;
    while (value.n > 0) {
        struct view item, rest, uri, size;
        (void)view_split(value, ',', &item, &rest);
        value = rest;
        /* RFC9989-4.8: a size after "!" is obsolete and ignored. */
        (void)view_split(trim(item), '!', &uri, &size);
        if (!is_uri(uri) || *n == DMARC_URIS_MAX)
            *is_good = false;
        else
            uris[(*n)++] = uri;
    }
    *list = uris;
    return ERR_OK;
}

/* Tags that were read, so that a second one of a name is ignored. */
enum tag {
    TAG_V,
    TAG_P,
    TAG_SP,
    TAG_NP,
    TAG_ADKIM,
    TAG_ASPF,
    TAG_RUA,
    TAG_RUF,
    TAG_FO,
    TAG_T,
    TAG_PSD,
    TAG_PCT,
    TAG_NONE
};

static enum tag tag_of(struct view name) {
    static const struct view names[TAG_NONE] = {
        [TAG_V] = VIEW_INIT("v"),     [TAG_P] = VIEW_INIT("p"),         [TAG_SP] = VIEW_INIT("sp"),
        [TAG_NP] = VIEW_INIT("np"),   [TAG_ADKIM] = VIEW_INIT("adkim"), [TAG_ASPF] = VIEW_INIT("aspf"),
        [TAG_RUA] = VIEW_INIT("rua"), [TAG_RUF] = VIEW_INIT("ruf"),     [TAG_FO] = VIEW_INIT("fo"),
        [TAG_T] = VIEW_INIT("t"),     [TAG_PSD] = VIEW_INIT("psd"),     [TAG_PCT] = VIEW_INIT("pct"),
    };
    for (int i = 0; i < TAG_NONE; i++)
        if (view_eq_nocase(name, names[i]))
            return (enum tag)i;
    return TAG_NONE;
}

struct reading {
    struct arena *arena;
    struct dmarc_record *record;
    bool has_t, has_zero_pct, has_bad_policy;
};

/* False: the value is none that this tag has. */
static enum err read_tag(struct reading *r, enum tag tag, struct view value, bool *is_good) {
    struct dmarc_record *record = r->record;
    uint8_t letter;
    switch (tag) {
    case TAG_P:
        *is_good = record->has_p = read_policy(value, &record->p);
        break;
    case TAG_SP:
        *is_good = record->has_sp = read_policy(value, &record->sp);
        r->has_bad_policy |= !*is_good;
        break;
    case TAG_NP:
        *is_good = record->has_np = read_policy(value, &record->np);
        r->has_bad_policy |= !*is_good;
        break;
    case TAG_ADKIM:
    case TAG_ASPF:
        letter = read_letter(value, VIEW("rs"));
        *is_good = letter != 0;
        *(tag == TAG_ADKIM ? &record->strict_dkim : &record->strict_spf) = letter == 's';
        break;
    case TAG_RUA:
        return read_uris(r->arena, value, &record->rua, &record->rua_n, is_good);
    case TAG_RUF:
        return read_uris(r->arena, value, &record->ruf, &record->ruf_n, is_good);
    case TAG_FO:
        *is_good = read_fo(value, &record->fo);
        break;
    case TAG_T:
        letter = read_letter(value, VIEW("yn"));
        *is_good = r->has_t = letter != 0;
        record->is_testing = letter == 'y';
        break;
    case TAG_PSD:
        letter = read_letter(value, VIEW("ynu"));
        *is_good = letter != 0;
        record->psd = letter == 'y' ? DMARC_PSD_YES : letter == 'n' ? DMARC_PSD_NO : DMARC_PSD_UNKNOWN;
        break;
    case TAG_PCT: {
        uint32_t pct = 0;
        *is_good = view_to_u32(value, 100, &pct) == ERR_OK;
        r->has_zero_pct = *is_good && pct == 0;
        break;
    }
    default:
        break;
    }
    return ERR_OK;
}

/* A mistake for people: the first one is told. Record text may hold any octets. */
static enum err note(struct reading *r, const char *what, struct view name) {
    if (r->record->problem.n > 0)
        return ERR_OK;
    char shown[24];
    size_t n = MIN(name.n, sizeof(shown));
    for (size_t i = 0; i < n; i++)
        shown[i] = name.p[i] > ' ' && name.p[i] < 127 ? (char)name.p[i] : '?';
    return arena_printf(r->arena, &r->record->problem, "%s \"%.*s\"", what, (int)n, shown);
}

/* RFC9989-4.10.1: what the policies are when some are missing or wrong. */
static void settle(struct reading *r) {
    struct dmarc_record *record = r->record;
    if (!r->has_t && r->has_zero_pct)
        record->is_testing = true;
    if (!record->has_p || r->has_bad_policy) {
        record->is_unusable = record->rua_n == 0;
        record->p = record->sp = record->np = DMARC_POLICY_NONE;
        record->has_sp = record->has_np = false;
        return;
    }
    if (!record->has_sp)
        record->sp = record->p;
    if (!record->has_np)
        record->np = record->sp;
}

enum err dmarc_record_parse(struct arena *arena, struct view text, struct dmarc_record *out) {
    if (!dmarc_record_is_one(text))
        return ERR_SYNTAX;
    if (text.n > DMARC_RECORD_MAX)
        return ERR_LIMIT;
    struct dmarc_record record = {.text = text, .fo = DMARC_FO_ALL_FAILED};
    struct reading r = {.arena = arena, .record = &record};
    bool seen[TAG_NONE + 1] = {false};
    struct view rest = text, name, value;
    for (size_t count = 0; count < DMARC_TAGS_MAX && next_tag(&rest, &name, &value); count++) {
        enum tag tag = tag_of(name);
        if (value.p == NULL) {
            TRY(note(&r, "no \"=\" after", name));
            continue;
        }
        if (tag == TAG_NONE)
            continue; /* RFC9989-4.8: unknown tags MUST be ignored */
        if (seen[tag]) {
            TRY(note(&r, "there are two of tag", name));
            continue;
        }
        seen[tag] = true;
        bool is_good = true;
        TRY(read_tag(&r, tag, value, &is_good));
        if (!is_good)
            TRY(note(&r, "a wrong value of tag", name));
    }
    if (!seen[TAG_P])
        TRY(note(&r, "there is no tag", VIEW("p")));
    settle(&r);
    *out = record;
    return ERR_OK;
}
