"""mbsync keeps 20 mailboxes equal on both sides, through conflicts and through death on either side.

After the last run the two sides must agree on every message and flag; what nobody deleted is
there exactly once, what somebody deleted is gone.
"""

import collections
import os
import pathlib
import ssl
import subprocess

import pytest

from house import PASSWORD, USER, is_alive, message, message_id, needs, run, until

MAILBOXES = [f"box{number:02}" for number in range(20)]
MESSAGES = 5000
IMAP_OF_MAILDIR = {"S": "\\Seen", "F": "\\Flagged", "R": "\\Answered", "D": "\\Draft", "T": "\\Deleted"}


class Maildir:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def make(self):
        for name in ("cur", "new", "tmp"):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def add(self, name, raw):
        # Maildir files have Unix line ends.
        (self.path / "tmp" / name).write_bytes(raw.replace(b"\r\n", b"\n"))
        os.rename(self.path / "tmp" / name, self.path / "cur" / f"{name}:2,")

    def files(self):
        return [path for folder in ("cur", "new") for path in (self.path / folder).iterdir()] if self.path.is_dir() else []

    def by_id(self):
        return {message_id(path.read_bytes()): path for path in self.files()}

    @staticmethod
    def flag(path, letter):
        base, _, flags = path.name.partition(":2,")
        path.rename(path.parent.parent / "cur" / (base + ":2," + "".join(sorted(set(flags + letter)))))

    def state(self):
        """message id -> its flags, once for each file."""
        found = []
        for path in self.files():
            letters = path.name.partition(":2,")[2]
            found.append((message_id(path.read_bytes()), frozenset(IMAP_OF_MAILDIR[x] for x in letters if x in IMAP_OF_MAILDIR)))
        return collections.Counter(found)


class Sides:
    """The server, the folders on disk, and mbsync between them."""

    def __init__(self, house, home):
        self.house, self.home = house, home
        self.mail = home / "mail"
        self.mail.mkdir()
        certificate = home / "certificate.pem"
        certificate.write_text(ssl.get_server_certificate(("127.0.0.1", house.ports.imaps), timeout=60))
        self.configuration = home / "mbsyncrc"
        # FSync: the machine stays up, so what mbsync wrote before it is killed is there.
        self.configuration.write_text(f"""FSync no

IMAPAccount server
Host 127.0.0.1
Port {house.ports.imaps}
User {USER}
Pass {PASSWORD}
AuthMechs LOGIN
SSLType IMAPS
CertificateFile {certificate}

IMAPStore server
Account server

MaildirStore disk
Path {self.mail}/
Inbox {self.mail}/INBOX
SubFolders Verbatim

Channel all
Far :server:
Near :disk:
Patterns box*
Create Both
Expunge Both
Sync All
SyncState *
""")
        self.command = [needs("mbsync"), "-c", str(self.configuration), "-q", "all"]

    def maildir(self, name):
        return Maildir(self.mail / name)

    def start(self):
        return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def sync(self):
        return run(self.command)

    def login(self):
        wire = self.house.wire("imaps")
        wire.line()
        assert wire.imap(b"l", f"LOGIN {USER} {PASSWORD}".encode())[-1].startswith(b"l OK")
        return wire

    def append(self, wire, name, raws):
        """All in one go, as LITERAL+ allows."""
        octets = b"".join(b"a%d APPEND %s {%d+}\r\n%s\r\n" % (n, name.encode(), len(raw), raw) for n, raw in enumerate(raws))
        wire.send(octets)
        for number in range(len(raws)):
            answer = wire.until_tag(b"a%d" % number)[-1]
            assert b" OK " in answer, answer

    def server_state(self):
        states = {}
        client = self.house.imap()
        for name in MAILBOXES:
            assert client.select(name, readonly=True)[0] == "OK"
            _, data = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
            found = []
            for part in data:
                if isinstance(part, tuple):
                    flags = part[0].decode().partition("FLAGS (")[2].partition(")")[0].split()
                    found.append((message_id(part[1]), frozenset(flags) - {"\\Recent"}))
            states[name] = collections.Counter(found)
        client.logout()
        return states

    def disk_state(self):
        return {name: self.maildir(name).state() for name in MAILBOXES}

    def counts(self):
        return sum(len(self.maildir(name).files()) for name in MAILBOXES)

    def assert_equal(self):
        server, disk = self.server_state(), self.disk_state()
        for name in MAILBOXES:
            assert server[name] == disk[name], (name, list((server[name] - disk[name]).items())[:5],
                                                list((disk[name] - server[name]).items())[:5])
        return server


def id_of(name, side, number):
    return f"{name}-{side}-{number}"


def raws_of(name, side, numbers):
    return [message(id_of(name, side, number), body=f"{side} {number}\r\n.\r\nlast line\r\n") for number in numbers]


def fill(sides, numbers):
    """As many new messages on each side, all of them different ones."""
    wire = sides.login()
    for name in MAILBOXES:
        if not sides.maildir(name).path.is_dir():
            assert wire.imap(b"c", b"CREATE " + name.encode())[-1].startswith(b"c OK")
            sides.maildir(name).make()
        sides.append(wire, name, raws_of(name, "far", numbers))
        for number, raw in zip(numbers, raws_of(name, "near", numbers)):
            sides.maildir(name).add(id_of(name, "near", number), raw)
    wire.close()


def change_both(sides):
    """Of the first eight messages that came from each side; returns (deleted ids, id -> flags)."""
    deleted, flagged = set(), {}
    wire = sides.login()
    for name in MAILBOXES:
        wire.imap(b"s", b"SELECT " + name.encode())
        here = sides.maildir(name).by_id()

        def server(item, *numbers, name=name):
            for side in ("far", "near"):
                for number in numbers:
                    found = b" ".join(wire.imap(b"q", b"UID SEARCH HEADER Message-ID <%s@test.example>" %
                                                id_of(name, side, number).encode()))
                    uid = found.partition(b"* SEARCH ")[2].split()[0]
                    assert wire.imap(b"t", b"UID STORE %s %s" % (uid, item))[-1].startswith(b"t OK")

        def disk(letter, *numbers, here=here, name=name):
            for side in ("far", "near"):
                for number in numbers:
                    path = here[f"{id_of(name, side, number)}@test.example"]
                    if letter:
                        Maildir.flag(path, letter)
                    else:
                        path.unlink()

        def ids(number, name=name):
            return [f"{id_of(name, side, number)}@test.example" for side in ("far", "near")]

        server(b"+FLAGS (\\Flagged)", 0, 1)  # 0: the server alone; 1: different flags on both sides
        disk("S", 1, 2)  # 2: the disk alone
        server(b"+FLAGS (\\Answered)", 3)  # 3: the same flag on both sides
        disk("R", 3)
        server(b"+FLAGS (\\Deleted)", 4, 5)  # 4: deleted by the server, flagged on disk; 5: deleted by both
        disk("F", 4)
        disk("", 5, 6)  # 6: deleted on disk, flagged by the server
        server(b"+FLAGS (\\Flagged)", 6)
        assert wire.imap(b"e", b"EXPUNGE")[-1].startswith(b"e OK")
        for number in (4, 5, 6):
            deleted.update(ids(number))
        for number, flags in ((0, {"\\Flagged"}), (1, {"\\Flagged", "\\Seen"}), (2, {"\\Seen"}), (3, {"\\Answered"})):
            flagged.update({name: flags for name in ids(number)})
    wire.close()
    return deleted, flagged


def test_conflicts_and_deaths(house, tmp_path):
    sides = Sides(house, tmp_path)
    each = MESSAGES // len(MAILBOXES) // 4  # of each side, in each of two rounds
    fill(sides, range(each))
    sides.sync()
    state = sides.assert_equal()
    assert sum(state[name].total() for name in MAILBOXES) == len(MAILBOXES) * each * 2

    deleted, flagged = change_both(sides)
    fill(sides, range(each, 2 * each))

    # The first attempt dies itself, in the middle: when it has fetched some but not all.
    before = sides.counts()
    attempt = sides.start()
    until(lambda: sides.counts() > before or attempt.poll() is not None, "mbsync fetches something")
    attempt.kill()
    attempt.communicate()
    assert attempt.returncode == -9, "mbsync was done before it was killed"
    # The next one loses its server in the middle, and the one after it repairs everything.
    house.expect_deaths()
    victim = house.mailbox_pid()
    before = sides.counts()
    attempt = sides.start()
    until(lambda: sides.counts() != before or attempt.poll() is not None, "mbsync goes on")
    os.kill(victim, 9)
    until(lambda: not is_alive(victim), "the end of the mailbox")
    output, _ = attempt.communicate(timeout=300)
    assert attempt.returncode != 0, "mbsync was done before its server died"
    for _ in range(5):
        done = subprocess.run(sides.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=300)
        if done.returncode == 0:
            break
    assert done.returncode == 0, (output, done.stdout)
    sides.sync()

    state = sides.assert_equal()
    found = collections.Counter()
    flags_of = {}
    for name in MAILBOXES:
        for (identity, flags), count in state[name].items():
            found[identity] += count
            flags_of[identity] = flags
    expected = {f"{id_of(name, side, number)}@test.example" for name in MAILBOXES for side in ("far", "near")
                for number in range(2 * each)} - deleted
    assert set(found) == expected, (list(set(found) - expected)[:5], list(expected - set(found))[:5])
    assert [identity for identity, count in found.items() if count != 1] == []
    for identity, flags in flags_of.items():
        assert flags == flagged.get(identity, set()), (identity, flags, flagged.get(identity))


def test_again_and_again_changes_nothing(house, tmp_path):
    sides = Sides(house, tmp_path)
    fill(sides, range(2))
    sides.sync()
    before = sides.assert_equal()
    for _ in range(2):
        sides.sync()
    assert sides.assert_equal() == before


def test_a_large_message_both_ways(house, tmp_path):
    sides = Sides(house, tmp_path)
    fill(sides, range(1))
    large = ["far-large", "near-large"]
    body = ("0123456789" * 7 + "\r\n") * 30000
    wire = sides.login()
    sides.append(wire, MAILBOXES[0], [message(large[0], body=body)])
    wire.close()
    sides.maildir(MAILBOXES[0]).add("large", message(large[1], body=body))
    sides.sync()
    sides.assert_equal()
    by_id = sides.maildir(MAILBOXES[0]).by_id()
    for name in large:
        text = by_id[f"{name}@test.example"].read_bytes()
        assert text.partition(b"\n\n")[2] == body.encode().replace(b"\r\n", b"\n")
    client = house.imap()
    client.select(MAILBOXES[0])
    for name in large:
        _, (number,) = client.search(None, "HEADER", "Message-ID", f"{name}@test.example")
        _, data = client.fetch(number, "(BODY.PEEK[TEXT])")
        assert data[0][1] == body.encode()
    client.logout()
