#!/bin/bash
# The transcript's sections by an unmodified program under `sluice exec`, against the kernel's answers.
# usage: exec_transcripts.sh SLUICE TRANSCRIPTS_PY TRANSCRIPT DIFFERENCES
set -u
sluice=$1
. "$(dirname "$0")/daemon.sh"
start_daemon "$sluice"
need_exec "$sluice"
python3 "$2" "$3" "$4" "$sluice" exec --
status=$?
[ "$status" = 0 ] || [ "$status" = 77 ] || fail "transcripts: status $status"
exit "$status"
