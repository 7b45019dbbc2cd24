#!/usr/bin/python3
"""Writes html_entities.c: the named character references of HTML, from Python's own list of them.

    python3 src/message/html_entities.py > src/message/html_entities.c
"""
from html.entities import html5

HEAD = '''/* The named character references of HTML. Made by html_entities.py: change that, not this. */
#include "message/html_token.h"

#include <string.h>

// clang-format off
'''

TAIL = '''// clang-format on

static size_t name_length(size_t i) {
    return (size_t)(starts[i + 1] - starts[i]);
}

/* The number of the name, or -1. */
static ssize_t find(struct view name) {
    size_t low = 0, high = HTML_NAMES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = view_cmp(name, view_of(names + starts[middle], name_length(middle)));
        if (order == 0)
            return (ssize_t)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

static void set_value(size_t i, uint32_t cp[2]) {
    cp[0] = values[i] & 0x1fffff;
    cp[1] = seconds[values[i] >> 24];
}

size_t html_named_reference(struct view text, bool in_attribute, uint32_t cp[2]) {
    size_t n = 0;
    while (n < text.n && n < HTML_NAME_MAX && ascii_is_alnum(text.p[n]))
        n++;
    if (n < text.n && text.p[n] == ';') {
        ssize_t i = find(view_sub(text, 0, n));
        if (i >= 0) {
            set_value((size_t)i, cp);
            return n + 1;
        }
    }
    /* The old names also count without their semicolon, the longest first; in an attribute not when a word goes on, which
     * would break many a URL. */
    for (size_t k = MIN(n, (size_t)HTML_OLD_NAME_MAX); k >= 2; k--) {
        ssize_t i = find(view_sub(text, 0, k));
        if (i < 0 || !(values[i] & OLD_NAME))
            continue;
        if (in_attribute && k < text.n && (text.p[k] == '=' || ascii_is_alnum(text.p[k])))
            return 0;
        set_value((size_t)i, cp);
        return k;
    }
    return 0;
}
'''


def wrap(items, separator, width=116):
    lines, line = [], ''
    for item in items:
        if len(line) + len(item) + len(separator) > width:
            lines.append(line.rstrip())
            line = ''
        line += item + separator
    lines.append(line.rstrip())
    return ['    ' + line for line in lines]


def main():
    names = sorted(name[:-1] for name in html5 if name.endswith(';'))
    old = {name for name in html5 if not name.endswith(';')}
    assert old <= set(names) and all(name.isalnum() and name.isascii() for name in names)
    assert len(html5) == len(names) + len(old) == 2231
    seconds, values, starts, at = [0], [], [], 0
    for name in names:
        text = html5[name + ';']
        assert 1 <= len(text) <= 2
        second = ord(text[1]) if len(text) == 2 else 0
        if second not in seconds:
            seconds.append(second)
        assert name not in old or html5[name] == text
        values.append(ord(text[0]) | (0x800000 if name in old else 0) | seconds.index(second) << 24)
        starts.append(at)
        at += len(name)
    assert at < 65536 and len(seconds) < 256
    out = [HEAD.rstrip(), '#define HTML_NAMES %d' % len(names), '#define HTML_NAME_MAX %d' % max(map(len, names)),
           '#define HTML_OLD_NAME_MAX %d' % max(map(len, old)),
           '#define OLD_NAME 0x800000 /* also known without a semicolon */', '',
           '/* All names in octet order, one after the other. */', 'static const char names[] =']
    blob = ''.join(names)
    out += ['    "%s"' % blob[i:i + 110] for i in range(0, len(blob), 110)]
    out[-1] += ';'
    out += ['', '/* Where each begins. */', 'static const uint16_t starts[HTML_NAMES + 1] = {']
    out += wrap([str(i) for i in starts + [at]], ',')
    out += ['};', '', '/* The second character of the few that have one. */', 'static const uint16_t seconds[] = {']
    out += wrap(['0x%x' % i for i in seconds], ', ')
    out += ['};', '', '/* The first character, OLD_NAME, and the number of the second one from bit 24 on. */',
            'static const uint32_t values[HTML_NAMES] = {']
    out += wrap(['0x%x' % i for i in values], ',')
    out += ['};', TAIL.rstrip()]
    print('\n'.join(out))


main()
