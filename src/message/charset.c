/*
 * Charsets: labels, guesses, and the decoders: a few of our own, the rest by
 * iconv descriptors that were opened ahead of confinement.
 */
#include "message/charset.h"

#include "message/charset_labels.h"

#include "base/utf8.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

struct charset {
    const char *iconv; /* libc's name of the slot; NULL: none */
    enum method method;
    enum cut cut;
    uint8_t unit;
    struct view labels;
};

static const struct charset charsets[CS_COUNT] = {
#define C(id, iconv, method, cut, unit, labels) {iconv, METHOD_##method, CUT_##cut, unit, VIEW_INIT(labels)},
    CHARSETS(C)
#undef C
};

/* What a label leaves open. */
enum hint { HINT_NOTHING, HINT_LATIN, HINT_UTF8, HINT_WIDE, HINT_SURE };

enum phase {
    PHASE_BEGIN,   /* a byte order mark may come */
    PHASE_GUESS,   /* only ASCII so far, what it is will be seen */
    PHASE_DECIDED, /* id says what it is */
};

/* -- Labels --------------------------------------------------------------------------------------- */

#define LABEL_MAX 40 /* RFC2978-2.3: a charset name has at most 40 characters */

static bool search_label(struct view name, enum charset_id *id) {
    for (size_t i = 0; i < CS_COUNT; i++) {
        struct view labels = charsets[i].labels, label;
        while (labels.n > 0) {
            view_split(labels, ' ', &label, &labels);
            if (view_eq(label, name)) {
                *id = (enum charset_id)i;
                return true;
            }
        }
    }
    return false;
}

static bool find_label(struct view label, enum charset_id *id) {
    uint8_t folded[LABEL_MAX];
    size_t n = 0;
    for (size_t i = 0; i < label.n; i++) {
        uint8_t c = label.p[i];
        if (c == '/' || c >= 0x80)
            return false;
        if (!ascii_is_alnum(c))
            continue;
        if (n == LABEL_MAX)
            return false;
        folded[n++] = ascii_lower(c);
    }
    struct view name = view_of(folded, n);
    if (n == 0)
        return false;
    return search_label(name, id) || (name.p[0] == 'x' && search_label(view_skip(name, 1), id)) ||
           (view_starts(name, VIEW("cs")) && search_label(view_skip(name, 2), id));
}

enum err charset_prepare(struct charset_table *table) {
    memset(table, 0, sizeof(*table));
    for (size_t i = 0; i < CS_COUNT; i++) {
        if (charsets[i].method != METHOD_ICONV)
            continue;
        iconv_t cd = iconv_open("UTF-8", charsets[i].iconv);
        if (cd == (iconv_t)-1)
            continue;
        table->slots[i] = cd;
        table->open++;
    }
    return table->open > 0 ? ERR_OK : ERR_NOT_FOUND;
}

void charset_fini(struct charset_table *table) {
    for (size_t i = 0; i < CHARSET_SLOTS; i++)
        if (table->slots[i] != NULL)
            iconv_close(table->slots[i]);
    memset(table, 0, sizeof(*table));
}

static bool is_open(const struct charset_table *table, enum charset_id id) {
    switch (charsets[id].method) {
    case METHOD_UTF8:
    case METHOD_WINDOWS:
    case METHOD_UTF7:
        return true;
    case METHOD_2022: /* EUC forms of its sets are what is converted */
        return is_open(table, CS_EUC_JP);
    case METHOD_HZ:
        return is_open(table, CS_GB18030);
    case METHOD_ICONV:
        break;
    }
    return table != NULL && table->slots[id] != NULL;
}

bool charset_is_known(const struct charset_table *table, struct view label) {
    enum charset_id id;
    return find_label(label, &id) && is_open(table, id);
}

/* -- Decoders: each consumes what it can and returns how many octets ------------------------------- */

/* Octets at the end that may begin a character whose rest is still to come. */
static size_t cut_tail(struct view text) {
    for (size_t k = 1; k <= MIN(text.n, (size_t)3); k++) {
        uint8_t c = text.p[text.n - k];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
        return need > k ? k : 0;
    }
    return 0;
}

static size_t put_utf8(struct view text, bool is_end, struct buf *out) {
    size_t n = is_end ? text.n : text.n - cut_tail(text);
    buf_put_utf8_lossy(out, view_sub(text, 0, n));
    return n;
}

static size_t put_windows_1252(struct view text, struct buf *out) {
    /* The octets 0x80 to 0x9f; 0 where windows-1252 has none. */
    static const uint16_t high[32] = {
        0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
    };
    size_t at = 0;
    while (at < text.n) {
        size_t run = at;
        while (run < text.n && text.p[run] < 0x80)
            run++;
        buf_put(out, view_sub(text, at, run - at));
        if (run == text.n)
            break;
        uint8_t c = text.p[run];
        uint32_t cp = c >= 0xa0 ? c : high[c - 0x80];
        buf_put_utf8(out, cp != 0 ? cp : 0xfffd);
        at = run + 1;
    }
    return text.n;
}

/* The whole text; of one that goes on, what ends in the midst of a character is left. */
static size_t run_iconv(iconv_t cd, size_t unit, struct view text, bool is_end, struct buf *out) {
    /* The interface wants a char **, but does not write to it. */
    char *in = (char *)(uintptr_t)text.p;
    size_t in_left = text.n;
    iconv(cd, NULL, NULL, NULL, NULL);
    while (in_left > 0 && buf_err(out) == ERR_OK) {
        char piece[2048];
        char *to = piece;
        size_t room = sizeof(piece);
        size_t result = iconv(cd, &in, &in_left, &to, &room);
        int error = errno;
        buf_put(out, view_of(piece, sizeof(piece) - room));
        if (result != (size_t)-1)
            break;
        if (error == E2BIG && room < sizeof(piece))
            continue;
        if (error == EINVAL && !is_end)
            break;
        /* Invalid or incomplete: one octet is replaced, and decoding goes on after it. */
        buf_put_utf8(out, 0xfffd);
        in += MIN(unit, in_left);
        in_left -= MIN(unit, in_left);
    }
    /* libc may hold back a character. */
    char rest[64];
    char *to = rest;
    size_t room = sizeof(rest);
    if (iconv(cd, NULL, NULL, &to, &room) != (size_t)-1)
        buf_put(out, view_of(rest, sizeof(rest) - room));
    return text.n - in_left;
}

static size_t put_iconv(const struct charset_stream *s, struct view text, bool is_end, struct buf *out) {
    const struct charset *charset = &charsets[s->id];
    struct view ready = text;
    if (charset->cut == CUT_SPACE && !is_end) {
        while (ready.n > 0 && ready.p[ready.n - 1] > ' ')
            ready.n--;
        if (ready.n == 0 && text.n > CHARSET_HELD_MAX)
            ready = text; /* no space for so long: no text that an accent matters to */
    }
    return ready.n == 0 ? 0 : run_iconv(s->table->slots[s->id], charset->unit, ready, is_end, out);
}

/* RFC2152: text with "+" and "-" around UTF-16 in base64. */
static size_t put_utf7(struct charset_stream *s, struct view text, struct buf *out) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                    : c >= 'a' && c <= 'z' ? c - 'a' + 26
                    : ascii_is_digit(c)    ? c - '0' + 52
                    : c == '+'             ? 62
                    : c == '/'             ? 63
                                           : -1;
        if (!s->is_shifted) {
            s->is_shifted = c == '+';
            s->g0 = s->is_shifted; /* nothing came after the "+" yet */
            if (!s->is_shifted)
                buf_put_utf8(out, c < 0x80 ? c : 0xfffd);
            continue;
        }
        if (value < 0) {
            if (s->high != 0)
                buf_put_utf8(out, 0xfffd);
            if (s->g0 && c == '-')
                buf_put_byte(out, '+');
            else if (c != '-')
                buf_put_utf8(out, c < 0x80 ? c : 0xfffd);
            s->is_shifted = false;
            s->bits = s->bit_count = 0;
            s->high = 0;
            continue;
        }
        s->g0 = false;
        s->bits = s->bits << 6 | (uint32_t)value;
        s->bit_count = (uint8_t)(s->bit_count + 6);
        if (s->bit_count < 16)
            continue;
        s->bit_count = (uint8_t)(s->bit_count - 16);
        uint16_t u = (uint16_t)(s->bits >> s->bit_count);
        s->bits &= (1u << s->bit_count) - 1;
        bool is_low = u >= 0xdc00 && u < 0xe000;
        if (s->high != 0 && is_low) {
            buf_put_utf8(out, 0x10000 + ((uint32_t)(s->high - 0xd800) << 10) + (u - 0xdc00u));
            s->high = 0;
            continue;
        }
        if (s->high != 0)
            buf_put_utf8(out, 0xfffd);
        s->high = u >= 0xd800 && u < 0xdc00 ? u : 0;
        if (s->high == 0)
            buf_put_utf8(out, u);
    }
    return text.n;
}

/* -- ISO 2022 ------------------------------------------------------------------------------------- */

enum set { SET_ASCII, SET_KANA, SET_JIS0208, SET_JIS0212, SET_KSC, SET_GB, SET_CNS, SET_LATIN1, SET_GREEK };

/* The EUC form of a set has its octets with the high bit set, so that a run of one set is converted in one go. */
#define RUN_MAX 300 /* octets; divided by 2 and 3 */
struct run {
    const struct charset_stream *s;
    struct buf *out;
    enum set set;
    size_t n;
    uint8_t euc[RUN_MAX];
};

static void end_run(struct run *run) {
    enum charset_id id = run->set == SET_KSC   ? CS_EUC_KR
                         : run->set == SET_GB  ? CS_GB18030
                         : run->set == SET_CNS ? CS_EUC_TW
                                               : CS_EUC_JP;
    if (run->n > 0 && is_open(run->s->table, id))
        run_iconv(run->s->table->slots[id], run->set == SET_JIS0212 ? 3 : 2, view_of(run->euc, run->n), true, run->out);
    else if (run->n > 0)
        buf_put_utf8(run->out, 0xfffd);
    run->n = 0;
}

static void put_double(struct run *run, enum set set, uint8_t a, uint8_t b) {
    if (run->set != set || run->n + 3 > RUN_MAX)
        end_run(run);
    run->set = set;
    if (set == SET_JIS0212)
        run->euc[run->n++] = 0x8f;
    run->euc[run->n++] = set == SET_KANA ? 0x8e : a | 0x80;
    run->euc[run->n++] = b | 0x80;
}

/* Escape sequences: RFC1468 and RFC1554 (Japanese), RFC1557 (Korean), RFC1922 (Chinese). */
static const struct {
    struct view sequence; /* after ESC */
    uint8_t g, set;
} escapes[] = {
    {VIEW_INIT("(B"), 0, SET_ASCII},    {VIEW_INIT("(J"), 0, SET_ASCII},    {VIEW_INIT("(H"), 0, SET_ASCII},
    {VIEW_INIT("(I"), 0, SET_KANA},     {VIEW_INIT("$@"), 0, SET_JIS0208},  {VIEW_INIT("$B"), 0, SET_JIS0208},
    {VIEW_INIT("$A"), 0, SET_GB},       {VIEW_INIT("$(@"), 0, SET_JIS0208}, {VIEW_INIT("$(B"), 0, SET_JIS0208},
    {VIEW_INIT("$(O"), 0, SET_JIS0208}, {VIEW_INIT("$(Q"), 0, SET_JIS0208}, {VIEW_INIT("$(D"), 0, SET_JIS0212},
    {VIEW_INIT("$(A"), 0, SET_GB},      {VIEW_INIT("$(C"), 0, SET_KSC},     {VIEW_INIT("$)C"), 1, SET_KSC},
    {VIEW_INIT("$)A"), 1, SET_GB},      {VIEW_INIT("$)G"), 1, SET_CNS},     {VIEW_INIT(".A"), 2, SET_LATIN1},
    {VIEW_INIT(".F"), 2, SET_GREEK},
};
#define ESCAPE_MAX 3

/* The escape sequence that `text` (after ESC) begins with, or NULL. */
static ssize_t find_escape(struct view text) {
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++)
        if (view_starts(text, escapes[i].sequence))
            return (ssize_t)i;
    return -1;
}

/* After ESC: how many octets it took; 0: more are needed. */
static size_t take_escape(struct charset_stream *s, struct view text, bool is_end, struct buf *out) {
    ssize_t i = find_escape(text);
    if (i < 0 && text.n < ESCAPE_MAX && !is_end)
        return 0;
    if (i >= 0) {
        *(escapes[i].g == 0 ? &s->g0 : escapes[i].g == 1 ? &s->g1 : &s->g2) = escapes[i].set;
        return 1 + escapes[i].sequence.n;
    }
    if (text.n > 1 && text.p[0] == 'N' && s->g2 != SET_ASCII) { /* RFC1554: one character of G2 */
        uint8_t c = text.p[1] | 0x80;
        if (s->g2 == SET_LATIN1)
            buf_put_utf8(out, c);
        else if (is_open(s->table, CS_ISO_8859_7))
            run_iconv(s->table->slots[CS_ISO_8859_7], 1, view_of(&c, 1), true, out);
        else
            buf_put_utf8(out, 0xfffd);
        return 3;
    }
    buf_put_utf8(out, 0xfffd);
    return 1;
}

static size_t put_2022(struct charset_stream *s, struct view text, bool is_end, struct buf *out) {
    struct run run = {.s = s, .out = out};
    size_t at = 0;
    while (at < text.n && buf_err(out) == ERR_OK) {
        uint8_t c = text.p[at];
        enum set set = s->is_shifted ? s->g1 : s->g0;
        bool is_double = c > ' ' && (c >= 0x80 || set != SET_ASCII);
        if (!is_double)
            end_run(&run);
        if (c == 0x1b) {
            size_t n = take_escape(s, view_skip(text, at + 1), is_end, out);
            if (n == 0)
                break;
            at += n;
        } else if (c == 0x0e || c == 0x0f) {
            s->is_shifted = c == 0x0e;
            if (s->g1 == SET_ASCII)
                s->g1 = SET_KSC; /* RFC1557 wants it announced; only Korean mail forgets to */
            at++;
        } else if (c <= ' ' || (set == SET_ASCII && c < 0x80)) {
            buf_put_byte(out, c);
            at++;
        } else if (set == SET_KANA || (c > 0xa0 && c < 0xe0)) {
            /* Also as octets of eight bits, which no standard has but some mail. */
            put_double(&run, SET_KANA, 0, c);
            at++;
        } else if (c >= 0x7f) {
            end_run(&run);
            buf_put_utf8(out, 0xfffd);
            at++;
        } else if (at + 1 == text.n && !is_end) {
            break;
        } else if (at + 1 == text.n || text.p[at + 1] <= ' ' || text.p[at + 1] >= 0x7f) {
            end_run(&run);
            buf_put_utf8(out, 0xfffd);
            at++;
        } else {
            put_double(&run, set, c, text.p[at + 1]);
            at += 2;
        }
    }
    end_run(&run);
    return at;
}

/* RFC1843: "~{" and "~}" around GB 2312, "~~" is a tilde, "~" before a line end joins lines. */
static size_t put_hz(struct charset_stream *s, struct view text, bool is_end, struct buf *out) {
    struct run run = {.s = s, .out = out};
    size_t at = 0;
    while (at < text.n && buf_err(out) == ERR_OK) {
        uint8_t c = text.p[at], next = at + 1 < text.n ? text.p[at + 1] : 0;
        bool is_double = c > ' ' && c != '~' && c != 0x7f && next > ' ' && next != 0x7f && (s->is_shifted || c >= 0x80);
        if (!is_double)
            end_run(&run);
        if (c == '\n')
            s->is_shifted = false;
        if (c <= ' ' || (c != '~' && !s->is_shifted && c < 0x80)) {
            buf_put_byte(out, c);
            at++;
        } else if (at + 1 == text.n && !is_end) {
            break;
        } else if (c == '~' && (next == '{' || next == '}' || next == '\n')) {
            s->is_shifted = next == '{';
            at += 2;
        } else if (c == '~' && !s->is_shifted) {
            buf_put_byte(out, '~');
            at += next == '~' ? 2 : 1;
        } else if (!is_double) {
            buf_put_utf8(out, 0xfffd);
            at++;
        } else { /* also GB 2312 with the high bit, under this label by mistake */
            put_double(&run, SET_GB, c, next);
            at += 2;
        }
    }
    end_run(&run);
    return at;
}

static size_t put_decided(struct charset_stream *s, struct view text, bool is_end, struct buf *out) {
    switch (charsets[s->id].method) {
    case METHOD_UTF8:
        return put_utf8(text, is_end, out);
    case METHOD_WINDOWS:
        return put_windows_1252(text, out);
    case METHOD_UTF7:
        return put_utf7(s, text, out);
    case METHOD_2022:
        return put_2022(s, text, is_end, out);
    case METHOD_HZ:
        return put_hz(s, text, is_end, out);
    case METHOD_ICONV:
        return put_iconv(s, text, is_end, out);
    }
    return text.n;
}

/* -- Guesses -------------------------------------------------------------------------------------- */

static const struct {
    struct view mark;
    enum charset_id id;
} marks[] = {
    {VIEW_INIT("\xef\xbb\xbf"), CS_UTF8},
    {VIEW_INIT("\xff\xfe"), CS_UTF_16LE},
    {VIEW_INIT("\xfe\xff"), CS_UTF_16BE},
};

/* Takes a byte order mark. 0 octets: there is none; false: not known yet. */
static bool take_mark(struct charset_stream *s, struct view text, bool is_end, size_t *n) {
    *n = 0;
    if (charsets[s->id].unit == 4)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (text.n < marks[i].mark.n && !is_end && view_starts(marks[i].mark, text))
            return false;
        if (view_starts(text, marks[i].mark) && is_open(s->table, marks[i].id)) {
            /* In UTF-8 it is a character, too: what a header says stays as it was. */
            *n = marks[i].id == CS_UTF8 ? 0 : marks[i].mark.n;
            s->id = (uint8_t)marks[i].id;
            s->hint = HINT_SURE;
            return true;
        }
    }
    /* RFC2781-4.3: without a mark, "utf-16" has the high octet first; nearly all that exists has it last. */
    if (s->id == CS_UTF_16LE) {
        if (text.n < 2)
            return is_end;
        if (text.p[0] == 0 && text.p[1] != 0)
            s->id = CS_UTF_16BE;
    }
    return true;
}

/* How a charset of East Asia reads text: true when part of it is nothing there. */
static bool is_broken_in(const struct charset_table *table, enum charset_id id, struct view sample, bool is_end) {
    struct charset_stream s = {.table = table, .id = (uint8_t)id, .phase = PHASE_DECIDED};
    struct buf read;
    buf_init(&read, (size_t)4 * CHARSET_GUESS_MAX);
    put_decided(&s, sample, is_end, &read);
    bool is_broken = view_find(buf_view(&read), VIEW("\xef\xbf\xbd")) >= 0;
    buf_fini(&read);
    return is_broken;
}

/* What text is that begins with an octet that is not ASCII. */
static enum charset_id guess(const struct charset_stream *s, struct view all, bool is_end) {
    struct view sample = all;
    size_t valid = 0, invalid = 0, at = 0;
    enum hint hint = s->hint;
    size_t tail = is_end && hint != HINT_UTF8 ? 0 : cut_tail(sample);
    sample.n -= tail; /* a character that is merely cut says nothing */
    while (at < sample.n && (hint != HINT_WIDE || invalid == 0)) {
        uint32_t cp;
        if (sample.p[at] < 0x80) {
            at++;
            continue;
        }
        size_t n = utf8_decode(view_skip(sample, at), &cp);
        valid += n > 0;
        invalid += n == 0;
        at += MAX(n, (size_t)1);
    }
    if (hint == HINT_WIDE)
        return invalid == 0 && is_broken_in(s->table, s->id, all, is_end) ? CS_UTF8 : (enum charset_id)s->id;
    bool is_utf8 = hint == HINT_UTF8 ? valid >= invalid : hint == HINT_LATIN ? invalid == 0 : invalid * 8 <= valid;
    return is_utf8 ? CS_UTF8 : CS_WINDOWS_1252;
}

/* Of undecided text: the ASCII in front is written; then what follows decides. Returns the octets consumed. */
static size_t put_undecided(struct charset_stream *s, struct view text, bool is_end, struct buf *out) {
    size_t at = 0;
    while (at < text.n && text.p[at] < 0x80) {
        if (text.p[at] != 0x1b) {
            at++;
            continue;
        }
        struct view rest = view_skip(text, at + 1);
        if (rest.n < ESCAPE_MAX && !is_end)
            break;
        if (find_escape(rest) >= 0 && is_open(s->table, CS_ISO_2022)) {
            s->id = CS_ISO_2022;
            s->phase = PHASE_DECIDED;
            break;
        }
        at++;
    }
    buf_put(out, view_sub(text, 0, at));
    if (s->phase == PHASE_DECIDED || at == text.n || text.p[at] < 0x80)
        return at;
    struct view sample = view_skip(text, at);
    if (sample.n < CHARSET_GUESS_MAX && !is_end)
        return at;
    bool is_all = is_end && sample.n < CHARSET_GUESS_MAX;
    s->id = (uint8_t)guess(s, view_sub(sample, 0, CHARSET_GUESS_MAX), is_all);
    s->phase = PHASE_DECIDED;
    return at;
}

/* -- Streams -------------------------------------------------------------------------------------- */

/* The charsets of East Asia in which ASCII is as it is (in JOHAB it is not all), and some octets are nothing. */
static bool is_wide(enum charset_id id) {
    return id == CS_SHIFT_JIS || id == CS_EUC_JP || id == CS_EUC_KR || id == CS_GB18030 || id == CS_BIG5 ||
           id == CS_EUC_TW;
}

void charset_stream_init(struct charset_stream *s, const struct charset_table *table, struct view label) {
    enum charset_id id;
    memset(s, 0, sizeof(*s));
    s->table = table;
    s->id = CS_WINDOWS_1252;
    if (find_label(label, &id) && is_open(table, id)) {
        s->id = (uint8_t)id;
        s->hint = id == CS_UTF8 ? HINT_UTF8 : id == CS_WINDOWS_1252 ? HINT_LATIN : is_wide(id) ? HINT_WIDE : HINT_SURE;
    }
    buf_init(&s->held, (size_t)2 * CHARSET_HELD_MAX + CHARSET_GUESS_MAX);
}

static size_t put_some(struct charset_stream *s, struct view text, bool is_end, struct buf *out) {
    size_t at = 0;
    if (s->phase == PHASE_BEGIN) {
        if (text.n == 0 || !take_mark(s, text, is_end, &at))
            return 0;
        s->phase = s->hint == HINT_SURE ? PHASE_DECIDED : PHASE_GUESS;
    }
    if (s->phase == PHASE_GUESS)
        at += put_undecided(s, view_skip(text, at), is_end, out);
    if (s->phase == PHASE_DECIDED)
        at += put_decided(s, view_skip(text, at), is_end, out);
    return at;
}

/* Octets of one step; what a step holds back and the next step fit into `held`. */
#define STEP CHARSET_HELD_MAX

void charset_stream_put(struct charset_stream *s, struct view text, struct buf *out) {
    while (text.n > 0 && buf_err(out) == ERR_OK) {
        struct view step = view_sub(text, 0, STEP);
        text = view_skip(text, step.n);
        if (s->held.n == 0) {
            buf_put(&s->held, view_skip(step, put_some(s, step, false, out)));
        } else {
            buf_put(&s->held, step);
            buf_consume(&s->held, put_some(s, buf_view(&s->held), false, out));
        }
        if (buf_err(&s->held) != ERR_OK && out->err == ERR_OK)
            out->err = buf_err(&s->held);
    }
}

void charset_stream_end(struct charset_stream *s, struct buf *out) {
    put_some(s, buf_view(&s->held), true, out);
    buf_fini(&s->held);
}

void charset_put_utf8(const struct charset_table *table, struct view label, struct view text, struct buf *out) {
    struct charset_stream s;
    if (utf8_is_ascii(text) && memchr(text.p == NULL ? (const uint8_t *)"" : text.p, 0x1b, text.n) == NULL &&
        text.n < CHARSET_GUESS_MAX) {
        enum charset_id id;
        /* Short and plain, as nearly all text of headers is. */
        if (!find_label(label, &id) || id == CS_UTF8 || id == CS_WINDOWS_1252) {
            buf_put(out, text);
            return;
        }
    }
    charset_stream_init(&s, table, label);
    if (text.n <= STEP) {
        put_some(&s, text, true, out);
        buf_fini(&s.held);
        return;
    }
    charset_stream_put(&s, text, out);
    charset_stream_end(&s, out);
}
