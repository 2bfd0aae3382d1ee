#!/bin/bash
# Maps that clients map, under `sluice exec`, against the kernel's answers: of a daemon without pins, whose maps lie in sealed
# memory files, and of one with them, whose maps lie in files of the pin directory. usage: exec_memory.sh SLUICE TRANSCRIPT
set -u
sluice=$1 transcript=$2
. "$(dirname "$0")/daemon.sh"
start_daemon "$sluice"
need_exec "$sluice"
"$transcript" map-memory > "$folder/kernel.txt" 2>&1
grep -q 'map = mapped' "$folder/kernel.txt" || { echo 'skipped: bpf(2) is not permitted here'; exit 77; }
# A file can be read by whoever may read the map, and is refused by its own errno where it is no map's memory.
sed -i -e 's/^\(read-only descriptor, map to read\) = EINVAL$/\1 = mapped/' \
  -e 's/^\(array\|hash\), map to write = .*/\1, map to write = EACCES/' "$folder/kernel.txt"
compare() {
  timeout 60 "$sluice" exec -- "$transcript" map-memory > "$folder/sluice.txt" 2>&1 || fail "$1: status $?"
  diff "$folder/kernel.txt" "$folder/sluice.txt" || fail "$1"
}
compare 'without pins'
stop_daemon
start_daemon "$sluice" "pins: {directory: $folder/pins}"
compare 'with pins'
echo 'all as expected'
