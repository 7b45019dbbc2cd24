"""How Python's email package reads a message, described as mime_compare describes our reading and GMime's."""

import email.header
import email.parser
import email.policy
import email.utils
import inspect
import re
import warnings
import zlib

warnings.simplefilter("ignore")


def to_octets(text):
    return text.encode("utf-8", "surrogateescape") if not text.isascii() else text.encode("ascii")


def guess(octets):
    """Octets without a charset: that is not Python's to decide, so as we do."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")


def words(value):
    """A header's text with its encoded words decoded."""
    value = re.sub(r"[\r\n]", "", str(value)).strip(" \t")
    out = []
    try:
        for piece, charset in email.header.decode_header(value):
            if isinstance(piece, str):
                piece = to_octets(piece)
            if charset is None or charset == "unknown-8bit":
                # decode_header() writes octets of headers in Python's own escapes.
                piece = re.sub(rb"\\udc([89a-f][0-9a-f])", lambda m: bytes.fromhex(m[1].decode()), piece)
                out.append(guess(piece))
            else:
                out.append(piece.decode(charset, "replace"))
    except (LookupError, ValueError, email.errors.HeaderParseError) as error:
        return {"error": type(error).__name__}
    return "".join(out)


def leaf(part, full):
    row = {}
    try:
        body = part.get_payload(decode=True)
    except Exception as error:  # what it raises is part of its reading
        return {"error": type(error).__name__}
    body = body or b""
    row["size"], row["crc"] = len(body), zlib.crc32(body)
    if full:
        row["body"] = body
    if part.get_content_maintype() == "text":
        try:
            text = body.decode(part.get_content_charset() or "ascii")
            row["text_crc"] = zlib.crc32(text.encode("utf-8"))
            if full:
                row["text"] = text
        except (LookupError, ValueError):
            pass
    try:
        name = part.get_filename()
        if name is not None:
            row["name"] = words(name) if "=?" in name else guess(to_octets(name))
    except Exception as error:
        row["name"] = {"error": type(error).__name__}
    return row


def tree(part, full):
    row = {"type": part.get_content_type()}
    if not part.is_multipart():
        return row | leaf(part, full)
    payload = part.get_payload()
    if part.get_content_maintype() == "multipart":
        row["parts"] = [tree(child, full) for child in payload]
    elif part.get_content_type() == "message/delivery-status":
        row["blocks"] = len(payload)  # header blocks; its octets are not kept
    else:
        row["message"] = tree(payload[0], full)
    return row


def values(message, name):
    return [re.sub(r"[\r\n]", "", str(value)) for key, value in message.raw_items() if key.lower() == name]


# Newer versions give up on a list that they count differently; that would compare nothing.
LENIENT = {"strict": False} if "strict" in inspect.signature(email.utils.getaddresses).parameters else {}


def addresses(message, name):
    try:
        pairs = email.utils.getaddresses(values(message, name), **LENIENT)
    except Exception as error:
        return {"error": type(error).__name__}
    return [[words(display), to_octets(address).decode("utf-8", "replace")] for display, address in pairs]


def read_email(octets, full=False):
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(octets)
    subject, date = values(message, "subject"), values(message, "date")
    try:
        parsed = email.utils.parsedate_tz(date[0]) if date else None
        seconds = email.utils.mktime_tz(parsed) if parsed else None
    except Exception as error:
        seconds = {"error": type(error).__name__}
    return {"tree": tree(message, full), "subject": words(subject[0]) if subject else None, "date": seconds,
            "from": addresses(message, "from"), "to": addresses(message, "to"), "cc": addresses(message, "cc")}
