#!/bin/sh
# Installs the packages of packages.txt that are missing. Quick when none is.
set -eu
cd "$(dirname "$0")/.."
wanted=$(sed 's/#.*//' packages.txt | tr -s ' \n' ' ')
missing=
for package in $wanted; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

run() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
echo "setup: installing$missing"
# Packages of servers start them when installed; the tests start their own, so nothing is to be left running.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | run tee "$policy" >/dev/null
  run chmod 755 "$policy"
  made_policy=yes
fi
status=0
{ run apt-get update -q && run env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
  >/tmp/sluice-setup.$$ 2>&1 || status=$?
[ -z "$made_policy" ] || run rm -f "$policy"
if [ "$status" != 0 ]; then
  cat /tmp/sluice-setup.$$ >&2
  echo "setup: apt-get failed; see above" >&2
fi
rm -f /tmp/sluice-setup.$$
exit "$status"
