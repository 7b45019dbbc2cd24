/* Policies of MTA-STS: read, matched, written. */
#include "mtasts/mtasts.h"

#include "base/reader.h"
#include "base/utf8.h"
#include "dns/name.h"

#include <string.h>

/* FNV-1a, 64 bits: an id must only differ when the policy does, by the same owner. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

enum policy_field { FIELD_VERSION = 1, FIELD_MODE = 2, FIELD_MAX_AGE = 4 };

struct parser {
    struct arena *arena;
    struct mtasts_policy policy;
    struct view *mx;
    size_t mx_room;
    unsigned seen; /* enum policy_field */
    const char *why;
};

static enum err say(struct parser *p, const char *why) {
    p->why = why;
    return ERR_SYNTAX;
}

bool mtasts_pattern_is_one(struct view pattern) {
    struct buf wire;
    if (view_starts(pattern, VIEW("*.")))
        pattern = view_skip(pattern, 2);
    /* RFC5321-4.1.2: Domain is of letters, digits and hyphens; the final dot is not part of it. */
    for (size_t i = 0; i < pattern.n; i++)
        if (!ascii_is_alnum(pattern.p[i]) && pattern.p[i] != '-' && pattern.p[i] != '.' && pattern.p[i] != '_')
            return false;
    if (pattern.n == 0 || view_ends(pattern, VIEW(".")))
        return false;
    buf_init(&wire, DNS_NAME_WIRE_MAX);
    enum err err = dns_name_to_wire(pattern, &wire);
    buf_fini(&wire);
    return err == ERR_OK;
}

static enum err take_mx(struct parser *p, struct view value) {
    if (!mtasts_pattern_is_one(value))
        return say(p, "an mx is no host name or *. and a domain");
    if (p->policy.mx_n == MTASTS_MX_MAX)
        return say(p, "there are too many mx lines");
    if (p->policy.mx_n == p->mx_room) {
        size_t room = p->mx_room ? 2 * p->mx_room : 8;
        struct view *grown = arena_grow(p->arena, p->mx, p->mx_room, room, sizeof(*grown));
        if (!grown)
            return ERR_LIMIT;
        p->mx = grown;
        p->mx_room = room;
    }
    uint8_t *lower = arena_alloc(p->arena, value.n);
    if (!lower)
        return ERR_LIMIT;
    for (size_t i = 0; i < value.n; i++)
        lower[i] = ascii_lower(value.p[i]);
    p->mx[p->policy.mx_n++] = view_of(lower, value.n);
    return ERR_OK;
}

static enum err take_mode(struct parser *p, struct view value) {
    static const enum mtasts_mode modes[] = {MTASTS_NONE, MTASTS_TESTING, MTASTS_ENFORCE};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (view_eq(value, view_cstr(mtasts_mode_name(modes[i])))) {
            p->policy.mode = modes[i];
            return ERR_OK;
        }
    return say(p, "the mode is not enforce, testing or none");
}

static enum err take_max_age(struct parser *p, struct view value) {
    enum err err = view_to_u32(value, MTASTS_MAX_AGE_MAX, &p->policy.max_age_s);
    if (value.n > 10 || err == ERR_SYNTAX) /* RFC8461-3.2: 1*10(DIGIT) */
        return say(p, "max_age is no number of seconds");
    if (err == ERR_LIMIT)
        p->policy.max_age_s = MTASTS_MAX_AGE_MAX;
    return ERR_OK;
}

static enum err take_field(struct parser *p, struct view name, struct view value) {
    static const struct {
        const char *name;
        enum policy_field field;
        enum err (*take)(struct parser *p, struct view value);
    } fields[] = {{"mode", FIELD_MODE, take_mode}, {"max_age", FIELD_MAX_AGE, take_max_age}};
    if (view_eq(name, VIEW("mx")))
        return take_mx(p, value);
    if (view_eq(name, VIEW("version"))) {
        if (!(p->seen & FIELD_VERSION) && !view_eq(value, VIEW("STSv1")))
            return say(p, "the version is not STSv1");
        p->seen |= FIELD_VERSION;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (view_eq(name, view_cstr(fields[i].name)) && !(p->seen & fields[i].field)) {
            p->seen |= fields[i].field;
            return fields[i].take(p, value);
        }
    return ERR_OK;
}

static bool is_name_octet(uint8_t c) {
    return ascii_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

/* RFC8461-3.2, sts-policy-ext-value: no control characters, UTF-8 */
static bool is_text(struct view value) {
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < ' ' || value.p[i] == 0x7f)
            return false;
    return value.n > 0 && utf8_is_valid(value);
}

static enum err take_line(struct parser *p, struct view line) {
    struct reader r = reader_of(line);
    struct view name = reader_while(&r, is_name_octet);
    if (name.n == 0 || name.n > MTASTS_NAME_MAX || !ascii_is_alnum(name.p[0]) || !reader_accept(&r, ':'))
        return say(p, "a line is not a name, a colon and a value");
    (void)reader_while(&r, is_blank);
    struct view value = reader_rest(&r);
    while (value.n && is_blank(value.p[value.n - 1]))
        value.n--;
    if (!is_text(value))
        return say(p, "a line has no value, or octets that are no text");
    return take_field(p, name, value);
}

/* Takes the first line off, without its end. */
static struct view next_line(struct view *text) {
    struct view line;
    (void)view_split(*text, '\n', &line, text);
    if (view_ends(line, VIEW("\r")))
        line.n--;
    return line;
}

static enum err parse(struct parser *p, struct view text) {
    while (text.n) {
        struct view line = next_line(&text);
        /* Empty lines are not in the grammar, and at the end of many policies. */
        if (line.n)
            TRY(take_line(p, line));
    }
    if (!(p->seen & FIELD_VERSION))
        return say(p, "there is no version");
    if (!(p->seen & FIELD_MODE))
        return say(p, "there is no mode");
    if (!(p->seen & FIELD_MAX_AGE))
        return say(p, "there is no max_age");
    if (p->policy.mx_n == 0 && p->policy.mode != MTASTS_NONE)
        return say(p, "there is no mx, and the mode is not none");
    return ERR_OK;
}

enum err mtasts_policy_parse(struct arena *arena, struct view text, struct mtasts_policy *out, const char **why) {
    struct parser p = {.arena = arena};
    if (text.n > MTASTS_POLICY_MAX) {
        *why = "it is larger than 64 KiB";
        return ERR_LIMIT;
    }
    enum err err = parse(&p, text);
    if (err != ERR_OK) {
        *why = p.why ? p.why : "it is too much to hold";
        return err;
    }
    p.policy.mx = p.mx;
    *out = p.policy;
    return ERR_OK;
}

size_t mtasts_policy_lines(struct view text, struct view *lines, size_t max) {
    size_t n = 0;
    while (text.n && n < max) {
        struct view line = view_trim(next_line(&text));
        if (line.n)
            lines[n++] = line;
    }
    return n;
}

bool mtasts_media_type_is_right(struct view content_type) {
    struct view type, parameters;
    (void)view_split(content_type, ';', &type, &parameters);
    return view_eq_nocase(view_trim(type), VIEW("text/plain"));
}

bool mtasts_policy_has(const struct mtasts_policy *policy, struct view host) {
    if (view_ends(host, VIEW(".")))
        host.n--;
    struct view label, parent;
    bool has_parent = view_split(host, '.', &label, &parent) && label.n && parent.n;
    for (size_t i = 0; i < policy->mx_n; i++) {
        struct view pattern = policy->mx[i];
        /* RFC8461-4.1: the wildcard is the entire left-most label */
        if (view_starts(pattern, VIEW("*.")) ? has_parent && view_eq_nocase(parent, view_skip(pattern, 2))
                                             : view_eq_nocase(host, pattern))
            return true;
    }
    return false;
}

enum mtasts_action mtasts_action(const struct mtasts_policy *policy, struct view host) {
    if (!policy || policy->mode == MTASTS_NONE)
        return MTASTS_NO_MATTER;
    bool is_listed = mtasts_policy_has(policy, host);
    if (policy->mode == MTASTS_TESTING)
        return is_listed ? MTASTS_TEST : MTASTS_TEST_NOT_LISTED;
    return is_listed ? MTASTS_VERIFY : MTASTS_NOT_LISTED;
}

const char *mtasts_mode_name(enum mtasts_mode mode) {
    static const char *const names[] = {"none", "testing", "enforce"};
    return names[mode];
}

void buf_put_mtasts_url(struct buf *buf, struct view domain) {
    buf_put_str(buf, "https://mta-sts.");
    buf_put(buf, domain);
    buf_put_str(buf, "/.well-known/mta-sts.txt");
}

void buf_put_mtasts_policy(struct buf *buf, const struct mtasts_policy *policy) {
    buf_printf(buf, "version: STSv1\r\nmode: %s\r\n", mtasts_mode_name(policy->mode));
    for (size_t i = 0; i < policy->mx_n; i++) {
        buf_put_str(buf, "mx: ");
        buf_put(buf, policy->mx[i]);
        buf_put_str(buf, "\r\n");
    }
    buf_printf(buf, "max_age: %u\r\n", policy->max_age_s);
}

void buf_put_mtasts_id(struct buf *buf, const struct mtasts_policy *policy) {
    struct buf text;
    uint64_t hash = HASH_START;
    buf_init(&text, 2 * MTASTS_POLICY_MAX);
    buf_put_mtasts_policy(&text, policy);
    for (size_t i = 0; i < text.n; i++)
        hash = (hash ^ text.p[i]) * HASH_PRIME;
    if (buf_err(&text) != ERR_OK)
        buf->err = buf_err(&text);
    else
        buf_printf(buf, "%016llx", (unsigned long long)hash);
    buf_fini(&text);
}
