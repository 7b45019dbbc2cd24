"""A listener behind a proxy of the owner's own (plain_login): the client's socket itself travels to the mailbox and back."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from house import PATIENCE, Ports, children_of, program, read_title, run, until

SAID = (b"a LOGIN {15+}\r\nuser@plain.test secret\r\n"
        b"b SELECT INBOX\r\n"
        b"c UNAUTHENTICATE\r\n"
        b"d NOOP\r\n"
        b"e LOGIN user@plain.test wrong\r\n"
        b"f LOGIN other@plain.test {6+}\r\nsecret\r\n"
        b"g STATUS INBOX (MESSAGES)\r\n"
        b"h LOGOUT\r\n")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """`veredus serve` with an IMAP listener that admits logins without TLS; (port, process)."""
    folder = tmp_path_factory.mktemp("plain")
    folder.chmod(0o755)
    port = Ports.free().imap
    (folder / "veredus.conf").write_text(f"""hostname = "mail.plain.test"
data_dir = "{folder}/data"
log_level = "debug"
listener {{
    protocol = "imap"
    address = "127.0.0.1:{port}"
    plain_login = true
}}
limits {{
    throttle_loopback = false
}}
""")
    config = str(folder / "veredus.conf")
    run([program(), "check-config", config])
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen([program(), "serve", "--config", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def is_ready():
        assert server.poll() is None, (folder / "log").read_text()
        return re.search(r"^ready$", (folder / "log").read_text(), re.MULTILINE)

    until(is_ready, "the line `ready`")
    run([program(), "domain", "add", "plain.test", "--config", config])
    for name in ("user", "other"):
        run([program(), "account", "add", f"{name}@plain.test", "--password-stdin", "--config", config], input=b"secret\n")
    yield port, server
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=PATIENCE) == 0
    log = (folder / "log").read_text()
    assert not re.search(r" error |confine\.denied|Sanitizer", log), log


def hear(port, octets, cut):
    """Everything the server says to the octets, sent in two pieces."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(octets[:cut])
        if cut % 2:  # the rest comes when the first piece has been answered as far as it goes
            done = octets[:cut].count(b"\r\n") - octets[:cut].count(b"+}\r\n")
            heard = b""
            while len(re.findall(rb"^[a-z] ", heard, re.MULTILINE)) < done:
                heard += client.recv(65536)
        else:
            heard = b""
        client.sendall(octets[cut:])
        while piece := client.recv(65536):
            heard += piece
        return heard


def test_there_and_back_cut_at_every_octet(plain):
    port, _ = plain
    said = SAID
    whole = hear(port, said, len(said))
    assert [line[:4] for line in whole.split(b"\r\n") if re.match(rb"[a-h] ", line)] == [
        b"a OK", b"b OK", b"c OK", b"d OK", b"e NO", b"f OK", b"g OK", b"h OK"]
    for cut in range(len(said)):
        assert hear(port, said, cut) == whole, f"cut at {cut}"


def sockets_of(pid):
    found = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(entry))
        except FileNotFoundError:
            pass
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at other users' descriptors")
def test_the_socket_itself_is_the_mailboxs(plain):
    port, server = plain
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        stream = client.makefile("rb")
        stream.readline()
        client.sendall(b"a LOGIN user@plain.test secret\r\n")
        assert stream.readline().startswith(b"a OK")
        mine = client.getsockname()[1]
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inode = next(row[9] for row in rows if int(row[1].split(":")[1], 16) == port and int(row[2].split(":")[1], 16) == mine)
        holders = until(lambda: sorted(read_title(pid) for pid in tree_of(server.pid) if f"socket:[{inode}]" in sockets_of(pid)),
                        "somebody who has the socket")
        assert holders == ["veredus: mailbox user@plain.test"]


def tree_of(pid):
    return [pid] + [below for child in children_of(pid) for below in tree_of(child)]


def test_only_where_it_is_safe(tmp_path):
    (tmp_path / "veredus.conf").write_text(f"""hostname = "mail.plain.test"
data_dir = "{tmp_path}/data"
listener {{
    protocol = "imap"
    address = "0.0.0.0:14300"
    plain_login = true
}}
""")
    done = subprocess.run([program(), "check-config", str(tmp_path / "veredus.conf")], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 1
    assert "plain_login takes passwords that anybody on the way can read." in done.stderr + done.stdout
