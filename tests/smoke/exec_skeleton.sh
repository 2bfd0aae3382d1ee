#!/bin/bash
# A libbpf skeleton (mapped global variables and a ring buffer; a perf buffer): on the host's kernel where that is permitted,
# and under `sluice exec`. usage: exec_skeleton.sh SLUICE SKELETON
set -u
sluice=$1 skeleton=$2
. "$(dirname "$0")/daemon.sh"
if ! timeout 60 "$skeleton" > "$folder/kernel.txt" 2>&1; then
  grep -qE 'Operation not permitted|EPERM' "$folder/kernel.txt" || fail 'on the host kernel'
  echo 'skipped in part: bpf(2) is not permitted here: the kernel was not asked'
fi
start_daemon "$sluice"
need_exec "$sluice"
timeout 60 "$sluice" exec -- "$skeleton" > "$folder/skeleton.txt" 2>&1 || fail "under sluice exec: status $?"
echo 'all as expected'
