/* The grammar of mailboxes and paths (RFC5321-4.1.2). */
#include "smtp/address.h"

#include "base/utf8.h"

static bool is_atext(uint8_t c) {
    /* RFC5322-3.2.3 */
    switch (c) {
    case '!':
    case '#':
    case '$':
    case '%':
    case '&':
    case '\'':
    case '*':
    case '+':
    case '-':
    case '/':
    case '=':
    case '?':
    case '^':
    case '_':
    case '`':
    case '{':
    case '|':
    case '}':
    case '~':
        return true;
    default:
        return ascii_is_alnum(c);
    }
}

/* Consumes one UTF-8 character that is not ASCII. */
static bool accept_utf8(struct reader *r, unsigned flags) {
    uint32_t cp;
    size_t n;
    if (!(flags & SMTP_PATH_UTF8) || reader_peek(r) < 0x80)
        return false;
    n = utf8_decode(reader_rest(r), &cp);
    if (n == 0)
        return false;
    (void)reader_take(r, n);
    return true;
}

static bool accept_class(struct reader *r, bool (*is_member)(uint8_t), unsigned flags) {
    int c = reader_peek(r);
    if (c >= 0 && c < 0x80 && is_member((uint8_t)c)) {
        (void)reader_byte(r);
        return true;
    }
    return accept_utf8(r, flags);
}

/* Dot-string = Atom *("." Atom) */
static bool dot_string(struct reader *r, unsigned flags) {
    do {
        if (!accept_class(r, is_atext, flags))
            return reader_fail(r, ERR_SYNTAX);
        while (accept_class(r, is_atext, flags))
            ;
    } while (reader_accept(r, '.'));
    return true;
}

static bool is_dot_string(struct view v, unsigned flags) {
    struct reader r = reader_of(v);
    return dot_string(&r, flags) && reader_at_end(&r);
}

static bool is_qtext(uint8_t c) {
    return c >= 32 && c <= 126 && c != '"' && c != '\\';
}

static bool is_printable(uint8_t c) {
    return c >= 32 && c <= 126;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE; its content goes to out without quoting. */
static bool quoted_string(struct reader *r, unsigned flags, struct buf *out) {
    if (!reader_expect(r, '"'))
        return false;
    for (;;) {
        size_t from = r->at;
        if (accept_class(r, is_qtext, flags)) {
            buf_put(out, view_sub(r->in, from, r->at - from));
            continue;
        }
        if (reader_accept(r, '\\')) {
            int c = reader_peek(r);
            /* RFC5321-4.1.2: quoted-pairSMTP = %d92 %d32-126 */
            if (c < 0 || !is_printable((uint8_t)c))
                return reader_fail(r, ERR_SYNTAX);
            buf_put_byte(out, (uint8_t)reader_byte(r));
            continue;
        }
        return reader_expect(r, '"');
    }
}

/* Appends a local part in its one form. */
static void put_local(struct buf *out, struct view content, unsigned flags) {
    if (is_dot_string(content, flags)) {
        buf_put(out, content);
        return;
    }
    buf_put_byte(out, '"');
    for (size_t i = 0; i < content.n; i++) {
        if (content.p[i] == '"' || content.p[i] == '\\')
            buf_put_byte(out, '\\');
        buf_put_byte(out, content.p[i]);
    }
    buf_put_byte(out, '"');
}

static bool is_let_dig(uint8_t c) {
    return ascii_is_alnum(c);
}

/* Ldh-str, and '_': hosts with it in their names exist, send mail, and harm nobody by it. */
static bool is_ldh(uint8_t c) {
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

static bool is_let_dig_or_underscore(uint8_t c) {
    return is_let_dig(c) || c == '_';
}

/* Domain = sub-domain *("." sub-domain); a label neither starts nor ends with '-'. */
static bool domain_name(struct reader *r, unsigned flags) {
    size_t start = r->at;
    do {
        size_t label = r->at;
        if (!accept_class(r, is_let_dig_or_underscore, flags))
            return reader_fail(r, ERR_SYNTAX);
        while (accept_class(r, is_ldh, flags))
            ;
        if (r->in.p[r->at - 1] == '-')
            return reader_fail(r, ERR_SYNTAX);
        /* A U-label is measured by its A-label when it is looked up, not here. */
        if (r->at - label > SMTP_LABEL_MAX && utf8_is_ascii(view_sub(r->in, label, r->at - label)))
            return reader_fail(r, ERR_SYNTAX);
    } while (reader_accept(r, '.'));
    if (r->at - start > SMTP_DOMAIN_MAX)
        return reader_fail(r, ERR_LIMIT);
    return true;
}

static bool is_ipv4_char(uint8_t c) {
    return ascii_is_digit(c) || c == '.';
}

static bool is_ipv6_char(uint8_t c) {
    return is_ipv4_char(c) || c == ':' || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static bool is_tag_char(uint8_t c) {
    return ascii_is_alnum(c) || c == '-';
}

/* RFC5321-4.1.3: dcontent = %d33-90 / %d94-126 */
static bool is_dcontent(uint8_t c) {
    return c >= 33 && c <= 126 && c != '[' && c != '\\' && c != ']';
}

static bool is_ip(struct view text, uint8_t family) {
    struct netaddr addr;
    return netaddr_parse(text, 0, &addr) == ERR_OK && addr.family == family;
}

/* RFC5321-4.1.3: "[" ( IPv4 / IPv6 / General ) "]" */
static bool address_literal(struct reader *r) {
    if (!reader_expect(r, '['))
        return false;
    if (reader_accept_nocase(r, VIEW("IPv6:"))) {
        if (!is_ip(reader_while(r, is_ipv6_char), 6))
            return reader_fail(r, ERR_SYNTAX);
        return reader_expect(r, ']');
    }
    struct reader at_tag = *r;
    struct view tag = reader_while(r, is_tag_char);
    if (tag.n > 0 && reader_accept(r, ':')) {
        struct view content = reader_while(r, is_dcontent);
        if (tag.p[tag.n - 1] == '-' || content.n == 0)
            return reader_fail(r, ERR_SYNTAX);
        return reader_expect(r, ']');
    }
    *r = at_tag;
    if (!is_ip(reader_while(r, is_ipv4_char), 4))
        return reader_fail(r, ERR_SYNTAX);
    return reader_expect(r, ']');
}

static bool domain_or_literal(struct reader *r, unsigned flags) {
    return reader_peek(r) == '[' ? address_literal(r) : domain_name(r, flags);
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) */
static enum err mailbox(struct reader *r, unsigned flags, struct arena *arena, struct smtp_path *out) {
    struct buf content, whole;
    buf_init(&content, SMTP_PATH_MAX);
    buf_init(&whole, 2 * SMTP_PATH_MAX);
    size_t start = r->at;
    if (reader_peek(r) == '"') {
        (void)quoted_string(r, flags, &content);
    } else if (dot_string(r, flags)) {
        buf_put(&content, view_sub(r->in, start, r->at - start));
    }
    put_local(&whole, buf_view(&content), flags);
    size_t local_n = whole.n;
    size_t domain_n = 0;
    bool is_postmaster = (flags & SMTP_PATH_POSTMASTER) && reader_peek(r) != '@' &&
                         view_eq_nocase(buf_view(&content), VIEW("postmaster"));
    if (reader_err(r) == ERR_OK && !is_postmaster && reader_expect(r, '@')) {
        size_t at = r->at;
        if (domain_or_literal(r, flags)) {
            domain_n = r->at - at;
            buf_put_byte(&whole, '@');
            buf_put(&whole, view_sub(r->in, at, domain_n));
        }
    }
    enum err err = reader_err(r);
    if (err == ERR_OK)
        err = buf_err(&content) != ERR_OK ? buf_err(&content) : buf_err(&whole);
    /* Two octets are the brackets'. The one form is never longer than what was given. */
    if (err == ERR_OK && whole.n > SMTP_PATH_MAX - 2)
        err = ERR_LIMIT;
    struct view copy;
    if (err == ERR_OK) {
        err = arena_view(arena, buf_view(&whole), &copy);
        if (err == ERR_LIMIT)
            err = ERR_NO_MEMORY; /* the arena's budget, not the peer's length */
    }
    if (err == ERR_OK)
        *out = (struct smtp_path){
            .local = view_sub(copy, 0, local_n), .domain = view_sub(copy, copy.n - domain_n, domain_n), .whole = copy};
    buf_fini(&content);
    buf_fini(&whole);
    return err;
}

/* RFC5321-4.1.2: A-d-l ":" ; RFC5321-C: it is accepted and ignored. */
static bool source_route(struct reader *r, unsigned flags) {
    do {
        if (!reader_expect(r, '@') || !domain_or_literal(r, flags))
            return false;
    } while (reader_accept(r, ','));
    return reader_expect(r, ':');
}

enum err smtp_path_parse(struct reader *r, unsigned flags, struct arena *arena, struct smtp_path *out) {
    size_t start = r->at;
    if (!reader_expect(r, '<'))
        return reader_err(r);
    if ((flags & SMTP_PATH_NULL) && reader_accept(r, '>')) {
        *out = (struct smtp_path){VIEW_NONE, VIEW_NONE, VIEW_NONE};
        return ERR_OK;
    }
    if (reader_peek(r) == '@' && !source_route(r, flags))
        return reader_err(r);
    struct smtp_path path;
    TRY(mailbox(r, flags, arena, &path));
    if (!reader_expect(r, '>'))
        return reader_err(r);
    if (r->at - start > SMTP_PATH_MAX) {
        (void)reader_fail(r, ERR_LIMIT);
        return ERR_LIMIT;
    }
    *out = path;
    return ERR_OK;
}

enum err smtp_mailbox_parse(struct view text, unsigned flags, struct arena *arena, struct smtp_path *out) {
    struct reader r = reader_of(text);
    struct smtp_path path;
    TRY(mailbox(&r, flags, arena, &path));
    if (!reader_at_end(&r))
        return ERR_SYNTAX;
    *out = path;
    return ERR_OK;
}

bool smtp_domain_is_valid(struct view text, unsigned flags) {
    struct reader r = reader_of(text);
    return domain_or_literal(&r, flags) && reader_at_end(&r);
}

bool smtp_greeting_name_is_valid(struct view text) {
    if (text.n == 0 || text.n > SMTP_DOMAIN_MAX)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= 32 || text.p[i] > 126)
            return false;
    return true;
}
