/* The charsets that are decoded, how, and their labels. Private to charset.c. */
#ifndef MESSAGE_CHARSET_LABELS_H
#define MESSAGE_CHARSET_LABELS_H

#include "message/charset.h"

/* How a charset is decoded. */
enum method {
    METHOD_UTF8,
    METHOD_WINDOWS, /* windows-1252; as browsers do, ISO-8859-1 and US-ASCII are read as it */
    METHOD_UTF7,    /* RFC2152 */
    METHOD_2022,    /* escape sequences between sets */
    METHOD_HZ,      /* RFC1843 */
    METHOD_ICONV,
};

/* Where text for iconv may be cut. */
enum cut {
    CUT_CHARACTER, /* between characters */
    CUT_SPACE,     /* after white space only: libc waits for an accent that may follow a letter */
};

/*
 * id, libc's name, method, cut, octets of a unit, labels. Labels are in lower case and hold letters and digits only, so that
 * spelling does not matter; a leading "x" (for "x-") and "cs" are tried without, too.
 */
/* clang-format off */
#define CHARSETS(C)                                                                                                      \
    C(UTF8, "UTF-8", UTF8, CHARACTER, 1, "utf8 unicode11utf8 unicode20utf8 utf8mb4 utf")                                 \
    C(WINDOWS_1252, "CP1252", WINDOWS, CHARACTER, 1,                                                                     \
      "usascii ascii iso88591 latin1 windows1252 cp1252 win1252 ms1252 1252 ansix341968 ansix341986 iso646us us iso646irv1991 " \
      "isoir6 ibm367 cp367 iso885911987 iso885911998 isoir100 l1 isolatin1 ibm819 cp819 windows28591 ansi iso8859")      \
    C(ISO_8859_2, "ISO-8859-2", ICONV, CHARACTER, 1, "iso88592 latin2 l2 isolatin2 isoir101 iso885921987 iso885921999")  \
    C(ISO_8859_3, "ISO-8859-3", ICONV, CHARACTER, 1, "iso88593 latin3 l3 isolatin3 isoir109 iso885931988 iso885931999")  \
    C(ISO_8859_4, "ISO-8859-4", ICONV, CHARACTER, 1, "iso88594 latin4 l4 isolatin4 isoir110 iso885941988 iso885941998")  \
    C(ISO_8859_5, "ISO-8859-5", ICONV, CHARACTER, 1, "iso88595 cyrillic isolatincyrillic isoir144 iso885951988 iso885951999") \
    C(ISO_8859_6, "ISO-8859-6", ICONV, CHARACTER, 1,                                                                     \
      "iso88596 arabic asmo708 ecma114 isolatinarabic iso88596e iso88596i isoir127 iso885961987 iso885961999")           \
    C(ISO_8859_7, "ISO-8859-7", ICONV, CHARACTER, 1,                                                                     \
      "iso88597 greek greek8 ecma118 elot928 isolatingreek suneugreek isoir126 iso885971987 iso885972003")               \
    C(ISO_8859_8, "ISO-8859-8", ICONV, CHARACTER, 1,                                                                     \
      "iso88598 iso88598i iso88598e hebrew logical visual isolatinhebrew isoir138 iso885981988 iso885981999")            \
    /* a superset, like windows-1252 of ISO-8859-1 */                                                                    \
    C(WINDOWS_1254, "CP1254", ICONV, CHARACTER, 1,                                                                       \
      "windows1254 cp1254 win1254 iso88599 latin5 l5 isolatin5 isoir148 iso885991989 iso885991999 turkish")              \
    C(ISO_8859_10, "ISO-8859-10", ICONV, CHARACTER, 1, "iso885910 latin6 l6 isolatin6 isoir157 iso8859101992")           \
    C(WINDOWS_874, "CP874", ICONV, CHARACTER, 1, "windows874 cp874 dos874 iso885911 tis620 tis6202533 thai iso8859112001") \
    C(ISO_8859_13, "ISO-8859-13", ICONV, CHARACTER, 1, "iso885913 latin7 l7 isoir179")                                   \
    C(ISO_8859_14, "ISO-8859-14", ICONV, CHARACTER, 1, "iso885914 latin8 l8 isoir199 iso8859141998 isoceltic")           \
    C(ISO_8859_15, "ISO-8859-15", ICONV, CHARACTER, 1, "iso885915 latin9 l9 isolatin9 latin0 isoir203")                  \
    C(ISO_8859_16, "ISO-8859-16", ICONV, CHARACTER, 1, "iso885916 latin10 l10 isoir226 iso8859162001")                   \
    C(WINDOWS_1250, "CP1250", ICONV, CHARACTER, 1, "windows1250 cp1250 win1250 ms1250 1250 msee")                        \
    C(WINDOWS_1251, "CP1251", ICONV, CHARACTER, 1, "windows1251 cp1251 win1251 ms1251 1251 mscyrl win")                  \
    C(WINDOWS_1253, "CP1253", ICONV, CHARACTER, 1, "windows1253 cp1253 win1253 msgreek")                                 \
    C(WINDOWS_1255, "CP1255", ICONV, SPACE, 1, "windows1255 cp1255 win1255 mshebr")                                      \
    C(WINDOWS_1256, "CP1256", ICONV, CHARACTER, 1, "windows1256 cp1256 win1256 msarab")                                  \
    C(WINDOWS_1257, "CP1257", ICONV, CHARACTER, 1, "windows1257 cp1257 win1257 winbaltrim")                              \
    C(WINDOWS_1258, "CP1258", ICONV, SPACE, 1, "windows1258 cp1258 win1258")                                             \
    C(KOI8_R, "KOI8-R", ICONV, CHARACTER, 1, "koi8r koi8 koi cp20866 878")                                               \
    C(KOI8_U, "KOI8-U", ICONV, CHARACTER, 1, "koi8u koi8ru cp21866")                                                     \
    C(KOI8_T, "KOI8-T", ICONV, CHARACTER, 1, "koi8t")                                                                    \
    C(IBM437, "CP437", ICONV, CHARACTER, 1, "ibm437 cp437 437 pc8codepage437")                                           \
    C(IBM850, "CP850", ICONV, CHARACTER, 1, "ibm850 cp850 850 pc850multilingual")                                        \
    C(IBM852, "CP852", ICONV, CHARACTER, 1, "ibm852 cp852 852 pcp852")                                                   \
    C(IBM855, "CP855", ICONV, CHARACTER, 1, "ibm855 cp855 855")                                                          \
    C(IBM858, "CP858", ICONV, CHARACTER, 1, "ibm858 cp858 ibm00858 ccsid00858 cp00858 858")                              \
    C(IBM862, "CP862", ICONV, CHARACTER, 1, "ibm862 cp862 862 dos862 pc862latinhebrew")                                  \
    C(IBM866, "CP866", ICONV, CHARACTER, 1, "ibm866 cp866 866 dos866")                                                   \
    C(MACINTOSH, "MACINTOSH", ICONV, CHARACTER, 1, "macintosh macroman mac")                                             \
    C(MAC_CYRILLIC, "MAC-UK", ICONV, CHARACTER, 1, "maccyrillic macukrainian macuk")                                     \
    C(VISCII, "VISCII", ICONV, CHARACTER, 1, "viscii viscii111")                                                         \
    C(TCVN, "TCVN", ICONV, SPACE, 1, "tcvn tcvn5712 tcvn57121 tcvn571211993")                                            \
    C(PT154, "PT154", ICONV, CHARACTER, 1, "ptcp154 pt154 cp154 cyrillicasian")                                          \
    C(KZ1048, "RK1048", ICONV, CHARACTER, 1, "kz1048 rk1048 strk10482002")                                               \
    C(ARMSCII_8, "ARMSCII-8", ICONV, CHARACTER, 1, "armscii8")                                                           \
    C(ISO_2022, NULL, 2022, CHARACTER, 1,                                                                                \
      "iso2022jp iso2022jp1 iso2022jp2 iso2022jp3 iso2022jp2004 iso2022jpms cp50220 cp50221 cp50222 jis "                \
      "iso2022kr cp50225 iso2022cn iso2022cnext cp50227")                                                                \
    C(SHIFT_JIS, "CP932", ICONV, CHARACTER, 1,                                                                           \
      "shiftjis sjis windows31j cp932 ms932 windows932 mskanji cp943 ibm943 shiftjis2004 shiftjisx0213")                 \
    C(EUC_JP, "EUC-JP-MS", ICONV, CHARACTER, 1, "eucjp ujis eucjpms eucpkdfmtjapanese cp51932 cp20932 euc")              \
    C(EUC_KR, "CP949", ICONV, CHARACTER, 1,                                                                              \
      "euckr ksc56011987 ksc56011989 ksc5601 korean isoir149 windows949 cp949 ms949 949 uhc ks56011987 cp51949")         \
    C(JOHAB, "JOHAB", ICONV, CHARACTER, 1, "johab ms1361 cp1361")                                                        \
    /* GB18030 contains GB2312 and GBK */                                                                                \
    C(GB18030, "GB18030", ICONV, CHARACTER, 1,                                                                           \
      "gb18030 gb2312 gbk chinese gb231280 iso58gb231280 isoir58 cp936 ms936 windows936 936 euccn gb180302000 "          \
      "gb180302005 gb180302022 cp54936 cngb gb cp20936")                                                                 \
    C(HZ, NULL, HZ, CHARACTER, 1, "hzgb2312 hz hzgb cp52936")                                                            \
    C(BIG5, "BIG5-HKSCS", ICONV, SPACE, 1, "big5 big5hkscs cnbig5 xbig5 cp950 ms950 windows950 950 big5eten big5hkscs2008") \
    C(EUC_TW, "EUC-TW", ICONV, CHARACTER, 1, "euctw cns11643")                                                           \
    C(UTF_7, NULL, UTF7, CHARACTER, 1, "utf7 unicode11utf7 unicode20utf7 cp65000")                                       \
    C(UTF_16LE, "UTF-16LE", ICONV, CHARACTER, 2, "utf16le utf16 unicode unicodefeff ucs2 iso10646ucs2 ucs2le utf16n")    \
    C(UTF_16BE, "UTF-16BE", ICONV, CHARACTER, 2, "utf16be unicodefffe ucs2be")                                           \
    C(UTF_32LE, "UTF-32LE", ICONV, CHARACTER, 4, "utf32le utf32 ucs4le")                                                 \
    C(UTF_32BE, "UTF-32BE", ICONV, CHARACTER, 4, "utf32be iso10646ucs4 ucs4 ucs4be")
/* clang-format on */

enum charset_id {
#define C(id, iconv, method, cut, unit, labels) CS_##id,
    CHARSETS(C)
#undef C
        CS_COUNT
};
_Static_assert(CS_COUNT <= CHARSET_SLOTS, "more charsets than slots");

#endif
