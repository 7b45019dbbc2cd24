/* The preview text, and HTML as text. */
#include "message/preview.h"

#include "base/utf8.h"

/* -- HTML --------------------------------------------------------------------------------------------- */

static const struct {
    struct view name;
    uint32_t cp;
} entities[] = {
    {VIEW_INIT("amp"), '&'},       {VIEW_INIT("lt"), '<'},       {VIEW_INIT("gt"), '>'},
    {VIEW_INIT("quot"), '"'},      {VIEW_INIT("apos"), '\''},    {VIEW_INIT("nbsp"), ' '},
    {VIEW_INIT("copy"), 0xa9},     {VIEW_INIT("reg"), 0xae},     {VIEW_INIT("euro"), 0x20ac},
    {VIEW_INIT("pound"), 0xa3},    {VIEW_INIT("sect"), 0xa7},    {VIEW_INIT("deg"), 0xb0},
    {VIEW_INIT("hellip"), 0x2026}, {VIEW_INIT("ndash"), 0x2013}, {VIEW_INIT("mdash"), 0x2014},
    {VIEW_INIT("lsquo"), 0x2018},  {VIEW_INIT("rsquo"), 0x2019}, {VIEW_INIT("ldquo"), 0x201c},
    {VIEW_INIT("rdquo"), 0x201d},  {VIEW_INIT("bull"), 0x2022},  {VIEW_INIT("middot"), 0xb7},
    {VIEW_INIT("laquo"), 0xab},    {VIEW_INIT("raquo"), 0xbb},   {VIEW_INIT("szlig"), 0xdf},
    {VIEW_INIT("auml"), 0xe4},     {VIEW_INIT("ouml"), 0xf6},    {VIEW_INIT("uuml"), 0xfc},
    {VIEW_INIT("Auml"), 0xc4},     {VIEW_INIT("Ouml"), 0xd6},    {VIEW_INIT("Uuml"), 0xdc},
    {VIEW_INIT("eacute"), 0xe9},   {VIEW_INIT("egrave"), 0xe8},  {VIEW_INIT("agrave"), 0xe0},
    {VIEW_INIT("ccedil"), 0xe7},   {VIEW_INIT("ntilde"), 0xf1},  {VIEW_INIT("zwnj"), 0},
    {VIEW_INIT("zwj"), 0},         {VIEW_INIT("shy"), 0},
};

/* The longest entity looked for, with "&" and ";". */
#define ENTITY_MAX 12

/* The entity at `at` ("&"): writes its character and returns its octets, or 0 when it is none. */
static size_t put_entity(struct buf *out, struct view v, size_t at) {
    struct view text = view_sub(v, at + 1, ENTITY_MAX);
    ssize_t end = view_find_byte(text, ';');
    if (end <= 0)
        return 0;
    struct view name = view_sub(text, 0, (size_t)end);
    if (name.p[0] == '#') {
        uint32_t cp = 0;
        bool is_hex = name.n > 1 && (name.p[1] | 0x20) == 'x';
        struct view digits = view_skip(name, is_hex ? 2 : 1);
        if (digits.n == 0)
            return 0;
        for (size_t i = 0; i < digits.n; i++) {
            uint8_t c = ascii_lower(digits.p[i]);
            uint32_t digit = ascii_is_digit(c) ? c - '0' : is_hex && c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
            if (digit == 99)
                return 0;
            cp = cp > 0x110000 ? cp : cp * (is_hex ? 16 : 10) + digit;
        }
        buf_put_utf8(out, cp < ' ' || cp == 0xa0 ? ' ' : cp);
        return (size_t)end + 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        if (view_eq(name, entities[i].name)) {
            if (entities[i].cp != 0)
                buf_put_utf8(out, entities[i].cp);
            return (size_t)end + 2;
        }
    }
    return 0;
}

static bool name_is(struct view name, const struct view *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (view_eq_nocase(name, names[i]))
            return true;
    return false;
}

/* Everything up to the end tag of an element whose content is no text. */
static size_t skip_element(struct view v, size_t at, struct view name) {
    while (at < v.n) {
        ssize_t open = view_find(view_skip(v, at), VIEW("</"));
        if (open < 0)
            return v.n;
        at += (size_t)open + 2;
        if (view_starts_nocase(view_skip(v, at), name))
            return at - 2;
    }
    return at;
}

/* A tag, comment or declaration at `at` ("<"): returns the offset after it, or `at` when it is text. */
static size_t skip_tag(struct buf *out, struct view v, size_t at) {
    static const struct view hidden[] = {VIEW_INIT("style"), VIEW_INIT("script"), VIEW_INIT("head"), VIEW_INIT("title"),
                                         VIEW_INIT("template")};
    static const struct view inlines[] = {VIEW_INIT("a"),    VIEW_INIT("b"),   VIEW_INIT("i"),      VIEW_INIT("u"),
                                          VIEW_INIT("em"),   VIEW_INIT("s"),   VIEW_INIT("strong"), VIEW_INIT("span"),
                                          VIEW_INIT("font"), VIEW_INIT("sub"), VIEW_INIT("sup"),    VIEW_INIT("small"),
                                          VIEW_INIT("code"), VIEW_INIT("wbr")};
    struct view rest = view_skip(v, at);
    if (view_starts(rest, VIEW("<!--"))) {
        ssize_t end = view_find(view_skip(rest, 4), VIEW("-->"));
        return end < 0 ? v.n : at + 4 + (size_t)end + 3;
    }
    size_t i = at + 1;
    bool is_end = i < v.n && v.p[i] == '/';
    if (is_end)
        i++;
    size_t start = i;
    while (i < v.n && ascii_is_alnum(v.p[i]))
        i++;
    struct view name = view_sub(v, start, i - start);
    if (name.n == 0 && !(i < v.n && (v.p[i] == '!' || v.p[i] == '?')))
        return at;
    uint8_t quote = 0;
    while (i < v.n && (quote != 0 || v.p[i] != '>')) {
        uint8_t c = v.p[i++];
        if (quote != 0)
            quote = c == quote ? 0 : quote;
        else if ((c == '"' || c == '\'') && v.p[i - 2] == '=')
            quote = c;
    }
    i = i < v.n ? i + 1 : i;
    if (!is_end && name_is(name, hidden, ARRAY_LEN(hidden)))
        return skip_element(v, i, name);
    if (name.n > 0 && !name_is(name, inlines, ARRAY_LEN(inlines)))
        buf_put_byte(out, '\n');
    return i;
}

void html_put_text(struct buf *out, struct view html) {
    size_t at = 0;
    while (at < html.n && buf_err(out) == ERR_OK) {
        size_t end = at;
        while (end < html.n && html.p[end] != '<' && html.p[end] != '&') {
            if (html.p[end] == '\r' || html.p[end] == '\n')
                break;
            end++;
        }
        buf_put(out, view_sub(html, at, end - at));
        at = end;
        if (at == html.n)
            break;
        size_t next = at;
        if (html.p[at] == '<')
            next = skip_tag(out, html, at);
        else if (html.p[at] == '&')
            next += put_entity(out, html, at);
        if (next == at) {
            /* A line end of the source is only white space. */
            uint8_t c = html.p[at];
            buf_put_byte(out, c == '\r' || c == '\n' ? ' ' : c);
            next = at + 1;
        }
        at = next;
    }
}

/* -- The preview -------------------------------------------------------------------------------------- */

/* U+200B to U+200F, U+2028 to U+202E, U+2060, U+FEFF, U+00AD, U+034F: invisible, and senders pad previews with them. */
static bool is_invisible(uint32_t cp) {
    return (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) || cp == 0x2060 || cp == 0xfeff ||
           cp == 0xad || cp == 0x34f;
}

/* Text in lines as one line; returns the characters written. */
static size_t put_line(struct buf *out, struct view text) {
    size_t count = 0;
    bool gap = false, at_line_start = true, in_quote = false;
    while (text.n > 0 && count < PREVIEW_CHARACTERS) {
        uint32_t cp = 0xfffd;
        size_t n = MAX(utf8_decode(text, &cp), (size_t)1);
        text = view_skip(text, n);
        if (cp == '\n')
            at_line_start = true;
        if (at_line_start && cp != '\n' && cp != ' ' && cp != '\t' && cp != '\r') {
            in_quote = cp == '>';
            at_line_start = false;
        }
        if (cp <= ' ' || cp == 127 || cp == 0xa0) {
            gap = true;
            continue;
        }
        if (in_quote || is_invisible(cp) || (cp >= 0x80 && cp < 0xa0))
            continue;
        if (gap && count > 0) {
            if (count + 1 >= PREVIEW_CHARACTERS)
                break;
            buf_put_byte(out, ' ');
            count++;
        }
        gap = false;
        buf_put_utf8(out, cp);
        count++;
    }
    return count;
}

static bool is_text(const struct mime_part *p) {
    return view_eq_nocase(p->type, VIEW("text")) && !view_eq_nocase(p->disposition, VIEW("attachment"));
}

static size_t put_part(struct buf *out, const struct charset_table *table, const struct message *message,
                       const struct mime_part *part) {
    struct buf text, plain;
    /* No charset has characters that grow more than threefold in UTF-8. */
    buf_init(&text, 4 * PREVIEW_SOURCE_MAX);
    buf_init(&plain, 8 * PREVIEW_SOURCE_MAX);
    decode_put_text_of(&text, table, part, view_sub(message_part_body(message, part), 0, PREVIEW_SOURCE_MAX));
    bool is_html = view_eq_nocase(part->subtype, VIEW("html"));
    if (is_html)
        html_put_text(&plain, buf_view(&text));
    size_t count = put_line(out, is_html ? buf_view(&plain) : buf_view(&text));
    buf_fini(&text);
    buf_fini(&plain);
    return count;
}

void message_preview_put(struct buf *out, const struct charset_table *table, const struct message *message) {
    for (const struct mime_part *p = message->root; p != NULL; p = message_part_next(p)) {
        if (p->is_multipart || p->is_message || !is_text(p))
            continue;
        const struct mime_part *mother = p->parent;
        bool is_html = view_eq_nocase(p->subtype, VIEW("html"));
        if (is_html && mother != NULL && mother->is_multipart && view_eq_nocase(mother->subtype, VIEW("alternative"))) {
            for (const struct mime_part *other = p->next; other != NULL; other = other->next)
                if (mime_part_is(other, VIEW("text"), VIEW("plain")) && is_text(other) &&
                    put_part(out, table, message, other) > 0)
                    return;
        }
        if (put_part(out, table, message, p) > 0)
            return;
    }
}
