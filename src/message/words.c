/* Encoded words (RFC 2047) and encoded parameters (RFC 2231) as UTF-8. */
#include "message/words.h"

#include "message/decode.h"

#include "base/utf8.h"

#include <string.h>

/* decode_put_base64() asks for room in pieces. */
#define DECODE_SLACK 8192

/* -- Encoded words ------------------------------------------------------------------------------- */

struct word {
    struct view charset; /* without the RFC2231-5 language */
    uint8_t encoding;    /* 'q' or 'b' */
    struct view text;
    size_t end; /* offset after "?=" */
};

/* "=?charset?encoding?text?=" at `at`. Tolerant: the text may hold spaces, and be longer than RFC2047-2 allows. */
static bool word_at(struct view v, size_t at, struct word *word) {
    if (at + 8 > v.n || v.p[at] != '=' || v.p[at + 1] != '?')
        return false;
    size_t i = at + 2;
    while (i < v.n && v.p[i] > ' ' && v.p[i] < 127 && v.p[i] != '?' && i - at < 80)
        i++;
    if (i == at + 2 || i >= v.n || v.p[i] != '?')
        return false;
    struct view language;
    view_split(view_sub(v, at + 2, i - at - 2), '*', &word->charset, &language);
    /* Some writers put a space here. */
    do
        i++;
    while (i < v.n && v.p[i] == ' ');
    if (i + 1 >= v.n || v.p[i + 1] != '?')
        return false;
    word->encoding = ascii_lower(v.p[i]);
    if (word->encoding != 'q' && word->encoding != 'b')
        return false;
    size_t text = i + 2;
    for (size_t k = text; k + 1 < v.n; k++) {
        uint8_t c = v.p[k];
        if (c == '?' && v.p[k + 1] == '=') {
            word->text = view_sub(v, text, k - text);
            word->end = k + 2;
            return true;
        }
        /* A "?" alone is data to the careless writer of a Q word, but the start of another word ends the search (so that
         * it is linear in all), and so does a line end that is no fold: careless ones fold inside of words. */
        if ((c == '\n' && v.p[k + 1] != ' ' && v.p[k + 1] != '\t') || (word->encoding == 'b' && c == '?'))
            return false;
        if (c == '=' && v.p[k + 1] == '?' && !(k + 2 < v.n && v.p[k + 2] == '='))
            return false;
    }
    return false;
}

static void decode_q(struct view text, struct buf *out) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '\r' || c == '\n') {
            continue; /* of a fold */
        } else if (c == '_') {
            buf_put_byte(out, ' '); /* RFC2047-4.2 (2) */
        } else if (c == '=' && i + 2 < text.n && ascii_hex_value(text.p[i + 1]) >= 0 &&
                   ascii_hex_value(text.p[i + 2]) >= 0) {
            buf_put_byte(out, (uint8_t)(ascii_hex_value(text.p[i + 1]) << 4 | ascii_hex_value(text.p[i + 2])));
            i += 2;
        } else {
            buf_put_byte(out, c);
        }
    }
}

/* Octets of one charset gathered from adjacent words, before conversion. */
struct pending {
    struct view charset;
    struct buf bytes;
};

static void flush(const struct charset_table *table, struct pending *pending, struct buf *out) {
    if (pending->bytes.n > 0)
        charset_put_utf8(table, pending->charset, buf_view(&pending->bytes), out);
    if (buf_err(&pending->bytes) != ERR_OK && out->err == ERR_OK)
        out->err = buf_err(&pending->bytes);
    buf_clear(&pending->bytes);
}

/* Plain text between words: folds removed, 8-bit octets and ISO 2022 guessed. */
static void put_plain(const struct charset_table *table, struct view text, struct buf *out) {
    bool has_8bit = false, has_line_end = false;
    for (size_t i = 0; i < text.n; i++) {
        has_8bit |= text.p[i] >= 0x80 || text.p[i] == 0x1b;
        has_line_end |= text.p[i] == '\r' || text.p[i] == '\n';
    }
    if (!has_line_end) {
        if (has_8bit)
            charset_put_utf8(table, VIEW_NONE, text, out);
        else
            buf_put(out, text);
        return;
    }
    size_t start = 0;
    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && text.p[i] != '\r' && text.p[i] != '\n')
            continue;
        struct view piece = view_sub(text, start, i - start);
        if (has_8bit)
            charset_put_utf8(table, VIEW_NONE, piece, out);
        else
            buf_put(out, piece);
        start = i + 1;
    }
}

void words_decode(const struct charset_table *table, struct view value, struct buf *out) {
    struct view v = view_trim(value);
    struct pending pending = {.charset = VIEW_NONE};
    buf_init(&pending.bytes, v.n + DECODE_SLACK);
    size_t plain_from = 0, at = 0;
    bool after_word = false;
    while (at < v.n) {
        const uint8_t *next = memchr(v.p + at, '=', v.n - at);
        if (next == NULL)
            break;
        at = (size_t)(next - v.p);
        struct word word;
        if (!word_at(v, at, &word)) {
            at++;
            continue;
        }
        bool only_space = after_word;
        for (size_t i = plain_from; i < at && only_space; i++)
            only_space = ascii_is_space(v.p[i]);
        /* RFC2047-6.2: white space between adjacent encoded words is ignored. */
        if (!only_space) {
            flush(table, &pending, out);
            put_plain(table, view_sub(v, plain_from, at - plain_from), out);
        } else if (!view_eq_nocase(pending.charset, word.charset)) {
            flush(table, &pending, out);
        }
        pending.charset = word.charset;
        if (word.encoding == 'q')
            decode_q(word.text, &pending.bytes);
        else
            decode_put_base64(&pending.bytes, word.text);
        plain_from = at = word.end;
        after_word = true;
    }
    flush(table, &pending, out);
    put_plain(table, view_skip(v, plain_from), out);
    buf_fini(&pending.bytes);
}

bool words_is_plain(struct view value) {
    struct view v = view_trim(value);
    if ((!utf8_is_ascii(v) && !utf8_is_valid(v)) || view_find_byte(v, 0x1b) >= 0)
        return false;
    for (size_t at = 0; at + 1 < v.n; at++) {
        const uint8_t *next = memchr(v.p + at, '=', v.n - at);
        if (next == NULL)
            return true;
        at = (size_t)(next - v.p);
        struct word word;
        if (word_at(v, at, &word))
            return false;
    }
    return true;
}

/* -- Parameters ---------------------------------------------------------------------------------- */

/* RFC2231-3: how a parameter name refers to `name`: "name", "name*", "name*3", "name*3*". */
struct piece {
    bool matches, is_extended, is_numbered;
    uint32_t number;
};

static struct piece piece_of(struct view param, struct view name) {
    struct piece piece = {false, false, false, 0};
    if (!view_starts_nocase(param, name))
        return piece;
    struct view rest = view_skip(param, name.n);
    if (rest.n == 0) {
        piece.matches = true;
        return piece;
    }
    if (rest.p[0] != '*')
        return piece;
    rest = view_skip(rest, 1);
    if (rest.n > 0 && rest.p[rest.n - 1] == '*') {
        piece.is_extended = true;
        rest.n--;
    } else if (rest.n == 0) {
        piece.is_extended = true;
        piece.matches = true;
        return piece;
    }
    piece.is_numbered = true;
    piece.matches = view_to_u32(rest, MIME_PARAMS_MAX, &piece.number) == ERR_OK;
    return piece;
}

static void put_percent_decoded(struct view v, struct buf *out) {
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '%' && i + 2 < v.n && ascii_hex_value(v.p[i + 1]) >= 0 && ascii_hex_value(v.p[i + 2]) >= 0) {
            buf_put_byte(out, (uint8_t)(ascii_hex_value(v.p[i + 1]) << 4 | ascii_hex_value(v.p[i + 2])));
            i += 2;
        } else {
            buf_put_byte(out, v.p[i]);
        }
    }
}

/* RFC2231-4: "charset'language'text". Without both quotes all of it is text. */
static struct view take_charset(struct view v, struct view *charset) {
    struct view first, rest, language, text;
    if (!view_split(v, '\'', &first, &rest) || !view_split(rest, '\'', &language, &text))
        return v;
    *charset = first;
    return text;
}

static const struct mime_param *find_piece(const struct mime_params *params, struct view name, bool is_numbered,
                                           uint32_t number, bool *is_extended) {
    for (size_t i = 0; i < params->count; i++) {
        struct piece piece = piece_of(params->list[i].name, name);
        if (piece.matches && piece.is_numbered == is_numbered && (!is_numbered || piece.number == number) &&
            (is_numbered || piece.is_extended)) {
            *is_extended = piece.is_extended;
            return &params->list[i];
        }
    }
    return NULL;
}

enum err words_param(const struct charset_table *table, const struct mime_params *params, struct view name,
                     struct buf *out) {
    bool is_extended = false;
    struct view charset = VIEW_NONE;
    const struct mime_param *param = find_piece(params, name, false, 0, &is_extended);
    bool is_numbered = param == NULL;
    uint32_t first = 0;
    if (is_numbered)
        param = find_piece(params, name, true, 0, &is_extended);
    if (param == NULL) {
        first = 1; /* some count from one */
        param = find_piece(params, name, true, first, &is_extended);
    }
    if (param == NULL) {
        struct view value = mime_params_get(params, name);
        if (value.p == NULL)
            return ERR_NOT_FOUND;
        /* RFC2047-5 (3) forbids encoded words here; mailers write them all the same. */
        words_decode(table, value, out);
        return buf_err(out);
    }
    size_t total = 0;
    for (size_t i = 0; i < params->count; i++)
        total += params->list[i].value.n;
    struct buf bytes;
    buf_init(&bytes, total);
    for (uint32_t n = first; param != NULL && n <= MIME_PARAMS_MAX; n++) {
        struct view value = param->value;
        if (n == first && is_extended)
            value = take_charset(value, &charset);
        if (is_extended)
            put_percent_decoded(value, &bytes);
        else
            buf_put(&bytes, value);
        param = is_numbered ? find_piece(params, name, true, n + 1, &is_extended) : NULL;
    }
    enum err err = buf_err(&bytes);
    if (err == ERR_OK) {
        /* Without a charset it may be encoded words, cut into pieces. */
        if (charset.n > 0)
            charset_put_utf8(table, charset, buf_view(&bytes), out);
        else
            words_decode(table, buf_view(&bytes), out);
        err = buf_err(out);
    }
    buf_fini(&bytes);
    return err;
}
