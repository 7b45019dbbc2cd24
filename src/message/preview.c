/* The preview text. */
#include "message/preview.h"

#include "message/html.h"

#include "base/utf8.h"

/* -- The preview -------------------------------------------------------------------------------------- */

/* U+200B to U+200F, U+2028 to U+202E, U+2060, U+FEFF, U+00AD, U+034F: invisible, and senders pad previews with them. */
static bool is_invisible(uint32_t cp) {
    return (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) || cp == 0x2060 || cp == 0xfeff ||
           cp == 0xad || cp == 0x34f;
}

/* Text in lines as one line; returns the characters written. */
static size_t put_line(struct buf *out, struct view text) {
    size_t count = 0;
    bool gap = false, at_line_start = true, in_quote = false;
    while (text.n > 0 && count < PREVIEW_CHARACTERS) {
        uint32_t cp = 0xfffd;
        size_t n = MAX(utf8_decode(text, &cp), (size_t)1);
        text = view_skip(text, n);
        if (cp == '\n')
            at_line_start = true;
        if (at_line_start && cp != '\n' && cp != ' ' && cp != '\t' && cp != '\r') {
            in_quote = cp == '>';
            at_line_start = false;
        }
        if (cp <= ' ' || cp == 127 || cp == 0xa0) {
            gap = true;
            continue;
        }
        if (in_quote || is_invisible(cp) || (cp >= 0x80 && cp < 0xa0))
            continue;
        if (gap && count > 0) {
            if (count + 1 >= PREVIEW_CHARACTERS)
                break;
            buf_put_byte(out, ' ');
            count++;
        }
        gap = false;
        buf_put_utf8(out, cp);
        count++;
    }
    return count;
}

static bool is_text(const struct mime_part *p) {
    return view_eq_nocase(p->type, VIEW("text")) && !view_eq_nocase(p->disposition, VIEW("attachment"));
}

static size_t put_part(struct buf *out, const struct charset_table *table, const struct message *message,
                       const struct mime_part *part) {
    struct buf window, text, plain;
    struct view body;
    buf_init(&window, PREVIEW_SOURCE_MAX);
    /* No charset has characters that grow more than threefold in UTF-8. */
    buf_init(&text, 4 * PREVIEW_SOURCE_MAX);
    buf_init(&plain, 8 * PREVIEW_SOURCE_MAX);
    enum err err = message_body_read(message, part, 0, PREVIEW_SOURCE_MAX, &window, &body);
    if (err == ERR_OK)
        decode_put_text_of(&text, table, part, body);
    else if (out->err == ERR_OK)
        out->err = err;
    bool is_html = view_eq_nocase(part->subtype, VIEW("html"));
    if (is_html)
        html_put_text(&plain, buf_view(&text), HTML_PREVIEW);
    size_t count = put_line(out, is_html ? buf_view(&plain) : buf_view(&text));
    buf_fini(&window);
    buf_fini(&text);
    buf_fini(&plain);
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
