#!/bin/bash
# Debian's bpftool under `sluice exec`: objects by id, their elements, instructions and BTF; the feature probe.
# usage: exec_bpftool.sh SLUICE
set -u
sluice=$1
. "$(dirname "$0")/daemon.sh"
command -v bpftool > /dev/null || { echo 'skipped: no bpftool'; exit 77; }
start_daemon "$sluice" 'programs: [{name: count, object: proto_count.bpf.o}, {name: flows, object: flow_count.bpf.o}]'
need_exec "$sluice"

# tool ARGUMENT...: its output in tool.txt
tool() { timeout 120 "$sluice" exec -- bpftool "$@" > "$folder/tool.txt" 2>&1 || fail "bpftool $*: status $?"; }
says() { grep -qE -- "$1" "$folder/tool.txt" || fail "bpftool does not say: $1"; }

tool map show
says 'array +name proto_packets'
says 'key 4B +value 8B +max_entries 256'
id=$(sed -n 's/^\([0-9]*\): array  name proto_packets.*/\1/p' "$folder/tool.txt")
tool map lookup id "$id" key 6 0 0 0
tool map update id "$id" key 6 0 0 0 value 1 2 0 0 0 0 0 0
tool -j map lookup id "$id" key 6 0 0 0
says '"value":513'
tool map getnext id "$id" key 6 0 0 0
says '07 00 00 00'
tool map dump id "$id"
says '"value": 513'
timeout 20 "$sluice" exec -- bpftool map delete id "$id" key 6 0 0 0 > "$folder/tool.txt" 2>&1 && fail 'an array element is deleted'
says 'Invalid argument'

tool prog show
says 'socket_filter +name count_protocols +tag [0-9a-f]{16} +gpl'
program=$(sed -n 's/^\([0-9]*\): socket_filter  name count_protocols.*/\1/p' "$folder/tool.txt")
tool prog dump xlated id "$program"
says 'call bpf_map_lookup_elem#1'
says 'load_u16\(skb, ETH_TYPE_OFFSET'
tool -p prog show id "$program"
says "\"map_ids\": \\[$id"
btf=$(sed -n 's/.*"btf_id": \([0-9]*\).*/\1/p' "$folder/tool.txt")
tool btf show
says "^$btf: "
tool btf dump id "$btf" format c
says 'struct __sk_buff'
tool link show
dd if=/dev/urandom of="$folder/packet" bs=64 count=1 2> /dev/null
tool prog run id "$program" data_in "$folder/packet" data_out "$folder/out" repeat 10
says 'Return value: '
cmp "$folder/packet" "$folder/out" || fail 'data_out differs'
tool -j feature probe
says '"have_hash_map_type":true'
python3 -m json.tool "$folder/tool.txt" > /dev/null || fail 'the feature probe gives no JSON'
echo 'all as expected'
