"""What RFC 2049 asks of those who show mail, through `veredus message text`. Two things are done otherwise on purpose: text in an
unknown encoding is shown as it stands, and text in an unknown charset is guessed."""

import subprocess

import pytest


def multipart(subtype, *parts):
    return (f"Content-Type: multipart/{subtype}; boundary=b\n\npreamble\n" + "".join(f"--b\n{part}\n" for part in parts) +
            "--b--\nepilogue\n").encode("latin-1")


CASES = {
    # RFC2049-2 (2): the two encodings, and the three that change nothing.
    "quoted-printable": (b"Content-Transfer-Encoding: quoted-printable\n\na=3Db =\nc\n", "a=b c\n"),
    "base64": (b"Content-Transfer-Encoding: base64\n\naGVs\nbG8=\n", "hello\n"),
    "7bit": (b"Content-Transfer-Encoding: 7bit\n\na=3Db\n", "a=3Db\n"),
    "8bit": (b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\xc3\xa9\n", "é\n"),
    "binary": (b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: BINARY\n\n\xc3\xa9\n", "é\n"),
    # RFC2049-2 (4) and (7): what is no text is offered, not shown.
    "image": (multipart("mixed", "\ntext", "Content-Type: image/x-odd; name=a.odd\n\nraw"), "text\n\n[a.odd, image/x-odd, 3 B]\n"),
    "unknown type": (multipart("mixed", "\ntext", "Content-Type: odd/odd\n\nraw"), "text\n\n[odd/odd, 3 B]\n"),
    # RFC2049-2 (5)
    "parameters": (b"Content-Type: text/plain; odd=1; charset=iso-8859-1; odder=\"a;b\"\n\n\xe9\n", "é\n"),
    # RFC2049-2 (6)
    "ISO-8859-*": (b"Content-Type: text/plain; charset=ISO-8859-15\n\n1 \xa4\n", "1 €\n"),
    "mixed": (multipart("mixed", "\none", "\ntwo"), "one\n\ntwo\n"),
    "alternative": (multipart("alternative", "\nplain", "Content-Type: text/html\n\n<b>rich</b>"), "plain\n"),
    "digest": (multipart("digest", "\nSubject: =?iso-8859-1?q?=E9?=\n\nbody"), "----------------\nSubject: é\n\nbody\n"),
    "unknown multipart": (multipart("x-odd", "\none", "\ntwo"), "one\n\ntwo\n"),
    "message": (multipart("mixed", "\ntext", "Content-Type: message/rfc822\n\nSubject: inner\n\nbody"),
                "text\n\n----------------\nSubject: inner\n\nbody\n"),
    "unknown message": (multipart("mixed", "\ntext", "Content-Type: message/x-odd\n\nraw"), "text\n\n[message/x-odd, 3 B]\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_shown(veredus, name):
    octets, text = CASES[name]
    done = subprocess.run([veredus, "message", "text", "-"], input=octets, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("utf-8") == text
