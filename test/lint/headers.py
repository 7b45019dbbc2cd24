#!/usr/bin/env python3
"""Checks that every header of src/ compiles alone, and that a second inclusion
does no harm.

    headers.py [ROOT]
"""
import concurrent.futures
import os
import subprocess
import sys

# With the definitions of CMakeLists.txt; the paths only for *_test.h.
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", '-DVEREDUS_VERSION="0"', '-DSOURCE_DIR="."', '-DCONFORMANCE_DIR="."', "-Wall", "-Wextra",
         "-Wstrict-prototypes", "-Werror", "-fsyntax-only", "-x", "c"]
JOBS = 2


def check_header(root, header):
    """The compiler's complaint, or an empty string."""
    include = f'#include "{header}"\n'
    run = subprocess.run(["cc", *FLAGS, "-I", os.path.join(root, "src"), "-"],
                         input=include * 2, capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else f"src/{header} does not compile alone:\n{run.stderr}"


def check_tree(root):
    source = os.path.join(root, "src")
    headers = sorted(os.path.relpath(os.path.join(folder, name), source)
                     for folder, _, files in os.walk(source) for name in files if name.endswith(".h"))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return [c for c in pool.map(lambda h: check_header(root, h), headers) if c]


def main():
    faults = check_tree(sys.argv[1] if len(sys.argv) > 1 else ".")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
