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

# A full device is told, whether it is found full at the end or midway.
cat > "$folder/t.yaml" << 'YAML'
programs: [{name: web, filter: tcp port 80}]
YAML
for words in help 'map help' --help '--version' "check $folder/t.yaml" 'feature list_builtins helpers' \
  "replay -j --filter udp $capture" "replay --metrics --filter udp $capture"; do
  # shellcheck disable=SC2086
  timeout 60 "$sluice" $words > /dev/full 2> "$folder/err.txt"
  [ $? = 1 ] || fail "$words: no failure on a full device"
  grep -q '^sluice: standard output: No space left on device$' "$folder/err.txt" ||
    fail "$words: does not say why"
done
# A reader that has gone is no news.
(trap '' PIPE; sleep 0.5; timeout 60 "$sluice" help 2> "$folder/err.txt"; echo $? > "$folder/status.txt") | :
[ "$(cat "$folder/status.txt")" = 0 ] || fail 'help to nobody fails'
[ -s "$folder/err.txt" ] && fail 'help to nobody complains'

# A replay that is told to stop leaves no unfinished capture beside the one it writes.
for signal in INT TERM HUP; do
  mkdir "$folder/captures"
  # By Python: a shell starts what runs beside it with SIGINT ignored, nohup(1) with SIGHUP.
  python3 - "$sluice" "$capture" "$folder/captures/kept" "$signal" > "$out" 2>&1 << 'PYTHON' ||
import os, signal, subprocess, sys, time
sluice, capture, kept, name = sys.argv[1:]
number = getattr(signal, "SIG" + name)
signal.signal(number, signal.SIG_DFL)
replay = subprocess.Popen([sluice, "replay", "--filter", "udp", capture, "-w", kept,
                           "--loop", "1000000000"])
for _ in range(600):
    if os.listdir(os.path.dirname(kept)):
        break
    time.sleep(0.05)
replay.send_signal(number)
sys.exit(replay.wait(60) < 0)
PYTHON
    fail "SIG$signal kills the replay"
  rest=$(ls "$folder/captures" | grep -v '^kept$')
  [ -z "$rest" ] || fail "SIG$signal leaves $rest behind"
  rm -r "$folder/captures"
done

echo 'all as expected'
