/* Thread keys: base subjects and message ids. */
#include "message/thread.h"

#include "message/header.h"

#include "base/map.h"

#include <string.h>

/* Octets of a subject that are decoded for threading; longer ones are cut, which only makes their threads coarser. */
#define SUBJECT_MAX 4096

/* -- Message ids ---------------------------------------------------------------------------------- */

/* The octets between the angle brackets without white space and local-part quoting (RFC5256-3 REFERENCES: ids that differ
 * only in quoting are the same). */
static struct view normalize_id(struct arena *arena, struct view id) {
    bool plain = true;
    for (size_t i = 0; i < id.n && plain; i++)
        plain = id.p[i] > ' ' && id.p[i] != '"' && id.p[i] != '\\';
    if (plain)
        return id;
    uint8_t *to = arena_alloc(arena, id.n);
    if (to == NULL)
        return VIEW_NONE;
    size_t n = 0;
    bool in_quotes = false;
    for (size_t i = 0; i < id.n; i++) {
        uint8_t c = id.p[i];
        if (c == '"') {
            in_quotes = !in_quotes;
        } else if (c == '\\' && i + 1 < id.n) {
            to[n++] = id.p[++i];
        } else if (c == '\r' || c == '\n' || (!in_quotes && (c == ' ' || c == '\t'))) {
            continue;
        } else {
            to[n++] = c;
        }
    }
    return view_of(to, n);
}

/* The next "<...>" from *at; p == NULL at the end. A "<" inside starts anew. */
static struct view next_id(struct view v, size_t *at) {
    while (*at < v.n) {
        const uint8_t *open = memchr(v.p + *at, '<', v.n - *at);
        if (open == NULL)
            break;
        size_t start = (size_t)(open - v.p) + 1;
        bool in_quotes = false;
        size_t i = start;
        while (i < v.n && i - start <= THREAD_ID_MAX) {
            uint8_t c = v.p[i];
            if (c == '"')
                in_quotes = !in_quotes;
            else if (c == '\\' && i + 1 < v.n)
                i++;
            else if (!in_quotes && (c == '>' || c == '<'))
                break;
            i++;
        }
        *at = i > start ? i : start;
        if (i < v.n && v.p[i] == '>') {
            *at = i + 1;
            if (i > start)
                return view_sub(v, start, i - start);
        }
    }
    *at = v.n;
    return VIEW_NONE;
}

void thread_ids_parse(struct arena *arena, struct view value, struct thread_ids *out) {
    size_t total = 0, at = 0;
    out->list = NULL;
    out->count = 0;
    while (next_id(value, &at).p != NULL)
        total++;
    size_t kept = MIN(total, (size_t)THREAD_REFERENCES_MAX);
    struct view *list = ARENA_ARRAY(arena, kept, struct view);
    if (kept == 0 || list == NULL)
        return;
    size_t n = 0;
    at = 0;
    for (size_t i = 0; i < total; i++) {
        struct view id = next_id(value, &at);
        /* The first id is the thread's root; of the others the last ones are the nearest. */
        if (i > 0 && total - i > kept - 1)
            continue;
        id = normalize_id(arena, id);
        if (id.n > 0)
            list[n++] = id;
    }
    out->list = list;
    out->count = n;
}

struct view thread_message_id(struct arena *arena, struct view header) {
    struct header_field field;
    struct view id;
    if (!header_find(header, VIEW("Message-ID"), &field))
        return VIEW_NONE;
    size_t at = 0;
    id = next_id(field.value, &at);
    if (id.p == NULL) {
        /* Some senders leave the angle brackets out. */
        id = view_trim(field.value);
        if (id.n == 0 || id.n > THREAD_ID_MAX || view_find_byte(id, '@') < 0 || view_find_byte(id, ' ') >= 0 ||
            view_find_byte(id, '<') >= 0)
            return VIEW_NONE;
    }
    id = normalize_id(arena, id);
    return id.n > 0 ? id : VIEW_NONE;
}

void thread_references(struct arena *arena, struct view header, struct thread_ids *out) {
    struct header_field field;
    out->list = NULL;
    out->count = 0;
    if (header_find(header, VIEW("References"), &field))
        thread_ids_parse(arena, field.value, out);
    if (out->count > 0 || !header_find(header, VIEW("In-Reply-To"), &field))
        return;
    /* RFC5256-3 REFERENCES (1): else the first valid id of In-Reply-To. */
    thread_ids_parse(arena, field.value, out);
    out->count = MIN(out->count, (size_t)1);
}

/* -- Base subject --------------------------------------------------------------------------------- */

/* RFC5256-5: subj-blob = "[" *BLOBCHAR "]" *WSP. Octets it takes at the start of s, or 0. */
static size_t blob_length(struct view s) {
    if (s.n == 0 || s.p[0] != '[')
        return 0;
    size_t i = 1;
    while (i < s.n && s.p[i] != '[' && s.p[i] != ']')
        i++;
    if (i == s.n || s.p[i] != ']')
        return 0;
    i++;
    while (i < s.n && ascii_is_blank(s.p[i]))
        i++;
    return i;
}

/* RFC5256-5: subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static size_t refwd_length(struct view s) {
    size_t i = 0;
    if (view_starts_nocase(s, VIEW("re")))
        i = 2;
    else if (view_starts_nocase(s, VIEW("fwd")))
        i = 3;
    else if (view_starts_nocase(s, VIEW("fw")))
        i = 2;
    else
        return 0;
    while (i < s.n && ascii_is_blank(s.p[i]))
        i++;
    i += blob_length(view_skip(s, i));
    return i < s.n && s.p[i] == ':' ? i + 1 : 0;
}

/* RFC5256-5: subj-leader = (*subj-blob subj-refwd) / WSP */
static size_t leader_length(struct view s, bool *is_reply) {
    if (s.n > 0 && ascii_is_blank(s.p[0]))
        return 1;
    size_t i = 0, n;
    while ((n = blob_length(view_skip(s, i))) > 0)
        i += n;
    n = refwd_length(view_skip(s, i));
    if (n == 0)
        return 0;
    *is_reply = true;
    return i + n;
}

/* RFC5256-2.1 (2): subj-trailer = "(fwd)" / WSP, as long as there are any. */
static struct view cut_trailers(struct view s, bool *is_reply) {
    for (;;) {
        if (s.n > 0 && ascii_is_blank(s.p[s.n - 1])) {
            s.n--;
        } else if (view_ends_nocase(s, VIEW("(fwd)"))) {
            s.n -= 5;
            *is_reply = true;
        } else {
            return s;
        }
    }
}

/* RFC5256-2.1 (3) to (5). */
static struct view cut_leaders(struct view s, bool *is_reply) {
    for (;;) {
        size_t n = leader_length(s, is_reply);
        if (n == 0) {
            n = blob_length(s);
            /* (4): only when something is left. */
            if (n == 0 || n == s.n)
                return s;
        }
        s = view_skip(s, n);
    }
}

void thread_base_subject(const struct charset_table *table, struct view subject, struct buf *out, bool *is_reply) {
    struct buf decoded;
    bool found = false;
    buf_init(&decoded, 4 * SUBJECT_MAX);
    words_decode(table, view_sub(subject, 0, SUBJECT_MAX), &decoded);
    /* (1): tabs, continuations and runs of spaces become one space. */
    size_t n = 0;
    for (size_t i = 0; i < decoded.n; i++) {
        uint8_t c = decoded.p[i];
        if (c == '\t' || c == '\r' || c == '\n')
            c = ' ';
        if (c == ' ' && n > 0 && decoded.p[n - 1] == ' ')
            continue;
        decoded.p[n++] = c;
    }
    struct view s = view_of(decoded.p, n);
    for (;;) {
        s = cut_leaders(cut_trailers(s, &found), &found);
        /* (6): "[fwd: ... ]" */
        if (!view_starts_nocase(s, VIEW("[fwd:")) || s.p[s.n - 1] != ']')
            break;
        s = view_sub(s, 5, s.n - 6);
        found = true;
    }
    buf_put(out, s);
    if (out->err == ERR_OK)
        out->err = buf_err(&decoded);
    buf_fini(&decoded);
    if (is_reply != NULL)
        *is_reply = found;
}

/* -- Keys ----------------------------------------------------------------------------------------- */

static uint64_t hash_kind(const uint8_t key[16], uint8_t kind, struct view text, bool fold) {
    /* Longer texts are hashed in pieces, each with the hash so far in front. */
    uint8_t block[9 + 1024];
    uint64_t hash = text.n;
    size_t at = 0;
    do {
        size_t n = MIN(text.n - at, (size_t)1024);
        block[0] = kind;
        for (size_t i = 0; i < 8; i++)
            block[1 + i] = (uint8_t)(hash >> (8 * i));
        for (size_t i = 0; i < n; i++)
            block[9 + i] = fold ? ascii_lower(text.p[at + i]) : text.p[at + i];
        hash = siphash(key, view_of(block, 9 + n));
        at += n;
    } while (at < text.n);
    return hash;
}

uint64_t thread_id_key(const uint8_t key[16], struct view id) {
    return hash_kind(key, 'i', id, false);
}

uint64_t thread_subject_key(const uint8_t key[16], struct view base_subject) {
    return hash_kind(key, 's', base_subject, true);
}
