#!/bin/bash
# The command line's verbs and Debian's bpftool say the same of the same objects in the kernel, plain and as JSON.
# usage: against_bpftool.sh KERNEL_TOOL TYPES.bpf.o EVENTS.bpf.o
set -u
export LC_ALL=C TZ=UTC
command -v bpftool > /dev/null || { echo 'skipped: no bpftool'; exit 77; }
if [ "${1:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || { echo 'skipped: needs root'; exit 77; }
  unshare -mn true 2> /dev/null || { echo 'skipped: no namespaces here'; exit 77; }
  exec unshare -mn bash "$0" inside "$@"
fi
# Objects are found by name in the whole kernel: one run at a time.
exec 9> /run/lock/sluice_against_bpftool
flock 9
tool=$(realpath "$2")
object=$(realpath "$3")
events=$(realpath "$4")
folder=$(mktemp -d)
trap 'cd /; umount "$folder/fs" 2> /dev/null; rm -rf "$folder"' EXIT
mkdir "$folder/fs"
mount -t bpf none "$folder/fs" 2> /dev/null || { echo 'skipped: no bpffs here'; exit 77; }
bpftool map create "$folder/fs/probe" type array key 4 value 4 entries 1 name cli_probe 2> /dev/null ||
  { echo 'skipped: bpf(2) is not permitted here'; exit 77; }
export SLUICE_TEST_PINS=$folder/fs
cd "$folder" || exit 1
failures=0
compared=0

# What differs for a known reason: run times; the kernel's helper addresses, for which bpftool asks kallsyms; the order of
# hashed ids; bpftool 7.1 showing the last object's btf_id for objects without BTF.
normal() {
  sed -E 's/duration( \(average\))?: [0-9]+ns/duration\1: N/; s/"duration": ?[0-9]+/"duration": N/;
          s/call [a-z_0-9]+#-?[0-9]+/call HELPER/'
}

# same WORDS...: standard output and success of both tools; `alike 1 WORDS...` the same where both shall fail, with errors
# in words of their own.
same() { alike 0 "$@"; }
alike() {
  local wanted=$1
  shift
  bpftool "$@" > theirs.txt 2> theirs.err
  local theirs=$?
  "$tool" "$@" > ours.txt 2> ours.err
  local ours=$?
  compared=$((compared + 1))
  if [ $((theirs != 0)) != "$wanted" ] || [ "$ours" != "$wanted" ] ||
    ! diff <(normal < theirs.txt) <(normal < ours.txt) > diff.txt; then
    echo "FAIL: $* (bpftool $theirs, ours $ours)"
    head -30 diff.txt
    head -3 ours.err
    failures=$((failures + 1))
  fi
}
absent() {
  alike 1 "$@"
  alike 1 -j "$@"
  alike 1 -p "$@"
}
# All three forms.
all() {
  same "$@"
  same -j "$@"
  same -p "$@"
}
# ours WORDS...: the command under test alone, which has to succeed.
ours() {
  "$tool" "$@" > ours.txt 2> ours.err || { echo "FAIL: $*"; cat ours.err; failures=$((failures + 1)); }
}
# refused STATUS TEXT WORDS...
refused() {
  local wanted=$1 text=$2
  shift 2
  "$tool" "$@" > ours.txt 2> ours.err
  local status=$?
  if [ $status != "$wanted" ] || ! cat ours.err ours.txt | grep -qF -- "$text"; then
    echo "FAIL: $*: status $status, wanted $wanted and \"$text\":"
    cat ours.txt ours.err
    failures=$((failures + 1))
  fi
}

# says TEXT WORDS...: ours succeeds and prints the text.
says() {
  local text=$1
  shift
  ours "$@"
  grep -qE -- "$text" ours.txt || { echo "FAIL: $*: no $text in:"; head -20 ours.txt; failures=$((failures + 1)); }
}

# Objects, made by our verbs.
mkdir fs/maps
ours prog loadall "$object" fs/programs pinmaps fs/maps
ours prog load "$object" fs/first type socket
ours prog load "$events" fs/emit pinmaps fs/maps
ours map create fs/hash type hash key 4 value 8 entries 4 name cli_hash flags 1
ours map create fs/long type hash key 20 value 40 entries 4 name cli_long
ours map create fs/percpu type percpu_hash key 4 value 12 entries 4 name cli_percpu
ours map create fs/queue type queue key 0 value 4 entries 4 name cli_queue
ours map create fs/stack type stack value 40 entries 4 name cli_stack
ours map create fs/hom type hash_of_maps key 4 value 4 entries 2 name cli_hom inner_map name cli_hash
ours map create fs/aom type array_of_maps key 4 value 4 entries 2 name cli_aom inner_map pinned fs/hash
ours map create fs/progs type prog_array key 4 value 4 entries 2 name cli_progs
ours map create fs/lpm type lpm_trie key 8 value 4 entries 2 name cli_lpm flags 1
ours map create fs/bloom type bloom_filter value 4 entries 8 name cli_bloom
ours map update name cli_hash key 1 0 0 0 value hex aa bb cc dd 1 2 3 4
ours map update name cli_hash key 0x65 0146 0 0 value 1 2 3 4 5 6 7 8 noexist
ours map update name cli_long key $(seq 1 20) value $(seq 1 40)
ours map update name cli_percpu key 1 0 0 0 value $(seq 1 12)
ours map update name cli_hom key 1 0 0 0 value name cli_hash
ours map update name cli_progs key 1 0 0 0 value pinned fs/first
ours map update name cli_lpm key 16 0 0 0 10 1 0 0 value 1 0 0 0
# Both tools take from these: each value is there twice.
for value in 1 1 2 2; do
  ours map enqueue pinned fs/queue value $value 5 6 7
  ours map push pinned fs/stack value $(seq $value $((value + 39)))
done
ours map push pinned fs/bloom value 1 2 3 4
size=$("$tool" -j map show pinned fs/maps/flows | grep -o '"bytes_value":[0-9]*' | cut -d: -f2)
ours map update pinned fs/maps/flows key 1 0 0 0 2 0 65 66 67 0 0 0 value $(for i in $(seq "$size"); do echo $((i * 37 % 256)); done)
ours map update pinned fs/maps/flows key 2 0 0 0 2 0 255 66 67 0 0 0 value $(for i in $(seq "$size"); do echo $((i % 9 == 0 ? 2 : 0)); done)
ours map update pinned fs/maps/per_cpu key 1 0 0 0 value $(for i in $(seq 32); do echo $((i * 201 % 256)); done)
ours map freeze pinned fs/probe

# Maps.
for map in hash long percpu hom aom progs lpm bloom queue stack probe; do all map show name cli_$map; done
for map in flows chars per_cpu; do all map show pinned fs/maps/$map; done
same -jp map show name cli_hash
same -f map show name cli_hash
same -j -f map show pinned fs/maps/flows
for map in hash long percpu hom progs lpm maps/flows maps/chars maps/per_cpu; do all map dump pinned fs/$map; done
for map in types.data types.rodata types.bss; do same -j map dump name $map; done
all map lookup pinned fs/hash key 1 0 0 0
absent map lookup pinned fs/hash key 7 0 0 0
all map lookup pinned fs/percpu key 1 0 0 0
all map lookup pinned fs/long key $(seq 1 20)
all map lookup pinned fs/maps/flows key 1 0 0 0 2 0 65 66 67 0 0 0
all map lookup pinned fs/maps/per_cpu key 1 0 0 0
all map lookup pinned fs/hom key 1 0 0 0
all map getnext pinned fs/hash
alike 1 map getnext pinned fs/long key $(seq 1 20)
all map peek pinned fs/queue
all map peek pinned fs/stack
for _ in 1 2; do same map dequeue pinned fs/queue; same -j map pop pinned fs/stack; done
absent map dequeue pinned fs/queue
same -j map update pinned fs/hash key 1 0 0 0 value 1 1 1 1 1 1 1 1
ours map delete pinned fs/hash key 1 0 0 0
absent map lookup pinned fs/hash key 1 0 0 0
alike 1 map pin pinned fs/hash fs/hash

# Programs. Those that `load` and `loadall` made are equal, so that their names and tags fit two.
for program in 'pinned fs/first' 'name second' 'name filter'; do
  all prog show $program
done
same -f prog show pinned fs/first
for program in 'pinned fs/first' 'name second' 'pinned fs/programs/second'; do
  all prog dump xlated $program
  all prog dump xlated $program opcodes
  all prog dump xlated $program linum
done
head -c 64 /dev/zero > packet
all prog run pinned fs/first data_in packet repeat 3
all prog run pinned fs/programs/second data_in packet data_out -
same prog run pinned fs/programs/second data_in packet data_out out.bin

# BTF and links.
id=$("$tool" -j map show pinned fs/maps/flows | grep -o '"btf_id":[0-9]*' | cut -d: -f2)
for form in '' -j -p; do  # bpftool hashes the ids of a type's users
  diff <(bpftool $form btf show id "$id" | tr -s ', []{}' '\n' | sort) <("$tool" $form btf show id "$id" | tr -s ', []{}' '\n' | sort) > diff.txt ||
    { echo "FAIL: $form btf show"; cat diff.txt; failures=$((failures + 1)); }
  compared=$((compared + 1))
done
for source in "id $id" 'map pinned fs/maps/flows' 'map pinned fs/maps/flows value' 'prog pinned fs/first' "file $object"; do
  all btf dump $source
  same btf dump $source format c
done
all feature list_builtins link_types
all feature list_builtins prog_types
all feature list_builtins attach_types
all feature list_builtins helpers

says "^sluice v[0-9.]+" version
says "\"libbpf_version\": \"1.1\"" -p version
refused 2 'the file after -B is missing' btf dump id 1 -B

# What a device could be given (lo takes nothing), and the whole kernel as macros. The kernel's configuration is none of ours.
without_configuration() { sed -E '/^Scanning system configuration/,/^$/d; /Misc kernel config items/,/^$/d' "$1"; }
for form in '' macros 'macros prefix X_' full; do
  same feature probe dev lo $form
done
same -j feature probe dev lo
for form in 'macros prefix X_' 'kernel unprivileged'; do
  bpftool feature probe $form 2> theirs.err > theirs.txt
  ours feature probe $form
  compared=$((compared + 1))
  diff <(without_configuration theirs.txt) <(without_configuration ours.txt | sed /CGRP_STORAGE/Id) > diff.txt ||
    { echo "FAIL: feature probe $form"; head -20 diff.txt; failures=$((failures + 1)); }
done
refused 1 'no interface nonsuch' feature probe dev nonsuch
refused 2 'what is "prefix"?' feature probe prefix X

# Attachments: to an interface here, to a port in the daemon. bpftool 7.1 does not know where tcx and xdp links are.
ip link set lo up
ours prog attach name classify dev lo
ours prog attach name classify_too tcx_ingress dev lo before name classify
refused 1 'attach to port lo: File exists: it is attached there' prog attach name classify dev lo
ours prog detach name classify dev lo
ours prog detach name classify_too dev lo
refused 1 'detach from port lo: No such file' prog detach name classify dev lo
ours link create name classify dev lo fs/tcx_link
ours link create name pass dev lo fs/xdp_link
says 'ifindex lo\(1\)  attach_type tcx_ingress' link show pinned fs/tcx_link
says '"type":"tcx","prog_id":[0-9]+,"devname":"lo","ifindex":1,"attach_type":"tcx_ingress"' -j link show pinned fs/tcx_link
says '"type":"xdp","prog_id":[0-9]+,"devname":"lo","ifindex":1' -j link show pinned fs/xdp_link
says 'pinned .*fs/xdp_link' -f link show
ours link pin pinned fs/xdp_link fs/xdp_link_2
ours link detach pinned fs/xdp_link
says 'ifindex gone\(0\)' link show pinned fs/xdp_link_2
refused 1 'no interface none' link create name pass dev none fs/x

# Control flow as a graph: bpftool 7.1 can only show programs whose last block of the first function nobody calls behind.
same prog dump xlated name classify visual
same prog dump xlated name pass visual
same prog dump xlated pinned fs/first visual
says '^subgraph "cluster_1"' prog dump xlated pinned fs/first visual
refused 2 'no JSON form' -j prog dump xlated name pass visual
refused 2 'stand alone' prog dump xlated name pass visual opcodes

# What programs send: the events of both tools' own runs, whose times and processors differ.
normal_events() { sed -E 's/@[0-9.]+ CPU: [0-9]+ index: [0-9]+/@/; s/"(cpu|index|timestamp)": ?[0-9]+/"\1":N/g; /^Stopping/d' "$1"; }
# pipe TOOL FILE WORDS...: what the tool reads while the program runs three times.
pipe() {
  local tool=$1 file=$2
  shift 2
  "$tool" "$@" > "$file" 2> err.txt &
  local reader=$!
  for _ in $(seq 30); do
    bpftool prog run pinned fs/emit data_in packet repeat 1 > run.txt
    grep -q '"retval": 1\|Return value: 1' run.txt && break
    sleep 0.1
  done
  sleep 0.5
  kill -INT $reader
  wait $reader
}
for form in '' -j -p; do
  pipe bpftool theirs.txt $form map event_pipe pinned fs/maps/cli_events
  pipe "$tool" ours.txt $form map event_pipe pinned fs/maps/cli_events
  compared=$((compared + 1))
  [ -s ours.txt ] && diff <(normal_events theirs.txt) <(normal_events ours.txt) > diff.txt ||
    { echo "FAIL: $form map event_pipe"; cat diff.txt; failures=$((failures + 1)); }
done
pipe "$tool" ours.txt -j map event_pipe pinned fs/maps/cli_ring
grep -q '^\[{"size":20,"data":\[115,101,110,116' ours.txt || { echo 'FAIL: event_pipe of a ring buffer'; cat ours.txt err.txt; failures=$((failures + 1)); }
refused 1 'a hash sends no events' map event_pipe pinned fs/hash
refused 2 'cpu and index go together' map event_pipe pinned fs/maps/cli_events cpu 0
refused 2 'one for all CPUs' map event_pipe pinned fs/maps/cli_ring cpu 0 index 0

# Runs of a time.
"$tool" -j prog profile pinned fs/emit duration 2 > ours.txt &
reader=$!
while kill -0 $reader 2> /dev/null; do bpftool prog run pinned fs/emit data_in packet repeat 500 > run.txt; done
wait $reader
grep -qE '^\[{"metric":"run_time_ns","run_cnt":[1-9][0-9]*,"value":[1-9][0-9]*}\]$' ours.txt || { echo 'FAIL: prog profile'; cat ours.txt; failures=$((failures + 1)); }
refused 1 'cannot be counted for one program' prog profile pinned fs/emit duration 1 cycles
refused 2 'what is "nothing"?' prog profile pinned fs/emit nothing

# Machine code, which Debian's bpftool cannot show.
if [ -z "$("$tool" prog dump jited pinned fs/first 2>&1 > ours.txt)" ]; then
  says '^bpf_prog_[0-9a-f]{16}_filter:' prog dump jited pinned fs/first
  says '^bpf_prog_[0-9a-f]{16}_thrice:' prog dump jited pinned fs/first
  says 'leave|ret' prog dump jited pinned fs/first opcodes
  ours -j prog dump jited pinned fs/first
  python3 -c 'import json; assert all(f["insns"] for f in json.load(open("ours.txt")))' || failures=$((failures + 1))
  says '^; .*line_num:[0-9]+ line_col:' prog dump jited pinned fs/first linum
  ours prog dump jited pinned fs/first file code.bin
  [ -s code.bin ] || { echo 'FAIL: no machine code in the file'; failures=$((failures + 1)); }
fi

# Batches.
cat > batch.txt << 'BATCH'
# a comment
map show name cli_hash
map update name cli_hash key 9 9 9 9 value \
  1 2 3 4 5 6 7 8
map dump pinned "fs/hash"
BATCH
ours batch file batch.txt
all batch file batch.txt
printf 'map show name cli_hash\nmap show id 4294967294\nmap dump name cli_hash\n' > batch.txt
refused 1 'batch.txt:2: this command failed' batch file batch.txt
"$tool" -j batch file batch.txt > ours.txt 2> ours.err
python3 -m json.tool < ours.txt > /dev/null || { echo 'FAIL: a failed batch is no JSON'; failures=$((failures + 1)); }

# Errors: what, on what, why; 1 for what failed and 2 for what cannot be meant.
refused 2 'expected 8 bytes, got 3' map update name cli_hash key 1 1 1 1 value 1 2 3
refused 2 'does not fit a byte' map update name cli_hash key 1 1 1 1 value 300 2 3 4 5 6 7 8
refused 2 '"key" is missing' map lookup name cli_hash
refused 2 '"zz" is not a byte' map lookup name cli_hash key hex zz
refused 2 'what is "exists"?' map update name cli_hash key 1 1 1 1 value 1 2 3 4 5 6 7 8 exists
refused 1 'map cli_hash: update: No such file' map update name cli_hash key 1 1 1 1 value 1 2 3 4 5 6 7 8 exist
refused 1 'it is full' map update pinned fs/maps/chars key 9 0 0 0 value 1
refused 1 'frozen' map update name cli_probe key 0 0 0 0 value 1 2 3 4
refused 1 'no map named nothing' map show name nothing
refused 1 'it is not a prog' prog show pinned fs/hash
refused 1 'it is no pin' map show pinned "$folder/packet"
refused 1 'make the directory' map pin name cli_hash fs/none/x
refused 2 'is not known' map create fs/x type nothing key 4 value 4 entries 1 name x
refused 1 'create map x: Invalid argument' map create fs/x type hash key 4 value 4 entries 0 name x
refused 1 'prog load: no_such.o: No such file' prog load no_such.o fs/x
refused 1 'prog load: /etc/passwd: ' prog load /etc/passwd fs/x
refused 2 'lists the commands' map nonsense
refused 2 'there is no option --nonsense' map show --nonsense

echo "$compared comparisons, $failures failures"
[ "$failures" = 0 ]
