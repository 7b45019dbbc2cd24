/* Policy discovery, organizational domains and alignment: RFC9989-4.10. */
#include "dmarc/dmarc.h"

#include "dns/idna.h"
#include "dns/name.h"
#include "dns/rdata.h"

#include "message/address.h"
#include "message/header.h"

#include <string.h>

#define STEPS_MAX (DMARC_LOOKUPS_MAX + DMARC_IDENTIFIERS_MAX + 2)

/* What is at _dmarc.DOMAIN; asked for once in a check. */
struct place {
    struct view domain;
    bool has_record, is_temporary;
    struct dmarc_record record;
};

struct check {
    const struct dmarc_env *env;
    struct arena *arena;
    struct place places[DMARC_LOOKUPS_MAX];
    size_t places_n;
    struct dmarc_step *steps;
    size_t steps_n;
    bool is_secure;
};

/* A domain's place in the tree. */
struct organization {
    struct view domain;
    const struct place *record; /* at that domain; NULL: none there */
    const struct place *suffix; /* with psd=y one label above; NULL: none met */
    bool is_explicit;           /* a psd tag said so */
    bool is_temporary;
};

const char *dmarc_result_name(enum dmarc_result result) {
    static const char *const names[] = {"none", "pass", "fail", "temperror", "permerror"};
    return names[result];
}

static enum err step(struct check *c, struct view name, const char *format, struct view a, struct view b) {
    if (c->steps_n == STEPS_MAX)
        return ERR_OK;
    struct dmarc_step *s = &c->steps[c->steps_n++];
    s->name = name;
    return arena_printf(c->arena, &s->text, format, VIEW_FMT(a), VIEW_FMT(b));
}

/* Printable ASCII of a peer's record, cut to a line's length. */
static enum err shown(struct arena *arena, struct view text, struct view *out) {
    struct view copy;
    TRY(arena_view(arena, view_sub(text, 0, 400), &copy));
    uint8_t *p = arena_alloc(arena, copy.n);
    if (p == NULL)
        return ERR_LIMIT;
    for (size_t i = 0; i < copy.n; i++)
        p[i] = copy.p[i] >= ' ' && copy.p[i] < 127 ? copy.p[i] : '?';
    *out = view_of(p, copy.n);
    return ERR_OK;
}

static bool is_below_or_same(struct view domain, struct view above) {
    return view_ends_nocase(domain, above) &&
           (domain.n == above.n || (above.n > 0 && domain.p[domain.n - above.n - 1] == '.'));
}

static size_t count_labels(struct view domain) {
    size_t n = domain.n > 0;
    for (size_t i = 0; i < domain.n; i++)
        n += domain.p[i] == '.';
    return n;
}

/* The last n labels; the whole domain when it has fewer. */
static struct view last_labels(struct view domain, size_t n) {
    size_t have = count_labels(domain);
    for (; have > n; have--)
        domain = view_skip(domain, (size_t)view_find_byte(domain, '.') + 1);
    return domain;
}

/* -- One record ---------------------------------------------------------------------------------- */

/* RFC9989-4.10 steps 2 and 6: records of another version are discarded, and all of several. */
static enum err take_record(struct check *c, struct place *place, struct view name, const struct dns_answer *answer) {
    size_t found = 0;
    for (uint32_t i = 0; i < answer->data_n; i++) {
        struct view text;
        enum err err = dns_rdata_txt(answer->data[i].data, c->arena, &text);
        if (err == ERR_SYNTAX || (err == ERR_OK && !dmarc_record_is_one(text)))
            continue;
        TRY(err);
        if (++found > 1)
            continue;
        err = dmarc_record_parse(c->arena, text, &place->record);
        if (err == ERR_LIMIT && text.n > DMARC_RECORD_MAX)
            found--;
        else
            TRY(err);
    }
    place->has_record = found == 1;
    if (found == 0)
        return step(c, name, "no DMARC record", VIEW_NONE, VIEW_NONE);
    if (found > 1)
        return step(c, name, "several DMARC records: all of them are ignored", VIEW_NONE, VIEW_NONE);
    struct view text, problem;
    TRY(shown(c->arena, place->record.text, &text));
    problem = place->record.problem;
    return problem.n > 0 ? step(c, name, "%.*s (mistake: %.*s)", text, problem)
                         : step(c, name, "%.*s", text, VIEW_NONE);
}

/* ERR_LIMIT with *out == NULL: too many questions. */
static enum err look(struct check *c, struct view domain, const struct place **out) {
    *out = NULL;
    for (size_t i = 0; i < c->places_n; i++) {
        if (view_eq_nocase(c->places[i].domain, domain)) {
            *out = &c->places[i];
            return ERR_OK;
        }
    }
    if (c->places_n == DMARC_LOOKUPS_MAX)
        return ERR_LIMIT;
    struct place *place = &c->places[c->places_n];
    *place = (struct place){.domain = domain};
    struct view name;
    struct dns_answer answer;
    TRY(arena_printf(c->arena, &name, "_dmarc.%.*s", VIEW_FMT(domain)));
    enum err err = dns_lookup(c->env->dns, name, DNS_TXT, c->arena, &answer);
    if (err == ERR_SYNTAX) { /* too long to have a record */
        err = step(c, name, "is too long for a name", VIEW_NONE, VIEW_NONE);
    } else if (err == ERR_OK && answer.status == DNS_TEMPORARY) {
        place->is_temporary = true;
        err = answer.security == DNS_BOGUS
                  ? step(c, name, "the answer is bogus: DNSSEC validation failed", VIEW_NONE, VIEW_NONE)
                  : step(c, name, "no answer from DNS", VIEW_NONE, VIEW_NONE);
    } else if (err == ERR_OK) {
        c->is_secure &= answer.security == DNS_SECURE;
        err = take_record(c, place, name, &answer);
    }
    TRY(err);
    c->places_n++;
    *out = place;
    return ERR_OK;
}

/* -- The tree walk ------------------------------------------------------------------------------- */

/* RFC9989-4.10.2. ERR_LIMIT as look() has it. */
static enum err walk(struct check *c, struct view start, struct organization *out) {
    struct organization org = {.domain = start};
    struct view target = start;
    for (size_t asked = 0; asked < DMARC_WALK_MAX && target.n > 0; asked++) {
        const struct place *place;
        TRY(look(c, target, &place));
        if (place->is_temporary) {
            org.is_temporary = true;
            break;
        }
        enum dmarc_psd psd = place->has_record ? place->record.psd : DMARC_PSD_UNKNOWN;
        if (psd == DMARC_PSD_YES && asked > 0) {
            org.domain = last_labels(start, count_labels(target) + 1);
            org.suffix = place;
            org.is_explicit = true;
            if (org.record != NULL && !view_eq_nocase(org.record->domain, org.domain))
                org.record = NULL;
            break;
        }
        if (place->has_record) {
            org.domain = target;
            org.record = place;
        }
        if (psd != DMARC_PSD_UNKNOWN) {
            org.is_explicit = true;
            break;
        }
        size_t labels = count_labels(target);
        target = last_labels(target, labels >= DMARC_WALK_MAX ? DMARC_WALK_MAX - 1 : labels - 1);
        if (labels == 1)
            break;
    }
    *out = org;
    return ERR_OK;
}

static struct view by_list(const struct dmarc_env *env, struct view domain) {
    size_t n = env->suffixes == NULL ? 0 : env->suffixes->organizational(env->suffixes, domain);
    return n == 0 || n > domain.n ? VIEW_NONE : view_skip(domain, domain.n - n);
}

/* -- The verdict ------------------------------------------------------------------------------------ */

/* RFC9989-4.10.1: the author's own record, else the organization's, else the public suffix's. */
static enum err discover(struct check *c, const struct dmarc_query *query, struct organization *org,
                         struct dmarc_verdict *verdict, const struct place **out) {
    const struct place *own;
    TRY(walk(c, query->author, org));
    TRY(look(c, query->author, &own));
    verdict->place = DMARC_AT_AUTHOR;
    *out = own;
    if (own->has_record || own->is_temporary)
        return ERR_OK;
    verdict->place = DMARC_AT_ORGANIZATION;
    *out = org->record;
    if (org->record != NULL || org->suffix == NULL)
        return ERR_OK;
    verdict->place = DMARC_AT_SUFFIX;
    *out = org->suffix;
    return ERR_OK;
}

/* RFC9989-4.4: relaxed: the same organization. */
static enum err is_aligned(struct check *c, const struct dmarc_query *query, const struct organization *author,
                           struct view domain, bool is_strict, bool *aligned, bool *is_by_list, bool *is_temporary) {
    *aligned = view_eq_nocase(domain, query->author);
    if (*aligned || is_strict)
        return ERR_OK;
    /* Only what is at or below the author's organization can have the same one: no question for anything else. */
    struct organization other = {.domain = domain};
    if (is_below_or_same(domain, author->domain)) {
        enum err err = walk(c, domain, &other);
        if (err == ERR_LIMIT && c->places_n == DMARC_LOOKUPS_MAX)
            return step(c, domain, "not looked at: too many questions", VIEW_NONE, VIEW_NONE);
        TRY(err);
        if (other.is_temporary || author->is_temporary) {
            *is_temporary = true;
            return ERR_OK;
        }
        *aligned = view_eq_nocase(other.domain, author->domain);
    }
    if (*aligned || author->is_explicit || other.is_explicit)
        return ERR_OK;
    /* Domains that have published for RFC 7489 have no record where a tree walk would need one. */
    struct view a = by_list(c->env, query->author), b = by_list(c->env, domain);
    *is_by_list = *aligned = a.n > 0 && view_eq_nocase(a, b);
    return ERR_OK;
}

static enum err align(struct check *c, const struct dmarc_query *query, const struct organization *org,
                      struct dmarc_verdict *verdict, bool *is_temporary) {
    bool only_by_list = true;
    size_t n = MIN(query->identifiers_n, (size_t)DMARC_IDENTIFIERS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct dmarc_identifier *id = &query->identifiers[i];
        bool is_spf = id->mechanism == DMARC_SPF, aligned = false, listed = false;
        bool is_strict = is_spf ? verdict->record.strict_spf : verdict->record.strict_dkim;
        TRY(is_aligned(c, query, org, id->domain, is_strict, &aligned, &listed, is_temporary));
        TRY(step(c, id->domain, aligned ? "%.*s passed, aligned%.*s" : "%.*s passed, not aligned%.*s",
                 is_spf ? VIEW("SPF") : VIEW("DKIM"),
                 listed      ? VIEW(" (by the public suffix list)")
                 : is_strict ? VIEW(" (strict)")
                             : VIEW_NONE));
        if (!aligned)
            continue;
        only_by_list &= listed;
        if (verdict->aligned_domain.n == 0 || (!is_spf && !verdict->dkim_aligned))
            verdict->aligned_domain = id->domain;
        *(is_spf ? &verdict->spf_aligned : &verdict->dkim_aligned) = true;
    }
    verdict->by_suffix_list = (verdict->spf_aligned || verdict->dkim_aligned) && only_by_list;
    return ERR_OK;
}

/* RFC9989-4.10.1: which of p, sp and np counts, and RFC9989-4.7: what t makes of it. */
static enum err choose_policy(struct check *c, const struct dmarc_query *query, struct dmarc_verdict *verdict,
                              bool *is_temporary) {
    const struct dmarc_record *record = &verdict->record;
    verdict->author_exists = true;
    verdict->published = verdict->place == DMARC_AT_AUTHOR ? record->p : record->sp;
    if (verdict->place != DMARC_AT_AUTHOR && record->np != record->sp) {
        /* RFC9989-3.2.13: a name that does not exist is one whose answer is NXDOMAIN, whatever the type. */
        struct dns_answer answer;
        TRY(dns_lookup(c->env->dns, query->author, DNS_A, c->arena, &answer));
        if (answer.status == DNS_TEMPORARY)
            *is_temporary = true;
        c->is_secure &= answer.security == DNS_SECURE;
        verdict->author_exists = answer.status != DNS_NXDOMAIN;
        TRY(step(c, query->author, verdict->author_exists ? "the name exists" : "there is no such name", VIEW_NONE,
                 VIEW_NONE));
        if (!verdict->author_exists)
            verdict->published = record->np;
    }
    verdict->policy = verdict->published;
    if (record->is_testing && verdict->policy > DMARC_POLICY_NONE)
        verdict->policy--;
    return ERR_OK;
}

static enum err evaluate(struct check *c, const struct dmarc_query *query, struct dmarc_verdict *verdict) {
    struct organization org;
    const struct place *found;
    TRY(discover(c, query, &org, verdict, &found));
    verdict->organizational = org.domain;
    if ((found != NULL && found->is_temporary) || (found == NULL && org.is_temporary)) {
        verdict->result = DMARC_TEMPERROR;
        verdict->reason = VIEW("DNS gave no answer about the policy");
        return ERR_OK;
    }
    if (found == NULL) {
        verdict->result = DMARC_NONE;
        verdict->reason = VIEW("the domain publishes no policy");
        return ERR_OK;
    }
    verdict->record = found->record;
    verdict->record_domain = found->domain;
    if (found->record.is_unusable) {
        verdict->result = DMARC_PERMERROR;
        verdict->reason = VIEW("the record has no valid policy and no address for reports");
        return ERR_OK;
    }
    bool is_temporary = query->identifiers_temporary;
    TRY(align(c, query, &org, verdict, &is_temporary));
    if (verdict->spf_aligned || verdict->dkim_aligned) {
        verdict->result = DMARC_PASS;
        return ERR_OK;
    }
    TRY(choose_policy(c, query, verdict, &is_temporary));
    verdict->result = is_temporary ? DMARC_TEMPERROR : DMARC_FAIL;
    verdict->reason = is_temporary                ? VIEW("DNS gave no answer that the verdict depends on")
                      : query->identifiers_n == 0 ? VIEW("neither SPF nor DKIM passed")
                                                  : VIEW("SPF or DKIM passed, but for domains of other organizations");
    return ERR_OK;
}

static struct check *check_new(const struct dmarc_env *env, struct arena *arena) {
    struct check *c = ARENA_NEW(arena, struct check);
    if (c == NULL)
        return NULL;
    *c = (struct check){.env = env, .arena = arena, .is_secure = true};
    c->steps = ARENA_ARRAY(arena, STEPS_MAX, struct dmarc_step);
    return c->steps == NULL ? NULL : c;
}

enum err dmarc_check(const struct dmarc_env *env, const struct dmarc_query *query, struct arena *arena,
                     struct dmarc_verdict *out) {
    struct dmarc_verdict verdict = {0};
    struct check *c = check_new(env, arena);
    if (c == NULL)
        return ERR_LIMIT;
    TRY(evaluate(c, query, &verdict));
    verdict.is_secure = c->is_secure;
    verdict.steps = c->steps;
    verdict.steps_n = c->steps_n;
    *out = verdict;
    return ERR_OK;
}

enum err dmarc_organizational(const struct dmarc_env *env, struct view domain, struct arena *arena, struct view *out) {
    struct organization org;
    struct check *c = check_new(env, arena);
    if (c == NULL)
        return ERR_LIMIT;
    TRY(walk(c, domain, &org));
    if (org.is_temporary)
        return ERR_AGAIN;
    struct view listed = by_list(env, domain);
    *out = org.record == NULL && !org.is_explicit && listed.n > 0 ? listed : org.domain;
    return ERR_OK;
}

enum err dmarc_target_allows(const struct dmarc_env *env, struct view domain, struct view target, struct arena *arena,
                             bool *out) {
    struct view name;
    struct dns_answer answer;
    TRY(arena_printf(arena, &name, "%.*s._report._dmarc.%.*s", VIEW_FMT(domain), VIEW_FMT(target)));
    enum err err = dns_lookup(env->dns, name, DNS_TXT, arena, &answer);
    if (err == ERR_SYNTAX) { /* too long to be there */
        *out = false;
        return ERR_OK;
    }
    TRY(err);
    if (answer.status == DNS_TEMPORARY)
        return ERR_AGAIN;
    bool allows = false;
    for (uint32_t i = 0; i < answer.data_n && !allows; i++) {
        struct view text;
        err = dns_rdata_txt(answer.data[i].data, arena, &text);
        if (err != ERR_SYNTAX)
            TRY(err);
        allows = err == ERR_OK && dmarc_record_is_one(text);
    }
    *out = allows;
    return ERR_OK;
}

/* -- From --------------------------------------------------------------------------------------------- */

enum err dmarc_authors(struct arena *arena, struct view header, struct view list[DMARC_AUTHORS_MAX], size_t *n,
                       bool *has_bad) {
    struct header_iter it;
    struct header_field field;
    size_t count = 0;
    bool bad = false;
    header_iter_init(&it, header);
    while (header_next(&it, &field)) {
        if (!view_eq_nocase(field.name, VIEW("From")))
            continue;
        struct address_list addresses;
        address_parse(arena, field.value, &addresses);
        bad |= addresses.truncated;
        for (size_t i = 0; i < addresses.count; i++) {
            struct view domain;
            if (addresses.list[i].kind != ADDRESS_MAILBOX)
                continue;
            bool is_literal = view_starts(addresses.list[i].host, VIEW("["));
            enum err err = is_literal ? ERR_SYNTAX : dns_idna_to_ascii(addresses.list[i].host, arena, &domain);
            if (err == ERR_SYNTAX) {
                bad = true;
                continue;
            }
            TRY(err);
            size_t known = 0;
            while (known < count && !view_eq(list[known], domain))
                known++;
            if (known < count)
                continue;
            if (count == DMARC_AUTHORS_MAX)
                bad = true;
            else
                list[count++] = domain;
        }
    }
    *n = count;
    *has_bad = bad;
    return ERR_OK;
}
