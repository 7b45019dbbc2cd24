/* Transfer encodings as streams, and the choice between them. */
#include "message/encode.h"

#include "message/fold.h"

#include <string.h>

/* -- Line ends of text ------------------------------------------------------------------------------- */

void encode_lines_put(struct encode_lines *lines, struct view octets, struct buf *out) {
    size_t from = 0;
    for (size_t i = 0; i < octets.n; i++) {
        uint8_t c = octets.p[i];
        if (c != '\r' && c != '\n') {
            lines->after_cr = false;
            continue;
        }
        buf_put(out, view_sub(octets, from, i - from));
        from = i + 1;
        if (c == '\r' || !lines->after_cr)
            buf_put(out, VIEW("\r\n"));
        lines->after_cr = c == '\r';
    }
    buf_put(out, view_skip(octets, from));
}

/* -- Base64 ------------------------------------------------------------------------------------------ */

static void put_base64_line(struct encode_base64 *e, struct view octets, struct buf *out) {
    if (e->has_line)
        buf_put(out, VIEW("\r\n"));
    buf_put_base64(out, octets);
    e->has_line = true;
}

void encode_base64_put(struct encode_base64 *e, struct view octets, struct buf *out) {
    if (e->carry_n > 0) {
        size_t n = MIN(octets.n, ENCODE_BASE64_LINE - e->carry_n);
        memcpy(e->carry + e->carry_n, octets.p, n);
        e->carry_n += n;
        octets = view_skip(octets, n);
        if (e->carry_n < ENCODE_BASE64_LINE)
            return;
        put_base64_line(e, view_of(e->carry, ENCODE_BASE64_LINE), out);
        e->carry_n = 0;
    }
    while (octets.n >= ENCODE_BASE64_LINE) {
        put_base64_line(e, view_sub(octets, 0, ENCODE_BASE64_LINE), out);
        octets = view_skip(octets, ENCODE_BASE64_LINE);
    }
    if (octets.n > 0)
        memcpy(e->carry, octets.p, octets.n);
    e->carry_n = octets.n;
}

void encode_base64_end(struct encode_base64 *e, struct buf *out) {
    if (e->carry_n > 0)
        put_base64_line(e, view_of(e->carry, e->carry_n), out);
    e->carry_n = 0;
}

uint64_t encode_base64_size(uint64_t n) {
    uint64_t lines = n / ENCODE_BASE64_LINE + (n % ENCODE_BASE64_LINE != 0);
    return (n / 3 + (n % 3 != 0)) * 4 + (lines > 0 ? 2 * (lines - 1) : 0);
}

/* -- Quoted-printable -------------------------------------------------------------------------------- */

#define QP_LINE 76 /* RFC2045-6.7 (5) */

/* One unit of the line, after a soft line break where it would not fit beside one. */
static void qp_unit(struct encode_qp *e, const uint8_t *p, size_t n, struct buf *out) {
    if (e->column + n > QP_LINE - 1) {
        if (out != NULL)
            buf_put(out, VIEW("=\r\n"));
        e->size += 3;
        e->column = e->from = 0;
    }
    if (out != NULL)
        buf_put(out, view_of(p, n));
    e->column += n;
    e->size += n;
}

static void qp_escaped(struct encode_qp *e, uint8_t c, struct buf *out) {
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t unit[3] = {'=', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
    qp_unit(e, unit, 3, out);
}

static void qp_hard_break(struct encode_qp *e, struct buf *out) {
    if (out != NULL)
        buf_put(out, VIEW("\r\n"));
    e->size += 2;
    e->column = e->from = 0;
}

/* A blank that something follows. "From " at the beginning of a line is what mbox files mangle: its space is encoded. */
static void qp_release_blank(struct encode_qp *e, struct buf *out) {
    if (e->blank == 0)
        return;
    if (e->from == 4 && e->column == 4)
        qp_escaped(e, e->blank, out);
    else
        qp_unit(e, &e->blank, 1, out);
    e->blank = 0;
}

/* Printable without "=", which stand for themselves inside a line; blanks, CR and what else needs care are neither. */
static bool is_qp_plain(uint8_t c) {
    return c > ' ' && c < 127 && c != '=';
}

static bool is_qp_escape(uint8_t c) {
    return c >= 127 || c == '=' || (c < ' ' && c != '\t' && c != '\r');
}

static void qp_octet(struct encode_qp *e, uint8_t c, struct buf *out) {
    if (e->after_cr) {
        e->after_cr = false;
        if (c == '\n') {
            if (e->blank != 0)
                qp_escaped(e, e->blank, out);
            e->blank = 0;
            qp_hard_break(e, out);
            return;
        }
        qp_release_blank(e, out);
        qp_escaped(e, '\r', out);
    }
    if (c == '\r' && e->is_text) {
        e->after_cr = true;
        return;
    }
    qp_release_blank(e, out);
    if (c == ' ' || c == '\t') {
        e->blank = c;
        return;
    }
    bool is_plain = is_qp_plain(c);
    /* A "." at the beginning of a line is doubled by SMTP (RFC5321-4.5.2), and lost by those who forget to. */
    if (!is_plain || (c == '.' && (e->column == 0 || e->column >= QP_LINE - 1))) {
        qp_escaped(e, c, out);
        e->from = 0;
        return;
    }
    qp_unit(e, &c, 1, out);
    static const uint8_t from[4] = {'F', 'r', 'o', 'm'};
    if (e->column == 1)
        e->from = 0;
    e->from = e->from + 1 == e->column && e->column <= 4 && c == from[e->column - 1] ? e->from + 1 : 0;
}

/* The plain octets and escapes that need no look at what is around them: inside a line, nothing held back. Most of every
 * content is that. Returns how many there were. */
static size_t qp_inside(struct encode_qp *e, struct view v, struct buf *out) {
    size_t i = 0;
    if (e->blank != 0 || e->after_cr || e->column < 5)
        return 0;
    while (i < v.n) {
        size_t from = i, room = e->column < QP_LINE - 1 ? QP_LINE - 1 - e->column : 0, end = i + MIN(v.n - i, room);
        while (i < end && is_qp_plain(v.p[i]))
            i++;
        if (out != NULL)
            buf_put(out, view_sub(v, from, i - from));
        e->column += i - from;
        e->size += i - from;
        if (i == v.n || !is_qp_escape(v.p[i]) || e->column + 3 > QP_LINE - 1)
            break;
        qp_escaped(e, v.p[i++], out);
    }
    return i;
}

void encode_qp_put(struct encode_qp *e, struct view octets, struct buf *out) {
    size_t i = 0;
    while (i < octets.n) {
        i += qp_inside(e, view_skip(octets, i), out);
        if (i < octets.n)
            qp_octet(e, octets.p[i++], out);
    }
}

void encode_qp_end(struct encode_qp *e, struct buf *out) {
    if (e->after_cr) {
        qp_release_blank(e, out);
        qp_escaped(e, '\r', out);
    } else if (e->blank != 0) {
        qp_escaped(e, e->blank, out);
    }
    e->blank = 0;
    e->after_cr = false;
}

/* -- Looking ------------------------------------------------------------------------------------------- */

static void scan_needle(struct encode_scan *scan, uint8_t c) {
    struct view needle = scan->needle;
    /* Falls back to the longest beginning of the needle that what was matched ends with; needles are short. */
    while (scan->needle_at > 0 && needle.p[scan->needle_at] != c) {
        size_t n = scan->needle_at - 1;
        while (n > 0 && memcmp(needle.p, needle.p + scan->needle_at - n, n) != 0)
            n--;
        scan->needle_at = n;
    }
    if (needle.p[scan->needle_at] == c && ++scan->needle_at == needle.n) {
        scan->has_needle = true;
        scan->needle_at = 0;
    }
}

static void scan_octet(struct encode_scan *scan, uint8_t c) {
    if (c == '\n' && scan->last == '\r') {
        /* The CR was counted as part of the line. */
        scan->longest = MAX(scan->longest, scan->line - 1);
        scan->has_blank_end |= ascii_is_blank(scan->before);
        scan->has_mbox_line |= scan->line == 2 && scan->before == '.';
        scan->line = 0;
    } else {
        scan->has_bare_line_end |= scan->last == '\r' || c == '\n';
        scan->has_8bit |= c >= 0x80;
        scan->has_nul |= c == 0;
        if (scan->line < 5) {
            if (scan->line == 0)
                scan->from = 0;
            if (scan->from == scan->line && c == (uint8_t) "From "[scan->line] && ++scan->from == 5)
                scan->has_mbox_line = true;
        }
        scan->line++;
    }
    scan->before = scan->last;
    scan->last = c;
}

/* Octets inside a line, from its sixth on, up to a line end or the end. Returns how many there were. */
static size_t scan_inside(struct encode_scan *scan, struct view v) {
    uint8_t bits = 0;
    bool has_nul = false;
    size_t i = 0;
    if (scan->line < 5 || scan->last == '\r')
        return 0;
    while (i < v.n && v.p[i] != '\r' && v.p[i] != '\n') {
        bits |= v.p[i];
        has_nul |= v.p[i] == 0;
        i++;
    }
    if (i == 0)
        return 0;
    scan->has_8bit |= bits >= 0x80;
    scan->has_nul |= has_nul;
    scan->line += i;
    scan->before = i > 1 ? v.p[i - 2] : scan->last;
    scan->last = v.p[i - 1];
    return i;
}

static void look_for_needle(struct encode_scan *scan, struct view v) {
    for (size_t i = 0; i < v.n; i++) {
        if (scan->needle_at == 0) {
            ssize_t at = view_find_byte(view_skip(v, i), scan->needle.p[0]);
            if (at < 0)
                return;
            i += (size_t)at;
        }
        scan_needle(scan, v.p[i]);
    }
}

void encode_scan_put(struct encode_scan *scan, struct view octets) {
    for (size_t i = 0; i < octets.n;) {
        i += scan_inside(scan, view_skip(octets, i));
        if (i < octets.n)
            scan_octet(scan, octets.p[i++]);
    }
    if (scan->needle.n > 0)
        look_for_needle(scan, octets);
    scan->qp.is_text = scan->is_text;
    encode_qp_put(&scan->qp, octets, NULL);
    scan->size += octets.n;
}

void encode_scan_end(struct encode_scan *scan) {
    encode_qp_end(&scan->qp, NULL);
    scan->qp_size = scan->qp.size;
    scan->ends_line = scan->size == 0 || (scan->before == '\r' && scan->last == '\n');
    if (scan->line > 0) {
        scan->has_bare_line_end |= scan->last == '\r';
        scan->longest = MAX(scan->longest, scan->line);
        scan->has_blank_end |= ascii_is_blank(scan->last);
        scan->has_mbox_line |= scan->line == 1 && scan->last == '.';
    }
}

enum mime_encoding encode_scan_identity(const struct encode_scan *scan) {
    /* RFC2045-2.7, RFC2045-2.8, RFC2045-2.9 */
    if (scan->has_nul || scan->has_bare_line_end || scan->longest > FOLD_LINE_MAX)
        return MIME_ENCODING_BINARY;
    return scan->has_8bit ? MIME_ENCODING_8BIT : MIME_ENCODING_7BIT;
}

enum mime_encoding encode_scan_choose(const struct encode_scan *scan, const struct encode_limits *limits) {
    enum mime_encoding identity = encode_scan_identity(scan);
    bool is_safe = !limits->is_signed || (!scan->has_mbox_line && !scan->has_blank_end);
    if (identity == MIME_ENCODING_7BIT && is_safe)
        return identity;
    if (identity == MIME_ENCODING_8BIT && (limits->allow_8bit || limits->allow_binary) && !limits->is_signed)
        return identity;
    if (identity == MIME_ENCODING_BINARY && limits->allow_binary && !limits->is_signed)
        return identity;
    return scan->qp_size <= encode_base64_size(scan->size) ? MIME_ENCODING_QUOTED_PRINTABLE : MIME_ENCODING_BASE64;
}
