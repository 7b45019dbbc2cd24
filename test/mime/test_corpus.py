"""The corpus, message by message: against the readings beside them (decisions.py), or as decided for each (expected.py)."""

import json
import subprocess

import hints
import pytest
from conftest import corpus_folder
from decisions import HINTS
from expected import EXPECTED
from test_differential import read_with


def shown(veredus, name):
    done = subprocess.run([veredus, "message", "parse", "--compact", corpus_folder() / name], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


def names_of(part):
    if part["file_name"]:
        yield part["file_name"]
    for child in part.get("parts", []):
        yield from names_of(child)
    if "message" in part:
        yield from names_of(part["message"])


def sender(message):
    field = next((field for field in message["structure"]["headers"] if field["name"].lower() == "from"), {"addresses": []})
    return ", ".join(f"{a['name']} <{a['email']}>" if a["name"] else f"<{a['email']}>" for a in field["addresses"])


@pytest.fixture(scope="module")
def with_hint(corpus):
    return [name for name in corpus if (corpus_folder() / name).with_suffix(".json").exists()]


def test_hints(corpus, with_hint, veredus, mime_compare, tmp_path):
    """Every field of every part that the other parser read otherwise is decided, and every decision is needed."""
    seen = {}
    for name, row in zip(with_hint, read_with(mime_compare, [corpus[name] for name in with_hint], tmp_path)):
        hint = hints.load((corpus_folder() / name).with_suffix(".json"))
        for field, ours, theirs in hints.differences(shown(veredus, name), row["ours"], hint):
            seen[name.removesuffix(".eml"), field] = (ours, theirs)
    assert {key: value for key, value in seen.items() if key not in HINTS} == {}
    assert [key for key in HINTS if key not in seen] == []
    assert all(who in ("we", "both", "they") and why for who, why in HINTS.values())
    assert [key for key, (who, _) in HINTS.items() if who == "they"] == []  # those were mended
    print(f"\n{len(with_hint)} messages with another reading beside them, {len(seen)} fields differ, each decided")


def test_every_message_has_a_row(corpus, with_hint):
    assert sorted(EXPECTED) == sorted(name for name in corpus if name not in with_hint)


def test_expected(corpus, with_hint, veredus):
    wrong = {}
    for name in corpus:
        if name in with_hint:
            continue
        message = shown(veredus, name)
        tree, subject, from_, names, words = EXPECTED[name]
        got = (hints.shape_of_ours(message["structure"]), message["derived"]["subject"], sender(message),
               list(names_of(message["structure"])))
        if got != (tree, subject, from_, names) or not message["derived"]["preview"].startswith(words) or \
                (not words and message["derived"]["preview"]):
            wrong[name] = (*got, message["derived"]["preview"][:60])
    assert not wrong, "\n".join(f"{name}: {got}, not {EXPECTED[name]}" for name, got in wrong.items())
