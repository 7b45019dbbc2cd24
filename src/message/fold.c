/* Laying out header fields: folding, encoded words, phrases, addresses. Parameters are in fold_param.c. */
#include "message/fold.h"

#include "base/utf8.h"

#include <string.h>

/* RFC2047-2: an encoded word has at most 75 characters; "=?utf-8?q?" and "?=" take 12 of them. */
#define WORD_MAX 75
#define WORD_FRAME 12
/* Less room than this at the end of a line is not worth beginning an encoded word in. */
#define WORD_ROOM_MIN 32
/* Longer runs of spaces are encoded: a fold before them would leave no room, one inside them makes an empty line, which
 * RFC5322-3.2.2 forbids. */
#define SPACES_MAX 40

static uint8_t clean(uint8_t c) {
    return c < ' ' || c == 127 ? ' ' : c;
}

void fold_put_clean(struct buf *out, struct view v) {
    size_t start = out->n;
    if (utf8_is_valid(v))
        buf_put(out, v);
    else
        buf_put_utf8_lossy(out, v);
    for (size_t i = start; i < out->n; i++)
        out->p[i] = clean(out->p[i]);
}

/* -- Characters -------------------------------------------------------------------------------------- */

/* RFC5322-3.2.3 */
static bool is_atext(uint8_t c) {
    if (ascii_is_alnum(c) || c >= 0x80)
        return true;
    return c > ' ' && c < 127 && view_find_byte(VIEW("!#$%&'*+-/=?^_`{|}~"), c) >= 0;
}

bool fold_is_dot_atom(struct view v) {
    bool after_dot = true;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '.' ? after_dot : !is_atext(v.p[i]))
            return false;
        after_dot = v.p[i] == '.';
    }
    return !after_dot;
}

bool fold_is_name(struct view name) {
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 127 || name.p[i] == ':')
            return false;
    return name.n > 0 && name.n <= FOLD_NAME_MAX;
}

bool fold_is_token(struct view v) {
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= ' ' || v.p[i] >= 127 || view_find_byte(VIEW("()<>@,;:\\\"/[]?="), v.p[i]) >= 0)
            return false;
    return v.n > 0;
}

/* -- Words ------------------------------------------------------------------------------------------- */

void fold_begin(struct fold *f, struct buf *out, struct view name, bool is_utf8) {
    *f = (struct fold){.out = out, .column = name.n + 1, .is_utf8 = is_utf8};
    buf_put(out, name);
    buf_put_byte(out, ':');
}

void fold_end(struct fold *f) {
    buf_put(f->out, VIEW("\r\n"));
    f->column = 0;
}

/* Spaces before something of n octets, after a line break when it would not fit. */
static void put_gap(struct fold *f, size_t spaces, size_t n) {
    if (spaces > 0 && f->column > 0 && f->column + spaces + n + f->reserve > FOLD_LINE_LENGTH) {
        buf_put(f->out, VIEW("\r\n"));
        f->column = 0;
    }
    for (size_t i = 0; i < spaces; i++)
        buf_put_byte(f->out, ' ');
    f->column += spaces;
}

void fold_word(struct fold *f, size_t spaces, struct view word) {
    put_gap(f, spaces, word.n);
    buf_put(f->out, word);
    f->column += word.n;
}

/* -- Encoded words ----------------------------------------------------------------------------------- */

/* RFC2047-4.2, RFC2047-5 (3): what may stand for itself in a Q word; fewer in a phrase. */
static bool is_q_plain(uint8_t c, bool is_phrase) {
    if (ascii_is_alnum(c))
        return true;
    if (is_phrase)
        return view_find_byte(VIEW("!*+-/"), c) >= 0;
    return c > ' ' && c < 127 && c != '=' && c != '?' && c != '_';
}

static size_t q_cost(uint8_t c, bool is_phrase) {
    return c == ' ' || is_q_plain(c, is_phrase) ? 1 : 3;
}

static size_t q_size(struct view text, bool is_phrase) {
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += q_cost(text.p[i], is_phrase);
    return n;
}

static void put_q(struct buf *out, struct view text, bool is_phrase) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ' ')
            buf_put_byte(out, '_');
        else if (is_q_plain(text.p[i], is_phrase))
            buf_put_byte(out, text.p[i]);
        else
            buf_printf(out, "=%02X", text.p[i]);
    }
}

/* The longest beginning of text, in whole characters (RFC2047-5), whose encoding has at most `room` octets. */
static struct view take(struct view text, bool is_q, bool is_phrase, size_t room) {
    if (!is_q)
        return utf8_truncate(text, room / 4 * 3);
    size_t i = 0, used = 0;
    while (i < text.n) {
        used += q_cost(text.p[i], is_phrase);
        if (used > room)
            break;
        i++;
    }
    return utf8_truncate(text, i);
}

/* Valid text as encoded words, B or Q whichever is shorter. White space between adjacent words is not part of the text
 * (RFC2047-6.2), so the words carry all of it. */
static void put_encoded(struct fold *f, size_t spaces, struct view text, bool is_phrase) {
    bool is_q = q_size(text, is_phrase) <= (text.n + 2) / 3 * 4;
    size_t need = WORD_FRAME + (is_q ? q_size(text, is_phrase) : (text.n + 2) / 3 * 4);
    put_gap(f, spaces, MIN(need, (size_t)WORD_ROOM_MIN));
    while (text.n > 0 && buf_err(f->out) == ERR_OK) {
        size_t room = MIN(FOLD_LINE_LENGTH > f->column ? FOLD_LINE_LENGTH - f->column : 0, (size_t)WORD_MAX);
        /* After many spaces there may be little room; a word with one character in it is always possible. */
        struct view piece = take(text, is_q, is_phrase, MAX(room, (size_t)WORD_FRAME + 12) - WORD_FRAME);
        size_t start = f->out->n;
        buf_put(f->out, is_q ? VIEW("=?utf-8?q?") : VIEW("=?utf-8?b?"));
        if (is_q)
            put_q(f->out, piece, is_phrase);
        else
            buf_put_base64(f->out, piece);
        buf_put(f->out, VIEW("?="));
        f->column += f->out->n - start;
        text = view_skip(text, piece.n);
        if (text.n > 0)
            put_gap(f, 1, WORD_ROOM_MIN);
    }
}

/* -- Text as spaces and words -------------------------------------------------------------------------- */

struct token {
    size_t spaces; /* before the word */
    struct view word;
};

static struct token token_at(struct view text, size_t at) {
    size_t start = at;
    while (start < text.n && text.p[start] == ' ')
        start++;
    size_t end = start;
    while (end < text.n && text.p[end] != ' ')
        end++;
    return (struct token){start - at, view_sub(text, start, end - start)};
}

static bool is_atom(struct view word) {
    for (size_t i = 0; i < word.n; i++)
        if (!is_atext(word.p[i]))
            return false;
    return word.n > 0;
}

/* A word that would not read back as it is. A byte order mark is no text to many readers unless a label says UTF-8. */
static bool word_needs_encoding(struct view word, bool is_utf8) {
    return word.n > FOLD_WORD_MAX || view_find(word, VIEW("=?")) >= 0 || view_find(word, FOLD_BYTE_ORDER_MARK) >= 0 ||
           (!is_utf8 && !utf8_is_ascii(word));
}

/* The same of the token at `at`, with the spaces around it: those at the ends of a value are lost unless encoded. */
static bool token_needs_encoding(const struct fold *f, struct view text, size_t at, struct token token,
                                 bool is_phrase) {
    size_t end = at + token.spaces + token.word.n;
    if (word_needs_encoding(token.word, f->is_utf8) || token.spaces > SPACES_MAX || (at == 0 && token.spaces > 0) ||
        token.word.n == 0)
        return true;
    if (end < text.n && token_at(text, end).word.n == 0)
        return true;
    return is_phrase && ((at > 0 && token.spaces != 1) || !is_atom(token.word));
}

/* Clean text word by word; neighbours that need encoding go into one run of encoded words. */
static void put_tokens(struct fold *f, struct view text, bool is_phrase, struct view tail) {
    size_t at = 0;
    bool is_encoded = false;
    while (at < text.n && buf_err(f->out) == ERR_OK) {
        struct token token = token_at(text, at);
        size_t end = at + token.spaces + token.word.n;
        is_encoded = token_needs_encoding(f, text, at, token, is_phrase);
        if (!is_encoded) {
            fold_word(f, at == 0 ? 1 : token.spaces, token.word);
            at = end;
            continue;
        }
        size_t spaces = at == 0 || is_phrase || token.spaces > SPACES_MAX ? 1 : token.spaces;
        size_t from = at == 0 ? 0 : at + spaces;
        for (;;) {
            struct token next = token_at(text, end);
            if (end >= text.n || !token_needs_encoding(f, text, end, next, is_phrase))
                break;
            end += next.spaces + next.word.n;
        }
        put_encoded(f, spaces, view_sub(text, from, end - from), is_phrase);
        at = end;
    }
    /* RFC2047-5 (3): an encoded word in a phrase is set off from what follows by white space. */
    if (tail.n > 0 && is_encoded) {
        fold_word(f, 1, tail);
    } else {
        buf_put(f->out, tail);
        f->column += tail.n;
    }
}

void fold_text(struct fold *f, struct view text) {
    struct buf valid;
    buf_init(&valid, 3 * text.n + 3);
    fold_put_clean(&valid, text);
    put_tokens(f, buf_view(&valid), false, VIEW_NONE);
    if (f->out->err == ERR_OK)
        f->out->err = buf_err(&valid);
    buf_fini(&valid);
}

/* -- Phrases ------------------------------------------------------------------------------------------- */

static void put_quoted_octets(struct buf *out, struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '"' || v.p[i] == '\\')
            buf_put_byte(out, '\\');
        buf_put_byte(out, v.p[i]);
    }
}

/* A quoted string, folded at the spaces inside. */
static void put_quoted(struct fold *f, struct view text, struct view tail) {
    struct buf piece;
    size_t at = 0;
    buf_init(&piece, 3 * FOLD_WORD_MAX);
    do {
        struct token token = token_at(text, at);
        size_t end = at + token.spaces + token.word.n;
        buf_clear(&piece);
        if (at == 0)
            buf_put_byte(&piece, '"');
        put_quoted_octets(&piece, token.word);
        if (end == text.n) {
            buf_put_byte(&piece, '"');
            buf_put(&piece, tail);
            f->reserve = 0;
        }
        fold_word(f, at == 0 ? 1 : token.spaces, buf_view(&piece));
        at = end;
    } while (at < text.n && buf_err(f->out) == ERR_OK);
    buf_fini(&piece);
}

/* What a quoted string can hold: raw text without white space at the ends, and words that stay below the line's limit
 * when every octet is quoted. */
static bool is_quotable(const struct fold *f, struct view text) {
    for (size_t at = 0; at < text.n;) {
        struct token token = token_at(text, at);
        if (token_needs_encoding(f, text, at, token, false) || token.word.n > FOLD_WORD_MAX / 2)
            return false;
        at += token.spaces + token.word.n;
    }
    return true;
}

void fold_phrase(struct fold *f, struct view phrase, struct view tail) {
    struct buf valid;
    buf_init(&valid, 3 * phrase.n + 3);
    fold_put_clean(&valid, phrase);
    struct view text = buf_view(&valid);
    bool is_atoms = text.n > 0;
    f->reserve = tail.n;
    for (size_t at = 0; at < text.n && is_atoms;) {
        struct token token = token_at(text, at);
        is_atoms = is_atom(token.word) && token.spaces == (at > 0);
        at += token.spaces + token.word.n;
    }
    if (is_atoms || !is_quotable(f, text))
        put_tokens(f, text, true, tail);
    else
        put_quoted(f, text, tail);
    f->reserve = 0;
    if (f->out->err == ERR_OK)
        f->out->err = buf_err(&valid);
    buf_fini(&valid);
}

/* -- Structured values ----------------------------------------------------------------------------------- */

void fold_structured(struct fold *f, struct view value) {
    struct buf valid;
    buf_init(&valid, 3 * value.n + 3);
    fold_put_clean(&valid, value);
    struct view text = view_trim(buf_view(&valid));
    for (size_t at = 0; at < text.n && buf_err(f->out) == ERR_OK;) {
        struct token token = token_at(text, at);
        size_t spaces = at == 0 || token.spaces > SPACES_MAX ? 1 : token.spaces;
        at += token.spaces + token.word.n;
        while (token.word.n > FOLD_WORD_MAX) {
            struct view piece = utf8_truncate(token.word, FOLD_WORD_MAX);
            fold_word(f, spaces, piece);
            token.word = view_skip(token.word, piece.n);
            spaces = 1;
        }
        fold_word(f, spaces, token.word);
    }
    if (f->out->err == ERR_OK)
        f->out->err = buf_err(&valid);
    buf_fini(&valid);
}

void fold_address(struct fold *f, struct view before, struct view local, struct view domain, struct view after) {
    struct buf word;
    buf_init(&word, FOLD_LINE_MAX);
    buf_put(&word, before);
    if (fold_is_dot_atom(local)) {
        buf_put(&word, local);
    } else {
        /* RFC5322-3.4.1: a local part that is no dot-atom is a quoted string. */
        buf_put_byte(&word, '"');
        put_quoted_octets(&word, local);
        buf_put_byte(&word, '"');
    }
    if (domain.n > 0) {
        buf_put_byte(&word, '@');
        buf_put(&word, domain);
    }
    buf_put(&word, after);
    fold_word(f, 1, buf_view(&word));
    if (f->out->err == ERR_OK)
        f->out->err = buf_err(&word);
    buf_fini(&word);
}
