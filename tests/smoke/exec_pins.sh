#!/bin/bash
# Debian's bpftool under `sluice exec`, with pins: maps made, filled and dumped by path, programs loaded and pinned, and all of
# it there after the daemon has started anew. usage: exec_pins.sh SLUICE OBJECTS
set -u
sluice=$(realpath "$1") objects=$2
. "$(dirname "$0")/daemon.sh"
command -v bpftool > /dev/null || { echo 'skipped: no bpftool'; exit 77; }
pins=$folder/pins
start_daemon "$sluice" "pins: {directory: $pins}"
need_exec "$sluice"

tool() { timeout 60 "$sluice" exec -- bpftool "$@" > "$folder/tool.txt" 2>&1 || fail "bpftool $*: status $?"; }
tool_refused() { timeout 60 "$sluice" exec -- bpftool "$@" > "$folder/tool.txt" 2>&1 && fail "bpftool $* succeeds"; }
says() { grep -qE -- "$1" "$folder/tool.txt" || fail "bpftool does not say: $1"; }

tool map create "$pins/flows" type hash key 4 value 8 entries 16 name flows
[ -f "$pins/flows" ] || fail 'there is no pin'
tool map show pinned "$pins/flows"
says 'hash +name flows'
tool map update pinned "$pins/flows" key 1 2 3 4 value 8 7 6 5 4 3 2 1
tool map dump pinned "$pins/flows"
says 'key: 01 02 03 04 +value: 08 07 06 05 04 03 02 01'
tool_refused map create "$pins/flows" type hash key 4 value 8 entries 16 name again
says 'File exists'
# (Not tried: a pin elsewhere. There bpftool, as root, mounts a BPF file system of the host's over the folder.)

# As the command sees paths: relative ones from its directory, links followed.
mkdir "$pins/sub"
ln -s "$pins" "$folder/link"
(cd "$pins/sub" && timeout 60 "$sluice" exec -- bpftool map pin pinned ../flows near) > "$folder/tool.txt" 2>&1 ||
  fail 'a pin by a relative path'
tool map lookup pinned "$folder/link/sub/near" key 1 2 3 4
says 'value: 08 07 06 05 04 03 02 01'
rm "$pins/flows"
mv "$pins/sub/near" "$pins/moved"
tool map show pinned "$pins/moved"
says 'name flows'

# From a mount namespace of its own.
timeout 60 "$sluice" exec -- unshare -m bpftool map pin pinned "$pins/moved" "$pins/sub/elsewhere" > "$folder/tool.txt" 2>&1 ||
  fail 'a pin from another mount namespace'
tool map lookup pinned "$pins/sub/elsewhere" key 1 2 3 4
says 'value: 08 07 06 05 04 03 02 01'

tool prog load "$objects/proto_count.bpf.o" "$pins/count" type socket
tool prog show pinned "$pins/count"
says 'socket_filter +name count_protocols'
tool prog loadall "$objects/flow_count.bpf.o" "$pins/all" type socket pinmaps "$pins/maps"
[ -n "$(ls "$pins/all")" ] && [ -n "$(ls "$pins/maps")" ] || fail 'loadall leaves no pins'
tool prog dump xlated pinned "$pins/count"
says 'bpf_map_lookup_elem'
printf 'not an object' > "$folder/bad.o"
tool_refused prog load "$folder/bad.o" "$pins/bad"

stop_daemon
start_daemon "$sluice" "pins: {directory: $pins}"
for name in moved sub/elsewhere; do
  tool map lookup pinned "$pins/$name" key 1 2 3 4
  says 'value: 08 07 06 05 04 03 02 01'
done
tool prog show pinned "$pins/count"
says 'socket_filter +name count_protocols'
echo 'all as expected'
