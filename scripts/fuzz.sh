#!/bin/sh
# `make fuzz SECONDS=600`: builds the libFuzzer targets with clang, ASan and UBSan, and runs each for $1 seconds (default 60), then
# the concurrent tests of the maps under TSan for as long. Findings and corpora are in build-fuzz/.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
mkdir -p build-fuzz
flags='-std=c++20 -Wno-deprecated-declarations -g -O1 -march=x86-64-v2 -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all'
core='base/*.cpp bpf/isa/*.cpp bpf/maps/*.cpp bpf/helpers/*.cpp bpf/progs/*.cpp'
build() {
  target=$1
  shift
  echo "fuzz: building $target"
  clang++-19 $flags "tests/fuzz/${target}_fuzzer.cpp" "$@" -o "build-fuzz/$target"
}
build verify $core bpf/verifier/*.cpp bpf/interp/*.cpp
build classic base/*.cpp bpf/isa/*.cpp
build config base/*.cpp config/*.cpp -lyaml-cpp
build capture base/*.cpp dataplane/capture.cpp dataplane/capture_format.cpp -lpcap
build socket $core bpf/verifier/*.cpp bpf/interp/*.cpp bpf/object/*.cpp bpf/surface/*.cpp control/api_call.cpp \
  control/api_connection.cpp control/remote_process.cpp
build surface $core bpf/verifier/*.cpp bpf/interp/*.cpp bpf/object/*.cpp bpf/surface/*.cpp
build words base/*.cpp cli/tool/words.cpp
build object $core bpf/verifier/*.cpp bpf/interp/*.cpp bpf/object/*.cpp bpf/surface/*.cpp bpf/client/*.cpp \
  bpf/loader/libbpf_session.cpp bpf/loader/object_file.cpp bpf/loader/object_btf.cpp \
  -Wl,--wrap=syscall,--wrap=uname,--wrap=gzopen64,--wrap=statfs64 -l:libbpf.a -lelf -lz
object_seeds() {
  for source in bpf/programs/*.bpf.c; do
    seed="$1/$(basename "$source" .c).o"
    clang-19 -O2 -g -target bpf -mcpu=v3 -isystem "/usr/include/$(uname -m)-linux-gnu" -c "$source" -o "$seed"
    llvm-strip-19 -g "$seed"  # DWARF is nobody's here
  done
}
for target in verify classic config capture socket surface words object; do
  mkdir -p "build-fuzz/corpus-$target"
  [ "$target" != object ] || object_seeds "build-fuzz/corpus-$target"
  [ "$target" != capture ] || cp pcap-samples/dns.pcap "build-fuzz/corpus-$target/"
  [ "$target" != socket ] || python3 tests/fuzz/socket_seeds.py "build-fuzz/corpus-$target"
  echo "fuzz: $target for $seconds s"
  "build-fuzz/$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 -artifact_prefix="build-fuzz/$target-" \
    -print_final_stats=1 "build-fuzz/corpus-$target" 2>"build-fuzz/$target.log" ||
    { tail -40 "build-fuzz/$target.log" >&2; exit 1; }
  grep -E 'number_of_executed_units|new_units_added' "build-fuzz/$target.log"
done
echo "fuzz: threads on every map type for $seconds s"
clang++-19 -std=c++20 -g -O1 -march=x86-64-v2 -D_GNU_SOURCE -I. -fsanitize=thread tests/unit/maps/stress*_test.cpp \
  base/*.cpp bpf/maps/*.cpp -lgtest -lgtest_main -o build-fuzz/stress
SLUICE_STRESS_SECONDS="$seconds" build-fuzz/stress --gtest_brief=1 >build-fuzz/stress.log 2>&1 ||
  { tail -40 build-fuzz/stress.log >&2; exit 1; }
