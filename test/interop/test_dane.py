"""`veredus dane check` over zones of nsd signed with ldns-signzone: every verdict, and what it is for (RFC 7672)."""

import subprocess

import pytest

from house import program
from nameserver import served, sign

GOOD = "AB" * 32
ZONE = """$ORIGIN {name}.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
mx IN A 127.0.0.1
_25._tcp.mx IN TLSA 3 1 1 {good}
_2525._tcp.mx IN TLSA 3 1 1 {good}
bare IN A 127.0.0.1
pkix IN A 127.0.0.1
_25._tcp.pkix IN TLSA 1 1 1 {good}
alias IN CNAME mx
hosted IN CNAME mx.plain.test.
_25._tcp.hosted IN TLSA 2 0 1 {good}
"""


@pytest.fixture(scope="module")
def dns(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dane")
    zones, anchors = {"plain.test": ZONE.format(name="plain.test", good=GOOD)}, ""
    for name, options in [("signed.test", ()), ("expired.test", ("-i", "20200101", "-e", "20200201"))]:
        zones[name], anchor = sign(folder, name, ZONE.format(name=name, good=GOOD), *options)
        anchors += anchor
    (folder / "anchors").write_text(anchors)
    with served(folder, zones) as server:
        yield ["--dns", server, "--trust-anchor", str(folder / "anchors")]


@pytest.mark.parametrize("host,verdict,action,status", [
    ("mx.signed.test", "secure", "certificate these records know", 0),  # RFC7672-2.2
    ("alias.signed.test", "secure", "certificate these records know", 0),  # RFC7672-2.2.2: secure CNAME
    ("hosted.signed.test", "secure", "certificate these records know", 0),  # RFC7672-2.2.2: insecure CNAME
    ("pkix.signed.test", "secure", "TLS only, with any certificate", 0),  # RFC7672-3.1.3
    ("bare.signed.test", "none", "plain text else", 0),
    ("nobody.signed.test", "none", "plain text else", 0),
    ("mx.plain.test", "insecure", "plain text else", 0),
    ("mx.expired.test", "bogus", "mail waits", 1),  # RFC7672-2.1.1
    ("bare.expired.test", "bogus", "mail waits", 1),
])
def test_verdicts(dns, host, verdict, action, status):
    done = subprocess.run([program(), "dane", "check", host] + dns, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert (done.stderr, lines[0], done.returncode) == ("", verdict, status)
    assert action in lines[1]
    assert ("no address" in done.stdout) == host.startswith("nobody.")
    if verdict == "secure" and "pkix" not in host:
        assert f"{GOOD}: usable" in done.stdout


def test_port_and_usage(dns):
    def run(*words):
        return subprocess.run([program(), "dane", "check", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    assert "asked TLSA _2525._tcp.mx.signed.test: found (1), secure" in run("mx.signed.test", "--port", "2525", *dns).stdout
    assert run("mx.signed.test", "--port", "587", *dns).stdout.startswith("none\n")
    assert run("mx.signed.test", "--port", "x").returncode == 2
    assert run("mx..test").returncode == 2
    assert run().returncode == 2
