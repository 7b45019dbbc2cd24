"""Every message of the conformance corpus comes back octet for octet.

Over SMTP when RFC 5321 lets it travel there unchanged, else over IMAP APPEND. No file is
changed on its way: what differs afterwards are the trace fields in front of it.
"""

import pathlib
import re

import pytest

from house import USER, message

# Beside the source tree, or around the folder of source trees.
PLACES = [folder / "shared/conformance/mime" for folder in pathlib.Path(__file__).resolve().parents[2:5]]
CORPUS = next((place for place in PLACES if place.is_dir()), None)
TRACE = re.compile(rb"(?:(?:Return-Path|Delivered-To|Received):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+")
# RFC 5321, 4.5.3.1.6, without the CRLF.
LINE_MAX = 998


@pytest.fixture(scope="module")
def files():
    if CORPUS is None:
        pytest.skip("the conformance data lies beside the source tree and is not there")
    found = sorted(path for path in CORPUS.rglob("*") if path.suffix in (".eml", ".raw"))
    assert len(found) > 100
    return {str(path.relative_to(CORPUS)): path.read_bytes() for path in found}


def may_go_over_smtp(raw):
    """RFC 5321, 2.3.8 and 4.5.3.1.6: lines end with CRLF, CR and LF occur only there, no NUL."""
    if not raw.endswith(b"\r\n") or b"\0" in raw:
        return False
    lines = raw[:-2].split(b"\r\n")
    return all(len(line) <= LINE_MAX and b"\r" not in line and b"\n" not in line for line in lines)


def over_smtp(client, raw):
    """One transaction with 8BITMIME; smtplib would mend line ends, so the octets are ours."""
    assert client.mail("sender@example.org", ["BODY=8BITMIME"])[0] == 250
    assert client.rcpt(USER)[0] == 250
    assert client.docmd("DATA")[0] == 354
    client.send(re.sub(rb"(?m)^\.", b"..", raw) + b".\r\n")
    return client.getreply()


def append(wire, mailbox, raw):
    wire.send(b"a APPEND %s {%d}\r\n" % (mailbox, len(raw)))
    assert wire.line().startswith(b"+")
    wire.send(raw + b"\r\n")
    return wire.until_tag(b"a")[-1]


def login(house):
    wire = house.wire("imaps")
    assert wire.line().startswith(b"* OK")
    assert wire.imap(b"l", b"LOGIN user@localhost veredus")[-1].startswith(b"l OK")
    return wire


def body_of(wire, number):
    lines = wire.imap(b"f", b"FETCH %d BODY.PEEK[]" % number)
    assert lines[-1].startswith(b"f OK"), lines[-1]
    assert lines[0].startswith(b"* %d FETCH (BODY[] {" % number), lines[0]
    return lines[1]


def check_parsers(wire, count):
    """Every item that parses the message has an answer, whatever the message."""
    for number in range(1, count + 1):
        lines = wire.imap(b"p", b"FETCH %d (ENVELOPE BODYSTRUCTURE BODY RFC822.SIZE INTERNALDATE BODY.PEEK[1] "
                                b"BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1.MIME])" % number)
        assert lines[-1].startswith(b"p OK"), (number, lines[-1])
        answer = b"\n".join(lines)
        for item in (b"ENVELOPE (", b"BODYSTRUCTURE (", b"BODY (", b"RFC822.SIZE ", b"BODY[HEADER]", b"BODY[TEXT]"):
            assert item in answer, (number, item)
        assert count_parentheses(lines) == 0, (number, lines)


def count_parentheses(lines):
    """Open minus closed ones outside of strings and literals: 0 in a whole response."""
    depth, is_literal = 0, False
    for line in lines[:-1]:
        if not is_literal:
            plain = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", line)
            depth += plain.count(b"(") - plain.count(b")")
        is_literal = not is_literal and bool(re.search(rb"\{\d+\}$", line))
    return depth


def test_over_smtp(shared_house, files):
    chosen = {name: raw for name, raw in files.items() if may_go_over_smtp(raw)}
    assert len(chosen) > 20, "the corpus has files that can travel over SMTP"
    with shared_house.smtp() as client:
        for name, raw in chosen.items():
            code, text = over_smtp(client, raw)
            assert code == 250, (name, code, text)
    wire = login(shared_house)
    assert b"* %d EXISTS" % len(chosen) in wire.imap(b"s", b"SELECT INBOX")
    for number, (name, raw) in enumerate(chosen.items(), 1):
        stored = body_of(wire, number)
        assert stored.endswith(raw), name
        trace = stored[:len(stored) - len(raw)]
        assert TRACE.fullmatch(trace), (name, trace)
        assert trace.count(b"Received:") == 1 and trace.startswith(b"Return-Path: <sender@example.org>\r\n"), (name, trace)
    check_parsers(wire, len(chosen))
    wire.close()


def test_over_append(shared_house, files):
    """All of them, also those that could go over SMTP: the way in must make no difference."""
    wire = login(shared_house)
    assert wire.imap(b"c", b"CREATE corpus")[-1].startswith(b"c OK")
    for name, raw in files.items():
        answer = append(wire, b"corpus", raw)
        assert answer.startswith(b"a OK [APPENDUID "), (name, answer)
    assert b"* %d EXISTS" % len(files) in wire.imap(b"s", b"SELECT corpus")
    for number, (name, raw) in enumerate(files.items(), 1):
        assert body_of(wire, number) == raw, name
    check_parsers(wire, len(files))
    for criterion in (b"TEXT e", b"SUBJECT a", b"FROM a", b"BODY e", b"SENTSINCE 1-Jan-1970", b"LARGER 100"):
        assert wire.imap(b"q", b"SEARCH " + criterion)[-1].startswith(b"q OK")
    wire.close()


def test_after_a_restart(shared_house, files):
    shared_house.restart()
    wire = login(shared_house)
    assert b"* %d EXISTS" % len(files) in wire.imap(b"s", b"SELECT corpus")
    for number, (name, raw) in enumerate(files.items(), 1):
        assert body_of(wire, number) == raw, name
    wire.close()


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 256 * 1024, 256 * 1024 + 1, 3 * 1024 * 1024])
def test_odd_sizes(shared_house, size):
    """Around the limits where a body becomes a file (256 KiB), and a body of nothing."""
    head = message(f"size-{size}", body="")
    raw = head + (b"0123456789abcdef" * 4 + b"\r\n") * (size // 66) + b"x" * (size % 66)
    mailbox = b"size-%d" % size
    wire = login(shared_house)
    assert wire.imap(b"c", b"CREATE " + mailbox)[-1].startswith(b"c OK")
    assert append(wire, mailbox, raw).startswith(b"a OK")
    with shared_house.smtp() as client:
        code, text = over_smtp(client, raw + b"\r\n")
        assert code == 250, text
    wire.imap(b"s", b"SELECT " + mailbox)
    assert body_of(wire, 1) == raw
    wire.imap(b"s", b"SELECT INBOX")
    last = b"".join(wire.imap(b"q", b"SEARCH SUBJECT size-%d" % size)).split()[2:3]
    lines = wire.imap(b"f", b"UID FETCH * BODY.PEEK[]")
    assert lines[1].endswith(raw + b"\r\n") and last
    wire.close()


def test_nul_and_bare_line_ends_over_append(shared_house):
    raws = [b"Subject: nul\r\n\r\na\0b\0", b"Subject: bare\r\n\r\na\rb\nc\r\r\nd\n\r", b"\0", b"\r", b"\n", b"no header at all",
            b"Subject: dots\r\n\r\n.\r\n..\r\n.\r\n", bytes(range(256)), b"x" * 5000, b"A:" * 3000 + b"\r\n\r\n"]
    wire = login(shared_house)
    assert wire.imap(b"c", b"CREATE odd")[-1].startswith(b"c OK")
    for raw in raws:
        assert append(wire, b"odd", raw).startswith(b"a OK"), raw[:60]
    wire.imap(b"s", b"SELECT odd")
    for number, raw in enumerate(raws, 1):
        assert body_of(wire, number) == raw
    check_parsers(wire, len(raws))
    wire.close()
