/*
 * Charsets: an allow-list of labels with aliases, a few decoded here, the rest
 * by iconv descriptors opened ahead of confinement.
 */
#include "message/words.h"

#include "base/utf8.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

/* How a charset is decoded. */
enum method {
    METHOD_UTF8,    /* validated, invalid octets replaced */
    METHOD_WINDOWS, /* windows-1252; as browsers do, ISO-8859-1 and US-ASCII are read as it */
    METHOD_ICONV,
};

struct charset {
    const char *iconv; /* the name libc knows; also the name of the slot */
    enum method method;
};

enum charset_id {
    CS_UTF8,
    CS_WINDOWS_1252,
    CS_ISO_8859_2,
    CS_ISO_8859_3,
    CS_ISO_8859_4,
    CS_ISO_8859_5,
    CS_ISO_8859_6,
    CS_ISO_8859_7,
    CS_ISO_8859_8,
    CS_ISO_8859_9,
    CS_ISO_8859_10,
    CS_ISO_8859_11,
    CS_ISO_8859_13,
    CS_ISO_8859_14,
    CS_ISO_8859_15,
    CS_ISO_8859_16,
    CS_WINDOWS_1250,
    CS_WINDOWS_1251,
    CS_WINDOWS_1253,
    CS_WINDOWS_1254,
    CS_WINDOWS_1255,
    CS_WINDOWS_1256,
    CS_WINDOWS_1257,
    CS_WINDOWS_1258,
    CS_WINDOWS_874,
    CS_KOI8_R,
    CS_KOI8_U,
    CS_IBM866,
    CS_MACINTOSH,
    CS_ISO_2022_JP,
    CS_SHIFT_JIS,
    CS_EUC_JP,
    CS_ISO_2022_KR,
    CS_EUC_KR,
    CS_GB18030,
    CS_BIG5,
    CS_ISO_2022_CN,
    CS_UTF_7,
    CS_UTF_16,
    CS_UTF_16LE,
    CS_UTF_16BE,
    CS_COUNT
};
_Static_assert(CS_COUNT <= CHARSET_SLOTS, "more charsets than slots");

static const struct charset charsets[CS_COUNT] = {
    [CS_UTF8] = {"UTF-8", METHOD_UTF8},
    [CS_WINDOWS_1252] = {"CP1252", METHOD_WINDOWS},
    [CS_ISO_8859_2] = {"ISO-8859-2", METHOD_ICONV},
    [CS_ISO_8859_3] = {"ISO-8859-3", METHOD_ICONV},
    [CS_ISO_8859_4] = {"ISO-8859-4", METHOD_ICONV},
    [CS_ISO_8859_5] = {"ISO-8859-5", METHOD_ICONV},
    [CS_ISO_8859_6] = {"ISO-8859-6", METHOD_ICONV},
    [CS_ISO_8859_7] = {"ISO-8859-7", METHOD_ICONV},
    [CS_ISO_8859_8] = {"ISO-8859-8", METHOD_ICONV},
    [CS_ISO_8859_9] = {"CP1254", METHOD_ICONV}, /* a superset, like windows-1252 of ISO-8859-1 */
    [CS_ISO_8859_10] = {"ISO-8859-10", METHOD_ICONV},
    [CS_ISO_8859_11] = {"CP874", METHOD_ICONV},
    [CS_ISO_8859_13] = {"ISO-8859-13", METHOD_ICONV},
    [CS_ISO_8859_14] = {"ISO-8859-14", METHOD_ICONV},
    [CS_ISO_8859_15] = {"ISO-8859-15", METHOD_ICONV},
    [CS_ISO_8859_16] = {"ISO-8859-16", METHOD_ICONV},
    [CS_WINDOWS_1250] = {"CP1250", METHOD_ICONV},
    [CS_WINDOWS_1251] = {"CP1251", METHOD_ICONV},
    [CS_WINDOWS_1253] = {"CP1253", METHOD_ICONV},
    [CS_WINDOWS_1254] = {"CP1254", METHOD_ICONV},
    [CS_WINDOWS_1255] = {"CP1255", METHOD_ICONV},
    [CS_WINDOWS_1256] = {"CP1256", METHOD_ICONV},
    [CS_WINDOWS_1257] = {"CP1257", METHOD_ICONV},
    [CS_WINDOWS_1258] = {"CP1258", METHOD_ICONV},
    [CS_WINDOWS_874] = {"CP874", METHOD_ICONV},
    [CS_KOI8_R] = {"KOI8-R", METHOD_ICONV},
    [CS_KOI8_U] = {"KOI8-U", METHOD_ICONV},
    [CS_IBM866] = {"CP866", METHOD_ICONV},
    [CS_MACINTOSH] = {"MACINTOSH", METHOD_ICONV},
    [CS_ISO_2022_JP] = {"ISO-2022-JP-2", METHOD_ICONV},
    [CS_SHIFT_JIS] = {"CP932", METHOD_ICONV},
    [CS_EUC_JP] = {"EUC-JP", METHOD_ICONV},
    [CS_ISO_2022_KR] = {"ISO-2022-KR", METHOD_ICONV},
    [CS_EUC_KR] = {"CP949", METHOD_ICONV},
    [CS_GB18030] = {"GB18030", METHOD_ICONV},
    [CS_BIG5] = {"BIG5-HKSCS", METHOD_ICONV},
    [CS_ISO_2022_CN] = {"ISO-2022-CN", METHOD_ICONV},
    [CS_UTF_7] = {"UTF-7", METHOD_ICONV},
    [CS_UTF_16] = {"UTF-16", METHOD_ICONV},
    [CS_UTF_16LE] = {"UTF-16LE", METHOD_ICONV},
    [CS_UTF_16BE] = {"UTF-16BE", METHOD_ICONV},
};

/* Labels as seen in mail, in lower case and without "-", "_" and spaces, so that spelling does not matter. */
static const struct {
    struct view label;
    enum charset_id id;
} labels[] = {
    {VIEW_INIT("utf8"), CS_UTF8},
    {VIEW_INIT("unicode11utf8"), CS_UTF8},
    {VIEW_INIT("usascii"), CS_WINDOWS_1252},
    {VIEW_INIT("ascii"), CS_WINDOWS_1252},
    {VIEW_INIT("ansix3.41968"), CS_WINDOWS_1252},
    {VIEW_INIT("iso88591"), CS_WINDOWS_1252},
    {VIEW_INIT("latin1"), CS_WINDOWS_1252},
    {VIEW_INIT("windows1252"), CS_WINDOWS_1252},
    {VIEW_INIT("cp1252"), CS_WINDOWS_1252},
    {VIEW_INIT("iso88592"), CS_ISO_8859_2},
    {VIEW_INIT("latin2"), CS_ISO_8859_2},
    {VIEW_INIT("iso88593"), CS_ISO_8859_3},
    {VIEW_INIT("iso88594"), CS_ISO_8859_4},
    {VIEW_INIT("iso88595"), CS_ISO_8859_5},
    {VIEW_INIT("iso88596"), CS_ISO_8859_6},
    {VIEW_INIT("iso88597"), CS_ISO_8859_7},
    {VIEW_INIT("iso88598"), CS_ISO_8859_8},
    {VIEW_INIT("iso88598i"), CS_ISO_8859_8},
    {VIEW_INIT("iso88599"), CS_ISO_8859_9},
    {VIEW_INIT("latin5"), CS_ISO_8859_9},
    {VIEW_INIT("iso885910"), CS_ISO_8859_10},
    {VIEW_INIT("iso885911"), CS_ISO_8859_11},
    {VIEW_INIT("tis620"), CS_ISO_8859_11},
    {VIEW_INIT("iso885913"), CS_ISO_8859_13},
    {VIEW_INIT("iso885914"), CS_ISO_8859_14},
    {VIEW_INIT("iso885915"), CS_ISO_8859_15},
    {VIEW_INIT("latin9"), CS_ISO_8859_15},
    {VIEW_INIT("iso885916"), CS_ISO_8859_16},
    {VIEW_INIT("windows1250"), CS_WINDOWS_1250},
    {VIEW_INIT("cp1250"), CS_WINDOWS_1250},
    {VIEW_INIT("windows1251"), CS_WINDOWS_1251},
    {VIEW_INIT("cp1251"), CS_WINDOWS_1251},
    {VIEW_INIT("windows1253"), CS_WINDOWS_1253},
    {VIEW_INIT("windows1254"), CS_WINDOWS_1254},
    {VIEW_INIT("windows1255"), CS_WINDOWS_1255},
    {VIEW_INIT("windows1256"), CS_WINDOWS_1256},
    {VIEW_INIT("windows1257"), CS_WINDOWS_1257},
    {VIEW_INIT("windows1258"), CS_WINDOWS_1258},
    {VIEW_INIT("windows874"), CS_WINDOWS_874},
    {VIEW_INIT("koi8r"), CS_KOI8_R},
    {VIEW_INIT("koi8u"), CS_KOI8_U},
    {VIEW_INIT("ibm866"), CS_IBM866},
    {VIEW_INIT("cp866"), CS_IBM866},
    {VIEW_INIT("macintosh"), CS_MACINTOSH},
    {VIEW_INIT("macroman"), CS_MACINTOSH},
    {VIEW_INIT("iso2022jp"), CS_ISO_2022_JP},
    {VIEW_INIT("iso2022jp1"), CS_ISO_2022_JP},
    {VIEW_INIT("iso2022jp2"), CS_ISO_2022_JP},
    {VIEW_INIT("shiftjis"), CS_SHIFT_JIS},
    {VIEW_INIT("sjis"), CS_SHIFT_JIS},
    {VIEW_INIT("xsjis"), CS_SHIFT_JIS},
    {VIEW_INIT("windows31j"), CS_SHIFT_JIS},
    {VIEW_INIT("cp932"), CS_SHIFT_JIS},
    {VIEW_INIT("eucjp"), CS_EUC_JP},
    {VIEW_INIT("iso2022kr"), CS_ISO_2022_KR},
    {VIEW_INIT("euckr"), CS_EUC_KR},
    {VIEW_INIT("ksc56011987"), CS_EUC_KR},
    {VIEW_INIT("ksc5601"), CS_EUC_KR},
    {VIEW_INIT("cp949"), CS_EUC_KR},
    {VIEW_INIT("gb2312"), CS_GB18030}, /* GB18030 contains GB2312 and GBK */
    {VIEW_INIT("gbk"), CS_GB18030},
    {VIEW_INIT("cp936"), CS_GB18030},
    {VIEW_INIT("euccn"), CS_GB18030},
    {VIEW_INIT("gb18030"), CS_GB18030},
    {VIEW_INIT("big5"), CS_BIG5},
    {VIEW_INIT("big5hkscs"), CS_BIG5},
    {VIEW_INIT("iso2022cn"), CS_ISO_2022_CN},
    {VIEW_INIT("utf7"), CS_UTF_7},
    {VIEW_INIT("utf16"), CS_UTF_16},
    {VIEW_INIT("utf16le"), CS_UTF_16LE},
    {VIEW_INIT("utf16be"), CS_UTF_16BE},
};

#define LABEL_MAX 40 /* RFC2978-2.3: a charset name has at most 40 characters */

static bool find_label(struct view label, enum charset_id *id) {
    uint8_t folded[LABEL_MAX];
    size_t n = 0;
    for (size_t i = 0; i < label.n; i++) {
        uint8_t c = label.p[i];
        if (c == '-' || c == '_' || c <= ' ' || c == '"' || c == '\'')
            continue;
        if (n == LABEL_MAX)
            return false;
        folded[n++] = ascii_lower(c);
    }
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        if (view_eq(view_of(folded, n), labels[i].label)) {
            *id = labels[i].id;
            return true;
        }
    }
    return false;
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

bool charset_is_known(const struct charset_table *table, struct view label) {
    enum charset_id id;
    if (!find_label(label, &id))
        return false;
    return charsets[id].method != METHOD_ICONV || (table != NULL && table->slots[id] != NULL);
}

static void put_windows_1252(struct view text, struct buf *out) {
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
}

static void put_iconv(iconv_t cd, struct view text, struct buf *out) {
    /* The interface wants a char **, but does not write to it. */
    char *in = (char *)(uintptr_t)text.p;
    size_t in_left = text.n;
    iconv(cd, NULL, NULL, NULL, NULL);
    while (in_left > 0 && buf_err(out) == ERR_OK) {
        char piece[512];
        char *to = piece;
        size_t room = sizeof(piece);
        size_t result = iconv(cd, &in, &in_left, &to, &room);
        int error = errno;
        buf_put(out, view_of(piece, sizeof(piece) - room));
        if (result != (size_t)-1)
            break;
        if (error == E2BIG && room < sizeof(piece))
            continue;
        /* Invalid or incomplete: one octet is replaced, and decoding goes on after it. */
        buf_put_utf8(out, 0xfffd);
        in++;
        in_left--;
    }
    /* Stateful charsets may hold back a character. */
    char rest[64];
    char *to = rest;
    size_t room = sizeof(rest);
    if (iconv(cd, NULL, NULL, &to, &room) != (size_t)-1)
        buf_put(out, view_of(rest, sizeof(rest) - room));
}

void charset_put_utf8(const struct charset_table *table, struct view label, struct view text, struct buf *out) {
    enum charset_id id;
    if (!charset_is_known(table, label) || !find_label(label, &id))
        id = utf8_is_valid(text) ? CS_UTF8 : CS_WINDOWS_1252;
    else if (id == CS_WINDOWS_1252 && utf8_is_valid(text) && view_starts_nocase(label, VIEW("us-ascii")))
        id = CS_UTF8; /* 8-bit text labelled us-ascii is mostly UTF-8 */
    switch (charsets[id].method) {
    case METHOD_UTF8:
        buf_put_utf8_lossy(out, text);
        break;
    case METHOD_WINDOWS:
        put_windows_1252(text, out);
        break;
    case METHOD_ICONV:
        put_iconv(table->slots[id], text, out);
        break;
    }
}
