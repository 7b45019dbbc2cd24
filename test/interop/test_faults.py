"""kill -9 of every role while mail comes in, and causes that keep a server from starting.

A message whose 250 was heard is there exactly once; one without an answer at most once.
"""

import collections
import os
import random
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time

import pytest

from house import PASSWORD, USER, House, Ports, fetch_all, ids_in, is_alive, message, program, read_title, until

OTHER = "other@localhost"
ACCOUNTS = [f"{USER}:{PASSWORD}", f"{OTHER}:{PASSWORD}"]
MESSAGES = 500
# How often roles are killed at random.
ROUNDS = 20 if os.environ.get("VEREDUS_LONG") else 2
SENDERS = 4


class Senders:
    """Some clients that deliver messages, each until it has heard a 250 for it or was cut off."""

    def __init__(self, house, count, name):
        self.house = house
        self.numbers = [f"{name}-{number}" for number in range(count)]
        self.acknowledged, self.unknown, self.later = set(), set(), collections.Counter()
        self.lock = threading.Lock()
        self.failure = None
        self.threads = [threading.Thread(target=self._guard, daemon=True) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def _guard(self):
        try:
            self._work()
        except Exception as error:  # told by join()
            self.failure = error

    def _work(self):
        client = None
        while True:
            with self.lock:
                if not self.numbers:
                    break
                number = self.numbers.pop()
            deadline = time.monotonic() + 120
            while True:
                sent = False
                try:
                    client = client or self.house.smtp()
                    code, text = client.rset()
                    if code == 250:
                        code, text = client.mail("sender@example.org")
                    if code == 250:
                        code, text = client.rcpt(USER)
                    if code == 250:
                        client.putcmd("DATA")
                        code, text = client.getreply()
                        assert code in (354, 421, 451), (code, text)
                        if code == 354:
                            sent = True
                            client.send(message(number) + b".\r\n")
                            code, text = client.getreply()
                    if code == 250:
                        with self.lock:
                            self.acknowledged.add(f"{number}@test.example")
                        break
                    assert 400 <= code < 500, (code, text)
                    self.later[code] += 1
                    if code == 421:  # the server hangs up
                        client.close()
                        client = None
                    # A 4xx promises that nothing was kept, so the same message is sent again.
                except (OSError, smtplib.SMTPServerDisconnected, smtplib.SMTPResponseException):
                    client = None
                    if sent:
                        # Nobody knows. RFC 5321, 4.2.5 would send it again; here it stays unknown, at most once.
                        with self.lock:
                            self.unknown.add(f"{number}@test.example")
                        break
                assert time.monotonic() < deadline, "no delivery for 120 s"
                time.sleep(0.01)
        if client:
            client.close()

    def left(self):
        return len(self.numbers)

    def join(self):
        for thread in self.threads:
            thread.join(180)
            assert not thread.is_alive(), "a sender hangs"
        if self.failure:
            raise self.failure


def check_delivered(house, *senders):
    acknowledged = set().union(*(s.acknowledged for s in senders))
    unknown = set().union(*(s.unknown for s in senders))

    # What waits in the queue as a local delivery comes by itself.
    until(lambda: acknowledged <= set(ids_in(house)), "every message with a 250 is in the mailbox")
    found = collections.Counter(ids_in(house))
    twice = {name: count for name, count in found.items() if count > 1}
    assert not twice, f"there more than once: {twice}"
    strangers = set(found) - acknowledged - unknown
    assert not strangers, strangers


@pytest.mark.parametrize("role", ["edge", "mailbox", "mailbox template", "directory", "queue", "resolver", "courier",
                                  "postmaster"])
def test_kill_a_role_while_messages_arrive(make_house, role):
    house = make_house(accounts=ACCOUNTS).start()
    house.expect_deaths()
    senders = Senders(house, MESSAGES, "m")
    killed = 0
    for remaining in (MESSAGES * 3 // 4, MESSAGES // 2, MESSAGES // 4):
        until(lambda r=remaining: senders.left() <= r, "messages arrive")
        if role == "mailbox":
            victims = [pid for pid, title in house.roles().items() if title.startswith("mailbox ") and USER in title]
        else:
            victims = house.pids(role)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
            killed += 1
        until(lambda v=victims: not any(is_alive(pid) for pid in v), "they die")
    senders.join()
    assert killed > 0 and senders.acknowledged
    if role not in ("mailbox", "mailbox template"):
        until(lambda: house.pids(role), f"{role} is started again")
    check_delivered(house, senders)
    house.restart()
    check_delivered(house, senders)


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_kill_at_random_while_messages_arrive(make_house, turn):
    house = make_house(accounts=ACCOUNTS).start()
    house.expect_deaths()
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print("seed", seed)
    senders = Senders(house, MESSAGES, "m")
    while senders.left():
        victims = [pid for pid in house.roles() if pid != house.process.pid]
        if victims:
            victim = chance.choice(victims)
            os.kill(victim, signal.SIGKILL)
        left = senders.left()
        until(lambda n=left: senders.left() <= max(0, n - 25), "messages arrive in spite of it")
    senders.join()
    check_delivered(house, senders)
    house.restart()
    check_delivered(house, senders)


def test_kill_the_supervisor_while_messages_arrive(make_house):
    house = make_house(accounts=ACCOUNTS).start()
    house.expect(r" warn ", r" error .*err=(again|closed|canceled)")
    everyone = []
    runs = []
    for turn in range(3):
        senders = Senders(house, MESSAGES // 2, f"turn{turn}")
        runs.append(senders)
        until(lambda s=senders: s.left() < MESSAGES // 4, "messages arrive")
        everyone += house.tree()
        house.kill()  # it checks that every role ends
        with senders.lock:
            senders.numbers.clear()
        house.start()
        senders.join()
    assert not any(is_alive(pid) and read_title(pid).startswith("veredus: ") for pid in everyone)
    check_delivered(house, *runs)


def test_stop_while_messages_arrive(make_house):
    """SIGTERM in the middle is clean, and takes nothing back that had a 250."""
    house = make_house(accounts=ACCOUNTS).start()
    house.expect(r" warn .*(err=(again|closed|canceled)|reply=4)")  # what the end cuts short is put off
    runs = []
    for turn in range(3):
        senders = Senders(house, MESSAGES // 2, f"stop{turn}")
        runs.append(senders)
        until(lambda s=senders: s.left() < MESSAGES // 4, "messages arrive")
        house.stop()
        with senders.lock:
            senders.numbers.clear()
        house.start()
        senders.join()
    check_delivered(house, *runs)


def test_stop_with_sessions_open(make_house):
    """Clients in the middle of anything do not hold it up, and hear that it ends."""
    house = make_house(accounts=ACCOUNTS).start()
    idle = []
    for number in range(100):
        wire = house.wire("imaps")
        wire.line()
        assert wire.imap(b"l", b"LOGIN " + (USER if number % 2 else OTHER).encode() + b" veredus")[-1].startswith(b"l OK")
        wire.imap(b"s", b"SELECT INBOX")
        wire.send(b"i IDLE\r\n" if number % 3 else b"a APPEND INBOX {1000}\r\n")
        assert wire.line().startswith(b"+")
        idle.append(wire)
    half = house.wire("smtp")
    half.line()
    half.smtp(b"EHLO client.example")
    half.smtp(b"MAIL FROM:<sender@example.org>")
    half.smtp(b"RCPT TO:<user@localhost>")
    assert half.smtp(b"DATA").startswith(b"354")
    half.send(b"Subject: half\r\n")
    silent = house.wire("submissions", tls=False)  # it never begins its handshake
    house.stop()
    for wire in (*idle, half, silent):
        assert wire.at_end()
        wire.close()
    house.start()
    assert ids_in(house) == []


def test_another_account_is_not_disturbed(make_house):
    house = make_house(accounts=ACCOUNTS).start()
    house.expect_deaths()
    undisturbed, cut = house.imap(OTHER), house.imap(USER)
    undisturbed.select("INBOX")
    cut.select("INBOX")
    assert house.mailbox_pid(OTHER) != house.mailbox_pid(USER)
    victim = house.mailbox_pid(USER)
    os.kill(victim, signal.SIGKILL)
    until(lambda: not is_alive(victim), "the end of the mailbox")
    # The session of the dead one hears BYE or the end of the stream.
    with pytest.raises((cut.abort, OSError)):
        for _ in range(1000):
            cut.noop()
            time.sleep(0.01)
    # The other goes on in the same session, and the user comes back at once.
    assert undisturbed.noop()[0] == "OK"
    assert undisturbed.append("INBOX", None, None, message("other"))[0] == "OK"

    def back():
        try:
            return house.imap(USER)
        except (OSError, cut.error):
            return None
    again = until(back, "the account is served again")
    assert again.select("INBOX")[0] == "OK"
    assert undisturbed.noop()[0] == "OK"
    assert house.mailbox_pid(USER) != victim
    undisturbed.logout()
    again.logout()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_everyone(house, number):
    """Ctrl-C in a terminal, and a service manager, signal all processes; that must be as clean."""
    client = house.imap()
    client.select("INBOX")
    assert house.mailbox_pid()
    house.stop(number, whole_group=True)
    house.check_log()  # no role died before it was told to
    house.start()


def test_idle_sessions_hear_of_a_dead_mailbox(house):
    house.expect_deaths()
    with house.wire("imaps") as wire:
        wire.line()
        wire.imap(b"l", b"LOGIN user@localhost veredus")
        wire.imap(b"s", b"SELECT INBOX")
        wire.send(b"i IDLE\r\n")
        assert wire.line().startswith(b"+")
        os.kill(house.mailbox_pid(), signal.SIGKILL)
        line = wire.line()
        assert line == b"" or line.startswith(b"* BYE"), line
        assert wire.at_end()


if os.environ.get("VEREDUS_LONG"):
    def test_an_idle_mailbox_leaves(house):
        """After half a minute without use its process ends, which is no fault, and mail brings it back."""
        with house.smtp() as client:
            client.sendmail("sender@example.org", [USER], message("before"))
        first = house.mailbox_pid()
        until(lambda: not is_alive(first), "the idle mailbox leaves", patience=120)
        with house.smtp() as client:
            client.sendmail("sender@example.org", [USER], message("after"))
        assert ids_in(house) == ["after@test.example", "before@test.example"]
        assert house.mailbox_pid() != first


# ---- what keeps it from starting: one line that says what to do ----


def refused(command, *words, status=1, **options):
    """It ends by itself with the status; what it says is one line that has all the words."""
    done = subprocess.run([program(), *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, **options)
    text = done.stderr.decode()
    assert done.returncode == status, (done.returncode, text)
    assert b"ready" not in done.stdout
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    for word in words:
        assert word in lines[0], (word, lines[0])
    return lines[0]


def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


@pytest.mark.parametrize("service", Ports.SERVICES)
def test_port_in_use(tmp_path, service):
    ports = Ports.free()
    port = getattr(ports, service)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        refused(["localserve", "--dir", tmp_path / "data", "--port-offset", str(ports.offset)], str(port), "port-offset")
    # It leaves nothing behind that would disturb the next start.
    House(tmp_path / "data").start().stop()


def test_directory_in_use(house):
    line = refused(["localserve", "--dir", house.directory, "--port-offset", str(Ports.free().offset)], house.directory,
                   "another veredus")
    assert "--dir" in line


def test_directory_that_cannot_be_written(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    # Root may write anywhere, so it is tried as somebody else.
    options = {}
    if os.geteuid() == 0:
        for folder in (data, *tmp_path.parents[:3], tmp_path):
            folder.chmod(folder.stat().st_mode | 0o055)
        options["preexec_fn"] = as_nobody
    else:
        data.chmod(0o555)
    refused(["localserve", "--dir", data, "--port-offset", str(Ports.free().offset)], str(data), "--dir", **options)


def test_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file", tmp_path / "no" / "such" / "place"):
        refused(["localserve", "--dir", path, "--port-offset", str(Ports.free().offset)], str(path))


def configuration(tmp_path, text="", listener=True):
    file = tmp_path / "veredus.conf"
    port = Ports.free().smtp
    lines = [f'hostname = "mail.example.org"\ndata_dir = "{tmp_path / "data"}"\n']
    if listener:
        lines.append(f'listener {{ protocol = "smtp" address = "127.0.0.1:{port}" }}\n')
    file.write_text("".join(lines) + text)
    return file


def make_certificate(tmp_path, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                    "/CN=mail.example.org", "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)


def with_tls(tmp_path, certificate, key):
    return configuration(tmp_path, f'tls {{\n certificate = "{tmp_path}/{certificate}"\n key = "{tmp_path}/{key}"\n}}\n')


def test_missing_certificate(tmp_path):
    make_certificate(tmp_path, "one")
    file = with_tls(tmp_path, "no.pem", "one.key")
    refused(["serve", "--config", file], "no.pem", f"{file}:5", "Correct")
    file = with_tls(tmp_path, "one.pem", "no.key")
    refused(["serve", "--config", file], "no.key", f"{file}:6", "Correct")


def test_certificate_that_does_not_fit(tmp_path):
    """That is found by the role that holds the keys: more lines, but one says what to do."""
    make_certificate(tmp_path, "one")
    make_certificate(tmp_path, "two")
    (tmp_path / "text.pem").write_text("no certificate")
    for certificate, key in (("one.pem", "two.key"), ("text.pem", "one.key"), ("one.pem", "text.pem"), ("one.pem", "one.pem")):
        file = with_tls(tmp_path, certificate, key)
        done = subprocess.run([program(), "serve", "--config", file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 1 and b"ready" not in done.stdout
        assert b"correct tls { certificate, key }" in done.stderr, done.stderr


@pytest.mark.parametrize("text, words", [
    ("log_level = \"loud\"\n", ("log_level",)),
    ("limits { recipients = 5 }\n", ("recipients",)),
    ("no_such_option = 1\n", ("no_such_option",)),
    ("limits {\n", ()),
    ("listener { protocol = \"gopher\" address = \"127.0.0.1:70\" }\n", ("gopher",)),
])
def test_broken_configuration(tmp_path, text, words):
    file = configuration(tmp_path, text)
    line = refused(["serve", "--config", file], str(file), *words)
    assert line == refused(["check-config", file], str(file), *words)
    # file:line
    assert any(f"{file}:{number}" in line for number in range(4, 7)), line


def test_no_configuration(tmp_path):
    refused(["serve", "--config", tmp_path / "none.conf"], "none.conf", "quickstart")


def test_good_configuration(tmp_path):
    file = configuration(tmp_path)
    done = subprocess.run([program(), "check-config", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("arguments", [["localserve", "--no-such-option"], ["localserve", "--port-offset", "many"],
                                       ["localserve", "--account", "nobody"], ["no-such-command"], []])
def test_wrong_usage(arguments):
    done = subprocess.run([program(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60)
    assert done.returncode == 2, done
    assert done.stderr.strip(), "it says what is wrong"


def test_too_few_descriptors(tmp_path):
    import resource

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    line = refused(["localserve", "--dir", tmp_path / "data", "--port-offset", str(Ports.free().offset)], "descriptors",
                   preexec_fn=few)
    assert "ulimit" in line


def test_ordinary_user(make_house, tmp_path):
    """Root is not needed; nothing of the service differs."""
    if os.geteuid() != 0:
        pytest.skip("every other test runs as an ordinary user already")
    for folder in (*tmp_path.parents[:3], tmp_path):
        folder.chmod(folder.stat().st_mode | 0o055)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    house = make_house(directory=home / "data", preexec=as_nobody)
    house.start()
    with house.smtp() as client:
        client.sendmail("sender@example.org", [USER], message("plain-user"))
    assert ids_in(house) == ["plain-user@test.example"]
    house.restart()
    assert ids_in(house) == ["plain-user@test.example"]
