"""Peers that are wrong, hostile, slow or many: a proper reply, bounded memory, and nobody else notices."""

import base64
import contextlib
import glob
import itertools
import os
import pathlib
import resource
import socket
import threading
import time

import pytest

from house import USER, Wire, deliver, ids_in, message

MIB = 1 << 20


@pytest.fixture
def house(shared_house):
    """No test here may harm the next one, so they share a server, and at the end its processes are the same ones."""
    shared_house.expect(r" warn too_many_bad ")
    before = {pid for pid, title in shared_house.roles().items() if not title.startswith("mailbox ")}
    yield shared_house
    after = {pid for pid, title in shared_house.roles().items() if not title.startswith("mailbox ")}
    assert after == before, "a role died"


def memory_of(house, role):
    """Resident octets of all processes of a role."""
    total = 0
    for pid, title in house.roles().items():
        if title.split()[0] == role and title != "mailbox template":
            total += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return total


def smtp(house):
    wire = house.wire("smtp")
    assert wire.reply().startswith(b"220")
    assert wire.smtp(b"EHLO client.example").startswith(b"250")
    return wire


def imap(house, login=True):
    wire = house.wire("imaps")
    assert wire.line().startswith(b"* OK")
    if login:
        assert wire.imap(b"l", b"LOGIN user@localhost veredus")[-1].startswith(b"l OK")
    return wire


def begin_data(wire):
    assert wire.smtp(b"MAIL FROM:<sender@example.org>").startswith(b"250")
    assert wire.smtp(b"RCPT TO:<user@localhost>").startswith(b"250")
    assert wire.smtp(b"DATA").startswith(b"354")


# ---- SMTP ----

VARIANTS = [before + b"." + after for before, after in itertools.product((b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n", b"\0\n"),
                                                                         (b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n", b"\0\r\n"))
            if not (before.endswith(b"\r\n") and after.startswith(b"\r\n"))]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.replace(b"\r", b"CR").replace(b"\n", b"LF").replace(b"\0", b"NUL").decode())
def test_false_ends_of_data(house, variant):
    """None is an end (what follows would be commands of a smuggled message), and the message is refused at its true end."""
    with smtp(house) as wire:
        begin_data(wire)
        smuggled = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<user@localhost>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
        wire.send(b"Subject: honest\r\n\r\nx" + variant + smuggled + b"\r\n.\r\n")
        assert wire.reply().startswith(b"550 5.6."), variant
        # One reply, and the session goes on in step.
        assert wire.smtp(b"NOOP").startswith(b"250 ")
        assert wire.smtp(b"QUIT").startswith(b"221 ")
        assert wire.at_end()


def test_bare_cr_before_the_true_end(house):
    """CR CRLF "." CRLF has the true end in it; the message is refused for its CR, and the session is in step."""
    with smtp(house) as wire:
        begin_data(wire)
        wire.send(b"Subject: honest\r\n\r\nx\r\r\n.\r\n")
        assert wire.reply().startswith(b"550 5.6.")
        assert wire.smtp(b"QUIT").startswith(b"221 ")


def test_nothing_was_smuggled(house):
    client = house.imap()
    client.select("INBOX", readonly=True)
    assert client.search(None, "OR", "SUBJECT", "smuggled", "SUBJECT", "honest") == ("OK", [b""])
    client.logout()


def test_nul_and_long_lines_in_a_message(house):
    with smtp(house) as wire:
        for body in (b"a\0b", b"\0", b"x" * (MIB + 1)):
            begin_data(wire)
            wire.send(b"Subject: bad\r\n\r\n" + body + b"\r\n.\r\n")
            assert wire.reply().startswith(b"5"), body[:10]
        # Longer than RFC 5321 asks for, but harmless: taken (DESIGN: the limit is a mebibyte).
        begin_data(wire)
        wire.send(b"Message-ID: <long-line@test.example>\r\n\r\n" + b"y" * 5000 + b"\r\n.\r\n")
        assert wire.reply().startswith(b"250")
    assert "long-line@test.example" in ids_in(house)


def test_odd_command_lines(house):
    with smtp(house) as wire:
        for line in (b"NOOP " + b"x" * 10000, b"\0", b"MAIL FROM:<\xff@example.org>", b"", b"NOOP\rQUIT", b"EHLO \r", b" ", b"x" * 100000):
            assert wire.smtp(line).startswith(b"5"), line[:20]
        wire.send(b"NOOP\n")
        assert wire.reply().startswith(b"5")
        assert wire.smtp(b"NOOP").startswith(b"250")
        # Somebody who is wrong all the time is shown out.
        wire.send(b"WHAT\r\n" * 30)
        seen = []
        while True:
            line = wire.reply()
            if not line:
                break
            seen.append(line[:3])
        assert seen[-1] == b"421" and set(seen[:-1]) == {b"500"} and len(seen) <= 21, seen


def test_too_large_a_message(house):
    with smtp(house) as wire:
        # Declared: refused at once (RFC 1870, 6.1).
        assert wire.smtp(b"MAIL FROM:<sender@example.org> SIZE=99999999999").startswith(b"552")
        # Undeclared: taken in without being kept, and refused at its end.
        begin_data(wire)
        before = memory_of(house, "edge")
        line = b"0123456789" * 98 + b"\r\n"
        for _ in range(56):
            wire.send(line * (MIB // len(line) + 1))
        assert memory_of(house, "edge") - before < 8 * MIB
        wire.send(b".\r\n")
        assert wire.reply().startswith(b"552")
        assert wire.smtp(b"NOOP").startswith(b"250")


def test_commands_behind_starttls_are_discarded(house):
    """CVE-2011-0411 and its kin: what came in the clear behind STARTTLS must not be taken for secured."""
    for service, command, answer, probe in (
            ("smtp", b"STARTTLS\r\nNOOP injected\r\nHELP\r\n", b"220", b"EHLO again\r\n"),
            ("submission", b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n", b"220", b"EHLO again\r\n"),
            ("imap", b"t STARTTLS\r\ni1 CAPABILITY\r\ni2 LOGIN user@localhost veredus\r\n", b"t OK", b"p NOOP\r\n")):
        with house.wire(service, tls=False) as wire:
            wire.line()
            if service != "imap":
                assert wire.smtp(b"EHLO first").startswith(b"250")
            wire.send(command)
            assert wire.line().startswith(answer)
            wire.start_tls()
            wire.send(probe)
            first = wire.line()
            # The first answer over TLS is the one to the first command over TLS.
            assert first.startswith(b"250-" if service != "imap" else b"p OK"), (service, first)
            if service != "imap":
                while first.startswith(b"250-"):
                    first = wire.line()
                assert first.startswith(b"250 ")
                assert wire.smtp(b"NOOP").startswith(b"250")
            else:
                assert not wire.imap(b"s", b"SELECT INBOX")[-1].startswith(b"s OK")


def test_what_was_said_before_starttls_is_forgotten(house):
    """RFC 3207, 4.2: also the greeting and the transaction."""
    with house.wire("smtp", tls=False) as wire:
        wire.line()
        wire.smtp(b"EHLO first")
        assert wire.smtp(b"MAIL FROM:<before@example.org>").startswith(b"250")
        assert wire.smtp(b"STARTTLS").startswith(b"220")
        wire.start_tls()
        assert wire.smtp(b"RCPT TO:<user@localhost>").startswith(b"503")
        assert wire.smtp(b"EHLO again").startswith(b"250")
        assert wire.smtp(b"RCPT TO:<user@localhost>").startswith(b"503")
        assert wire.smtp(b"STARTTLS").startswith(b"50")


@pytest.mark.parametrize("service", ["smtp", "submission", "submissions", "imap", "imaps"])
def test_broken_handshakes(house, service):
    """Neither rubbish nor silence nor half a handshake instead of TLS harms anybody."""
    for rubbish in (b"", b"\x16\x03\x01", b"GET / HTTP/1.0\r\n\r\n" * 20, b"\x16\x03\x01\xff\xff" + b"\0" * 2000, bytes(range(256)) * 80):
        with house.wire(service, tls=False) as wire:
            if service in ("smtp", "submission"):
                wire.line()
                wire.smtp(b"EHLO client.example")
                assert wire.smtp(b"STARTTLS").startswith(b"220")
            elif service == "imap":
                wire.line()
                assert wire.imap(b"t", b"STARTTLS")[-1].startswith(b"t OK")
            try:
                wire.send(rubbish)
                wire.socket.shutdown(socket.SHUT_WR)
                assert wire.at_end()
            except OSError:
                pass  # it hung up first
    with house.wire(service, tls=service in ("submissions", "imaps")) as wire:
        assert wire.line().split()[0] in (b"220", b"*")


# ---- wrong passwords ----


def test_wrong_passwords_over_smtp(house):
    with house.wire("submissions") as wire:
        wire.line()
        wire.smtp(b"EHLO client.example")
        for user in (USER, "nobody@localhost", "x", "user@example.org"):
            token = base64.b64encode(f"\0{user}\0wrong".encode())
            assert wire.smtp(b"AUTH PLAIN " + token).startswith(b"535 5.7.8"), user
        assert wire.smtp(b"MAIL FROM:<user@localhost>").startswith(b"530")
        assert wire.smtp(b"AUTH PLAIN " + base64.b64encode(b"\0user@localhost\0wrong")).startswith(b"421")
        assert wire.at_end()


def test_wrong_passwords_over_imap(house):
    with imap(house, login=False) as wire:
        replies = []
        for number, user in enumerate((USER, "nobody@localhost", "x", "user@example.org")):
            replies.append(wire.imap(b"l", f"LOGIN {user} wrong".encode())[-1])
        # Nobody learns from the reply whether the account exists.
        assert len(set(replies)) == 1 and replies[0].startswith(b"l NO [AUTHENTICATIONFAILED]"), replies
        assert not wire.imap(b"s", b"SELECT INBOX")[-1].startswith(b"s OK")
        last = wire.imap(b"l", b"LOGIN user@localhost wrong")
        assert last[0].startswith(b"* BYE"), last
        assert wire.at_end()
    with imap(house) as wire:  # the right one is taken all the same
        assert wire.imap(b"n", b"NOOP")[-1].startswith(b"n OK")


def test_odd_logins(house):
    with imap(house, login=False) as wire:
        for command in (b"LOGIN user@localhost {2000+}\r\n" + b"x" * 2000, b"LOGIN \"\" \"\"", b"AUTHENTICATE PLAIN AAA=",
                        b"AUTHENTICATE PLAIN " + base64.b64encode(b"\0user@localhost\0vere\0dus"),
                        b"AUTHENTICATE PLAIN " + base64.b64encode(b"other@localhost\0user@localhost\0veredus"),
                        b"AUTHENTICATE CRAM-MD5"):
            answer = wire.imap(b"a", command)[-1]
            assert answer.startswith((b"a NO", b"a BAD", b"* BYE")), (command, answer)
            if answer.startswith(b"* BYE"):
                break
    with imap(house) as wire:
        assert wire.imap(b"n", b"NOOP")[-1].startswith(b"n OK")


# ---- IMAP ----


def test_literals_over_the_limit(house):
    with imap(house) as wire:
        # Synchronising: refused before a single octet of it is sent.
        wire.send(b"a APPEND INBOX {99999999999}\r\n")
        assert wire.line().startswith((b"a NO", b"a BAD"))
        assert wire.imap(b"n", b"NOOP")[-1].startswith(b"n OK")
        wire.send(b"b SELECT {100000}\r\n")
        assert wire.line().startswith(b"b BAD")
        assert wire.imap(b"n", b"NOOP")[-1].startswith(b"n OK")
        # Not synchronising: read and forgotten (RFC 7888, 4), in bounded memory.
        before = memory_of(house, "mailbox") + memory_of(house, "edge")
        wire.send(b"c APPEND INBOX {%d+}\r\n" % (60 * MIB))
        for _ in range(60):
            wire.send(b"z" * MIB)
        wire.send(b"\r\n")
        assert wire.until_tag(b"c")[-1].startswith((b"c NO", b"c BAD"))
        assert memory_of(house, "mailbox") + memory_of(house, "edge") - before < 16 * MIB
        assert wire.imap(b"n", b"NOOP")[-1].startswith(b"n OK")
        # A number that is none.
        for literal in (b"{}", b"{-1}", b"{99999999999999999999999}", b"{1"):
            wire.send(b"d SELECT " + literal + b"\r\n")
            assert wire.line().startswith((b"d BAD", b"d NO")), literal


def test_odd_imap_lines(house):
    with imap(house) as wire:
        for command in (b"x" * 100000, b"a SELECT \"\0\"", b"a FETCH", b"", b"\xff\xfe", b"a " + b"(" * 5000, b"a SEARCH " + b"NOT " * 2000 + b"ALL"):
            wire.send(command + b"\r\n")
            line = wire.line()
            assert b" BAD " in line or b" NO " in line, (command[:20], line)
        assert wire.imap(b"n", b"NOOP")[-1].startswith(b"n OK")
        with contextlib.suppress(OSError):  # it may hang up before the last one
            for _ in range(30):
                wire.send(b"x\r\n")
        assert wire.at_end()


def wal_of(house):
    return sum(os.path.getsize(path) for path in glob.glob(f"{house.directory}/accounts/*/account.db-wal"))


@pytest.mark.parametrize("how", ["stalled", "drip"])
def test_slow_reader(make_house, how):
    """It asks for far more than it reads. Neither memory nor the WAL may grow, and others go on."""
    house = make_house().start()
    house.expect(r" warn store_failed .*detail=FETCH err=closed")  # it hangs up in the middle
    body = ("0123456789" * 7 + "\r\n") * 40000
    deliver(house, message("large", body=body))
    slow = imap(house)
    slow.imap(b"s", b"SELECT INBOX")
    before = {role: memory_of(house, role) for role in ("edge", "mailbox")}
    # A gigabyte in all.
    slow.send(b"".join(b"f%d FETCH 1 BODY.PEEK[]\r\n" % number for number in range(1024 * MIB // len(body))))
    stop = threading.Event()

    def drip():
        while not stop.is_set():
            slow.socket.recv(1000)
            time.sleep(0.01)
    reader = threading.Thread(target=drip, daemon=True)
    if how == "drip":
        reader.start()
    busy = imap(house)
    busy.imap(b"s", b"SELECT INBOX")
    raw = message("busy", body="y" * 60000 + "\r\n")
    most = 0
    for number in range(300):
        busy.send(b"a APPEND INBOX {%d+}\r\n%s\r\n" % (len(raw), raw))
        assert b" OK " in busy.until_tag(b"a")[-1]
        most = max(most, wal_of(house))
    # 18 MiB were written beside the reader that never ends; what is compressible may be less.
    assert most < 16 * MIB, f"the WAL grew to {most} octets"
    assert memory_of(house, "edge") - before["edge"] < 24 * MIB
    assert memory_of(house, "mailbox") - before["mailbox"] < 48 * MIB
    stop.set()
    if how == "drip":
        reader.join(60)
    slow.close()
    assert busy.imap(b"n", b"NOOP")[-1].startswith(b"n OK")
    busy.close()


def test_slow_writer(house):
    """A message octet by octet beside another one that comes at once."""
    with smtp(house) as slow:
        begin_data(slow)
        raw = message("drop-by-drop") + b".\r\n"
        for number, octet in enumerate(raw):
            slow.send(bytes([octet]))
            if number == len(raw) // 2:
                deliver(house, message("meanwhile"))
        assert slow.reply().startswith(b"250")
    assert {"drop-by-drop@test.example", "meanwhile@test.example"} <= set(ids_in(house))


def test_hanging_up_in_the_middle(house):
    """Nothing of an unfinished message stays, and nobody else notices."""
    before = ids_in(house)
    for cut in (b"", b"MAIL FROM:<a@example.org>\r\n", b"MAIL FROM:<a@example.org>\r\nRCPT TO:<user@localhost>\r\nDATA\r\nSubject: half\r\n\r\nx\r\n.",
                b"MAIL FROM:<a@example.org>\r\nRCPT TO:<user@localhost>\r\nDATA\r\n" + message("half") + b"x" * 400000):
        with smtp(house) as wire:
            wire.send(cut)
    for cut in (b"a APPEND INBOX {100}\r\n", b"a APPEND INBOX {500000+}\r\n" + b"x" * 499999, b"a SELECT INBOX\r\nb IDLE\r\n"):
        with imap(house) as wire:
            wire.send(cut)
    assert ids_in(house) == before


def test_many_connections(make_house):
    """All are greeted, all can speak, and one more mail comes through."""
    house = make_house().start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # This process and each edge live under the same limit.
    wanted = min(10000, (hard if hard != resource.RLIM_INFINITY else 1 << 20) - 200)
    assert wanted >= 1000, "the limit of descriptors is too low for this test: ulimit -n 4096"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 200), hard))
    edges = house.pids("edge")
    before = memory_of(house, "edge")
    connections = []
    try:
        for number in range(wanted):
            # Each side's queue of the not yet accepted is short, so a connection is greeted before the next hundred come.
            connections.append(Wire(house.ports.smtp if number % 2 else house.ports.imap, timeout=120))
            if number >= 100:
                assert connections[number - 100].line().split()[0] in (b"220", b"*")
        for connection in connections[-100:]:
            assert connection.line().split()[0] in (b"220", b"*")
        used = memory_of(house, "edge") - before
        assert used / wanted < 64 * 1024, f"{used / wanted:.0f} octets a connection"
        deliver(house, message("through-the-crowd"))
        assert ids_in(house) == ["through-the-crowd@test.example"]
        for connection in connections[::37]:
            connection.send(b"NOOP\r\n" if connection.socket.getpeername()[1] == house.ports.smtp else b"n NOOP\r\n")
            assert b"250" in (line := connection.line()) or line.startswith(b"n OK")
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert house.pids("edge") == edges
    deliver(house, message("after-it"))
