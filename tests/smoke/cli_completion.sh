#!/bin/bash
# bash completion, the manual pages and the help agree with the command. usage: cli_completion.sh SLUICE SOURCE_ROOT
set -u
sluice=$1
root=$2
. "$(dirname "$0")/daemon.sh"
start_daemon "$sluice" 'programs: [{name: web, filter: tcp port 80}]'
mkdir "$folder/bin"
ln -s "$(realpath "$sluice")" "$folder/bin/sluice"
PATH=$folder/bin:$PATH
. "$root/completion/sluice"

# offers WORD LINE...: the last word of the line completes to it.
offers() {
  local wanted=$1
  shift
  COMP_WORDS=(sluice "$@")
  COMP_CWORD=$#
  _sluice
  printf '%s\n' "${COMPREPLY[@]}" > "$folder/offered.txt"
  grep -qx -- "$wanted" "$folder/offered.txt" || fail "completion of \"sluice $*\" lacks $wanted"
}
offers map ''
offers prog pr
offers getnext map ge
offers loadall -j prog load
offers web prog show name ''
offers lru_hash map create x type lru
offers map_types feature list_builtins map
offers file batch ''

# Every verb of the help is in the manual page.
for subject in map prog link btf feature; do
  for verb in $("$sluice" "$subject" help | sed -nE "s/^(Usage:|      ) sluice $subject ([a-z_]+).*/\2/p"); do
    sed 's/\\fB//g; s/\\fR//g' "$root/docs/man/sluice.1" | grep -qw -- "$verb" || fail "sluice(1) lacks $subject $verb"
  done
done
for page in sluice.1 sluice.yaml.5; do
  command -v groff > /dev/null || break
  groff -man -Tutf8 -ww "$root/docs/man/$page" > "$folder/page.txt" 2> "$folder/warnings.txt" || fail "$page is not formatted"
  [ -s "$folder/warnings.txt" ] && fail "groff warns of $page"
done
"$sluice" help > "$folder/help.txt" || fail 'help'
for subject in map prog link btf feature port chain metrics status top batch run check replay exec; do
  grep -q "^$subject" "$folder/help.txt" || fail "the help lacks $subject"
done
echo 'all as expected'
