/* Parameters of MIME fields (RFC2045-5.1), with the extensions of RFC 2231 only where needed. */
#include "message/fold.h"

#include "base/utf8.h"

/*
 * One form of a parameter is written, never two: RFC2231-1 asks for nothing else, readers without it have become rare,
 * and two forms that differ are a way to show one file name to a scanner and another to a person.
 */

/* RFC2231-7: attribute-char */
static bool is_attribute_octet(uint8_t c) {
    return c > ' ' && c < 127 && view_find_byte(VIEW("()<>@,;:\\\"/[]?=*'%"), c) < 0;
}

/* Needs "name*=utf-8''...": 8-bit text, what readers take for an encoded word or drop, spaces that they trim, and
 * backslashes, which some leave doubled and others take for the quoting of the closing quote. */
static bool needs_extended(struct view v, bool is_utf8) {
    return (!is_utf8 && !utf8_is_ascii(v)) || view_find(v, VIEW("=?")) >= 0 || view_find_byte(v, '\\') >= 0 ||
           view_find(v, FOLD_BYTE_ORDER_MARK) >= 0 || (v.n > 0 && (v.p[0] == ' ' || v.p[v.n - 1] == ' '));
}

static size_t octet_cost(uint8_t c, bool is_extended) {
    if (is_extended)
        return is_attribute_octet(c) ? 1 : 3;
    return c == '"' ? 2 : 1;
}

static size_t value_cost(struct view v, bool is_extended) {
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++)
        n += octet_cost(v.p[i], is_extended);
    return n;
}

static void put_value(struct buf *out, struct view v, bool is_extended) {
    if (!is_extended)
        buf_put_byte(out, '"');
    for (size_t i = 0; i < v.n; i++) {
        if (is_extended && !is_attribute_octet(v.p[i])) {
            buf_printf(out, "%%%02X", v.p[i]);
            continue;
        }
        if (!is_extended && octet_cost(v.p[i], false) == 2)
            buf_put_byte(out, '\\');
        buf_put_byte(out, v.p[i]);
    }
    if (!is_extended)
        buf_put_byte(out, '"');
}

/* RFC2231-3: name*0=..., name*1=..., cut between characters, each on a line of its own. */
static void put_pieces(struct fold *f, struct view name, struct view value, bool is_extended) {
    struct buf word;
    buf_init(&word, 4 * FOLD_LINE_LENGTH);
    for (unsigned number = 0; value.n > 0 && buf_err(&word) == ERR_OK; number++) {
        buf_clear(&word);
        buf_put(&word, name);
        buf_printf(&word, is_extended ? "*%u*=" : "*%u=", number);
        if (is_extended && number == 0)
            buf_put(&word, VIEW("utf-8''"));
        /* The space before, two quotes or none, and the ";" after. */
        size_t room = FOLD_LINE_LENGTH - 2 - (is_extended ? 0u : 2u) - word.n, i = 0, used = 0;
        while (i < value.n) {
            used += octet_cost(value.p[i], is_extended);
            if (used > room)
                break;
            i++;
        }
        struct view piece = utf8_truncate(value, i);
        put_value(&word, piece, is_extended);
        value = view_skip(value, piece.n);
        if (number > 0)
            fold_semicolon(f);
        f->reserve = 1;
        fold_word(f, 1, buf_view(&word));
        f->reserve = 0;
    }
    if (f->out->err == ERR_OK)
        f->out->err = buf_err(&word);
    buf_fini(&word);
}

void fold_semicolon(struct fold *f) {
    buf_put_byte(f->out, ';');
    f->column++;
}

void fold_param(struct fold *f, struct view name, struct view value) {
    struct buf valid, word;
    buf_init(&valid, 3 * value.n + 3);
    buf_init(&word, 8 * FOLD_PARAM_VALUE_MAX);
    fold_put_clean(&valid, value);
    struct view text = buf_view(&valid);
    bool is_extended = needs_extended(text, f->is_utf8);
    size_t frame = is_extended ? 1 + 2 + 7 + 1 : 1 + 1 + 2 + 1; /* " ", "=" or "*=", quotes or "utf-8''", ";" */
    if (frame + name.n + value_cost(text, is_extended) > FOLD_LINE_LENGTH) {
        put_pieces(f, name, text, is_extended);
    } else {
        buf_put(&word, name);
        buf_put(&word, is_extended ? VIEW("*=utf-8''") : VIEW("="));
        if (!is_extended && fold_is_token(text))
            buf_put(&word, text);
        else
            put_value(&word, text, is_extended);
        f->reserve = 1;
        fold_word(f, 1, buf_view(&word));
        f->reserve = 0;
    }
    if (f->out->err == ERR_OK)
        f->out->err = buf_err(&valid) != ERR_OK ? buf_err(&valid) : buf_err(&word);
    buf_fini(&valid);
    buf_fini(&word);
}
