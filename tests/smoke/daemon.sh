# For the scripts beside it: a daemon with a socket in a folder of its own, ended and removed at the script's end. Sets
# folder, out, SLUICE_SOCKET and daemon (its process id). usage: . daemon.sh; start_daemon SLUICE [YAML]
folder=$(mktemp -d "${TMPDIR:-/tmp}/sluice_XXXXXX")  # libbpf changes dots in paths of pins
daemon=
trap 'stop_daemon; rm -rf "$folder"' EXIT

fail() {
  echo "FAIL: $*"
  tail -n 40 "$folder"/*.txt
  exit 1
}

start_daemon() {
  export SLUICE_SOCKET="$folder/sock"
  printf '%s\n' "api: {socket: $folder/sock}" "${2:-}" > "$folder/daemon.yaml"
  : > "$folder/daemon.txt"  # or a former daemon's "ready:" would be found
  "$1" run "$folder/daemon.yaml" > "$folder/daemon-out.txt" 2> "$folder/daemon.txt" &
  daemon=$!
  for _ in $(seq 300); do
    grep -q ready: "$folder/daemon.txt" && return
    kill -0 "$daemon" 2> /dev/null || fail 'the daemon does not start'
    sleep 0.1
  done
  fail 'the daemon does not become ready'
}

stop_daemon() {
  [ -n "$daemon" ] || return
  kill -TERM "$daemon" 2> /dev/null
  wait "$daemon" 2> /dev/null
  daemon=
}

# Ends the script as skipped where the kernel does not let us supervise a command.
need_exec() {
  "$1" exec -- true > "$folder/exec.txt" 2>&1 && return
  grep -q 'seccomp user notification' "$folder/exec.txt" || fail 'sluice exec -- true'
  echo "skipped: $(cat "$folder/exec.txt")"
  exit 77
}

# What follows runs the command line; its output goes to $out. The script sets sluice.
out=$folder/out.txt

# ours WORDS...: succeeds.
ours() { timeout 60 "$sluice" "$@" > "$out" 2>&1 || fail "$* exits with $?"; }

# shows TEXT WORDS...: succeeds and prints a line with the text.
shows() {
  local text=$1
  shift
  ours "$@"
  grep -qE -- "$text" "$out" || fail "$*: no line with $text"
}

# refused STATUS TEXT WORDS...: exits with the status, and says the text on standard error.
refused() {
  local wanted=$1 text=$2
  shift 2
  timeout 60 "$sluice" "$@" > "$folder/nothing.txt" 2> "$out"
  [ $? = "$wanted" ] || fail "$*: exit status is not $wanted"
  grep -qF -- "$text" "$out" || fail "$*: no message with $text"
}

# Takes out of outputs of `map show` what our own asks the daemon for and bpftool finds in no descriptor's fdinfo.
without_fdinfo() {
  sed -i -E -e 's/"bytes_memlock":[0-9]+,//g; s/"owner_(prog_type|jited)":[^,]*,//g; s/"frozen": ?[01]/"frozen"/g' \
    -e '/^ +"(bytes_memlock|owner_prog_type|owner_jited)": /d; /^\towner_prog_type /d; /^\tfrozen$/d' \
    -e 's/  memlock [0-9]+B//; s/  frozen$//' "$@"
}
