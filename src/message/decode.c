/* Transfer encodings and text. */
#include "message/decode.h"

#include <string.h>

static const uint8_t base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,  ['I'] = 9,
    ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27,
    ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45,
    ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
    ['/'] = 64, /* one more than the value; 0: outside the alphabet */
};

/* Octets decoded between two looks at the buf. */
#define DECODE_PIECE 4096

void decode_put_base64(struct buf *out, struct view text) {
    uint32_t bits = 0;
    unsigned count = 0;
    size_t at = 0;
    while (at < text.n) {
        size_t end = MIN(text.n, at + DECODE_PIECE);
        uint8_t *to = buf_room(out, DECODE_PIECE);
        size_t n = 0;
        if (to == NULL)
            return;
        for (; at < end; at++) {
            uint32_t value = base64_values[text.p[at]];
            if (value == 0) {
                if (text.p[at] == '=')
                    count = 0; /* what is left of a group before padding is no octet */
                continue;
            }
            bits = bits << 6 | (value - 1);
            count += 6;
            if (count >= 8) {
                count -= 8;
                to[n++] = (uint8_t)(bits >> count);
            }
        }
        buf_added(out, n);
    }
}

static int hex_value(uint8_t c) {
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One line without its line end. True when it ends with a soft line break. */
static bool put_qp_line(struct buf *out, struct view line) {
    while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
        line.n--; /* RFC2045-6.7 (3) */
    while (line.n > 0) {
        ssize_t mark = view_find_byte(line, '=');
        if (mark < 0) {
            buf_put(out, line);
            return false;
        }
        size_t i = (size_t)mark;
        buf_put(out, view_sub(line, 0, i));
        if (i + 1 == line.n)
            return true;
        if (i + 2 < line.n && hex_value(line.p[i + 1]) >= 0 && hex_value(line.p[i + 2]) >= 0) {
            buf_put_byte(out, (uint8_t)(hex_value(line.p[i + 1]) << 4 | hex_value(line.p[i + 2])));
            i += 3;
        } else {
            buf_put_byte(out, '=');
            i++;
        }
        line = view_skip(line, i);
    }
    return false;
}

void decode_put_quoted_printable(struct buf *out, struct view text) {
    size_t at = 0;
    while (at < text.n) {
        struct view rest = view_skip(text, at);
        ssize_t end = view_find_byte(rest, '\n');
        size_t n = end < 0 ? rest.n : (size_t)end;
        size_t eol = end < 0 ? 0 : 1;
        at += n + eol;
        if (eol > 0 && n > 0 && rest.p[n - 1] == '\r') {
            n--;
            eol = 2;
        }
        if (!put_qp_line(out, view_sub(rest, 0, n)))
            buf_put(out, view_sub(rest, n, eol));
    }
}

static void put_decoded(struct buf *out, const struct mime_part *part, struct view body) {
    switch (part->encoding) {
    case MIME_ENCODING_BASE64:
        decode_put_base64(out, body);
        break;
    case MIME_ENCODING_QUOTED_PRINTABLE:
        decode_put_quoted_printable(out, body);
        break;
    case MIME_ENCODING_7BIT:
    case MIME_ENCODING_8BIT:
    case MIME_ENCODING_BINARY:
    case MIME_ENCODING_UNKNOWN:
        buf_put(out, body);
        break;
    }
}

void decode_put_body(struct buf *out, const struct message *message, const struct mime_part *part) {
    put_decoded(out, part, message_part_body(message, part));
}

void decode_put_text_of(struct buf *out, const struct charset_table *table, const struct mime_part *part,
                        struct view body) {
    struct view charset = mime_part_charset(part);
    if (part->encoding != MIME_ENCODING_BASE64 && part->encoding != MIME_ENCODING_QUOTED_PRINTABLE) {
        charset_put_utf8(table, charset, body, out);
        return;
    }
    struct buf bytes;
    buf_init(&bytes, body.n + DECODE_PIECE);
    put_decoded(&bytes, part, body);
    charset_put_utf8(table, charset, buf_view(&bytes), out);
    if (out->err == ERR_OK)
        out->err = buf_err(&bytes);
    buf_fini(&bytes);
}

void decode_put_text(struct buf *out, const struct charset_table *table, const struct message *message,
                     const struct mime_part *part) {
    decode_put_text_of(out, table, part, message_part_body(message, part));
}
