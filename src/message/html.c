/*
 * HTML as text: tags open and close elements on a small stack, text runs through
 * white space rules, and line ends are owed until the next text comes.
 */
#include "message/html.h"

#include "message/html_token.h"

#include "base/utf8.h"

#include <string.h>

/* What an element does to the text inside it. */
enum {
    EFFECT_HIDDEN = 1,  /* not shown */
    EFFECT_PRE = 2,     /* white space as it is */
    EFFECT_QUOTE = 4,   /* "> " in front of lines */
    EFFECT_INDENT = 8,  /* spaces in front of lines */
    EFFECT_MARKER = 16, /* a list marker is owed in front of the next line */
};

struct element {
    uint32_t hash;
    uint32_t number; /* of a list: its next item; of an item: its number, 0 for a bullet */
    uint8_t tag, effects, width;
    bool is_inline;
};

struct render {
    struct buf *out;
    enum html_purpose purpose;
    struct element stack[HTML_DEPTH_MAX];
    size_t n;
    size_t overflow;    /* elements deeper than the stack */
    size_t hidden, pre; /* elements of the stack with that effect */
    size_t quotes;
    size_t blank_quotes; /* the fewest since the last text: empty lines belong to the outer text */
    size_t inlines;      /* inline elements on the stack: only those with an effect, or inside of one */
    size_t lines;        /* line ends owed before the next text */
    size_t hard, cell;   /* spaces owed: those that count, and one between cells */
    bool soft;           /* a space owed that vanishes at the begin and end of a line */
    bool begun;          /* some text was written */
    bool skip_line_end;  /* the first line end in <pre> does not count */
    struct view link;    /* the href of the open <a> */
    size_t link_from;    /* where its text begins in out; SIZE_MAX: none yet */
    struct buf link_buf; /* decoded */
};

/* -- Kinds of elements ---------------------------------------------------------------------------- */

enum kind {
    KIND_INLINE,
    KIND_BLOCK,     /* begins and ends a line */
    KIND_PARAGRAPH, /* has an empty line around it */
    KIND_ROW,
    KIND_CELL,
    KIND_SECTION, /* of a table */
    KIND_VOID,    /* has no content and no end tag */
    KIND_NONE,    /* its tags mean nothing */
};

static const uint8_t kinds[HTML_TAG_COUNT + 1] = {
    [HTML_address] = KIND_BLOCK,     [HTML_area] = KIND_VOID,
    [HTML_article] = KIND_BLOCK,     [HTML_aside] = KIND_BLOCK,
    [HTML_base] = KIND_VOID,         [HTML_basefont] = KIND_VOID,
    [HTML_bgsound] = KIND_VOID,      [HTML_blockquote] = KIND_PARAGRAPH,
    [HTML_body] = KIND_NONE,         [HTML_br] = KIND_VOID,
    [HTML_caption] = KIND_BLOCK,     [HTML_center] = KIND_BLOCK,
    [HTML_col] = KIND_VOID,          [HTML_colgroup] = KIND_NONE,
    [HTML_dd] = KIND_BLOCK,          [HTML_details] = KIND_BLOCK,
    [HTML_dialog] = KIND_BLOCK,      [HTML_dir] = KIND_PARAGRAPH,
    [HTML_div] = KIND_BLOCK,         [HTML_dl] = KIND_PARAGRAPH,
    [HTML_dt] = KIND_BLOCK,          [HTML_embed] = KIND_VOID,
    [HTML_fieldset] = KIND_BLOCK,    [HTML_figcaption] = KIND_BLOCK,
    [HTML_figure] = KIND_PARAGRAPH,  [HTML_footer] = KIND_BLOCK,
    [HTML_form] = KIND_BLOCK,        [HTML_frame] = KIND_VOID,
    [HTML_h1] = KIND_PARAGRAPH,      [HTML_h2] = KIND_PARAGRAPH,
    [HTML_h3] = KIND_PARAGRAPH,      [HTML_h4] = KIND_PARAGRAPH,
    [HTML_h5] = KIND_PARAGRAPH,      [HTML_h6] = KIND_PARAGRAPH,
    [HTML_head] = KIND_NONE,         [HTML_header] = KIND_BLOCK,
    [HTML_hr] = KIND_VOID,           [HTML_html] = KIND_NONE,
    [HTML_img] = KIND_VOID,          [HTML_input] = KIND_VOID,
    [HTML_keygen] = KIND_VOID,       [HTML_legend] = KIND_BLOCK,
    [HTML_li] = KIND_BLOCK,          [HTML_link] = KIND_VOID,
    [HTML_listing] = KIND_PARAGRAPH, [HTML_main] = KIND_BLOCK,
    [HTML_menu] = KIND_PARAGRAPH,    [HTML_meta] = KIND_VOID,
    [HTML_nav] = KIND_BLOCK,         [HTML_ol] = KIND_PARAGRAPH,
    [HTML_option] = KIND_BLOCK,      [HTML_p] = KIND_PARAGRAPH,
    [HTML_param] = KIND_VOID,        [HTML_plaintext] = KIND_PARAGRAPH,
    [HTML_pre] = KIND_PARAGRAPH,     [HTML_section] = KIND_BLOCK,
    [HTML_select] = KIND_BLOCK,      [HTML_source] = KIND_VOID,
    [HTML_summary] = KIND_BLOCK,     [HTML_table] = KIND_BLOCK,
    [HTML_tbody] = KIND_SECTION,     [HTML_td] = KIND_CELL,
    [HTML_tfoot] = KIND_SECTION,     [HTML_th] = KIND_CELL,
    [HTML_thead] = KIND_SECTION,     [HTML_tr] = KIND_ROW,
    [HTML_track] = KIND_VOID,        [HTML_ul] = KIND_PARAGRAPH,
    [HTML_wbr] = KIND_VOID,          [HTML_textarea] = KIND_BLOCK,
    [HTML_xmp] = KIND_PARAGRAPH,
};

static bool is_list(enum html_tag tag) {
    return tag == HTML_ul || tag == HTML_ol || tag == HTML_dl || tag == HTML_menu || tag == HTML_dir;
}

/* What an end tag inside does not reach through. */
static bool is_wall(enum html_tag tag) {
    return tag == HTML_table || kinds[tag] == KIND_CELL || tag == HTML_caption || tag == HTML_template;
}

/* -- Writing -------------------------------------------------------------------------------------- */

/* Owes the end of the line, and with margin 2 an empty one. */
static void owe_lines(struct render *r, size_t margin) {
    /* A line that holds nothing but spaces meant to be kept is an empty line. */
    if (r->hard > 0 && (r->lines > 0 || !r->begun))
        r->lines++;
    r->hard = r->cell = 0;
    r->soft = false;
    r->lines = MAX(r->lines, margin);
}

static void put_marker(struct render *r, struct element *e) {
    if (e->effects & EFFECT_MARKER) {
        e->effects &= (uint8_t)~EFFECT_MARKER;
        if (e->number > 0)
            buf_printf(r->out, "%u. ", e->number);
        else
            buf_put(r->out, VIEW("* "));
        return;
    }
    for (size_t i = 0; i < e->width; i++)
        buf_put_byte(r->out, ' ');
}

/* Quote marks, list markers and indentation of a new line. */
static void put_prefix(struct render *r) {
    size_t shown = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct element *e = &r->stack[i];
        if (!(e->effects & (EFFECT_QUOTE | EFFECT_INDENT)))
            continue;
        if (shown++ == HTML_PREFIX_MAX)
            return;
        if (e->effects & EFFECT_QUOTE)
            buf_put(r->out, VIEW("> "));
        else
            put_marker(r, e);
    }
}

static void put_blank(struct render *r) {
    for (size_t i = 0; i < MIN(r->blank_quotes, (size_t)HTML_PREFIX_MAX); i++)
        buf_put(r->out, i == 0 ? VIEW(">") : VIEW(" >"));
    buf_put_byte(r->out, '\n');
}

/* Pays what is owed before text. */
static void settle(struct render *r) {
    bool is_new_line = !r->begun || r->lines > 0;
    if (r->begun && r->lines > 0) {
        buf_put_byte(r->out, '\n');
        if (r->purpose == HTML_READ)
            for (size_t i = 1; i < MIN(r->lines, r->pre > 0 ? SIZE_MAX : HTML_BLANK_MAX + 1); i++)
                put_blank(r);
    }
    if (is_new_line && r->purpose == HTML_READ)
        put_prefix(r);
    r->begun = true;
    r->lines = 0;
    r->blank_quotes = r->quotes;
    if (!is_new_line && r->cell > 0)
        buf_put_byte(r->out, '\t');
    else if (!is_new_line && r->soft)
        buf_put_byte(r->out, ' ');
    for (size_t i = 0; i < r->hard; i++)
        buf_put_byte(r->out, ' ');
    r->hard = r->cell = 0;
    r->soft = false;
    if (r->link.n > 0 && r->link_from == SIZE_MAX)
        r->link_from = r->out->n;
}

static void put_space(struct render *r, uint8_t c) {
    if (r->pre == 0) {
        r->soft = true;
    } else if (c == '\n') {
        if (!r->skip_line_end)
            r->lines++;
        r->hard = 0;
    } else if (c != '\r') {
        r->hard += c == '\t' ? 8 : 1;
    }
    r->skip_line_end = false;
}

/* Characters that show nothing and only get in the way of reading and finding. */
static bool is_invisible(uint32_t cp) {
    return cp == 0xad || cp == 0x34f || cp == 0x200b || cp == 0x2060 || cp == 0xfeff || cp < ' ' ||
           (cp >= 0x7f && cp < 0xa0);
}

static void put_character(struct render *r, uint32_t cp) {
    if (cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r' || cp == '\f') {
        put_space(r, (uint8_t)cp);
    } else if (cp == 0xa0) {
        r->hard++;
    } else if (!is_invisible(cp)) {
        settle(r);
        buf_put_utf8(r->out, cp);
    }
}

/* Lead octets of the characters that put_character() looks at (U+00A0, U+00AD, U+034F, U+200B, U+2060, U+FEFF). */
static bool is_plain(uint8_t c) {
    return c > ' ' && c != '&' && c != 0x7f && c != 0xc2 && c != 0xcd && c != 0xe2 && c != 0xef;
}

static void put_text(struct render *r, struct view text, bool is_raw, bool in_attribute) {
    size_t at = 0;
    while (at < text.n && buf_err(r->out) == ERR_OK) {
        size_t end = at;
        while (end < text.n && is_plain(text.p[end]))
            end++;
        if (end > at) {
            settle(r);
            r->skip_line_end = false;
            buf_put(r->out, view_sub(text, at, end - at));
            at = end;
            continue;
        }
        uint8_t c = text.p[at];
        uint32_t cp[2] = {c, 0};
        if (c == '&') {
            size_t n = is_raw ? 0 : html_reference(view_skip(text, at + 1), in_attribute, cp);
            put_character(r, cp[0]);
            if (cp[1] != 0)
                put_character(r, cp[1]);
            at += 1 + n;
        } else if (c < 0x80) {
            put_character(r, c);
            at++;
        } else {
            cp[0] = 0xfffd;
            at += MAX(utf8_decode(view_skip(text, at), &cp[0]), (size_t)1);
            put_character(r, cp[0]);
        }
    }
    r->skip_line_end = false;
}

/* -- Links ---------------------------------------------------------------------------------------- */

static bool is_shown_scheme(struct view url) {
    static const struct view schemes[] = {VIEW_INIT("http://"), VIEW_INIT("https://"), VIEW_INIT("mailto:"),
                                          VIEW_INIT("ftp://"),  VIEW_INIT("tel:"),     VIEW_INIT("sms:")};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (view_starts_nocase(url, schemes[i]))
            return true;
    return false;
}

static void decode_url(struct buf *out, struct view raw) {
    struct view v = view_trim(raw);
    buf_clear(out);
    for (size_t at = 0; at < v.n;) {
        uint32_t cp[2] = {v.p[at], 0};
        size_t n = 1;
        if (v.p[at] == '&')
            n = 1 + html_reference(view_skip(v, at + 1), true, cp);
        else if (v.p[at] >= 0x80)
            n = MAX(utf8_decode(view_skip(v, at), &cp[0]), (size_t)1);
        at += n;
        for (size_t i = 0; i < 2 && (i == 0 || cp[i] != 0); i++) {
            if (cp[i] == '\t' || cp[i] == '\n' || cp[i] == '\r')
                continue; /* browsers drop them too */
            if (cp[i] <= ' ' || cp[i] == '<' || cp[i] == '>' || (cp[i] >= 0x7f && cp[i] <= 0xa0))
                buf_printf(out, "%%%02X", cp[i]);
            else
                buf_put_utf8(out, cp[i]);
        }
    }
}

/* Does the text already say where the link leads? */
static bool says_same(struct view text, struct view url) {
    ssize_t colon = view_find_byte(url, ':');
    struct view bare = view_skip(url, (size_t)(colon + 1));
    if (view_starts(bare, VIEW("//")))
        bare = view_skip(bare, 2);
    text = view_trim(text);
    if (view_ends(url, VIEW("/"))) {
        url.n--;
        bare.n -= bare.n > 0;
    }
    if (view_ends(text, VIEW("/")))
        text.n--;
    return view_eq_nocase(text, url) || view_eq_nocase(text, bare);
}

static void end_link(struct render *r) {
    if (r->link.n == 0)
        return;
    decode_url(&r->link_buf, r->link);
    r->link = VIEW_NONE;
    struct view url = buf_view(&r->link_buf);
    if (buf_err(&r->link_buf) != ERR_OK || !is_shown_scheme(url) || r->hidden > 0)
        return;
    if (r->link_from == SIZE_MAX) {
        settle(r);
    } else {
        if (r->link_from <= r->out->n && says_same(view_skip(buf_view(r->out), r->link_from), url))
            return;
        /* Behind the last word, before any line end that is owed. */
        buf_put_byte(r->out, ' ');
    }
    buf_put_byte(r->out, '<');
    buf_put(r->out, url);
    buf_put_byte(r->out, '>');
}

/* -- Elements ------------------------------------------------------------------------------------- */

/* Does a style declaration of that name have a value that begins so? Both in lower case. */
static bool style_has(struct view style, struct view name, struct view value) {
    while (style.n > 0) {
        struct view declaration, key, text;
        view_split(style, ';', &declaration, &style);
        if (!view_split(declaration, ':', &key, &text) || !view_eq_nocase(view_trim(key), name))
            continue;
        text = view_trim(text);
        if (!view_starts_nocase(text, value))
            continue;
        /* "0" is none of "0.5", but "0px" is "0". */
        if (text.n == value.n || !(text.p[value.n] == '.' || ascii_is_digit(text.p[value.n])))
            return true;
    }
    return false;
}

static uint8_t effects_of(const struct render *r, const struct html_token *t) {
    struct view style = t->attributes[HTML_ATTRIBUTE_STYLE];
    uint8_t effects = 0;
    if (t->attributes[HTML_ATTRIBUTE_HIDDEN].p != NULL)
        effects |= EFFECT_HIDDEN;
    switch ((int)t->tag) {
    case HTML_script:
    case HTML_style:
    case HTML_title:
    case HTML_template:
    case HTML_iframe:
    case HTML_noembed:
    case HTML_noframes:
    case HTML_audio:
    case HTML_video:
        return EFFECT_HIDDEN;
    case HTML_blockquote:
        effects |= r->purpose == HTML_PREVIEW ? EFFECT_HIDDEN : EFFECT_QUOTE;
        break;
    case HTML_pre:
    case HTML_listing:
    case HTML_xmp:
    case HTML_plaintext:
    case HTML_textarea:
        effects |= EFFECT_PRE;
        break;
    case HTML_li:
        effects |= EFFECT_INDENT | EFFECT_MARKER;
        break;
    case HTML_dd:
        effects |= EFFECT_INDENT;
        break;
    default:
        break;
    }
    if (style.n > 0) {
        if (style_has(style, VIEW("white-space"), VIEW("pre")) ||
            style_has(style, VIEW("white-space"), VIEW("break-spaces")))
            effects |= EFFECT_PRE;
        if (r->purpose == HTML_READ &&
            (style_has(style, VIEW("display"), VIEW("none")) || style_has(style, VIEW("visibility"), VIEW("hidden")) ||
             style_has(style, VIEW("opacity"), VIEW("0")) || style_has(style, VIEW("max-height"), VIEW("0"))))
            effects |= EFFECT_HIDDEN;
    }
    return effects;
}

static void count(struct render *r, const struct element *e, size_t by) {
    if (e->effects & EFFECT_HIDDEN)
        r->hidden += by;
    if (e->effects & EFFECT_PRE)
        r->pre += by;
    if (e->effects & EFFECT_QUOTE)
        r->quotes += by;
    if (e->is_inline)
        r->inlines += by;
}

/* Closes the element at that place of the stack and all inside it. */
static void pop_to(struct render *r, size_t place) {
    while (r->n > place)
        count(r, &r->stack[--r->n], (size_t)-1);
    r->blank_quotes = MIN(r->blank_quotes, r->quotes);
}

/* The end of an inline element that holds open blocks: those stay open. */
static void take_out(struct render *r, size_t place) {
    count(r, &r->stack[place], (size_t)-1);
    memmove(&r->stack[place], &r->stack[place + 1], (r->n - place - 1) * sizeof(r->stack[0]));
    r->n--;
}

/* Closes the innermost open element that `tag` cannot be inside of, as browsers do: a <p> by a block, items by items, cells by
 * cells and rows. */
static void close_implied(struct render *r, enum html_tag tag) {
    enum kind kind = kinds[tag];
    if (kind == KIND_INLINE || kind == KIND_NONE || (kind == KIND_VOID && tag != HTML_hr) || r->overflow > 0)
        return;
    for (size_t i = r->n; i > 0; i--) {
        enum html_tag open = r->stack[i - 1].tag;
        bool closes = open == HTML_p;
        bool stops = is_wall(open);
        if (kind == KIND_ROW || kind == KIND_CELL || kind == KIND_SECTION) {
            stops = open == HTML_table;
            closes = kinds[open] == KIND_CELL || open == HTML_caption ||
                     (kind != KIND_CELL && kinds[open] == KIND_ROW) ||
                     (kind == KIND_SECTION && kinds[open] == KIND_SECTION);
        } else if (tag == HTML_li) {
            closes |= open == HTML_li;
            stops |= is_list(open);
        } else if (tag == HTML_dd || tag == HTML_dt) {
            closes |= open == HTML_dd || open == HTML_dt;
            stops |= is_list(open);
        } else if (tag == HTML_option) {
            closes |= open == HTML_option;
            stops |= open == HTML_select;
        }
        if (stops)
            return;
        if (closes)
            pop_to(r, i - 1);
    }
}

static size_t margin_of(const struct render *r, enum html_tag tag) {
    if (kinds[tag] != KIND_PARAGRAPH)
        return 1;
    /* A list inside of a list has no empty lines around it. */
    if (is_list(tag))
        for (size_t i = r->n; i > 0; i--)
            if (r->stack[i - 1].tag == HTML_li || r->stack[i - 1].tag == HTML_dd)
                return 1;
    return 2;
}

static void number_item(struct render *r, struct element *item) {
    item->width = 2;
    for (size_t i = r->n; i > 0; i--) {
        struct element *list = &r->stack[i - 1];
        if (!is_list((enum html_tag)list->tag))
            continue;
        if (list->tag == HTML_ol) {
            item->number = list->number++;
            item->width = 3;
            for (uint32_t n = item->number; n > 9; n /= 10)
                item->width++;
        }
        return;
    }
}

static void push(struct render *r, const struct html_token *t, enum kind kind) {
    struct element e = {.hash = t->hash, .tag = (uint8_t)t->tag, .effects = effects_of(r, t)};
    e.is_inline = kind == KIND_INLINE;
    if (e.is_inline && e.effects == 0 && r->inlines == 0)
        return;
    if (r->n == HTML_DEPTH_MAX) {
        r->overflow++;
        return;
    }
    if (t->tag == HTML_li)
        number_item(r, &e);
    else if (t->tag == HTML_dd)
        e.width = 4;
    if (t->tag == HTML_ol) {
        struct view start = t->attributes[HTML_ATTRIBUTE_START];
        e.number = 1;
        if (view_to_u32(view_trim(start), 1000000, &e.number) != ERR_OK || e.number == 0)
            e.number = 1;
    }
    count(r, &e, 1);
    r->stack[r->n++] = e;
    r->skip_line_end = t->tag == HTML_pre || t->tag == HTML_listing || t->tag == HTML_textarea;
}

static void put_attribute_text(struct render *r, struct view text) {
    if (text.n == 0 || r->hidden > 0)
        return;
    r->soft = true;
    put_text(r, text, false, true);
    r->soft = true;
}

static void void_element(struct render *r, const struct html_token *t) {
    switch ((int)t->tag) {
    case HTML_br:
        if (r->hidden > 0)
            break;
        r->hard = r->cell = 0;
        r->soft = false;
        r->lines++;
        break;
    case HTML_hr:
        if (r->hidden > 0)
            break;
        owe_lines(r, 1);
        if (r->purpose == HTML_READ) {
            settle(r);
            buf_put(r->out, VIEW("----------------"));
            owe_lines(r, 1);
        }
        break;
    case HTML_img:
        if (r->purpose == HTML_INDEX)
            put_attribute_text(r, t->attributes[HTML_ATTRIBUTE_ALT]);
        else if (r->purpose == HTML_READ && r->hidden == 0)
            if ((effects_of(r, t) & EFFECT_HIDDEN) == 0)
                put_text(r, t->attributes[HTML_ATTRIBUTE_ALT], false, true);
        break;
    case HTML_area:
        if (r->purpose == HTML_INDEX)
            put_attribute_text(r, t->attributes[HTML_ATTRIBUTE_ALT]);
        break;
    default:
        break;
    }
}

static void boundary(struct render *r, enum html_tag tag) {
    switch (kinds[tag]) {
    case KIND_BLOCK:
    case KIND_PARAGRAPH:
        if (r->hidden == 0)
            owe_lines(r, margin_of(r, tag));
        break;
    case KIND_ROW:
    case KIND_SECTION:
        if (r->hidden == 0)
            owe_lines(r, 1);
        break;
    case KIND_CELL:
        if (r->hidden == 0 && r->lines == 0) {
            r->hard = 0;
            r->cell = 1;
        }
        break;
    default:
        break;
    }
}

static void start_tag(struct render *r, const struct html_token *t) {
    enum kind kind = kinds[t->tag];
    close_implied(r, t->tag);
    if (r->purpose == HTML_INDEX)
        put_attribute_text(r, t->attributes[HTML_ATTRIBUTE_TITLE]);
    if (kind == KIND_VOID) {
        void_element(r, t);
        return;
    }
    if (kind == KIND_NONE)
        return;
    boundary(r, t->tag);
    if (t->tag == HTML_a && r->purpose == HTML_READ) {
        end_link(r);
        if (r->hidden == 0 && t->attributes[HTML_ATTRIBUTE_HREF].n <= HTML_LINK_MAX) {
            r->link = t->attributes[HTML_ATTRIBUTE_HREF];
            r->link_from = SIZE_MAX;
        }
    }
    push(r, t, kind);
    if (t->tag == HTML_q && r->hidden == 0)
        put_character(r, 0x201c);
}

static void end_tag(struct render *r, const struct html_token *t) {
    enum kind kind = kinds[t->tag];
    if (t->tag == HTML_br)
        void_element(r, t);
    if (kind == KIND_VOID || kind == KIND_NONE)
        return;
    if (t->tag == HTML_a)
        end_link(r);
    if (t->tag == HTML_q && r->hidden == 0)
        put_character(r, 0x201d);
    if (r->overflow > 0 && kind != KIND_INLINE) {
        r->overflow--;
        boundary(r, t->tag);
        return;
    }
    bool is_table_part = kind == KIND_ROW || kind == KIND_CELL || kind == KIND_SECTION || t->tag == HTML_table;
    size_t place = r->n;
    bool holds_block = false;
    while (place > 0) {
        const struct element *e = &r->stack[place - 1];
        if (e->hash == t->hash && e->tag == t->tag)
            break;
        if ((is_table_part ? e->tag == HTML_table : is_wall((enum html_tag)e->tag)) ||
            (t->tag == HTML_li && is_list((enum html_tag)e->tag))) {
            place = 0;
            break;
        }
        holds_block |= !e->is_inline;
        place--;
    }
    if (place > 0 && holds_block && kind == KIND_INLINE)
        take_out(r, place - 1);
    else if (place > 0)
        pop_to(r, place - 1);
    boundary(r, t->tag);
}

void html_put_text(struct buf *out, struct view html, enum html_purpose purpose) {
    struct render r = {.out = out, .purpose = purpose, .link_from = SIZE_MAX};
    struct html_tokens tokens;
    struct html_token t;
    /* Every octet of a link may become three. */
    buf_init(&r.link_buf, (size_t)3 * HTML_LINK_MAX);
    html_tokens_init(&tokens, html);
    while (buf_err(out) == ERR_OK && html_tokens_next(&tokens, &t)) {
        switch (t.kind) {
        case HTML_TEXT:
            if (r.hidden == 0)
                put_text(&r, t.text, t.is_raw, false);
            break;
        case HTML_START:
            start_tag(&r, &t);
            break;
        case HTML_END:
            end_tag(&r, &t);
            break;
        }
    }
    end_link(&r);
    buf_fini(&r.link_buf);
}

/* -- The document's charset ----------------------------------------------------------------------- */

/* "text/html; charset=x" */
static struct view charset_in_content(struct view content) {
    ssize_t at;
    while ((at = view_find_nocase(content, VIEW("charset"))) >= 0) {
        content = view_trim(view_skip(content, (size_t)at + 7));
        if (content.n == 0 || content.p[0] != '=')
            continue;
        content = view_trim(view_skip(content, 1));
        size_t n = 0;
        uint8_t quote = content.n > 0 && (content.p[0] == '"' || content.p[0] == '\'') ? content.p[0] : 0;
        if (quote != 0)
            content = view_skip(content, 1);
        while (n < content.n && content.p[n] > ' ' && content.p[n] != ';' && content.p[n] != quote)
            n++;
        return view_sub(content, 0, n);
    }
    return VIEW_NONE;
}

struct view html_charset(struct view octets) {
    struct html_tokens tokens;
    struct html_token t;
    if (view_starts(octets, VIEW("\xef\xbb\xbf")))
        return VIEW("utf-8");
    if (view_starts(octets, VIEW("\xff\xfe")))
        return VIEW("utf-16le");
    if (view_starts(octets, VIEW("\xfe\xff")))
        return VIEW("utf-16be");
    html_tokens_init(&tokens, view_sub(octets, 0, HTML_CHARSET_OCTETS));
    while (html_tokens_next(&tokens, &t)) {
        if (t.kind != HTML_START || t.tag != HTML_meta)
            continue;
        struct view charset = view_trim(t.attributes[HTML_ATTRIBUTE_CHARSET]);
        if (charset.n == 0)
            charset = charset_in_content(t.attributes[HTML_ATTRIBUTE_CONTENT]);
        if (charset.n == 0)
            continue;
        /* The octets were read as ASCII up to here, so that it cannot be true. */
        return view_starts_nocase(charset, VIEW("utf-16")) ? VIEW("utf-8") : charset;
    }
    return VIEW_NONE;
}
