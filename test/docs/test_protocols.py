"""The protocols page claims no more than the tests show."""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import protocols

INDEX = "5321\tSimple Mail\tSMTP\tYes\t\n3207\tSTARTTLS\tSMTP\tPartial\tserver\n1870\tSIZE\tSMTP\tNo\t\n"


def tree(folder, files):
    for path, text in ({protocols.INDEX: INDEX} | files).items():
        full = folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
    topics, rfcs = protocols.read_index(str(folder / protocols.INDEX))
    unknown = protocols.scan(str(folder), rfcs)
    return topics, rfcs, unknown


def test_downgraded_without_a_test(tmp_path):
    _, rfcs, _ = tree(tmp_path, {"src/smtp/a.c": "/* RFC5321-4.5.3 RFC3207-4 */"})
    assert [r.status() for r in rfcs.values()] == ["Roadmap", "Roadmap", "No"]


def test_claimed_with_a_test(tmp_path):
    _, rfcs, _ = tree(tmp_path, {"src/smtp/a_test.c": "/* RFC5321-4.5.3 */", "test/interop/test_b.py": "# RFC3207-4"})
    assert [r.status() for r in rfcs.values()] == ["Yes", "Partial", "No"]


def test_a_bare_number_is_no_reference(tmp_path):
    _, rfcs, unknown = tree(tmp_path, {"src/smtp/a_test.c": "/* RFC5321 RFC 3207-4 RFC9999-1 */"})
    assert rfcs["5321"].status() == "Roadmap" and rfcs["3207"].status() == "Roadmap"
    assert unknown == {"9999": "src/smtp/a_test.c"}


def test_the_run_must_have_passed_the_test(tmp_path):
    _, rfcs, _ = tree(tmp_path, {"src/smtp/a_test.c": "/* RFC5321-4.5.3 */", "test/interop/test_b.py": "# RFC3207-4"})
    (tmp_path / "ctest.xml").write_text(
        '<testsuite><testcase name="smtp_a_test" status="run"/></testsuite>')
    (tmp_path / "pytest.xml").write_text(
        '<testsuites><testcase classname="test.interop.test_b" name="x"><failure/></testcase></testsuites>')
    passed = protocols.read_passed(str(tmp_path))
    assert passed == {"smtp_a_test"}
    assert rfcs["5321"].status(passed) == "Yes"
    assert rfcs["3207"].status(passed) == "Roadmap"


def test_check_ignores_references_but_not_status(tmp_path):
    topics, rfcs, _ = tree(tmp_path, {"src/smtp/a_test.c": "/* RFC5321-4.5.3 */"})
    (tmp_path / protocols.PAGE).write_text(protocols.page(topics, rfcs))
    assert protocols.check(str(tmp_path), topics, rfcs, None) == 0
    more = tree(tmp_path, {"src/smtp/b.c": "/* RFC5321-4.5.4 */"})
    assert protocols.check(str(tmp_path), more[0], more[1], None) == 0
    less = tree(tmp_path, {"src/smtp/a_test.c": ""})
    assert protocols.check(str(tmp_path), less[0], less[1], None) == 1
