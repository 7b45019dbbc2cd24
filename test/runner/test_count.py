"""The closing line counts what the reports say, and never too kindly."""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import count

CMOCKA = """[==========] Running 3 test(s).
[ RUN      ] one
[       OK ] one
[ RUN      ] two
[  ERROR   ] --- 1 != 2
[  FAILED  ] two
[ RUN      ] three
[  SKIPPED ] three
[==========] 3 test(s) run.
[  PASSED  ] 1 test(s).
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] two

 1 FAILED TEST(S)
"""


def ctest(folder, output, status="run", extra=""):
    text = output.replace("<", "&lt;")
    (folder / "ctest.xml").write_text(f'<testsuite><testcase name="t" status="{status}">{extra}'
                                      f"<system-out>{text}</system-out></testcase></testsuite>")


def totals(folder, skips=()):
    return count.add_up([str(folder / "ctest.xml")], skips)[0]


def test_cmocka_cases_count_singly(tmp_path):
    ctest(tmp_path, CMOCKA, "fail")
    assert totals(tmp_path) == {"passed": 1, "failed": 2, "skipped": 0}
    assert totals(tmp_path, ["t/three"]) == {"passed": 1, "failed": 1, "skipped": 1}


def test_a_crash_between_cases_fails(tmp_path):
    ctest(tmp_path, CMOCKA[:CMOCKA.index("[ RUN      ] two")], "fail")
    assert totals(tmp_path) == {"passed": 1, "failed": 1, "skipped": 0}


def test_a_leak_after_good_cases_fails(tmp_path):
    ctest(tmp_path, CMOCKA[:CMOCKA.index("[ RUN      ] two")] + "ERROR: LeakSanitizer", "fail")
    assert totals(tmp_path)["failed"] == 1


def test_no_case_fails(tmp_path):
    ctest(tmp_path, "[==========] Running 0 test(s).\n[==========] 0 test(s) run.\n[  PASSED  ] 0 test(s).\n")
    assert totals(tmp_path) == {"passed": 0, "failed": 1, "skipped": 0}


def test_plain_programs_count_once(tmp_path):
    ctest(tmp_path, "12 inputs replayed\n")
    assert totals(tmp_path) == {"passed": 1, "failed": 0, "skipped": 0}
    ctest(tmp_path, "", "fail")
    assert totals(tmp_path)["failed"] == 1


def test_not_run_fails_but_a_listed_skip_does_not(tmp_path):
    ctest(tmp_path, "", "notrun", '<skipped message="Unable to find executable"/>')
    assert totals(tmp_path, ["t"]) == {"passed": 0, "failed": 1, "skipped": 0}
    ctest(tmp_path, "", "notrun", '<skipped message="SKIP_RETURN_CODE=77"/>')
    assert totals(tmp_path, ["t"]) == {"passed": 0, "failed": 0, "skipped": 1}
    assert totals(tmp_path) == {"passed": 0, "failed": 1, "skipped": 0}


def test_pytest_outcomes(tmp_path):
    (tmp_path / "ctest.xml").write_text(
        '<testsuites><testcase classname="test.a.test_b" name="x"/>'
        '<testcase classname="test.a.test_b" name="y"><error message="m"/></testcase>'
        '<testcase classname="test.a.test_b" name="z"><skipped message="m"/></testcase></testsuites>')
    assert totals(tmp_path, ["test_b.py::z"]) == {"passed": 1, "failed": 1, "skipped": 1}


def test_a_missing_or_broken_report_fails(tmp_path):
    assert totals(tmp_path)["failed"] == 1
    (tmp_path / "ctest.xml").write_text("<testsuite>")
    assert totals(tmp_path)["failed"] == 1


def test_a_run_without_tests_fails(tmp_path, capsys):
    assert count.total(str(tmp_path), []) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"
    (tmp_path / "lint.checks").write_text("a\tok\nb\tok\n")
    assert count.total(str(tmp_path), []) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"


def test_a_conditional_skip(tmp_path):
    skips = tmp_path / "tree" / "test" / "skips.txt"
    skips.parent.mkdir(parents=True)
    skips.write_text("# comment\na/b because\n*c if-missing data/x they lie elsewhere\n")
    assert count.read_skips(str(skips)) == ["a/b", "*c"]
    (tmp_path / "data" / "x").mkdir(parents=True)
    assert count.read_skips(str(skips)) == ["a/b"]
