"""The command line against a running server, and without one: results, refusals, exit status."""

import json
import os
import re
import smtplib
import socket
import stat
import subprocess

import pytest

from house import PASSWORD, USER, Ports, insecure_tls, program


def veredus(*arguments, stdin=None):
    return subprocess.run([program(), *map(str, arguments)], input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


def good(*arguments, stdin=None):
    done = veredus(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments, status=1):
    """The one line that says what to do."""
    done = veredus(*arguments)
    assert done.returncode == status, (done.stdout, done.stderr)
    assert done.stdout == "" and done.stderr.startswith("veredus: ") and done.stderr.count("\n") == 1
    return done.stderr


def may_log_in(house, user, password):
    with smtplib.SMTP_SSL("127.0.0.1", house.ports.submissions, context=insecure_tls()) as client:
        try:
            client.login(user, password)
            return True
        except smtplib.SMTPAuthenticationError:
            return False


def recipient_code(house, address):
    with smtplib.SMTP("127.0.0.1", house.ports.smtp) as client:
        client.ehlo()
        client.mail("sender@example.net")
        return client.rcpt(address)[0]


def test_domains(shared_house):
    house = shared_house
    d = ("--dir", house.directory)
    good("domain", "add", "Bücher.Example", *d)
    assert good(*d, "domain", "list").split() == ["localhost", "xn--bcher-kva.example"]
    rows = json.loads(good("domain", "list", "--json", *d))
    assert [row["name"] for row in rows] == ["localhost", "xn--bcher-kva.example"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", rows[0]["created"])
    assert "is there already" in refused("domain", "add", "bücher.example", *d)
    records = good("domain", "records", "bücher.example", *d).splitlines()
    assert records[:2] == ["xn--bcher-kva.example. IN MX 10 localhost.", 'xn--bcher-kva.example. IN TXT "v=spf1 mx -all"']
    assert [line.split(" ", 3)[:3] for line in records[2:]] == [[f"{name}.xn--bcher-kva.example.", "IN", "TXT"] for name in (
        "ed1._domainkey", "rsa1._domainkey", "_dmarc")]
    good("domain", "remove", "bücher.example", *d)
    assert "there is no domain" in refused("domain", "remove", "bücher.example", *d)
    assert "there is no domain" in refused("domain", "records", "bücher.example", *d)
    assert "Remove them first" in refused("domain", "remove", "localhost", *d)


def test_accounts(shared_house):
    house = shared_house
    d = ("--dir", house.directory)
    assert "Make it first: veredus domain add nowhere.example" in refused("account", "add", "a@nowhere.example", *d)
    out = good("account", "add", "Ann@localhost", *d)
    password = re.fullmatch(r"password: (\S+)\n", out).group(1)
    assert "is taken" in refused("account", "add", "ann@localhost", *d)
    assert good("account", "list", *d).split() == ["ann@localhost", USER]
    assert may_log_in(house, "ann@localhost", password)
    # a given password is not shown, and the old one is gone
    assert good("account", "password", "ann@localhost", "--password-stdin", *d, stdin="pass phrase:@\n") == ""
    assert may_log_in(house, "ann@localhost", "pass phrase:@") and not may_log_in(house, "ann@localhost", password)
    assert recipient_code(house, "ann@localhost") == 250
    good("account", "disable", "ann@localhost", *d)
    assert not may_log_in(house, "ann@localhost", "pass phrase:@") and recipient_code(house, "ann@localhost") // 100 == 4
    assert [row["disabled"] for row in json.loads(good("account", "list", "--json", *d))] == [True, False]
    good("account", "enable", "ann@localhost", *d)
    assert may_log_in(house, "ann@localhost", "pass phrase:@")
    good("account", "remove", "ann@localhost", *d)
    assert not may_log_in(house, "ann@localhost", "pass phrase:@") and recipient_code(house, "ann@localhost") == 550
    assert "there is no account" in refused("account", "remove", "ann@localhost", *d)


def test_aliases(shared_house):
    house = shared_house
    d = ("--dir", house.directory)
    assert recipient_code(house, "team@localhost") == 550
    good("alias", "add", "Team@localhost", USER, *d)
    assert recipient_code(house, "team@localhost") == 250
    assert good("alias", "list", *d) == f"team@localhost -> {USER}\n"
    assert json.loads(good("alias", "list", "--json", *d)) == [{"address": "team@localhost", "targets": [USER]}]
    assert "is taken" in refused("alias", "add", "team@localhost", USER, *d)
    good("alias", "remove", "team@localhost", *d)
    assert "there is no alias" in refused("alias", "remove", "team@localhost", *d)
    assert json.loads(good("alias", "list", "--json", *d)) == []


def control(house):
    """Its path may be longer than an address of a socket holds."""
    here = os.open(house.directory, os.O_PATH)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(f"/proc/self/fd/{here}/control")
    os.close(here)
    return client


def test_control_socket(shared_house):
    """What is no request is answered or closed, and the next one is served."""
    path = os.path.join(shared_house.directory, "control")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with control(shared_house) as client:
        answers = client.makefile("rb")
        for octets, error in ((b"\0\n", "syntax"), (b"[" * 20 + b"\n", "limit"), (b'{"id":9,"op":"x"}\n', "syntax")):
            client.sendall(octets)
            answer = json.loads(answers.readline())
            assert answer["ok"] is False and answer["error"] == error and answer["text"]
        assert answer["id"] == 9
        # two requests in one packet, one in pieces
        client.sendall(b'{"id":1,"op":"domain.list"}\n{"id":2,"op":"do')
        assert json.loads(answers.readline())["id"] == 1
        client.sendall(b'main.list"}\n')
        answer = json.loads(answers.readline())
        assert answer["id"] == 2 and answer["ok"] is True and answer["more"] is False
    with control(shared_house) as client:
        answers = client.makefile("rb")
        client.sendall(b" " * 70000)
        assert json.loads(answers.readline())["error"] == "limit"
        try:
            assert answers.readline() == b""
        except ConnectionResetError:
            pass  # closed with octets unread
    assert good("domain", "list", "--dir", shared_house.directory) == "localhost\n"


def test_many_accounts(make_house):
    """A list that needs several lines of the socket."""
    accounts = [f"someone.with.a.long.name.{i:04}@example.org" for i in range(400)]
    house = make_house().start()
    d = ("--dir", house.directory)
    good("domain", "add", "example.org", *d)
    with control(house) as client:
        answers = client.makefile("rb")
        key = "A" * 43 + "="
        verifier = {"mechanism": "SCRAM-SHA-256", "iterations": 4096, "salt": "AAAA", "stored_key": key, "server_key": key}
        for i, address in enumerate(accounts):
            client.sendall(json.dumps({"id": i, "op": "account.add", "address": address, "verifiers": [verifier]}).encode() + b"\n")
            assert json.loads(answers.readline())["ok"] is True
    assert good("account", "list", *d).split() == [*accounts, USER]


def test_no_server(tmp_path):
    assert "no server runs" in refused("domain", "list", "--dir", tmp_path)
    assert "no server runs" in refused("domain", "list", "--dir", tmp_path / "missing")
    refused("domain", "add", "a b", "--dir", tmp_path, status=2)
    refused("domain", "frobnicate", status=2)
    refused("localserve", "--account", "nonsense", status=2)
    refused("localserve", "--account", "a@b", status=2)
    refused("localserve", "--port-offset", "70000", status=2)
    refused("localserve", "--dns", "ns.example", status=2)
    assert good("version").startswith("veredus ")


def test_second_start(make_house):
    """What the command line made is there after a restart."""
    house = make_house().start()
    good("domain", "add", "example.org", "--dir", house.directory)
    good("account", "add", "me@example.org", "--password-stdin", "--dir", house.directory, stdin="first\n")
    house.stop()
    house.start()
    assert good("account", "list", "--dir", house.directory).split() == ["me@example.org", USER]
    assert may_log_in(house, "me@example.org", "first") and may_log_in(house, USER, PASSWORD)


def test_quickstart_and_serve(tmp_path_factory, make_house):
    directory = tmp_path_factory.mktemp("quickstart") / "missing" / "data"
    out = good("quickstart", "You@Example.org", "--dir", directory, "--hostname", "mx.example.org")
    assert "you@example.org" in out and "example.org. IN MX 10 mx.example.org." in out
    password = re.search(r"^password +(\S+)", out, re.M).group(1)
    config = directory / "veredus.conf"
    assert good("check-config", config).endswith("no problems found\n")
    assert "is there already" in refused("quickstart", "you@example.org", "--dir", directory)
    # the same directory under localserve, whose ports need no privilege
    house = make_house(directory).start()
    assert may_log_in(house, "you@example.org", password)
    assert good("account", "list", "--config", config).split() == [USER, "you@example.org"]
    assert "a server runs" in refused("quickstart", "other@example.org", "--dir", directory)


def test_check_config(tmp_path):
    config = tmp_path / "broken.conf"
    config.write_text('hostname = "mail.example.org"\ndata_dir = "relative"\nlistener { protocol = "smtp" address = "x" }\n')
    done = veredus("check-config", config)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f'{config}:2: data_dir: "relative" is not an absolute path. Write the whole path, beginning with /.',
        f'{config}:3: address: "x" is not an address with a port. Write IP:PORT, like 0.0.0.0:25 or [::]:25.',
    ]


@pytest.mark.parametrize("role", ["supervisor", "resolver", "directory", "edge", "mailbox", "queue", "courier", "postmaster"])
def test_confine(role):
    out = good("confine-test", role)
    assert out.split()[0] == "pass"


def test_scratch_directory():
    """Without --dir the data is gone after the end."""
    ports = Ports.free()
    process = subprocess.Popen([program(), "localserve", "--port-offset", str(ports.offset)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    directory = None
    for line in process.stdout:
        found = re.match(r" +data +(\S+)", line)
        directory = found.group(1) if found else directory
        if line == "ready\n":
            break
    assert directory and os.path.isdir(directory)
    process.terminate()
    assert process.wait(15) == 0
    assert not os.path.exists(directory)
