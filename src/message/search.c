/* Case-insensitive substring search over decoded messages. */
#include "message/search.h"

#include "message/header.h"
#include "message/text.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>

/* Octets that the Unicode library is given at once, and how many ASCII ones in a row end such a piece. */
#define PIECE_MAX 2048
#define ASCII_RUN 8
/* Octets of text that are folded between two looks for the key. */
#define FOLD_WINDOW 16384
/* One character of Arabic becomes eighteen. */
#define FOLD_GROWTH 12
/* The most octets of text from one window of a body, and what charsets hold back. */
#define PIECE_TEXT_MAX (4 * (size_t)(MESSAGE_WINDOW + 2 * CHARSET_HELD_MAX + CHARSET_GUESS_MAX + DECODE_HELD_MAX))

/* The most octets that do not cut a character from the marks that follow it. */
static size_t whole_characters(struct view text, size_t max) {
    struct view v = utf8_truncate(text, max);
    if (v.n == text.n)
        return v.n;
    for (size_t n = v.n; n > v.n / 2; n--) {
        uint32_t cp;
        if ((text.p[n] & 0xc0) == 0x80)
            continue;
        if (utf8_decode(view_skip(text, n), &cp) == 0 || uc_combining_class(cp) == 0)
            return n;
    }
    return v.n > 0 ? v.n : MIN(text.n, max);
}

/* Decomposing can bring up capitals: letterlike and mathematical ones, units, modifiers. */
static bool needs_second_pass(struct view source, struct view folded) {
    for (size_t i = 0; i < source.n; i++)
        if (source.p[i] == 0xe1 || source.p[i] == 0xe2 || source.p[i] >= 0xf0)
            return true;
    for (size_t i = 0; i < folded.n; i++)
        if (folded.p[i] >= 'A' && folded.p[i] <= 'Z')
            return true;
    return false;
}

static void put_folded(struct buf *out, struct view folded) {
    struct view dotless = VIEW("\xc4\xb1");
    /* RFC5051-2: a capital I is the title form of the dotless i, too. */
    while (folded.n > 0) {
        ssize_t at = view_find(folded, dotless);
        buf_put(out, view_sub(folded, 0, at < 0 ? folded.n : (size_t)at));
        if (at < 0)
            return;
        buf_put_byte(out, 'i');
        folded = view_skip(folded, (size_t)at + dotless.n);
    }
}

/* Valid UTF-8, folded and decomposed. */
static void put_piece(struct buf *out, struct view text) {
    size_t n = 0;
    uint8_t *folded = u8_casefold(text.p, text.n, NULL, UNINORM_NFKD, NULL, &n);
    if (folded != NULL && needs_second_pass(text, view_of(folded, n))) {
        uint8_t *again = u8_casefold(folded, n, NULL, UNINORM_NFKD, NULL, &n);
        free(folded);
        folded = again;
    }
    if (folded == NULL) {
        if (out->err == ERR_OK)
            out->err = ERR_NO_MEMORY;
        return;
    }
    put_folded(out, view_of(folded, n));
    free(folded);
}

/* Octets from a first one that is not ASCII up to where ASCII goes on. */
static size_t piece_length(struct view text) {
    size_t run = 0;
    for (size_t i = 0; i < text.n; i++) {
        run = text.p[i] < 0x80 ? run + 1 : 0;
        if (run == ASCII_RUN)
            return i + 1 - run;
        if (i == PIECE_MAX)
            return whole_characters(text, PIECE_MAX);
    }
    return text.n;
}

void search_fold(struct buf *out, struct view text) {
    struct buf valid;
    size_t at = 0;
    /* Every invalid octet may become a replacement character. */
    buf_init(&valid, (size_t)3 * (PIECE_MAX + 1));
    while (at < text.n && buf_err(out) == ERR_OK) {
        /* Runs of ASCII are copied and folded in place. */
        size_t end = at;
        while (end < text.n && text.p[end] < 0x80)
            end++;
        if (end > at) {
            uint8_t *to = buf_room(out, end - at);
            if (to == NULL)
                break;
            for (size_t i = at; i < end; i++)
                to[i - at] = ascii_lower(text.p[i]);
            buf_added(out, end - at);
            at = end;
            continue;
        }
        struct view piece = view_sub(text, at, piece_length(view_skip(text, at)));
        buf_clear(&valid);
        buf_put_utf8_lossy(&valid, piece);
        put_piece(out, buf_view(&valid));
        at += piece.n;
    }
    buf_fini(&valid);
}

/* A search in text that comes in pieces: folded, with the end of what was looked at kept in front of the next. */
struct finder {
    struct view key;
    struct buf folded;
};

static void finder_init(struct finder *f, struct view key) {
    f->key = key;
    buf_init(&f->folded, key.n + (size_t)FOLD_GROWTH * FOLD_WINDOW + 64);
}

/* key.n > 0 */
static bool finder_feed(struct finder *f, struct view text) {
    while (text.n > 0 && buf_err(&f->folded) == ERR_OK) {
        struct view piece = view_sub(text, 0, whole_characters(text, FOLD_WINDOW));
        text = view_skip(text, piece.n);
        search_fold(&f->folded, piece);
        if (f->folded.n < f->key.n)
            continue;
        if (memmem(f->folded.p, f->folded.n, f->key.p, f->key.n) != NULL)
            return true;
        buf_consume(&f->folded, f->folded.n - (f->key.n - 1));
    }
    return false;
}

static bool find(struct view text, struct view key) {
    struct finder f;
    if (key.n == 0)
        return true;
    finder_init(&f, key);
    bool found = finder_feed(&f, text);
    buf_fini(&f.folded);
    return found;
}

bool search_text(struct view text, struct view key) {
    return find(text, key);
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
        if (find(buf_view(work), key))
            return true;
    }
    return false;
}

/* The text of a part on its way through decoder and charset; what was looked at is forgotten but for a key's length. */
struct text_search {
    struct finder finder;
    struct decoder decoder;
    struct charset_stream charset;
    struct buf window, octets, text;
};

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
        *out = finder_feed(&t->finder, buf_view(&t->text));
        buf_clear(&t->text);
        TRY(buf_err(&t->finder.folded));
        if (*out || is_end)
            return ERR_OK;
    }
}

static enum err search_part(const struct charset_table *table, const struct message *message,
                            const struct mime_part *part, struct view key, bool *out) {
    struct text_search t;
    finder_init(&t.finder, key);
    decoder_init(&t.decoder, part->encoding);
    charset_stream_init(&t.charset, table, mime_part_charset(part));
    buf_init(&t.window, MESSAGE_WINDOW);
    buf_init(&t.octets, 2 * MESSAGE_WINDOW);
    buf_init(&t.text, PIECE_TEXT_MAX);
    enum err err = find_in_part(&t, message, part, out);
    if (err != ERR_OK || *out) { /* only its end gives back what it holds */
        buf_clear(&t.text);
        charset_stream_end(&t.charset, &t.text);
    }
    buf_fini(&t.window);
    buf_fini(&t.octets);
    buf_fini(&t.text);
    buf_fini(&t.finder.folded);
    return err;
}

/* HTML as the text that it shows. */
static enum err search_html(const struct charset_table *table, const struct message *message,
                            const struct mime_part *part, struct view key, bool *out) {
    struct buf text;
    buf_init(&text, FOLD_GROWTH * (size_t)TEXT_READ_SOURCE_MAX);
    message_part_put_text(&text, table, message, part, TEXT_READ_SOURCE_MAX, HTML_INDEX, NULL);
    enum err err = buf_err(&text);
    if (err == ERR_OK || err == ERR_LIMIT)
        *out = find(buf_view(&text), key);
    buf_fini(&text);
    return err == ERR_LIMIT ? ERR_OK : err;
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
        work->err = mime_part_is(p, VIEW("text"), VIEW("html")) ? search_html(table, message, p, key, &is_found)
                                                                : search_part(table, message, p, key, &is_found);
        if (is_found || work->err != ERR_OK)
            return is_found;
    }
    return false;
}
