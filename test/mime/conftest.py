"""Where the corpus and the programs are."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def corpus_folder():
    for shared in (ROOT.parent / "shared", ROOT.parent.parent / "shared"):
        if (shared / "conformance" / "mime").is_dir():
            return shared / "conformance" / "mime"
    return None


@pytest.fixture(scope="session")
def corpus():
    """{name: octets} of every message, in order of their names."""
    folder = corpus_folder()
    if folder is None:
        pytest.skip("the conformance data sets are not beside the tree")
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".eml", ".raw"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def veredus():
    return os.environ.get("VEREDUS") or str(ROOT / "build" / "veredus")


@pytest.fixture(scope="session")
def mime_compare():
    """test/mime/compare_main.c; it is built where GMime is installed."""
    program = pathlib.Path(os.environ.get("MIME_COMPARE") or ROOT / "build" / "release" / "test" / "mime_compare")
    if not program.exists():
        pytest.skip("no mime_compare: libgmime-3.0-dev was not there when it was built")
    return str(program)
