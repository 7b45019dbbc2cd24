/* Authentication-Results: the reader, and whose a field claims to be. */
#include "authres/authres.h"

#include "base/reader.h"
#include "base/utf8.h"
#include "dns/idna.h"

#define COMMENTS_DEPTH_MAX 50 /* RFC5322-3.2.2 nests without an end; nobody else does */
#define ID_ARENA 4096         /* a name of 255 octets, with what converting it takes */

static bool is_blank(int c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_comment(struct reader *r) {
    unsigned depth = 0;
    do {
        int c = reader_byte(r);
        if (c == '\\')
            (void)reader_byte(r);
        else if (c == '(' && ++depth > COMMENTS_DEPTH_MAX)
            (void)reader_fail(r, ERR_LIMIT);
        else if (c == ')')
            depth--;
    } while (depth > 0 && reader_err(r) == ERR_OK);
}

/* RFC5322-3.2.2: CFWS; whether there was any. */
static bool skip_cfws(struct reader *r) {
    size_t from = r->at;
    for (int c = reader_peek(r); c >= 0; c = reader_peek(r)) {
        if (is_blank(c))
            (void)reader_byte(r);
        else if (c == '(')
            skip_comment(r);
        else
            break;
    }
    return r->at > from;
}

static bool is_keyword_octet(uint8_t c) {
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

static bool is_token_octet(uint8_t c) {
    return c > ' ' && c != 0x7f && view_find_byte(VIEW("()<>@,;:\\\"/[]?="), c) < 0;
}

/* Kinder than RFC8601-2.2: base64 and paths stand there without quotes in the wild. */
static bool is_value_octet(uint8_t c) {
    return c > ' ' && c != 0x7f && c != ';' && c != '(' && c != '"';
}

static struct view read_keyword(struct reader *r) {
    struct view keyword = reader_while(r, is_keyword_octet);
    if (keyword.n == 0)
        (void)reader_fail(r, ERR_SYNTAX);
    return keyword;
}

static enum err lower(struct arena *arena, struct view v, struct view *out) {
    uint8_t *p = arena_alloc(arena, v.n);
    if (!p)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < v.n; i++)
        p[i] = ascii_lower(v.p[i]);
    *out = view_of(p, v.n);
    return ERR_OK;
}

/* RFC5322-3.2.4: the text inside, appended; folds inside it are taken out, and what may not stand there. */
static void read_quoted(struct reader *r, struct buf *out) {
    (void)reader_byte(r);
    for (int c = reader_byte(r); c >= 0 && c != '"'; c = reader_byte(r)) {
        if (c == '\\')
            c = reader_byte(r);
        if (c >= ' ' && c != 0x7f)
            buf_put_byte(out, (uint8_t)c);
        else if (c == '\t')
            buf_put_byte(out, ' ');
    }
}

/* A quoted-string, a run of is_member, or both after each other ("a b"@example.org). */
static enum err read_value(struct reader *r, bool (*is_member)(uint8_t), struct arena *arena, struct view *out) {
    struct buf text;
    buf_init(&text, AUTHRES_VALUE_MAX);
    bool has_quotes = reader_peek(r) == '"';
    if (has_quotes)
        read_quoted(r, &text);
    bool goes_on = !has_quotes || (reader_peek(r) == '@' && is_member('@'));
    struct view run = goes_on ? reader_while(r, is_member) : VIEW_NONE;
    if (run.n == 0 && !has_quotes)
        (void)reader_fail(r, ERR_SYNTAX);
    buf_put(&text, run);
    enum err err = reader_err(r);
    if (err == ERR_OK)
        err = buf_err(&text);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&text), out);
    buf_fini(&text);
    return err;
}

/* RFC8601-2.2: authserv-id, and the end of it. */
static enum err read_id(struct reader *r, struct arena *arena, struct view *out) {
    (void)skip_cfws(r);
    TRY(read_value(r, is_token_octet, arena, out));
    int next = reader_peek(r);
    return out->n && (next < 0 || next == ';' || next == '(' || is_blank(next)) ? reader_err(r) : ERR_SYNTAX;
}

static bool accept_sign(struct reader *r, uint8_t sign) {
    (void)skip_cfws(r);
    bool found = reader_accept(r, sign);
    if (found)
        (void)skip_cfws(r);
    return found;
}

/* RFC8601-2.2: reasonspec or propspec; each begins with a keyword. */
static enum err read_detail(struct reader *r, struct arena *arena, struct authres *authres) {
    struct authres_result *result = &authres->results[authres->results_n - 1];
    struct view type, value, name;
    TRY(lower(arena, read_keyword(r), &type));
    if (accept_sign(r, '.')) {
        TRY(lower(arena, read_keyword(r), &name));
        if (!accept_sign(r, '='))
            return ERR_SYNTAX;
        int next = reader_peek(r);
        if (next < 0 || next == ';') /* "smtp.mailfrom=" with nothing: a null reverse-path, as some write it */
            return authres_add_property(authres, arena, type, name, VIEW_NONE);
        TRY(read_value(r, is_value_octet, arena, &value));
        return authres_add_property(authres, arena, type, name, value);
    }
    if (!accept_sign(r, '=') || !view_eq(type, VIEW("reason")))
        return ERR_SYNTAX;
    TRY(read_value(r, is_value_octet, arena, &value));
    if (result->reason.n == 0)
        result->reason = value;
    return ERR_OK;
}

/* RFC8601-2.2: methodspec and what follows it. */
static enum err read_result(struct reader *r, struct arena *arena, struct authres *authres) {
    struct view method, result;
    uint32_t version = 1;
    TRY(lower(arena, read_keyword(r), &method));
    if (accept_sign(r, '/'))
        version = (uint32_t)reader_u64(r, UINT32_MAX);
    if (!accept_sign(r, '=')) {
        bool is_none = view_eq(method, VIEW("none")) && authres->results_n == 0;
        return reader_err(r) != ERR_OK ? reader_err(r) : is_none && reader_at_end(r) ? ERR_OK : ERR_SYNTAX;
    }
    TRY(lower(arena, read_keyword(r), &result));
    TRY(reader_err(r));
    TRY(authres_add(authres, arena, method, result));
    authres->results[authres->results_n - 1].version = version;
    while (reader_err(r) == ERR_OK) {
        bool has_space = skip_cfws(r);
        int next = reader_peek(r);
        if (next < 0 || next == ';')
            break;
        if (!has_space)
            return ERR_SYNTAX;
        TRY(read_detail(r, arena, authres));
    }
    return reader_err(r);
}

enum err authres_parse(struct view body, struct arena *arena, struct authres *out) {
    if (body.n > AUTHRES_FIELD_MAX)
        return ERR_LIMIT;
    struct reader r = reader_of(body);
    struct authres authres = {.version = 1};
    TRY(read_id(&r, arena, &authres.authserv_id));
    (void)skip_cfws(&r);
    if (reader_peek(&r) >= 0 && ascii_is_digit((uint8_t)reader_peek(&r))) {
        authres.version = (uint32_t)reader_u64(&r, UINT32_MAX);
        (void)skip_cfws(&r);
    }
    while (reader_err(&r) == ERR_OK && !reader_at_end(&r)) {
        if (!reader_expect(&r, ';'))
            break;
        (void)skip_cfws(&r);
        if (!reader_at_end(&r) && reader_peek(&r) != ';') /* a ';' too many at the end is common */
            TRY(read_result(&r, arena, &authres));
    }
    TRY(reader_err(&r));
    *out = authres;
    return ERR_OK;
}

const struct authres_result *authres_find(const struct authres *authres, struct view method) {
    for (size_t i = 0; i < authres->results_n; i++)
        if (view_eq_nocase(authres->results[i].method, method))
            return &authres->results[i];
    return NULL;
}

struct view authres_property_value(const struct authres_result *result, struct view type, struct view name) {
    for (size_t i = 0; result && i < result->properties_n; i++)
        if (view_eq_nocase(result->properties[i].type, type) && view_eq_nocase(result->properties[i].name, name))
            return result->properties[i].value;
    return VIEW_NONE;
}

bool authres_is_forged(struct view name, struct view body, const struct view *ids, size_t ids_n) {
    if (!view_eq_nocase(view_trim(name), VIEW("Authentication-Results")))
        return false;
    struct arena *arena = arena_new("authres.id", ID_ARENA);
    if (!arena)
        return true;
    struct reader r = reader_of(body);
    struct view id, ascii;
    bool forged = read_id(&r, arena, &id) != ERR_OK;
    if (!forged && dns_idna_to_ascii(id, arena, &ascii) == ERR_OK)
        id = ascii;
    for (size_t i = 0; i < ids_n && !forged; i++)
        forged = view_eq_nocase(id, ids[i]);
    arena_free(arena);
    return forged;
}
