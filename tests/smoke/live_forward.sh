#!/bin/bash
# Two network namespaces with sluice in a third between them, on net_af_packet ports with the chain `arp or tcp port 80`:
# curl gets a page from nginx, ping gets nothing, and a Prometheus server scrapes the counters. Sluice's namespace has no
# address but the loopback's, so that nobody but the server can answer the client.
# usage: live_forward.sh SLUICE
set -u
sluice=$1
if [ "$(id -u)" != 0 ]; then echo 'skipped: needs root'; exit 77; fi
for tool in ip ethtool nginx curl ping prometheus promtool; do
  command -v "$tool" > /dev/null || { echo "skipped: no $tool"; exit 77; }
done

folder=$(mktemp -d)
client=sluice-c-$$
server=sluice-s-$$
middle=sluice-m-$$
left=left    # ends of the veth pairs in the middle
right=right
pids=()

clean() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null; done
  for pid in "${pids[@]}"; do
    for _ in $(seq 50); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2> /dev/null
  done
  for name in "$client" "$server" "$middle"; do ip netns del "$name" 2> /dev/null; done
  rm -rf "$folder"
}
trap clean EXIT

fail() {
  echo "FAIL: $*"
  for log in "$folder"/*.txt; do echo "--- $log"; tail -n 40 "$log"; done
  exit 1
}

# wait_for SECONDS COMMAND...
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

ip netns add "$client" 2> "$folder/netns.txt" || { echo "skipped: no network namespaces: $(cat "$folder/netns.txt")"; exit 77; }
ip netns add "$server"
ip netns add "$middle"
between() { ip netns exec "$middle" "$@"; }
between sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2> /dev/null
ip -n "$middle" link set lo up
link() {  # link END NAMESPACE ADDRESS
  ip -n "$middle" link add "$1" type veth peer name eth0 netns "$2" || return 1
  between ethtool -K "$1" tx off rx off tso off gso off gro off > /dev/null
  ip netns exec "$2" ethtool -K eth0 tx off rx off tso off gso off gro off > /dev/null
  ip -n "$middle" link set "$1" up promisc on
  ip -n "$2" addr add "$3" dev eth0
  ip -n "$2" link set eth0 up
  ip -n "$2" link set lo up
}
link "$left" "$client" 192.0.2.1/24 || fail 'veth'
link "$right" "$server" 192.0.2.2/24 || fail 'veth'

mkdir "$folder/www"
echo 'through the sluice' > "$folder/www/index.html"
chmod 755 "$folder" "$folder/www"
cat > "$folder/nginx.conf" << EOF2
daemon off;
pid $folder/nginx.pid;
error_log $folder/nginx.txt;
events {}
http { access_log off; client_body_temp_path $folder/b; proxy_temp_path $folder/p; fastcgi_temp_path $folder/f;
  uwsgi_temp_path $folder/u; scgi_temp_path $folder/s; server { listen 192.0.2.2:80; root $folder/www; } }
EOF2
ip netns exec "$server" nginx -c "$folder/nginx.conf" 2> "$folder/nginx_start.txt" &
pids+=($!)

cat > "$folder/sluice.yaml" << EOF2
eal: {memory_mb: 128, hugepages: never}
ports:
  - {name: client, device: "net_af_packet0,iface=$left"}
  - {name: server, device: "net_af_packet1,iface=$right"}
programs:
  - {name: count, object: proto_count.bpf.o}
  - {name: web, filter: "arp or tcp port 80"}
attach:
  - {port: client, programs: [count, web], forward: server}
  - {port: server, programs: [count, web], forward: client}
metrics:
  listen: 127.0.0.1:0
  counters:
    - name: protocol_packets_total
      help: Packets seen, by IP protocol.
      map: count/proto_packets
      labels: [{name: protocol, size: 4, decoders: [{name: uint}, {name: static_map, allow_unknown: true, static_map: {1: icmp, 6: tcp, 17: udp}}]}]
EOF2
ip netns exec "$middle" "$sluice" run "$folder/sluice.yaml" > "$folder/out.txt" 2> "$folder/sluice.txt" &
sluice_pid=$!
pids+=("$sluice_pid")
wait_for 60 grep -q ready: "$folder/sluice.txt" || fail 'sluice does not get ready'
address=$(grep -o 'http://[0-9.:]*/metrics' "$folder/sluice.txt" | head -1)
address=${address#http://}
address=${address%/metrics}

page=$(ip netns exec "$client" curl -s --max-time 10 --retry 3 --retry-connrefused http://192.0.2.2/) || fail 'curl'
[ "$page" = 'through the sluice' ] || fail "curl got: $page"
ip netns exec "$client" ping -c 3 -i 0.2 -W 1 192.0.2.2 > "$folder/ping.txt" 2>&1 && fail 'ping gets through'
grep -q '3 packets transmitted, 0 received' "$folder/ping.txt" || fail 'ping did not run'

between curl -sf --max-time 5 "http://$address/metrics" > "$folder/metrics.txt" || fail 'scrape'
promtool check metrics < "$folder/metrics.txt" > "$folder/promtool.txt" 2>&1 || fail 'promtool complains'
[ -s "$folder/promtool.txt" ] && fail 'promtool is not silent'
[ "$(between curl -s --max-time 5 -o "$folder/ready" -w '%{http_code}' "http://$address/-/ready")" = 200 ] || fail 'not ready'

# A Prometheus server of our own; its port is chosen by trying.
cat > "$folder/prometheus.yml" << EOF2
global: {scrape_interval: 1s}
scrape_configs: [{job_name: sluice, static_configs: [{targets: ["$address"]}]}]
EOF2
for attempt in 1 2 3 4 5; do
  port=$((20000 + RANDOM % 10000))
  ip netns exec "$middle" prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/tsdb" --web.listen-address="127.0.0.1:$port" \
    --log.level=warn > "$folder/prometheus.txt" 2>&1 &
  prometheus_pid=$!
  pids+=("$prometheus_pid")
  wait_for 20 between curl -sf --max-time 2 "http://127.0.0.1:$port/-/ready" && break
  [ "$attempt" = 5 ] && fail 'prometheus does not start'
  kill "$prometheus_pid" 2> /dev/null
done
query() {
  between curl -sfG --max-time 5 "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1"
}
# The value of an instant query, as a whole number: {"value":[time,"number"]}
value_of() { query "$1" | sed -n 's/.*"value":\[[0-9.]*,"\([0-9]*\)"\].*/\1/p'; }
has_value() { [ -n "$(value_of "$1")" ]; }
wait_for 20 has_value 'protocol_packets_total{protocol="tcp"}' || fail "no answer: $(query protocol_packets_total)"
tcp=$(value_of 'protocol_packets_total{protocol="tcp"}')
icmp=$(value_of 'protocol_packets_total{protocol="icmp"}')
dropped=$(value_of 'sluice_program_dropped_total{port="client",program="web"}')
[ "$tcp" -ge 8 ] || fail "tcp packets: $tcp"
[ "$icmp" -ge 3 ] || fail "icmp packets: $icmp"
[ "$dropped" -ge 3 ] || fail "dropped by web: $dropped"

kill -TERM "$sluice_pid"
wait_for 10 sh -c "! kill -0 $sluice_pid" || fail 'SIGTERM does not end it'
wait "$sluice_pid" || fail "exit status $? after SIGTERM"
grep -q 'final statistics' "$folder/out.txt" || fail 'no final statistics'
cat "$folder/out.txt"
echo 'all as expected'
