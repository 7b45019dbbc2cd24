/* Writing header fields: folding, encoded words, mailboxes. */
#include "message/compose.h"

#include "base/clock.h"
#include "base/utf8.h"

/* RFC2047-2: an encoded word has at most 75 characters; "=?utf-8?b?" and "?=" take 12 of them. */
#define WORD_TEXT_MAX (75 - 12)

/* -- Pieces ----------------------------------------------------------------------------------------- */

static uint8_t clean(uint8_t c) {
    return c < ' ' || c == 127 ? ' ' : c;
}

static void put_clean(struct buf *buf, struct view v) {
    for (size_t i = 0; i < v.n; i++)
        buf_put_byte(buf, clean(v.p[i]));
}

/* Needs encoded words, or would not read back as it is: 8-bit octets, something like an encoded word, white space at an
 * end, a word that no line can hold. */
static bool needs_encoding(struct view v, bool is_utf8) {
    size_t run = 0;
    if (v.n > 0 && (clean(v.p[0]) == ' ' || clean(v.p[v.n - 1]) == ' '))
        return true;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] >= 0x80 && !is_utf8)
            return true;
        run = clean(v.p[i]) == ' ' ? 0 : run + 1;
        if (run > COMPOSE_LINE_MAX / 2)
            return true;
    }
    return view_find(v, VIEW("=?")) >= 0 || (is_utf8 && !utf8_is_valid(v));
}

/* Text in words: before each run of spaces that would lead over the line there is a fold. *column counts characters. */
static void put_folded(struct buf *buf, struct view v, size_t *column) {
    size_t at = 0;
    while (at < v.n && buf_err(buf) == ERR_OK) {
        size_t end = at;
        while (end < v.n && clean(v.p[end]) == ' ')
            end++;
        size_t spaces = end - at;
        while (end < v.n && clean(v.p[end]) != ' ')
            end++;
        struct view word = view_sub(v, at + spaces, end - at - spaces);
        if (spaces > 0 && word.n > 0 && *column + spaces + word.n > COMPOSE_LINE_LENGTH && *column > 1) {
            buf_put(buf, VIEW("\r\n"));
            *column = 0;
        }
        put_clean(buf, view_sub(v, at, spaces));
        *column += spaces;
        /* RFC5322-2.1.1: a line MUST NOT be longer than 998, whatever the words are. */
        while (word.n > COMPOSE_LINE_MAX - 100) {
            put_clean(buf, view_sub(word, 0, COMPOSE_LINE_MAX - 100));
            buf_put(buf, VIEW("\r\n "));
            word = view_skip(word, COMPOSE_LINE_MAX - 100);
            *column = 1;
        }
        put_clean(buf, word);
        *column += word.n;
        at = end;
    }
}

/* UTF-8 text as encoded words in base64 (safe in phrases too), cut between characters. Invalid octets are U+FFFD. */
static void put_encoded(struct buf *buf, struct view text, size_t *column) {
    struct buf valid;
    buf_init(&valid, 3 * text.n + 3);
    buf_put_utf8_lossy(&valid, text);
    for (size_t i = 0; i < valid.n; i++)
        valid.p[i] = clean(valid.p[i]);
    struct view rest = buf_view(&valid);
    bool is_first = true;
    while (rest.n > 0 && buf_err(buf) == ERR_OK) {
        size_t room = COMPOSE_LINE_LENGTH > *column + 13 ? COMPOSE_LINE_LENGTH - *column - 13 : 0;
        size_t octets = MIN(room, (size_t)WORD_TEXT_MAX) / 4 * 3;
        struct view piece = utf8_truncate(rest, octets);
        if (piece.n == 0) {
            buf_put(buf, VIEW("\r\n "));
            *column = 1;
            is_first = true;
            piece = utf8_truncate(rest, WORD_TEXT_MAX / 4 * 3);
            if (piece.n == 0)
                break;
        }
        if (!is_first) {
            buf_put(buf, VIEW(" "));
            ++*column;
        }
        size_t start = buf->n;
        buf_put(buf, VIEW("=?utf-8?b?"));
        buf_put_base64(buf, piece);
        buf_put(buf, VIEW("?="));
        *column += buf->n - start;
        is_first = false;
        rest = view_skip(rest, piece.n);
    }
    if (buf->err == ERR_OK)
        buf->err = buf_err(&valid);
    buf_fini(&valid);
}

static size_t put_name(struct buf *buf, struct view name) {
    buf_put(buf, name);
    buf_put(buf, VIEW(": "));
    return name.n + 2;
}

/* -- Fields ----------------------------------------------------------------------------------------- */

void compose_put_text(struct buf *buf, struct view name, struct view text, bool is_utf8) {
    size_t column = put_name(buf, name);
    if (needs_encoding(text, is_utf8))
        put_encoded(buf, text, &column);
    else
        put_folded(buf, text, &column);
    buf_put(buf, VIEW("\r\n"));
}

void compose_put_structured(struct buf *buf, struct view name, struct view value) {
    size_t column = put_name(buf, name);
    put_folded(buf, view_trim(value), &column);
    buf_put(buf, VIEW("\r\n"));
}

/* RFC5322-3.2.3 */
static bool is_atext(uint8_t c) {
    if (ascii_is_alnum(c) || c >= 0x80)
        return true;
    return c > ' ' && c < 127 && view_find_byte(VIEW("!#$%&'*+-/=?^_`{|}~"), c) >= 0;
}

static bool is_dot_atom(struct view v) {
    bool after_dot = true;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '.' ? after_dot : !is_atext(v.p[i]))
            return false;
        after_dot = v.p[i] == '.';
    }
    return !after_dot;
}

static bool is_phrase(struct view v) {
    for (size_t i = 0; i < v.n; i++)
        if (!is_atext(v.p[i]) && (v.p[i] != ' ' || (i > 0 && v.p[i - 1] == ' ')))
            return false;
    return v.n > 0;
}

static void put_quoted(struct buf *buf, struct view v) {
    buf_put_byte(buf, '"');
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = clean(v.p[i]);
        if (c == '"' || c == '\\')
            buf_put_byte(buf, '\\');
        buf_put_byte(buf, c);
    }
    buf_put_byte(buf, '"');
}

void compose_put_mailbox(struct buf *buf, struct view name, struct view display, struct view address, bool is_utf8) {
    size_t column = put_name(buf, name);
    if (display.n > 0) {
        if (needs_encoding(display, is_utf8)) {
            put_encoded(buf, display, &column);
        } else if (is_phrase(display)) {
            put_folded(buf, display, &column);
        } else {
            size_t start = buf->n;
            put_quoted(buf, display);
            column += buf->n - start;
        }
        buf_put(buf, column + address.n + 3 > COMPOSE_LINE_LENGTH ? VIEW("\r\n ") : VIEW(" "));
    }
    ssize_t at = view_rfind_byte(address, '@');
    struct view local = at < 0 ? address : view_sub(address, 0, (size_t)at);
    buf_put_byte(buf, '<');
    if (local.n == 0 || is_dot_atom(local))
        buf_put(buf, local);
    else
        put_quoted(buf, local);
    if (at >= 0)
        put_clean(buf, view_skip(address, (size_t)at));
    buf_put(buf, VIEW(">\r\n"));
}

void compose_put_date(struct buf *buf, int64_t wall_us) {
    buf_put(buf, VIEW("Date: "));
    buf_put_rfc5322_date(buf, wall_us);
    buf_put(buf, VIEW("\r\n"));
}

void compose_put_message_id(struct buf *buf, const uint8_t random[16], struct view host) {
    buf_put(buf, VIEW("Message-ID: <"));
    buf_put_hex(buf, view_of(random, 16));
    buf_put_byte(buf, '@');
    put_clean(buf, host.n > 0 ? host : VIEW("localhost"));
    buf_put(buf, VIEW(">\r\n"));
}
