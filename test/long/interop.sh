#!/bin/sh
# The interop tests whose short form uses fewer messages or connections, with the full numbers.
export VEREDUS_LONG=1
exec /usr/bin/python3 -m pytest -q -p no:cacheprovider test/interop/test_mbsync.py test/interop/test_faults.py
