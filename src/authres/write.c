/* Authentication-Results: the writer. */
#include "authres/authres.h"

#include "base/utf8.h"

#define LINE_WISHED 78 /* RFC5322-2.1.1 */
#define PIECE_MAX (2 * AUTHRES_VALUE_MAX + 200)

struct writer {
    struct buf *buf;
    size_t line_from;
};

static void new_line(struct writer *w) {
    buf_put_str(w->buf, "\r\n\t");
    w->line_from = w->buf->n - 1;
}

/* One piece that is not broken, after a space or on a new line. */
static void put_piece(struct writer *w, struct view piece) {
    if (w->buf->n - w->line_from + 1 + piece.n > LINE_WISHED && w->buf->n - w->line_from > 1)
        new_line(w);
    else if (w->buf->n - w->line_from > 1)
        buf_put_byte(w->buf, ' ');
    buf_put(w->buf, piece);
}

/* RFC2045-5.1: token */
static bool is_token_octet(uint8_t c) {
    return c > ' ' && c < 0x7f && view_find_byte(VIEW("()<>@,;:\\\"/[]?="), c) < 0;
}

static bool is_token(struct view v) {
    for (size_t i = 0; i < v.n; i++)
        if (!is_token_octet(v.p[i]) && v.p[i] < 0x80)
            return false;
    return v.n > 0;
}

/* RFC8601-2.2: pvalue: [ [ local-part ] "@" ] domain-name, when nothing in it needs quoting. */
static bool is_address(struct view v) {
    ssize_t at = view_rfind_byte(v, '@');
    if (at < 0)
        return false;
    struct view local = view_sub(v, 0, (size_t)at), domain = view_skip(v, (size_t)at + 1);
    for (size_t i = 0; i < local.n; i++) { /* RFC5321-4.1.2: Dot-string; RFC6531-3.3: or UTF-8 */
        uint8_t c = local.p[i];
        bool is_dot_inside = c == '.' && i > 0 && i + 1 < local.n && local.p[i - 1] != '.';
        if (!ascii_is_alnum(c) && c < 0x80 && !is_dot_inside && view_find_byte(VIEW("!#$%&'*+-/=?^_`{|}~"), c) < 0)
            return false;
    }
    for (size_t i = 0; i < domain.n; i++)
        if (!ascii_is_alnum(domain.p[i]) && domain.p[i] < 0x80 && view_find_byte(VIEW("-._"), domain.p[i]) < 0)
            return false;
    return domain.n > 0;
}

/* Without control characters and broken UTF-8, bounded. */
static void put_clean(struct buf *out, struct view v) {
    struct buf lossy;
    buf_init(&lossy, 3 * AUTHRES_VALUE_MAX);
    buf_put_utf8_lossy(&lossy, view_sub(v, 0, AUTHRES_VALUE_MAX));
    struct view whole = utf8_truncate(buf_view(&lossy), AUTHRES_VALUE_MAX);
    for (size_t i = 0; i < whole.n; i++) {
        uint8_t c = whole.p[i];
        if (c >= ' ' && c != 0x7f)
            buf_put_byte(out, c);
    }
    buf_fini(&lossy);
}

static void put_quoted(struct buf *out, struct view clean) {
    buf_put_byte(out, '"');
    for (size_t i = 0; i < clean.n; i++) {
        if (clean.p[i] == '"' || clean.p[i] == '\\')
            buf_put_byte(out, '\\');
        buf_put_byte(out, clean.p[i]);
    }
    buf_put_byte(out, '"');
}

static void put_value(struct buf *out, struct view value, bool may_be_address) {
    struct buf clean;
    buf_init(&clean, AUTHRES_VALUE_MAX);
    put_clean(&clean, value);
    struct view v = buf_view(&clean);
    if (is_token(v) || (may_be_address && is_address(v)))
        buf_put(out, v);
    else
        put_quoted(out, v);
    buf_fini(&clean);
}

/* RFC8601-2.2: Keyword; ours, so this only makes sure. */
static void put_keyword(struct buf *out, struct view keyword) {
    for (size_t i = 0; i < keyword.n; i++)
        if (ascii_is_alnum(keyword.p[i]) || keyword.p[i] == '-' || keyword.p[i] == '_')
            buf_put_byte(out, keyword.p[i]);
}

/* RFC5322-3.2.2: a comment, broken at its spaces. */
static void put_comment(struct writer *w, struct view comment) {
    struct buf clean;
    buf_init(&clean, AUTHRES_VALUE_MAX + 2);
    buf_put_byte(&clean, '(');
    put_clean(&clean, view_sub(comment, 0, AUTHRES_VALUE_MAX - 2));
    for (size_t i = 1; i < clean.n; i++)
        if (clean.p[i] == '(' || clean.p[i] == ')' || clean.p[i] == '\\')
            clean.p[i] = '?';
    buf_put_byte(&clean, ')');
    struct view rest = buf_view(&clean), word;
    for (bool more = true; more;) {
        more = view_split(rest, ' ', &word, &rest);
        if (word.n)
            put_piece(w, word);
    }
    buf_fini(&clean);
}

/* RFC8601-2.2: resinfo */
static void put_result(struct writer *w, const struct authres_result *r, struct buf *piece) {
    new_line(w);
    buf_clear(piece);
    put_keyword(piece, r->method);
    if (r->version > 1)
        buf_printf(piece, "/%u", r->version);
    buf_put_byte(piece, '=');
    put_keyword(piece, r->result);
    put_piece(w, buf_view(piece));
    if (r->comment.n)
        put_comment(w, r->comment);
    if (r->reason.n) {
        buf_clear(piece);
        buf_put_str(piece, "reason=");
        put_value(piece, r->reason, false);
        put_piece(w, buf_view(piece));
    }
    for (size_t i = 0; i < r->properties_n; i++) {
        const struct authres_property *p = &r->properties[i];
        buf_clear(piece);
        put_keyword(piece, p->type);
        buf_put_byte(piece, '.');
        put_keyword(piece, p->name);
        buf_put_byte(piece, '=');
        put_value(piece, p->value, true);
        put_piece(w, buf_view(piece));
    }
}

static void put_body(struct writer *w, const struct authres *authres) {
    struct buf piece;
    buf_init(&piece, PIECE_MAX);
    put_value(&piece, authres->authserv_id, false);
    if (authres->version > 1)
        buf_printf(&piece, " %u", authres->version);
    buf_put_byte(&piece, ';');
    put_piece(w, buf_view(&piece));
    if (authres->results_n == 0)
        put_piece(w, VIEW("none"));
    for (size_t i = 0; i < authres->results_n; i++) {
        put_result(w, &authres->results[i], &piece);
        if (i + 1 < authres->results_n)
            buf_put_byte(w->buf, ';');
    }
    if (buf_err(&piece) != ERR_OK && buf_err(w->buf) == ERR_OK)
        w->buf->err = buf_err(&piece);
    buf_fini(&piece);
}

void buf_put_authres_body(struct buf *buf, const struct authres *authres) {
    struct writer w = {buf, buf->n};
    put_body(&w, authres);
}

void buf_put_authres(struct buf *buf, const struct authres *authres) {
    struct writer w = {buf, buf->n};
    buf_put_str(buf, "Authentication-Results:");
    put_body(&w, authres);
    buf_put_str(buf, "\r\n");
}

enum err authres_add(struct authres *authres, struct arena *arena, struct view method, struct view result) {
    if (authres->results_n >= AUTHRES_RESULTS_MAX)
        return ERR_LIMIT;
    struct authres_result *results =
        arena_grow(arena, authres->results, authres->results_n, authres->results_n + 1, sizeof(*results));
    if (!results)
        return ERR_NO_MEMORY;
    authres->results = results;
    results[authres->results_n++] = (struct authres_result){.method = method, .result = result, .version = 1};
    return ERR_OK;
}

enum err authres_add_property(struct authres *authres, struct arena *arena, struct view type, struct view name,
                              struct view value) {
    BUG_IF(authres->results_n == 0);
    struct authres_result *r = &authres->results[authres->results_n - 1];
    if (r->properties_n >= AUTHRES_PROPERTIES_MAX)
        return ERR_LIMIT;
    struct authres_property *properties =
        arena_grow(arena, r->properties, r->properties_n, r->properties_n + 1, sizeof(*properties));
    if (!properties)
        return ERR_NO_MEMORY;
    r->properties = properties;
    properties[r->properties_n++] = (struct authres_property){type, name, value};
    return ERR_OK;
}

enum err authres_add_iprev(struct authres *authres, struct arena *arena, const struct iprev *iprev,
                           const struct netaddr *ip) {
    struct netaddr plain = netaddr_unmapped(ip);
    struct buf text;
    struct view address;
    buf_init(&text, 100);
    buf_put_ip(&text, &plain);
    enum err err = arena_view(arena, buf_view(&text), &address);
    buf_fini(&text);
    TRY(err);
    TRY(authres_add(authres, arena, VIEW("iprev"), view_cstr(iprev_result_name(iprev->result))));
    TRY(arena_view(arena, iprev->name, &authres->results[authres->results_n - 1].comment));
    return authres_add_property(authres, arena, VIEW("policy"), VIEW("iprev"), address);
}
