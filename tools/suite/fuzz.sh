#!/usr/bin/env bash
# Runs every fuzz target of build/fuzz for a number of seconds each, seeded from its testdata folder.
set -euo pipefail
seconds=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root/build/fuzz/fuzz"
failed=() count=0
for target in *; do
  [ -x "$target" ] && [ -f "$target" ] || continue
  seeds=$(cat "$target.seeds")
  mkdir -p "corpus/$target" "findings/$target" "seeds/$target"
  # Seeds lie in folders of cases; libFuzzer wants them flat.
  [ -d "$seeds" ] && find "$seeds" -type f -size -64k | while read -r file; do cp -f "$file" "seeds/$target/$(sha1sum <"$file" | cut -c1-16)"; done
  echo "== $target, $seconds s"
  count=$((count + 1))
  if ! ./"$target" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 -max_len=65536 -print_final_stats=1 -artifact_prefix="findings/$target/" \
    "corpus/$target" "seeds/$target" >"$target.log" 2>&1; then
    tail -40 "$target.log"
    failed+=("$target")
  fi
  grep -E 'stat::(number_of_executed_units|average_exec_per_sec)' "$target.log" || true
done
[ $count -gt 0 ] || { echo "no fuzz target was built" >&2; exit 1; }
echo "$((count - ${#failed[@]})) passed, ${#failed[@]} failed"
[ ${#failed[@]} -eq 0 ] || { echo "findings: ${failed[*]} (build/fuzz/fuzz/findings)" >&2; exit 1; }
