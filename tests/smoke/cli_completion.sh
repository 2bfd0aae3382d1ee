#!/bin/bash
# bash completion, the manual pages and the help have the same subjects, verbs, options and grammar as the command itself.
# usage: cli_completion.sh SLUICE SOURCE_ROOT
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
offers getnext map ge
offers loadall -j prog load
offers web prog show name ''
offers lru_hash map create x type lru
offers map_types feature list_builtins map
offers visual prog dump xlated vi
offers noexist map update no
offers tcx_ingress prog attach name web tcx
offers kv btf dump map name x k
offers prefix feature probe macros pre

sed -E 's/\\f[A-Z]//g; s/\\-/-/g' "$root/docs/man/sluice.1" > "$folder/manual.txt"
# manual ENTRY: the words of its entry, below .TP.
manual() {
  awk -v entry="$1" '/^\.TP/ { inside = 0; first = 1; next } first { first = 0; gsub(/[",]/, ""); inside = ($2 == entry) }
    /^\.SH/ { inside = 0 } inside' "$folder/manual.txt" | grep -oE -- '[A-Za-z_0-9-]+' | sort -u
}

# Every subject of the help, its verbs and options: in the manual page, and offered.
"$sluice" help > "$folder/help.txt" || fail 'help'
subjects=$(sed '1,/^Subcommands/d' "$folder/help.txt" | grep -xE '[a-z]+')
[ "$(wc -w <<< "$subjects")" -ge 16 ] || fail 'the help lists too few subjects'
for subject in $subjects; do
  offers "$subject" "${subject:0:1}"
  [ "$subject" = help ] && continue
  manual "$subject" > "$folder/entry.txt"
  [ -s "$folder/entry.txt" ] || fail "sluice(1) lacks $subject"
  case $subject in
    run | check | exec) continue ;;
    replay) grammar=$("$sluice" replay --help | sed -nE 's/^  (-[^ ]+).*/\1/p' | tr , ' ' | sed 's/-h --help//') ;;
    *)
      "$sluice" "$subject" help > "$folder/grammar.txt" || fail "$subject help"
      grammar=$(sed -nE "s/^(Usage:|      ) sluice $subject ([a-z_]+).*/\2/p" "$folder/grammar.txt") ;;
  esac
  for word in $grammar; do
    grep -qx -- "$word" "$folder/entry.txt" || fail "sluice(1) lacks $subject $word"
    [ "$subject" = replay ] || offers "$word" "$subject" "$word"
  done
  # And nothing of the kind that there is not: lists of verbs are the entry's lines of .BR.
  for word in $(awk -v entry="$subject" '/^\.TP/ { inside = 0; first = 1; next } first { first = 0; inside = ($2 == entry); next }
      inside && /^\.BR ([a-z_]+ ", " )+/' "$folder/manual.txt" | grep -oE '\<[a-z_]+\>'); do
    grep -qw -- "$subject $word" "$folder/grammar.txt" || fail "sluice(1) has a $subject $word that is not"
  done
done
for option in $("$sluice" map help | sed -n '/OPTIONS/,$p' | grep -oE -- ' --?[a-zA-Z-]+') -V --version; do
  manual "$option" > "$folder/entry.txt"
  sed -n '/^.SH OPTIONS/,/^.SH EXIT/p' "$folder/manual.txt" | grep -E '^\.BR -' | grep -qw -- "$option" ||
    fail "sluice(1) lacks the option $option"
  offers "$option" "$option"
done
for page in sluice.1 sluice.yaml.5; do
  command -v groff > /dev/null || break
  groff -man -Tutf8 -ww "$root/docs/man/$page" > "$folder/page.txt" 2> "$folder/warnings.txt" || fail "$page is not formatted"
  [ -s "$folder/warnings.txt" ] && fail "groff warns of $page"
done
echo 'all as expected'
