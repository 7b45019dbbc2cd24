/* The grammar of SPF records. */
#include "spf/record.h"

#include "base/log.h"
#include "base/vec.h"
#include "spf/macro.h"

#define TERM_SHOWN_MAX 100 /* octets of a faulty term in a sentence */

struct parser {
    struct arena *arena;
    struct spf_record *record;
    struct vec terms; /* struct spf_directive */
    struct view term; /* the one at hand */
    struct view *problem;
};

static const struct {
    const char *name;
    bool needs_domain, has_domain, has_prefix;
} mechanisms[] = {
    [SPF_ALL] = {"all", false, false, false}, [SPF_INCLUDE] = {"include", true, true, false},
    [SPF_A] = {"a", false, true, true},       [SPF_MX] = {"mx", false, true, true},
    [SPF_PTR] = {"ptr", false, true, false},  [SPF_IP4] = {"ip4", false, false, false},
    [SPF_IP6] = {"ip6", false, false, false}, [SPF_EXISTS] = {"exists", true, true, false},
};

static enum err complain(struct parser *p, const char *what) {
    struct buf text;
    buf_init(&text, 1000);
    buf_put_str(&text, "\"");
    buf_put_escaped(&text, view_sub(p->term, 0, TERM_SHOWN_MAX), 4 * TERM_SHOWN_MAX);
    buf_put_str(&text, p->term.n > TERM_SHOWN_MAX ? "...\" " : "\" ");
    buf_put_str(&text, what);
    enum err err = buf_err(&text);
    if (err == ERR_OK)
        err = arena_view(p->arena, buf_view(&text), p->problem);
    buf_fini(&text);
    return err == ERR_OK ? ERR_SYNTAX : err;
}

/* RFC7208-5.6: "0", or digits without a leading zero. */
static bool read_prefix(struct view digits, uint32_t max, uint8_t *out) {
    uint32_t value;
    if (digits.n == 0 || (digits.n > 1 && digits.p[0] == '0') || view_to_u32(digits, max, &value) != ERR_OK)
        return false;
    *out = (uint8_t)value;
    return true;
}

/* The digits at the end of *text that follow `slashes`, cut off with them. */
static bool cut_digits(struct view *text, struct view slashes, struct view *digits) {
    size_t n = 0;
    while (n < text->n && ascii_is_digit(text->p[text->n - 1 - n]))
        n++;
    struct view head = view_sub(*text, 0, text->n - n);
    if (n == 0 || !view_ends(head, slashes))
        return false;
    *digits = view_skip(*text, text->n - n);
    *text = view_sub(head, 0, head.n - slashes.n);
    return true;
}

/* RFC7208-5.6: dual-cidr-length, at the end of *text. What is no prefix length stays there, and is no domain-spec. */
static bool cut_dual_prefix(struct view *text, struct spf_directive *d) {
    struct view digits;
    if (cut_digits(text, VIEW("//"), &digits) && !read_prefix(digits, 128, &d->prefix6))
        return false;
    return !cut_digits(text, VIEW("/"), &digits) || read_prefix(digits, 32, &d->prefix4);
}

static bool only(struct view text, struct view more) {
    for (size_t i = 0; i < text.n; i++)
        if (!ascii_is_digit(text.p[i]) && view_find_byte(more, ascii_lower(text.p[i])) < 0)
            return false;
    return true;
}

/* RFC7208-5.6 */
static enum err parse_network(struct parser *p, struct view argument, struct spf_directive *d) {
    bool is_v4 = d->mechanism == SPF_IP4;
    struct view address, digits;
    bool has_prefix = view_split(argument, '/', &address, &digits);
    if (has_prefix && !read_prefix(digits, is_v4 ? 32 : 128, is_v4 ? &d->prefix4 : &d->prefix6))
        return complain(p, "has a wrong prefix length.");
    /* Neither brackets, ports nor zones, which other texts of addresses may have. */
    if (!only(address, is_v4 ? VIEW(".") : VIEW("abcdef:.")) || netaddr_parse(address, 0, &d->network) != ERR_OK ||
        d->network.family != (is_v4 ? 4 : 6))
        return complain(p, is_v4 ? "needs an IPv4 address." : "needs an IPv6 address.");
    return ERR_OK;
}

static enum err parse_argument(struct parser *p, struct view rest, struct spf_directive *d) {
    enum spf_mechanism m = d->mechanism;
    if (m == SPF_IP4 || m == SPF_IP6) {
        if (rest.n == 0 || rest.p[0] != ':')
            return complain(p, "needs an address after a colon.");
        return parse_network(p, view_skip(rest, 1), d);
    }
    if (mechanisms[m].has_prefix && !cut_dual_prefix(&rest, d))
        return complain(p, "has a wrong prefix length.");
    if (rest.n == 0)
        return mechanisms[m].needs_domain ? complain(p, "needs a domain after a colon.") : ERR_OK;
    if (!mechanisms[m].has_domain)
        return complain(p, "takes no argument.");
    if (rest.p[0] != ':')
        return complain(p, "has a wrong prefix length.");
    d->domain_spec = view_skip(rest, 1);
    if (spf_macro_check_domain(d->domain_spec) != ERR_OK)
        return complain(p, "has no well-formed domain.");
    return ERR_OK;
}

static bool cut_qualifier(struct view *term, enum spf_result *out) {
    static const char letters[] = "+-~?";
    static const enum spf_result results[] = {SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_NEUTRAL};
    for (size_t i = 0; i < ARRAY_LEN(results); i++) {
        if (term->n == 0 || term->p[0] != (uint8_t)letters[i])
            continue;
        *out = results[i];
        *term = view_skip(*term, 1);
        return true;
    }
    return false;
}

/* RFC7208-4.6.1: directive */
static enum err parse_directive(struct parser *p) {
    struct view rest = p->term;
    struct spf_directive d = {.qualifier = SPF_PASS, .text = p->term, .prefix4 = 32, .prefix6 = 128};
    (void)cut_qualifier(&rest, &d.qualifier);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != ':' && rest.p[n] != '/')
        n++;
    struct view name = view_sub(rest, 0, n);
    size_t m = 0;
    while (m < ARRAY_LEN(mechanisms) && !view_eq_nocase(name, view_cstr(mechanisms[m].name)))
        m++;
    if (m == ARRAY_LEN(mechanisms))
        return complain(p, "is no known mechanism.");
    d.mechanism = (enum spf_mechanism)m;
    TRY(parse_argument(p, view_skip(rest, n), &d));
    struct spf_directive *slot = vec_add(&p->terms);
    if (!slot)
        return p->terms.n >= SPF_TERMS_MAX ? complain(p, "is one term too many.") : ERR_NO_MEMORY;
    *slot = d;
    p->record->has_all = p->record->has_all || m == SPF_ALL;
    return ERR_OK;
}

/* RFC7208-6: "These two modifiers MUST NOT appear in a record more than once each." */
static enum err parse_modifier(struct parser *p, struct view name, struct view value) {
    bool is_redirect = view_eq_nocase(name, VIEW("redirect")), is_exp = view_eq_nocase(name, VIEW("exp"));
    if (!is_redirect && !is_exp) /* RFC7208-6: "Unrecognized modifiers MUST be ignored", if they are well-formed */
        return spf_macro_check(value, SPF_MACRO_EXPLANATION) == ERR_OK ? ERR_OK : complain(p, "has a wrong macro.");
    struct view *slot = is_redirect ? &p->record->redirect : &p->record->exp;
    if (slot->n)
        return complain(p, "is there twice.");
    if (spf_macro_check_domain(value) != ERR_OK)
        return complain(p, "has no well-formed domain.");
    *slot = value;
    if (is_redirect)
        p->record->redirect_text = p->term;
    return ERR_OK;
}

/* RFC7208-4.6.1: a name, and '=' immediately after it, make a modifier. */
static bool is_modifier(struct view term, struct view *name, struct view *value) {
    size_t n = 0;
    while (n < term.n && (ascii_is_alnum(term.p[n]) || term.p[n] == '-' || term.p[n] == '_' || term.p[n] == '.'))
        n++;
    if (n == 0 || n == term.n || term.p[n] != '=' || !ascii_is_alpha(term.p[0]))
        return false;
    *name = view_sub(term, 0, n);
    *value = view_skip(term, n + 1);
    return true;
}

static enum err parse_terms(struct parser *p, struct view rest) {
    for (bool more = true; more;) {
        more = view_split(rest, ' ', &p->term, &rest);
        if (p->term.n == 0)
            continue;
        struct view name, value;
        TRY(is_modifier(p->term, &name, &value) ? parse_modifier(p, name, value) : parse_directive(p));
    }
    return ERR_OK;
}

bool spf_is_record(struct view text) {
    return view_starts_nocase(text, VIEW("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

enum err spf_record_parse(struct view text, struct arena *arena, struct spf_record *out, struct view *problem) {
    struct spf_record record = {.n = 0};
    struct parser p = {.arena = arena, .record = &record, .problem = problem, .term = text};
    if (!spf_is_record(text))
        return complain(&p, "does not begin with v=spf1.");
    if (text.n > SPF_RECORD_MAX)
        return complain(&p, "is too long for a record.");
    p.terms = VEC_OF(struct spf_directive, SPF_TERMS_MAX);
    enum err err = parse_terms(&p, view_skip(text, 6));
    if (err == ERR_OK) {
        record.n = p.terms.n;
        record.directives = ARENA_ARRAY(arena, record.n + 1, struct spf_directive);
        if (!record.directives)
            err = ERR_NO_MEMORY;
    }
    if (err == ERR_OK) {
        for (size_t i = 0; i < record.n; i++)
            record.directives[i] = *VEC_AT(&p.terms, struct spf_directive, i);
        *out = record;
    }
    vec_fini(&p.terms);
    return err;
}
