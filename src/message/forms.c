/* Parsed forms of header fields (RFC8621-4.1.2). */
#include "message/forms.h"

#include "message/fold.h"
#include "message/header.h"
#include "message/nfc.h"
#include "message/thread.h"

#include "base/utf8.h"

#include <string.h>

/* Octets of one display name that are looked at: no name is longer. */
#define FORM_NAME_MAX 4096
/* What they grow to at most: three octets for one by a charset, three times that by normalization. */
#define FORM_NAME_TEXT_MAX (16 * FORM_NAME_MAX)
/* Ids or URLs of one field that are read; RFC5322-2.1.1's lines could not hold as many in a header of honest size. */
#define FORM_STRINGS_MAX 10000

/* -- Which form a field may have -------------------------------------------------------------------- */

#define BIT(form) (1U << (form))

/* RFC8621-4.1.2.2 to 4.1.2.7; 0: only raw. All fields of RFC 5322 and RFC 2369 stand here. */
static const struct {
    struct view name;
    unsigned forms;
} fields[] = {
    {VIEW_INIT("From"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Sender"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Reply-To"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("To"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Cc"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Bcc"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Resent-From"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Resent-Sender"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Resent-Reply-To"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Resent-To"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Resent-Cc"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Resent-Bcc"), BIT(FORM_ADDRESSES) | BIT(FORM_GROUPED_ADDRESSES)},
    {VIEW_INIT("Message-ID"), BIT(FORM_MESSAGE_IDS)},
    {VIEW_INIT("In-Reply-To"), BIT(FORM_MESSAGE_IDS)},
    {VIEW_INIT("References"), BIT(FORM_MESSAGE_IDS)},
    {VIEW_INIT("Resent-Message-ID"), BIT(FORM_MESSAGE_IDS)},
    {VIEW_INIT("Date"), BIT(FORM_DATE)},
    {VIEW_INIT("Resent-Date"), BIT(FORM_DATE)},
    {VIEW_INIT("Subject"), BIT(FORM_TEXT)},
    {VIEW_INIT("Comments"), BIT(FORM_TEXT)},
    {VIEW_INIT("Keywords"), BIT(FORM_TEXT)},
    {VIEW_INIT("Return-Path"), 0},
    {VIEW_INIT("Received"), 0},
    {VIEW_INIT("List-Help"), BIT(FORM_URLS)},
    {VIEW_INIT("List-Unsubscribe"), BIT(FORM_URLS)},
    {VIEW_INIT("List-Subscribe"), BIT(FORM_URLS)},
    {VIEW_INIT("List-Post"), BIT(FORM_URLS)},
    {VIEW_INIT("List-Owner"), BIT(FORM_URLS)},
    {VIEW_INIT("List-Archive"), BIT(FORM_URLS)},
};

bool form_is_allowed(struct view name, enum header_form form) {
    if (form == FORM_RAW)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (view_eq_nocase(name, fields[i].name))
            return (fields[i].forms & BIT(form)) != 0;
    return true;
}

/* -- Raw and Text ----------------------------------------------------------------------------------- */

void form_put_raw(struct buf *out, struct view value) {
    while (value.n > 0) {
        ssize_t nul = view_find_byte(value, 0);
        size_t n = nul < 0 ? value.n : (size_t)nul;
        buf_put_utf8_lossy(out, view_sub(value, 0, n));
        value = view_skip(value, n + (nul >= 0));
    }
}

/* RFC2047-2: the token is one encoded word, whole and of a known charset. Its length is no matter: senders exceed 75. */
static bool is_encoded_word(const struct charset_table *table, struct view token) {
    if (token.n < 8 || !view_starts(token, VIEW("=?")) || !view_ends(token, VIEW("?=")))
        return false;
    struct view charset, encoding, rest, text, language;
    token = view_sub(token, 2, token.n - 4);
    if (!view_split(token, '?', &charset, &rest) || !view_split(rest, '?', &encoding, &text) ||
        view_find_byte(text, '?') >= 0 || encoding.n != 1)
        return false;
    uint8_t e = ascii_lower(encoding.p[0]);
    if ((e != 'q' && e != 'b') || charset.n == 0)
        return false;
    struct view label;
    view_split(charset, '*', &label, &language); /* RFC2231-5 */
    return charset_is_known(table, label);
}

/* RFC8621-4.1.2.2 (4): control characters that were encoded are dropped. */
static void put_without_controls(struct buf *out, struct view text) {
    while (text.n > 0) {
        uint32_t cp = 0;
        size_t n = utf8_decode(text, &cp);
        n = MAX(n, (size_t)1);
        if (cp >= 160 || (cp >= ' ' && cp < 127))
            buf_put(out, view_sub(text, 0, n));
        text = view_skip(text, n);
    }
}

/* Text outside of encoded words. is_utf8: all of the value is UTF-8, else 8-bit octets are guessed. */
static void put_plain(struct buf *out, const struct charset_table *table, struct view text, bool is_utf8) {
    for (size_t i = 0; i < text.n;) {
        size_t end = i;
        while (end < text.n && text.p[end] != '\r' && text.p[end] != '\n' && text.p[end] != 0)
            end++;
        struct view piece = view_sub(text, i, end - i);
        if (is_utf8)
            buf_put(out, piece);
        else
            charset_put_utf8(table, VIEW_NONE, piece, out);
        i = end + 1;
    }
}

/* Decodes only what stands where RFC2047-5 (1) and (3) admit it: between white space. */
static void put_decoded(struct buf *out, const struct charset_table *table, struct view value) {
    struct buf word;
    bool is_utf8 = utf8_is_valid(value);
    size_t plain_from = 0, words_from = 0, words_end = 0;
    buf_init(&word, 4 * value.n + 16);
    for (size_t at = 0; at <= value.n;) {
        size_t start = at;
        while (start < value.n && ascii_is_space(value.p[start]))
            start++;
        size_t end = start;
        while (end < value.n && !ascii_is_space(value.p[end]))
            end++;
        bool is_word = end > start && is_encoded_word(table, view_sub(value, start, end - start));
        if (is_word) {
            if (words_end == 0) {
                put_plain(out, table, view_sub(value, plain_from, start - plain_from), is_utf8);
                words_from = start;
            }
            words_end = end;
        } else if (words_end > 0) {
            /* A run of words together, for RFC2047-6.2: the space between them is no text. */
            buf_clear(&word);
            words_decode(table, view_sub(value, words_from, words_end - words_from), &word);
            put_without_controls(out, buf_view(&word));
            plain_from = words_end;
            words_end = 0;
        }
        if (end == value.n && !is_word)
            break;
        at = end;
    }
    put_plain(out, table, view_skip(value, plain_from), is_utf8);
    if (out->err == ERR_OK)
        out->err = buf_err(&word);
    buf_fini(&word);
}

static struct view skip_blanks(struct view v) {
    while (v.n > 0 && ascii_is_space(v.p[0]))
        v = view_skip(v, 1);
    return v;
}

void form_put_text(struct buf *out, const struct charset_table *table, struct view value) {
    struct view v = skip_blanks(value);
    struct buf text;
    buf_init(&text, 16 * v.n + 16);
    put_decoded(&text, table, v);
    nfc_put(out, buf_view(&text));
    if (out->err == ERR_OK)
        out->err = buf_err(&text);
    buf_fini(&text);
}

/* -- Addresses -------------------------------------------------------------------------------------- */

/*
 * A display name or comment, decoded. address_parse() has taken the quotes away, so that encoded words in quoted strings
 * (RFC2047-5 (3) forbids them, much real mail has them) are decoded like others: the name is for people.
 */
static struct view read_name(struct arena *arena, const struct charset_table *table, struct view name) {
    if (name.p == NULL)
        return VIEW_NONE;
    struct buf text;
    struct view out = VIEW_NONE;
    buf_init(&text, FORM_NAME_TEXT_MAX);
    form_put_text(&text, table, view_trim(view_sub(name, 0, FORM_NAME_MAX)));
    struct view trimmed = view_trim(buf_view(&text));
    if (buf_err(&text) != ERR_OK || trimmed.n == 0 || arena_view(arena, trimmed, &out) != ERR_OK)
        out = VIEW_NONE;
    buf_fini(&text);
    return out;
}

/* RFC5322-3.4.1: addr-spec. Without a domain what was written stays as it is. */
static void put_addr_spec(struct buf *out, struct view local, struct view host) {
    if (host.n == 0 || fold_is_dot_atom(local)) {
        form_put_raw(out, local);
    } else {
        buf_put_byte(out, '"');
        for (size_t i = 0; i < local.n; i++) {
            if (local.p[i] == '"' || local.p[i] == '\\')
                buf_put_byte(out, '\\');
            if (local.p[i] != 0)
                buf_put_byte(out, local.p[i]);
        }
        buf_put_byte(out, '"');
    }
    if (host.n > 0) {
        buf_put_byte(out, '@');
        form_put_raw(out, host);
    }
}

static struct view read_email(struct arena *arena, const struct address *a) {
    struct buf text;
    struct view out = VIEW("");
    buf_init(&text, 6 * (a->mailbox.n + a->host.n) + 8);
    put_addr_spec(&text, a->mailbox, a->host);
    struct buf valid;
    buf_init(&valid, 3 * text.n + 4);
    buf_put_utf8_lossy(&valid, buf_view(&text));
    if (buf_err(&text) != ERR_OK || buf_err(&valid) != ERR_OK || valid.n == 0 ||
        arena_view(arena, buf_view(&valid), &out) != ERR_OK)
        out = VIEW("");
    buf_fini(&valid);
    buf_fini(&text);
    return out;
}

/*
 * Careless programs encode the whole of "Joe <joe@example.org>", address included. What has no address outside of its
 * encoded words is read once more, decoded; an address that is there is never replaced.
 */
static bool read_encoded_address(struct arena *arena, const struct charset_table *table, const struct address *a,
                                 struct address *out) {
    if (a->host.n > 0 || view_find(a->mailbox, VIEW("=?")) < 0)
        return false;
    struct buf text;
    struct address_list list;
    struct view copy;
    bool found = false;
    buf_init(&text, FORM_NAME_TEXT_MAX);
    words_decode(table, view_sub(a->mailbox, 0, FORM_NAME_MAX), &text);
    if (buf_err(&text) == ERR_OK && arena_view(arena, buf_view(&text), &copy) == ERR_OK) {
        address_parse(arena, copy, &list);
        found = address_first(&list, out);
        if (found && out->name.p == NULL)
            out->name = a->name;
    }
    buf_fini(&text);
    return found;
}

static struct form_address read_address(struct arena *arena, const struct charset_table *table,
                                        const struct address *a) {
    struct address decoded;
    if (read_encoded_address(arena, table, a, &decoded))
        a = &decoded;
    return (struct form_address){.name = read_name(arena, table, a->name), .email = read_email(arena, a)};
}

/* Room for all groups and all addresses: one array each, counted before. */
static bool make_room(struct arena *arena, const struct address_list *list, struct form_groups *out,
                      struct form_address **addresses) {
    size_t groups = 0, count = 0;
    bool in_run = false;
    for (size_t i = 0; i < list->count; i++) {
        bool is_mailbox = list->list[i].kind == ADDRESS_MAILBOX;
        groups += list->list[i].kind == ADDRESS_GROUP_START || (is_mailbox && !in_run);
        in_run = list->list[i].kind != ADDRESS_GROUP_END;
        count += is_mailbox;
    }
    out->list = ARENA_ARRAY(arena, groups, struct form_group);
    *addresses = ARENA_ARRAY(arena, count, struct form_address);
    return out->list != NULL && *addresses != NULL;
}

void form_groups_parse(struct arena *arena, const struct charset_table *table, struct view value,
                       struct form_groups *out) {
    struct address_list list;
    struct form_address *next = NULL;
    struct form_group *group = NULL;
    *out = (struct form_groups){0};
    address_parse(arena, value, &list);
    out->truncated = list.truncated;
    if (!make_room(arena, &list, out, &next)) {
        *out = (struct form_groups){.truncated = true};
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        const struct address *a = &list.list[i];
        if (a->kind == ADDRESS_GROUP_END) {
            group = NULL;
            continue;
        }
        if (a->kind == ADDRESS_GROUP_START || group == NULL) {
            group = &out->list[out->count++];
            *group = (struct form_group){.name = VIEW_NONE, .list = next};
        }
        if (a->kind == ADDRESS_GROUP_START) {
            struct view name = read_name(arena, table, a->mailbox);
            group->name = name.p == NULL ? VIEW("") : name;
            continue;
        }
        struct form_address address = read_address(arena, table, a);
        /* "<>" says nothing. */
        if (address.name.p == NULL && address.email.n == 0) {
            if (group->name.p == NULL && group->count == 0) {
                out->count--;
                group = NULL;
            }
            continue;
        }
        *next++ = address;
        group->count++;
    }
}

/* -- Message ids, URLs ------------------------------------------------------------------------------ */

struct string_list {
    struct arena *arena;
    struct view *list;
    size_t count, cap;
};

static bool add_string(struct string_list *b, struct view text) {
    if (b->count == b->cap) {
        size_t cap = b->cap == 0 ? 8 : b->cap * 2;
        struct view *grown = NULL;
        if (b->count < FORM_STRINGS_MAX)
            grown = arena_grow(b->arena, b->list, b->cap, cap, sizeof(struct view));
        if (grown == NULL)
            return false;
        b->list = grown;
        b->cap = cap;
    }
    b->list[b->count++] = text;
    return true;
}

static void finish_strings(const struct string_list *b, struct form_strings *out) {
    *out = (struct form_strings){.list = b->list, .count = b->count, .is_null = b->count == 0};
}

/* Text in the arena as JSON can carry it: without white space (quoted strings keep theirs), comments (only of ids), NUL,
 * octets that are no UTF-8. */
static bool clean_string(struct arena *arena, struct view text, bool is_id, struct view *out) {
    struct buf clean;
    bool in_quotes = false;
    buf_init(&clean, 3 * text.n + 4);
    for (size_t i = 0; i < text.n;) {
        uint8_t c = text.p[i];
        if (is_id && !in_quotes && c == '(') {
            i = mime_skip_cfws(text, i);
            continue;
        }
        if (is_id && c == '"')
            in_quotes = !in_quotes;
        size_t n = is_id && c == '\\' && i + 1 < text.n ? 2 : 1;
        if (c != 0 && c != '\r' && c != '\n' && (in_quotes || !ascii_is_blank(c)))
            buf_put(&clean, view_sub(text, i, n));
        i += n;
    }
    struct buf valid;
    buf_init(&valid, 9 * text.n + 4);
    form_put_raw(&valid, buf_view(&clean));
    bool ok = buf_err(&clean) == ERR_OK && buf_err(&valid) == ERR_OK && valid.n > 0 &&
              arena_view(arena, buf_view(&valid), out) == ERR_OK;
    buf_fini(&valid);
    buf_fini(&clean);
    return ok;
}

/* The ">" of the id that opens at `at`, over quoted strings; v.n when there is none, or another "<" comes first. Longer
 * than a line it is no id, which also bounds the work. */
static size_t id_end(struct view v, size_t at) {
    bool in_quotes = false;
    for (size_t i = at + 1; i < v.n && i - at <= THREAD_ID_MAX + 1; i++) {
        uint8_t c = v.p[i];
        if (c == '\\')
            i++;
        else if (c == '"')
            in_quotes = !in_quotes;
        else if (!in_quotes && c == '>')
            return i;
        else if (!in_quotes && c == '<')
            return v.n;
    }
    return v.n;
}

void form_message_ids_parse(struct arena *arena, struct view value, struct form_strings *out) {
    struct string_list b = {.arena = arena};
    struct view text;
    size_t at = 0;
    while (at < value.n) {
        if (value.p[at] == '(') {
            at = mime_skip_cfws(value, at);
            continue;
        }
        if (value.p[at] != '<') {
            at++;
            continue;
        }
        size_t end = id_end(value, at);
        if (end == value.n) {
            /* Broken: goes on at the next "<". */
            struct view rest = view_skip(value, at + 1);
            ssize_t next = view_find_byte(rest, '<');
            if (next < 0)
                break;
            at += 1 + (size_t)next;
            continue;
        }
        if (clean_string(arena, view_sub(value, at + 1, end - at - 1), true, &text) && !add_string(&b, text))
            break;
        at = end + 1;
    }
    if (b.count == 0) {
        /* Some senders leave the angle brackets out. */
        struct view bare = view_trim(value);
        ssize_t at_sign = view_find_byte(bare, '@');
        bool is_id = at_sign > 0;
        for (size_t i = 0; i < bare.n && is_id; i++)
            is_id = bare.p[i] > ' ' && bare.p[i] != '<' && bare.p[i] != '>' && bare.p[i] != '(' && bare.p[i] != ',';
        if (is_id && clean_string(arena, bare, true, &text))
            (void)add_string(&b, text);
    }
    finish_strings(&b, out);
}

void form_urls_parse(struct arena *arena, struct view value, struct form_strings *out) {
    struct string_list b = {.arena = arena};
    size_t at = 0;
    for (;;) {
        at = mime_skip_cfws(value, at);
        /* RFC2369-2 (1) and (3): what does not begin with "<" is ignored, and all that follows. */
        if (at >= value.n || value.p[at] != '<')
            break;
        ssize_t close = view_find_byte(view_skip(value, at), '>');
        struct view text;
        if (close < 0)
            break;
        /* RFC2369-2: white space within the brackets is ignored. */
        if (clean_string(arena, view_sub(value, at + 1, (size_t)close - 1), false, &text) && !add_string(&b, text))
            break;
        /* RFC2369-2 (2): what follows is ignored, unless the next thing is a comma. */
        at = mime_skip_cfws(value, at + (size_t)close + 1);
        if (at >= value.n || value.p[at] != ',')
            break;
        at++;
    }
    finish_strings(&b, out);
}

/* -- Date ------------------------------------------------------------------------------------------- */

bool form_put_date(struct buf *out, struct view value) {
    struct message_date date;
    if (message_date_parse(value, &date) != ERR_OK)
        return false;
    int zone = date.local.zone_minutes;
    /* From the time line, so that a leap second, which many readers of RFC 3339 refuse, is the second after it. */
    struct date d = date_from_unix(date.unix_s, zone);
    if (d.year < 0 || d.year > 9999) /* RFC3339-1: years have four digits */
        return false;
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d", d.year, d.month, d.day, d.hour, d.minute, d.second);
    if (zone == 0) {
        /* RFC3339-4.3: -00:00 is a time in UTC whose local zone is not known, like RFC5322-3.3's -0000. */
        buf_put(out, date.zone_known ? VIEW("Z") : VIEW("-00:00"));
        return true;
    }
    int minutes = zone < 0 ? -zone : zone;
    buf_printf(out, "%c%02d:%02d", zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
    return true;
}
