#!/bin/bash
# `sluice check` on configurations with mistakes: exit status 1, the message with its place, nothing on standard output;
# on the configurations we ship: exit status 0.
# usage: config_errors.sh SLUICE SOURCE_ROOT
set -u
sluice=$1
root=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
  echo "FAIL: $*"
  failures=$((failures + 1))
}

# expect NAME MESSAGE < YAML
expect() {
  cat > "$folder/$1.yaml"
  local output status
  output=$(timeout 30 "$sluice" check "$folder/$1.yaml" 2> "$folder/errors")
  status=$?
  [ "$status" = 1 ] || fail "$1: exit status $status"
  [ -z "$output" ] || fail "$1: standard output: $output"
  grep -qF -- "$1.yaml:$2" "$folder/errors" || fail "$1: no \"$2\" in: $(cat "$folder/errors")"
}

expect unknown_key '1:1: configuration: unknown key "prots" (did you mean "ports"?)' <<< 'prots: []'
expect wrong_type '1:6: jit: expected on or off' <<< 'jit: 3'
expect missing_file '1:30: program a: object "none.bpf.o" is missing' <<< 'programs: [{name: a, object: none.bpf.o}]'
expect bad_filter '1:30: ' <<< 'programs: [{name: a, filter: "tcp prot 80"}]'
expect missing_map '2:52: metric n_total: program count has no map "packets" (it has: proto_bytes, proto_packets)' << 'YAML'
programs: [{name: count, object: proto_count.bpf.o}]
metrics: {counters: [{name: n_total, help: h, map: count/packets}]}
YAML
expect wrong_labels '2:52: metric n_total: map count/proto_packets: the labels'"'"' sizes add up to 2 bytes, but the key has 4' << 'YAML'
programs: [{name: count, object: proto_count.bpf.o}]
metrics: {counters: [{name: n_total, help: h, map: count/proto_packets, labels: [{name: p, size: 2, decoders: [{name: hex}]}]}]}
YAML
expect not_an_object '1:30: ' << 'YAML'
programs: [{name: a, object: not_an_object.yaml}]
YAML
: > "$folder/empty.o"
expect empty_object '1:30: ' <<< 'programs: [{name: a, object: empty.o}]'

# A program that the verifier refuses: it reads a register that it never wrote.
if command -v clang-19 > /dev/null; then
  printf 'int f(void *ctx) __attribute__((section("socket"), naked));\nint f(void *ctx) { asm volatile("r0 = r3; exit"); }\n' > "$folder/refused.c"
  clang-19 -target bpf -O2 -g -Wno-unused-parameter -c "$folder/refused.c" -o "$folder/refused.o"
  expect refused '1:30: ' <<< 'programs: [{name: a, object: refused.o}]'
  grep -qF 'R3 !read_ok' "$folder/errors" || fail "refused: no verifier reason in: $(cat "$folder/errors")"
fi

timeout 30 "$sluice" check /no/such.yaml 2> "$folder/errors" && fail 'a missing file is no error'
grep -qF '/no/such.yaml: No such file' "$folder/errors" || fail "missing file: $(cat "$folder/errors")"
timeout 30 "$sluice" check 2> /dev/null
[ $? = 2 ] || fail 'a missing argument is not exit status 2'
timeout 30 "$sluice" frobnicate 2> /dev/null
[ $? = 2 ] || fail 'an unknown verb is not exit status 2'
timeout 30 "$sluice" help > /dev/null || fail 'help'
timeout 30 "$sluice" --version | grep -q '^sluice v[0-9]' || fail '--version'
for config in "$root"/config/*.yaml; do
  timeout 30 "$sluice" check "$config" > "$folder/out" 2>&1 || fail "$config: $(cat "$folder/out")"
done

[ "$failures" = 0 ] && echo 'all as expected'
[ "$failures" = 0 ]
