#!/bin/bash
# `sluice run`: it serves metrics, and SIGTERM or SIGINT ends it with final statistics and exit
# status 0, without a directory of DPDK's left behind.
# usage: live_signals.sh SLUICE
set -u
sluice=$1
folder=$(mktemp -d)
pid=
trap '[ -n "$pid" ] && kill -9 "$pid" 2> /dev/null; rm -rf "$folder"' EXIT

fail() {
  echo "FAIL: $*"
  cat "$folder"/*.txt
  exit 1
}

cat > "$folder/t.yaml" << 'YAML'
programs: [{name: count, object: proto_count.bpf.o}, {name: web, filter: tcp port 80}]
metrics: {listen: "127.0.0.1:0"}
ports: [{name: one, device: "net_null0,no-rx=1"}]
eal: {hugepages: never}
YAML

for signal in TERM INT; do
  rm -f "$folder"/*.txt  # or the lines of the run before are taken for this one's
  "$sluice" run "$folder/t.yaml" > "$folder/out.txt" 2> "$folder/err.txt" &
  pid=$!
  for _ in $(seq 100); do
    grep -q ready: "$folder/err.txt" && break
    sleep 0.1
  done
  url=$(grep -o 'http://[0-9.:]*/metrics' "$folder/err.txt") || fail 'no metrics address in the log'
  curl -sf --max-time 5 "$url" > "$folder/metrics.txt" || fail "no answer from $url"
  grep -q '^sluice_program_info{.*name="web".*} 1$' "$folder/metrics.txt" || fail 'no program in the metrics'
  promtool check metrics < "$folder/metrics.txt" > "$folder/promtool.txt" 2>&1 || fail 'promtool complains'
  [ -s "$folder/promtool.txt" ] && fail 'promtool is not silent'
  kill -"$signal" "$pid"
  for _ in $(seq 100); do
    kill -0 "$pid" 2> /dev/null || break
    sleep 0.1
  done
  kill -0 "$pid" 2> /dev/null && fail "SIG$signal does not end it"
  wait "$pid"
  status=$?
  for place in /var/run "${XDG_RUNTIME_DIR:-/tmp}" /tmp; do
    [ -e "$place/dpdk/sluice-$pid" ] && fail "$place/dpdk/sluice-$pid is left behind"
  done
  pid=
  [ "$status" = 0 ] || fail "exit status $status after SIG$signal"
  grep -q 'final statistics' "$folder/out.txt" || fail 'no final statistics'
done

echo 'all as expected'
