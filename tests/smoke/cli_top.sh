#!/bin/bash
# `sluice top` on a terminal and `sluice status`, with a port under traffic. usage: cli_top.sh SLUICE TOP.py
set -u
sluice=$(realpath "$1")
top=$(realpath "$2")
. "$(dirname "$0")/daemon.sh"
mkdir "$folder/pins"
start_daemon "$sluice" 'ports:
  - {name: source, device: "net_null0,size=64"}
  - {name: sink, device: "net_null1,no-rx=1"}
eal: {hugepages: never}
pins: {directory: '"$folder"'/pins}
programs: [{name: all, filter: "len >= 0"}, {name: every, filter: "greater 1"}, {name: some, filter: "ip"}]
attach: [{port: source, programs: [all, every, some], forward: sink}]'

says() { grep -qE -- "$1" "$out" || fail "does not say: $1"; }

# status: one screen, and the same as JSON.
ours map create "$folder/pins/tight" type hash key 4 value 4 entries 5 name tight
for key in 1 2 3 4; do "$sluice" map update name tight key $key 0 0 0 value 1 0 0 0; done
ours map create "$folder/pins/roomy" type hash key 4 value 4 entries 50 name roomy
ours status
says "^sluice [0-9.]+  pid $daemon  up [0-9]+ s  jit on  $folder/daemon.yaml$"
says "^programs 3  maps 2  links 3  pins 2 in $folder/pins$"
says '^  source +up +[1-9][0-9]+ +[0-9.]+ '
says '^  0 +[0-9]+ +[0-9.]+ +[1-9][0-9]+ '
says '^  some +source +[1-9][0-9]* +0 +[1-9][0-9]* '
says '^  tight +[0-9]+ +hash +4 +5 +80\.0 +0$'
grep -q roomy "$out" && fail 'status warns of a map with room'
ours -j status
python3 - "$out" << 'CHECK' || fail '-j status lacks something'
import json, sys
status = json.load(open(sys.argv[1]))
assert status['objects'] == {'programs': 3, 'maps': 2, 'links': 3, 'pins': 2}, status['objects']
assert [port['name'] for port in status['ports']] == ['source', 'sink']
assert status['rates']['ports'][0]['rx_packets'] > 0 and status['rates']['seconds'] > 0
assert [program['program'] for program in status['rates']['programs']] == ['all', 'every', 'some']
assert [map['name'] for map in status['maps_near_full']] == ['tight']
CHECK

# Runs of a second, and what the counts say of one.
ours prog profile name some duration 1
says '^ +[1-9][0-9]* run_cnt'
says '^ +[1-9][0-9]* run_time_ns +#  [0-9.]+ ns per run$'

# Sort orders without a terminal.
ours top sort name
[ "$(awk 'NR > 1 { print $1 }' "$out" | xargs)" = 'all every some' ] || fail 'top sort name'
"$sluice" top sort dropped | sed -n 2p | grep -q '^  some ' || fail 'top sort dropped'
"$sluice" top sort nonsense 2> "$out" && fail 'top sort nonsense'
says 'expected cpu, run, passed, dropped or name'

timeout 180 python3 "$top" "$sluice" "$daemon" > "$out" 2>&1 || fail 'on a terminal'
echo 'all as expected'
