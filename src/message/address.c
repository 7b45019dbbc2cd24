/* Address lists: a scanner that finds the shape of an entry first, and then reads its pieces. */
#include "message/address.h"

#include "message/params.h"

#include <string.h>

struct scan {
    struct arena *arena;
    struct view in;
    /* An unclosed quote or comment is an ordinary octet; from the first such one on, none is looked for again, so that
     * the time stays linear. Offsets, NONE while there is none. */
    size_t quotes_broken, comments_broken;
    size_t plain_until; /* up to here it is known that no "<" comes before the entry's "," or ";" */
};

#define NONE SIZE_MAX

struct list_builder {
    struct arena *arena;
    struct address *list;
    size_t count, cap;
    bool truncated;
};

/* Octets that are nothing but text wherever they are; most are. */
static bool is_ordinary(uint8_t c) {
    static const bool others[256] = {[' '] = true, ['\t'] = true, ['\r'] = true, ['\n'] = true, ['"'] = true,
                                     ['('] = true, ['['] = true,  ['\\'] = true, ['<'] = true,  ['>'] = true,
                                     ['@'] = true, [','] = true,  [';'] = true,  [':'] = true,  ['='] = true};
    return !others[c];
}

static void add(struct list_builder *b, struct address address) {
    if (b->count == b->cap) {
        size_t cap = b->cap == 0 ? 4 : MIN(b->cap * 2, ADDRESSES_MAX);
        struct address *grown = NULL;
        if (b->count < ADDRESSES_MAX)
            grown = arena_grow(b->arena, b->list, b->cap, cap, sizeof(struct address));
        if (grown == NULL) {
            b->truncated = true;
            return;
        }
        b->list = grown;
        b->cap = cap;
    }
    b->list[b->count++] = address;
}

/* After the quoted string that opens at `at`, or `at` when it is not closed before `end`. */
static size_t skip_quoted(struct scan *s, size_t at, size_t end) {
    if (at >= s->quotes_broken)
        return at;
    for (size_t i = at + 1; i < end; i++) {
        if (s->in.p[i] == '\\')
            i++;
        else if (s->in.p[i] == '"')
            return i + 1;
    }
    if (end == s->in.n)
        s->quotes_broken = at;
    return at;
}

/* The same for a comment; comments nest (RFC5322-3.2.2). */
static size_t skip_comment(struct scan *s, size_t at, size_t end) {
    if (at >= s->comments_broken)
        return at;
    size_t depth = 0;
    for (size_t i = at; i < end; i++) {
        uint8_t c = s->in.p[i];
        if (c == '\\')
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            return i + 1;
    }
    if (end == s->in.n)
        s->comments_broken = at;
    return at;
}

/* RFC5322-3.4.1: a domain literal "[...]"; unclosed it is an ordinary octet. */
static size_t skip_literal(const struct scan *s, size_t at, size_t end) {
    for (size_t i = at + 1; i < end && i - at < 256; i++) {
        if (s->in.p[i] == ']')
            return i + 1;
        if (s->in.p[i] == '[' || s->in.p[i] == ',' || s->in.p[i] == '>')
            break;
    }
    return at;
}

/* The longest encoded word that is one here; RFC2047-2 allows 75, senders write whole names into one. */
#define ENCODED_WORD_MAX 1000

/* RFC2047-2: an encoded word is one atom, whatever careless senders leave unencoded in it (a comma above all). Returns
 * `at` when there is none; another one that begins inside ends the search, so that the time stays linear. */
static size_t skip_encoded_word(const struct scan *s, size_t at, size_t end) {
    const uint8_t *p = s->in.p;
    end = MIN(end, at + ENCODED_WORD_MAX);
    if (at + 8 > end || p[at + 1] != '?')
        return at;
    size_t i = at + 2;
    while (i < end && p[i] > ' ' && p[i] != '?')
        i++;
    if (i + 3 >= end || p[i + 2] != '?' || ((p[i + 1] | 0x20) != 'q' && (p[i + 1] | 0x20) != 'b'))
        return at;
    for (i += 3; i + 1 < end && !ascii_is_space(p[i]); i++) {
        if (p[i] == '?' && p[i + 1] == '=')
            return i + 2;
        if (p[i] == '=' && p[i + 1] == '?')
            break;
    }
    return at;
}

/* One lexical element from `at`: a quoted string, comment, literal, encoded word, or an octet. Returns the offset after it. */
static size_t skip_element(struct scan *s, size_t at, size_t end) {
    size_t next = at;
    switch (s->in.p[at]) {
    case '"':
        next = skip_quoted(s, at, end);
        break;
    case '(':
        next = skip_comment(s, at, end);
        break;
    case '[':
        next = skip_literal(s, at, end);
        break;
    case '=':
        next = skip_encoded_word(s, at, end);
        break;
    case '\\':
        next = at + 2 <= end ? at + 2 : end;
        break;
    default:
        break;
    }
    return next > at ? next : at + 1;
}

static size_t skip_ordinary(const struct scan *s, size_t at, size_t end) {
    while (at < end && is_ordinary(s->in.p[at]))
        at++;
    return at;
}

/* What becomes of white space between words: one space (a phrase), nothing (a domain), or nothing beside dots and one
 * space elsewhere (a local part: RFC5322-4.4 allows white space around dots, and only mistakes have it elsewhere). */
enum spaces { SPACES_KEPT, SPACES_DROPPED, SPACES_AT_DOTS_DROPPED };

static bool is_joint(uint8_t c) {
    return c == '.' || c == '@';
}

/* The text of in[from, to) without quoting, comments and folds. */
static struct view read_words(struct scan *s, size_t from, size_t to, enum spaces spaces) {
    while (from < to && ascii_is_space(s->in.p[from]))
        from++;
    while (to > from && ascii_is_space(s->in.p[to - 1]))
        to--;
    if (from == to)
        return VIEW("");
    bool plain = true;
    for (size_t i = from; i < to && plain; i++) {
        uint8_t c = s->in.p[i];
        if (is_ordinary(c))
            continue;
        plain = c != '"' && c != '(' && c != '\\' && c != '\r' && c != '\n' && c != '\t' &&
                (c != ' ' || (spaces == SPACES_KEPT && s->in.p[i - 1] != ' '));
    }
    if (plain)
        return view_sub(s->in, from, to - from);
    uint8_t *text = arena_alloc(s->arena, to - from);
    if (text == NULL)
        return view_sub(s->in, from, to - from);
    size_t n = 0;
    bool gap = false;
    for (size_t i = from; i < to;) {
        uint8_t c = s->in.p[i];
        size_t next = skip_element(s, i, to);
        if (ascii_is_space(c) || (c == '(' && next > i + 1)) {
            gap = n > 0;
        } else {
            if (gap &&
                (spaces == SPACES_KEPT || (spaces == SPACES_AT_DOTS_DROPPED && !is_joint(c) && !is_joint(text[n - 1]))))
                text[n++] = ' ';
            gap = false;
            if (c == '"' && next > i + 1) {
                for (size_t k = i + 1; k + 1 < next; k++) {
                    if (s->in.p[k] == '\\' && k + 2 < next)
                        k++;
                    else if (s->in.p[k] == '\r' || s->in.p[k] == '\n')
                        continue;
                    text[n++] = s->in.p[k];
                }
            } else if (c == '\\' && next == i + 2) {
                text[n++] = s->in.p[i + 1];
            } else {
                memcpy(text + n, s->in.p + i, next - i);
                n += next - i;
            }
        }
        i = next;
    }
    return n == 0 ? VIEW("") : view_of(text, n);
}

/* The text of the last comment in in[from, to), or p == NULL: "joe@example.org (Joe)" names Joe. */
static struct view read_comment(struct scan *s, size_t from, size_t to) {
    struct view found = VIEW_NONE;
    for (size_t i = skip_ordinary(s, from, to); i < to; i = skip_ordinary(s, i, to)) {
        size_t next = skip_element(s, i, to);
        if (s->in.p[i] == '(' && next > i + 1) {
            struct view text = view_trim(view_sub(s->in, i + 1, next - i - 2));
            if (text.n > 0)
                found = text;
        }
        i = next;
    }
    if (found.n == 0)
        return VIEW_NONE;
    if (view_find_byte(found, '\\') < 0 && view_find_byte(found, '\n') < 0 && view_find_byte(found, '\r') < 0)
        return found;
    uint8_t *text = arena_alloc(s->arena, found.n);
    if (text == NULL)
        return found;
    size_t n = 0;
    for (size_t i = 0; i < found.n; i++) {
        uint8_t c = found.p[i];
        if (c == '\r' || c == '\n')
            continue;
        if (c == '\\' && i + 1 < found.n)
            c = found.p[++i];
        text[n++] = c;
    }
    return view_of(text, n);
}

/* Where things are in one entry; `none` when they are not there. */
struct shape {
    size_t start, end;   /* the entry, without its "," or ";" */
    size_t name_end;     /* the first "<" */
    size_t open, close;  /* "<" and ">" (close is the end of the route-addr when ">" is missing) */
    size_t colon;        /* a group's ":" before anything else */
    size_t local;        /* without "<>": where the local part begins */
    size_t at_sign;      /* the last "@" outside of "<>" */
    size_t host_end;     /* after the domain that follows it */
    bool has_text;       /* anything but white space and comments */
    bool is_unseparated; /* the next entry begins at `end`, without "," or ";" */
    bool has_comment;
    size_t angle_at; /* the last "@" within "<>" */
};

/* The words of an entry, as they go by: a word is what no white space or comment parts, or what dots join over these. */
struct word_track {
    size_t start, end; /* the current word; NONE: none since the entry or the last "@" began */
    size_t host;       /* the first word after the "@" */
    size_t tail;       /* what follows the ">" */
    bool angle_has_at;
};

static bool is_joined(const struct scan *s, size_t before, size_t after) {
    return before == after || s->in.p[before - 1] == '.' || s->in.p[after] == '.';
}

/* An element outside of "<>" at [i, next). False when the entry ends before the current word: "a@b c@d". That is two
 * addresses only where no "<" follows, to which all of it would be the name. */
static bool take_element(const struct scan *s, struct shape *e, struct word_track *w, size_t i, size_t next) {
    if (s->in.p[i] == '@') {
        if (e->at_sign != NONE && w->host != NONE && w->start > w->host) {
            e->is_unseparated = true;
            e->end = w->start;
            if (i < s->plain_until)
                return false;
        }
        if (e->at_sign == NONE)
            e->local = w->start == NONE ? i : w->start;
        e->at_sign = i;
        e->host_end = next;
        w->start = w->host = NONE;
        return true;
    }
    if (w->start == NONE || !is_joined(s, w->end, i))
        w->start = i;
    if (e->at_sign != NONE && w->host == NONE)
        w->host = i;
    if (w->start == w->host)
        e->host_end = next;
    w->end = next;
    return true;
}

/* "Joe [mailto:joe@example.org]", as Outlook quotes: brackets with an "@" that are no domain literal. */
static bool is_bracketed_address(const struct scan *s, const struct shape *e, size_t i, size_t next) {
    return s->in.p[i] == '[' && next > i + 1 && e->at_sign == NONE && e->open == NONE &&
           view_find_byte(view_sub(s->in, i, next - i), '@') >= 0;
}

static bool is_mailto(const struct scan *s, size_t start, size_t colon) {
    return view_eq_nocase(view_trim(view_sub(s->in, start, colon - start)), VIEW("mailto"));
}

static struct shape find_shape(struct scan *s, size_t start) {
    struct shape e = {.start = start,
                      .end = s->in.n,
                      .name_end = NONE,
                      .open = NONE,
                      .close = NONE,
                      .colon = NONE,
                      .local = NONE,
                      .at_sign = NONE,
                      .angle_at = NONE,
                      .host_end = NONE};
    struct word_track w = {NONE, NONE, NONE, NONE, false};
    size_t i = start;
    while (i < s->in.n) {
        uint8_t c = s->in.p[i];
        size_t next = is_ordinary(c) ? skip_ordinary(s, i + 1, s->in.n) : skip_element(s, i, s->in.n);
        bool in_angle = e.open != NONE && e.close == NONE;
        if (ascii_is_space(c) || (c == '(' && next > i + 1)) {
            e.has_comment |= c == '(';
            i = next;
            continue;
        }
        if (e.close != NONE && c != ',' && c != ';') {
            /* After an address: nothing that counts, or the next one, whose comma is missing. */
            if (w.tail == NONE)
                w.tail = i;
            if (w.angle_has_at && (c == '@' || c == '<')) {
                e.is_unseparated = true;
                e.end = w.tail;
                return e;
            }
        }
        if (in_angle && c == '>') {
            e.close = i;
        } else if (c == '<') {
            /* Of several "<" in one entry the last one opens the address. */
            if (e.open == NONE)
                e.name_end = i;
            e.open = i;
            e.close = e.angle_at = NONE;
            w.tail = NONE;
        } else if (c == ';' || (c == ',' && !(in_angle && s->in.p[e.open + 1] == '@'))) {
            break;
        } else if (c == ':' && e.open == NONE && e.at_sign == NONE && !is_mailto(s, start, i)) {
            e.colon = i;
            break;
        } else if (is_bracketed_address(s, &e, i, next)) {
            e.name_end = e.open = i;
            e.close = next - 1;
            e.angle_at = i + 1 + (size_t)view_rfind_byte(view_sub(s->in, i + 1, next - i - 1), '@');
            w.angle_has_at = true;
        } else if (e.open == NONE && c != '>' && !take_element(s, &e, &w, i, next)) {
            return e;
        }
        if (in_angle && c == '@') {
            w.angle_has_at = true;
            e.angle_at = i;
        }
        e.has_text |= c != '>';
        i = next;
    }
    if (e.is_unseparated && e.open == NONE) {
        /* Once more, now that it is known. */
        s->plain_until = i;
        return find_shape(s, start);
    }
    e.is_unseparated = false;
    e.end = i;
    if (e.open != NONE && e.close == NONE)
        e.close = i;
    return e;
}

/* The first octet `byte`, which is not ordinary, outside of quotes and comments in in[from, to); NONE. */
static size_t find_octet(struct scan *s, size_t from, size_t to, uint8_t byte) {
    for (size_t i = skip_ordinary(s, from, to); i < to; i = skip_ordinary(s, i, to)) {
        if (s->in.p[i] == byte)
            return i;
        i = skip_element(s, i, to);
    }
    return NONE;
}

/* "mailto:joe@example.org" in place of an address. */
static size_t skip_mailto(const struct scan *s, size_t from, size_t to) {
    static const struct view mailto = VIEW_INIT("mailto:"), smtp = VIEW_INIT("smtp:");
    struct view rest = view_sub(s->in, from, to - from);
    if (view_starts_nocase(rest, mailto))
        return from + mailto.n;
    return view_starts_nocase(rest, smtp) ? from + smtp.n : from;
}

/* An addr-spec of which only what is quoted has an "@": the whole of it was quoted. */
static void unquote_address(struct address *a) {
    ssize_t at = view_rfind_byte(a->mailbox, '@');
    if (at <= 0 || (size_t)at + 1 == a->mailbox.n || view_find_byte(a->mailbox, ' ') >= 0)
        return;
    a->host = view_skip(a->mailbox, (size_t)at + 1);
    a->mailbox = view_sub(a->mailbox, 0, (size_t)at);
}

static void read_addr_spec(struct scan *s, size_t from, size_t at, size_t to, struct address *a) {
    if (at == NONE) {
        a->mailbox = read_words(s, from, to, SPACES_AT_DOTS_DROPPED);
        a->host = VIEW("");
        unquote_address(a);
        return;
    }
    a->mailbox = read_words(s, from, at, SPACES_AT_DOTS_DROPPED);
    a->host = read_words(s, at + 1, to, SPACES_DROPPED);
}

static void read_angle(struct scan *s, const struct shape *e, struct address *a) {
    size_t from = e->open + 1;
    while (from < e->close && ascii_is_space(s->in.p[from]))
        from++;
    if (from < e->close && s->in.p[from] == '@') {
        /* RFC5322-4.4: obs-route = "@a,@b:" */
        size_t colon = find_octet(s, from, e->close, ':');
        if (colon != NONE) {
            a->adl = read_words(s, from, colon, SPACES_DROPPED);
            from = colon + 1;
        }
    }
    from = skip_mailto(s, from, e->close);
    bool has_at = e->angle_at != NONE && e->angle_at >= from;
    read_addr_spec(s, from, has_at ? e->angle_at : NONE, e->close, a);
}

static void read_entry(struct scan *s, const struct shape *e, struct list_builder *b) {
    struct address a = {.kind = ADDRESS_MAILBOX};
    size_t name_end = e->open != NONE ? e->name_end : e->at_sign != NONE ? e->local : e->start;
    struct view name = read_words(s, e->start, name_end, SPACES_KEPT);
    a.name = name.n > 0 ? name : e->has_comment ? read_comment(s, e->start, e->end) : VIEW_NONE;
    if (e->open != NONE)
        read_angle(s, e, &a);
    else if (e->at_sign != NONE)
        read_addr_spec(s, skip_mailto(s, e->local, e->at_sign), e->at_sign, e->host_end, &a);
    else
        read_addr_spec(s, e->start, NONE, e->end, &a);
    add(b, a);
}

/* Text without an address that is rather a piece of a name than an unqualified user: "Doe, Joe <joe@example.org>". */
static bool is_name_piece(const struct scan *s, const struct shape *e) {
    if (!e->has_text || e->open != NONE || e->at_sign != NONE || e->colon != NONE || e->end == s->in.n ||
        s->in.p[e->end] != ',')
        return false;
    size_t i = mime_skip_cfws(s->in, e->start);
    uint8_t c = i < e->end ? s->in.p[i] : 0;
    return (c >= 'A' && c <= 'Z') || c >= 0x80 || (c == '=' && i + 1 < e->end && s->in.p[i + 1] == '?');
}

/* The entries of in[from, to), which looked like pieces of a name but were not. */
static void read_pieces(struct scan *s, size_t from, size_t to, struct list_builder *b) {
    while (from < to) {
        struct shape e = find_shape(s, from);
        read_entry(s, &e, b);
        from = e.end + 1;
    }
}

/* "<Undisclosed-Recipient:@relay.example;>", an empty group that a server took for an address: its colon; NONE. */
static size_t group_in_angle(struct scan *s, const struct shape *e) {
    if (e->open == NONE || e->close != e->end || e->end == s->in.n || s->in.p[e->end] != ';')
        return NONE;
    size_t colon = find_octet(s, e->open + 1, e->close, ':');
    if (colon == NONE || colon == e->open + 1 || find_octet(s, e->open + 1, colon, '@') != NONE)
        return NONE;
    return colon + 1 == e->close || s->in.p[colon + 1] == '@' ? colon : NONE;
}

void address_parse(struct arena *arena, struct view value, struct address_list *out) {
    struct scan s = {.arena = arena, .in = value, .quotes_broken = NONE, .comments_broken = NONE};
    struct list_builder b = {.arena = arena};
    bool in_group = false;
    size_t at = 0, pieces = NONE; /* where a name with commas may have begun */
    while (at < value.n && !b.truncated) {
        struct shape e = find_shape(&s, at);
        if (is_name_piece(&s, &e)) {
            pieces = pieces == NONE ? at : pieces;
            at = e.end + 1;
            continue;
        }
        if (pieces != NONE && e.open != NONE && e.close > e.open + 1)
            e.start = pieces;
        else if (pieces != NONE)
            read_pieces(&s, pieces, at, &b);
        pieces = NONE;
        if (e.colon != NONE) {
            if (in_group)
                add(&b, (struct address){.kind = ADDRESS_GROUP_END});
            add(&b, (struct address){.kind = ADDRESS_GROUP_START, .mailbox = read_words(&s, at, e.colon, SPACES_KEPT)});
            in_group = true;
            at = e.colon + 1;
            continue;
        }
        size_t colon = in_group ? NONE : group_in_angle(&s, &e);
        if (colon != NONE) {
            add(&b, (struct address){.kind = ADDRESS_GROUP_START,
                                     .mailbox = read_words(&s, e.open + 1, colon, SPACES_KEPT)});
            add(&b, (struct address){.kind = ADDRESS_GROUP_END});
        } else if (e.has_text) {
            read_entry(&s, &e, &b);
        }
        if (e.end < value.n && value.p[e.end] == ';' && in_group) {
            add(&b, (struct address){.kind = ADDRESS_GROUP_END});
            in_group = false;
        }
        at = e.is_unseparated ? e.end : e.end + 1;
    }
    if (pieces != NONE)
        read_pieces(&s, pieces, value.n, &b);
    if (in_group)
        add(&b, (struct address){.kind = ADDRESS_GROUP_END});
    out->list = b.list;
    out->count = b.count;
    out->truncated = b.truncated;
}

bool address_first(const struct address_list *list, struct address *out) {
    for (size_t i = 0; i < list->count; i++) {
        const struct address *a = &list->list[i];
        if (a->kind == ADDRESS_MAILBOX && a->mailbox.n > 0 && a->host.n > 0) {
            *out = *a;
            return true;
        }
    }
    return false;
}
