# Reads meson's testlog.txt and prints what was skipped and why, a line each (of many with one reason, the first ones), then
# `counts`, with how many were skipped inside tests that passed. What counts as inside: cases of GoogleTest, and parts of a
# script, which says `skipped in part: WHY`. A test that is skipped as a whole says `skipped: WHY`.
function skip(what, why) {
  if (++same[test, why] <= kShown) print test ": " what why
  else more[test, why]++
}
BEGIN { kShown = 3 }
/^test: / { test = $NF; case_why = ""; split("", whys) }
/^skipped: / { print test ": " substr($0, 10) }
/^skipped in part: / { skip("", substr($0, 18)); inside++ }
take_why { case_why = $0; sub(/^ */, "", case_why); take_why = 0 }
/: Skipped$/ { take_why = 1 }
/^\[  SKIPPED \] .* \([0-9]+ ms\)$/ {
  name = $4
  sub(/,$/, "", name)
  whys[name] = case_why
  case_why = ""
}
/^\[  SKIPPED \] [0-9]+ tests?, listed below:$/ { inside += $4; listing = 1; next }
listing && /^\[  SKIPPED \] / {
  name = $4
  sub(/,$/, "", name)
  skip(name ": ", whys[name])
  next
}
{ listing = 0 }
END {
  for (key in more) {
    split(key, part, SUBSEP)
    print part[1] ": " more[key] " more: " part[2]
  }
  print counts (inside ? " (and " inside (inside == 1 ? " case" : " cases") " inside them)" : "")
}
