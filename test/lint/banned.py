#!/usr/bin/env python3
"""Looks for what the house does not use: functions without bounds, functions
with hidden state, words that mark unfinished work, files too long to read.

    banned.py [ROOT]     prints one line a fault; exit status 1 if there is one

An exception stands in test/lint/allowed.txt: FILE FUNCTION REASON, one a line.
An exception that nothing needs any more is a fault too.
"""
import os
import re
import sys

# Reads or writes without a bound, or converts text without saying where it ended.
UNBOUNDED = """strcpy strcat strncpy strncat stpcpy stpncpy sprintf vsprintf gets strtok strtok_r strsep
    sscanf vsscanf scanf fscanf atoi atol atoll atof strtol strtoul strtoll strtoull strtod strtof
    strtoimax strtoumax alloca strdupa strndupa wcscpy wcscat""".split()
# Answers from a static buffer or a hidden generator, or runs a shell.
HIDDEN_STATE = """asctime ctime gmtime localtime rand srand random srandom drand48 tmpnam tempnam mktemp
    system popen gethostbyname gethostbyaddr inet_ntoa inet_addr signal setjmp longjmp""".split()
# Folders that read a peer's bytes: NUL is data there, so no length is found by it.
WIRE_FOLDERS = ("src/message/", "src/dns/", "src/spf/", "src/dkim/", "src/arc/", "src/dmarc/", "src/arf/", "src/authres/", "src/dnsbl/",
                "src/dane/", "src/mtasts/", "src/tlsrpt/", "src/sasl/", "src/smtp/", "src/imap/")
WIRE = ["strlen", "strchr", "strrchr", "strstr", "strcmp", "strncmp", "strcasecmp", "strncasecmp", "strdup"]

WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\bnot yet implemented\b|\bunimplemented\b")
MAX_LINES = 800

# Ignoring a signal or giving it back has no handler whose semantics could differ.
HARMLESS = re.compile(r"\bsignal\s*\([^,()]+,\s*SIG_(IGN|DFL)\)")

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments and literals blanked; lines and columns stay."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def banned_in(path):
    names = UNBOUNDED + HIDDEN_STATE
    if path.startswith(WIRE_FOLDERS) and not path.endswith(("_test.c", "_fuzz.c")):
        names = names + WIRE
    return re.compile(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(")


def check_text(path, text, allowed, used):
    faults = []
    for number, line in enumerate(code_only(text).splitlines(), 1):
        line = HARMLESS.sub("", line)
        for match in banned_in(path).finditer(line):
            key = (path, match.group(1))
            if key in allowed:
                used.add(key)
            else:
                faults.append(f"{path}:{number}: {match.group(1)}() is not used here")
    for number, line in enumerate(text.splitlines(), 1):
        word = WORDS.search(line)
        if word:
            faults.append(f"{path}:{number}: \"{word.group()}\" marks unfinished work")
    lines = text.count("\n")
    if lines > MAX_LINES:
        faults.append(f"{path}: {lines} lines, more than {MAX_LINES}: would two files read better?")
    return faults


def read_allowed(path):
    allowed, faults = set(), []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                words = line.split(None, 2)
                if not words or words[0].startswith("#"):
                    continue
                if len(words) < 3:
                    faults.append(f"{path}:{number}: an exception needs FILE, FUNCTION and REASON")
                else:
                    allowed.add((words[0], words[1]))
    return allowed, faults


def check_tree(root):
    allowed, faults = read_allowed(os.path.join(root, "test/lint/allowed.txt"))
    used = set()
    for top in ("src", "test"):
        for folder, _, files in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(files):
                if name.endswith((".c", ".h")):
                    full = os.path.join(folder, name)
                    with open(full, encoding="utf-8", errors="replace") as f:
                        faults += check_text(os.path.relpath(full, root), f.read(), allowed, used)
    for path, function in sorted(allowed - used):
        faults.append(f"test/lint/allowed.txt: {path} {function}: nothing needs this exception any more")
    return faults


def main():
    faults = check_tree(sys.argv[1] if len(sys.argv) > 1 else ".")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
