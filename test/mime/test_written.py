"""What the builder writes, read by Python's email package: the octets, names and texts that went in come out.

RFC2045-6.7, RFC2045-6.8, RFC2046-5.1.1, RFC2047-2, RFC2183-2.3, RFC2231-3, RFC2231-4, RFC5322-3.4, RFC6854-2.1. The trees
are those of src/message/builder_testing.h: any octets, any characters, any order.
"""

import email
import email.header
import email.message
import email.policy
import email.utils
import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COUNT = int(os.environ.get("MIME_WRITTEN") or 400)


@pytest.fixture(scope="session")
def mime_write():
    program = pathlib.Path(os.environ.get("MIME_WRITE") or ROOT / "build" / "release" / "test" / "mime_write")
    if not program.exists():
        pytest.skip("no mime_write: `cmake --build build/release --target mime_write` makes it")
    return str(program)


def octets(text):
    return bytes.fromhex(text)


WORD = r"=\?utf-8\?[qb]\?[^? ]+\?="
WORDS = re.compile(f"({WORD}(?: +{WORD})*)")


def decoded(value):
    """A header's text: unfolded, with its encoded words. decode_header() is not made for raw UTF-8 beside them."""
    out = ""
    for piece in WORDS.split(value.replace("\r\n", "")):
        if WORDS.fullmatch(piece):
            out += "".join(octets.decode(charset) for octets, charset in email.header.decode_header(piece))
        else:
            out += piece
    return out


def raw_header(part, name):
    """As it stands in the message, 8-bit octets as UTF-8."""
    for key, value in part.raw_items():
        if key.lower() == name.lower():
            return value.encode("ascii", "surrogateescape").decode("utf-8")
    return None


def leaves(message):
    """Parts that are neither multiparts nor messages, without those inside of messages."""
    if message.get_content_type() in ("message/rfc822", "message/global"):
        return
    if message.get_content_maintype() == "multipart":
        for child in message.get_payload():
            yield from leaves(child)
    else:
        yield message


def content_of(part):
    if part.get_content_type() == "message/delivery-status" and part.is_multipart():
        return None     # email reads it as a list of headers
    return part.get_payload(decode=True)


def check(record):
    message = email.message_from_bytes(octets(record["message"]), policy=email.policy.compat32)
    assert not message.defects
    for field in record["fields"]:
        name = octets(field["name"]).decode()
        value = raw_header(message, name)
        if not field["addresses"]:
            if not value.strip().endswith(";"):
                assert decoded(value).strip(" ") == octets(field["text"]).decode().strip(" "), name
            continue
        # getaddresses() knows no domain literals: it gives an empty address for one without a name.
        found = [pair for pair in email.utils.getaddresses([value.replace("\r\n", "")]) if pair[1]]
        found = [(decoded(shown), address) for shown, address in found if not address.endswith("]")]
        wanted = [a for a in field["addresses"] if not octets(a["host"]).endswith(b"]")]
        assert [address.rpartition("@")[2] for _, address in found] == [octets(a["host"]).decode() for a in wanted], name
        for (shown, _), want in zip(found, wanted):
            assert shown.strip() == octets(want["name"]).decode().strip()
    wanted = record["parts"]
    # An entity that stands for a signed part is none of the tree's leaves.
    parts = [p for p in leaves(message) if p.get("Content-Type") != "text/plain;  charset=us-ascii"]
    assert [p.get_content_type() for p in parts] == [octets(w["type"]).decode() for w in wanted]
    for part, want in zip(parts, wanted):
        content = content_of(part)
        if content is not None:
            assert content == octets(want["content"])
        if want["file_name"]:
            # 8-bit octets of a message become U+FFFD here, those of a string do not. Then white space of all kinds is stripped.
            alone = email.message.Message()
            alone["Content-Disposition"] = raw_header(part, "Content-Disposition").replace("\r\n", "")
            assert alone.get_filename().strip() == octets(want["file_name"]).decode().strip()
        if want["description"]:
            value = raw_header(part, "Content-Description")
            assert decoded(value).strip(" ") == octets(want["description"]).decode().strip(" ")


@pytest.mark.parametrize("bits", [0, 1, 2, 3])
def test_written(mime_write, bits):
    """Without any extension, with SMTPUTF8, with 8BITMIME, with both."""
    out = subprocess.run([mime_write, "0", str(COUNT), str(bits)], check=True, stdout=subprocess.PIPE).stdout
    records = [json.loads(line) for line in out.splitlines()]
    assert len(records) == COUNT
    for record in records:
        try:
            check(record)
        except AssertionError as error:
            raise AssertionError(f"seed {record['seed']}, bits {bits}: {error}") from error
