#!/bin/bash
# What a command writes arrives where it was sent, or the command says that it did not.
# usage: cli_output.sh SLUICE
set -u
sluice=$(realpath "$1")
capture=$(realpath "$(dirname "$0")/../../pcap-samples/dns.pcap")
folder=$(mktemp -d)
out=$folder/out.txt
trap 'rm -rf "$folder"' EXIT

fail() {
  echo "FAIL: $*"
  cat "$folder"/*.txt
  exit 1
}

# status WANTED WORDS...: exits so.
status() {
  local wanted=$1
  shift
  timeout 60 "$sluice" "$@" > "$out" 2>&1
  local got=$?
  [ $got = "$wanted" ] || fail "$*: exit status $got, not $wanted"
}

# An empty word is no name, and not the absence of one.
for option in -w --write --expect --port; do
  status 2 replay --filter udp "$capture" "$option" ''
  grep -q 'it is empty' "$out" || fail "$option: what is wrong?"
done

echo 'all as expected'
