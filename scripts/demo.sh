#!/bin/sh
# The main job on a capture that comes with the project. $1: the sluice binary.
set -eu
cd "$(dirname "$0")/.."
"$1" replay config/demo.yaml pcap-samples/mixed.pcap
cat <<TEXT

Where to look next:
  config/demo.yaml            what was just run: two counters and a filter, and the metrics they feed
  $1 replay --filter 'udp port 53' pcap-samples/mixed.pcap -w /tmp/dns.pcap
  $1 run config/bridge.yaml   the same between two network ports
  pcap-samples/README.md      what the captures hold
  $1 help                     every command
TEXT
