#!/bin/sh
# Runs every test of the build directory $1. Closes with what was skipped and why, and one line that counts.
set -u
cd "$(dirname "$0")/.."
if [ -z "${SLUICE_SHARED_PCAPS:-}" ] && [ -d ../shared/pcaps ]; then
  SLUICE_SHARED_PCAPS=$(cd ../shared/pcaps && pwd)
  export SLUICE_SHARED_PCAPS
fi
log=$1/check.log
meson test -C "$1" --no-rebuild --print-errorlogs >"$log" 2>&1
status=$?
cat "$log"
count() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" "$log" | tail -1; }
failed=$(( $(count Fail) + $(count Timeout) + $(count 'Unexpected Pass') ))
passed=$(( $(count Ok) + $(count 'Expected Fail') ))
awk -v counts="$passed passed, $failed failed, $(count Skipped) skipped" -f scripts/skipped.awk "$1/meson-logs/testlog.txt"
exit $status
