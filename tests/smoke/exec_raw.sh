#!/bin/bash
# `sluice exec` with programs that no preloaded library reaches: a static one, and Python's ctypes. The host's kernel sees
# none of their maps, with a daemon, without one, and when the daemon goes.
# usage: exec_raw.sh SLUICE RAW_BPF RAW_BPF_PY
set -u
sluice=$1 raw=$2 script=$3
. "$(dirname "$0")/daemon.sh"
name=sl_raw_$$

# No map of ours is in the host's kernel, as far as we may ask it.
host_is_untouched() {
  bpftool map show > "$folder/host.txt" 2>&1 || return 0
  grep -q "$name" "$folder/host.txt" && fail "a map of ours is in the host's kernel"
}

SLUICE_SOCKET="$folder/nobody" timeout 20 "$sluice" exec -- touch "$folder/started" 2> "$folder/err.txt"
[ $? = 1 ] || fail 'without a daemon the status is not 1'
[ -e "$folder/started" ] && fail 'without a daemon the command was started'
grep -q "$folder/nobody" "$folder/err.txt" || fail 'the error does not name the socket'

start_daemon "$sluice"
need_exec "$sluice"
for how in '' exec; do
  timeout 60 "$sluice" exec -- "$raw" "$name" $how > "$folder/raw.txt" 2>&1 || fail "static program $how: status $?"
done
timeout 60 "$sluice" exec -- python3 "$script" "$name" > "$folder/python.txt" 2>&1 || fail "Python: status $?"

"$sluice" exec -- sh -c 'exit 7'; [ $? = 7 ] || fail 'exit status 7 is lost'
"$sluice" exec -- "$folder/nothing" 2> /dev/null; [ $? = 127 ] || fail 'a missing command is not 127'
( "$sluice" exec -- sh -c 'kill -KILL $$' ) > /dev/null 2>&1; [ $? = 137 ] || fail 'death by a signal is lost'
( echo ready > "$folder/term.txt"; exec "$sluice" exec -- sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done' ) &
pid=$!
sleep 1; kill -TERM $pid; wait $pid; [ $? = 9 ] || fail 'SIGTERM does not reach the command'
# What the command left running is still served.
"$sluice" exec -- sh -c "(sleep 0.5; '$raw' $name > '$folder/late.txt' 2>&1; echo \$? > '$folder/late') & exit 4"
[ $? = 4 ] || fail 'the status of a command that leaves others running'
[ "$(cat "$folder/late")" = 0 ] || fail 'the command left behind is not served'

mkfifo "$folder/hold"
timeout 60 "$sluice" exec -- "$raw" "$name" hold < "$folder/hold" > "$folder/held.txt" &
pid=$!
exec 9> "$folder/hold"
for _ in $(seq 100); do grep -q holding "$folder/held.txt" && break; sleep 0.1; done
timeout 20 "$sluice" exec -- bpftool map show > "$folder/ours.txt" 2>&1 || fail "bpftool: status $?"
grep -q "$name" "$folder/ours.txt" || fail 'the daemon does not have the map'
host_is_untouched
kill -KILL "$daemon"; wait "$daemon" 2> /dev/null; daemon=
exec 9>&-
wait $pid
[ $? = 3 ] || fail 'a call after the end of the daemon did not fail'
grep -q 'errno 107' "$folder/held.txt" || fail 'the errno is not ENOTCONN'
host_is_untouched
echo 'all as expected'
