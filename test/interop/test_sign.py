"""What is submitted is signed: with the records that `veredus domain records` prints, it holds for python3-dkim and for ours."""

import os
import re
import signal
import smtplib
import subprocess

import dkim
import pytest

from house import PASSWORD, message, program, until
from nameserver import served

AUTHOR = "writer@sign.test"
ZONE = """$TTL 60
sign.test. IN SOA ns.sign.test. hostmaster.sign.test. 1 3600 600 86400 60
sign.test. IN NS ns.sign.test.
ns.sign.test. IN A 127.0.0.1
localhost.sign.test. IN A 127.0.0.1
"""


def veredus(*arguments):
    return subprocess.run([program(), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def records(house):
    done = veredus("domain", "records", "sign.test", "--dir", house.directory)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def house(make_house):
    """A server that has made its RSA keys: they come after its start, and records are printed when they are there."""
    one = make_house(accounts=[f"{AUTHOR}:{PASSWORD}", f"other@sign.test:{PASSWORD}"]).start()
    records(one)
    return one


def submit(house, raw, account=AUTHOR):
    with house.submission(account) as client:
        client.sendmail(account, [AUTHOR], raw, mail_options=["BODY=8BITMIME"])


def stored(house, number):
    """The newest message of the author; the one with that many before it."""
    with house.imap(AUTHOR) as client:
        def there():
            return int(client.select("INBOX", readonly=True)[1][0]) > number
        until(there, "the message")
        return client.fetch(str(number + 1), "(BODY.PEEK[])")[1][0][1]


def test_records(house):
    """A line each: two keys, neither with a string over 255 octets, and the policy."""
    lines = records(house).splitlines()
    assert [re.split(r" IN (?:TXT|MX) ", line)[0] for line in lines] == [
        "sign.test.", "sign.test.", "ed1._domainkey.sign.test.", "rsa1._domainkey.sign.test.", "_dmarc.sign.test."]
    for line in lines[2:4]:
        strings = re.findall(r'"([^"]*)"', line)
        assert strings[0].startswith("v=DKIM1; k=") and all(len(string) <= 255 for string in strings)
    assert len(re.findall(r'"', lines[3])) == 4  # a key of 2048 bits needs two
    assert lines[4].endswith(' "v=DMARC1; p=quarantine"')
    assert records(house).splitlines() == lines


def test_signatures(house, tmp_path):
    printed = records(house)
    (tmp_path / "records").write_text(printed)
    table = {line.split(" ")[0]: "".join(re.findall(r'"([^"]*)"', line)) for line in printed.splitlines()}

    def dns(name, timeout=5):
        del timeout
        return table.get(name.decode(), "").encode()

    plain = b"From: Writer <writer@sign.test>\r\nTo: x@example.org\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n\r\n  Hello \t  \r\n\r\n.dot\r\n\r\n\r\n"
    large = message("large", "a line of a message that travels as a file\r\n" * 30000).replace(b"sender@example.org", AUTHOR.encode())
    for number, raw in enumerate((plain, large)):
        submit(house, raw)
        copy = stored(house, number)
        assert copy.endswith(raw)  # octet for octet
        (tmp_path / f"{number}.eml").write_bytes(copy)
        head = copy[:-len(raw)]
        names = [name.lower() for name in re.findall(rb"(?m)^([A-Za-z-]+):", head)]
        assert names[:5] == [b"return-path", b"delivered-to", b"received", b"dkim-signature", b"dkim-signature"]
        assert names[5:] == ([b"date", b"message-id"] if number == 0 else [])
        judge = dkim.DKIM(copy)
        assert [judge.verify(idx, dnsfunc=dns) for idx in range(2)] == [True, True]
        # An octet of the body, or another Subject, and they do not hold.
        assert dkim.verify(copy, dnsfunc=dns)
        assert not dkim.verify(copy + b"!\r\n", dnsfunc=dns)
        assert not dkim.verify(b"Subject: x\r\n" + copy, dnsfunc=dns)
        said = veredus("dkim", "verify", tmp_path / f"{number}.eml", "--key-file", tmp_path / "records")
        assert (said.returncode, said.stderr) == (0, "") and said.stdout.startswith("pass\n"), said
    # The lines are a zone.
    with served(tmp_path, {"sign.test": ZONE + printed}) as server:
        for number in range(2):
            said = veredus("dkim", "verify", tmp_path / f"{number}.eml", "--dns", server)
            assert (said.returncode, said.stderr) == (0, "") and said.stdout.startswith("pass\n"), said
            assert "256 bits" in said.stdout and "2048 bits" in said.stdout, said.stdout
        answer = veredus("dns", "lookup", "TXT", "_dmarc.sign.test", "--dns", server)
        assert "v=DMARC1; p=quarantine" in answer.stdout, answer


def test_not_signed(house):
    """As somebody else of the domain, as a stranger, and what has no author."""
    for number, author in enumerate(("writer@sign.test", "boss@sign.test", "friend@example.org", "writer@sign.test, other@sign.test")):
        submit(house, f"From: {author}\r\nSubject: x\r\n\r\nHello\r\n".encode(), account="other@sign.test")
        assert b"DKIM-Signature:" not in stored(house, number)
    submit(house, b"Subject: nobody's\r\n\r\nHello\r\n", account="other@sign.test")
    assert b"DKIM-Signature:" not in stored(house, 4)
    submit(house, b"From: other@sign.test\r\nSubject: own\r\n\r\nHello\r\n", account="other@sign.test")
    assert stored(house, 5).count(b"DKIM-Signature:") == 2
    with house.smtp() as client:  # mail from outside is not ours to sign
        client.sendmail("other@sign.test", [AUTHOR], b"From: other@sign.test\r\nSubject: forged\r\n\r\nHello\r\n")
    assert b"DKIM-Signature:" not in stored(house, 6)
    lines = [line for line in house.log if " message.unsigned " in line]
    assert len(lines) == 5 and all("why=" in line for line in lines), lines


def test_kept_keys(house):
    """The keys outlive the server, and those of a new domain are there when they are printed."""
    before = records(house)
    house.restart()
    assert records(house) == before
    done = veredus("domain", "add", "new.test", "--dir", house.directory)
    assert done.returncode == 0, done.stderr
    printed = veredus("domain", "records", "new.test", "--dir", house.directory).stdout
    assert "rsa1._domainkey.new.test. IN TXT " in printed and "ed1._domainkey.new.test. IN TXT " in printed


def test_directory_away(house):
    """Without it there is no signature: later, and nothing is delivered."""
    house.expect_deaths()
    with house.submission(AUTHOR) as client:
        assert client.mail(AUTHOR)[0] == 250 and client.rcpt(AUTHOR)[0] == 250
        assert client.docmd("DATA")[0] == 354

        os.kill(house.pids("directory")[0], signal.SIGKILL)
        client.send(b"From: writer@sign.test\r\nSubject: away\r\n\r\nHello\r\n.\r\n")
        assert client.getreply()[0] == 451

    def again():
        try:
            submit(house, b"From: writer@sign.test\r\nSubject: again\r\n\r\nHello\r\n")
        except smtplib.SMTPException:
            return False
        return True
    until(again, "a submission after directory's restart")
    assert b"Subject: again" in stored(house, 0) and stored(house, 0).count(b"DKIM-Signature:") == 2


def test_on_its_way(house, make_house, tmp_path):
    """Through the queue and the courier to another server of ours, which finds both signatures good, and so the author."""
    zones = {"sign.test": ZONE + "".join(line + "\n" for line in records(house).splitlines() if "v=spf1" not in line),
             "there.test": ZONE.replace("sign.test", "there.test") + "there.test. IN MX 10 localhost.there.test.\n"}
    with served(tmp_path, zones) as server:
        there = make_house(accounts=[f"bob@there.test:{PASSWORD}"], extra=["--dns", server]).start()
        house.extra += ["--dns", server, "--relay-port", str(there.ports.smtp)]
        house.restart()
        raw = b"From: writer@sign.test\r\nTo: bob@there.test\r\nSubject: on its way\r\n\r\n.\r\n..\r\nHello  \r\n\r\n"
        with house.submission(AUTHOR) as client:
            client.sendmail(AUTHOR, ["bob@there.test"], raw)
        with there.imap("bob@there.test") as client:
            until(lambda: int(client.select("INBOX", readonly=True)[1][0]), "the message at the other server")
            copy = client.fetch("1", "(BODY.PEEK[])")[1][0][1]
        assert copy.endswith(raw)
        said = re.sub(r"\s+", " ", re.search(rb"(?s)^Authentication-Results: (.*?)\r\n(?![ \t])", copy, re.MULTILINE)[1].decode())
        assert said.count("dkim=pass") == 2 and "dmarc=pass header.from=sign.test" in said, said
        house.stop()  # before its name server
        there.stop()
