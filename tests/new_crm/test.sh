#!/usr/bin/env bash
# usage: test.sh WORK BIN: generates a CRM below WORK, builds it and runs its tests; BIN has dealctl.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$1 bin=$2
tree=$work/tree
rm -rf "$tree"
mkdir -p "$tree/libs/crm"
ln -s "$root/proto" "$tree/proto"
cp "$here/project.cmake" "$tree/CMakeLists.txt"

"$root/tools/new_crm" sixth --name "Sixth CRM" --into "$tree/libs/crm/sixth"
if grep -riE 'new ?crm' "$tree/libs/crm/sixth" | grep -v tools/new_crm; then
  echo "test.sh: the template's name is left over" >&2
  exit 1
fi
for wrong in '' 'Sixth' '6th' api; do
  if "$root/tools/new_crm" "$wrong" --into "$tree/wrong" 2>/dev/null; then
    echo "test.sh: tools/new_crm takes '$wrong' for an id" >&2
    exit 1
  fi
done

cmake -G Ninja -S "$tree" -B "$work/build" -C "$work/cache.cmake" >"$work/configure.log" || { cat "$work/configure.log" >&2; exit 1; }
cmake --build "$work/build"
"$work/build/bin/crm_registry_test"
"$work/build/bin/crm_simulators_test"
"$work/build/bin/crm_sixth_test"
"$work/build/bin/crm_sixth_sim_test"

# Its simulator plays what all simulators play.
coproc "$work/build/bin/crm-simulator" --crm sixth --address 127.0.0.1:0 --accounts 2
simulator=$COPROC_PID
trap 'kill "$simulator" 2>/dev/null' EXIT
address=''
while read -r -t 20 -u "${COPROC[0]}" line; do
  [[ $line =~ \"address\":\ \"(http://[^\"]+)\" ]] && address=${BASH_REMATCH[1]}
  [ "$line" = '}' ] && break
done
for scenario in demo disorder; do
  "$bin/dealctl" simulate "$root/tools/cli/scenarios/$scenario.yaml" --simulator "$address"
done
