/* The preview text. */
#include "message/preview.h"

#include "message/text.h"

#include "base/utf8.h"

/* U+200B to U+200F, U+2028 to U+202E, U+2060, U+FEFF, U+00AD, U+034F: invisible, and senders pad previews with them. */
static bool is_invisible(uint32_t cp) {
    return (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) || cp == 0x2060 || cp == 0xfeff ||
           cp == 0xad || cp == 0x34f;
}

static bool is_white(uint32_t cp) {
    return cp <= ' ' || cp == 127 || cp == 0xa0 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x202f || cp == 0x205f ||
           cp == 0x3000;
}

/* What is in a preview so far. */
struct line {
    struct buf *out;
    size_t count; /* characters */
    bool gap;
    uint32_t joiner; /* U+200C or U+200D, which matters only between two characters that show */
};

static void put_text(struct line *line, struct view text) {
    while (text.n > 0 && line->count < PREVIEW_CHARACTERS) {
        uint32_t cp = 0xfffd;
        text = view_skip(text, MAX(utf8_decode(text, &cp), (size_t)1));
        if (is_white(cp)) {
            line->gap = true;
            line->joiner = 0;
            continue;
        }
        if (is_invisible(cp) || (cp >= 0x80 && cp < 0xa0)) {
            line->joiner = cp == 0x200c || cp == 0x200d ? cp : line->joiner;
            continue;
        }
        uint32_t before = line->count == 0 ? 0 : line->gap ? ' ' : line->joiner;
        if (before != 0) {
            if (line->count + 1 >= PREVIEW_CHARACTERS)
                break;
            buf_put_utf8(line->out, before);
            line->count++;
        }
        line->gap = false;
        line->joiner = 0;
        buf_put_utf8(line->out, cp);
        line->count++;
    }
    line->gap = true; /* a line end */
}

/* "-----", "=====" and the like say nothing. */
static bool is_rule(struct view v) {
    static const struct view marks = VIEW_INIT("-_=*~#+.");
    for (size_t i = 0; i < v.n; i++)
        if (view_find_byte(marks, v.p[i]) < 0)
            return false;
    return v.n >= 3;
}

/* The separator of a signature, its space lost perhaps, or of the message that is answered. */
static bool is_end(struct view v) {
    return view_eq(v, VIEW("--")) || (v.n > 10 && view_starts(v, VIEW("-----")) && view_ends(v, VIEW("-----")));
}

/* Is the next line that is not empty a quoted one? Then "On that day somebody wrote:" belongs to it. */
static bool is_quote_next(struct view rest) {
    size_t i = 0;
    while (i < rest.n && rest.p[i] <= ' ')
        i++;
    return i < rest.n && rest.p[i] == '>';
}

/* Text in lines as one line; returns the characters written. */
static size_t put_line(struct buf *out, struct view text, bool with_quotes) {
    struct line line = {.out = out};
    while (text.n > 0 && line.count < PREVIEW_CHARACTERS) {
        struct view raw;
        view_split(text, '\n', &raw, &text);
        struct view v = view_trim(raw);
        if (is_end(v) && line.count > 0)
            break;
        if (is_rule(v))
            continue;
        bool is_quote = v.n > 0 && (v.p[0] == '>' || (v.p[v.n - 1] == ':' && is_quote_next(text)));
        if (!is_quote || with_quotes)
            put_text(&line, v);
    }
    return line.count;
}

static bool is_text(const struct mime_part *p) {
    return view_eq_nocase(p->type, VIEW("text")) && !view_eq_nocase(p->disposition, VIEW("attachment"));
}

/* Octets of rendered text that are looked at. */
#define PREVIEW_TEXT_MAX (16 * (size_t)PREVIEW_SOURCE_MAX)

static size_t put_part(struct buf *out, const struct charset_table *table, const struct message *message,
                       const struct mime_part *part) {
    struct buf text;
    size_t count = 0;
    bool is_html = view_eq_nocase(part->subtype, VIEW("html"));
    buf_init(&text, PREVIEW_TEXT_MAX);
    message_part_put_text(&text, table, message, part, PREVIEW_SOURCE_MAX, HTML_PREVIEW, NULL);
    if (buf_err(&text) != ERR_OK && out->err == ERR_OK)
        out->err = buf_err(&text);
    count = put_line(out, buf_view(&text), false);
    if (count == 0 && buf_err(&text) == ERR_OK && is_html) {
        /* Nothing but quotes, which that purpose leaves out. */
        message_part_put_text(&text, table, message, part, PREVIEW_SOURCE_MAX, HTML_INDEX, NULL);
    }
    if (count == 0)
        count = put_line(out, buf_view(&text), true);
    buf_fini(&text);
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
