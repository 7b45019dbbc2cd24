#!/bin/sh
# Roles killed at random while mail comes in, many times over (a failure shows its seed), and what takes long.
export VEREDUS_LONG=1
exec /usr/bin/python3 -m pytest -q -p no:cacheprovider test/interop/test_faults.py -k 'at_random or leaves'
