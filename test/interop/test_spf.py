"""`veredus spf check` beside python3-spf: the project's own suite, and zones drawn at random. Both ask the same table."""

import concurrent.futures
import os
import random
import subprocess

import pytest
import spf

import spf_cases
from house import program
from tabledns import Server, Table


SEED = 7208
ZONES = 500
SUITE = next((path for path in (os.path.join(os.path.dirname(__file__), *[".."] * n, "shared/conformance/spf/rfc7208-tests.yml") for n in (3, 4)) if os.path.exists(path)), None)

# Where the two may differ, and why: (rule, whether it is this one, reason).
EXPLAINED = [
    ("multispf1, ptr-limit", lambda name, mine, theirs, why: name in ("multispf1", "ptr-limit"),
     "the suite admits both verdicts"),
    ("void lookups", lambda name, mine, theirs, why: theirs == "permerror" and "Void lookup limit" in why,
     "RFC7208-4.6.4 limits terms that find nothing to two; python3-spf counts every question: each host of one mx, each name of one ptr"),
    ("recursion", lambda name, mine, theirs, why: theirs == "permerror" and "trivial recursion" in why,
     "python3-spf refuses a record that includes itself while it reads it; RFC7208-4.6.2 goes from left to right, and here something before it matches"),
]


@pytest.fixture(scope="module")
def server():
    one = Server()
    yield one
    one.close()


def ours(server, ip, helo, sender):
    """(verdict, all output)"""
    command = [program(), "spf", "check", "--ip", ip, "--helo", helo, "--dns", server.address, "--from", sender]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, errors="replace")
    verdict = done.stdout.split("\n", 1)[0]
    assert done.returncode == (0 if verdict in ("pass", "none", "neutral") else 1), done.stderr
    return verdict, done.stdout


def theirs(table, ip, helo, sender):
    def look_up(name, kind, *_):
        texts, _, is_silent = table.find(name, kind)
        if is_silent:
            raise spf.TempError("DNS timeout")
        found = [((name, "CNAME"), text) for text in table.find(name, "CNAME")[0]]
        if found and kind != "CNAME":
            return found
        for text in texts:
            if kind == "TXT":
                value = [text.encode("latin-1" if all(ord(c) < 256 for c in text) else "utf-8")]
            elif kind == "MX":
                preference, host = text.split(" ", 1)
                value = (int(preference), host)
            else:
                value = text
            found.append(((name, kind), value))
        return found

    spf.DNSLookup = look_up
    try:
        query = spf.query(i=ip, s=sender, h=helo, strict=True)
        query.set_default_explanation("DEFAULT")
        result, _, why = query.check()
        return result, str(why)
    except Exception as problem:  # its own bugs: shown as what they are
        return type(problem).__name__, str(problem)


def compare(server, tasks):
    """[(name, table, ip, helo, sender)], all in one table; the differences."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda task: ours(server, *task[2:]), tasks))
    differences = []
    for task, (verdict, output) in zip(tasks, found):
        other, why = theirs(task[1], *task[2:])
        if verdict != other:
            differences.append((task[0], verdict, other, why, output))
    return differences


def complain(differences):
    """Prints them as one table; each must have its explanation."""
    unexplained = 0
    for name, mine, other, why, output in differences:
        rule = next((rule for rule, is_it, _ in EXPLAINED if is_it(name, mine, other, why)), None)
        print(f"{name}: ours {mine}, theirs {other}: {rule or 'NOT EXPLAINED: ' + why}")
        if rule is None:
            unexplained += 1
            print(output)
    for rule, _, reason in EXPLAINED:
        print(f"    {rule}: {reason}")
    assert unexplained == 0


@pytest.mark.skipif(SUITE is None, reason="the data sets lie beside the source tree")
def test_conformance_suite(server):
    count, differences = 0, []
    for description, records, cases in spf_cases.scenarios(SUITE):
        server.table = table = Table(records)
        # A command line cannot say an empty HELO name.
        tasks = [(name, table, case["host"], case["helo"], case["mailfrom"]) for name, case in cases.items() if case["helo"]]
        count += len(tasks)
        differences += compare(server, tasks)
    print(f"{count} cases of the suite, {len(differences)} differences")
    assert count > 200
    complain(differences)


class Zones:
    """Random zones: a handful of names each, records from the whole grammar, a few broken ones."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def names(self, zone):
        return [f"{label}.z{zone}.test" for label in ("a", "b", "c", "d", "mail", "_spf", "deep.mail")]

    def domain_spec(self, names):
        draw = self.random
        if draw.random() < 0.7:
            return draw.choice(names)
        return draw.choice(["%{d}", "%{o}", "%{d2}", "x.%{d2}", "%{l}.%{o}", "%{ir}.%{v}.%{d}", "%{l1r-}.%{d2}", "%{h}", "%{s}.a.test", "mail.%{d3}",
                            "%{p}", "%{i}._ip.%{d2}", "%{L}.%{d2}", "%%.%{d2}", "%{d}.", "%{d0}", "%{x}", "a..b.test", "%"])

    def term(self, names, ip):
        draw = self.random
        kind = draw.choices(["a", "mx", "ptr", "exists", "include", "ip4", "ip6", "all", "redirect", "exp", "unknown", "broken"],
                            [6, 5, 2, 3, 6, 6, 2, 1, 3, 1, 1, 0.4])[0]
        sign = draw.choice(["", "", "+", "-", "~", "?"])
        prefix = draw.choice(["", "", "", "/24", "/32", "/0", "//64", "/24//64", "/33", "//129", "/08"] if draw.random() < 0.3 else [""])
        if kind in ("a", "mx"):
            return sign + kind + draw.choice(["", ":" + self.domain_spec(names)]) + prefix
        if kind == "ptr":
            return sign + kind + draw.choice(["", ":" + self.domain_spec(names)])
        if kind in ("exists", "include"):
            return f"{sign}{kind}:{self.domain_spec(names)}"
        if kind == "ip4":
            return sign + "ip4:" + draw.choice([ip if ":" not in ip else "192.0.2.1", "192.0.2.0", "198.51.100.7", "10.0.0.0"]) + draw.choice(["", "/8", "/24", "/31"])
        if kind == "ip6":
            return sign + "ip6:" + draw.choice(["2001:db8::", "2001:db8::1", "::1", "fe80::192.0.2.1"]) + draw.choice(["", "/32", "/128"])
        if kind in ("redirect", "exp"):
            return f"{kind}={self.domain_spec(names)}"
        if kind == "unknown":
            return draw.choice(["moo=cow", "op=auth", "x=%{d}", "default=permit"])
        return sign + "all" if kind == "all" else draw.choice(["moo", "a:", "ip4:1.2.3", "include", "all.", "exists:", "mx:%", "-", "ip6:x"])

    def make(self, number):
        """(records, ip, helo, sender)"""
        draw = self.random
        names = self.names(number)
        ip = f"10.{number >> 8}.{number & 255}.{draw.randrange(1, 255)}" if draw.random() < 0.8 else f"2001:db8::{number:x}:{draw.randrange(1, 65535):x}"
        address = ("A", "AAAA")[":" in ip]
        records = []
        for name in names:
            if draw.random() < 0.85:
                terms = [self.term(names, ip) for _ in range(draw.randrange(0, 6))]
                if draw.random() < 0.7:
                    terms.append(draw.choice(["-all", "~all", "?all", "all"]))
                records.append((name, "TXT", " ".join(["v=spf1"] + terms)))
            if draw.random() < 0.05:
                records.append((name, "TXT", "v=spf1 +all"))
            if draw.random() < 0.1:
                records.append((name, "TXT", "some other text"))
            for _ in range(draw.randrange(0, 3)):
                other = "10.255.0.1" if address == "A" else "2001:db8:ffff::1"
                records.append((name, address, ip if draw.random() < 0.3 else other))
            for _ in range(draw.choice([0, 0, 1, 2, 11 if draw.random() < 0.1 else 1])):
                records.append((name, "MX", f"{draw.randrange(0, 50)} {draw.choice(names)}"))
            if draw.random() < 0.02:
                records.append((name, "TIMEOUT", ""))
        for _ in range(draw.choice([0, 1, 2])):
            records.append((reverse_name(ip), "PTR", draw.choice(names)))
        # Records of a set are different (RFC2181-5.2).
        return list(dict.fromkeys(records)), ip, draw.choice(names), f"{draw.choice(['me', 'first-last', 'a.b'])}@{names[0]}"


def reverse_name(ip):
    import ipaddress

    return ipaddress.ip_address(ip).reverse_pointer


def test_random_zones(server):
    zones = Zones(SEED)
    made = [zones.make(number) for number in range(ZONES)]
    server.table = table = Table([record for records, *_ in made for record in records])
    tasks = [(f"zone {number}", table, ip, helo, sender) for number, (_, ip, helo, sender) in enumerate(made)]
    differences = compare(server, tasks)
    print(f"{ZONES} zones, {len(differences)} differences")
    complain(differences)


def run(*arguments):
    done = subprocess.run([program(), "spf", "check", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_the_explanation(server):
    server.table = Table([
        ("example.test", "TXT", "v=spf1 include:mail.test ?a -all exp=why.%{d}"), ("mail.test", "TXT", "v=spf1 ip4:192.0.2.0/24 ~all"),
        ("example.test", "A", "198.51.100.1"), ("why.example.test", "TXT", "%{i} is not ours"), ("helo.test", "TXT", "v=spf1 a -all"), ("helo.test", "A", "203.0.113.5")])
    status, out, _ = run("--ip", "203.0.113.5", "--helo", "helo.test", "--from", "<me@example.test>", "--dns", server.address)
    assert (status, out.splitlines()) == (1, [
        "fail",
        "MAIL FROM check of me@example.test: fail",
        '  because "-all" matches in the record of example.test',
        "  the domain explains: 203.0.113.5 is not ours",
        "  2 of 10 lookups used, 0 of 2 found nothing; DNSSEC: insecure",
        "  example.test: v=spf1 include:mail.test ?a -all exp=why.%{d}",
        "    include:mail.test: asking mail.test",
        "      mail.test: v=spf1 ip4:192.0.2.0/24 ~all",
        "        ip4:192.0.2.0/24: no match",
        "        ~all: match",
        "    include:mail.test: mail.test says softfail: no match",
        "    ?a: example.test has 1 A record: no match",
        "    -all: match",
        "HELO check of postmaster@helo.test: pass",
        '  because "a" matches in the record of helo.test',
        "  1 of 10 lookups used, 0 of 2 found nothing; DNSSEC: insecure",
        "  helo.test: v=spf1 a -all",
        "    a: helo.test has 1 A record: match",
    ])
    # An empty reverse-path: RFC7208-2.4, the HELO name
    status, out, _ = run("--ip", "203.0.113.5", "--helo", "helo.test", "--from", "", "--dns", server.address)
    assert (status, out.splitlines()[:2]) == (0, ["pass", "HELO check of postmaster@helo.test: pass"])


@pytest.mark.parametrize("arguments", [
    [], ["--ip", "192.0.2.1"], ["--ip", "mail", "--from", "a@b.test"], ["--ip", "192.0.2.1:25", "--from", "a@b.test"],
    ["--ip", "192.0.2.1", "--from", "a@b.test", "--dns", "somewhere"], ["--ip", "192.0.2.1", "--from", "a@b.test", "more"]])
def test_usage(arguments):
    status, out, complaint = run(*arguments)
    assert (status, out) == (2, "") and complaint.startswith("veredus: ") and "--help" in complaint
