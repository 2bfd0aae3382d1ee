#!/bin/bash
# Makes the captures of this folder anew: real programs talk in two network namespaces that this script makes and removes,
# tcpdump writes. Needs root, and nginx, curl, dnsmasq, dig, ping, nmap, tcpdump, ethtool, python3. Half a minute.
# usage: make_samples.sh [FOLDER]      default: the script's own
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "${1:-$here}" && pwd)
[ "$(id -u)" = 0 ] || { echo 'make_samples.sh: needs root for network namespaces' >&2; exit 1; }
for tool in ip ethtool nginx curl dnsmasq dig ping nmap tcpdump python3; do
  command -v "$tool" > /dev/null || { echo "make_samples.sh: no $tool" >&2; exit 1; }
done

work=$(mktemp -d)
client=samples-c-$$
server=samples-s-$$
pids=()  # each the program itself: `ip netns exec` and `timeout` go away with it

clean() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2> /dev/null || true; done
  ip netns del "$client" 2> /dev/null || true
  ip netns del "$server" 2> /dev/null || true
  rm -rf "$work"
}
trap clean EXIT

c() { timeout 30 ip netns exec "$client" "$@"; }

ip netns add "$client"
ip netns add "$server"
ip -n "$client" link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 address 02:00:00:00:00:02 netns "$server"
side() {  # side NAMESPACE NUMBER
  ip netns exec "$1" ethtool -K eth0 tx off rx off tso off gso off gro off > /dev/null
  ip -n "$1" link set lo up
  ip -n "$1" link set eth0 up
  ip -n "$1" addr add "192.0.2.$2/24" dev eth0
  ip -n "$1" addr add "2001:db8::$2/64" dev eth0 nodad
  # A kernel without VLAN interfaces gets one in user space; the packets are the same.
  if ! ip -n "$1" link add link eth0 name eth0.7 type vlan id 7 2> /dev/null; then
    ip netns exec "$1" python3 "$here/vlan_tap.py" eth0 eth0.7 7 &
    pids+=("$!")
    for _ in $(seq 50); do ip -n "$1" link show eth0.7 > /dev/null 2>&1 && break; sleep 0.1; done
    ip -n "$1" link set eth0.7 address "02:00:00:00:00:0$2" mtu 1496
  fi
  ip -n "$1" link set eth0.7 up
  ip -n "$1" addr add "198.51.100.$2/24" dev eth0.7
}
side "$client" 1
side "$server" 2
sleep 2  # link-local addresses settle

mkdir "$work/www"
head -c 24000 /dev/zero | tr '\0' 'w' > "$work/www/page.txt"
echo 'hello from nginx' > "$work/www/index.html"
chmod 755 "$work" "$work/www"
cat > "$work/nginx.conf" << EOF
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log;
events {}
http { access_log off; client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f;
  uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 80; listen 8080; listen [::]:80; root $work/www; } }
EOF
ip netns exec "$server" nginx -c "$work/nginx.conf" 2> "$work/nginx_start.log" &
pids+=($!)
ip netns exec "$server" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --listen-address=192.0.2.2 --bind-interfaces \
  --user=root --pid-file= --address=/sluice.example/192.0.2.2 --address=/sluice.example/2001:db8::2 \
  --txt-record=text.sluice.example,"$(head -c 200 /dev/zero | tr '\0' t)" --local=/example/ 2> "$work/dnsmasq.log" &
pids+=($!)

# capture NAME: from here to `done_capture`, what passes the client's interface goes to NAME.pcap.
capture() {
  timeout 60 ip netns exec "$client" tcpdump -i eth0 -n -U --immediate-mode -B 16384 -s 262144 -Z root -w "$work/$1.pcap" 2> "$work/tcpdump.log" &
  tcpdump_pid=$!
  pids+=("$tcpdump_pid")
  for _ in $(seq 50); do
    grep -q 'listening on' "$work/tcpdump.log" && return
    sleep 0.1
  done
  echo "make_samples.sh: tcpdump does not start: $(cat "$work/tcpdump.log")" >&2
  exit 1
}
done_capture() {
  sleep 0.5
  kill -TERM "$tcpdump_pid" 2> /dev/null || true
  wait "$tcpdump_pid" || true
}

for _ in $(seq 50); do
  c curl -s -o /dev/null http://192.0.2.2/ && c dig +time=1 +tries=1 @192.0.2.2 sluice.example > /dev/null && break
  sleep 0.1
done

capture http
for page in / /page.txt /missing; do c curl -s -o /dev/null "http://192.0.2.2$page"; done
c curl -s -o /dev/null http://192.0.2.2:8080/page.txt
c curl -s -o /dev/null http://192.0.2.2:81/ || true  # refused
done_capture

capture dns
for type in A AAAA MX; do c dig +tries=1 @192.0.2.2 sluice.example "$type" > /dev/null; done
c dig +tries=1 @192.0.2.2 text.sluice.example TXT > /dev/null
c dig +tries=1 @192.0.2.2 missing.example > /dev/null
c dig +tries=1 +tcp @192.0.2.2 sluice.example > /dev/null
done_capture

capture ping_fragments
c ping -q -c 3 -i 0.2 192.0.2.2 > /dev/null
c ping -q -c 3 -i 0.2 -s 4000 192.0.2.2 > /dev/null
done_capture

capture ipv6
c ping -6 -q -c 3 -i 0.2 2001:db8::2 > /dev/null
c ping -6 -q -c 2 -i 0.2 -s 3000 2001:db8::2 > /dev/null
c curl -s -o /dev/null 'http://[2001:db8::2]/page.txt'
done_capture

capture vlan
c ping -q -c 3 -i 0.2 198.51.100.2 > /dev/null
c curl -s -o /dev/null http://198.51.100.2/page.txt
c curl -s -o /dev/null http://192.0.2.2/  # untagged, beside it
done_capture

capture port_scan
c nmap -n -Pn -sS -p 1-200 192.0.2.2 > /dev/null
c nmap -n -Pn -sU -p 53,67,123,161 --max-retries 1 192.0.2.2 > /dev/null
done_capture

python3 "$here/merge_captures.py" "$work/mixed.pcap" "$work"/{http,dns,ping_fragments,ipv6,vlan,port_scan}.pcap
for name in http dns ping_fragments ipv6 vlan port_scan mixed; do
  install -m 644 "$work/$name.pcap" "$folder/$name.pcap"
  printf '%-16s %6d bytes %5d packets\n' "$name" "$(stat -c %s "$folder/$name.pcap")" \
    "$(tcpdump -n -r "$folder/$name.pcap" 2> /dev/null | wc -l)"
done
