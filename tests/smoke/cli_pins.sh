#!/bin/bash
# The verbs that pin: maps of every kind made, filled, read and pinned, programs loaded from objects, links; with bpftool under
# `sluice exec` reading the same pins. usage: cli_pins.sh SLUICE OBJECT_FOLDER (of tests/tool)
set -u
export TZ=UTC
sluice=$1
objects=$(realpath "$2")
. "$(dirname "$0")/daemon.sh"
mkdir "$folder/pins"
start_daemon "$sluice" "pins: {directory: $folder/pins, mode: \"0700\"}
ports: [{name: one, device: \"net_null0,no-rx=1\"}]
eal: {hugepages: never}"
pins=$folder/pins

# Maps.
while read -r type key value entries flags; do
  ours map create "$pins/$type" type "$type" key "$key" value "$value" entries "$entries" name "$type" flags "$flags"
  shows "^[0-9]+: $type +name $type +flags 0x$flags" map show pinned "$pins/$type"
done << 'MAPS'
hash 4 8 4 0
array 4 8 4 0
percpu_hash 4 12 4 0
percpu_array 4 8 4 0
lru_hash 4 8 64 0
lpm_trie 8 4 8 1
queue 0 4 4 0
stack 0 4 4 0
bloom_filter 0 4 8 0
prog_array 4 4 4 0
ringbuf 0 0 4096 0
MAPS
ours map create "$pins/of_maps" type array_of_maps key 4 value 4 entries 2 name of_maps inner_map pinned "$pins/hash"
ours map update pinned "$pins/hash" key 1 0 0 0 value hex 1 2 3 4 5 6 7 8
ours map update pinned "$pins/percpu_hash" key 1 0 0 0 value $(seq 12)
ours map update pinned "$pins/lpm_trie" key 16 0 0 0 10 1 0 0 value 1 0 0 0
ours map update pinned "$pins/of_maps" key 1 0 0 0 value pinned "$pins/hash"
for value in 1 2; do
  ours map enqueue pinned "$pins/queue" value $value 0 0 0
  ours map push pinned "$pins/stack" value $value 0 0 0
done
ours map push pinned "$pins/bloom_filter" value 7 7 7 7
shows '^value: 01 00 00 00$' map peek pinned "$pins/queue"
shows '^value: 01 00 00 00$' map dequeue pinned "$pins/queue"
shows '^value: 02 00 00 00$' map pop pinned "$pins/stack"
shows '^value: 07 07 07 07$' map lookup pinned "$pins/bloom_filter" value 7 7 7 7
"$sluice" map lookup pinned "$pins/bloom_filter" value 9 9 9 9 > "$out" && fail 'a bloom filter finds what is not there'
shows '^Found 1 element$' map dump pinned "$pins/lpm_trie"
shows '^key: 01 00 00 00  value: 01 02 03 04 05 06 07 08$' map dump pinned "$pins/hash"
shows '^value \(CPU 00\): 01 02 03' map lookup pinned "$pins/percpu_hash" key 1 0 0 0
ours map delete pinned "$pins/hash" key 1 0 0 0
shows '^Found 0 elements$' map dump pinned "$pins/hash"
ours map pin pinned "$pins/hash" "$pins/again"
refused 1 'again: File exists' map pin pinned "$pins/hash" "$pins/again"
refused 1 'make the directory' map pin pinned "$pins/hash" "$pins/none/x"
refused 1 "pins lie below $pins" map pin pinned "$pins/hash" "$folder/x"
refused 1 'it is not a prog' prog show pinned "$pins/hash"
ours map freeze pinned "$pins/array"
shows 'frozen$' map show pinned "$pins/array"
refused 1 'frozen' map update pinned "$pins/array" key 0 0 0 0 value 1 0 0 0 0 0 0 0
shows "pinned $pins/again" -f map show pinned "$pins/hash"

# Programs, from objects.
mkdir "$pins/maps"
ours prog load "$objects/print.bpf.o" "$pins/print" pinmaps "$pins/maps"
shows 'socket_filter  name print_once' prog show pinned "$pins/print"
ours prog pin pinned "$pins/print" "$pins/print_too"
ours prog loadall "$objects/types.bpf.o" "$pins/types" pinmaps "$pins/maps"
for name in filter second classify pass; do [ -e "$pins/types/$name" ] || fail "loadall pinned no $name"; done
ours map update pinned "$pins/prog_array" key 1 0 0 0 value pinned "$pins/print"
shows 'owner_prog_type socket_filter  owner jited$' map show pinned "$pins/prog_array"
shows '"counter": 4' map dump pinned "$pins/maps/types_data"
shows 'line_num:[0-9]+' prog dump xlated pinned "$pins/types/filter" linum
refused 1 'print: File exists' prog load "$objects/print.bpf.o" "$pins/print"

# What a program sends through a ring buffer, until the reader is interrupted.
ours prog load "$objects/events.bpf.o" "$pins/emit" pinmaps "$pins/maps"
head -c 64 /dev/zero > "$folder/packet"
"$sluice" -j map event_pipe pinned "$pins/maps/cli_ring" > "$folder/sent.txt" 2> "$folder/sent-err.txt" &
reader=$!
ours prog run pinned "$pins/emit" data_in "$folder/packet" repeat 3
for _ in $(seq 100); do [ "$(grep -o '"size":20' "$folder/sent.txt" | wc -l)" = 3 ] && break; sleep 0.1; done
kill -INT $reader
wait $reader || fail 'map event_pipe does not end well'
python3 -c 'import json, sys; assert [bytes(e["data"])[:18] for e in json.load(open(sys.argv[1]))] == [b"sent to user space"] * 3' \
  "$folder/sent.txt" || fail 'map event_pipe'
refused 1 'its perf events reach readers under `sluice exec` alone' map event_pipe pinned "$pins/maps/cli_events"

# What it sends to perf events, by bpftool's reader.
if "$sluice" exec -- bpftool version > "$out" 2>&1; then
  "$sluice" exec -- stdbuf -o0 bpftool -j map event_pipe pinned "$pins/maps/cli_events" \
    > "$folder/sent.txt" 2> "$folder/sent-err.txt" &
  reader=$!
  for _ in $(seq 100); do  # it returns 1 once there is a reader
    "$sluice" prog run pinned "$pins/emit" data_in "$folder/packet" > "$out"
    grep -q '^Return value: 1,' "$out" && break
    sleep 0.1
  done
  for _ in $(seq 100); do grep -q '"data":\[115,101,110,116' "$folder/sent.txt" && break; sleep 0.1; done
  kill -INT $reader
  wait $reader || fail 'bpftool map event_pipe does not end well'
  grep -q '"data":\[115,101,110,116' "$folder/sent.txt" || fail 'bpftool map event_pipe'
else
  echo "skipped in part: perf events not read: $(cat "$out")"
fi
rm "$pins/emit"
"$sluice" -d prog load "$objects/events.bpf.o" "$pins/emit" > "$out" 2>&1 || fail '-d prog load'
grep -q '^processed [0-9]* insns' "$out" || fail '-d shows no verifier log'

# Links: what a port runs lives as long as its pin.
ours link create pinned "$pins/types/second" dev one "$pins/link"
shows '^  one +second ' chain show
shows "pinned $pins/link" -f link show
ours link detach pinned "$pins/link"
"$sluice" chain show | grep -q ' second ' && fail 'detached, and still in the chain'

# bpftool reads the same pins.
command -v bpftool > /dev/null || { echo 'skipped in part: no bpftool to compare with'; exit 0; }
need_exec "$sluice"
compared=0
for words in "map dump pinned $pins/percpu_hash" "map dump pinned $pins/lpm_trie" "map dump pinned $pins/maps/types_data" \
  "map show pinned $pins/maps/flows" "prog show pinned $pins/types/filter" "prog dump xlated pinned $pins/types/second" \
  "map peek pinned $pins/queue" "btf dump map pinned $pins/maps/flows"; do
  for form in '' -j; do
    timeout 60 "$sluice" exec -- bpftool $form $words > "$folder/theirs.txt" 2> "$folder/theirs-err.txt"
    timeout 60 "$sluice" $form $words > "$folder/ours.txt" 2> "$folder/ours-err.txt"
    without_fdinfo "$folder/ours.txt" "$folder/theirs.txt"
    diff "$folder/theirs.txt" "$folder/ours.txt" > "$folder/diff.txt" || fail "bpftool differs: $form $words"
    compared=$((compared + 1))
  done
done
echo "all as expected, $compared outputs equal to bpftool's"
