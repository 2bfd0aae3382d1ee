#!/bin/bash
# The command line against a running daemon: every verb that needs no pin, beside Debian's bpftool under `sluice exec` on the
# same daemon, and what a person reads where something is wrong. usage:
# cli_daemon.sh SLUICE OBJECT_FOLDER (of tests/tool) SOURCE_ROOT
set -u
export TZ=UTC
sluice=$1
objects=$(realpath "$2")
. "$(dirname "$0")/daemon.sh"
start_daemon "$sluice" 'ports:
  - {name: one, device: "net_pcap0,rx_pcap='"$3"'/pcap-samples/dns.pcap,tx_pcap=/dev/null"}
  - {name: two, device: "net_null1,no-rx=1"}
eal: {hugepages: never}
programs: [{name: count, object: proto_count.bpf.o}, {name: web, filter: tcp port 80}, {name: print, object: '"$objects"'/print.bpf.o}]
attach: [{port: one, programs: [print, count, web], forward: two}]'

json() {
  timeout 120 "$sluice" -j "$@" > "$out" 2> "$folder/err.txt" || fail "-j $* exits with $?"
  python3 -m json.tool < "$out" > "$folder/pretty.txt" || fail "-j $*: no JSON"
}

# The daemon's own words.
shows '^  two +up ' status
shows '^programs 3  maps [0-9]+  links 3  pins 0$' status
shows '^  one +1 +up +net_pcap' port
shows '^  one +count +20 ' chain show
shows '^  count +one ' top
shows '^sluice_build_info' metrics
for words in status port chain metrics top; do json $words; done
[ "$("$sluice" top | wc -l)" = 4 ] || fail 'top into a pipe is not one frame'

# Attachments: the configuration's are links; another comes and goes.
shows 'tcx  prog [0-9]+' link show
shows 'ifindex one\(1\)  attach_type tcx_ingress' link show
json link show
ours prog attach name web dev two
shows '^  two +web ' chain show
refused 1 'port two: File exists: it is attached there' prog attach name web dev two
ours prog detach name web dev two
"$sluice" chain show | grep -q '^  two' && fail 'detached, and still in the chain'

# Objects. The program's id is what its name finds.
shows 'socket_filter  name web' prog show name web
shows 'socket_filter  name count_protocols' prog list
shows 'array  name proto_bytes' map show
shows 'max_entries 256  memlock [0-9]+B$' map show name proto_bytes
shows 'prog_ids [0-9]+  map_ids [0-9,]+' btf show
shows 'exit' prog dump xlated name web
shows 'struct __sk_buff' prog dump xlated name count_protocols linum
head -c 60 "$sluice" > "$folder/packet"
shows '^Return value: [0-9]+, duration \(average\): ' prog run name web data_in "$folder/packet" repeat 3
shows '^0000000' prog run name web data_in "$folder/packet" data_out -
ours map update name proto_bytes key 200 0 0 0 value 7 0 0 0 0 0 0 0
shows '"value": 7$' map lookup name proto_bytes key 200 0 0 0
shows '"value": 7$' map dump name proto_bytes
shows '^key: None' map getnext name proto_bytes
shows "^\\[[0-9]+\\] VAR 'proto_bytes'" btf dump map name proto_bytes all
shows '^typedef|^struct' btf dump prog name count_protocols format c
shows '^array$' feature list_builtins map_types
for words in 'prog show' 'map show' 'link show' 'btf show' 'map dump name proto_bytes' 'prog dump xlated name web opcodes'; do
  json $words
done
printf '%s\n' 'map show name proto_bytes' 'prog show name web' > "$folder/batch"
shows '^processed 2 commands' batch file "$folder/batch"
json batch file "$folder/batch"

# What a program prints, until the reader is interrupted.
timeout -s INT 2 "$sluice" prog tracelog > "$out" 2>&1
grep -q 'first packet: 97 bytes' "$out" || fail 'tracelog lacks what the program printed'

# A refused program: the reason first, then the log.
refused 1 'print_freely: licence "Proprietary" is not GPL-compatible' prog load "$objects/refused.bpf.o" "$folder/x"
grep -q '^cannot call GPL-restricted function' "$out" || fail 'no verifier log'

# Machine code, after its test run.
shows '^bpf_prog_[0-9a-f]{16}_web:' prog dump jited name web
json prog dump jited name web opcodes

# Errors: what, on what, why; 1 failed, 2 usage.
refused 1 'map show: no map named nothing' map show name nothing
refused 1 'prog show: prog id 99999: No such file' prog show id 99999
refused 2 'value expected 8 bytes, got 1' map update name proto_bytes key 0 0 0 0 value 1
refused 2 'what is "nonsense"?' map nonsense
refused 2 'what is "extra"?' status extra
refused 1 'update: Argument list too long: it is full' map update name proto_bytes key 255 255 0 0 value 1 0 0 0 0 0 0 0
refused 1 'no port "three"; the daemon has one, two' prog attach name web dev three
refused 1 'prog load: /etc/passwd: ' prog load /etc/passwd "$folder/x"
(SLUICE_SOCKET=$folder/none refused 1 'set SLUICE_SOCKET' map show) || exit 1
SLUICE_SOCKET=$folder/none shows '^Usage: sluice map show' map help

# bpftool under `sluice exec` says the same of the same daemon.
command -v bpftool > /dev/null || { echo 'skipped in part: no bpftool to compare with'; exit 0; }
need_exec "$sluice"
compared=0
while read -r words; do
  for form in '' -j -p; do
    timeout 120 "$sluice" exec -- bpftool $form $words > "$folder/theirs.txt" 2> "$folder/theirs-err.txt"
    timeout 120 "$sluice" $form $words > "$folder/ours.txt" 2> "$folder/ours-err.txt"
    # Run times move; helper names come from the kernel's symbols in one and from the ABI in the other.
    for side in theirs ours; do sed -i -E 's/call [a-z_0-9]+#-?[0-9]+/call HELPER/' "$folder/$side.txt"; done
    without_fdinfo "$folder/ours.txt" "$folder/theirs.txt"
    diff "$folder/theirs.txt" "$folder/ours.txt" > "$folder/diff.txt" || fail "bpftool differs: $form $words"
    compared=$((compared + 1))
  done
done << 'WORDS'
map show
map show name proto_bytes
map dump name proto_bytes
map lookup name proto_bytes key 200 0 0 0
map getnext name proto_bytes key 200 0 0 0
prog show
prog show name web
prog dump xlated name web
prog dump xlated name web opcodes
prog dump xlated name count_protocols linum
btf dump map name proto_bytes
btf dump map name proto_bytes all
WORDS
timeout 120 "$sluice" exec -- bpftool -j feature probe 2> "$folder/theirs-err.txt" > "$folder/theirs.txt"
timeout 120 "$sluice" -j feature probe 2> "$folder/ours-err.txt" > "$folder/ours.txt"
# Ours knows one map type more than bpftool 7.1.
for side in theirs ours; do sed -E 's/,"have_cgrp_storage_map_type":false//; s/"system_config":\{[^}]*\},//' "$folder/$side.txt" > "$folder/$side-feature.txt"; done
diff "$folder/theirs-feature.txt" "$folder/ours-feature.txt" > "$folder/diff.txt" || fail 'bpftool finds other features'
echo "all as expected, $compared outputs equal to bpftool's"
