"""Mail from outside: who sent it. Verdicts go into the message, forged ones leave it, and what a domain wants rejected is."""

import re
import smtplib
import subprocess

import dkim
import pytest

from house import message, ids_in, until
from tabledns import Server, Table

HONEST = ("honest.test", "TXT", "v=spf1 ip4:127.0.0.0/8 -all"), ("_dmarc.honest.test", "TXT", "v=DMARC1; p=reject")
STRICT = ("strict.test", "TXT", "v=spf1 -all"), ("_dmarc.strict.test", "TXT", "v=DMARC1; p=reject")
MILD = ("mild.test", "TXT", "v=spf1 -all"), ("_dmarc.mild.test", "TXT", "v=DMARC1; p=quarantine")
SILENT = (("_dmarc.silent.test", "TIMEOUT", ""),)
BARE = (("bare.test", "A", "127.0.0.1"),)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    private = folder / "key.pem"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", str(private), "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", str(private), "-pubout"], check=True, capture_output=True).stdout.decode()
    record = "v=DKIM1; k=rsa; p=" + "".join(public.split("\n")[1:-2])
    return private.read_bytes(), ("s1._domainkey.strict.test", "TXT", record)


@pytest.fixture
def names(keys):
    server = Server()
    server.table = Table([*HONEST, *STRICT, *MILD, *SILENT, *BARE, keys[1]])
    yield server
    server.close()


@pytest.fixture
def house(names, make_house):
    return make_house(extra=["--dns", names.address]).start()


def letter(author, number, extra="", body="Hello.\r\n"):
    return message(number, body).replace(b"From: Sender <sender@example.org>", f"{extra}From: Sender <{author}>".encode())


def send(house, raw, sender):
    """The reply to the final dot."""
    with house.smtp() as client:
        client.ehlo("client.honest.test")
        assert client.mail(sender)[0] == 250
        assert client.rcpt("user@localhost")[0] == 250
        return client.data(raw)


def stored(house, number, mailbox="INBOX"):
    until(lambda: f"{number}@test.example" in ids_in(house, mailbox), "the message")
    with house.imap() as client:
        client.select(mailbox, readonly=True)
        found = client.search(None, "HEADER", "Message-ID", f"{number}@test.example")[1][0].split()
        assert len(found) == 1
        return client.fetch(found[0], "(BODY.PEEK[])")[1][0][1]


def results(raw):
    """{method: result} of the first Authentication-Results, which must be ours."""
    field = re.search(rb"^Authentication-Results: (.*?)\r\n(?![ \t])", raw, re.DOTALL | re.MULTILINE)
    assert field, raw[:2000]
    text = re.sub(r"\s+", " ", field[1].decode())
    assert text.startswith("localhost;"), text
    return dict(re.findall(r"; ([a-z]+)=([a-z]+)", text))


def test_honest(house):
    assert send(house, letter("a@honest.test", "honest"), "a@honest.test")[0] == 250
    raw = stored(house, "honest")
    assert results(raw) == {"spf": "pass", "dkim": "none", "dmarc": "pass"}
    assert b"\r\nReceived-SPF: pass " in raw
    assert raw.index(b"Authentication-Results:") < raw.index(b"Received: from ")
    assert raw.endswith(letter("a@honest.test", "honest"))


def test_nothing_published(house):
    assert send(house, letter("a@bare.test", "bare"), "a@bare.test")[0] == 250
    assert results(stored(house, "bare")) == {"spf": "none", "dkim": "none", "dmarc": "none"}


def test_spoofed(house):
    """Refused while the sender is there, in words that say why; and nothing is kept."""
    for sender in ("a@honest.test", "boss@strict.test", ""):
        code, text = send(house, letter("boss@strict.test", "spoofed"), sender)
        assert code == 550 and text.startswith(b"5.7.26 strict.test "), text
    assert send(house, letter("b@bare.test", "last"), "b@bare.test")[0] == 250
    stored(house, "last")
    assert "spoofed@test.example" not in ids_in(house)


def test_quarantine(house):
    """p=quarantine is no refusal: the message is put aside, and says what was found."""
    assert send(house, letter("boss@mild.test", "mild"), "a@honest.test")[0] == 250
    assert "mild@test.example" not in ids_in(house)
    assert results(stored(house, "mild", "Junk")) == {"spf": "pass", "dkim": "none", "dmarc": "fail"}


def signed(keys, raw, body=b"strict"):
    return dkim.sign(raw, b"s1", body + b".test", keys[0], include_headers=[b"From", b"Subject", b"Date", b"Message-ID"]) + raw


def test_forwarded(house, keys):
    """SPF fails at a forwarder, the signature holds: the mail survives. Changed on the way, it does not."""
    raw = signed(keys, letter("boss@strict.test", "forwarded"))
    assert send(house, raw, "forwarder@bare.test")[0] == 250
    kept = stored(house, "forwarded")
    assert results(kept) == {"spf": "none", "dkim": "pass", "dmarc": "pass"}
    assert kept.endswith(raw)
    assert send(house, raw.replace(b"Hello", b"Jello"), "forwarder@bare.test")[0] == 550
    assert send(house, raw.replace(b"From: Sender", b"From: Boss"), "forwarder@bare.test")[0] == 550


def test_two_authors(house):
    """One honest domain in From does not carry another one along."""
    raw = letter("a@honest.test>, Boss <boss@strict.test", "two")
    assert send(house, raw, "a@honest.test")[0] == 550
    raw = letter("a@honest.test", "two", extra="From: Boss <boss@strict.test>\r\n")
    assert send(house, raw, "a@honest.test")[0] == 550


def test_header_without_end(house):
    """What lies behind the limits of a header would not be checked: nothing is taken on trust."""
    for extra in ("X-Many: 1\r\n" * 3000, "X-Long: 1\r\n" + " x" * 300 + "\r\n", "".join(f"X-{i}: {'y' * 900}\r\n" for i in range(600))):
        code, text = send(house, letter("a@bare.test", "endless", extra=extra), "a@bare.test")
        assert (code, text[:6]) == ((554, b"5.6.0 ") if len(extra) > 1000 else (250, b"2.0.0 ")), text


def test_dns_trouble(house):
    code, text = send(house, letter("a@silent.test", "silent"), "a@honest.test")
    assert code == 451 and text.startswith(b"4.4.3 "), text


@pytest.mark.parametrize("size", [100, 60_000, 900_000])
def test_forged_results_are_removed(house, size):
    """RFC8601-5. Everything else stays octet for octet, in memory, in a packet or in a file."""
    forged = "Authentication-Results: localhost;\r\n dmarc=pass header.from=bank.test\r\n"
    also = "authentication-results : LOCALHOST (x) 1; spf=pass smtp.mailfrom=bank.test\r\n"
    others = "Authentication-Results: elsewhere.test; dkim=pass header.d=bank.test\r\nX-Kept: 1\r\n"
    body = "0123456789abcdef\r\n" * (size // 18)
    raw = letter("a@bare.test", f"forged{size}", extra=forged + others + also, body=body)
    assert send(house, raw, "a@bare.test")[0] == 250
    kept = stored(house, f"forged{size}")
    assert kept.endswith(letter("a@bare.test", f"forged{size}", extra=others, body=body))
    assert b"bank.test\r\n" not in kept.replace(others.encode(), b"")
    assert results(kept)["dmarc"] == "none"


def test_own_users_are_not_checked(house):
    with house.submission() as client:
        client.sendmail("user@localhost", ["user@localhost"], message("own"))
    assert b"Received-SPF" not in stored(house, "own")


def test_resolver_dies(house):
    """No verdict is lost: the message waits at the sender's, or the new resolver is asked."""
    house.expect_deaths()
    import os, signal
    os.kill(house.pids("resolver")[0], signal.SIGKILL)
    until(lambda: send_or_wait(house), "a reply of 250")
    assert results(stored(house, "again")) == {"spf": "pass", "dkim": "none", "dmarc": "pass"}


def send_or_wait(house):
    try:
        code = send(house, letter("a@honest.test", "again"), "a@honest.test")[0]
    except smtplib.SMTPServerDisconnected:
        return False
    assert code in (250, 451)
    return code == 250
