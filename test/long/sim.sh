#!/bin/sh
# The long forms of the simulation and of the store's faults: every packet, every disk operation, many seeds. Run by
# `./dev test --all` on the debug build.
set -eu
cd "$(dirname "$0")/../../build/debug"
export SIM_LONG=1 SIM_SEEDS="${SIM_SEEDS:-40}" VEREDUS_TEST_LONG=1
for program in test/sim_delivery_test test/sim_packet_kill_test test/sim_disk_fault_test test/sim_imap_cut_test store_sqlite_fault_test; do
    echo "== $program"
    "./$program"
done
