"""A running `veredus localserve` for the tests of this folder, and clients to talk to it.

Nothing here waits for a fixed time: what is expected is polled for, with a bound that is far
above what it takes on a busy machine.
"""

import atexit
import contextlib
import functools
import imaplib
import os
import pathlib
import random
import re
import select
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

PATIENCE = 60  # seconds until something that should happen counts as not happening
STOP_PATIENCE = 15  # the contract: status 0 within 15 s of SIGTERM
USER, PASSWORD = "user@localhost", "veredus"

# The lines of the log that no test asks for and that say nothing is wrong: the watchdog
# speaks when the machine is busy.
HARMLESS = (r" warn loop\.slow ",)
# What a line of the log must not be, unless the test expected it.
ALARMING = re.compile(r"^\S+ (warn|error) |confine\.denied|confine: |^veredus: |Sanitizer|Assertion")


def program():
    path = os.environ.get("VEREDUS")
    if not path or not os.access(path, os.X_OK):
        pytest.fail("VEREDUS must be the path of the program (./dev test sets it)")
    return for_everyone(os.path.abspath(path))


@functools.cache
def for_everyone(path):
    """Some tests run it as another user, who may not enter a source tree below /root: then, a copy."""
    folders = pathlib.Path(path).parents
    if os.geteuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in folders):
        return path
    place = tempfile.mkdtemp(prefix="veredus-program-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    os.chmod(place, 0o755)
    return shutil.copy(path, place)


def until(condition, what, patience=PATIENCE):
    """Polls until condition() is true and returns what it returned."""
    deadline = time.monotonic() + patience
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def insecure_tls():
    """The certificate of localserve is self-signed, so there is nothing to check it with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Ports:
    SERVICES = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993}

    def __init__(self, offset):
        self.offset = offset
        for name, port in self.SERVICES.items():
            setattr(self, name, port + offset)

    @classmethod
    def free(cls):
        """An offset whose ports nobody has, below those the kernel gives to clients."""
        while True:
            ports = cls(random.randrange(2000, 31000))
            if all(ports._is_free(port + ports.offset) for port in cls.SERVICES.values()):
                return ports

    @staticmethod
    def _is_free(port):
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError as error:
                    if family == socket.AF_INET or error.errno == 98:
                        return False
        return True


def read_title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").strip().decode(errors="replace")
    except OSError:
        return ""


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def is_alive(pid):
    """A zombie is not alive."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class House:
    """One server on one directory; it can be started again on the same one."""

    def __init__(self, directory, accounts=(), extra=(), preexec=None):
        self.directory = str(directory)
        self.accounts = list(accounts)
        self.extra = list(extra)
        self.preexec = preexec
        self.ports = None
        self.process = None
        self.output = []  # lines of standard output
        self.log = []  # lines of standard error
        self.expected = [re.compile(pattern) for pattern in HARMLESS]
        self._readers = []

    # ---- life ----

    def start(self):
        for _ in range(5):
            self.ports = self.ports or Ports.free()
            if self._start_once():
                return self
            self.ports = None  # another program was faster; its line in the log is no news
            self.log.clear()
        pytest.fail("no free ports")

    def _start_once(self):
        self.output = []
        seen = len(self.log)
        command = [program(), "localserve", "--dir", self.directory, "--port-offset", str(self.ports.offset)]
        for account in self.accounts:
            command += ["--account", account]
        self.process = subprocess.Popen(command + self.extra, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, preexec_fn=self.preexec, start_new_session=True)
        self._readers = []
        for stream, lines in ((self.process.stdout, self.output), (self.process.stderr, self.log)):
            reader = threading.Thread(target=self._collect, args=(stream, lines), daemon=True)
            reader.start()
            self._readers.append(reader)
        until(lambda: "ready" in self.output or self.process.poll() is not None, "the line `ready`")
        if "ready" in self.output:
            return True
        self._join()
        if any("Address already in use" in line for line in self.log[seen:]):
            return False
        pytest.fail("localserve ended with status %s\n%s" % (self.process.returncode, "\n".join(self.log)))

    @staticmethod
    def _collect(stream, lines):
        for line in stream:
            lines.append(line.rstrip(b"\n").decode(errors="replace"))
        stream.close()

    def _join(self):
        for reader in self._readers:
            reader.join(PATIENCE)

    def stop(self, signal_number=signal.SIGTERM, whole_group=False):
        """SIGTERM must end it with status 0 in time, and leave none of its processes."""
        if self.process is None:
            return
        everyone = self.tree()
        if whole_group:
            os.killpg(self.process.pid, signal_number)
        else:
            self.process.send_signal(signal_number)
        try:
            status = self.process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            titles = {pid: read_title(pid) for pid in everyone if is_alive(pid)}
            self.kill()
            pytest.fail(f"still running {STOP_PATIENCE} s after SIGTERM: {titles}\n" + "\n".join(self.log[-30:]))
        self._join()
        self.process = None
        assert status == 0, "ended with status %s\n%s" % (status, "\n".join(self.log[-30:]))
        until(lambda: not any(is_alive(pid) for pid in everyone), "the end of every role after SIGTERM")

    def kill(self):
        """kill -9 of the supervisor; every role must follow it."""
        if self.process is None:
            return
        everyone = self.tree()
        self.process.kill()
        self.process.wait()
        self.process = None
        until(lambda: not any(is_alive(pid) for pid in everyone), "the end of every role after the supervisor's")
        self._join()

    def restart(self):
        self.stop()
        return self.start()

    # ---- its processes ----

    def tree(self):
        """The pids of the supervisor and of all below it."""
        found = [self.process.pid]
        for pid in found:
            found += children_of(pid)
        return found

    def roles(self):
        """pid -> title, without "veredus: "."""
        titles = {pid: read_title(pid) for pid in self.tree()}
        return {pid: title[len("veredus: "):] for pid, title in titles.items() if title.startswith("veredus: ")}

    def pids(self, role):
        """Of "edge", "directory", "mailbox template", or "mailbox user@localhost"."""
        return sorted(pid for pid, title in self.roles().items() if title == role or title.split()[0] == role)

    def mailbox_pid(self, account=USER):
        return until(lambda: [pid for pid, title in self.roles().items()
                              if title.startswith("mailbox ") and account in title], f"the mailbox of {account}")[0]

    # ---- the log ----

    def expect(self, *patterns):
        """Lines that this test makes appear in the log on purpose."""
        self.expected += [re.compile(pattern) for pattern in patterns]

    def expect_deaths(self):
        """What a log says when roles are killed: their end and what it cuts short."""
        self.expect(r" warn ", r" error role\.start\.failed .*err=(again|closed)")  # killed before it was ready

    def check_log(self):
        alarms = [line for line in self.log
                  if ALARMING.search(line) and not any(pattern.search(line) for pattern in self.expected)]
        assert not alarms, "the log has lines that the test did not ask for:\n" + "\n".join(alarms[:40])

    # ---- clients ----

    def imap(self, account=USER, password=PASSWORD, login=True):
        client = imaplib.IMAP4_SSL("127.0.0.1", self.ports.imaps, ssl_context=insecure_tls(), timeout=PATIENCE)
        if login:
            client.login(account, password)
        return client

    def smtp(self, timeout=PATIENCE):
        client = smtplib.SMTP("127.0.0.1", self.ports.smtp, local_hostname="client.example", timeout=timeout)
        client.ehlo()
        return client

    def submission(self, account=USER, password=PASSWORD):
        client = smtplib.SMTP_SSL("127.0.0.1", self.ports.submissions, local_hostname="client.example",
                                  context=insecure_tls(), timeout=PATIENCE)
        client.login(account, password)
        return client

    def wire(self, service, tls=None):
        """A raw connection to a service; tls: from the first octet (default: as the service wants it)."""
        wire = Wire(getattr(self.ports, service))
        if tls if tls is not None else service in ("imaps", "submissions"):
            wire.start_tls()
        return wire


class Wire:
    """A connection read line by line, written octet for octet."""

    def __init__(self, port, timeout=PATIENCE):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def start_tls(self):
        self.socket = insecure_tls().wrap_socket(self.socket, server_hostname="localhost")
        self.unread = b""
        return self

    def send(self, octets):
        self.socket.sendall(octets)

    def line(self):
        """The next line without CRLF; b"" at the end of the stream."""
        while b"\n" not in self.unread:
            got = self.socket.recv(65536)
            if not got:
                line, self.unread = self.unread, b""
                return line
            self.unread += got
        line, _, self.unread = self.unread.partition(b"\n")
        return line.rstrip(b"\r")

    def read_exactly(self, count):
        while len(self.unread) < count:
            got = self.socket.recv(65536)
            assert got, "the server hung up in the middle of a literal"
            self.unread += got
        octets, self.unread = self.unread[:count], self.unread[count:]
        return octets

    def reply(self):
        """An SMTP reply: its last line."""
        while True:
            line = self.line()
            if len(line) < 4 or line[3:4] != b"-":
                return line

    def smtp(self, command):
        self.send(command + b"\r\n")
        return self.reply()

    def until_tag(self, tag):
        """The lines up to the tagged one, which is the last; literals are lines of their own."""
        lines = []
        while True:
            line = self.line()
            lines.append(line)
            literal = re.search(rb"\{(\d+)\}$", line)
            if literal:
                lines.append(self.read_exactly(int(literal[1])))
            elif not line or line.startswith(tag + b" "):
                return lines

    def imap(self, tag, command):
        self.send(tag + b" " + command + b"\r\n")
        return self.until_tag(tag)

    def is_silent(self, seconds):
        """Whether nothing arrives for a while. Only for what must never come."""
        if self.unread:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return False
        return not select.select([self.socket], [], [], seconds)[0]

    def at_end(self):
        """Whether the server hung up, after what it still had to say."""
        try:
            while self.line():
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def message(number, body="Hello.\r\n", subject=None):
    """A small message with an id that tests find it by."""
    return (f"From: Sender <sender@example.org>\r\nTo: user@localhost\r\nSubject: {subject or f'number {number}'}\r\n"
            f"Date: Mon, 20 Jan 2025 10:00:00 +0000\r\nMessage-ID: <{number}@test.example>\r\n\r\n{body}").encode()


def message_id(raw):
    found = re.search(rb"^Message-ID: <(.*?)>\r?$", raw, re.MULTILINE | re.IGNORECASE)
    return found[1].decode() if found else None


def deliver(house, raw, to=USER, sender="sender@example.org"):
    with house.smtp() as client:
        client.sendmail(sender, [to] if isinstance(to, str) else to, raw)


def fetch_all(client, mailbox="INBOX", items="(UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"):
    """uid -> (message id, flags) of a mailbox."""
    ok, _ = client.select(f'"{mailbox}"', readonly=True)
    assert ok == "OK", mailbox
    _, data = client.uid("FETCH", "1:*", items)
    found = {}
    for part in data:
        if not isinstance(part, tuple):
            continue
        head = part[0].decode(errors="replace")
        flags = re.search(r"FLAGS \((.*?)\)", head)
        found[int(re.search(r"UID (\d+)", head)[1])] = (message_id(part[1]), set(flags[1].split()) if flags else set())
    return found


def ids_in(house, mailbox="INBOX", account=USER, password=PASSWORD):
    """The message ids of a mailbox, one for each message (so twice when it is there twice)."""
    client = house.imap(account, password)
    try:
        return sorted(name for name, _ in fetch_all(client, mailbox).values())
    finally:
        with contextlib.suppress(Exception):
            client.logout()


def run(command, **options):
    """A client program; its output is part of the failure."""
    options.setdefault("timeout", 300)
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    assert done.returncode == 0, "%s: status %d\n%s" % (
        " ".join(map(str, command)), done.returncode, done.stdout.decode(errors="replace")[-4000:])
    return done.stdout


def needs(name):
    """Client programs are installed by ./dev test; without one its test fails, it is not skipped."""
    found = shutil.which(name)
    assert found, f"{name} is not installed (./dev test installs it)"
    return found
