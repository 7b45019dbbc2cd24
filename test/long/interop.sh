#!/bin/sh
# Roles killed at random while mail comes in, many times over; each run prints its seed when it fails.
export VEREDUS_LONG=1
exec /usr/bin/python3 -m pytest -q -p no:cacheprovider test/interop/test_faults.py -k at_random
