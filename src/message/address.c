/* Address lists: a scanner that finds the shape of an entry first, and then reads its pieces. */
#include "message/address.h"

#include <string.h>

struct scan {
    struct arena *arena;
    struct view in;
    /* An unclosed quote or comment is an ordinary octet; from the first such one on, none is looked for again, so that
     * the time stays linear. Offsets, NONE while there is none. */
    size_t quotes_broken, comments_broken;
};

#define NONE SIZE_MAX

struct list_builder {
    struct arena *arena;
    struct address *list;
    size_t count, cap;
    bool truncated;
};

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Octets that are nothing but text wherever they are; most are. */
static bool is_ordinary(uint8_t c) {
    static const bool others[256] = {
        [' '] = true,  ['\t'] = true, ['\r'] = true, ['\n'] = true, ['"'] = true, ['('] = true, ['['] = true,
        ['\\'] = true, ['<'] = true,  ['>'] = true,  ['@'] = true,  [','] = true, [';'] = true, [':'] = true};
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

/* One lexical element from `at`: a quoted string, comment, literal, or an octet. Returns the offset after it. */
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

/*
 * The text of in[from, to) without quoting, comments and folds. with_spaces: white space between words becomes one space
 * (a phrase), else it is dropped (a local part, a domain).
 */
static struct view read_words(struct scan *s, size_t from, size_t to, bool with_spaces) {
    while (from < to && is_space(s->in.p[from]))
        from++;
    while (to > from && is_space(s->in.p[to - 1]))
        to--;
    if (from == to)
        return VIEW("");
    bool plain = true;
    for (size_t i = from; i < to && plain; i++) {
        uint8_t c = s->in.p[i];
        plain = c != '"' && c != '(' && c != '\\' && c != '\r' && c != '\n' && c != '\t' &&
                (c != ' ' || (with_spaces && s->in.p[i - 1] != ' '));
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
        if (is_space(c) || (c == '(' && next > i + 1)) {
            gap = n > 0;
        } else {
            if (gap && with_spaces)
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
    size_t start, end;  /* the entry, without its "," or ";" */
    size_t name_end;    /* the first "<" */
    size_t open, close; /* "<" and ">" (close is the end of the route-addr when ">" is missing) */
    size_t colon;       /* a group's ":" before anything else */
    size_t at_sign;     /* the last "@" outside of "<>" */
    size_t split;       /* where another address begins although no comma was there */
    bool has_text;      /* anything but white space and comments */
};

/* Does white space between these two octets only stretch one address (RFC5322-4.4: obs-local-part, obs-domain)? */
static bool is_joint(uint8_t before, uint8_t after) {
    return before == '.' || before == '@' || after == '.' || after == '@';
}

/* Commas are forgotten: "A <a@x> B <b@x>" and "a@x b@x" are two addresses, as any reader would say. */
static struct shape find_shape(struct scan *s, size_t start) {
    struct shape e = {start, s->in.n, NONE, NONE, NONE, NONE, NONE, NONE, false};
    size_t i = start, after_angle = NONE, word = start;
    uint8_t last = 0; /* the octet before, white space aside */
    bool has_host = false, gap = false;
    while (i < s->in.n) {
        uint8_t c = s->in.p[i];
        if (is_ordinary(c)) {
            if (gap && !is_joint(last, c))
                word = i;
            gap = false;
            i = skip_ordinary(s, i + 1, s->in.n);
            last = s->in.p[i - 1];
            e.has_text = true;
            continue;
        }
        size_t next = skip_element(s, i, s->in.n);
        bool in_angle = e.open != NONE && e.close == NONE;
        if ((c == '(' && next > i + 1) || is_space(c)) {
            gap = true;
            i = next;
            continue;
        }
        if (gap && !is_joint(last, c))
            word = i;
        gap = false;
        last = c;
        if (after_angle != NONE && (c == '<' || c == '@')) {
            e.split = i = after_angle;
            break;
        }
        if (in_angle && c == '>') {
            e.close = i;
            after_angle = has_host ? next : NONE;
        } else if (in_angle && c == '@') {
            has_host = true;
        } else if (c == '<') {
            has_host = false;
            /* Of several "<" in one entry the last one opens the address. */
            if (e.open == NONE)
                e.name_end = i;
            e.open = i;
            e.close = NONE;
        } else if (c == ';' || (c == ',' && !(in_angle && s->in.p[e.open + 1] == '@'))) {
            break;
        } else if (c == ':' && e.open == NONE && e.at_sign == NONE) {
            e.colon = i;
            break;
        } else if (c == '@' && e.open == NONE) {
            if (e.at_sign != NONE && word > e.at_sign) {
                if (e.split != NONE)
                    break; /* a third one: it is no name, and the time stays linear */
                e.split = word;
            }
            e.at_sign = i;
        }
        e.has_text |= c != '>';
        i = next;
    }
    e.end = i;
    if (e.open != NONE && e.split != i)
        e.split = NONE; /* "a@x b@x <c@x>": all of it is a name */
    else if (e.split != NONE)
        e.end = e.split;
    if (e.open != NONE && e.close == NONE)
        e.close = i;
    return e;
}

/* The last octet `byte` outside of quotes and comments in in[from, to), or the first one; NONE. */
static size_t find_octet(struct scan *s, size_t from, size_t to, uint8_t byte, bool is_last) {
    size_t found = NONE;
    /* What is looked for is not ordinary. */
    for (size_t i = skip_ordinary(s, from, to); i < to && (is_last || found == NONE); i = skip_ordinary(s, i, to)) {
        size_t next = skip_element(s, i, to);
        if (s->in.p[i] == byte)
            found = i;
        i = next;
    }
    return found;
}

static void read_addr_spec(struct scan *s, size_t from, size_t to, struct address *a) {
    size_t at = find_octet(s, from, to, '@', true);
    a->mailbox = read_words(s, from, at == NONE ? to : at, false);
    a->host = at == NONE ? VIEW("") : read_words(s, at + 1, to, false);
}

static void read_angle(struct scan *s, const struct shape *e, struct address *a) {
    size_t from = e->open + 1;
    while (from < e->close && is_space(s->in.p[from]))
        from++;
    if (from < e->close && s->in.p[from] == '@') {
        /* RFC5322-4.4: obs-route = "@a,@b:" */
        size_t colon = find_octet(s, from, e->close, ':', false);
        if (colon != NONE) {
            a->adl = read_words(s, from, colon, false);
            from = colon + 1;
        }
    }
    read_addr_spec(s, from, e->close, a);
}

/* "Ann Lee a@x spare": from the word that holds the last "@" to where the words after it no longer belong to it. */
static void find_bare(struct scan *s, const struct shape *e, size_t *from, size_t *to) {
    size_t at = find_octet(s, e->start, e->end, '@', true);
    uint8_t last = 0;
    bool gap = false;
    *from = e->start;
    *to = e->end;
    if (at == NONE)
        return;
    for (size_t i = e->start; i < e->end;) {
        size_t next = skip_element(s, i, e->end);
        uint8_t c = s->in.p[i];
        if (is_space(c) || (c == '(' && next > i + 1)) {
            gap = true;
        } else {
            if (gap && !is_joint(last, c)) {
                if (i > at) {
                    *to = i;
                    return;
                }
                *from = i;
            }
            gap = false;
            last = c;
        }
        i = next;
    }
}

static void read_entry(struct scan *s, const struct shape *e, struct list_builder *b) {
    struct address a = {.kind = ADDRESS_MAILBOX};
    if (e->open != NONE) {
        struct view name = read_words(s, e->start, e->name_end, true);
        a.name = name.n > 0 ? name : read_comment(s, e->start, e->end);
        read_angle(s, e, &a);
    } else {
        size_t from, to;
        find_bare(s, e, &from, &to);
        a.name = read_comment(s, e->start, e->end);
        struct view name = read_words(s, e->start, from, true);
        if (name.n > 0)
            a.name = name;
        read_addr_spec(s, from, to, &a);
    }
    add(b, a);
}

void address_parse(struct arena *arena, struct view value, struct address_list *out) {
    struct scan s = {.arena = arena, .in = value, .quotes_broken = NONE, .comments_broken = NONE};
    struct list_builder b = {.arena = arena};
    bool in_group = false;
    size_t at = 0;
    while (at < value.n && !b.truncated) {
        struct shape e = find_shape(&s, at);
        if (e.colon != NONE) {
            if (in_group)
                add(&b, (struct address){.kind = ADDRESS_GROUP_END});
            add(&b, (struct address){.kind = ADDRESS_GROUP_START, .mailbox = read_words(&s, at, e.colon, true)});
            in_group = true;
            at = e.colon + 1;
            continue;
        }
        if (e.has_text)
            read_entry(&s, &e, &b);
        if (e.end < value.n && value.p[e.end] == ';' && in_group) {
            add(&b, (struct address){.kind = ADDRESS_GROUP_END});
            in_group = false;
        }
        at = e.split == NONE ? e.end + 1 : e.end;
    }
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
