/* Fields of mailing lists. */
#include "message/list.h"

#include "message/header.h"

#include "base/utf8.h"

/* -- List-Id ---------------------------------------------------------------------------------------- */

/* RFC2919-3: dot-atom-text of labels; real lists use "_" and 8-bit octets too. */
static bool is_id(struct view id) {
    if (id.n == 0 || id.n > LIST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] == 127 || view_find_byte(VIEW("<>()\",;:\\"), id.p[i]) >= 0)
            return false;
    return true;
}

bool list_id_parse(struct arena *arena, const struct charset_table *table, struct view value, struct list_id *out) {
    struct address_list list;
    struct form_groups groups;
    struct view v = view_trim(value);
    ssize_t open = view_rfind_byte(v, '<');
    if (open < 0) {
        struct view id = mime_first_token(v, &v);
        if (!is_id(id) || view_find_byte(id, '.') <= 0 || mime_skip_cfws(v, 0) < v.n)
            return false;
        *out = (struct list_id){.id = id};
        return true;
    }
    ssize_t close = view_find_byte(view_skip(v, (size_t)open), '>');
    if (close < 0)
        return false;
    struct view id = view_trim(view_sub(v, (size_t)open + 1, (size_t)close - 1));
    if (!is_id(id))
        return false;
    *out = (struct list_id){.id = id};
    /* The phrase has the syntax of a display name, and what is in brackets that of an address without "@". */
    address_parse(arena, v, &list);
    if (list.count == 1 && list.list[0].name.n > 0) {
        form_groups_parse(arena, table, v, &groups);
        if (groups.count == 1 && groups.list[0].count == 1)
            out->description = groups.list[0].list[0].name;
    }
    if (out->description.p == NULL && open > 0) {
        /* A phrase with unquoted specials is shown as it is. */
        struct buf text;
        struct view copy;
        buf_init(&text, 4096);
        form_put_text(&text, table, view_trim(view_sub(v, 0, (size_t)open)));
        if (buf_err(&text) == ERR_OK && text.n > 0 && text.p[0] != '(' && text.p[0] != '"' &&
            arena_view(arena, buf_view(&text), &copy) == ERR_OK)
            out->description = copy;
        buf_fini(&text);
    }
    return true;
}

/* -- Commands --------------------------------------------------------------------------------------- */

static struct view first_url(const struct form_strings *urls, struct view scheme) {
    for (size_t i = 0; i < urls->count; i++)
        if (view_starts_nocase(urls->list[i], scheme))
            return urls->list[i];
    return VIEW_NONE;
}

/* A value without white space, folds and comments around it equals `text`, with case. */
static bool is_exactly(struct view value, struct view text) {
    size_t at = mime_skip_cfws(value, 0);
    struct view rest = view_skip(value, at);
    return view_starts(rest, text) && mime_skip_cfws(rest, text.n) == rest.n;
}

void list_unsubscribe_read(struct arena *arena, struct view header, struct list_unsubscribe *out) {
    struct header_field field, post;
    *out = (struct list_unsubscribe){.urls.is_null = true};
    if (!header_find(header, VIEW("List-Unsubscribe"), &field))
        return;
    form_urls_parse(arena, field.value, &out->urls);
    out->https = first_url(&out->urls, VIEW("https:"));
    out->mailto = first_url(&out->urls, VIEW("mailto:"));
    /* RFC2369-3: each field at most once; RFC8058-3.1: one https URL, and the field with exactly this value. Of two it
     * would not be known which one was signed. */
    out->one_click = out->https.p != NULL && header_count(header, VIEW("List-Unsubscribe")) == 1 &&
                     header_count(header, VIEW("List-Unsubscribe-Post")) == 1 &&
                     header_find(header, VIEW("List-Unsubscribe-Post"), &post) &&
                     is_exactly(post.value, LIST_ONE_CLICK);
}

bool list_one_click_is_signed(struct view names) {
    bool has_url = false, has_post = false;
    while (names.n > 0) {
        struct view name;
        view_split(names, ':', &name, &names);
        name = view_trim(name);
        has_url |= view_eq_nocase(name, VIEW("List-Unsubscribe"));
        has_post |= view_eq_nocase(name, VIEW("List-Unsubscribe-Post"));
    }
    return has_url && has_post;
}

bool list_post_is_closed(struct view value) {
    return view_eq_nocase(mime_first_token(value, NULL), VIEW("NO"));
}

/* -- mailto ----------------------------------------------------------------------------------------- */

/* RFC6068-5: "+" is a plus. In a body line breaks are "%0D%0A"; in fields they would make fields of their own. */
static bool decode_part(struct arena *arena, struct view text, bool is_body, struct view *out) {
    struct buf octets, valid;
    buf_init(&octets, text.n);
    buf_init(&valid, 3 * text.n);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '%' && i + 2 < text.n && ascii_hex_value(text.p[i + 1]) >= 0 && ascii_hex_value(text.p[i + 2]) >= 0) {
            c = (uint8_t)(ascii_hex_value(text.p[i + 1]) << 4 | ascii_hex_value(text.p[i + 2]));
            i += 2;
        }
        bool is_line = c == '\r' || c == '\n' || c == '\t';
        buf_put_byte(&octets, (c < ' ' && !(is_body && is_line)) || c == 127 ? ' ' : c);
    }
    buf_put_utf8_lossy(&valid, buf_view(&octets));
    bool ok = buf_err(&valid) == ERR_OK && buf_err(&octets) == ERR_OK;
    *out = VIEW("");
    if (ok && valid.n > 0)
        ok = arena_view(arena, buf_view(&valid), out) == ERR_OK;
    buf_fini(&octets);
    buf_fini(&valid);
    return ok;
}

/* "to" stands in the path and may stand in the fields too: together they are one list (RFC6068-2). */
static bool join_to(struct arena *arena, struct mailto *out, struct view more) {
    if (out->to.n == 0) {
        out->to = more;
        return true;
    }
    return more.n == 0 || arena_printf(arena, &out->to, "%.*s,%.*s", VIEW_FMT(out->to), VIEW_FMT(more)) == ERR_OK;
}

bool list_mailto_parse(struct arena *arena, struct view url, struct mailto *out) {
    static const struct view scheme = VIEW_INIT("mailto:");
    struct view path, query, fragment, item;
    struct mailto found = {.to = VIEW("")};
    struct {
        struct view name;
        struct view *to;
    } fields[] = {{VIEW("cc"), &found.cc},
                  {VIEW("bcc"), &found.bcc},
                  {VIEW("subject"), &found.subject},
                  {VIEW("body"), &found.body},
                  {VIEW("in-reply-to"), &found.in_reply_to}};
    if (!view_starts_nocase(url, scheme))
        return false;
    view_split(view_skip(url, scheme.n), '#', &url, &fragment);
    view_split(url, '?', &path, &query);
    if (!decode_part(arena, path, false, &found.to))
        return false;
    while (query.n > 0) {
        struct view name, value, text;
        view_split(query, '&', &item, &query);
        /* Careless writers escape for HTML first. */
        if (view_starts(item, VIEW("amp;")))
            item = view_skip(item, 4);
        view_split(item, '=', &name, &value);
        if (view_eq_nocase(name, VIEW("to"))) {
            if (!decode_part(arena, value, false, &text) || !join_to(arena, &found, text))
                return false;
            continue;
        }
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
            if (view_eq_nocase(name, fields[i].name) && fields[i].to->p == NULL &&
                !decode_part(arena, value, fields[i].to == &found.body, fields[i].to))
                return false;
    }
    *out = found;
    return true;
}
