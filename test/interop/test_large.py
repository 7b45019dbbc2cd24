"""A message of 150 MB goes in by SMTP and by APPEND, and is fetched and searched: no mailbox process ever holds it."""

import re
import signal
import subprocess

import pytest

import tabledns

from house import PATIENCE, Ports, Wire, children_of, program, read_title, run, until

MIB = 1 << 20
SIZE = 150 * MIB
# What a mailbox process may grow by over a small mailbox's: its arenas, windows and caches, with room for the memory that
# a sanitizer holds back. Far below the message.
GROWTH = 64 * MIB

HEAD = (b"From: Sender <sender@example.org>\r\nTo: user@large.test\r\nSubject: large\r\nMessage-ID: <large@test.example>\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nThe needle is here.\r\n"
        b"--b\r\nContent-Type: application/octet-stream; name=large.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
LINE = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n"
TAIL = b"\r\n--b\r\n\r\nThe last part.\r\n--b--\r\n"


def pieces():
    """The message in pieces, and at the end its size."""
    yield HEAD
    block = LINE * 10000
    for _ in range(SIZE // len(block)):
        yield block
    yield TAIL


WHOLE = len(HEAD) + SIZE // (len(LINE) * 10000) * len(LINE) * 10000 + len(TAIL)


class Server:
    def __init__(self, folder):
        ports = Ports.free()
        self.names = tabledns.Server()  # of a world without names: mail from outside is checked
        self.smtp, self.imap, self.log = ports.smtp, ports.imap, folder / "log"
        config = folder / "veredus.conf"
        config.write_text(f"""hostname = "mail.large.test"
data_dir = "{folder}/data"
listener {{
    protocol = "imap"
    address = "127.0.0.1:{self.imap}"
    plain_login = true
}}
listener {{
    protocol = "smtp"
    address = "127.0.0.1:{self.smtp}"
}}
dns {{
    server = "{self.names.address}"
}}
limits {{
    message_size = "200M"
    spool = "500M"
    throttle_loopback = false
}}
""")
        run([program(), "check-config", str(config)])
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([program(), "serve", "--config", str(config)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        until(self._is_ready, "the line `ready`")
        run([program(), "domain", "add", "large.test", "--config", str(config)])
        run([program(), "account", "add", "user@large.test", "--password-stdin", "--config", str(config)], input=b"secret\n")

    def _is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        return re.search(r"^ready$", self.log.read_text(), re.MULTILINE)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=PATIENCE) == 0
        self.names.close()
        log = self.log.read_text()
        assert not re.search(r" error |confine\.denied|Sanitizer", log), log

    def mailbox(self):
        """The process of the account."""
        found = [self.process.pid]
        for pid in found:
            found += children_of(pid)
        pids = [pid for pid in found if read_title(pid).startswith("veredus: mailbox user@")]
        return pids[0] if pids else None

    def high_water(self):
        with open(f"/proc/{until(self.mailbox, 'the mailbox')}/status") as status:
            return int(re.search(r"^VmHWM:\s+(\d+) kB", status.read(), re.MULTILINE)[1]) << 10

    def session(self):
        wire = Wire(self.imap, timeout=300)
        assert wire.line().startswith(b"* OK")
        assert wire.imap(b"l", b"LOGIN user@large.test secret")[-1].startswith(b"l OK")
        assert wire.imap(b"s", b"SELECT INBOX")[-1].startswith(b"s OK")
        return wire


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    folder.chmod(0o755)
    one = Server(folder)
    yield one
    one.stop()


def deliver(server, octets):
    with Wire(server.smtp, timeout=300) as wire:
        assert wire.reply().startswith(b"220")
        for command, code in ((b"EHLO client.example", b"250"), (b"MAIL FROM:<sender@example.org>", b"250"),
                              (b"RCPT TO:<user@large.test>", b"250"), (b"DATA", b"354")):
            assert wire.smtp(command).startswith(code)
        for piece in octets:
            wire.send(piece)
        assert wire.smtp(b".").startswith(b"250")


def fetch(wire, what, keep=200):
    """The size of the literal that comes, and its first and last octets."""
    wire.send(b"f UID FETCH * (BODY.PEEK[" + what + b"])\r\n")
    size = int(re.search(rb"\{(\d+)\}$", wire.line())[1])
    left, first, last = size, b"", b""
    while left > 0:
        piece = wire.unread[:left] or wire.socket.recv(min(left, 1 << 20))
        assert piece
        wire.unread = wire.unread[len(piece):] if wire.unread else b""
        left -= len(piece)
        first = (first + piece)[:keep]
        last = (last + piece)[-keep:]
    assert wire.until_tag(b"f")[-1].startswith(b"f OK")
    return size, first, last


def test_in_constant_memory(server):
    deliver(server, [HEAD, LINE, TAIL])
    with server.session() as wire:
        assert fetch(wire, b"2")[0] == len(LINE)
        assert wire.imap(b"t", b'SEARCH TEXT "needle"')[0] == b"* SEARCH 1"
        small = server.high_water()

        def check(what):
            growth = server.high_water() - small
            print(f"{what}: {growth >> 10} KiB more")
            assert growth < GROWTH, what

        deliver(server, pieces())
        check("delivery")
        assert wire.imap(b"n", b"NOOP")[-1].startswith(b"n OK")
        size, first, last = fetch(wire, b"")
        assert size > WHOLE and first.startswith(b"Return-Path:") and last.endswith(TAIL)
        check("BODY[]")
        assert fetch(wire, b"TEXT")[0] == WHOLE - HEAD.index(b"--b")
        check("BODY[TEXT]")
        assert fetch(wire, b"2")[0] == SIZE // (len(LINE) * 10000) * len(LINE) * 10000
        check("BODY[2]")
        assert fetch(wire, b"3")[1] == b"The last part."
        assert wire.imap(b"t", b'SEARCH TEXT "the last part"')[0] == b"* SEARCH 1 2"
        assert wire.imap(b"t", b'SEARCH BODY "is not there"')[0] == b"* SEARCH"
        check("SEARCH")
        wire.send(b"a APPEND INBOX {%d+}\r\n" % WHOLE)
        for piece in pieces():
            wire.send(piece)
        wire.send(b"\r\n")
        assert wire.until_tag(b"a")[-1].startswith(b"a OK")
        check("APPEND")
        assert fetch(wire, b"")[0] == WHOLE
        assert wire.imap(b"t", b'FETCH * (ENVELOPE BODYSTRUCTURE RFC822.SIZE)')[-1].startswith(b"t OK")
        check("all")
