/* Transfer encodings and text. */
#include "message/decode.h"

#include "base/utf8.h"

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
/* Octets that one octet of UTF-8 may come from: the four of GB18030 and the escapes of ISO-2022 among them. A text is read no
 * further than that beyond what the buf has room for. */
#define TEXT_OCTETS_MAX 8

void decoder_init(struct decoder *decoder, enum mime_encoding encoding) {
    decoder->encoding = encoding;
    decoder->bits = 0;
    decoder->bit_count = 0;
    decoder->in_spaces = false;
    decoder->is_begun = false;
    decoder->has_text = false;
    decoder->after_padding = false;
    decoder->is_over = false;
    decoder->held_n = 0;
}

/* -- base64 ------------------------------------------------------------------------------------------- */

/* Groups up to the first padding, or all of text. Returns the octets taken. */
static size_t take_base64(struct decoder *d, struct buf *out, struct view text) {
    uint32_t bits = d->bits;
    unsigned count = d->bit_count;
    size_t at = 0;
    bool is_padding = false;
    while (at < text.n && !is_padding) {
        size_t end = MIN(text.n, at + DECODE_PIECE);
        uint8_t *to = buf_room(out, DECODE_PIECE);
        size_t n = 0;
        if (to == NULL)
            return text.n;
        for (; at < end; at++) {
            uint32_t value = base64_values[text.p[at]];
            if (value == 0) {
                is_padding = text.p[at] == '=';
                if (is_padding)
                    break;
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
    d->bits = bits;
    d->bit_count = (uint8_t)count;
    if (!is_padding)
        return text.n;
    d->bit_count = 0; /* what is left of a group before padding is no octet */
    d->after_padding = true;
    return at + 1;
}

/* Whole groups of base64, or nothing. */
static bool is_base64_line(struct view line) {
    size_t digits = 0;
    for (size_t i = 0; i < line.n; i++) {
        if (base64_values[line.p[i]] != 0)
            digits++;
        else if (line.p[i] != '=')
            return false;
    }
    return digits % 4 == 0 || view_find_byte(line, '=') >= 0;
}

/* What follows padding, a line at a time. Pieces glued together go on; a line that is no base64 is a footer that somebody
 * appended, and ends the data. */
static size_t take_after_padding(struct decoder *d, struct buf *out, struct view text, bool is_end) {
    size_t at = 0;
    while (at < text.n && text.p[at] != '\r' && text.p[at] != '\n' && d->held_n < DECODE_HELD_MAX)
        d->held[d->held_n++] = text.p[at++];
    if (at == text.n && !is_end)
        return at;
    struct view line = view_of(d->held, d->held_n);
    while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
        line.n--;
    d->held_n = 0;
    d->is_over = !is_base64_line(line);
    for (bool is_first = true; !d->is_over && line.n > 0; is_first = false) {
        size_t padding = 0; /* the rest of the padding before it */
        while (is_first && padding < line.n && line.p[padding] == '=')
            padding++;
        line = view_skip(line, padding);
        if (line.n == 0)
            break;
        d->after_padding = false;
        line = view_skip(line, take_base64(d, out, line));
    }
    return d->is_over ? text.n : at + (at < text.n && (text.p[at] == '\r' || text.p[at] == '\n'));
}

static void take_groups(struct decoder *d, struct buf *out, struct view text) {
    while (text.n > 0 && !d->is_over) {
        size_t n = d->after_padding ? take_after_padding(d, out, text, false) : take_base64(d, out, text);
        text = view_skip(text, n);
    }
}

/* Three words and more in the first line that is not empty: no base64 looks so. */
static bool is_prose(struct view beginning) {
    struct view line = view_trim(beginning);
    size_t gaps = 0;
    for (size_t i = 1; i < line.n; i++)
        gaps += ascii_is_blank(line.p[i]) && !ascii_is_blank(line.p[i - 1]);
    return gaps >= 2;
}

/* The beginning is held until its first line tells whether this is base64 at all; text that only says so is left alone. */
static void begin_base64(struct decoder *d, struct buf *out) {
    uint8_t beginning[DECODE_HELD_MAX];
    struct view held = view_of(beginning, d->held_n);
    if (d->held_n > 0)
        memcpy(beginning, d->held, d->held_n);
    d->held_n = 0;
    d->is_begun = true;
    if (is_prose(held)) {
        d->encoding = MIME_ENCODING_8BIT;
        buf_put(out, held);
    } else {
        take_groups(d, out, held);
    }
}

static void feed_base64(struct decoder *d, struct buf *out, struct view text) {
    size_t at = 0;
    while (!d->is_begun && at < text.n) {
        uint8_t c = text.p[at++];
        bool is_line_end = c == '\r' || c == '\n';
        d->held[d->held_n++] = c;
        d->has_text |= !is_line_end && !ascii_is_blank(c);
        if (d->held_n == DECODE_HELD_MAX || (is_line_end && d->has_text))
            begin_base64(d, out);
    }
    if (d->encoding == MIME_ENCODING_BASE64)
        take_groups(d, out, view_skip(text, at));
    else
        buf_put(out, view_skip(text, at));
}

/* -- quoted-printable ----------------------------------------------------------------------------------- */

/* How a run of white space at `at`, which may be empty, goes on. */
enum run_end {
    RUN_TEXT, /* with text, or it is too long */
    RUN_LINE, /* with a line end, CRLF or LF */
    RUN_OPEN, /* that is not known yet */
};

static enum run_end run_end(struct view text, size_t at, size_t *end) {
    size_t i = at;
    while (i < text.n && ascii_is_blank(text.p[i]))
        i++;
    *end = i;
    if (i - at >= DECODE_SPACE_MAX)
        return RUN_TEXT;
    if (i == text.n || (text.p[i] == '\r' && i + 1 == text.n))
        return RUN_OPEN;
    return text.p[i] == '\n' || (text.p[i] == '\r' && text.p[i + 1] == '\n') ? RUN_LINE : RUN_TEXT;
}

/* The "=" at `at`: writes what it means and returns the offset after it; `at` when that is not known yet. */
static size_t take_equals(struct buf *out, struct view text, size_t at, bool *in_spaces) {
    size_t left = text.n - at, end = at;
    if (left > 1 && ascii_hex_value(text.p[at + 1]) >= 0) {
        if (left == 2)
            return at;
        if (ascii_hex_value(text.p[at + 2]) >= 0) {
            buf_put_byte(out, (uint8_t)(ascii_hex_value(text.p[at + 1]) << 4 | ascii_hex_value(text.p[at + 2])));
            return at + 3;
        }
        buf_put_byte(out, '=');
        return at + 1;
    }
    switch (run_end(text, at + 1, &end)) {
    case RUN_OPEN:
        return at;
    case RUN_LINE: /* RFC2045-6.7 (5): a soft line break, with the white space that was added to the line */
        return end + (text.p[end] == '\r' ? 2 : 1);
    case RUN_TEXT:
        /* So does "=" before a lone CR, which ends lines where there is no LF. */
        if (end - at <= DECODE_SPACE_MAX && text.p[end] == '\r' && text.p[end + 1] != '\r')
            return end + 1;
        break;
    }
    buf_put(out, view_sub(text, at, end - at));
    *in_spaces = end - at > DECODE_SPACE_MAX;
    return end;
}

/* Decodes what can be decided. Returns the octets taken; the rest is DECODE_HELD_MAX at most. */
static size_t take_quoted_printable(struct decoder *d, struct buf *out, struct view text) {
    size_t at = 0, from = 0; /* octets from `from` to `at` are text as it stands */
    while (at < text.n) {
        uint8_t c = text.p[at];
        bool is_space = ascii_is_blank(c);
        if (d->in_spaces) {
            d->in_spaces = is_space;
            at += is_space;
            continue;
        }
        if (!is_space && c != '=') {
            at++;
            continue;
        }
        size_t end = at;
        enum run_end how = RUN_TEXT;
        if (is_space) {
            how = run_end(text, at, &end);
            d->in_spaces = how == RUN_TEXT && end - at >= DECODE_SPACE_MAX;
            if (how == RUN_TEXT) {
                at = end;
                continue;
            }
        }
        buf_put(out, view_sub(text, from, at - from));
        if (how == RUN_OPEN)
            return at;
        /* RFC2045-6.7 (3): trailing white space of a line is not part of it. */
        size_t next = is_space ? end : take_equals(out, text, at, &d->in_spaces);
        if (next == at)
            return at;
        at = from = next;
    }
    buf_put(out, view_sub(text, from, at - from));
    return at;
}

static void hold(struct decoder *d, struct view octets) {
    if (octets.n > 0)
        memcpy(d->held + d->held_n, octets.p, octets.n);
    d->held_n = (uint16_t)(d->held_n + octets.n);
}

static void feed_quoted_printable(struct decoder *d, struct buf *out, struct view text) {
    while (d->held_n > 0 && text.n > 0) {
        hold(d, view_sub(text, 0, 1));
        text = view_skip(text, 1);
        size_t taken = take_quoted_printable(d, out, view_of(d->held, d->held_n));
        d->held_n = (uint16_t)(d->held_n - taken);
        memmove(d->held, d->held + taken, d->held_n);
    }
    hold(d, view_skip(text, take_quoted_printable(d, out, text)));
}

static void end_quoted_printable(struct decoder *d, struct buf *out) {
    struct view rest = view_of(d->held, d->held_n);
    d->held_n = 0;
    d->in_spaces = false;
    /* The end is a line end for white space and a soft break; anything else, an "=4" or a CR, is text. */
    bool is_break = rest.n > 0 && rest.p[0] == '=';
    for (size_t i = is_break; i < rest.n; i++) {
        if (!ascii_is_blank(rest.p[i])) {
            buf_put(out, rest);
            return;
        }
    }
}

/* -- Bodies ----------------------------------------------------------------------------------------------- */

void decoder_feed(struct decoder *decoder, struct buf *out, struct view octets) {
    switch (decoder->encoding) {
    case MIME_ENCODING_BASE64:
        feed_base64(decoder, out, octets);
        break;
    case MIME_ENCODING_QUOTED_PRINTABLE:
        feed_quoted_printable(decoder, out, octets);
        break;
    case MIME_ENCODING_7BIT:
    case MIME_ENCODING_8BIT:
    case MIME_ENCODING_BINARY:
    case MIME_ENCODING_UNKNOWN:
        buf_put(out, octets);
        break;
    }
}

void decoder_end(struct decoder *decoder, struct buf *out) {
    if (decoder->encoding == MIME_ENCODING_QUOTED_PRINTABLE)
        end_quoted_printable(decoder, out);
    else if (decoder->encoding == MIME_ENCODING_BASE64 && !decoder->is_begun)
        begin_base64(decoder, out);
    if (decoder->after_padding && !decoder->is_over)
        (void)take_after_padding(decoder, out, VIEW(""), true);
}

static void put_decoded(struct buf *out, enum mime_encoding encoding, struct view body) {
    struct decoder decoder;
    decoder_init(&decoder, encoding);
    decoder_feed(&decoder, out, body);
    decoder_end(&decoder, out);
}

void decode_put_base64(struct buf *out, struct view text) {
    put_decoded(out, MIME_ENCODING_BASE64, text);
}

void decode_put_quoted_printable(struct buf *out, struct view text) {
    put_decoded(out, MIME_ENCODING_QUOTED_PRINTABLE, text);
}

void decode_put_body(struct buf *out, const struct message *message, const struct mime_part *part) {
    struct decoder decoder;
    struct buf window;
    buf_init(&window, MESSAGE_WINDOW);
    decoder_init(&decoder, part->encoding);
    for (size_t at = 0; at < part->body_size && buf_err(out) == ERR_OK;) {
        struct view octets;
        enum err err = message_body_read(message, part, at, MESSAGE_WINDOW, &window, &octets);
        if (err != ERR_OK)
            out->err = err;
        else
            decoder_feed(&decoder, out, octets);
        at += err == ERR_OK ? octets.n : 0;
    }
    decoder_end(&decoder, out);
    buf_fini(&window);
}

static bool is_plain(const struct mime_part *part) {
    return part->encoding != MIME_ENCODING_BASE64 && part->encoding != MIME_ENCODING_QUOTED_PRINTABLE;
}

/* What is in bytes, as UTF-8; their error becomes that of out unless there is one. */
static void put_text(struct buf *out, const struct charset_table *table, const struct mime_part *part,
                     const struct buf *bytes) {
    charset_put_utf8(table, mime_part_charset(part), buf_view(bytes), out);
    if (out->err == ERR_OK)
        out->err = buf_err(bytes);
}

void decode_put_text_of(struct buf *out, const struct charset_table *table, const struct mime_part *part,
                        struct view body) {
    if (is_plain(part)) {
        charset_put_utf8(table, mime_part_charset(part), body, out);
        return;
    }
    struct buf bytes;
    buf_init(&bytes, body.n + DECODE_PIECE);
    put_decoded(&bytes, part->encoding, body);
    put_text(out, table, part, &bytes);
    buf_fini(&bytes);
}

void decode_put_text(struct buf *out, const struct charset_table *table, const struct message *message,
                     const struct mime_part *part) {
    struct view body = message_part_body(message, part);
    if (is_plain(part) && body.n == part->body_size) {
        decode_put_text_of(out, table, part, body);
        return;
    }
    /* A piece that does not fit is left out, so there is room for one more. */
    size_t limit = 0;
    if (__builtin_mul_overflow(out->limit - out->n, (size_t)TEXT_OCTETS_MAX, &limit) ||
        __builtin_add_overflow(limit, (size_t)MESSAGE_WINDOW, &limit))
        limit = SIZE_MAX;
    struct buf bytes;
    buf_init(&bytes, limit);
    decode_put_body(&bytes, message, part);
    put_text(out, table, part, &bytes);
    buf_fini(&bytes);
}

enum err decode_beginning(struct arena *arena, const struct message *message, const struct mime_part *part,
                          size_t octets, struct view *out) {
    struct mime_part clipped = *part;
    struct buf body, valid;
    clipped.body_size = MIN(clipped.body_size, octets);
    buf_init(&body, 2 * octets);
    buf_init(&valid, 6 * octets);
    decode_put_body(&body, message, &clipped);
    buf_put_utf8_lossy(&valid, buf_view(&body));
    enum err err = buf_err(&body) != ERR_OK ? buf_err(&body) : buf_err(&valid);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&valid), out);
    buf_fini(&body);
    buf_fini(&valid);
    return err;
}
