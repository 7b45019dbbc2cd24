/* Header fields: iterating, finding, unfolding, subsets. */
#include "message/header.h"

#include <string.h>

void header_iter_init(struct header_iter *it, struct view header) {
    it->in = header;
    /* A byte order mark that an editor put before the message is not part of the first name. */
    it->at = view_starts(header, VIEW("\xef\xbb\xbf")) ? 3 : 0;
    it->eol = '\n';
    if (view_find_byte(header, '\n') < 0 && view_find_byte(header, '\r') >= 0)
        it->eol = '\r';
}

/* The line at `at`: returns the offset after its end, sets *text to its octets without the line end. */
static size_t line_at(const struct header_iter *it, size_t at, struct view *text) {
    const uint8_t *line = it->in.p + at;
    size_t left = it->in.n - at;
    const uint8_t *end = memchr(line, it->eol, left);
    size_t n = end == NULL ? left : (size_t)(end - line);
    size_t next = at + n + (end != NULL);
    if (end != NULL && it->eol == '\n' && n > 0 && line[n - 1] == '\r')
        n--;
    *text = (struct view){line, n};
    return next;
}

/* RFC5322-3.6.8: ftext is any printable octet but ":"; 8-bit octets are taken too. Obsolete syntax (RFC5322-4.5) has white
 * space before the colon. Returns the name's octets, 0 when the line is no field. */
static size_t name_length(struct view line, size_t *colon) {
    static const bool ends_name[256] = {[0 ... ' '] = true, [':'] = true, [127] = true};
    size_t n = 0;
    while (n < line.n && !ends_name[line.p[n]])
        n++;
    size_t at = n;
    while (at < line.n && ascii_is_blank(line.p[at]))
        at++;
    if (n == 0 || at >= line.n || line.p[at] != ':')
        return 0;
    *colon = at;
    return n;
}

bool header_line_is_field(struct view line) {
    size_t colon;
    return name_length(line, &colon) > 0;
}

bool header_next(struct header_iter *it, struct header_field *field) {
    while (it->at < it->in.n) {
        size_t start = it->at;
        struct view line;
        size_t end = line_at(it, start, &line);
        if (line.n == 0)
            return false;
        size_t line_end = start + line.n;
        /* RFC5322-2.2.3: a line that begins with white space continues the field, even one of white space alone. */
        while (end < it->in.n && ascii_is_blank(it->in.p[end])) {
            struct view more;
            size_t more_at = end;
            end = line_at(it, end, &more);
            line_end = more_at + more.n;
        }
        it->at = end;
        size_t colon = 0;
        size_t n = name_length(line, &colon);
        if (n == 0)
            continue;
        field->name = (struct view){line.p, n};
        field->value = (struct view){line.p + colon + 1, line_end - start - colon - 1};
        field->raw = (struct view){line.p, end - start};
        field->offset = start;
        return true;
    }
    return false;
}

bool header_find(struct view header, struct view name, struct header_field *field) {
    struct header_iter it;
    struct header_field f;
    header_iter_init(&it, header);
    while (header_next(&it, &f)) {
        if (view_eq_nocase(f.name, name)) {
            *field = f;
            return true;
        }
    }
    return false;
}

size_t header_count(struct view header, struct view name) {
    struct header_iter it;
    struct header_field f;
    size_t n = 0;
    header_iter_init(&it, header);
    while (header_next(&it, &f))
        n += view_eq_nocase(f.name, name);
    return n;
}

/* A line end at v.p[i] that belongs to a fold: its length, else 0. */
static size_t fold_at(struct view v, size_t i) {
    size_t n = 0;
    if (v.p[i] == '\n')
        n = 1;
    else if (v.p[i] == '\r')
        n = i + 1 < v.n && v.p[i + 1] == '\n' ? 2 : 1;
    if (n == 0)
        return 0;
    /* A CRLF or LF inside a value is always a fold; a lone CR is one only before white space. */
    if (n == 1 && v.p[i] == '\r' && !(i + 1 < v.n && ascii_is_blank(v.p[i + 1])))
        return 0;
    return n;
}

static size_t unfold_into(uint8_t *to, struct view v) {
    size_t n = 0;
    for (size_t i = 0; i < v.n;) {
        size_t fold = v.p[i] == '\n' || v.p[i] == '\r' ? fold_at(v, i) : 0;
        if (fold > 0) {
            i += fold;
            continue;
        }
        to[n++] = v.p[i++];
    }
    return n;
}

static bool has_line_end(struct view v) {
    return view_find_byte(v, '\n') >= 0 || view_find_byte(v, '\r') >= 0;
}

enum err header_unfold(struct arena *arena, struct view value, struct view *out) {
    struct view v = view_trim(value);
    if (v.n == 0) {
        *out = VIEW("");
        return ERR_OK;
    }
    if (!has_line_end(v)) {
        *out = v;
        return ERR_OK;
    }
    uint8_t *to = arena_alloc(arena, v.n);
    if (to == NULL)
        return ERR_LIMIT;
    *out = view_of(to, unfold_into(to, v));
    return ERR_OK;
}

void header_put_unfolded(struct buf *buf, struct view value) {
    struct view v = view_trim(value);
    if (v.n == 0)
        return;
    uint8_t *to = buf_room(buf, v.n);
    if (to != NULL)
        buf_added(buf, unfold_into(to, v));
}

static bool name_in(struct view name, const struct view *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (view_eq_nocase(name, names[i]))
            return true;
    return false;
}

void header_put_subset(struct buf *buf, struct view header, const struct view *names, size_t name_count, bool exclude) {
    struct header_iter it;
    struct header_field f;
    header_iter_init(&it, header);
    while (header_next(&it, &f)) {
        if (name_in(f.name, names, name_count) == exclude)
            continue;
        buf_put(buf, f.raw);
        if (f.raw.p[f.raw.n - 1] != it.eol)
            buf_put(buf, VIEW("\r\n"));
    }
    /* RFC3501-6.4.5: the delimiting blank line is always part of a header subset. */
    buf_put(buf, VIEW("\r\n"));
}
