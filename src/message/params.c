/* Parameters of MIME fields, as tolerant as real mail needs. */
#include "message/params.h"

#include <string.h>

size_t mime_skip_cfws(struct view value, size_t at) {
    struct view v = value;
    while (at < v.n) {
        if (ascii_is_space(v.p[at])) {
            at++;
        } else if (v.p[at] == '(') {
            size_t depth = 0;
            while (at < v.n) {
                uint8_t c = v.p[at++];
                if (c == '\\' && at < v.n)
                    at++;
                else if (c == '(')
                    depth++;
                else if (c == ')' && --depth == 0)
                    break;
            }
        } else {
            break;
        }
    }
    return at;
}

/* Octets of a token or of an unquoted value. RFC2045-5.1 excludes all tspecials; senders do not, so only what would
 * break the list ends one. */
static size_t token_end(struct view v, size_t at, bool is_value) {
    size_t start = at;
    while (at < v.n) {
        uint8_t c = v.p[at];
        if (ascii_is_space(c) || c == ';' || c == '"' || (!is_value && (c == '=' || c == '/' || c == '(')))
            break;
        /* A comment may follow a value; a "(" inside one is part of it. */
        if (is_value && c == '(' && at == start)
            break;
        at++;
    }
    return at;
}

/* Octets after a quote that are looked at for the name of the next parameter. */
#define NEXT_NAME_MAX 80

/* Does the quote at `at` end its value? One in the middle of a careless file name ("my "best" file.pdf") does not: an end,
 * a ";", a comment, or another parameter whose ";" is missing follows the last one. */
static bool closes_value(struct view v, size_t at) {
    size_t i = at + 1;
    while (i < v.n && ascii_is_space(v.p[i]))
        i++;
    if (i >= v.n || v.p[i] == ';' || v.p[i] == '(' || v.p[i] == ',')
        return true;
    size_t start = i;
    while (i < v.n && i - start < NEXT_NAME_MAX && (ascii_is_alnum(v.p[i]) || v.p[i] == '-' || v.p[i] == '*'))
        i++;
    if (i > start && i < v.n && v.p[i] == '=')
        return true;
    /* Without any other quote this one is the last. */
    struct view rest = view_skip(v, at + 1);
    ssize_t other = view_find_byte(rest, '"');
    return other < 0 || view_find_byte(view_sub(rest, 0, (size_t)other), ';') >= 0;
}

/* A quoted string whose opening quote is at `at`; *end is set after it. A missing closing quote ends at the ";" or the
 * line end, or else takes everything. */
static struct view quoted_value(struct arena *arena, struct view v, size_t at, size_t *end) {
    size_t i = at + 1;
    bool plain = true;
    while (i < v.n && !(v.p[i] == '"' && closes_value(v, i))) {
        if (v.p[i] == '\\' && i + 1 < v.n) {
            plain = false;
            i++;
        } else if (v.p[i] == '\r' || v.p[i] == '\n') {
            plain = false;
        }
        i++;
    }
    bool closed = i < v.n;
    if (!closed) {
        i = at + 1;
        while (i < v.n && v.p[i] != ';' && v.p[i] != '\r' && v.p[i] != '\n')
            i++;
    }
    struct view text = view_sub(v, at + 1, i - at - 1);
    *end = closed ? i + 1 : i;
    if (plain || text.n == 0)
        return text.n == 0 ? VIEW("") : text;
    uint8_t *to = arena_alloc(arena, text.n);
    if (to == NULL)
        return text;
    size_t n = 0;
    for (size_t k = 0; k < text.n; k++) {
        uint8_t c = text.p[k];
        if (c == '\r' || c == '\n')
            continue;
        if (c == '\\' && k + 1 < text.n)
            c = text.p[++k];
        to[n++] = c;
    }
    return view_of(to, n);
}

static bool has_param(const struct mime_params *params, struct view name) {
    for (size_t i = 0; i < params->count; i++)
        if (view_eq_nocase(params->list[i].name, name))
            return true;
    return false;
}

void mime_params_parse(struct arena *arena, struct view text, struct mime_params *out) {
    struct view v = text;
    struct mime_param found[MIME_PARAMS_MAX];
    struct mime_params list = {found, 0};
    size_t at = 0;
    out->list = NULL;
    out->count = 0;
    while (list.count < MIME_PARAMS_MAX) {
        at = mime_skip_cfws(v, at);
        if (at >= v.n)
            break;
        if (v.p[at] == ';') {
            at++;
            continue;
        }
        size_t name_end = token_end(v, at, false);
        struct view name = view_sub(v, at, name_end - at);
        size_t next = mime_skip_cfws(v, name_end);
        if (next >= v.n || v.p[next] != '=' || name.n == 0) {
            /* No parameter: goes on after this word. */
            at = name_end > at ? name_end : at + 1;
            continue;
        }
        at = mime_skip_cfws(v, next + 1);
        struct view value = VIEW("");
        if (at < v.n && v.p[at] == '"') {
            value = quoted_value(arena, v, at, &at);
        } else if (at < v.n && v.p[at] != ';') {
            size_t end = token_end(v, at, true);
            /* An unquoted value with spaces ("name=my file.pdf"): taken up to the ";" when no "=" follows. */
            size_t stop = end;
            while (stop < v.n && v.p[stop] != ';' && v.p[stop] != '=' && v.p[stop] != '\r' && v.p[stop] != '\n' &&
                   v.p[stop] != '"' && v.p[stop] != '(')
                stop++;
            if (stop > end && (stop == v.n || v.p[stop] == ';'))
                end = stop;
            value = view_trim(view_sub(v, at, end - at));
            at = end > at ? end : at + 1;
        }
        if (!has_param(&list, name)) {
            found[list.count].name = name;
            found[list.count++].value = value.n == 0 ? VIEW("") : value;
        }
    }
    if (list.count == 0)
        return;
    struct mime_param *kept = ARENA_ARRAY(arena, list.count, struct mime_param);
    if (kept == NULL)
        return;
    memcpy(kept, found, list.count * sizeof(*kept));
    out->list = kept;
    out->count = list.count;
}

struct view mime_params_get(const struct mime_params *params, struct view name) {
    for (size_t i = 0; i < params->count; i++)
        if (view_eq_nocase(params->list[i].name, name))
            return params->list[i].value;
    return VIEW_NONE;
}

/* RFC2045-5.1: token, without tspecials. */
static bool is_type_octet(uint8_t c) {
    if (c <= ' ' || c >= 127)
        return false;
    switch (c) {
    case '(':
    case ')':
    case '<':
    case '>':
    case '@':
    case ',':
    case ';':
    case ':':
    case '\\':
    case '"':
    case '/':
    case '[':
    case ']':
    case '?':
    case '=':
        return false;
    default:
        return true;
    }
}

static struct view type_token(struct view v, size_t *at) {
    size_t start = *at;
    while (*at < v.n && is_type_octet(v.p[*at]))
        ++*at;
    return view_sub(v, start, *at - start);
}

bool mime_content_type_parse(struct arena *arena, struct view value, struct view *type, struct view *subtype,
                             struct mime_params *params) {
    size_t at = mime_skip_cfws(value, 0);
    struct view t = type_token(value, &at);
    struct view s = VIEW_NONE;
    at = mime_skip_cfws(value, at);
    if (t.n > 0 && at < value.n && value.p[at] == '/') {
        at = mime_skip_cfws(value, at + 1);
        s = type_token(value, &at);
    }
    if (params != NULL)
        mime_params_parse(arena, view_skip(value, at), params);
    if (t.n == 0 || s.n == 0)
        return false;
    *type = t;
    *subtype = s;
    return true;
}

struct view mime_first_token(struct view value, struct view *rest) {
    size_t at = mime_skip_cfws(value, 0);
    bool quoted = at < value.n && value.p[at] == '"';
    if (quoted)
        at++;
    size_t start = at;
    while (at < value.n && !ascii_is_space(value.p[at]) && value.p[at] != ';' && value.p[at] != '(' &&
           value.p[at] != '"')
        at++;
    struct view token = view_sub(value, start, at - start);
    if (quoted && at < value.n && value.p[at] == '"')
        at++;
    if (rest != NULL)
        *rest = view_skip(value, at);
    return token;
}
