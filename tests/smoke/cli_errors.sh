#!/bin/bash
# What a person reads where something is wrong: what failed, on what, why, and what to do; 1 for what failed, 2 for what cannot
# be meant; as JSON too. Nothing that failed leaves anything behind. usage: cli_errors.sh SLUICE OBJECT_FOLDER (of tests/tool)
set -u
sluice=$(realpath "$1")
objects=$(realpath "$2")
. "$(dirname "$0")/daemon.sh"
mkdir "$folder/pins"
start_daemon "$sluice" 'ports:
  - {name: one, device: "net_null0,no-rx=1"}
eal: {hugepages: never}
pins: {directory: '"$folder"'/pins, mode: "0755"}
programs: [{name: web, filter: tcp port 80}, {name: count, object: proto_count.bpf.o}]
attach: [{port: one, programs: [web]}]'
pins=$folder/pins
cd "$folder" || exit 1
for words in 'hash type hash key 4 value 8 entries 2' 'queue type queue value 4 entries 2' 'ring type ringbuf entries 4096' \
  'programs type prog_array key 4 value 4 entries 4'; do
  "$sluice" map create "$pins"/$words name "${words%% *}" > out.txt 2>&1 || fail "map create $words"
done
for name in twice twins; do
  "$sluice" map create "$pins/$name" type hash key 4 value 4 entries 4 name twice > out.txt 2>&1 || fail "map create $name"
done
mkdir folder
: > empty
echo text > text
head -c 100 /dev/zero > packet
head -c 700 "$objects/types.bpf.o" > cut.o
cp "$objects/types.bpf.o" types.o
# BTF of one pointer, to a type that is not there.
printf '\237\353\1\0\30\0\0\0\0\0\0\0\14\0\0\0\14\0\0\0\1\0\0\0\0\0\0\0\0\0\0\2\7\0\0\0\0' > broken.btf
printf 'map show name hash\n"\n' > quote
printf 'map show name hash\nmap nonsense\n' > commands
before=$(ls -R "$pins")
objects_before=$("$sluice" map show | wc -l)

checked=0
# check STATUS TEXT WORDS...: plain on standard error and as JSON.
check() {
  local wanted=$1 text=$2
  shift 2
  timeout 60 "$sluice" "$@" > out.txt 2> err.txt < /dev/null
  local status=$?
  [ $status = "$wanted" ] || fail "$*: status $status, not $wanted"
  grep -qF -- "$text" err.txt || fail "$*: does not say: $text"
  grep -q '^sluice: ' err.txt || fail "$*: who says it?"
  timeout 60 "$sluice" -j "$@" > out.txt 2> err.txt < /dev/null
  [ $? = "$wanted" ] || fail "-j $*: not the same status"
  python3 -c 'import json, sys; json.load(sys.stdin)' < out.txt || fail "-j $*: no JSON"
  grep -qF -- "$(sed 's/"/\\"/g' <<< "$text")" out.txt err.txt || fail "-j $*: does not say: $text"
  checked=$((checked + 1))
}

table() {
  while IFS='|' read -r status text words; do
    # shellcheck disable=SC2086
    [ -z "$status" ] || check "$status" "$text" $words
  done
}

table << TABLE
1|map id 9999: No such file|map show id 9999
2|id: "x" is not a number|map show id x
2|more than 4294967295|map show id 99999999999
2|id is missing|map show id
2|longer than 15 characters|map show name a_name_of_a_map_that_is_long
1|no map named nothing|map show name nothing
1|2 maps fit; name one by its id|map lookup name twice key 0 0 0 0
2|path of a pin is missing|map show pinned
1|pinned nothing: No such file|map show pinned nothing
1|pinned folder: it is no pin|map show pinned folder
1|pinned text: it is no pin|map show pinned text
1|it is not a prog|prog show pinned $pins/hash
1|it is not a link|link show pinned $pins/hash
2|expected id, pinned or name, not "nonsense"|map show nonsense thing
2|tag "zz" is not 16 hexadecimal digits|prog show tag zz
1|no prog of tag 0123456789abcdef|prog show tag 0123456789abcdef
2|what is "nonsense"?; \`sluice map help\`|map nonsense
2|there is no option --nonsense|map show --nonsense
2|which map? (id, pinned or name)|map dump
2|"key" is missing|map lookup name hash
2|key expected 4 bytes, got 0|map lookup name hash key
2|key expected 4 bytes, got 3|map lookup name hash key 1 2 3
2|key expected 4 bytes, got more|map lookup name hash key 1 2 3 4 5
2|key: "zz" is not a byte|map lookup name hash key hex zz 0 0 0
2|key: 100 does not fit a byte|map lookup name hash key hex 100 0 0 0
2|key: 256 does not fit a byte|map lookup name hash key 256 0 0 0
2|a queue has no keys|map lookup name queue key 1
2|a queue has no keys|map getnext name queue
2|"value" is missing|map update name hash key 1 0 0 0
2|value expected 8 bytes, got 2|map update name hash key 1 0 0 0 value 1 2
2|value expected 8 bytes, got more|map update name hash key 1 0 0 0 value 1 2 3 4 5 6 7 8 9
2|value expected 8 bytes, got 1 before "noexist"|map update name hash key 1 0 0 0 value 1 noexist
2|what is "exists"?|map update name hash key 1 0 0 0 value 1 2 3 4 5 6 7 8 exists
1|map hash: update: No such file|map update name hash key 1 0 0 0 value 1 2 3 4 5 6 7 8 exist
1|map hash: delete: No such file|map delete name hash key 9 9 9 9
2|the value of a prog_array is a prog|map update name programs key 0 0 0 0 value 1 2 3 4
1|prog id 9999: No such file|map update name programs key 0 0 0 0 value id 9999
2|a hash has no next element|map peek name hash
2|a hash has no next element|map pop name hash
1|a queue has no keys to list; peek shows its next element|map dump name queue
1|a ringbuf has no keys to list|map dump name ring
1|a hash sends no events|map event_pipe name hash
2|path of the pin is missing|map pin name hash
1|pins/hash: File exists|map pin name hash $pins/hash
1|make the directory with mkdir first|map pin name hash $pins/none/x
1|the name of a pin has no '.'|map pin name hash $pins/a.b
1|pins lie below $pins|map pin name hash folder/x
2|type is missing|map create $pins/x
2|name is missing|map create $pins/x type hash key 4 value 4 entries 1
2|type "nothing" is not known; \`sluice feature list_builtins map_types\`|map create $pins/x type nothing
2|key: "-1" is not a number|map create $pins/x type hash key -1 value 4 entries 1 name x
2|inner_map is missing|map create $pins/x type array_of_maps key 4 value 4 entries 1 name x
1|a hash cannot have key 0, value 4, entries 1|map create $pins/x type hash key 0 value 4 entries 1 name x
1|Invalid argument|map create $pins/x type sockmap key 4 value 4 entries 1 name x
1|pins/hash: File exists|map create $pins/hash type hash key 4 value 4 entries 1 name x
1|pins lie below|map create folder/x type hash key 4 value 4 entries 1 name x
2|object file is missing|prog load
1|nothing.o: No such file|prog load nothing.o $pins/x
1|folder: not a regular file|prog load folder $pins/x
1|empty: the file is empty|prog load empty $pins/x
1|text: not an ELF object|prog load text $pins/x
1|cut.o: truncated|prog load cut.o $pins/x
1|wrong architecture: built for|prog load $sluice $pins/x
2|path of the pin is missing|prog load types.o
1|pins/hash: File exists|prog load types.o $pins/hash
2|type "nonsense" is not one that libbpf knows|prog load types.o $pins/x type nonsense
1|the object has no map nothing|prog load types.o $pins/x map name nothing name hash
1|the object has no map of index 99|prog load types.o $pins/x map idx 99 name hash
1|make $pins/hash: Not a directory|prog load types.o $pins/x pinmaps $pins/hash
1|pins lie below|prog load types.o folder/x
1|pins lie below|prog loadall types.o folder/x
1|make $pins/hash: Not a directory|prog loadall types.o $pins/hash
1|make nothing/x: No such file|prog loadall types.o nothing/x
1|licence "Proprietary" is not GPL-compatible|prog load $objects/refused.bpf.o $pins/x
2|data_in FILE is missing|prog run name web
1|open nothing: No such file|prog run name web data_in nothing
1|read folder: Is a directory|prog run name web data_in folder
1|read /dev/zero: it is larger than 64 MiB|prog run name web data_in /dev/zero
1|14 bytes at least|prog run name web data_in text
1|write folder: Is a directory|prog run name web data_in packet data_out folder
2|repeat: "x" is not a number|prog run name web data_in packet repeat x
2|expected xlated or jited|prog dump name web
1|write folder: Is a directory|prog dump xlated name web file folder
2|"dev" is missing|prog attach name web
2|port is missing|prog attach name web dev
1|no port "two"; the daemon has one|prog attach name web dev two
1|it is attached there|prog attach name web dev one
1|No such file or directory: the program is not attached there|prog detach name count_protocols dev one
1|one of the programs is not attached|prog attach name count_protocols dev one after name count_protocols
1|the program's type and xdp may not fit|prog attach name web xdp dev one
1|cannot be counted for one program|prog profile name web duration 1 cycles
2|duration is at least 1 second|prog profile name web duration 0
1|link id 9999: No such file|link show id 9999
1|links of the configuration stay|link detach id 1
1|links of the configuration cannot be pinned|link pin id 1 $pins/x
1|btf id 9999: No such file|btf dump id 9999
1|map hash: it has no BTF|btf dump map name hash
1|prog web: it has no BTF|btf dump prog name web
1|BTF of nothing: No such file|btf dump file nothing
1|BTF of folder: Is a directory|btf dump file folder
1|neither BTF nor an ELF file|btf dump file text
1|BTF of broken.btf: BTF type 1 refers to type 7, which is not there|btf dump file broken.btf format c
1|neither BTF nor an ELF file|btf dump file empty
1|it has no .BTF section (compile with -g)|btf dump file $sluice
2|format: expected raw or c|btf dump file types.o format d
2|expected prog_types, map_types|feature list_builtins nothing
1|no port "two"|feature probe dev two
2|interval is at least 1 second|top interval 0
2|what is "extra"?|status extra
1|open nothing: No such file|batch file nothing
1|read folder: Is a directory|batch file folder
1|read /dev/zero: it is larger than 64 MiB|batch file /dev/zero
1|quote: line 2: a quote " that does not end|batch file quote
1|commands:2: this command failed|batch file commands
TABLE

# Commands that declare their arguments: no JSON form of their own.
for words in '2|what is "nonsense"?|nonsense' '1|configuration nothing: No such file|run nothing' \
  '1|configuration folder: it is a folder|check folder' '1|capture nothing: No such file|replay --filter tcp nothing' \
  '2|CONFIG is required|run' '2|COMMAND is required|exec'; do
  IFS='|' read -r status text rest <<< "$words"
  # shellcheck disable=SC2086
  timeout 60 "$sluice" $rest > out.txt 2>&1
  [ $? = "$status" ] || fail "$rest: not status $status"
  grep -qF -- "$text" out.txt || fail "$rest: does not say: $text"
done
[ "$(ls -R "$pins")" = "$before" ] || fail "something was left behind: $(ls -R "$pins")"
[ "$("$sluice" map show | wc -l)" = "$objects_before" ] || fail 'a map was left behind'

# Somebody without rights: at the socket, and with them there, at objects and pins.
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$folder"
  nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$sluice" "$@" > out.txt 2> err.txt; }
  denied() {
    local text=$1
    shift
    nobody "$@"
    [ $? = 1 ] || fail "as nobody: $*: not status 1"
    grep -qF -- "$text" err.txt || fail "as nobody: $*: does not say: $text"
  }
  denied "the socket's group (api: gid) may use the daemon" map show
  check 1 'as an unprivileged user: connect to the daemon' feature probe unprivileged
  chmod 666 sock
  denied 'Operation not permitted' map show id 1
  chmod 600 "$pins/hash"
  denied 'hash: Permission denied' map dump pinned "$pins/hash"
  denied 'pins/x: Permission denied' map create "$pins/x" type hash key 4 value 4 entries 1 name x
  nobody feature probe unprivileged || fail 'feature probe unprivileged'
fi

# No daemon: what needs none still works, and what cannot be meant is said first.
stop_daemon
table << TABLE
1|(is sluice running, with an \`api:\` section?); another socket: set SLUICE_SOCKET|map show
1|is sluice running|status
2|what is "nonsense"?|map nonsense
TABLE
SLUICE_SOCKET=$folder/text "$sluice" map show 2> err.txt && fail 'a socket that is none'
grep -q 'Connection refused' err.txt || fail 'a socket that is none'
for words in 'version' 'map help' 'feature list_builtins map_types' "btf dump file $folder/types.o"; do
  # shellcheck disable=SC2086
  "$sluice" $words > out.txt 2> err.txt || fail "$words needs a daemon"
done
echo "all as expected, $checked mistakes"
