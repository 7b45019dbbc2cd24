"""What RFC 5322 admits: a strict reader of address lists and dates, so that rules can say "this is no valid field"."""

import re

ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]+"
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|' + ATEXT + rb"|\[[^\[\]\\]*\]|[.@<>,:;]", re.S)


def without_comments(value):
    """None when a comment is not closed."""
    out, depth, i = bytearray(), 0, 0
    in_quotes = False
    while i < len(value):
        c = value[i:i + 1]
        if c == b"\\" and (depth or in_quotes):
            if not depth:
                out += value[i:i + 2]
            i += 2
            continue
        if c == b'"' and not depth:
            in_quotes = not in_quotes
        if c == b"(" and not in_quotes:
            depth += 1
            out += b" "
        elif c == b")" and depth and not in_quotes:
            depth -= 1
        elif not depth:
            out += c
        i += 1
    return None if depth or in_quotes else bytes(out)


class Tokens:
    def __init__(self, value):
        self.list, at, self.ok = [], 0, True
        value = value.strip(b" \t")
        while at < len(value):
            found = TOKEN.match(value, at)
            if not found:
                self.ok = False
                return
            self.list.append(found[0])
            at = found.end()
            while at < len(value) and value[at:at + 1] in b" \t":
                at += 1
        self.at = 0

    def peek(self):
        return self.list[self.at] if self.at < len(self.list) else b""

    def take(self, *wanted):
        if self.peek() in wanted and self.peek():
            self.at += 1
            return True
        return False

    def word(self):
        if self.peek()[:1] not in (b"", b".", b"@", b"<", b">", b",", b":", b";", b"["):
            self.at += 1
            return True
        return False

    def dotted(self):
        if not self.word():
            return False
        while self.take(b"."):
            if not self.word():
                return False
        return True

    def domain(self):
        if self.peek()[:1] == b"[":
            self.at += 1
            return True
        return self.dotted()

    def addr_spec(self):
        return self.dotted() and self.take(b"@") and self.domain()

    def angle(self):
        if not self.take(b"<"):
            return False
        if self.peek() in (b"@", b","):  # RFC5322-4.4: obs-route
            while self.take(b","):
                pass
            while self.take(b"@"):
                if not self.domain():
                    return False
                while self.take(b","):
                    pass
            if not self.take(b":"):
                return False
        return self.addr_spec() and self.take(b">")

    def mailbox(self, group_too):
        """A mailbox, or a whole group."""
        start = self.at
        if self.addr_spec():
            return True
        self.at = start
        if self.word():
            while self.word() or self.take(b"."):
                pass
            if group_too and self.take(b":"):
                while not self.take(b";"):
                    if self.take(b","):
                        continue
                    if not self.mailbox(False) or self.peek() not in (b",", b";"):
                        return False
                return True
        return self.angle()

    def addresses(self):
        while self.at < len(self.list):
            if self.take(b","):
                continue
            if not self.mailbox(True) or self.peek() not in (b"", b","):
                return False
        return True


def is_address_list(value):
    """RFC5322-3.4 with all of RFC5322-4.4."""
    plain = without_comments(value)
    if plain is None or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", plain):
        return False
    tokens = Tokens(plain)
    return tokens.ok and tokens.addresses()


DATE = re.compile(rb"[ \t]*(?:(?:mon|tue|wed|thu|fri|sat|sun)[ \t]*,)?[ \t]*(\d{1,2})[ \t]+(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[ \t]+"
                  rb"(?:\d{4}|\d\d)[ \t]+(\d\d)[ \t]*:[ \t]*(\d\d)[ \t]*(?::[ \t]*(\d\d))?[ \t]+"
                  rb"([+-]\d\d[0-5]\d|ut|gmt|est|edt|cst|cdt|mst|mdt|pst|pdt|[a-ik-z])[ \t]*", re.I)


def is_date(value):
    """RFC5322-3.3 with all of RFC5322-4.3."""
    plain = without_comments(value)
    found = plain is not None and DATE.fullmatch(plain)
    return bool(found) and 1 <= int(found[1]) <= 31 and int(found[2]) < 24 and int(found[3]) < 60 and int(found[4] or 0) <= 60


def words(value):
    """(charset, encoding, text) of each encoded word of RFC2047-2."""
    return re.findall(rb"=\?([^?\s]+)\?([qQbB])\?([^?]*)\?=", value)


def is_parameters(value):
    """RFC2045-5.1 and RFC2183-2: a type or disposition, then parameters."""
    plain = without_comments(value)
    token = rb"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+"
    return plain is not None and bool(re.fullmatch(
        rb"\s*" + token + rb"(\s*/\s*" + token + rb")?(\s*;\s*" + token + rb'\s*=\s*(' + token + rb'|"([^"\\]|\\.)*"))*\s*;?\s*',
        plain, re.S))
