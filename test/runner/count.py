#!/usr/bin/env python3
"""Adds up what the test tools reported.

    count.py show FILE...            the failures of these reports, with output
    count.py brief SKIPS FILE...     their numbers on one line
    count.py total FOLDER SKIPS      all reports of FOLDER; the last line is
                                     "N passed, N failed, N skipped"

Reports are JUnit files of ctest and pytest (*.xml) and *.checks files with
lines "name<tab>ok|fail", the output of a check indented below it. A ctest test that is a cmocka program counts by its
cases. A skip that SKIPS does not list is a failure, and so is a program that
ran no case, and a run without a single test.
"""
import fnmatch
import os
import re
import sys
import xml.etree.ElementTree as ET

CASE = re.compile(r"^\[\s*(OK|FAILED|SKIPPED)\s*\] (\w\S*)", re.M)
GROUP = re.compile(r"^\[=+\] .*?Running (\d+) test", re.M)
SUMMARY = re.compile(r"^\[  (PASSED|FAILED|SKIPPED|ERROR)\s*\] \d+ test", re.M)
OUTPUT_LINES = 120


class Result:
    """One counted test: its name, passed|failed|skipped, and its output."""

    def __init__(self, name, outcome, output=""):
        self.name, self.outcome, self.output = name, outcome, output


def cmocka_cases(name, output, passed):
    """The cases of a cmocka program's output, or None if it is none."""
    groups = GROUP.findall(output)
    if not groups:
        return None
    head = output[:SUMMARY.search(output).start()] if len(groups) == 1 and SUMMARY.search(output) else output
    seen = {}
    for verdict, case in CASE.findall(head):
        if case.isdigit() or case.rstrip(":").isdigit():
            continue
        outcome = {"OK": "passed", "SKIPPED": "skipped"}.get(verdict, "failed")
        case = case.rstrip(":")
        # A failing case may also show as an error of its teardown: the worst counts.
        if seen.get(case) != "failed":
            seen[case] = outcome
    results = [Result(f"{name}/{case}", outcome, output if outcome == "failed" else "")
               for case, outcome in seen.items()]
    if not results:
        results = [Result(name, "failed", output + "\n(the program ran no test case)")]
    elif not passed and not any(r.outcome == "failed" for r in results):
        # Died between its cases, or a sanitizer spoke at the end.
        results.append(Result(name, "failed", output))
    return results


def ctest_results(case):
    name, status = case.get("name"), case.get("status")
    output = case.findtext("system-out") or ""
    if status == "run":
        return cmocka_cases(name, output, True) or [Result(name, "passed")]
    skipped = case.find("skipped")
    if skipped is not None and (skipped.get("message") or "").startswith("SKIP_"):
        return [Result(name, "skipped")]
    if skipped is not None and not output:
        output = f"(not run: {skipped.get('message')})"
    return cmocka_cases(name, output, False) or [Result(name, "failed", output)]


def pytest_results(case):
    path = (case.get("classname") or "").replace(".", "/")
    name = f"{os.path.basename(path)}.py::{case.get('name')}" if path else case.get("name")
    bad = [e for e in case if e.tag in ("failure", "error")]
    if bad:
        text = "\n".join((e.get("message") or "") + "\n" + (e.text or "") for e in bad)
        return [Result(name, "failed", text)]
    if case.find("skipped") is not None:
        return [Result(name, "skipped")]
    return [Result(name, "passed")]


def read_report(path):
    if not os.path.exists(path):
        return [Result(os.path.basename(path), "failed", "this report was not written")]
    if path.endswith(".checks"):
        results = []
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.startswith("    ") and results:
                    results[-1].output += line[4:]
                    continue
                name, _, verdict = line.rstrip("\n").partition("\t")
                results.append(Result(name, "passed" if verdict == "ok" else "failed"))
        return results
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as e:
        return [Result(os.path.basename(path), "failed", f"unreadable report: {e}")]
    results = []
    for case in root.iter("testcase"):
        results += ctest_results(case) if case.get("status") else pytest_results(case)
    return results


def lies_near(folder, what):
    """Whether it is in this folder or one of the three above it (as for CMakeLists.txt)."""
    return any(os.path.exists(os.path.join(folder, up, what)) for up in (".", "..", "../..", "../../.."))


def read_skips(path):
    skips = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                words = line.split(None, 1)
                if not words or words[0].startswith("#"):
                    continue
                if len(words) < 2:
                    sys.exit(f"{path}:{number}: a skip needs a reason after its name")
                condition = words[1].split(None, 2)
                if condition[0] == "if-missing":
                    if len(condition) < 3:
                        sys.exit(f"{path}:{number}: a skip needs a reason after what may be missing")
                    if lies_near(os.path.dirname(os.path.abspath(path)), condition[1]):
                        continue
                skips.append(words[0])
    return skips


def show(paths):
    for path in paths:
        shown = set()
        for r in read_report(path):
            if r.outcome != "failed":
                continue
            print(f"--- FAILED: {r.name}")
            if r.output and r.output not in shown:
                shown.add(r.output)
                lines = r.output.rstrip().splitlines()
                if len(lines) > OUTPUT_LINES:
                    print(f"(the last {OUTPUT_LINES} of {len(lines)} lines)")
                print("\n".join(lines[-OUTPUT_LINES:]))


def add_up(paths, skips):
    """The counts of these reports, and the names of what failed."""
    count = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    for path in paths:
        for r in read_report(path):
            outcome, name = r.outcome, r.name
            if outcome == "skipped" and not any(fnmatch.fnmatchcase(name, s) for s in skips):
                outcome = "failed"
                name += " (skipped, but not listed in test/skips.txt)"
            count[outcome] += 1
            if outcome == "failed":
                stage = os.path.splitext(os.path.basename(path))[0]
                failures.append(f"{stage}: {name}")
    return count, failures


def sentence(count):
    return f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped"


def total(folder, skips):
    paths = [os.path.join(folder, entry) for entry in sorted(os.listdir(folder))
             if entry.endswith((".xml", ".checks"))]
    count, failures = add_up(paths, skips)
    if sum(count.values()) == 0:
        count["failed"] += 1
        failures.append("no test ran at all")
    if failures:
        print("failed:")
        for name in failures:
            print(f"  {name}")
    print(sentence(count), flush=True)
    return 1 if count["failed"] else 0


def main():
    arguments = sys.argv[1:]
    if len(arguments) >= 2 and arguments[0] == "show":
        show(arguments[1:])
        return 0
    if len(arguments) >= 3 and arguments[0] == "brief":
        print(sentence(add_up(arguments[2:], read_skips(arguments[1]))[0]))
        return 0
    if len(arguments) == 3 and arguments[0] == "total":
        return total(arguments[1], read_skips(arguments[2]))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
