#!/bin/bash
# The daemon's pins as people see them: ls, mv, chmod, rm; `pin:` over restarts; a metric by pin path; a reader without the
# daemon's rights. usage: pins_daemon.sh SLUICE
set -u
. "$(dirname "$0")/daemon.sh"
sluice=$1
pins=$folder/pins
# yaml OBJECT [with]: the configuration, with the metric if asked.
yaml() {
  echo "pins: {directory: $pins, mode: \"0755\"}"
  echo "programs: [{name: count, object: $1, pin: /counters/count}]"
  [ $# = 2 ] || return
  echo 'metrics:'
  echo '  listen: "127.0.0.1:0"'
  echo '  counters: [{name: flows_total, help: h, map: /flows, labels: [{name: key, size: 4, decoders: [{name: uint}]}]}]'
}
tool() { "$sluice" "$@" 2> "$folder/err.txt" || fail "sluice $*: $(cat "$folder/err.txt")"; }
program_id() { "$sluice" -j prog show pinned "$pins/counters/count" | grep -o '"id":[0-9]*' | head -1; }

# The metric needs its map, so the first start goes without.
start_daemon "$sluice" "$(yaml proto_count.bpf.o)"
[ -f "$pins/counters/count" ] || fail 'the program is not pinned'
[ "$(stat -c %a "$pins")" = 755 ] || fail 'the mode of the pin directory'
[ "$(stat -c %a "$pins/.store")" = 700 ] || fail 'the mode of the store'
tool map create "$pins/flows" type hash key 4 value 8 entries 16 name flows
tool map update pinned "$pins/flows" key 7 0 0 0 value 42 0 0 0 0 0 0 0
stop_daemon

start_daemon "$sluice" "$(yaml proto_count.bpf.o with)"
grep -q 'pins: .*: 2 restored' "$folder/daemon.txt" || fail 'two pins are not restored'
url=$(grep -o 'http://[0-9.:]*/metrics' "$folder/daemon.txt")
curl -sf --max-time 5 "$url" | grep -q '^flows_total{key="7"} 42$' || fail 'the metric by pin path'
# People's own tools on pins.
mkdir "$pins/mine" && mv "$pins/flows" "$pins/mine/flows" && ln "$pins/mine/flows" "$pins/flows" || fail 'mkdir, mv, ln'
tool map lookup pinned "$pins/mine/flows" key 7 0 0 0 > "$folder/lookup.txt"
grep -qi '2a' "$folder/lookup.txt" || fail 'lookup after mv'
rm "$pins/mine/flows" && rmdir "$pins/mine" || fail 'rm, rmdir'
tool map lookup pinned "$pins/flows" key 7 0 0 0 > "$folder/lookup.txt"
stop_daemon

# Killed: as after SIGTERM. Another object under the same pin takes its place.
start_daemon "$sluice" "$(yaml proto_count.bpf.o with)"
kill -9 "$daemon"; wait "$daemon" 2> /dev/null; daemon=
inode=$(stat -c %i "$pins/counters/count")
start_daemon "$sluice" "$(yaml proto_count.bpf.o with)"
[ "$(stat -c %i "$pins/counters/count")" = "$inode" ] || fail 'the same program is pinned anew'
tool map create "$pins/counters/count~" type array key 4 value 8 entries 1 name tilde
stop_daemon
start_daemon "$sluice" "$(yaml port_filter.bpf.o with)"
[ "$(stat -c %i "$pins/counters/count")" != "$inode" ] || fail 'another program does not take the pin'
[ "$(ls "$pins/counters" | tr '\n' ' ')" = 'count count~ ' ] || fail "somebody's pin beside it is not as it was"
rm "$pins/counters/count~"
stop_daemon

# One that cannot start after all ends with a message, whatever its pins let go of then.
start_daemon "$sluice" "$(yaml port_filter.bpf.o)"
tool map create "$pins/inner" type array key 4 value 8 entries 4 name inner
tool map create "$pins/outer" type array_of_maps key 4 value 4 entries 2 name outer inner_map pinned "$pins/inner"
tool map update pinned "$pins/outer" key 1 0 0 0 value pinned "$pins/inner"
stop_daemon
printf '%s\n' "metrics: {listen: \"192.0.2.1:9435\"}" "$(yaml port_filter.bpf.o)" > "$folder/no_address.yaml"
timeout 60 "$sluice" run "$folder/no_address.yaml" > "$folder/out.txt" 2> "$folder/err.txt"
[ $? = 1 ] || fail 'a daemon that cannot listen does not exit with 1'
grep -q 'listen on 192.0.2.1:9435' "$folder/err.txt" || fail 'no word about the address'
rm "$pins/inner" "$pins/outer"

# One that cannot start leaves no pin, nor takes one over: another daemon has the socket, or the
# address for metrics cannot be had.
start_daemon "$sluice" "$(yaml port_filter.bpf.o)"
inode=$(stat -c %i "$pins/counters/count")
pins2=$folder/pins2
{ echo "api: {socket: $folder/sock}"; pins=$pins2 yaml port_filter.bpf.o; } > "$folder/second.yaml"
timeout 60 "$sluice" run "$folder/second.yaml" > "$folder/out.txt" 2> "$folder/err.txt"
[ $? = 1 ] || fail 'a daemon without its socket does not exit with 1'
grep -q 'another daemon answers there' "$folder/err.txt" || fail 'no word about the other daemon'
{ echo "api: {socket: $folder/sock2}"; yaml port_filter.bpf.o; } > "$folder/second.yaml"
timeout 60 "$sluice" run "$folder/second.yaml" > "$folder/out.txt" 2> "$folder/err.txt"
[ $? = 1 ] || fail 'a second daemon in the same pin directory does not exit with 1'
grep -q ':2:7: pins: [^:]*: another daemon uses this directory$' "$folder/err.txt" ||
  fail 'no word about the directory'
stop_daemon
sed "s,$pins,$pins2," "$folder/no_address.yaml" > "$folder/second.yaml"
timeout 60 "$sluice" run "$folder/second.yaml" > "$folder/out.txt" 2> "$folder/err.txt"
[ $? = 1 ] || fail 'a second daemon that cannot listen does not exit with 1'
# (Memory of its maps may be left in the store: the next daemon there removes it.)
left=$(find "$pins2" -type f ! -name 'bpf-map.*')
[ -z "$left" ] || fail "a pin is left behind: $left"
sed 's/port_filter/proto_count/' "$folder/no_address.yaml" > "$folder/other.yaml"
timeout 60 "$sluice" run "$folder/other.yaml" > "$folder/out.txt" 2> "$folder/err.txt"
[ $? = 1 ] || fail 'another program without an address does not exit with 1'
[ "$(stat -c %i "$pins/counters/count")" = "$inode" ] || fail 'one that does not start takes a pin'

# A map whose file somebody truncates reads as zeros; log and metrics say which.
start_daemon "$sluice" "$(yaml port_filter.bpf.o with)"
url=$(grep -o 'http://[0-9.:]*/metrics' "$folder/daemon.txt")
curl -sf --max-time 5 "$url" | grep '^sluice_map_broken' | grep -q ' 1$' && fail 'a map is broken from the start'
for file in "$pins"/.store/bpf-map.*.values; do truncate -s 0 "$file"; done
tool map dump pinned "$pins/flows" > "$folder/dump.txt"
for _ in $(seq 100); do grep -q 'map flows, .* was truncated' "$folder/daemon.txt" && break; sleep 0.1; done
grep -q 'map flows, .* was truncated' "$folder/daemon.txt" || fail 'no word about the truncated file'
curl -sf --max-time 5 "$url" | grep '^sluice_map_broken' | grep -q ' 1$' || fail 'sluice_map_broken'
stop_daemon
rm "$pins/flows"

# A file that is no pin under a configured pin is an error that says so; the daemon does not touch it.
rm "$pins/counters/count"; echo mine > "$pins/counters/count"
"$sluice" run "$folder/daemon.yaml" > "$folder/out.txt" 2> "$folder/err.txt" && fail 'a foreign file is taken for a pin'
grep -q 'count: there is a file that is no pin' "$folder/err.txt" || fail 'no word about the foreign file'
[ "$(cat "$pins/counters/count")" = mine ] || fail 'the foreign file is changed'
echo 'all as expected'
