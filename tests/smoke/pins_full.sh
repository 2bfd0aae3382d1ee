#!/bin/bash
# A map that takes its memory at first use in a pin directory without room for it: it works on, and
# log and metrics say what is wrong. usage: pins_full.sh SLUICE
set -u
if [ "$1" != inside ]; then
  unshare -m true 2> /dev/null || { echo 'skipped: no namespaces here'; exit 77; }
  exec unshare -m bash "$0" inside "$@"
fi
. "$(dirname "$0")/daemon.sh"
sluice=$2
pins=$folder/pins
mkdir "$pins"
mount -t tmpfs -o size=200k none "$pins" || { echo 'skipped: no tmpfs here'; exit 77; }
trap 'stop_daemon; umount "$pins"; rm -rf "$folder"' EXIT
full='map big, .*: the file system of the pin directory is full'

start_daemon "$sluice" "pins: {directory: $pins}
metrics: {listen: \"127.0.0.1:0\"}"
ours map create "$pins/big" type hash key 4 value 8 entries 100000 name big flags 1
for key in $(seq 100); do
  ours map update pinned "$pins/big" key "$key" 0 0 0 value "$key" 0 0 0 0 0 0 0
done
for _ in $(seq 100); do grep -q "$full" "$folder/daemon.txt" && break; sleep 0.1; done
grep -q "$full" "$folder/daemon.txt" || fail 'no word about the full file system'
grep -q truncated "$folder/daemon.txt" && fail 'a whole file is called truncated'
url=$(grep -o 'http://[0-9.:]*/metrics' "$folder/daemon.txt")
curl -sf --max-time 5 "$url" | grep '^sluice_map_broken' | grep -q ' 1$' || fail 'sluice_map_broken'
for key in 1 50 100; do
  shows "value: $(printf %02x "$key")" map lookup pinned "$pins/big" key "$key" 0 0 0
done
stop_daemon

# The next daemon has the map without what found no room, or sets it aside; it starts.
start_daemon "$sluice" "pins: {directory: $pins}"
grep pins: "$folder/daemon.txt"
echo 'all as expected'
