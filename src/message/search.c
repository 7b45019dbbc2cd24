/* Case-insensitive substring search over decoded messages. */
#include "message/search.h"

#include "message/header.h"

#include "base/utf8.h"

#include <string.h>

/* Of one window: what waited in the decoder and in the charset too, every octet a character of three. */
#define PIECE_TEXT_MAX (4 * (size_t)(2 * MESSAGE_WINDOW + CHARSET_HELD_MAX))

/* Simple case folding of the scripts named in the header. */
static uint32_t fold(uint32_t c) {
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0xc0 && c <= 0xde && c != 0xd7)
        return c + 32;
    if (c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131)
        return c | 1;
    if (c >= 0x139 && c <= 0x148)
        return c + (c & 1);
    if (c >= 0x14a && c <= 0x177)
        return c | 1;
    if (c == 0x178)
        return 0xff;
    if (c >= 0x179 && c <= 0x17e)
        return c + (c & 1);
    if (c >= 0x391 && c <= 0x3ab && c != 0x3a2)
        return c + 32;
    if (c == 0x3c2)
        return 0x3c3; /* final sigma */
    if (c >= 0x410 && c <= 0x42f)
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    return c;
}

void search_fold(struct buf *out, struct view text) {
    size_t at = 0;
    while (at < text.n && buf_err(out) == ERR_OK) {
        /* Runs of ASCII are copied and folded in place. */
        size_t end = at;
        while (end < text.n && text.p[end] < 0x80)
            end++;
        if (end > at) {
            uint8_t *to = buf_room(out, end - at);
            if (to == NULL)
                return;
            for (size_t i = at; i < end; i++)
                to[i - at] = ascii_lower(text.p[i]);
            buf_added(out, end - at);
            at = end;
            continue;
        }
        uint32_t cp = 0xfffd;
        size_t n = utf8_decode(view_skip(text, at), &cp);
        buf_put_utf8(out, n > 0 ? fold(cp) : 0xfffd);
        at += MAX(n, (size_t)1);
    }
}

/* Is the folded key in the UTF-8 that work holds? */
static bool find_in_work(const struct buf *work, struct view key) {
    struct buf folded;
    if (key.n == 0)
        return true;
    /* Folding makes no character longer, but an invalid octet becomes three. */
    buf_init(&folded, 3 * work->n + 16);
    search_fold(&folded, buf_view(work));
    bool found = folded.n >= key.n && memmem(folded.p, folded.n, key.p, key.n) != NULL;
    buf_fini(&folded);
    return found;
}

bool search_text(struct view text, struct view key, struct buf *work) {
    if (key.n == 0)
        return true;
    buf_clear(work);
    search_fold(work, text);
    return work->n >= key.n && memmem(work->p, work->n, key.p, key.n) != NULL;
}

bool search_header(const struct charset_table *table, struct view header, struct view name, struct view key,
                   struct buf *work) {
    struct header_iter it;
    struct header_field f;
    header_iter_init(&it, header);
    while (header_next(&it, &f)) {
        if (name.n > 0 && !view_eq_nocase(f.name, name))
            continue;
        buf_clear(work);
        if (name.n == 0) {
            buf_put(work, f.name);
            buf_put(work, VIEW(": "));
        }
        words_decode(table, f.value, work);
        if (find_in_work(work, key))
            return true;
    }
    return false;
}

/* The text of a part on its way through decoder and charset; what was looked at is forgotten but for a key's length. */
struct text_search {
    struct view key;
    struct decoder decoder;
    struct charset_stream charset;
    struct buf window, octets, text, folded;
};

static bool find_piece(struct text_search *t) {
    search_fold(&t->folded, buf_view(&t->text));
    buf_clear(&t->text);
    if (t->folded.n < t->key.n)
        return false;
    if (memmem(t->folded.p, t->folded.n, t->key.p, t->key.n) != NULL)
        return true;
    buf_consume(&t->folded, t->folded.n - (t->key.n - 1));
    return false;
}

static enum err find_in_part(struct text_search *t, const struct message *message, const struct mime_part *part,
                             bool *out) {
    for (size_t at = 0;;) {
        struct view piece;
        TRY(message_body_read(message, part, at, MESSAGE_WINDOW, &t->window, &piece));
        bool is_end = piece.n == 0;
        at += piece.n;
        if (is_end)
            decoder_end(&t->decoder, &t->octets);
        else
            decoder_feed(&t->decoder, &t->octets, piece);
        charset_stream_put(&t->charset, buf_view(&t->octets), &t->text);
        if (is_end)
            charset_stream_end(&t->charset, &t->text);
        TRY(buf_err(&t->octets));
        TRY(buf_err(&t->text));
        buf_clear(&t->octets);
        *out = find_piece(t);
        TRY(buf_err(&t->folded));
        if (*out || is_end)
            return ERR_OK;
    }
}

static enum err search_part(const struct charset_table *table, const struct message *message,
                            const struct mime_part *part, struct view key, bool *out) {
    struct text_search t = {.key = key};
    decoder_init(&t.decoder, part->encoding);
    charset_stream_init(&t.charset, table, mime_part_charset(part));
    buf_init(&t.window, MESSAGE_WINDOW);
    buf_init(&t.octets, 2 * MESSAGE_WINDOW);
    buf_init(&t.text, PIECE_TEXT_MAX);
    buf_init(&t.folded, PIECE_TEXT_MAX + key.n);
    enum err err = find_in_part(&t, message, part, out);
    if (err != ERR_OK || *out) { /* only its end gives back what it holds */
        buf_clear(&t.text);
        charset_stream_end(&t.charset, &t.text);
    }
    buf_fini(&t.window);
    buf_fini(&t.octets);
    buf_fini(&t.text);
    buf_fini(&t.folded);
    return err;
}

bool search_body(const struct charset_table *table, const struct message *message, struct view key, struct buf *work) {
    buf_clear(work);
    if (key.n == 0)
        return true;
    for (const struct mime_part *p = message->root; p != NULL; p = message_part_next(p)) {
        bool is_found = false;
        if (p != message->root && search_header(table, message_part_header(message, p), VIEW_NONE, key, work))
            return true;
        buf_clear(work); /* a header that was too long */
        if (p->is_multipart || p->is_message || !view_eq_nocase(p->type, VIEW("text")))
            continue;
        work->err = search_part(table, message, p, key, &is_found);
        if (is_found || work->err != ERR_OK)
            return is_found;
    }
    return false;
}
