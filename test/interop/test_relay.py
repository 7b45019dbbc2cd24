"""Mail that leaves: by MX from a real DNS server (nsd) to another server of ours, and the reports about what does not arrive."""

import smtplib

import pytest

from house import ids_in, message, until
from nameserver import served

ZONE = """$ORIGIN example.test.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
@ IN MX 20 nowhere
@ IN MX 10 mx
mx IN A 127.0.0.1
nowhere IN A 127.0.0.2
null IN MX 0 .
text IN TXT "no host at all"
"""


@pytest.fixture
def dns(tmp_path):
    """nsd on loopback with the zone example.test; its address."""
    with served(tmp_path, {"example.test": ZONE}) as address:
        yield address


@pytest.fixture
def two(dns, make_house):
    """A sender and the server that example.test's MX names."""
    there = make_house(accounts=["bob@example.test:secret"]).start()
    here = make_house(extra=["--dns", dns, "--relay-port", str(there.ports.smtp)])
    return here.start(), there


def test_delivery_by_mx(two):
    here, there = two
    with here.submission() as client:
        client.sendmail("user@localhost", ["bob@example.test"], message("by-mx"))
    until(lambda: "by-mx@test.example" in ids_in(there, account="bob@example.test", password="secret"), "the message at the other server")
    with there.imap("bob@example.test", "secret") as client:
        client.select("INBOX", readonly=True)
        raw = client.fetch("1", "(BODY.PEEK[])")[1][0][1]
    assert raw.startswith(b"Return-Path: <user@localhost>\r\nDelivered-To: bob@example.test\r\n")
    assert raw.count(b"\r\nReceived: from ") == 2  # RFC5321-4.4: one each
    assert b"with ESMTPS" in raw  # opportunistic TLS between the two
    assert raw.endswith(message("by-mx").split(b"\r\n\r\n", 1)[1])


def reports(house):
    with house.imap() as client:
        client.select("INBOX", readonly=True)
        found = client.search(None, "ALL")[1][0].split()
        return [client.fetch(number, "(BODY.PEEK[])")[1][0][1] for number in found]


@pytest.mark.parametrize("address,status", [
    ("nobody@example.test", b"5.1.1"),        # refused by the other server
    ("bob@nothing.example.test", b"5.1.2"),   # no such domain
    ("bob@null.example.test", b"5.1.10"),     # RFC7505-3: a null MX
])
def test_what_cannot_arrive_is_reported(two, address, status):
    here, _ = two
    here.expect(r" warn queue\.attempt ")
    with here.submission() as client:
        client.sendmail("user@localhost", [address], message("lost"))
    report = until(lambda: reports(here), "the report")[0]
    assert report.startswith(b"Return-Path: <>\r\n")
    assert b"multipart/report" in report and b"message/delivery-status" in report
    assert b"Action: failed" in report and b"Status: " + status in report
    assert address.encode() in report and b"<lost@test.example>" in report


def test_the_queue_waits_for_a_server_that_is_away(two):
    here, there = two
    here.expect_deaths()
    here.expect(r" warn queue\.attempt ", r" warn courier\.")
    there.stop()
    with here.submission() as client:
        client.sendmail("user@localhost", ["bob@example.test"], message("patient"))
    here.kill()  # what has a 250 survives that
    here.restart()
    there.restart()
    until(lambda: ids_in(there, account="bob@example.test", password="secret") == ["patient@test.example"], "the message after the restart")


def test_nobody_relays_without_a_login(two):
    here, _ = two
    with here.smtp() as client:
        client.ehlo()
        client.mail("stranger@example.org")
        code, text = client.rcpt("bob@example.test")
    assert code == 550 and b"5.7.1" in text
    with here.submission() as client, pytest.raises(smtplib.SMTPSenderRefused):
        client.sendmail("somebody.else@localhost", ["bob@example.test"], message("forged"))
