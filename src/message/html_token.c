/* The tokenizer of HTML. */
#include "message/html_token.h"

#include <string.h>

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

/* -- Names ---------------------------------------------------------------------------------------- */

static const struct view tag_names[HTML_TAG_COUNT] = {
#define T(name) VIEW_INIT(#name),
    HTML_TAGS(T)
#undef T
};

static enum html_tag find_tag(struct view name) {
    size_t low = 0, high = HTML_TAG_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = view_cmp_nocase(name, tag_names[middle]);
        if (order == 0)
            return (enum html_tag)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return HTML_OTHER;
}

static uint32_t hash_name(struct view name) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < name.n; i++)
        hash = (hash ^ ascii_lower(name.p[i])) * 16777619u;
    return hash;
}

static const struct view attribute_names[HTML_ATTRIBUTE_COUNT] = {
    [HTML_ATTRIBUTE_ALT] = VIEW_INIT("alt"),         [HTML_ATTRIBUTE_CHARSET] = VIEW_INIT("charset"),
    [HTML_ATTRIBUTE_CONTENT] = VIEW_INIT("content"), [HTML_ATTRIBUTE_HIDDEN] = VIEW_INIT("hidden"),
    [HTML_ATTRIBUTE_HREF] = VIEW_INIT("href"),       [HTML_ATTRIBUTE_START] = VIEW_INIT("start"),
    [HTML_ATTRIBUTE_STYLE] = VIEW_INIT("style"),     [HTML_ATTRIBUTE_TITLE] = VIEW_INIT("title"),
};

/* -- Character references ------------------------------------------------------------------------- */

static size_t numbered_reference(struct view text, uint32_t cp[2]) {
    /* What windows-1252 has at 0x80 to 0x9f is meant by numbers in that range. */
    static const uint16_t windows[32] = {
        0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8d,   0x017d, 0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178,
    };
    size_t i = 1;
    bool is_hex = i < text.n && (text.p[i] | 0x20) == 'x';
    i += is_hex;
    size_t from = i;
    uint32_t value = 0;
    for (; i < text.n; i++) {
        uint8_t c = ascii_lower(text.p[i]);
        uint32_t digit = ascii_is_digit(c) ? c - '0' : is_hex && c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (digit == 99)
            break;
        value = value > 0x10ffff ? value : value * (is_hex ? 16 : 10) + digit;
    }
    if (i == from)
        return 0;
    if (value >= 0x80 && value < 0xa0)
        value = windows[value - 0x80];
    if (value == 0 || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        value = 0xfffd;
    cp[0] = value;
    cp[1] = 0;
    return i < text.n && text.p[i] == ';' ? i + 1 : i;
}

size_t html_reference(struct view text, bool in_attribute, uint32_t cp[2]) {
    if (text.n == 0)
        return 0;
    if (text.p[0] == '#')
        return numbered_reference(text, cp);
    return ascii_is_alpha(text.p[0]) ? html_named_reference(text, in_attribute, cp) : 0;
}

/* -- Tokens --------------------------------------------------------------------------------------- */

void html_tokens_init(struct html_tokens *tokens, struct view html) {
    tokens->in = html;
    tokens->at = 0;
    tokens->raw = HTML_OTHER;
}

/* The offset after the next `byte` from `at`, or the end. */
static size_t after_byte(struct view v, size_t at, uint8_t byte) {
    ssize_t i = view_find_byte(view_skip(v, at), byte);
    return i < 0 ? v.n : at + (size_t)i + 1;
}

/* The offset after the comment whose text begins at `at`. */
static size_t after_comment(struct view v, size_t at) {
    struct view rest = view_skip(v, at);
    if (view_starts(rest, VIEW(">")))
        return at + 1;
    if (view_starts(rest, VIEW("->")))
        return at + 2;
    while (at < v.n) {
        ssize_t i = view_find(view_skip(v, at), VIEW("--"));
        if (i < 0)
            break;
        at += (size_t)i + 2;
        while (at < v.n && v.p[at] == '-')
            at++;
        if (at < v.n && v.p[at] == '>')
            return at + 1;
        if (at + 1 < v.n && v.p[at] == '!' && v.p[at + 1] == '>')
            return at + 2;
    }
    return v.n;
}

/* Where the end tag of an element of raw text begins. */
static size_t find_raw_end(struct view v, size_t at, struct view name) {
    for (;;) {
        ssize_t i = view_find(view_skip(v, at), VIEW("</"));
        if (i < 0)
            return v.n;
        at += (size_t)i;
        struct view rest = view_skip(v, at + 2);
        if (view_starts_nocase(rest, name) && rest.n > name.n &&
            (is_space(rest.p[name.n]) || rest.p[name.n] == '/' || rest.p[name.n] == '>'))
            return at;
        at += 2;
    }
}

static size_t skip_spaces(struct view v, size_t at) {
    while (at < v.n && is_space(v.p[at]))
        at++;
    return at;
}

static void keep_attribute(struct html_token *token, struct view name, struct view value) {
    if (value.p == NULL)
        value = view_of("", 0);
    for (size_t i = 0; i < HTML_ATTRIBUTE_COUNT; i++)
        if (token->attributes[i].p == NULL && view_eq_nocase(name, attribute_names[i]))
            token->attributes[i] = value;
}

/* One attribute from `at`, which is no space, "/" or ">"; the offset after it. */
static size_t read_attribute(struct view v, size_t at, struct html_token *token) {
    size_t from = at++; /* a "=" here belongs to the name */
    while (at < v.n && !is_space(v.p[at]) && v.p[at] != '/' && v.p[at] != '>' && v.p[at] != '=')
        at++;
    struct view name = view_sub(v, from, at - from);
    size_t equals = skip_spaces(v, at);
    if (equals >= v.n || v.p[equals] != '=') {
        keep_attribute(token, name, VIEW_NONE);
        return at;
    }
    at = skip_spaces(v, equals + 1);
    if (at < v.n && (v.p[at] == '"' || v.p[at] == '\'')) {
        ssize_t end = view_find_byte(view_skip(v, at + 1), v.p[at]);
        if (end < 0)
            return v.n;
        keep_attribute(token, name, view_sub(v, at + 1, (size_t)end));
        return at + (size_t)end + 2;
    }
    from = at;
    while (at < v.n && !is_space(v.p[at]) && v.p[at] != '>')
        at++;
    keep_attribute(token, name, view_sub(v, from, at - from));
    return at;
}

/* A tag whose name begins at `at`. False when the document ends in it. */
static bool read_tag(struct html_tokens *tokens, size_t at, struct html_token *out) {
    struct view v = tokens->in;
    size_t from = at;
    while (at < v.n && !is_space(v.p[at]) && v.p[at] != '/' && v.p[at] != '>')
        at++;
    struct view name = view_sub(v, from, at - from);
    out->tag = find_tag(name);
    out->hash = hash_name(name);
    for (;;) {
        while (at < v.n && (is_space(v.p[at]) || v.p[at] == '/'))
            at++;
        if (at >= v.n) {
            tokens->at = v.n;
            return false;
        }
        if (v.p[at] == '>') {
            tokens->at = at + 1;
            return true;
        }
        at = read_attribute(v, at, out);
    }
}

/* Elements whose content is text, whatever is in it. */
static bool is_raw_element(enum html_tag tag) {
    switch ((int)tag) {
    case HTML_script:
    case HTML_style:
    case HTML_title:
    case HTML_textarea:
    case HTML_xmp:
    case HTML_iframe:
    case HTML_noembed:
    case HTML_noframes:
    case HTML_plaintext:
        return true;
    default:
        return false;
    }
}

/* The content of the raw element; true when there is any. */
static bool read_raw(struct html_tokens *tokens, struct html_token *out) {
    struct view v = tokens->in;
    size_t from = tokens->at;
    enum html_tag tag = tokens->raw;
    tokens->raw = HTML_OTHER;
    tokens->at = tag == HTML_plaintext ? v.n : find_raw_end(v, from, tag_names[tag]);
    out->kind = HTML_TEXT;
    out->text = view_sub(v, from, tokens->at - from);
    out->is_raw = tag != HTML_title && tag != HTML_textarea;
    return out->text.n > 0;
}

bool html_tokens_next(struct html_tokens *tokens, struct html_token *out) {
    struct view v = tokens->in;
    memset(out, 0, sizeof(*out));
    out->tag = HTML_OTHER;
    if (tokens->raw != HTML_OTHER && read_raw(tokens, out))
        return true;
    size_t from = tokens->at, at = from;
    while (at < v.n) {
        const uint8_t *open = memchr(v.p + at, '<', v.n - at);
        if (open == NULL) {
            at = v.n;
            break;
        }
        at = (size_t)(open - v.p);
        uint8_t next = at + 1 < v.n ? v.p[at + 1] : 0;
        bool is_end = next == '/';
        bool is_markup = ascii_is_alpha(next) || next == '!' || next == '?' || (is_end && at + 2 < v.n);
        if (is_markup && at > from)
            break; /* the text before it first */
        if (!is_markup) {
            at++;
            continue;
        }
        size_t name = at + 1 + is_end;
        if (ascii_is_alpha(v.p[name])) {
            out->kind = is_end ? HTML_END : HTML_START;
            if (!read_tag(tokens, name, out))
                return false;
            if (!is_end && is_raw_element(out->tag))
                tokens->raw = out->tag;
            return true;
        }
        /* Comments; declarations and the rest end at the first ">". */
        if (view_starts(view_skip(v, at), VIEW("<!--")))
            at = after_comment(v, at + 4);
        else
            at = after_byte(v, at + 1, '>');
        from = tokens->at = at;
    }
    if (at == from)
        return false;
    out->kind = HTML_TEXT;
    out->text = view_sub(v, from, at - from);
    tokens->at = at;
    return true;
}
