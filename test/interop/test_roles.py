"""The live tree as /proc shows it: titles, users, roots, filters; and the rituals themselves."""

import os
import pathlib
import re
import socket
import subprocess
import time

import pytest

from house import USER, House, children_of, message, program, read_title, until

FIXED = {"supervisor": 1, "directory": 1, "resolver": 1, "queue": 1, "courier": 1, "postmaster": 1, "mailbox template": 1}
OUTSIDE = "another@localhost"


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A server with a session open on each of two accounts."""
    house = House(tmp_path_factory.mktemp("veredus") / "data", accounts=[f"{USER}:veredus", f"{OUTSIDE}:veredus"]).start()
    sessions = [house.imap(USER), house.imap(OUTSIDE)]
    for session in sessions:
        session.select("INBOX")
    house.mailbox_pid(USER), house.mailbox_pid(OUTSIDE)
    yield house
    for session in sessions:
        session.logout()
    house.stop()
    house.check_log()


def kind_of(title):
    return "mailbox" if title.startswith("mailbox ") and "@" in title else title


def test_every_role_is_there_with_its_title(tree):
    titles = list(tree.roles().values())
    for role, count in FIXED.items():
        assert titles.count(role) == count, titles
    assert sum(title.split()[0] == "edge" for title in titles) >= 1, titles
    assert sum(f"mailbox {USER}" in title for title in titles) == 1, titles
    assert sum(f"mailbox {OUTSIDE}" in title for title in titles) == 1, titles
    assert read_title(tree.process.pid) == "veredus: supervisor"
    # No process below the supervisor is anything else.
    assert len(titles) == len(tree.tree()), [read_title(pid) for pid in tree.tree()]


def test_every_role_is_confined(tree):
    for pid, title in tree.roles().items():
        status = status_of(pid)
        assert status["Seccomp"] == "2", title
        assert status["NoNewPrivs"] == "1", title
        assert status["Threads"] == "1", title
        assert int(status["CapInh"], 16) == 0 and int(status["CapAmb"], 16) == 0, title
        if title not in ("supervisor", "mailbox template"):
            for capabilities in ("CapEff", "CapPrm", "CapBnd"):
                if os.geteuid() == 0 or capabilities != "CapBnd":
                    assert int(status[capabilities], 16) == 0, (title, capabilities)


@pytest.mark.skipif(os.geteuid() != 0, reason="users of their own need root")
def test_users(tree):
    uids = {}
    for pid, title in tree.roles().items():
        status = status_of(pid)
        assert len(set(status["Uid"].split())) == 1 and len(set(status["Gid"].split())) == 1, title
        assert status["Groups"].strip() in ("", status["Gid"].split()[0]) or title in ("supervisor", "mailbox template"), title
        uids.setdefault(kind_of(title), set()).add(int(status["Uid"].split()[0]))
    for kind, found in uids.items():
        if kind in ("supervisor", "mailbox template"):
            assert found == {0}
        else:
            assert 0 not in found, kind
    others = [uid for kind, found in uids.items() if kind not in ("supervisor", "mailbox template") for uid in found]
    assert len(others) == len(set(others)), f"two roles share a user: {uids}"


@pytest.mark.skipif(os.geteuid() != 0, reason="root directories of their own need root")
def test_root_directories(tree):
    data = pathlib.Path(tree.directory).resolve()
    for pid, title in tree.roles().items():
        root = os.readlink(f"/proc/{pid}/root")
        kind = kind_of(title)
        if kind in ("supervisor", "mailbox template"):
            assert root == "/", title
        elif kind == "mailbox":
            assert re.fullmatch(re.escape(str(data / "accounts")) + r"/a[0-9a-f]{16}", root), (title, root)
        elif kind in ("directory", "queue"):
            assert root == str(data / kind), (title, root)
        else:
            assert root == str(data / "empty"), (title, root)
            assert os.listdir(root) == []
        assert os.readlink(f"/proc/{pid}/cwd").startswith(root), title
    roots = [os.readlink(f"/proc/{pid}/root") for pid, title in tree.roles().items() if kind_of(title) == "mailbox"]
    assert len(roots) == len(set(roots)) == 2


def descriptors(pid):
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            pass  # closed meanwhile
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="roles cannot be looked into, which needs root")
def test_descriptors(tree):
    """Nobody holds files that are another's: databases only their owners, the listening ports only edges and the supervisor."""
    data = str(pathlib.Path(tree.directory).resolve())
    listening = set()
    ports = {f"{getattr(tree.ports, name):04X}" for name in tree.ports.SERVICES}
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[1].rpartition(":")[2] in ports:
                listening.add(f"socket:[{fields[9]}]")
    assert listening
    for pid, title in tree.roles().items():
        kind = kind_of(title)
        links = descriptors(pid)
        names = {link for fd, link in links.items() if fd > 2}
        files = {link for link in names if link.startswith("/") and not link.startswith("/memfd:")}
        if kind.split()[0] not in ("supervisor", "edge"):
            assert not names & listening, (title, "a listening socket")
        if kind in ("directory", "queue"):
            assert all(file.startswith(f"{data}/{kind}") for file in files), (title, files)
        elif kind == "mailbox":
            root = os.readlink(f"/proc/{pid}/root")
            assert all(file.startswith(root) for file in files), (title, files)
        elif kind.split()[0] == "edge":
            assert all(file.startswith(f"{data}/spool") for file in files), (title, files)
        elif kind in ("resolver", "courier", "postmaster"):
            assert not files, (title, files)


@pytest.mark.skipif(os.geteuid() != 0, reason="roles cannot be looked into, which needs root")
def test_address_layouts_differ(tree):
    """Roles that face the network are executed again, so one's layout tells nothing of another's."""
    starts = {}
    for pid, title in tree.roles().items():
        if kind_of(title) not in ("mailbox", "mailbox template"):
            first = pathlib.Path(f"/proc/{pid}/maps").read_text().split("-")[0]
            starts.setdefault(first, []).append(title)
    assert all(len(titles) == 1 for titles in starts.values()), starts


def test_mailboxes_come_from_the_template(tree):
    template = tree.pids("mailbox template")[0]
    for account in (USER, OUTSIDE):
        assert tree.mailbox_pid(account) in children_of(template)


@pytest.mark.skipif(os.geteuid() != 0, reason="roles cannot be looked into, which needs root")
def test_nothing_is_left_of_the_password(tree):
    """No process has the data directory's secrets or the password in its arguments or environment."""
    for pid, title in tree.roles().items():
        if title != "supervisor":
            assert b"veredus@" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            assert b":veredus" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes(), title


@pytest.mark.parametrize("role", ["supervisor", "resolver", "directory", "edge", "mailbox", "queue", "courier", "postmaster"])
def test_confine_test(role):
    done = subprocess.run([program(), "confine-test", role], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    text = done.stdout.decode()
    assert done.returncode == 0 and text.split()[0] == "pass", text + done.stderr.decode()
    assert re.search(rf"ok +{role}\b.*: [1-9]\d* acts", text), text


def test_confine_test_of_all():
    done = subprocess.run([program(), "confine-test"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=240)
    assert done.returncode == 0 and done.stdout.split()[0] == b"pass", done.stdout + done.stderr
    assert subprocess.run([program(), "confine-test", "gardener"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60).returncode == 2


def test_an_idle_server_does_nothing(tree):
    """No role wakes up all the time: processor time does not grow while nobody asks anything."""
    ticks = os.sysconf("SC_CLK_TCK")

    def spent():
        total = 0
        for pid in tree.roles():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / ticks
    # After the start there is still work (keys); wait until a second passes with next to none.

    def is_quiet():
        before = spent()
        time.sleep(1)
        return spent() - before < 0.1
    until(is_quiet, "an idle server stops working")


def test_control_socket_is_private(tree):
    path = pathlib.Path(tree.directory) / "control"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.is_socket()
    for folder in ("directory", "queue", "spool"):
        assert (pathlib.Path(tree.directory) / folder).stat().st_mode & 0o077 == 0
    # A connection that says nothing harms nobody.
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(path))
        with tree.smtp() as client:
            client.sendmail("sender@example.org", [USER], message("beside-a-silent-one"))
