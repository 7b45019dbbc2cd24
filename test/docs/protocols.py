#!/usr/bin/env python3
"""Makes docs/PROTOCOLS.md from docs/protocols.tsv and the tree.

    protocols.py                 writes docs/PROTOCOLS.md
    protocols.py --check         fails if the page is out of date
    protocols.py --sections RFC  the sections of one RFC, and where they stand
    --root DIR                   another tree than the present folder
    --results DIR                with --check: the reports of a test run; a Yes or
                                 Partial needs a test that passed in it

The cross-reference is built from `RFCnnnn-section` in code and tests. The page
cannot claim more than the tests: a Yes or Partial that no test names is shown
as Roadmap. The check leaves out the columns of references, which move with
every commit.
"""
import os
import re
import sys
import xml.etree.ElementTree as ET

REFERENCE = re.compile(r"\bRFC(\d{3,5})-([0-9A-Z]+(?:\.[0-9A-Z]+)*)")
STATUSES = ("Yes", "Partial", "Roadmap", "No")
NEEDS_TEST = ("Yes", "Partial")
SOURCES = (".c", ".h", ".py", ".sh", ".txt", ".script")
TEST_FILE = re.compile(r"_(test|fuzz)\.c$")
# Session scripts, and the test that plays a folder of them.
SCRIPT_FILE = re.compile(r"^src/\w+/\w*scripts/[^/]+\.txt$")
SCRIPT_RUNNERS = {
    "src/smtp/scripts": "smtp_script_test",
    "src/smtp/client_scripts": "smtp_client_script_test",
    "src/imap/scripts": "session_imap_script_test",
}
# These scan for references, they make none.
NOT_TESTS = ("test/docs/", "test/lint/", "test/runner/")
PAGE = "docs/PROTOCOLS.md"
INDEX = "docs/protocols.tsv"


class Rfc:
    """One line of the index, and where the tree names it."""

    def __init__(self, number, title, topic, claim, note):
        self.number, self.title, self.topic, self.claim, self.note = number, title, topic, claim, note
        self.code, self.tests = {}, {}      # {file: {section: count}}

    def status(self, passed=None):
        if self.claim not in NEEDS_TEST:
            return self.claim
        tests = self.tests if passed is None else [t for t in self.tests if ran_in(t, passed)]
        return self.claim if tests else "Roadmap"


def read_index(path):
    """The topics in order, and {number: Rfc}."""
    topics, rfcs = [], {}
    with open(path, encoding="utf-8") as f:
        for line_number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            fields = line.split("\t")
            where = f"{path}:{line_number}"
            if len(fields) != 5:
                sys.exit(f"{where}: five fields are needed: rfc, title, topic, status, note")
            number, title, topic, claim, note = fields
            if claim not in STATUSES:
                sys.exit(f"{where}: status {claim!r} is none of {', '.join(STATUSES)}")
            if number in rfcs:
                sys.exit(f"{where}: RFC {number} stands here twice")
            if topic not in topics:
                topics.append(topic)
            rfcs[number] = Rfc(number, title, topic, claim, note)
    return topics, rfcs


def scan(root, rfcs):
    """Collects the references; returns the RFCs that are named but not in the index."""
    unknown = {}
    for top in ("src", "test", "web"):
        for folder, folders, files in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not name.endswith(SOURCES) or path.startswith(NOT_TESTS):
                    continue
                is_test = path.startswith("test/") or TEST_FILE.search(name) or SCRIPT_FILE.search(path)
                with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
                    for number, section in REFERENCE.findall(f.read()):
                        rfc = rfcs.get(number)
                        if rfc is None:
                            unknown.setdefault(number, path)
                            continue
                        sections = (rfc.tests if is_test else rfc.code).setdefault(path, {})
                        sections[section] = sections.get(section, 0) + 1
    return unknown


def read_passed(folder):
    """The names of the tests that passed: ctest names, and names of pytest files."""
    passed, failed = set(), set()
    for entry in sorted(os.listdir(folder)):
        if not entry.endswith(".xml"):
            continue
        for case in ET.parse(os.path.join(folder, entry)).getroot().iter("testcase"):
            if case.get("status"):
                name, good = case.get("name"), case.get("status") == "run"
            else:
                name = (case.get("classname") or "").replace(".", "/") + ".py"
                good = not any(e.tag in ("failure", "error", "skipped") for e in case)
            (passed if good else failed).add(name)
    return passed - failed


def ran_in(path, passed):
    """Whether the test file belongs to a test that passed."""
    if path.endswith(".py"):
        return path in passed
    if os.path.dirname(path) in SCRIPT_RUNNERS:
        return SCRIPT_RUNNERS[os.path.dirname(path)] in passed
    name = os.path.splitext(path)[0].split("/", 1)[1].replace("/", "_")
    return name in passed


def where(files):
    """Links to files with the number of sections named there."""
    links = []
    for path in sorted(files):
        n = len(files[path])
        links.append(f"[{os.path.basename(path)}](../{path}) ({n})")
    return "<br>".join(links) or "-"


def cell(text):
    return text.replace("|", "\\|")


def page(topics, rfcs, passed=None):
    out = ["# Protocols", "",
           f"Made by `test/docs/protocols.py` from [protocols.tsv](protocols.tsv) and the RFC references",
           "in code and tests; do not edit. *Yes*: all of it that concerns a mail server, with tests that name its",
           "sections. *Partial*: the part named in the note, tested. *Roadmap*: planned, or without a test that",
           "names it. *No*: not planned. Beside each file stands how many different sections it names.", "",
           "## Topics", "", "| Topic | " + " | ".join(STATUSES) + " |", "|---|" + "--:|" * len(STATUSES)]
    for topic in topics:
        counts = [sum(1 for r in rfcs.values() if r.topic == topic and r.status(passed) == s) for s in STATUSES]
        anchor = re.sub(r"[^a-z0-9 -]", "", topic.lower()).replace(" ", "-")
        out.append(f"| [{topic}](#{anchor}) | " + " | ".join(str(c) if c else "" for c in counts) + " |")
    for topic in topics:
        out += ["", f"## {topic}", "", "| RFC | Title | Status | Note | Code | Tests |", "|--:|---|---|---|---|---|"]
        for r in rfcs.values():
            if r.topic == topic:
                out.append(f"| [{r.number}](https://www.rfc-editor.org/rfc/rfc{r.number}) | {cell(r.title)} "
                           f"| {r.status(passed)} | {cell(r.note)} | {where(r.code)} | {where(r.tests)} |")
    return "\n".join(out) + "\n"


def without_references(text):
    """The page without its last two columns: what --check compares."""
    kept = []
    for line in text.splitlines():
        if line.startswith("| ["):
            cells = line.split(" | ")
            line = " | ".join(cells[:-2]) if "rfc-editor" in line else line
        kept.append(line)
    return kept


def sections(rfc):
    lines = {}
    for kind, files in (("code", rfc.code), ("test", rfc.tests)):
        for path, found in files.items():
            for section, count in found.items():
                lines.setdefault(section, []).append(f"{kind} {path} ({count})")
    def order(section):
        return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in section.split(".")]
    for section in sorted(lines, key=order):
        print(f"{section}: {'; '.join(lines[section])}")


def check(root, topics, rfcs, results):
    path = os.path.join(root, PAGE)
    if not os.path.exists(path):
        print(f"{PAGE} is missing: run test/docs/protocols.py")
        return 1
    with open(path, encoding="utf-8") as f:
        stands = without_references(f.read())
    passed = read_passed(results) if results else None
    bad = 0
    if passed is not None:
        for r in rfcs.values():
            if r.status() in NEEDS_TEST and r.status(passed) != r.status():
                print(f"RFC {r.number} is claimed as {r.claim}, but none of its tests passed in this run")
                bad = 1
    if stands != without_references(page(topics, rfcs)):
        print(f"{PAGE} is out of date: run test/docs/protocols.py")
        bad = 1
    return bad


def main():
    root, results, mode, wanted = ".", None, "write", None
    arguments = sys.argv[1:]
    while arguments:
        word = arguments.pop(0)
        if word == "--check":
            mode = "check"
        elif word in ("--root", "--results", "--sections") and arguments:
            value = arguments.pop(0)
            if word == "--root":
                root = value
            elif word == "--results":
                results = value
            else:
                mode, wanted = "sections", value
        else:
            print(__doc__, file=sys.stderr)
            return 2
    topics, rfcs = read_index(os.path.join(root, INDEX))
    unlisted = scan(root, rfcs)
    if mode == "write":
        for number, path in sorted(unlisted.items()):
            print(f"note: {path} names RFC {number}, which {INDEX} does not list")
    if mode == "check":
        return check(root, topics, rfcs, results)
    if mode == "sections":
        if wanted not in rfcs:
            print(f"RFC {wanted} is not in {INDEX}", file=sys.stderr)
            return 1
        sections(rfcs[wanted])
        return 0
    with open(os.path.join(root, PAGE), "w", encoding="utf-8") as f:
        f.write(page(topics, rfcs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
