"""DKIM and ARC with others: our signatures and seals hold for python3-dkim, opendkim's library and Mail::DKIM,
and theirs for us, over the messages of the MIME corpus."""

import concurrent.futures
import os
import pathlib
import re
import subprocess

import pytest

from house import program
from nameserver import served, sign

HERE = pathlib.Path(__file__).resolve().parent
PERL = HERE.parent / "auth" / "mail_dkim.pl"
DOMAIN = "example.org"
FORMS = ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed")


def helper(name):
    """A program of test/auth, built beside the one under test."""
    root = pathlib.Path(os.environ["VEREDUS"]).resolve().parent
    for folder in (root / "release" / "test", root / "test"):
        if (folder / name).exists():
            return str(folder / name)
    pytest.fail(f"{name} is not built (ninja {name})")


def run(*command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, check=False, timeout=600, **options)


def corpus():
    for base in HERE.parents:
        folder = base / "shared" / "conformance" / "mime"
        if folder.is_dir():
            return sorted(p for p in folder.rglob("*") if p.is_file())
    return []


class Bench:
    """Keys, and the messages that can be signed, in a flat folder."""

    def __init__(self, folder):
        self.folder = folder
        self.keys = {}
        for selector, algorithm in (("ed", ["ed25519"]), ("rsa", ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"])):
            path = folder / f"{selector}.pem"
            assert run("openssl", "genpkey", "-algorithm", *algorithm, "-out", path).returncode == 0
            self.keys[selector] = path
        self.records, lines = {}, []
        for selector, path in self.keys.items():
            line = run(helper("auth_sign"), "key", selector, DOMAIN, path).stdout.decode()
            self.records[f"{selector}._domainkey.{DOMAIN}"] = "".join(re.findall(r'"([^"]*)"', line))
            lines.append(line)
        self.zone = folder / "zone"  # what `veredus domain records` would print
        self.zone.write_text("".join(lines))
        self.table = folder / "keys"
        self.table.write_text("".join(f"{name} {record}\n" for name, record in self.records.items()))
        # Mail as SMTP can bring it, from somebody: not an mbox line first, fields whose name has white space before the
        # colon, lone CR and NUL, or a last line without its end, which the others all read in their own ways.
        self.messages = []
        (folder / "plain").mkdir()
        for number, path in enumerate(corpus()):
            text = path.read_bytes()
            head = re.split(rb"\r?\n\r?\n", text, maxsplit=1)[0]
            lines = re.split(rb"\r?\n", head)
            good = all(re.match(rb"[!-9;-~]+:|[ \t]+[^ \t]", line) for line in lines)
            if good and re.search(rb"(?im)^from:.*@\w+[.\w-]*", head) and b"\0" not in text and not re.search(rb"\r(?!\n)", text):
                copy = folder / "plain" / f"{number:04}.eml"
                copy.write_bytes(re.sub(rb"\r?\n", b"\r\n", text).removesuffix(b"\r\n") + b"\r\n")
                self.messages.append(copy)

    def ours(self, form):
        out = self.folder / form.replace("/", "-")
        if not out.exists():
            out.mkdir()
            keys = [f"{selector}={path}" for selector, path in self.keys.items()]
            done = run(helper("auth_sign"), "dkim", form, DOMAIN, out, *keys, "--", *self.messages)
            assert done.returncode == 0 and done.stdout == b"", (done.stdout, done.stderr)
        return sorted(out.iterdir())

    def dns(self, name, timeout=5):
        del timeout
        return self.records.get(name.decode().rstrip("."), "").encode()

    def verdicts(self, command, files):
        """What `veredus dkim verify` or `veredus arc verify` says of each file."""

        def one(path):
            return run(program(), command, "verify", path, "--key-file", self.zone).stdout.decode()

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return dict(zip(files, pool.map(one, files)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("dkim"))
    if not made.messages:
        pytest.skip("the data sets are not there")
    assert len(made.messages) > 150
    return made


def check(results, good):
    bad = {str(path): said for path, said in results.items() if not good(said)}
    assert not bad, f"{len(bad)} of {len(results)}: {list(bad.items())[:5]}"


@pytest.mark.parametrize("form", FORMS)
def test_corpus_ours_by_dkimpy(bench, form):
    import dkim

    results = {}
    for path in bench.ours(form):
        judge = dkim.DKIM(path.read_bytes())
        results[path] = [judge.verify(idx, dnsfunc=bench.dns) for idx in range(2)]
    check(results, lambda said: said == [True, True])


@pytest.mark.parametrize("form", FORMS)
def test_corpus_ours_by_opendkim(bench, form):
    done = run(helper("auth_opendkim"), "verify", bench.table, *bench.ours(form))
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(bench.messages)
    check(dict(line.rsplit(": ", 1) for line in lines), lambda said: said == "pass")


@pytest.mark.parametrize("form", FORMS)
def test_corpus_ours_by_mail_dkim(bench, form):
    done = run("perl", PERL, "verify", bench.table, *bench.ours(form))
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(bench.messages), done.stderr
    # That of Debian 12 does not know Ed25519 yet.
    check(dict(line.split(": ", 1) for line in lines), lambda said: " pass,pass" in said or " invalid,pass" in said)


def test_corpus_ours_by_ours(bench):
    check(bench.verdicts("dkim", bench.ours("relaxed/simple")), lambda said: said.startswith("pass\n"))


def test_corpus_changed(bench):
    """An octet more in the body, and a second Subject, are found in every message."""
    changed = bench.folder / "changed"
    changed.mkdir()
    for path in bench.ours("relaxed/relaxed"):
        text = path.read_bytes()
        (changed / ("body-" + path.name)).write_bytes(text + b"!\r\n")
        (changed / ("head-" + path.name)).write_bytes(b"Subject: another\r\n" + text)
    check(bench.verdicts("dkim", sorted(changed.iterdir())), lambda said: said.startswith("fail\n"))


def test_corpus_dkimpy_by_ours(bench):
    import dkim

    out = bench.folder / "dkimpy"
    out.mkdir()
    for number, path in enumerate(bench.messages):
        text = path.read_bytes()
        header, body = FORMS[number % 4].encode().split(b"/")
        selector = "rsa" if number % 3 else "ed"
        key = bench.keys["rsa"].read_bytes()
        algorithm = b"rsa-sha256"
        if selector == "ed":
            import base64

            der = base64.b64decode(b"".join(bench.keys["ed"].read_bytes().splitlines()[1:-1]))
            key, algorithm = base64.b64encode(der[-32:]), b"ed25519-sha256"
        try:
            field = dkim.sign(text, selector.encode(), DOMAIN.encode(), key, canonicalize=(header, body),
                              signature_algorithm=algorithm)
        except dkim.ParameterError:
            continue  # it refuses what it finds twice
        (out / path.name).write_bytes(field + text)
    assert len(list(out.iterdir())) > 100
    check(bench.verdicts("dkim", sorted(out.iterdir())), lambda said: said.startswith("pass\n"))


def test_corpus_opendkim_by_ours(bench):
    out = bench.folder / "opendkim"
    out.mkdir()
    done = run(helper("auth_opendkim"), "sign", DOMAIN, "rsa", bench.keys["rsa"], out, *bench.messages)
    assert done.returncode == 0, done.stderr
    assert len(list(out.iterdir())) > 100
    check(bench.verdicts("dkim", sorted(out.iterdir())), lambda said: said.startswith("pass\n"))


def test_corpus_mail_dkim_by_ours(bench):
    out = bench.folder / "mail-dkim"
    out.mkdir()
    done = run("perl", PERL, "sign", DOMAIN, "rsa", bench.keys["rsa"], bench.table, out, *bench.messages)
    assert done.returncode == 0, done.stderr
    check(bench.verdicts("dkim", sorted(out.iterdir())), lambda said: said.startswith("pass\n"))


# ---- ARC ----


def seal(bench, name, files):
    out = bench.folder / name
    if not out.exists():
        out.mkdir()
        done = run(helper("auth_sign"), "arc", bench.table, DOMAIN, out, f"rsa={bench.keys['rsa']}", "--", *files)
        assert done.returncode == 0 and done.stdout == b"", (done.stdout, done.stderr)
    return sorted(out.iterdir())


def test_corpus_seals_by_dkimpy(bench):
    """Two handlers, one after the other."""
    import dkim

    results = {}
    for path in seal(bench, "arc2", seal(bench, "arc1", bench.messages)):
        cv, sets, why = dkim.arc_verify(path.read_bytes(), dnsfunc=bench.dns)
        results[path] = (cv, len(sets), why)
    check(results, lambda said: said[:2] == (b"pass", 2))


def test_corpus_seals_by_mail_dkim(bench):
    files = seal(bench, "arc2", seal(bench, "arc1", bench.messages))
    done = run("perl", PERL, "arc-verify", bench.table, *files)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(files), done.stderr
    check(dict(line.split(": ", 1) for line in lines), lambda said: said.startswith("pass"))


def test_corpus_seals_by_ours(bench):
    files = seal(bench, "arc2", seal(bench, "arc1", bench.messages))
    check(bench.verdicts("arc", files), lambda said: said.startswith("pass\n"))
    cut = bench.folder / "arc-cut"
    cut.mkdir()
    for path in files[:20]:
        (cut / path.name).write_bytes(path.read_bytes() + b"more\r\n")
    check(bench.verdicts("arc", sorted(cut.iterdir())), lambda said: said.startswith("fail\n"))


def test_corpus_mail_dkim_seals_by_ours(bench):
    out = bench.folder / "arc-perl"
    out.mkdir()
    results = bench.folder / "with-results"
    results.mkdir()
    for path in bench.messages:
        (results / path.name).write_bytes(b"Authentication-Results: mx.example.net; arc=none; spf=pass "
                                          b"smtp.mfrom=a@example.org\r\n" + path.read_bytes())
    done = run("perl", PERL, "arc-seal", DOMAIN, "rsa", bench.keys["rsa"], bench.table, out, *sorted(results.iterdir()))
    assert done.returncode == 0, done.stderr
    check(bench.verdicts("arc", sorted(out.iterdir())), lambda said: said.startswith("pass\n"))


# ---- keys from DNS ----

ZONE = """$ORIGIN {name}.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
{records}
gone._domainkey IN TXT "v=DKIM1; k=ed25519; p="
alias._domainkey IN CNAME ed._domainkey
"""
LETTER = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: x\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700\r\n\r\nHello\r\n"


@pytest.fixture(scope="module")
def zones(tmp_path_factory):
    """(folder, keys, server, trust anchor): the zone lines are those that our own tool prints."""
    folder = tmp_path_factory.mktemp("dkim-dns")
    keys, texts, anchor = {}, {}, ""
    for selector, algorithm in (("ed", ["ed25519"]), ("rsa", ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"])):
        keys[selector] = folder / f"{selector}.pem"
        assert run("openssl", "genpkey", "-algorithm", *algorithm, "-out", keys[selector]).returncode == 0
    for name in ("signed.test", "plain.test", "tampered.test"):
        lines = [run(helper("auth_sign"), "key", selector, name, path).stdout.decode() for selector, path in keys.items()]
        texts[name] = ZONE.format(name=name, records="".join(lines))
        if name != "plain.test":
            texts[name], ds = sign(folder, name, texts[name])
            anchor += ds
    before = texts["tampered.test"]
    texts["tampered.test"] = before.replace("v=DKIM1; k=ed25519", "v=DKIM1;  k=ed25519")
    assert texts["tampered.test"] != before
    (folder / "anchor").write_text(anchor)
    with served(folder, texts) as server:
        yield folder, keys, server, folder / "anchor"


def verify_by_dns(zones, domain, selectors):
    """What `veredus dkim verify` says of a letter that these keys signed for the domain."""
    folder, keys, server, anchor = zones
    out = folder / f"out-{domain}-{'-'.join(selectors)}"
    out.mkdir()
    (folder / "letter.eml").write_bytes(LETTER)
    pairs = [f"{name}={keys[key]}" for name, key in selectors.items()]
    assert run(helper("auth_sign"), "dkim", "relaxed/relaxed", domain, out, *pairs, "--", folder / "letter.eml").returncode == 0
    done = run(program(), "dkim", "verify", out / "letter.eml", "--dns", server, "--trust-anchor", anchor)
    assert done.stderr == b""
    said = done.stdout.decode()
    assert done.returncode == (0 if said.startswith("pass\n") else 1)
    return said


@pytest.mark.parametrize("domain,selectors,verdict,words", [
    ("signed.test", {"ed": "ed", "rsa": "rsa"}, "pass", ("(secure, 256 bits)", "(secure, 2048 bits)")),
    ("plain.test", {"ed": "ed", "rsa": "rsa"}, "pass", ("(insecure, 256 bits)", "(insecure, 2048 bits)")),
    ("signed.test", {"alias": "ed"}, "pass", ("alias._domainkey.signed.test",)),
    ("signed.test", {"ed": "rsa"}, "permerror", ("k= of the key",)),
    ("signed.test", {"nokey": "ed"}, "permerror", ("no such name",)),
    ("signed.test", {"gone": "ed"}, "permerror", ("revoked",)),
    ("tampered.test", {"ed": "ed"}, "temperror", ("DNSSEC",)),
    ("elsewhere.test", {"ed": "ed"}, "temperror", ("DNS does not answer",)),
])
def test_keys_from_dns(zones, domain, selectors, verdict, words):
    said = verify_by_dns(zones, domain, selectors)
    assert said.startswith(verdict + "\n"), said
    for word in words:
        assert word in said, said


def test_nothing_to_judge(tmp_path):
    """Words and exit status where there is no signature, no file, or no such option."""
    (tmp_path / "letter.eml").write_bytes(LETTER)
    (tmp_path / "keys").write_text("; none\n")
    for command in ("dkim", "arc"):
        done = run(program(), command, "verify", tmp_path / "letter.eml", "--key-file", tmp_path / "keys")
        assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, b"none", b"")
        done = run(program(), command, "verify", "-", "--key-file", tmp_path / "keys", input=LETTER)
        assert (done.returncode, done.stdout.split()[0]) == (0, b"none")
        done = run(program(), command, "verify", tmp_path / "missing.eml")
        assert done.returncode == 1 and done.stdout == b"" and b"missing.eml" in done.stderr
        done = run(program(), command, "verify")
        assert done.returncode == 2 and done.stdout == b""
    (tmp_path / "keys").write_text("nonsense\n")
    done = run(program(), "dkim", "verify", tmp_path / "letter.eml", "--key-file", tmp_path / "keys")
    assert done.returncode == 1 and b"line 1" in done.stderr
