/* format=flowed, read and written. */
#include "message/flowed.h"

/* RFC3676-4.3: the signature separator is a fixed line, although it ends with a space. */
static bool is_separator(struct view content) {
    return view_eq(content, VIEW("-- "));
}

/* The next line of *text without its end (CRLF, LF, and CR when `any`), which is taken off. */
static struct view take_line(struct view *text, bool any) {
    size_t n = 0;
    while (n < text->n && text->p[n] != '\n' && !(any && text->p[n] == '\r'))
        n++;
    struct view line = view_sub(*text, 0, n);
    bool is_pair = any && n + 1 < text->n && text->p[n] == '\r' && text->p[n + 1] == '\n';
    *text = view_skip(*text, n + (is_pair ? 2 : 1));
    if (!any && line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static size_t quote_depth(struct view line) {
    size_t depth = 0;
    while (depth < line.n && line.p[depth] == '>')
        depth++;
    return depth;
}

static void put_quote(struct buf *out, size_t depth) {
    for (size_t i = 0; i < depth; i++)
        buf_put_byte(out, '>');
}

void flowed_put_text(struct buf *out, struct view text, bool del_sp) {
    bool is_open = false; /* the last line flows into the next */
    size_t open_depth = 0;
    while (text.n > 0 && buf_err(out) == ERR_OK) {
        struct view line = take_line(&text, false);
        /* RFC3676-4.4 and 4.5: first quote marks, then stuffing. */
        size_t depth = quote_depth(line);
        struct view content = view_skip(line, depth);
        if (content.n > 0 && content.p[0] == ' ')
            content = view_skip(content, 1);
        bool is_fixed = is_separator(content) || content.n == 0 || content.p[content.n - 1] != ' ';
        /* RFC3676-4.5: a change of depth ends a paragraph, and so does a separator. */
        if (is_open && (depth != open_depth || is_separator(content))) {
            buf_put_byte(out, '\n');
            is_open = false;
        }
        if (!is_open) {
            put_quote(out, depth);
            if (depth > 0 && content.n > 0)
                buf_put_byte(out, ' ');
        }
        if (!is_fixed && del_sp)
            content.n--; /* RFC3676-4.1: DelSp=yes */
        buf_put(out, content);
        if (is_fixed)
            buf_put_byte(out, '\n');
        is_open = !is_fixed;
        open_depth = depth;
    }
    if (is_open)
        buf_put_byte(out, '\n');
}

/* Octets of the first line of a paragraph, the space that makes it flow included; all when no more is needed. */
static size_t first_line(struct view content) {
    size_t width = 0, fits = 0, first = 0;
    for (size_t i = 0; i < content.n; i++) {
        if ((content.p[i] & 0xc0) == 0x80)
            continue;
        if (width == FLOWED_WIDTH && fits > 0)
            return fits;
        width++;
        /* Not so that a line looks like a separator. */
        if (content.p[i] != ' ' || i + 1 == content.n || is_separator(view_sub(content, 0, i + 1)))
            continue;
        if (first == 0)
            first = i + 1;
        if (width <= FLOWED_WIDTH)
            fits = i + 1;
        else
            return first;
    }
    return width <= FLOWED_WIDTH ? content.n : fits > 0 ? fits : content.n;
}

/* RFC3676-4.4: what would be read as a quote mark or as stuffing, and what mail systems change. */
static bool needs_stuffing(struct view line) {
    return line.n > 0 && (line.p[0] == ' ' || line.p[0] == '>' || view_starts(line, VIEW("From ")));
}

static void put_paragraph(struct buf *out, size_t depth, struct view content) {
    do {
        struct view line = view_sub(content, 0, first_line(content));
        content = view_skip(content, line.n);
        put_quote(out, depth);
        if (needs_stuffing(line) || (depth > 0 && line.n > 0))
            buf_put_byte(out, ' ');
        buf_put(out, line);
        buf_put(out, VIEW("\r\n"));
    } while (content.n > 0 && buf_err(out) == ERR_OK);
}

void flowed_put(struct buf *out, struct view text) {
    while (text.n > 0 && buf_err(out) == ERR_OK) {
        struct view line = take_line(&text, true);
        size_t depth = quote_depth(line);
        struct view content = view_skip(line, depth);
        if (depth > 0 && content.n > 0 && content.p[0] == ' ')
            content = view_skip(content, 1);
        /* RFC3676-4.2: no spaces before a line end that is meant. */
        if (!is_separator(content))
            while (content.n > 0 && content.p[content.n - 1] == ' ')
                content.n--;
        put_paragraph(out, depth, content);
    }
}
