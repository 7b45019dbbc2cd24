#!/usr/bin/python3
"""Writes charset_test_data.h: sentences in many charsets, encoded by Python's own codecs.

    python3 src/message/charset_test_data.py > src/message/charset_test_data.h
"""
LATIN = 'Où est l’été ? Ça coûte 20 €, señor Müller.'
LATIN1 = "Où est l'été ? Ça coûte 20 £, señor Müller."
LATIN2 = 'Zażółć gęślą jaźń. Příliš žluťoučký kůň.'
CYRILLIC = 'Съешь же ещё этих мягких французских булок.'
GREEK = 'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.'
HEBREW = 'דג סקרן שט בים מאוכזב ולפתע מצא חברה.'
ARABIC = 'صف خلق خود كمثل الشمس إذ بزغت.'
THAI = 'เป็นมนุษย์สุดประเสริฐเลิศคุณค่า'
JAPANESE = 'いろはにほへと、日本語のテキスト。ＡＢＣ 123'
JAPANESE_MS = '㈱日立①〜⑳ ｱｲｳ 髙橋'.replace('〜', '～')
KOREAN = '키스의 고유조건은 입술끼리 만나야 한다.'
KOREAN_MS = '똠방각하 펲시콜라'
CHINESE = '我能吞下玻璃而不伤身体。'
CHINESE_GBK = '朱镕基與國語——€'
TRADITIONAL = '視野無限廣，窗外有藍天。'
ALL = 'Ünï–çødé € Ж 日本 😀 \U00020BB7'

SENTENCES = [
    ('utf-8', 'utf-8', ALL), ('Unicode-1-1-UTF-8', 'utf-8', LATIN2), ('iso-8859-1', 'latin-1', LATIN1),
    ('windows-1252', 'cp1252', LATIN), ('ISO_8859-1:1987', 'latin-1', LATIN1), ('iso-8859-2', 'iso8859-2', LATIN2),
    ('latin3', 'iso8859-3', 'Laŭ Ludoviko Zamenhof bongustas freŝa ĉeĥa manĝaĵo.'),
    ('iso-8859-4', 'iso8859-4', 'Ķķģīļņšž Ålåtūū'), ('iso-8859-5', 'iso8859-5', CYRILLIC),
    ('iso-8859-6', 'iso8859-6', ARABIC), ('iso-8859-7', 'iso8859-7', GREEK), ('iso-8859-8-i', 'iso8859-8', HEBREW),
    ('iso-8859-8', 'iso8859-8', HEBREW), ('iso-8859-9', 'iso8859-9', 'Pijamalı hasta, yağız şoföre çabucak güvendi.'),
    ('iso-8859-10', 'iso8859-10', 'Ðęņģųš Þōrš'), ('iso-8859-11', 'iso8859-11', THAI),
    ('iso-8859-13', 'iso8859-13', 'Įlinkdama fechtuotojo špaga sublykčiojusi.'),
    ('iso-8859-14', 'iso8859-14', 'Ḋ’fhuascail Íosa Ŵŷ'.replace('’', "'")), ('iso-8859-15', 'iso8859-15', 'Cœur naïf, Ÿ, 20 €'),
    ('iso-8859-16', 'iso8859-16', 'Țară și „oraș” ășîâ €'), ('windows-1250', 'cp1250', LATIN2),
    ('windows-1251', 'cp1251', CYRILLIC), ('x-cp1251', 'cp1251', CYRILLIC), ('windows-1253', 'cp1253', GREEK),
    ('windows-1254', 'cp1254', 'Pijamalı hasta, yağız şoföre – €'), ('windows-1255', 'cp1255', HEBREW),
    ('windows-1256', 'cp1256', ARABIC), ('windows-1257', 'cp1257', 'Įlinkdama „fechtuotojo“ špaga €'),
    ('windows-874', 'cp874', THAI), ('tis-620', 'tis_620', THAI), ('koi8-r', 'koi8-r', CYRILLIC),
    ('koi8-u', 'koi8-u', 'Ґава їсть жука, є'), ('koi8-t', 'koi8-t', 'Ғалаён Ҷаҳон Қанд'), ('cp437', 'cp437', 'Çà ê½ ╔═╗ π'),
    ('ibm850', 'cp850', 'Ünï ½ Ñ ╔═╗'), ('cp852', 'cp852', LATIN2), ('ibm855', 'cp855', CYRILLIC), ('cp858', 'cp858', '20 € Ñ'),
    ('ibm862', 'cp862', HEBREW), ('cp866', 'cp866', CYRILLIC), ('macintosh', 'mac_roman', LATIN.replace('€', '∞')),
    ('x-mac-cyrillic', 'mac_cyrillic', CYRILLIC), ('ptcp154', 'ptcp154', 'Қазақстан Ғ ң'), ('kz-1048', 'kz1048', 'Қазақстан ң'),
    ('iso-2022-jp', 'iso2022_jp', JAPANESE), ('ISO-2022-JP-2', 'iso2022_jp_2', 'é 日本 한국 中国 丂'),
    ('csISO2022JP', 'iso2022_jp', JAPANESE), ('iso-2022-jp-1', 'iso2022_jp_1', '日本 丂'),
    ('shift_jis', 'shift_jis', JAPANESE), ('x-sjis', 'cp932', JAPANESE_MS), ('Windows-31J', 'cp932', JAPANESE_MS),
    ('euc-jp', 'euc_jp', JAPANESE), ('euc-jp', 'euc_jp', 'ｱｲｳ 丂 日本'), ('iso-2022-kr', 'iso2022_kr', KOREAN),
    ('euc-kr', 'euc_kr', KOREAN), ('ks_c_5601-1987', 'cp949', KOREAN_MS), ('johab', 'johab', KOREAN),
    ('gb2312', 'gb2312', CHINESE), ('gb2312', 'gbk', CHINESE_GBK.replace('€', '')), ('gbk', 'gb18030', CHINESE_GBK),
    ('gb18030', 'gb18030', ALL), ('hz-gb-2312', 'hz', CHINESE), ('big5', 'big5', TRADITIONAL), ('big5-hkscs', 'big5hkscs', '視野 啫喱 嘅'),
    ('utf-7', 'utf-7', 'Ünï–çødé + € 日本 😀 a-b'), ('utf-16', 'utf-16', ALL), ('utf-16le', 'utf-16-le', ALL),
    ('utf-16be', 'utf-16-be', ALL), ('utf-32le', 'utf-32-le', ALL), ('utf-32be', 'utf-32-be', ALL),
    # guesses
    ('', 'utf-8', ALL), ('', 'cp1252', LATIN), ('us-ascii', 'utf-8', LATIN2), ('us-ascii', 'cp1252', LATIN), ('x-unknown', 'utf-8', GREEK),
    ('unknown-8bit', 'cp1252', LATIN), ('iso-8859-1', 'utf-8', JAPANESE), ('windows-1252', 'utf-8', CYRILLIC), ('utf-8', 'cp1252', LATIN),
    ('', 'iso2022_jp', JAPANESE), ('us-ascii', 'iso2022_kr', KOREAN), ('utf-8', 'iso2022_jp', JAPANESE), ('', 'utf-16', ALL),
    ('koi8-r', 'utf-8-sig', CYRILLIC), ('iso-8859-1', 'utf-8-sig', LATIN2), ('iso-2022-cn', 'iso2022_kr', '中國'),
]


def literal(data):
    return '"' + ''.join('\\%03o' % b if b < 32 or b > 126 or chr(b) in '"\\?' else chr(b) for b in data) + '"'


def main():
    print('/* Sentences in many charsets. Made by charset_test_data.py: change that, not this. */')
    print('#ifndef MESSAGE_CHARSET_TEST_DATA_H\n#define MESSAGE_CHARSET_TEST_DATA_H\n\n#include "base/view.h"\n')
    print('// clang-format off\nstatic const struct {\n    const char *label;\n    struct view octets;\n    const char *text; /* UTF-8 */\n} sentences[] = {')
    for label, codec, text in SENTENCES:
        print('    {"%s", VIEW_INIT(%s),\n     %s},' % (label, literal(text.encode(codec)), literal(text.encode('utf-8-sig' if codec == 'utf-8-sig' else 'utf-8'))))
    print('};\n// clang-format on\n\n#endif')


main()
