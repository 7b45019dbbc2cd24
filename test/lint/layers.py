#!/usr/bin/env python3
"""Checks that includes point only downwards.

The layers are the veredus_module() lines of CMakeLists.txt: a file of a folder
may include its own folder and the DEPS listed there, nothing else. SQL stays
where it belongs: sqlite3.h only in the folders of SQLITE_USERS.

    layers.py [ROOT]     prints one line a fault; exit status 1 if there is one
"""
import os
import re
import sys

SQLITE_USERS = ("src/store/sqlite/", "src/roles/queue")
MODULE = re.compile(r"^veredus_module\(([^)]*)\)", re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def read_modules(text):
    """{module: [deps]} in the order of the file, and the faults of the list itself."""
    modules, faults = {}, []
    for match in MODULE.finditer(text):
        words = match.group(1).split()
        name, deps, keyword = words[0], [], None
        for word in words[1:]:
            if word in ("DEPS", "LIBS"):
                keyword = word
            elif keyword == "DEPS":
                deps.append(word)
        for dep in deps:
            # What a folder may use stands above it, so there can be no cycle.
            if dep not in modules:
                faults.append(f"CMakeLists.txt: {name} depends on {dep}, which does not stand above it")
        modules[name] = deps
    return modules, faults


def module_of(path, modules):
    """The module whose folder holds this path (relative to src/), or None."""
    folder = os.path.dirname(path)
    while folder:
        if folder in modules:
            return folder
        folder = os.path.dirname(folder)
    return None


def check_file(root, path, modules):
    relative = path[len("src/"):]
    module = module_of(relative, modules)
    if module is None:
        return [f"{path}: this folder is not a veredus_module() of CMakeLists.txt"]
    faults = []
    if path.endswith(".c") and os.path.dirname(relative) != module:
        faults.append(f"{path}: is not built: CMakeLists.txt takes only the files directly in src/{module}")
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        text = f.read()
    for match in INCLUDE.finditer(text):
        where = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
        kind, target = match.groups()
        if kind == "<":
            if target == "sqlite3.h" and not path.startswith(SQLITE_USERS):
                faults.append(f"{where}: sqlite3.h belongs only to {', '.join(SQLITE_USERS)}")
            continue
        if not os.path.exists(os.path.join(root, "src", target)):
            faults.append(f'{where}: "{target}" is not there (includes are written from src/)')
            continue
        other = module_of(target, modules)
        if other is None:
            faults.append(f'{where}: "{target}" is in no module')
        elif other != module and other not in modules[module]:
            faults.append(f'{where}: {module} may not include "{target}": {other} is not among its DEPS')
    return faults


def check_tree(root):
    with open(os.path.join(root, "CMakeLists.txt"), encoding="utf-8") as f:
        modules, faults = read_modules(f.read())
    if not modules:
        faults.append("CMakeLists.txt: no veredus_module() found")
    for folder, _, files in sorted(os.walk(os.path.join(root, "src"))):
        for name in sorted(files):
            if name.endswith((".c", ".h")):
                faults += check_file(root, os.path.relpath(os.path.join(folder, name), root), modules)
    return faults


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    faults = check_tree(root)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
