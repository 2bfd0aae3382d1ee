#!/bin/bash
# Replay against tcpdump: the packet records that an expression keeps, and the packets of each protocol that a program
# counts, over our captures and those in SLUICE_SHARED_PCAPS.
# usage: parity.sh SLUICE SOURCE_ROOT
set -u
command -v tcpdump > /dev/null || { echo 'skipped: no tcpdump'; exit 77; }
exec python3 "$(dirname "$0")/replay_parity.py" "$1" "$2" "$(dirname "$0")/replay_expressions.txt"
