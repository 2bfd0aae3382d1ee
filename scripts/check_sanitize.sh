#!/bin/sh
# The unit and random-program tests with ASan and UBSan (meson builds what they need and no more); the concurrent ones again
# with TSan. LeakSanitizer is off where ptrace is not to be had, which it says itself.
set -eu
cd "$(dirname "$0")/.."
[ -f build-sanitize/build.ninja ] ||
  meson setup build-sanitize -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
SLUICE_PROGRAMS=1000 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ASAN_OPTIONS=detect_stack_use_after_return=0 \
  meson test -C build-sanitize --print-errorlogs --no-suite smoke --timeout-multiplier 6
[ -f build-thread/build.ninja ] ||
  meson setup build-thread -Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false >/dev/null
meson test -C build-thread --print-errorlogs --timeout-multiplier 6 maps
