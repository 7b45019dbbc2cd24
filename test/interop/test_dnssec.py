"""DNSSEC and the rest of DNS as our resolver sees it, over zones of nsd signed with ldns-signzone."""

import os
import subprocess

import pytest

from house import ids_in, message, needs, program, until
from nameserver import configure, served, sign

TEXT = "x" * 200
ZONE = """$ORIGIN {name}.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
@ IN MX 10 mx
mx IN A 127.0.0.1
alias IN CNAME mx
far IN CNAME mx.plain.test.
away IN CNAME mx.tampered.test.
old IN DNAME new
mx.new IN A 127.0.0.9
a\\032b IN A 127.0.0.3
big IN TXT """ + " ".join(f'"{TEXT}"' for _ in range(9)) + """
sub IN NS ns.sub
ns.sub IN A 127.0.0.1
"""
SUB = """$ORIGIN sub.signed.test.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
host IN A 127.0.0.7
"""


def zone(name):
    return ZONE.format(name=name)


@pytest.fixture(scope="module")
def dns(tmp_path_factory):
    """(server, trust anchors): each zone has its own anchor, as an island of trust."""
    folder = tmp_path_factory.mktemp("dns")
    zones, anchors = {"plain.test": zone("plain.test"), "sub.signed.test": SUB}, {}
    for name, options in [("signed.test", ()), ("nsec3.test", ("-n", "-t", "0")), ("tampered.test", ()), ("wrongkey.test", ()),
                          ("expired.test", ("-i", "20200101", "-e", "20200201")), ("early.test", ("-i", "20400101", "-e", "20410101"))]:
        zones[name], anchors[name] = sign(folder, name, zone(name), *options)
    # The address was changed after it was signed.
    before = zones["tampered.test"]
    zones["tampered.test"] = before.replace("mx.tampered.test.\t60\tIN\tA\t127.0.0.1", "mx.tampered.test.\t60\tIN\tA\t127.0.0.66")
    assert zones["tampered.test"] != before
    _, anchors["wrongkey.test"] = sign(folder, "wrongkey.test", zone("wrongkey.test"))
    anchor = folder / "anchors"
    anchor.write_text("; the islands\n" + "".join(anchors.values()))
    with served(folder, zones) as server:
        yield server, str(anchor)


def look_up(dns, kind, name, *, anchored=True):
    """(exit status, lines)"""
    server, anchor = dns
    command = [program(), "dns", "lookup", kind, name, "--dns", server] + (["--trust-anchor", anchor] if anchored else [])
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("name,verdict", [
    ("signed.test", "secure"), ("nsec3.test", "secure"), ("plain.test", "insecure"), ("expired.test", "bogus"),
    ("early.test", "bogus"), ("wrongkey.test", "bogus"), ("tampered.test", "bogus"),
])
def test_verdicts(dns, name, verdict):
    # RFC4033-5: secure, insecure, bogus; RFC4034-3.1.5: a signature holds from its inception to its expiration
    status, lines = look_up(dns, "A", "mx." + name)
    assert lines[0] == verdict
    assert status == (1 if verdict == "bogus" else 0)
    if verdict == "bogus":
        assert "DNSSEC does not hold" in lines[1] and "IN A 127" not in "".join(lines)
    else:
        assert lines[1:] == [f"mx.{name}. 60 IN A 127.0.0.1"]


def test_without_an_anchor_all_is_insecure(dns):
    """An unsigned --dns server's answers count as insecure, not bogus, unless there is a trust anchor."""
    for name in ("signed.test", "tampered.test", "expired.test"):
        assert look_up(dns, "MX", name, anchored=False) == (0, ["insecure", f"{name}. 60 IN MX 10 mx.{name}."])


@pytest.mark.parametrize("name", ["signed.test", "nsec3.test"])
def test_what_is_not_there_is_proven(dns, name):
    # RFC4034-4, RFC4035-5.4
    status, lines = look_up(dns, "A", "nobody." + name)
    assert (status, lines[0]) == (1, "secure") and lines[1].startswith("nxdomain")
    status, lines = look_up(dns, "AAAA", "mx." + name)
    assert (status, lines[0]) == (1, "secure") and lines[1].startswith("nodata")


def test_what_is_not_there_in_a_broken_zone_is_bogus(dns):
    assert look_up(dns, "A", "nobody.expired.test")[1][0] == "bogus"
    assert look_up(dns, "A", "nobody.plain.test")[1][0] == "insecure"


def test_aliases(dns):
    # RFC1034-3.6.2, RFC6672-2.2: an alias is as secure as all of its links
    assert look_up(dns, "A", "alias.signed.test")[1] == [
        "secure", "alias.signed.test. is an alias of mx.signed.test.", "mx.signed.test. 60 IN A 127.0.0.1"]
    assert look_up(dns, "A", "mx.old.signed.test")[1] == [
        "secure", "mx.old.signed.test. is an alias of mx.new.signed.test.", "mx.new.signed.test. 60 IN A 127.0.0.9"]
    assert look_up(dns, "A", "far.signed.test")[1][0] == "insecure"
    assert look_up(dns, "A", "away.signed.test")[1][0] == "bogus"
    assert look_up(dns, "A", "alias.tampered.test")[1][0] == "bogus"


def test_an_unsigned_delegation_is_insecure(dns):
    # RFC4035-5.2: the parent proves that there is no DS
    assert look_up(dns, "A", "host.sub.signed.test")[1] == ["insecure", "host.sub.signed.test. 60 IN A 127.0.0.7"]


def test_a_large_answer_comes_over_tcp(dns):
    # RFC7766-5: it does not fit into a datagram
    _, lines = look_up(dns, "TXT", "big.signed.test")
    assert lines == ["secure", "big.signed.test. 60 IN TXT " + " ".join(f'"{TEXT}"' for _ in range(9))]


def test_names(dns):
    assert look_up(dns, "mx", "SIGNED.test.")[0] == 0
    assert look_up(dns, "A", "a b.signed.test")[1][0] == "secure"
    # RFC5891-4: U-labels are asked for as A-labels
    assert look_up(dns, "A", "b\u00fccher.plain.test")[1][1] == "nxdomain: there is no name xn--bcher-kva.plain.test."
    # nsd has none of these: it is asked, and refuses
    for address in ("192.0.2.1", "2001:db8::1", "172.31.0.1", "100.127.0.1", "::1"):
        assert look_up(dns, "PTR", address)[1][0] == "temperror"


@pytest.mark.parametrize("text", ["", "  \n", "this is no record\n"])
def test_a_bad_anchor(dns, tmp_path, text):
    (tmp_path / "anchor").write_text(text)
    done = subprocess.run([program(), "dns", "lookup", "A", "mx.plain.test", "--dns", dns[0], "--trust-anchor", str(tmp_path / "anchor")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == "" and "trust anchor" in done.stderr


def test_the_resolver_role_validates(dns, make_house):
    """Mail for a zone that does not hold waits; mail for one that does goes out."""
    there = make_house(accounts=["bob@signed.test:secret", "bob@tampered.test:secret"]).start()
    here = make_house(extra=["--dns", dns[0], "--trust-anchor", dns[1], "--relay-port", str(there.ports.smtp)])
    here.expect(r" warn queue\.attempt ", r" warn courier\.")
    with here.start().submission() as client:
        client.sendmail("user@localhost", ["bob@tampered.test"], message("bogus"))
        client.sendmail("user@localhost", ["bob@signed.test"], message("secure"))
    until(lambda: "secure@test.example" in ids_in(there, account="bob@signed.test", password="secret"), "the message at the other server")
    assert ids_in(there, account="bob@tampered.test", password="secret") == []


ROOT = """$ORIGIN .
$TTL 60
@ IN SOA a.root-servers.net. hostmaster. 1 3600 600 86400 60
@ IN NS a.root-servers.net.
a.root-servers.net. IN A 198.41.0.4
"""
# Where resolvers look for the root's servers; they try some of them before they know of one.
ROOT_ADDRESSES = """198.41.0.4 199.9.14.201 170.247.170.2 192.33.4.12 199.7.91.13 192.203.230.10 192.5.5.241 192.112.36.4 198.97.190.53
192.36.148.17 192.58.128.30 193.0.14.129 199.7.83.42 202.12.27.33 2001:503:ba3e::2:30 2001:500:200::b 2801:1b8:10::b 2001:500:2::c
2001:500:2d::d 2001:500:a8::e 2001:500:2f::f 2001:500:12::d0d 2001:500:1::53 2001:7fe::53 2001:503:c27::2:30 2001:7fd::1 2001:500:9f::42
2001:dc3::35""".split()
if not os.path.exists("/proc/net/if_inet6"):
    ROOT_ADDRESSES = [address for address in ROOT_ADDRESSES if ":" not in address]
# In a network of its own that has the root's addresses, and one of everybody else.
STAGE = """set -e
ip link set lo up
for address in 192.0.2.53 $ROOT_ADDRESSES; do
    case $address in *:*) ip -6 addr add $address/128 dev lo nodad ;; *) ip addr add $address/32 dev lo ;; esac
done
nsd -d -c root/nsd.conf >root.log 2>&1 & root=$!
nsd -d -c rest/nsd.conf >rest.log 2>&1 & rest=$!
trap 'kill $root $rest; wait' EXIT
for name in . good; do
    for try in $(seq 100); do # until it answers
        "$VEREDUS_PROGRAM" dns lookup SOA $name --dns $([ $name = . ] && echo 198.41.0.4 || echo 192.0.2.53):53 >/dev/null && break
        sleep 0.1
    done
done
for name in mx.good mx.plain mx.evil nobody.good nobody; do
    echo "$name $("$VEREDUS_PROGRAM" dns lookup A $name --trust-anchor anchor | head -n 1)"
done
"""


def test_recursion_from_the_root(tmp_path):
    """From the root's own address and key downwards: RFC1034-5.3.3, RFC4035-5."""
    if os.geteuid() != 0 or subprocess.run([needs("unshare"), "-n", "ip", "link"], capture_output=True, check=False).returncode != 0:
        pytest.skip("a network of the test's own needs root")
    zones, root = {}, ROOT
    for name in ("good", "plain", "evil"):
        text = zone(name).replace("\nns IN A 127.0.0.1", "\nns IN A 192.0.2.53")
        zones[name], ds = sign(tmp_path, name, text) if name != "plain" else (text, "")
        if name == "evil":
            _, ds = sign(tmp_path, name, text)
        root += f"{name}. IN NS ns.{name}.\nns.{name}. IN A 192.0.2.53\n{ds}"
    signed, anchor = sign(tmp_path, ".", root)
    (tmp_path / "anchor").write_text(anchor)
    for folder, addresses, served_zones in [("root", ROOT_ADDRESSES, {".": signed}), ("rest", ["192.0.2.53"], zones)]:
        (tmp_path / folder).mkdir()
        configure(tmp_path / folder, [f"{address}@53" for address in addresses], served_zones)
    needs("nsd")
    done = subprocess.run(["unshare", "-n", "sh", "-c", STAGE], cwd=tmp_path, env={**os.environ, "VEREDUS_PROGRAM": program(), "ROOT_ADDRESSES": " ".join(ROOT_ADDRESSES)},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["mx.good secure", "mx.plain insecure", "mx.evil bogus", "nobody.good secure", "nobody secure"], done.stderr
