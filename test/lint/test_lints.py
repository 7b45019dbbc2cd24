"""Each lint must be able to fail: a small tree with one fault at a time."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import banned
import headers
import layers

MODULES = "veredus_module(base)\nveredus_module(loop DEPS base)\nveredus_module(imap DEPS loop\n  base LIBS X)\n"


def tree(folder, files):
    for path, text in ({"CMakeLists.txt": MODULES, "src/base/a.h": "", "src/loop/b.h": ""} | files).items():
        full = folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
    return str(folder)


@pytest.mark.parametrize("path, text, fault", [
    ("src/imap/c.c", '#include "base/a.h"\n#include <stdio.h>\n', None),
    ("src/imap/c.c", '#include "loop/b.h"\n', None),
    ("src/base/c.c", '#include "loop/b.h"\n', "base may not include"),
    ("src/loop/c_test.c", '#include "imap/d.h"\n', "not there"),
    ("src/base/c.c", '#include "a.h"\n', "not there"),
    ("src/imap/c.c", "#include <sqlite3.h>\n", "sqlite3.h belongs"),
    ("src/roles/queue_store.c", "#include <sqlite3.h>\n", "not a veredus_module"),
    ("src/other/c.c", "", "not a veredus_module"),
    ("src/imap/deep/c.c", "", "is not built"),
    ("CMakeLists.txt", "veredus_module(base DEPS loop)\nveredus_module(loop)\n", "does not stand above"),
    ("CMakeLists.txt", "", "no veredus_module"),
])
def test_layers(tmp_path, path, text, fault):
    found = layers.check_tree(tree(tmp_path, {path: text}))
    if fault is None:
        assert found == []
    else:
        assert any(fault in f for f in found)


@pytest.mark.parametrize("text, fault", [
    ("struct point { int x; };\n", True),
    ("#pragma once\nstruct point { int x; };\n", False),
    ("#pragma once\nsize_t length(void);\n", True),
    ("#pragma once\n#include <stddef.h>\nsize_t length(void);\n", False),
])
def test_headers(tmp_path, text, fault):
    assert bool(headers.check_tree(tree(tmp_path, {"src/base/a.h": text}))) == fault


@pytest.mark.parametrize("path, text, fault", [
    ("src/base/c.c", "int f(void) { return my_strcpy(a) + p->gets(1); }\n", None),
    ("src/base/c.c", "/* strcpy(a, b) */ const char *s = \"atoi(x)\";\n", None),
    ("src/base/c.c", "strcpy(a, b);\n", "strcpy()"),
    ("src/base/c.c", "n = strtoul (a, 0, 10);\n", "strtoul()"),
    ("src/base/c_test.c", "n = sscanf(a, b);\n", "sscanf()"),
    ("src/base/c.c", "p = alloca(n);\n", "alloca()"),
    ("src/base/c.c", "t = localtime(&now);\n", "localtime()"),
    ("src/base/c.c", "signal(SIGPIPE, SIG_IGN);\n", None),
    ("src/base/c.c", "signal(SIGPIPE, handler);\n", "signal()"),
    ("src/base/c.c", "n = strlen(s);\n", None),
    ("src/imap/c.c", "n = strlen(s);\n", "strlen()"),
    ("src/imap/c_test.c", "n = strlen(s);\n", None),
    ("src/base/c.c", "/* TO" + "DO: more */\n", "unfinished"),
    ("test/sim/c.c", "/* FIX" + "ME */\n", "unfinished"),
    ("src/base/c.c", "mkstemp(\"aXXXXXX\");\n", None),
    ("src/base/c.c", "\n" * 801, "801 lines"),
    ("src/base/c.c", "\n" * 800, None),
    ("test/lint/allowed.txt", "src/base/c.c strcpy because it says so\n", "nothing needs"),
    ("test/lint/allowed.txt", "src/base/c.c strcpy\n", "REASON"),
])
def test_banned(tmp_path, path, text, fault):
    found = banned.check_tree(tree(tmp_path, {path: text}))
    if fault is None:
        assert found == []
    else:
        assert any(fault in f for f in found)


def test_banned_exception(tmp_path):
    files = {"src/base/c.c": "signal(SIGHUP, f);\n", "test/lint/allowed.txt": "src/base/c.c signal there is no other way\n"}
    assert banned.check_tree(tree(tmp_path, files)) == []
