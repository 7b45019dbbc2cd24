/* check_host(): records are asked for, read and evaluated. */
#include "spf/spf.h"

#include "base/utf8.h"
#include "base/vec.h"
#include "dns/idna.h"
#include "dns/name.h"
#include "dns/rdata.h"
#include "dns/reverse.h"
#include "spf/macro.h"
#include "spf/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SCRATCH_BUDGET (3u << 20) /* one reverse mapping with its ten names, or one answer and what is read from it */
#define EXPANSION_MAX 8192        /* of a macro-string; the name that comes of it has 253 octets */
#define TEXT_MAX 2000             /* octets of a sentence */

/* Why an evaluation ends. Unlike enum err this is about what domains publish. */
struct outcome {
    enum spf_result result;
    struct view mechanism, mechanism_domain; /* what matched */
};

struct check {
    const struct spf_env *env;
    struct arena *arena, *scratch; /* scratch: one lookup's answer */
    struct netaddr ip;
    struct spf_macro_facts facts; /* all but the domain */
    int64_t deadline_us;
    struct spf_verdict *verdict;
    struct vec steps; /* struct spf_step */
    bool has_validated;
    struct dns_validated validated; /* names in the arena */
};

/* One level of recursion. */
struct level {
    struct view domain;
    unsigned depth;
    bool is_included; /* below an include: what it explains is not used */
};

/* ---- telling ---- */

static enum err tell(struct check *c, const struct level *level, struct view term, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static enum err tell(struct check *c, const struct level *level, struct view term, const char *format, ...) {
    if (!c->env->trace || c->steps.n >= SPF_STEPS_MAX)
        return ERR_OK;
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct spf_step *step = n < 0 ? NULL : vec_add(&c->steps);
    if (!step)
        return ERR_NO_MEMORY;
    step->depth = level->depth;
    step->domain = level->domain;
    step->term = term;
    return arena_view(c->arena, view_of(text, MIN((size_t)n, sizeof(text) - 1)), &step->text);
}

/* An evaluation that ends in an error: the first problem is the one that is told. */
static enum err end(struct check *c, struct outcome *out, enum spf_result result, struct view problem) {
    *out = (struct outcome){.result = result};
    if (c->verdict->problem.n == 0)
        c->verdict->problem = problem;
    return ERR_OK;
}

#define END(c, out, result, ...)                                   \
    do {                                                           \
        struct view end_problem_;                                  \
        TRY(arena_printf((c)->arena, &end_problem_, __VA_ARGS__)); \
        return end((c), (out), (result), end_problem_);            \
    } while (0)

/* ---- asking ---- */

/* RFC7208-4.6.4: false when the term at hand is one too many. */
static bool count_lookup(struct check *c) {
    return ++c->verdict->lookups <= SPF_LOOKUPS_MAX;
}

static bool count_void(struct check *c) {
    return ++c->verdict->voids <= SPF_VOIDS_MAX;
}

/* The answer lives in scratch, until the next one. ERR_SYNTAX: not a name. */
static enum err ask(struct check *c, struct view name, uint16_t type, struct dns_answer *out) {
    arena_clear(c->scratch);
    struct clock *clock = c->env->clock;
    if (clock->mono_us(clock) >= c->deadline_us) { /* RFC7208-4.6.4: "SHOULD be temperror" */
        *out = (struct dns_answer){.status = DNS_TEMPORARY, .canonical = name};
        return ERR_OK;
    }
    TRY(dns_lookup(c->env->dns, name, type, c->scratch, out));
    if (out->security != DNS_SECURE)
        c->verdict->is_secure = false;
    return ERR_OK;
}

static uint16_t address_type(const struct check *c) {
    return c->ip.family == 4 ? DNS_A : DNS_AAAA;
}

/* RFC7208-5: "only the specified number of high-order bits" */
static bool in_network(const struct netaddr *ip, const struct netaddr *network, unsigned prefix) {
    if (ip->family != network->family)
        return false;
    for (unsigned i = 0; prefix > 0; i++) {
        unsigned bits = MIN(prefix, 8u);
        if ((ip->ip[i] ^ network->ip[i]) >> (8 - bits))
            return false;
        prefix -= bits;
    }
    return true;
}

static bool matches_addresses(const struct check *c, const struct dns_answer *answer, const struct spf_directive *d) {
    for (uint32_t i = 0; i < answer->data_n; i++) {
        struct netaddr found;
        enum err err = c->ip.family == 4 ? dns_rdata_a(answer->data[i].data, &found)
                                         : dns_rdata_aaaa(answer->data[i].data, &found);
        if (err == ERR_OK && in_network(&c->ip, &found, c->ip.family == 4 ? d->prefix4 : d->prefix6))
            return true;
    }
    return false;
}

/* Asks for the names of the client once, and keeps them. */
static enum err validate_client(struct check *c) {
    if (c->has_validated)
        return ERR_OK;
    arena_clear(c->scratch);
    TRY(dns_validate_names(c->env->dns, &c->ip, c->scratch, &c->validated));
    for (size_t i = 0; i < c->validated.n; i++)
        TRY(arena_view(c->arena, c->validated.names[i], &c->validated.names[i]));
    if (!c->validated.is_secure)
        c->verdict->is_secure = false;
    c->has_validated = true;
    return ERR_OK;
}

/* ---- names ---- */

/* Whether name is domain, or below it. */
static bool is_within(struct view name, struct view domain) {
    if (!view_ends_nocase(name, domain))
        return false;
    return name.n == domain.n || name.p[name.n - domain.n - 1] == '.';
}

/* RFC7208-7.3: %{p}: the domain itself, else one below it, else any, else "unknown". */
static enum err validated_name(void *ctx, struct view *out) {
    struct check *c = ctx;
    if (!c->has_validated && !count_lookup(c)) /* RFC7208-4.6.4: the %{p} macro counts */
        return ERR_PERMANENT;
    TRY(validate_client(c));
    const struct dns_validated *v = &c->validated;
    struct view domain = c->facts.domain, found = v->n ? v->names[0] : VIEW("unknown");
    bool is_below = false;
    for (size_t i = 0; i < v->n; i++) {
        if (view_eq_nocase(v->names[i], domain)) {
            *out = v->names[i];
            return ERR_OK;
        }
        if (!is_below && is_within(v->names[i], domain)) {
            found = v->names[i];
            is_below = true;
        }
    }
    *out = found;
    return ERR_OK;
}

/* RFC7208-7.3: labels go from the left until 253 octets are left. */
static struct view shorten(struct view name) {
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    while (name.n > DNS_NAME_TEXT_MAX) {
        struct view label, rest;
        if (!view_split(name, '.', &label, &rest))
            break;
        name = rest;
    }
    return name;
}

/* The target-name of a term (RFC7208-4.8), in the arena. ERR_SYNTAX: what comes out cannot be a name, ERR_PERMANENT: one
 * lookup too many. */
static enum err target(struct check *c, const struct level *level, struct view spec, struct view *out) {
    if (spec.n == 0) {
        *out = level->domain;
        return ERR_OK;
    }
    /* RFC8616-4: "terms that include %{s} or %{l} do not match anything" */
    if (!utf8_is_ascii(c->facts.local) && (spf_macro_uses(spec, 's') || spf_macro_uses(spec, 'l')))
        return ERR_SYNTAX;
    c->facts.domain = level->domain;
    struct buf text;
    buf_init(&text, EXPANSION_MAX);
    enum err err = spf_macro_expand(spec, &c->facts, SPF_MACRO_DOMAIN, &text);
    if (err == ERR_LIMIT)
        err = ERR_SYNTAX;
    if (err == ERR_OK)
        err = arena_view(c->arena, shorten(buf_view(&text)), out);
    if (err == ERR_OK && out->n == 0)
        err = ERR_SYNTAX;
    buf_fini(&text);
    return err;
}

/* RFC7208-4.3: a domain that can be asked about: well-formed, more than one label, no address literal. */
static bool is_checkable(struct view domain) {
    struct buf wire;
    buf_init(&wire, DNS_NAME_WIRE_MAX);
    bool ok = dns_name_to_wire(domain, &wire) == ERR_OK;
    buf_fini(&wire);
    ssize_t dot = view_find_byte(domain, '.');
    return ok && dot > 0 && (size_t)dot + 1 < domain.n && domain.p[0] != '[';
}

/* ---- mechanisms: *match is set, or *out when they end the evaluation (then *ends) ---- */

struct trial {
    struct check *c;
    const struct level *level;
    const struct spf_directive *d;
    struct view name; /* the target-name */
    bool match, ends;
    struct outcome outcome;
};

static enum err trial_ends(struct trial *t, enum spf_result result, struct view problem) {
    t->ends = true;
    return end(t->c, &t->outcome, result, problem);
}

#define TRIAL_ENDS(t, result, ...)                                    \
    do {                                                              \
        struct view end_problem_;                                     \
        TRY(arena_printf((t)->c->arena, &end_problem_, __VA_ARGS__)); \
        return trial_ends((t), (result), end_problem_);               \
    } while (0)

static enum err too_many_voids(struct trial *t) {
    return trial_ends(t, SPF_PERMERROR, VIEW("more than two lookups found nothing (RFC 7208, section 4.6.4)"));
}

static enum err no_answer(struct trial *t, struct view name, const char *type) {
    TRIAL_ENDS(t, SPF_TEMPERROR, "no answer from DNS for %s of %.*s", type, VIEW_FMT(name));
}

/* Asks for the target. False in *go_on: it cannot be there, does not answer, or is void once too often. */
static enum err ask_target(struct trial *t, uint16_t type, const char *type_name, struct dns_answer *answer,
                           bool *go_on) {
    *go_on = false;
    enum err err = ask(t->c, t->name, type, answer);
    if (err == ERR_SYNTAX) /* RFC7208-4.8: treated as not-match */
        return tell(t->c, t->level, t->d->text, "%.*s is no domain name: no match", VIEW_FMT(t->name));
    TRY(err);
    if (answer->status == DNS_TEMPORARY)
        return no_answer(t, t->name, type_name);
    if (answer->status != DNS_OK) {
        if (!count_void(t->c))
            return too_many_voids(t);
        return tell(t->c, t->level, t->d->text, "%.*s has no %s record: no match", VIEW_FMT(t->name), type_name);
    }
    *go_on = true;
    return ERR_OK;
}

static const char *address_type_name(const struct check *c) {
    return c->ip.family == 4 ? "A" : "AAAA";
}

static enum err tell_addresses(struct trial *t, struct view host, uint32_t n) {
    return tell(t->c, t->level, t->d->text, "%.*s has %u %s record%s: %s", VIEW_FMT(host), n, address_type_name(t->c),
                n == 1 ? "" : "s", t->match ? "match" : "no match");
}

/* RFC7208-5.3 */
static enum err try_a(struct trial *t) {
    struct dns_answer answer;
    bool go_on;
    TRY(ask_target(t, address_type(t->c), address_type_name(t->c), &answer, &go_on));
    if (!go_on)
        return ERR_OK;
    t->match = matches_addresses(t->c, &answer, t->d);
    return tell_addresses(t, t->name, answer.data_n);
}

/* RFC7208-5.7: an A record, "even when the connection type is IPv6" */
static enum err try_exists(struct trial *t) {
    struct dns_answer answer;
    TRY(ask_target(t, DNS_A, "A", &answer, &t->match));
    return t->match ? tell(t->c, t->level, t->d->text, "%.*s exists: match", VIEW_FMT(t->name)) : ERR_OK;
}

static enum err try_exchange(struct trial *t, struct view exchange, bool *has_address) {
    struct dns_answer answer;
    enum err err = ask(t->c, exchange, address_type(t->c), &answer);
    if (err == ERR_SYNTAX)
        return ERR_OK;
    TRY(err);
    if (answer.status == DNS_TEMPORARY)
        return no_answer(t, exchange, address_type_name(t->c));
    *has_address = *has_address || answer.status == DNS_OK;
    t->match = answer.status == DNS_OK && matches_addresses(t->c, &answer, t->d);
    return tell_addresses(t, exchange, answer.data_n);
}

/* RFC7208-5.4 */
static enum err try_mx(struct trial *t) {
    struct dns_answer answer;
    bool go_on;
    TRY(ask_target(t, DNS_MX, "MX", &answer, &go_on));
    if (!go_on)
        return ERR_OK;
    if (answer.data_n > SPF_NAMES_MAX)
        TRIAL_ENDS(t, SPF_PERMERROR, "%.*s has %u MX records, more than ten (RFC 7208, section 4.6.4)",
                   VIEW_FMT(t->name), answer.data_n);
    struct view exchanges[SPF_NAMES_MAX];
    size_t n = 0;
    for (uint32_t i = 0; i < answer.data_n; i++) {
        struct dns_mx mx;
        enum err err = dns_rdata_mx(answer.data[i].data, t->c->arena, &mx);
        if (err == ERR_OK && !view_eq(mx.exchange, VIEW("."))) /* RFC7505-3: takes no mail */
            exchanges[n++] = mx.exchange;
        else if (err != ERR_OK && err != ERR_SYNTAX)
            return err;
    }
    bool has_address = n == 0; /* a null MX is an answer */
    for (size_t i = 0; i < n && !t->match && !t->ends; i++)
        TRY(try_exchange(t, exchanges[i], &has_address));
    /* RFC7208-4.6.4 counts terms: one whose hosts are all without an address has found nothing. */
    return has_address || t->ends || count_void(t->c) ? ERR_OK : too_many_voids(t);
}

/* RFC7208-5.5 */
static enum err try_ptr(struct trial *t) {
    struct check *c = t->c;
    TRY(validate_client(c));
    const struct dns_validated *v = &c->validated;
    for (size_t i = 0; i < v->n; i++) {
        if (!is_within(v->names[i], t->name))
            continue;
        t->match = true;
        return tell(c, t->level, t->d->text, "the client is %.*s: match", VIEW_FMT(v->names[i]));
    }
    bool is_void = v->status == DNS_NXDOMAIN || v->status == DNS_NODATA;
    if (is_void && !count_void(c))
        return too_many_voids(t);
    return tell(c, t->level, t->d->text, "the client has %zu name%s that lead%s back to it, none below %.*s: no match",
                v->n, v->n == 1 ? "" : "s", v->n == 1 ? "s" : "", VIEW_FMT(t->name));
}

static enum err check_host(struct check *c, const struct level *level, struct outcome *out);

/* RFC7208-5.2: the table of results */
static enum err try_include(struct trial *t) {
    struct level below = {.domain = t->name, .depth = t->level->depth + 1, .is_included = true};
    struct outcome found;
    TRY(tell(t->c, t->level, t->d->text, "asking %.*s", VIEW_FMT(t->name)));
    TRY(check_host(t->c, &below, &found));
    switch (found.result) {
    case SPF_PASS:
        t->match = true;
        break;
    case SPF_TEMPERROR:
    case SPF_PERMERROR:
        return trial_ends(t, found.result, VIEW("an included record has an error"));
    case SPF_NONE:
        TRIAL_ENDS(t, SPF_PERMERROR, "%.*s, which is included, has no SPF record", VIEW_FMT(t->name));
    default:
        break;
    }
    return tell(t->c, t->level, t->d->text, "%.*s says %s: %s", VIEW_FMT(t->name), spf_result_name(found.result),
                t->match ? "match" : "no match");
}

static enum err try_network(struct trial *t) {
    t->match = in_network(&t->c->ip, &t->d->network, t->d->mechanism == SPF_IP4 ? t->d->prefix4 : t->d->prefix6);
    return tell(t->c, t->level, t->d->text, t->match ? "match" : "no match");
}

static enum err try_all(struct trial *t) {
    t->match = true;
    return tell(t->c, t->level, t->d->text, "match");
}

static enum err try_directive(struct trial *t) {
    static enum err (*const tries[])(struct trial *) = {
        [SPF_ALL] = try_all, [SPF_INCLUDE] = try_include, [SPF_A] = try_a,         [SPF_MX] = try_mx,
        [SPF_PTR] = try_ptr, [SPF_IP4] = try_network,     [SPF_IP6] = try_network, [SPF_EXISTS] = try_exists,
    };
    enum spf_mechanism m = t->d->mechanism;
    bool asks = m != SPF_ALL && m != SPF_IP4 && m != SPF_IP6;
    if (asks) {
        enum err err = count_lookup(t->c) ? target(t->c, t->level, t->d->domain_spec, &t->name) : ERR_PERMANENT;
        if (err == ERR_PERMANENT)
            return trial_ends(t, SPF_PERMERROR, VIEW("more than ten terms that ask DNS (RFC 7208, section 4.6.4)"));
        if (err == ERR_SYNTAX && m == SPF_INCLUDE && utf8_is_ascii(t->c->facts.local))
            return trial_ends(t, SPF_PERMERROR, VIEW("an include leads to no domain name"));
        if (err == ERR_SYNTAX)
            return tell(t->c, t->level, t->d->text, "leads to no domain name: no match");
        TRY(err);
    }
    return tries[m](t);
}

/* ---- explanations ---- */

static bool is_printable(struct view v) {
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < ' ' || v.p[i] >= 0x7f)
            return false;
    return true;
}

/* The one TXT record there, or nothing: RFC7208-6.2 goes on "as if no exp modifier was given" after any trouble. */
static enum err fetch_explanation(struct check *c, struct view name, struct view *out) {
    struct dns_answer answer;
    bool was_secure = c->verdict->is_secure; /* it decides nothing */
    enum err err = ask(c, name, DNS_TXT, &answer);
    c->verdict->is_secure = was_secure;
    *out = VIEW_NONE;
    if (err == ERR_SYNTAX)
        return ERR_OK;
    TRY(err);
    if (answer.status != DNS_OK || answer.data_n != 1)
        return ERR_OK;
    err = dns_rdata_txt(answer.data[0].data, c->scratch, out);
    if (err == ERR_SYNTAX || (err == ERR_OK && (out->n > EXPANSION_MAX || !is_printable(*out)))) {
        *out = VIEW_NONE;
        return ERR_OK;
    }
    TRY(err);
    return arena_view(c->arena, *out, out);
}

static enum err explain(struct check *c, const struct level *level, struct view spec) {
    struct view name, text;
    unsigned lookups = c->verdict->lookups;
    enum err err = target(c, level, spec, &name);
    if (err == ERR_OK)
        err = fetch_explanation(c, name, &text);
    if (err == ERR_OK && text.n) {
        struct buf words;
        buf_init(&words, EXPANSION_MAX);
        c->facts.domain = level->domain;
        err = spf_macro_expand(text, &c->facts, SPF_MACRO_EXPLANATION, &words);
        /* RFC7208-6.2: "MUST be limited to [US-ASCII]"; a sender's own octets come in by macros. */
        if (err == ERR_OK && is_printable(buf_view(&words)))
            err = arena_view(c->arena, view_sub(buf_view(&words), 0, SPF_EXPLANATION_MAX), &c->verdict->explanation);
        buf_fini(&words);
    }
    c->verdict->lookups = lookups; /* the evaluation was over */
    return err == ERR_SYNTAX || err == ERR_LIMIT || err == ERR_PERMANENT ? ERR_OK : err;
}

/* ---- a record ---- */

/* RFC7208-6.1 */
static enum err redirect(struct check *c, const struct level *level, const struct spf_record *record,
                         struct outcome *out) {
    struct level next = {.depth = level->depth + 1, .is_included = level->is_included};
    enum err err = count_lookup(c) ? target(c, level, record->redirect, &next.domain) : ERR_PERMANENT;
    if (err == ERR_PERMANENT)
        END(c, out, SPF_PERMERROR, "more than ten terms that ask DNS (RFC 7208, section 4.6.4)");
    if (err == ERR_SYNTAX)
        END(c, out, SPF_PERMERROR, "a redirect leads to no domain name");
    TRY(err);
    TRY(tell(c, level, record->redirect_text, "nothing matched: asking %.*s instead", VIEW_FMT(next.domain)));
    TRY(check_host(c, &next, out));
    if (out->result == SPF_NONE)
        END(c, out, SPF_PERMERROR, "%.*s, to which %.*s redirects, has no SPF record", VIEW_FMT(next.domain),
            VIEW_FMT(level->domain));
    return ERR_OK;
}

static enum err evaluate(struct check *c, const struct level *level, const struct spf_record *record,
                         struct outcome *out) {
    for (size_t i = 0; i < record->n; i++) {
        const struct spf_directive *d = &record->directives[i];
        struct trial t = {.c = c, .level = level, .d = d};
        TRY(try_directive(&t));
        if (t.ends) {
            *out = t.outcome;
            return tell(c, level, d->text, "%s: %.*s", spf_result_name(out->result), VIEW_FMT(c->verdict->problem));
        }
        if (!t.match)
            continue;
        *out = (struct outcome){d->qualifier, d->text, level->domain};
        if (d->qualifier == SPF_FAIL && record->exp.n && !level->is_included)
            TRY(explain(c, level, record->exp));
        return ERR_OK;
    }
    if (record->redirect.n && !record->has_all)
        return redirect(c, level, record, out);
    *out = (struct outcome){.result = SPF_NEUTRAL}; /* RFC7208-4.7 */
    return tell(c, level, VIEW_NONE, "nothing matched: neutral");
}

/* RFC7208-4.5: the one record among the answer's texts; n says how many there were. */
static enum err select_record(struct check *c, const struct dns_answer *answer, struct view *out, size_t *n) {
    *n = 0;
    for (uint32_t i = 0; i < answer->data_n; i++) {
        struct view text;
        enum err err = dns_rdata_txt(answer->data[i].data, c->scratch, &text);
        if (err == ERR_SYNTAX || (err == ERR_OK && !spf_is_record(text)))
            continue;
        TRY(err);
        if ((*n)++ == 0)
            TRY(arena_view(c->arena, view_sub(text, 0, SPF_RECORD_MAX + 1), out));
    }
    return ERR_OK;
}

static enum err check_host(struct check *c, const struct level *level, struct outcome *out) {
    *out = (struct outcome){.result = SPF_NONE};
    if (!is_checkable(level->domain))
        return tell(c, level, VIEW_NONE, "not a domain name with more than one label: none");
    struct dns_answer answer;
    TRY(ask(c, level->domain, DNS_TXT, &answer));
    if (answer.status == DNS_TEMPORARY) {
        TRY(tell(c, level, VIEW_NONE, "no answer from DNS: temperror"));
        END(c, out, SPF_TEMPERROR, "no answer from DNS for TXT of %.*s", VIEW_FMT(level->domain));
    }
    struct view text;
    size_t n;
    TRY(select_record(c, &answer, &text, &n));
    if (n == 0)
        return tell(c, level, VIEW_NONE, "%s",
                    answer.status == DNS_NXDOMAIN ? "there is no such domain: none" : "no SPF record: none");
    if (n > 1) {
        TRY(tell(c, level, VIEW_NONE, "%zu SPF records where one may be: permerror", n));
        END(c, out, SPF_PERMERROR, "%.*s has %zu SPF records where one may be", VIEW_FMT(level->domain), n);
    }
    if (is_printable(text))
        TRY(tell(c, level, VIEW_NONE, "%.*s", (int)MIN(text.n, (size_t)TEXT_MAX), (const char *)text.p));
    struct spf_record record;
    struct view problem;
    enum err err = spf_record_parse(text, c->arena, &record, &problem);
    if (err == ERR_SYNTAX) { /* RFC7208-4.6: "any syntax errors anywhere in the record" */
        TRY(tell(c, level, VIEW_NONE, "permerror: %.*s", VIEW_FMT(problem)));
        END(c, out, SPF_PERMERROR, "in the record of %.*s, %.*s", VIEW_FMT(level->domain), VIEW_FMT(problem));
    }
    TRY(err);
    return evaluate(c, level, &record, out);
}

/* ---- the query ---- */

/* RFC7208-2.4, RFC7208-4.3: who is asked about. */
static enum err set_sender(struct check *c, const struct spf_query *query, struct view *domain) {
    struct view local = VIEW_NONE;
    *domain = query->helo;
    if (query->identity == SPF_MAIL_FROM && query->mail_from.n) {
        ssize_t at = view_rfind_byte(query->mail_from, '@');
        *domain = view_skip(query->mail_from, (size_t)(at + 1));
        if (at > 0)
            local = view_sub(query->mail_from, 0, (size_t)at);
    }
    if (local.n == 0)
        local = VIEW("postmaster");
    /* RFC8616-4: "All U-labels MUST be converted to A-labels" */
    enum err err = dns_idna_to_ascii(*domain, c->arena, domain);
    if (err == ERR_SYNTAX)
        err = arena_view(c->arena, *domain, domain); /* as it came: no name, so the verdict is none */
    TRY(err);
    struct view helo;
    err = dns_idna_to_ascii(query->helo, c->arena, &helo);
    if (err == ERR_SYNTAX)
        helo = query->helo;
    else
        TRY(err);
    c->facts.local = local;
    c->facts.sender_domain = *domain;
    c->facts.helo = helo;
    size_t n = local.n + 1 + domain->n;
    uint8_t *sender = arena_alloc(c->arena, n);
    if (!sender)
        return ERR_NO_MEMORY;
    memcpy(sender, local.p, local.n);
    sender[local.n] = '@';
    if (domain->n)
        memcpy(sender + local.n + 1, domain->p, domain->n);
    c->facts.sender = view_of(sender, n);
    return ERR_OK;
}

static enum err keep_steps(struct check *c) {
    if (c->steps.n == 0)
        return ERR_OK;
    struct spf_step *steps = ARENA_ARRAY(c->arena, c->steps.n, struct spf_step);
    if (!steps)
        return ERR_NO_MEMORY;
    memcpy(steps, c->steps.p, c->steps.n * sizeof(*steps));
    c->verdict->steps = steps;
    c->verdict->steps_n = c->steps.n;
    return ERR_OK;
}

static enum err run(struct check *c, const struct spf_query *query) {
    struct spf_verdict *verdict = c->verdict;
    struct level top = {.depth = 0};
    TRY(set_sender(c, query, &top.domain));
    verdict->domain = top.domain;
    verdict->sender = c->facts.sender;
    struct outcome outcome;
    TRY(check_host(c, &top, &outcome));
    verdict->result = outcome.result;
    verdict->mechanism = outcome.mechanism;
    verdict->mechanism_domain = outcome.mechanism_domain;
    if (outcome.result != SPF_TEMPERROR && outcome.result != SPF_PERMERROR)
        verdict->problem = VIEW_NONE;
    return keep_steps(c);
}

enum err spf_check(const struct spf_env *env, const struct spf_query *query, struct arena *arena,
                   struct spf_verdict *out) {
    struct spf_verdict verdict = {.identity = query->identity, .is_secure = true};
    struct check c = {.env = env, .arena = arena, .ip = netaddr_unmapped(&query->ip), .verdict = &verdict};
    c.ip.port = 0;
    c.deadline_us = env->clock->mono_us(env->clock) + SPF_TIME_US;
    c.facts.ip = c.ip;
    c.facts.receiver = env->receiver;
    c.facts.now_s = env->clock->wall_us(env->clock) / US_PER_S;
    c.facts.validated_name = validated_name;
    c.facts.ctx = &c;
    c.steps = VEC_OF(struct spf_step, SPF_STEPS_MAX);
    c.scratch = arena_new("spf.lookup", SCRATCH_BUDGET);
    enum err err = c.scratch ? run(&c, query) : ERR_NO_MEMORY;
    vec_fini(&c.steps);
    arena_free(c.scratch);
    if (err == ERR_OK)
        *out = verdict;
    return err;
}
