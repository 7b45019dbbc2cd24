"""Messages made from the corpus: a seeded generator that changes some of them the way broken programs do."""

import random
import re

CHARSETS = [b"utf-8", b"iso-8859-1", b"windows-1252", b"us-ascii", b"koi8-r", b"gb18030", b"iso-2022-jp", b"x-unknown", b"",
            b"utf-7", b"big5", b"shift_jis", b'"utf-8']
ENCODINGS = [b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable", b"x-unknown", b"", b"BASE64 ", b"quoted-printable;"]
DATES = [b"Tue, 1 Jul 2003 10:52:37 +0200", b"1 Jul 03 10:52 EST", b"Thu, 32 Feb 2026 25:61:00 +9999", b"2026-11-25T00:28:05Z",
         b"Tue Jul  1 10:52:37 2003", b"Tue, 1 Jul 2003 10:52:37 (a comment) GMT", b""]
ADDRESSES = [b'"A, B" <a@example.org>', b"a@example.org, b@example.org", b"team: a@example.org, b@example.org;", b"<>", b"a@b@c",
             b"=?utf-8?q?J=C3=B6rg?= <j@example.org>", b"undisclosed-recipients:;", b"a (Ann) <a@example.org>", b"<@r,@s:a@example.org>",
             b'"\\"q\\"" <"q q"@example.org>', b"Ann a@example.org", b"a@example.org;b@example.org", b"j\xc3\xb6rg@example.org"]
SUBJECTS = [b"=?utf-8?q?caf=C3=A9?= =?utf-8?b?w6k=?=", b"=?iso-8859-1?q?a=E9b?=c", b"plain", b"=?utf-8?q?broken", b"caf\xc3\xa9",
            b"=?x-unknown?q?a?=", b"=?utf-8?b?w6k?=", b"=?utf-8?q?a b?=", b"caf\xe9", b"=?utf-8*en?q?x?="]


def lines_of(octets):
    return re.findall(rb"[^\n]*\n|[^\n]+", octets)


def boundaries(octets):
    return re.findall(rb'boundary\s*=\s*"?([^"\r\n;]+)', octets, re.I)


def span(rng, n):
    a = rng.randrange(n + 1)
    return a, min(n, a + 1 + int(rng.expovariate(1 / 5)))


def cut_lines(rng, octets):
    lines = lines_of(octets)
    a, b = span(rng, len(lines))
    return b"".join(lines[:a] + lines[b:])


def repeat_lines(rng, octets):
    lines = lines_of(octets)
    a, b = span(rng, len(lines))
    return b"".join(lines[:b] + lines[a:])


def swap_lines(rng, octets):
    lines = lines_of(octets)
    if len(lines) < 2:
        return octets
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"".join(lines)


def cut_end(rng, octets):
    return octets[:rng.randrange(len(octets) + 1)]


def delimiter(rng, octets):
    """One delimiter line: removed, doubled, closed, opened, with something behind it, or moved into the middle of a line."""
    found = boundaries(octets)
    lines = lines_of(octets)
    at = [i for i, line in enumerate(lines) if any(line.startswith(b"--" + b) for b in found)]
    if not at:
        return cut_lines(rng, octets)
    i = rng.choice(at)
    line = lines[i].rstrip(b"\r\n")
    end = lines[i][len(line):]
    lines[i] = rng.choice([b"", lines[i] * 2, line + b"--" + end, line.removesuffix(b"--") + end, line + b"x" + end,
                           line + b" \t" + end, b" " + lines[i], line[1:] + end, line[:-1] + end, line])
    return b"".join(lines)


def boundary_parameter(rng, octets):
    return re.sub(rb'(boundary\s*=\s*)("[^"\r\n]*"|[^;\r\n\s]*)', lambda m: rng.choice(
        [b"", m[1], m[1] + b'""', m[1] + b'"other"', m[1] + m[2].strip(b'"'), m[1] + b'"' + m[2].strip(b'"'),
         m[0] + b"; boundary=second"]), octets, count=rng.choice([0, 1]), flags=re.I)


def header_of(octets):
    found = re.search(rb"\r?\n\r?\n", octets)
    return found.start() if found else len(octets)


def header_edit(rng, octets):
    """One line of the header, or one field's value, becomes another."""
    end = header_of(octets)
    lines = lines_of(octets[:end])
    if not lines:
        return octets
    i = rng.randrange(len(lines))
    eol = b"\r\n" if b"\r\n" in octets else b"\n"
    lines[i] = rng.choice([lines[i].replace(b":", b"", 1), lines[i].replace(b":", b" :", 1), lines[i] + b" folded" + eol,
                           lines[i].replace(b" ", eol + b" ", 1), b"no field here" + eol + lines[i], b" " + lines[i],
                           b"From someone Tue Jul  1 10:52:37 2003" + eol + lines[i], b"X-Empty:" + eol + lines[i],
                           lines[i].replace(b'"', b"", 1), lines[i].replace(b";", b"", 1), lines[i].replace(b">", b"", 1)])
    return b"".join(lines) + octets[end:]


def field(rng, octets):
    name, pool = rng.choice([(b"Date", DATES), (b"From", ADDRESSES), (b"To", ADDRESSES), (b"Cc", ADDRESSES),
                             (b"Subject", SUBJECTS)])
    eol = b"\r\n" if b"\r\n" in octets else b"\n"
    line = name + b": " + rng.choice(pool)
    changed, count = re.subn(rb"(?im)^" + name + rb":[^\r\n]*(\r?\n[ \t][^\r\n]*)*", lambda m: line, octets, count=1)
    return changed if count else line + eol + octets


def flip(rng, octets):
    out = bytearray(octets)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if out:
            out[rng.randrange(len(out))] = rng.choice([0, 9, 10, 13, 32, 34, 45, 58, 59, 61, 0x80, 0xe9, 0xff, rng.randrange(256)])
    return bytes(out)


def encoding(rng, octets):
    changed, count = re.subn(rb"(?i)(content-transfer-encoding:[ \t]*)[^\r\n]*", lambda m: m[1] + rng.choice(ENCODINGS), octets,
                             count=rng.choice([1, 1, 2]))
    return changed if count else b"Content-Transfer-Encoding: " + rng.choice(ENCODINGS) + b"\r\n" + octets


def charset(rng, octets):
    changed, count = re.subn(rb'(?i)(charset\s*=\s*)("[^"\r\n]*"|[^;\r\n\s]*)', lambda m: m[1] + rng.choice(CHARSETS), octets, count=1)
    return changed if count else b"Content-Type: text/plain; charset=" + rng.choice(CHARSETS) + b"\r\n" + octets


def line_ends(rng, octets):
    lf = octets.replace(b"\r\n", b"\n")
    return rng.choice([lf, lf.replace(b"\n", b"\r\n"), lf.replace(b"\n", b"\r"), lf.replace(b"\n", b"\r\n", 7)])


def nest(rng, octets):
    """The message inside another one, as a part or as an attached message."""
    b = b"nest%d" % rng.randrange(3)
    typed = rng.choice([b"Content-Type: message/rfc822\n\n" + octets, octets, b"\n" + octets,
                        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + octets])
    return (b"Subject: nested\nContent-Type: multipart/" + rng.choice([b"mixed", b"digest", b"alternative"]) + b"; boundary=" + b +
            b"\n\n--" + b + b"\n" + typed + rng.choice([b"", b"\n"]) + b"\n--" + b + b"\n\nlast\n--" + b + b"--\n")


def splice(rng, octets, other):
    """The beginning of one message and the end of another."""
    a, b = lines_of(octets), lines_of(other)
    return b"".join(a[:rng.randrange(len(a) + 1)] + b[rng.randrange(len(b) + 1):])


MUTATIONS = [cut_lines, repeat_lines, swap_lines, cut_end, delimiter, delimiter, boundary_parameter, header_edit, header_edit, field,
             field, flip, flip, encoding, charset, line_ends, nest]
SIZE_MAX = 64 * 1024  # octets of a message that is made; what takes longer proves no more


def generate(corpus, count, seed):
    """count messages; the same for the same corpus and seed."""
    rng = random.Random(seed)
    small = [octets for octets in corpus if len(octets) <= SIZE_MAX]
    for _ in range(count):
        octets = rng.choice(small)
        for _ in range(rng.choice([1, 1, 2, 3])):
            if rng.random() < 0.05:
                octets = splice(rng, octets, rng.choice(small))
            else:
                octets = rng.choice(MUTATIONS)(rng, octets)
        yield octets[:2 * SIZE_MAX]
