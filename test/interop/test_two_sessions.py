"""Sessions of one account see each other at once; pipelining, LITERAL+, and the way back to the greeter."""

import re
import threading

import pytest

from house import PASSWORD, USER, Wire, deliver, message


@pytest.fixture
def session(shared_house):
    """Makes logged-in raw sessions."""
    wires = []

    def make(mailbox=None):
        wire = shared_house.wire("imaps")
        wires.append(wire)
        assert wire.line().startswith(b"* OK")
        assert wire.imap(b"l", b"LOGIN user@localhost veredus")[-1].startswith(b"l OK")
        if mailbox:
            assert wire.imap(b"s", b"SELECT " + mailbox)[-1].startswith(b"s OK")
        return wire

    yield make
    for wire in wires:
        wire.close()


@pytest.fixture
def mailbox(session, request):
    """A mailbox of the test's own."""
    name = re.sub(r"\W", "-", request.node.name).encode()
    wire = session()
    assert wire.imap(b"c", b"CREATE " + name)[-1].startswith(b"c OK")
    return name


def append(wire, mailbox, raw, flags=b""):
    wire.send(b"a APPEND %s %s{%d+}\r\n%s\r\n" % (mailbox, flags, len(raw), raw))
    assert b" OK " in wire.until_tag(b"a")[-1]


def idle(wire):
    wire.send(b"i IDLE\r\n")
    line = wire.line()
    assert line.startswith(b"+"), line


def done(wire):
    wire.send(b"DONE\r\n")
    assert wire.until_tag(b"i")[-1].startswith(b"i OK")


def lines_until(wire, wanted):
    """Reads untagged lines until one has what is wanted."""
    lines = []
    while True:
        line = wire.line()
        assert line, (wanted, lines)
        lines.append(line)
        if wanted in line:
            return lines


def test_idle_hears_of_everything(session, mailbox):
    """New messages, flags, removals and moves, each without being asked for."""
    watcher, worker = session(mailbox), session(mailbox)
    idle(watcher)
    append(worker, mailbox, message("idle-1"))
    lines_until(watcher, b"* 1 EXISTS")
    append(worker, mailbox, message("idle-2"))
    lines_until(watcher, b"* 2 EXISTS")
    worker.imap(b"t", b"STORE 1 +FLAGS (\\Flagged keyword)")
    told = lines_until(watcher, b"* 1 FETCH ")[-1]
    assert b"\\Flagged" in told and b"keyword" in told
    worker.imap(b"t", b"STORE 2 +FLAGS (\\Deleted)")
    lines_until(watcher, b"* 2 FETCH ")
    worker.imap(b"e", b"EXPUNGE")
    lines_until(watcher, b"* 2 EXPUNGE")
    worker.imap(b"m", b"MOVE 1 Archive")
    lines_until(watcher, b"* 1 EXPUNGE")
    done(watcher)


def test_idle_hears_of_a_delivery(shared_house, session):
    watcher = session(b"INBOX")
    idle(watcher)
    deliver(shared_house, message("delivered"))
    assert any(re.fullmatch(rb"\* \d+ EXISTS", line) for line in lines_until(watcher, b" EXISTS"))
    done(watcher)
    assert b"delivered" in b"".join(watcher.imap(b"f", b"FETCH * (BODY.PEEK[HEADER.FIELDS (Subject)])"))


def test_many_idle_sessions(session, mailbox):
    watchers = [session(mailbox) for _ in range(20)]
    for watcher in watchers:
        idle(watcher)
    worker = session(mailbox)
    append(worker, mailbox, message("many"))
    for watcher in watchers:
        lines_until(watcher, b"* 1 EXISTS")
        done(watcher)


def test_a_command_hears_of_it_too(session, mailbox):
    """Without IDLE the next command tells; sequence numbers do not move under a FETCH (RFC 3501, 7.4.1)."""
    watcher, worker = session(mailbox), session()
    for number in range(3):
        append(worker, mailbox, message(f"noop-{number}"))
    assert b"* 3 EXISTS" in watcher.imap(b"n", b"NOOP")
    worker.imap(b"s", b"SELECT " + mailbox)
    worker.imap(b"t", b"STORE 1 +FLAGS (\\Deleted)")
    worker.imap(b"e", b"EXPUNGE")
    fetched = watcher.imap(b"f", b"FETCH 2:3 UID")
    assert not any(b"EXPUNGE" in line for line in fetched), fetched
    assert b"* 2 FETCH (UID 2)" in fetched and b"* 3 FETCH (UID 3)" in fetched, fetched
    assert b"* 1 EXPUNGE" in watcher.imap(b"n", b"NOOP")
    assert b"* 1 FETCH (UID 2)" in watcher.imap(b"f", b"FETCH 1 UID")


def test_two_sessions_write_at_once(session, mailbox):
    """Both append and change flags as fast as they can; afterwards they agree."""
    wires = [session(mailbox) for _ in range(4)]
    failures = []

    def work(wire, which):
        try:
            for number in range(25):
                append(wire, mailbox, message(f"at-once-{which}-{number}"))
                wire.imap(b"t", b"STORE * +FLAGS (k%d)" % which)
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=work, args=(wire, which)) for which, wire in enumerate(wires)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures, failures
    views = []
    for wire in wires:
        assert wire.imap(b"n", b"NOOP")[-1].startswith(b"n OK")
        # \Recent belongs to one session only.
        views.append([re.sub(rb"\\Recent ?", b"", line) for line in wire.imap(b"f", b"FETCH 1:* (UID FLAGS)")])
    assert len(views[0]) == 101
    assert all(sorted(view) == sorted(views[0]) for view in views)


def test_pipelined_commands(session, mailbox):
    """All in one packet; the answers come in order, as if they had been said one by one."""
    wire = session()
    raw = message("pipelined")
    octets = b"".join([
        b"p1 SELECT %s\r\n" % mailbox,
        b"p2 APPEND %s (\\Seen) {%d+}\r\n%s\r\n" % (mailbox, len(raw), raw),
        b"p3 NOOP\r\n",
        b"p4 FETCH 1 (FLAGS BODY.PEEK[TEXT])\r\n",
        b"p5 STORE 1 +FLAGS.SILENT (\\Deleted)\r\n",
        b"p6 EXPUNGE\r\n",
        b"p7 STATUS %s (MESSAGES UIDNEXT)\r\n" % mailbox,
        b"p8 nonsense\r\n",
        b"p9 CAPABILITY\r\n"])
    wire.send(octets)
    answers = {}
    for number in range(1, 10):
        answers[number] = wire.until_tag(b"p%d" % number)
    assert b"* 1 EXISTS" in answers[2] + answers[3]
    assert b"Hello.\r\n" in answers[4]
    assert b"* 1 EXPUNGE" in answers[6]
    assert b"MESSAGES 0" in b"".join(answers[7]) and b"UIDNEXT 2" in b"".join(answers[7])
    assert answers[8][-1].startswith(b"p8 BAD")
    for number in set(range(1, 10)) - {8}:
        assert b" OK " in answers[number][-1], answers[number]


def test_commands_behind_the_login(shared_house):
    """Everything from the login on in one packet: the hand-over must lose nothing, not even half a literal."""
    raw = message("handed-over", body="x" * 3000 + "\r\n")
    octets = b"l LOGIN {14+}\r\nuser@localhost {7+}\r\nveredus\r\na APPEND INBOX {%d+}\r\n%s\r\nb SELECT INBOX\r\n" % (len(raw), raw)
    for cut in (0, 5, 40, 60, 90, 1000, len(octets) - 1):
        with shared_house.wire("imaps") as wire:
            assert wire.line().startswith(b"* OK")
            wire.send(octets[:cut])
            wire.send(octets[cut:])
            assert wire.until_tag(b"l")[-1].startswith(b"l OK")
            assert b"APPENDUID" in wire.until_tag(b"a")[-1]
            assert wire.until_tag(b"b")[-1].startswith(b"b OK")
            fetched = wire.imap(b"f", b"FETCH * BODY.PEEK[]")
            assert fetched[1] == raw


def test_synchronising_literals(session, mailbox):
    wire = session(mailbox)
    raw = message("literal")
    wire.send(b"a APPEND {%d}\r\n" % len(mailbox))
    assert wire.line().startswith(b"+")
    wire.send(mailbox + b" {%d}\r\n" % len(raw))
    assert wire.line().startswith(b"+")
    wire.send(raw + b"\r\n")
    assert b"APPENDUID" in wire.until_tag(b"a")[-1]


@pytest.mark.parametrize("tls", [True, False])
def test_unauthenticate(shared_house, tls):
    """RFC 8437: the session comes back to the greeter and can log in again, with commands behind it in one packet."""
    if tls:
        wire = shared_house.wire("imaps")
        greeting = wire.line()
    else:
        wire = shared_house.wire("imap", tls=False)
        greeting = wire.line()
        assert wire.imap(b"t", b"STARTTLS")[-1].startswith(b"t OK")
        wire.start_tls()
    assert greeting.startswith(b"* OK")
    for turn in range(3):
        assert wire.imap(b"l", b"LOGIN user@localhost veredus")[-1].startswith(b"l OK")
        assert wire.imap(b"s", b"SELECT INBOX")[-1].startswith(b"s OK")
        if turn == 0:
            assert wire.imap(b"u", b"UNAUTHENTICATE")[-1].startswith(b"u OK")
        else:
            wire.send(b"u UNAUTHENTICATE\r\nc CAPABILITY\r\ns SELECT INBOX\r\nl LOGIN user@localhost wrong\r\n")
            assert wire.until_tag(b"u")[-1].startswith(b"u OK")
            assert wire.until_tag(b"c")[-1].startswith(b"c OK")
            assert not wire.until_tag(b"s")[-1].startswith(b"s OK")
            assert wire.until_tag(b"l")[-1].startswith(b"l NO [AUTHENTICATIONFAILED]")
    assert not wire.imap(b"f", b"FETCH 1 UID")[-1].startswith(b"f OK")
    assert wire.imap(b"o", b"LOGOUT")[-1].startswith(b"o OK")
    assert wire.at_end()
    wire.close()


def test_unauthenticate_into_another_account(make_house):
    house = make_house(accounts=[f"{USER}:{PASSWORD}", "other@localhost:secret"]).start()
    with house.wire("imaps") as wire:
        wire.line()
        assert wire.imap(b"l", b"LOGIN user@localhost veredus")[-1].startswith(b"l OK")
        append(wire, b"INBOX", message("of-the-user"))
        wire.send(b"u UNAUTHENTICATE\r\nl LOGIN other@localhost secret\r\ns SELECT INBOX\r\n")
        assert wire.until_tag(b"u")[-1].startswith(b"u OK")
        assert wire.until_tag(b"l")[-1].startswith(b"l OK")
        assert b"* 0 EXISTS" in wire.until_tag(b"s")


def test_no_password_in_the_clear(shared_house):
    with Wire(shared_house.ports.imap) as wire:
        assert b"LOGINDISABLED" in wire.line()
        assert wire.imap(b"l", b"LOGIN user@localhost veredus")[-1].startswith(b"l NO [PRIVACYREQUIRED]")
        assert wire.imap(b"a", b"AUTHENTICATE PLAIN AHVzZXJAbG9jYWxob3N0AHZlcmVkdXM=")[-1].startswith(b"a NO")


def test_authenticate_plain(shared_house):
    for command, follow in ((b"AUTHENTICATE PLAIN AHVzZXJAbG9jYWxob3N0AHZlcmVkdXM=", None),
                            (b"AUTHENTICATE PLAIN", b"AHVzZXJAbG9jYWxob3N0AHZlcmVkdXM=\r\n")):
        with shared_house.wire("imaps") as wire:
            wire.line()
            wire.send(b"a " + command + b"\r\n")
            if follow:
                assert wire.line().startswith(b"+")
                wire.send(follow)
            assert wire.until_tag(b"a")[-1].startswith(b"a OK")
