"""`veredus message`: what it prints, what it refuses, and how much memory it needs."""

import json
import os
import subprocess
import sys

import pytest

LETTER = (b"From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\r\nTo: team: a@example.org, b@example.org;\r\nSubject: Re: =?utf-8?b?w6k=?=\r\n"
          b"Date: Tue, 1 Jul 2003 10:52:37 +0200\r\nMessage-ID: <1@example.org>\r\nReferences: <0@example.org> <00@example.org>\r\n"
          b"List-Post: <mailto:list@example.org>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello there.\r\n--b\r\n"
          b"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*0*=utf-8''%C3%A9; filename*1=.bin\r\n"
          b"Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--b--\r\n")
LETTER_SIZE = len(LETTER)


def run(veredus, *arguments, stdin=b""):
    return subprocess.run([veredus, *map(str, arguments)], input=stdin, capture_output=True, timeout=60)


def test_parse(veredus, tmp_path):
    file = tmp_path / "letter.eml"
    file.write_bytes(LETTER)
    done = run(veredus, "message", "parse", file)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = json.loads(done.stdout)
    assert list(shown) == ["size", "part_count", "degraded", "has_nul", "derived", "structure"]
    assert (shown["size"], shown["part_count"], shown["degraded"], shown["has_nul"]) == (LETTER_SIZE, 5, False, False)
    derived = shown["derived"]
    assert derived["subject"] == "Re: é" and derived["base_subject"] == "é" and derived["is_reply"] is True
    assert derived["date"] == "2003-07-01T10:52:37+02:00" and derived["message_id"] == "1@example.org"
    assert derived["references"] == ["0@example.org", "00@example.org"] and derived["preview"] == "Hello there."
    assert derived["envelope"].startswith('("Tue, 1 Jul 2003 10:52:37 +0200" "Re: =?utf-8?b?w6k=?=" (("=?utf-8?q?J=C3=B6rg?=" NIL "j" ')
    assert derived["bodystructure"].startswith('(("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 12 0')
    assert derived["text_body"] == derived["html_body"] == ["1"] and derived["has_attachment"] is True
    assert derived["attachments"] == [
        {"section": "2", "type": "application/octet-stream", "disposition": "attachment", "file_name": "é.bin", "content_id": None,
         "decoded_size": 3},
        {"section": "3", "type": "message/rfc822", "disposition": None, "file_name": None, "content_id": None,
         "decoded_size": len(b"Subject: inner\r\n\r\ntext")}]
    root = shown["structure"]
    fields = {field["name"]: field for field in root["headers"]}
    assert fields["From"]["addresses"] == [{"name": "Jörg", "email": "j@example.org"}]
    assert fields["From"]["raw"] == " =?utf-8?q?J=C3=B6rg?= <j@example.org>"
    assert [group["name"] for group in fields["To"]["groups"]] == ["team"] and len(fields["To"]["addresses"]) == 2
    assert fields["Date"]["date"] == "2003-07-01T10:52:37+02:00" and fields["Subject"]["text"] == "Re: é"
    assert fields["References"]["message_ids"] == ["0@example.org", "00@example.org"]
    assert fields["List-Post"]["urls"] == ["mailto:list@example.org"]
    text, data, message = root["parts"]
    assert [part["section"] for part in (root, text, data, message, message["message"])] == [None, "1", "2", "3", "3.1"]
    assert (text["type"], text["charset"], text["body_size"]) == ("text/plain", "us-ascii", 12)
    assert LETTER[text["body_offset"]:text["body_offset"] + text["body_size"]] == b"Hello there."
    assert (data["file_name"], data["encoding"], data["decoded_size"]) == ("é.bin", "base64", 3)
    assert data["disposition_params"] == {"filename": "é.bin"}
    assert message["message"]["headers"][0]["text"] == "inner"


def test_text(veredus, tmp_path):
    """Letters of other scripts, HTML as text, a line for the attachment, the message inside; nothing that moves a cursor."""
    file = tmp_path / "letter.eml"
    file.write_bytes(LETTER.replace(b"Hello there.", b"Hello \x1b[2Jthere."))
    done = run(veredus, "message", "text", file)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert text.startswith("Hello [2Jthere.\n") and "é.bin" in text and "Subject: inner\n\ntext\n" in text and "\x1b" not in text
    html = b"Content-Type: text/html; charset=iso-8859-1\n\n<p>Caf\xe9 &amp; <a href='https://example.org/'>tea</a></p>\n"
    assert run(veredus, "message", "text", "-", stdin=html).stdout.decode() == "Café & tea <https://example.org/>\n"


def test_standard_input_and_compact(veredus):
    """A pipe, whose octets can be read only once, and JSON on one line."""
    done = run(veredus, "message", "parse", "--compact", "-", stdin=LETTER)
    assert done.returncode == 0 and done.stdout.count(b"\n") == 1 and json.loads(done.stdout)["size"] == LETTER_SIZE


@pytest.mark.parametrize("octets", [b"", b"\n", b"\0\xff\r", b"Subject: \xff\0\n\n\xc3", b"Content-Type: multipart/mixed; boundary=b\n\n--b"])
def test_anything_is_a_message(veredus, octets):
    done = run(veredus, "message", "parse", "-", stdin=octets)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["size"] == len(octets)
    done = run(veredus, "message", "text", "-", stdin=octets)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.decode("utf-8") is not None


@pytest.mark.parametrize("verb", ["parse", "text"])
def test_refusals(veredus, tmp_path, verb):
    for arguments, status, words in [((), 2, b"needs FILE"), (("a", "b"), 2, b"no use for"), (("--nothing", "a"), 2, b"no option"),
                                     ((tmp_path / "none",), 1, b"cannot read"), ((tmp_path,), 1, b"is a directory")]:
        done = run(veredus, "message", verb, *arguments)
        assert done.returncode == status and done.stdout == b"" and words in done.stderr, done
        assert done.stderr.startswith(b"veredus: ") and done.stderr.count(b"\n") == 1
    done = run(veredus, "message", verb, "--help")
    assert done.returncode == 0 and b"examples:\n  veredus message " + verb.encode() in done.stdout


def peak_memory(*command):
    """Octets of the largest resident set of a program."""
    script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)")
    return int(subprocess.run([sys.executable, "-c", script, *command], capture_output=True, check=True, timeout=120).stdout)


@pytest.mark.parametrize("verb", ["parse", "text"])
def test_memory_is_constant(veredus, tmp_path, verb):
    """150 MB of attachment need no more memory than a letter does."""
    small, large = tmp_path / "small.eml", tmp_path / "large.eml"
    small.write_bytes(LETTER)
    line = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\n"
    with large.open("wb") as file:
        file.write(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello.\r\n--b\r\nContent-Type: video/mp4\r\n"
                   b"Content-Transfer-Encoding: base64\r\n\r\n")
        for _ in range(150):
            file.write(line * (1024 * 1024 // len(line) + 1))
        file.write(b"--b--\r\n")
    assert os.path.getsize(large) > 150 * 1024 * 1024
    try:
        assert peak_memory(veredus, "message", verb, large) < peak_memory(veredus, "message", verb, small) + 4 * 1024 * 1024
    finally:
        large.unlink()
