"""
Why readers differ: every class of disagreement between our reading of a
message and Python's or GMime's, with its reason, in this one place.

A rule looks at one difference and at the octets, and says whether this is its
case. The first rule that says so explains the difference; one that nobody
explains fails the test, and so does a rule that explains nothing.
"""

import base64
import codecs
import quopri
import re

import grammar

TREE = "message type kind parts body text name"
HEAD = "subject date from to cc"
LISTS = "from to cc"
RULES = []


class Rule:
    def __init__(self, readers, fields, explains):
        self.readers, self.fields, self.explains = readers.split(), fields.split(), explains
        self.name, self.why = explains.__name__, " ".join(explains.__doc__.split())


def rule(readers, fields):
    def add(explains):
        RULES.append(Rule(readers, fields, explains))
        return explains
    return add


# ---- what the rules look at ----

def below(node):
    yield node
    for part in node.get("parts", []):
        yield from below(part)
    if "message" in node:
        yield from below(node["message"])


def headers(d):
    """The headers that decide: for the message's fields its own; for a part those of it, around it and in it."""
    nodes = [d.root] if d.field in HEAD.split() else [d.root, *d.path, *below(d.ours)]
    return [d.header(node) for node in nodes]


def values(header, name):
    if b"\n" not in header:
        header = header.replace(b"\r", b"\n")
    found = re.findall(rb"(?im)^" + name + rb"[ \t]*:((?:[^\r\n]|\r?\n[ \t]|\r(?!\n))*)", header)
    return [re.sub(rb"\r?\n", b"", value).strip(b" \t\r") for value in found]


def field(d):
    return values(d.header(), d.field.encode())


def stray(header, pattern):
    return any(line and not re.match(pattern, line) for line in re.split(rb"\r?\n|\r", header))


def lone_cr(octets):
    return re.search(rb"\r(?!\n)", octets)


def encoding(d):
    return (values(d.header(d.ours), b"content-transfer-encoding") or [b""])[0].lower()


# ---- lines and headers ----

@rule("gmime email", "parts")
def empty_part(d):
    """RFC2046-5.1.1: every delimiter begins a part, also when the next one or the end follows at once. They drop an empty one."""
    return any(part["header_at"][1] + part["body_at"][1] <= 2 for part in d.ours["parts"])

@rule("gmime", TREE + " " + HEAD)
def cr_ends_lines(d):
    """A message without any LF has lines that end with CR, as old Macs wrote them. GMime sees one long line."""
    return b"\n" not in d.octets and b"\r" in d.octets


@rule("email", TREE + " " + HEAD)
def cr_is_data(d):
    """A lone CR is data (RFC5322-2.3 forbids it, RFC3501 and DKIM count octets). Python ends a line there."""
    return b"\n" in d.octets and lone_cr(d.octets if d.field in TREE.split() else d.header())


@rule("gmime email", TREE + " " + HEAD)
def nul(d):
    """NUL is data. GMime's strings end there; Python's header parser takes it for a character of the field name."""
    return b"\0" in (d.octets if d.field in TREE.split() else d.header())


@rule("gmime email", TREE + " " + HEAD)
def no_header(d):
    """An entity whose first lines are no fields has no header: all of it is body. They look for fields further down, or GMime
    finds no message at all."""
    return any(header == b"" for header in headers(d))


@rule("gmime", TREE + " " + HEAD)
def stray_line(d):
    """A line that is no field is skipped, since fields go on after it. For GMime the body begins there."""
    return any(stray(header, rb"From |>From |[\x21-\x39\x3b-\x7e]+[ \t]*:|[\t ]") or re.match(rb"[ \t]|\r[^\n]", header)
               for header in headers(d))


@rule("email", TREE + " " + HEAD)
def stray_line_of_python(d):
    """The same for Python, which also takes white space before the colon (RFC5322-4.5 admits it) for no field."""
    return any(stray(header, rb"From |[\x21-\x39\x3b-\x7e]+:|[\t ]") or header[:1] in (b" ", b"\t") for header in headers(d))


@rule("gmime", "message kind type")
def cut_in_header(d):
    """A message that ends in its header, in a line that is no field: that line is its body. GMime finds no message."""
    header = d.header(d.ours)
    return header and not re.search(rb"(^|\n)\r?\n$", header)


@rule("email", "from")
def from_with_space(d):
    """RFC5322-4.5: "From :" is a field. Python takes it for an mbox line."""
    return re.search(rb"(?m)^From ", d.header())


@rule("email", "body")
def mbox_line_at_end(d):
    """An mbox line in a header is skipped. Python takes one at its end for the first line of the body."""
    return re.search(rb"(^|\n)From [^\n]*\n\r?\n$", d.header(d.ours))


@rule("gmime", "message")
def folded_mbox_line(d):
    """An mbox "From " line with a continuation is skipped with it. GMime then finds no message."""
    return re.match(rb"(From [^\n]*\n)+[ \t]", d.header())


@rule("gmime", TREE)
def second_type(d):
    """Of two Content-Type, Content-Transfer-Encoding or Content-Disposition fields the first counts, as for every other field
    (RFC5322-3.6: at most one). For GMime the last."""
    names = (b"content-type", b"content-transfer-encoding", b"content-disposition")
    return any(len(values(header, name)) > 1 for header in headers(d) for name in names)


@rule("gmime", "subject date")
def second_field(d):
    """Of two Subject or Date fields the first counts. For GMime the last."""
    return len(field(d)) > 1


# ---- the structure ----

@rule("gmime email", "type")
def no_parts(d):
    """A multipart in which no part comes is shown as text, so that what is there can be read. They keep an empty multipart."""
    return d.ours["was_multipart"] and d.theirs["type"].startswith("multipart/") and not d.theirs.get("parts")


@rule("gmime email", "type kind parts")
def guessed_boundary(d):
    """A multipart that names no boundary has that of the first line which looks like a delimiter and is followed by a content
    field, as a person would see it. They keep an empty multipart. Of several Content-Type fields the first one counts."""
    types = d.values(b"content-type", d.ours)[:1]
    return d.ours["type"].startswith("multipart/") and not d.theirs.get("parts") and \
        not any(re.search(rb'(?i)boundary(\*[0-9*]*)?\s*=\s*("[^"]|[^";\s])', value) for value in types)


@rule("gmime email", "type kind parts")
def no_type(d):
    """RFC2045-5.2: a Content-Type that names no type and subtype means text/plain. GMime says application/octet-stream, Python
    keeps what stood there."""
    return not d.ours["has_type"] and bool(d.values(b"content-type", d.ours))


@rule("email", "type")
def first_readable_type(d):
    """Of several Content-Type fields the first counts that names a type. Python stays with the first."""
    return len(values(d.header(d.ours), b"content-type")) > 1


@rule("email", "type")
def type_up_to_semicolon(d):
    """A type ends where its token ends, so a forgotten semicolon loses nothing. Python takes all before the first semicolon."""
    value = (values(d.header(d.ours), b"content-type") or [b""])[0].split(b";")[0].strip().lower()
    ours = d.ours["type"].encode()
    return value != ours and re.sub(rb"\s", b"", value).startswith(ours)


@rule("gmime email", "type kind parts")
def broken_boundary_parameter(d):
    """The boundary parameter is read although a semicolon or quote is missing, a fold is in it or something follows it."""
    value = (values(d.header(d.ours), b"content-type") or [b""])[0]
    return b"oundary" in d.header(d.ours) and (value.count(b'"') % 2 or not grammar.is_parameters(value) or re.search(rb'(?i)(^[^;]*[ \t]boundary\s*=|boundary\s*=\s*("[^"]*[\r\n]|[^"\s;]*"|"[^"]*$|[^\s;]+[\r\n]*[ \t]+[^\s;]))',
                     value + b"\n" + d.header(d.ours)))


@rule("gmime email", "type")
def octets_in_type(d):
    """A token is ASCII (RFC2045-5.1): it ends at any other octet. They go on to the semicolon."""
    return re.search(rb"[\x80-\xff]", (d.values(b"content-type", d.ours) or [b""])[0].split(b";")[0])


@rule("email", "kind")
def message_kinds(d):
    """Only message/rfc822 and message/global are read as messages inside. Python does so with every message type."""
    return "message" in d.theirs and "message" not in d.ours and d.ours["type"].startswith("message/")


@rule("gmime email", "kind")
def encoded_message(d):
    """A message/rfc822 in an encoding that RFC2046-5.2.1 forbids is one part that can be decoded and then read; with an encoding
    that changes nothing it is read as it stands. They look inside the encoded octets, or never."""
    return d.ours["type"].startswith("message/") and bool(d.values(b"content-transfer-encoding", d.ours))


@rule("gmime email", "parts kind type")
def same_boundary(d):
    """Of two multiparts inside each other with one boundary, or with one that is the other's and "--", the inner one has the
    delimiters (RFC2046-5.1.2 forbids the case). For them it is the outer one."""
    def boundary(node):
        return re.findall(rb'(?i)boundary\s*=\s*"?([^";\s]+?)(?:--)*(?=[";\s])', d.header(node))[:1]
    return any(boundary(inner) == boundary(node) != [] for node in [*d.path, d.ours] for inner in below(node) if inner is not node)


@rule("gmime email", "parts kind type body " + HEAD)
def delimiter_ends_header(d):
    """A delimiter also ends a header that lacks its empty line. They go on with the header, or with the body after it."""
    return any(header and not re.search(rb"(^|\n)\r?\n$", header) for header in headers(d))


# ---- bodies ----

@rule("email", "body")
def last_line_end(d):
    """A line end is a delimiter's only when there is one; in a part that ends with the message it is data. Python removes it."""
    ours, theirs = d.ours["body"], d.theirs.get("body")
    return theirs is not None and ours in (theirs + b"\n", theirs + b"\r\n", theirs + b"\r")


@rule("gmime", "body")
def qp_line_end(d):
    """GMime leaves the CR of a delimiter's line end at the end of a quoted-printable body."""
    return d.theirs["body"] == d.ours["body"] + b"\r"


@rule("gmime email", "body")
def prose(d):
    """Text of several words that only says it is base64 is left alone. They make octets of it."""
    return encoding(d).startswith(b"base64") and d.ours["body"] == d.body() and len(d.body().strip().splitlines()[0].split()) > 2


@rule("gmime", "body")
def mixed_line_ends(d):
    """The line end before a delimiter is LF here and CRLF elsewhere. GMime then takes two octets away."""
    at, size = d.ours["body_at"]
    return d.theirs["body"] == d.ours["body"][:-1] and d.octets[at + size:at + size + 3] == b"\n--" and b"\r\n" in d.octets


@rule("email gmime", "body")
def space_after_soft_break(d):
    """RFC2045-6.7 (3): white space at the end of a line is none, also of a line that holds nothing else."""
    return encoding(d).startswith(b"quoted") and re.search(rb"(?m)=[ \t]*\r?\n[ \t]+\r?$|[ \t]+\r?$", d.body())


@rule("gmime email", "body")
def after_padding(d):
    """Base64 that goes on after its padding was glued together from pieces. They stop at the padding."""
    return encoding(d).startswith(b"base64") and re.search(rb"=[\s=]*[A-Za-z0-9+/]", d.body()) and \
        d.ours["body"].startswith(d.theirs.get("body", b"-"))


@rule("gmime email", "body")
def uuencode(d):
    """uuencode is no encoding of MIME: the body stays as it is. They decode it."""
    return re.search(rb"uue", encoding(d))


@rule("gmime", "body")
def cut_base64(d):
    """Of a group of base64 that was cut, the octets that are whole are kept. GMime drops them."""
    ours, theirs = d.ours["body"], d.theirs["body"]
    return encoding(d).startswith(b"base64") and ours.startswith(theirs) and len(ours) - len(theirs) <= 2


@rule("email", "body")
def broken_base64(d):
    """Octets outside the alphabet are skipped and lost ones are no matter (RFC2045-6.8). Python then decodes nothing."""
    return encoding(d).startswith(b"base64") and (len(re.sub(rb"[^A-Za-z0-9+/]", b"", d.body())) % 4 != 0 or
                                                  b"=" in d.body().strip().rstrip(b"= \r\n\t"))


@rule("gmime email", "body")
def sloppy_encoding(d):
    """"quoted-printable;" and "base64 " mean what they say. They know no such encoding."""
    return re.fullmatch(rb"(base64|quoted[ -]printable)[\s;].*|quoted[^a-z-]printable", encoding(d), re.S) or \
        re.search(rb"(?im)^content-transfer-encoding:([^\r\n]*[ \t;]\r?$|[ \t]*\r?\n)", d.header(d.ours))


@rule("gmime", "body")
def soft_break_before_cr(d):
    """Before a lone CR too, "=" is a soft line break: that is how lines end where there is no LF. GMime keeps it."""
    return encoding(d).startswith(b"quoted") and re.search(rb"=[ \t]*\r(?!\n)", d.body())


@rule("email gmime", "body")
def lone_equals(d):
    """In quoted-printable an "=" that encodes nothing is text, and one at the end of a line is none (RFC2045-6.7). They keep
    both of two, make one of them, or drop one that was cut off at the end."""
    return encoding(d).startswith(b"quoted") and re.search(rb"=([^0-9A-Fa-f\r\n]|[0-9A-Fa-f]([^0-9A-Fa-f]|$)|$)", d.body())


# ---- text and names ----

@rule("email", "text")
def latin_1_is_windows_1252(d):
    """Mail that says ISO-8859-1 or US-ASCII and uses 0x80 to 0x9f means windows-1252, as browsers read it. Python gives controls."""
    return re.search(rb"(?i)charset\s*=\s*\"?(iso-8859-1|us-ascii|latin1)", d.header(d.ours)) and \
        re.search(rb"[\x80-\x9f]", d.ours["body"])


@rule("email", "text")
def utf_8_under_another_label(d):
    """Text that is valid UTF-8 with letters beyond ASCII is UTF-8, though it says ISO-8859-1 or windows-1252. Python believes the
    label."""
    return utf8(d.ours["body"]) and d.ours["body"].decode("utf-8") == d.ours["text"]


@rule("email", "text")
def escapes_without_label(d):
    """The escapes of ISO-2022 say what they are, whatever the label. Python leaves them in the text."""
    return re.search(rb"\x1b[$(]", d.ours["body"])


@rule("email", "text")
def beyond_big5(d):
    """Big5 has no single table: characters of its extensions differ between C libraries and Python."""
    return re.search(rb"(?i)charset\s*=\s*\"?big5", d.header(d.ours))


@rule("email", "name")
def name_in_octets(d):
    """A file name in UTF-8 without any encoding is read as it is. Python puts a replacement character for each octet."""
    return re.search(rb"[\x80-\xff]", d.header(d.ours))


@rule("gmime email", "name text")
def broken_parameters(d):
    """A parameter list that RFC2045-5.1 does not admit: everyone guesses. We go on at the next semicolon or "name="."""
    return any(not grammar.is_parameters(value) for name in (b"content-type", b"content-disposition")
               for value in values(d.header(d.ours), name)[:1])


# ---- subject ----


@rule("gmime email", "subject " + LISTS)
def word_in_a_word(d):
    """RFC2047-5 (1): an encoded word stands between white space. They find it anywhere."""
    return any(re.search(rb"[^\s\"(]=\?[^?\s]+\?[qQbB]\?|\?[qQbB]\?[^?\s]*\?=[^\s\")]", value) for value in field(d))


@rule("gmime", "subject " + LISTS)
def word_of_unknown_charset(d):
    """A word in an unknown charset is not decoded (RFC8621-4.1.2.2). GMime guesses."""
    return any(not known(charset) for value in field(d) for charset, _, _ in grammar.words(value))


@rule("gmime email", "name subject " + LISTS)
def broken_base64_word(d):
    """Octets outside the alphabet are skipped in words as in bodies. Python refuses the header, GMime keeps other octets."""
    texts = [d.header(d.ours)] if d.field == "name" else field(d)
    return any(kind in b"bB" and re.search(rb"[^A-Za-z0-9+/=]|=.", text) for value in texts
               for _, kind, text in grammar.words(value))


@rule("gmime email", "subject " + LISTS)
def no_word(d):
    """What is no encoded word of RFC2047-2, with white space or other octets inside, is text. They decode some of it."""
    plain = [re.sub(rb"=\?[A-Za-z0-9_-]+(\*[A-Za-z-]+)?\?[qQbB]\?[!->@-~]*\?=", b"", value) for value in field(d)]
    return any(b"=?" in value for value in plain)


@rule("gmime email", "name subject " + LISTS)
def octets_guessed(d):
    """Octets in no charset are guessed: UTF-8, also with an octet that is broken, else windows-1252. GMime takes ISO-8859-1, and
    drops an address; Python does not guess."""
    return not utf8(d.header(d.ours) if d.field == "name" else b"".join(field(d)))


@rule("gmime email", "subject " + LISTS)
def word_that_is_no_utf_8(d):
    """A word that says UTF-8 and is none is guessed, like other text. They replace its octets."""
    return any(charset.lower() in (b"utf-8", b"utf8") and not utf8(in_word(kind, text)) for value in field(d)
               for charset, kind, text in grammar.words(value))


def in_word(kind, text):
    if kind in b"qQ":
        return quopri.decodestring(text, header=True)
    return base64.b64decode(text + b"=" * (-len(text) % 4))


@rule("gmime", "subject " + LISTS)
def question_marks(d):
    """What a charset does not have becomes U+FFFD. GMime puts a question mark."""
    return str(d.ours).replace("\ufffd", "?") == str(d.theirs)


def utf8(octets):
    try:
        return bool(octets.decode("utf-8")) or True
    except UnicodeDecodeError:
        return False


@rule("email", "subject " + LISTS)
def unknown_charset_in_word(d):
    """A word in an unknown charset is guessed, and the language of RFC2231-5 is skipped. Python refuses both."""
    return any(b"*" in charset or not known(charset) for value in field(d) for charset, _, _ in grammar.words(value))


def known(charset):
    try:
        return bool(codecs.lookup(charset.decode("ascii", "replace")))
    except (LookupError, ValueError):
        return False


@rule("gmime", "subject " + LISTS)
def base64_words(d):
    """Base64 words are decoded one by one, and unpadded ones as far as they go. GMime joins them first and stops at the first
    padding."""
    words = [text for value in field(d) for _, kind, text in grammar.words(value) if kind in b"bB"]
    return any(len(text) % 4 != 0 for text in words) or any(b"=" in text for text in words[:-1])


# ---- dates ----

@rule("gmime email", "date")
def no_date_of_rfc5322(d):
    """No date that RFC5322-3.3 or RFC5322-4.3 knows. We read what a person would, an impossible time as midnight (RFC5256-2.2),
    an impossible day as no date; Python counts 32 February on, GMime gives up on some."""
    return any(not grammar.is_date(value) for value in field(d)[:1])


@rule("gmime email", "date")
def space_in_time(d):
    """RFC5322-4.3: white space and comments may stand around the colons of a time. They do not expect it."""
    return re.search(rb"\d\s+:|:\s+\d", (field(d) or [b""])[0])


# ---- addresses ----

def pairs(d):
    return d.theirs if isinstance(d.theirs, list) else []


@rule("email", LISTS)
def empty_pairs(d):
    """An empty group and an empty list element hold no address. Python gives an empty pair for each."""
    return [pair for pair in pairs(d) if pair != [None, ""]] == d.ours


@rule("email gmime", LISTS)
def comments_in_names(d):
    """A comment is no part of the display name (RFC5322-3.2.2). They append it."""
    return any(b"(" in value for value in field(d)) and [a for _, a in pairs(d)] == [a for _, a in d.ours]


@rule("email", LISTS)
def source_routes(d):
    """RFC5322-4.4: a route "<@a,@b:c@d>" is skipped. Python reads its domains as addresses."""
    return any(re.search(rb"<\s*@[^>]*,", value) for value in field(d))


@rule("gmime email", LISTS)
def no_address_list(d):
    """No address list that RFC5322-3.4 or RFC5322-4.4 knows: everyone guesses. We take two addresses without a comma for two, a
    name without angle brackets for a name, a semicolon for a comma, and keep what is left as an address without host."""
    return any(not grammar.is_address_list(value) for value in field(d))
