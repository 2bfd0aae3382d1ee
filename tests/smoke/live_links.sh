#!/bin/bash
# Programs attached by bpf(2) while the daemon runs: a client's link joins the port's chain behind the configuration's
# program, sees packets, and goes with the client, also when that is killed. A pinned link is there again when the daemon
# was killed, and waits while its port is not configured.
# usage: live_links.sh SLUICE LINKS_PY
set -u
sluice=$1
links=$2
if [ "$(id -u)" != 0 ]; then echo 'skipped: needs root'; exit 77; fi
for tool in ip nsenter ping python3; do
  command -v "$tool" > /dev/null || { echo "skipped: no $tool"; exit 77; }
done
client=sluice-lc-$$
middle=sluice-lm-$$
. "$(dirname "$0")/daemon.sh"
attached=
clean() {
  [ -z "$attached" ] || kill -9 "$attached" 2> /dev/null
  stop_daemon
  for name in "$client" "$middle"; do ip netns del "$name" 2> /dev/null; done
  rm -rf "$folder"
}
trap clean EXIT
ip netns add "$client" 2> "$folder/netns.txt" || { echo "skipped: no network namespaces: $(cat "$folder/netns.txt")"; exit 77; }
ip netns add "$middle"
ip -n "$middle" link add port0 type veth peer name eth0 netns "$client" || fail 'veth'
ip -n "$middle" link set port0 up
ip -n "$client" addr add 192.0.2.1/24 dev eth0
ip -n "$client" link set eth0 up

# Not by ip: its mounts would be others than the clients', and a pin is a link (2) on one mount.
cat > "$folder/in_namespace" << EOF
#!/bin/sh
exec nsenter --net=/run/netns/$middle "$sluice" "\$@"
EOF
chmod 755 "$folder/in_namespace"
# yaml PORT: the configuration, its port called so.
yaml() {
  echo 'eal: {memory_mb: 64, hugepages: never}'
  echo "pins: {directory: $folder/pins}"
  echo "ports: [{name: $1, device: \"net_af_packet0,iface=port0\"}]"
  echo 'programs: [{name: all, filter: ""}]'
  echo "attach: [{port: $1, programs: [all], drop: true}]"
}
start_daemon "$folder/in_namespace" "$(yaml p)"
need_exec "$sluice"

show() { timeout 60 "$sluice" exec -- python3 "$links" show > "$folder/links.txt" 2>&1 || fail 'show'; }
count() { grep -c '^link [0-9]* type 11 program [0-9]* port 1 attach_type 46$' "$folder/links.txt"; }
wait_for_links() {
  for _ in $(seq 100); do
    show
    [ "$(count)" = "$1" ] && return
    sleep 0.1
  done
  fail "$(count) links, not $1"
}
wait_for_line() {
  for _ in $(seq 300); do
    grep -q "$1" "$folder/attach.txt" && return
    sleep 0.1
  done
  fail "the client does not say $1"
}

wait_for_links 1
timeout 120 "$sluice" exec -- python3 "$links" attach 9 1 0 > "$folder/nodev.txt" 2>&1 && fail 'port 9 takes a program'
grep -q 'Errno 19' "$folder/nodev.txt" || fail 'port 9 is not ENODEV'

"$sluice" exec -- python3 "$links" attach 1 0 4 > "$folder/attach.txt" 2>&1 &
attached=$!
wait_for_line attached
wait_for_links 2
ip netns exec "$client" ping -c 3 -i 0.2 -W 1 192.0.2.9 > "$folder/ping.txt" 2>&1
wait_for_line '^runs'
runs=$(sed -n 's/^runs //p' "$folder/attach.txt")
[ "$runs" -ge 1 ] || fail "the linked program ran $runs times"
wait "$attached" || fail 'the client'
attached=
wait_for_links 1

"$sluice" exec -- python3 "$links" attach 1 1 60 > "$folder/attach.txt" 2>&1 &
attached=$!
wait_for_line attached
wait_for_links 2
# The client itself, not the supervisor above it: a link lives as long as somebody holds its descriptor.
kill -9 "$(sed -n 's/^attached by //p' "$folder/attach.txt")"
wait "$attached" 2> /dev/null
attached=
wait_for_links 1

link="$folder/pins/link"
runs() {
  timeout 60 "$sluice" exec -- python3 "$links" runs "$link" > "$folder/runs.txt" 2>&1 || fail 'runs of the pinned link'
  cat "$folder/runs.txt"
}
timeout 60 "$sluice" exec -- python3 "$links" pin 1 1 "$link" > "$folder/pin.txt" 2>&1 || fail 'pin'
wait_for_links 2
kill -9 "$daemon"
wait "$daemon" 2> /dev/null
start_daemon "$folder/in_namespace" "$(yaml p)"
wait_for_links 2
before=$(runs)
ip netns exec "$client" ping -c 3 -i 0.2 -W 1 192.0.2.9 > "$folder/ping.txt" 2>&1
for _ in $(seq 100); do
  after=$(runs)
  [ "$after" -gt "$before" ] && break
  sleep 0.1
done
[ "$after" -gt "$before" ] || fail "after kill -9 the pinned link's program ran $after times"
stop_daemon
start_daemon "$folder/in_namespace" "$(yaml q)"
grep -q 'program by_link: port p is not there: inactive' "$folder/daemon.txt" || fail 'no word about the missing port'
wait_for_links 1
grep -q ' port 0 attach_type 46$' "$folder/links.txt" || fail 'the link without its port is not inactive'
stop_daemon
start_daemon "$folder/in_namespace" "$(yaml p)"
wait_for_links 2
echo 'all as expected'
