"""
Our reading of mail against Python's email package and GMime, over the corpus
and over messages that mutate.py makes from it. Whatever differs must be a case
of rules.py.

MIME_MESSAGES is the number of messages made, MIME_SEED their seed. A message
that nobody explains is kept in build/mime-differences.
"""

import base64
import collections
import json
import os
import pathlib
import struct
import subprocess
import time

import compare
import mutate
import pytest
import rules
from read_email import read_email

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEW, MANY = 2000, 20000  # MANY: as many as prove that a rule is of use
SHOWN = 20  # differences in the report of a failure
SEED = 11


def octets_of(node):
    """Bodies come in base64; text is compared as text."""
    if node is None:
        return
    if "body" in node:
        node["body"] = base64.b64decode(node["body"])
    if "text" in node:
        node["text"] = base64.b64decode(node["text"]).decode("utf-8")
    for part in node.get("parts", []):
        octets_of(part)
    octets_of(node.get("message"))


def read_with(program, messages, folder):
    """What mime_compare says of each message."""
    pack = folder / "pack"
    pack.write_bytes(b"".join(struct.pack(">I", len(octets)) + octets for octets in messages))
    with subprocess.Popen([program, "--full", pack], stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            row = json.loads(line)
            for reading in row.values():
                octets_of(reading and reading["tree"])
            yield row
    assert process.returncode == 0


def explain(differences, counts):
    """The differences that no rule explains; counts what each rule does."""
    left = []
    for difference in differences:
        for rule in rules.RULES:
            if difference.reader in rule.readers and difference.field in rule.fields and rule.explains(difference):
                counts[rule.name] += 1
                break
        else:
            left.append(difference)
    return left


@pytest.fixture(scope="module")
def run(corpus, mime_compare, tmp_path_factory):
    """(messages, counts by rule, unexplained differences with their message's number)."""
    seed, number = int(os.environ.get("MIME_SEED", SEED)), int(os.environ.get("MIME_MESSAGES", FEW))
    started = time.monotonic()
    messages = list(corpus.values()) + list(mutate.generate(list(corpus.values()), number, seed))
    counts, left, compared, same = collections.Counter(), [], 0, 0
    for i, row in enumerate(read_with(mime_compare, messages, tmp_path_factory.mktemp("mime"))):
        assert row["ours"] is not None
        compared += 1
        for reader, theirs in (("gmime", row["gmime"]), ("email", read_email(messages[i], full=True))):
            found = compare.differences(messages[i], reader, row["ours"], theirs)
            same += not found
            left += [(i, difference) for difference in explain(found, counts)]
    assert compared == len(messages)
    print(f"\n{len(messages)} messages (seed {seed}), two other readers: {same} of {2 * compared} readings are the same, "
          f"{sum(counts.values())} differences in {len(counts)} classes, {len(left)} unexplained, {time.monotonic() - started:.1f} s")
    for name, count in counts.most_common():
        print(f"{count:7} {name}")
    return messages, counts, left


def test_every_difference_has_a_reason(run):
    messages, _, left = run
    folder = ROOT / "build" / "mime-differences"
    for i, _ in left:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.eml").write_bytes(messages[i])
    assert not left, "\n".join([f"{len(left)} differences that no rule of rules.py explains (messages are in {folder}):"] +
                               [f"{i}.eml: {difference}" for i, difference in left[:SHOWN]])


def test_every_rule_is_of_use(run):
    """A rule that explains nothing is a reason nobody needs: remove it."""
    messages, counts, _ = run
    if len(messages) < MANY:
        pytest.skip(f"only {MANY} messages prove that: MIME_MESSAGES={MANY}")
    assert not [rule.name for rule in rules.RULES if not counts[rule.name]]


def test_rules_are_named_once():
    names = [rule.name for rule in rules.RULES]
    assert len(names) == len(set(names)) and all(rule.why and rule.readers and rule.fields for rule in rules.RULES)


def test_a_wrong_reading_is_seen(corpus, mime_compare, tmp_path):
    """Each field changed in our reading of a plain message is a difference that no rule explains."""
    octets = (b"From: Ann <a@example.org>\r\nTo: b@example.org\r\nCc: c@example.org\r\nSubject: s\r\nDate: Tue, 1 Jul 2003 10:52:37 +0200\r\n"
              b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n--b--\r\n")
    row = next(iter(read_with(mime_compare, [octets], tmp_path)))
    changes = [lambda r: r.update(subject="t"), lambda r: r.update(date=1), lambda r: r.update(to=[[None, "x@example.org"]]),
               lambda r: r["from"][0].__setitem__(0, "Bob"), lambda r: r.update(cc=[]), lambda r: r["tree"]["parts"].pop(),
               lambda r: r["tree"].update(type="multipart/alternative"), lambda r: r["tree"]["parts"][0].update(crc=1, body=b"y"),
               lambda r: r["tree"]["parts"][1].update(name="b.png"), lambda r: r["tree"]["parts"][0].update(type="text/html")]
    for reader, theirs in (("gmime", row["gmime"]), ("email", read_email(octets, full=True))):
        assert not compare.differences(octets, reader, row["ours"], theirs)
        for number, change in enumerate(changes):
            ours = json.loads(json.dumps(row["ours"], default=lambda octets: octets.decode()))
            for part in ours["tree"]["parts"]:
                part["body"] = part["body"].encode()
            change(ours)
            found = compare.differences(octets, reader, ours, theirs)
            counts = collections.Counter()
            assert found and explain(found, counts) == found, (reader, number, counts)


def test_the_generator_is_the_same_every_time(corpus):
    some = list(corpus.values())[:40]
    first = list(mutate.generate(some, 200, 1))
    assert first == list(mutate.generate(some, 200, 1)) and first != list(mutate.generate(some, 200, 2))
    assert sum(octets in some for octets in first) < 40
