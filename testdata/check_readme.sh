#!/usr/bin/env bash
# Runs the commands of README.md's console blocks; each must succeed.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
export LLEM_RESULTS="$dir/results"
n=0
while IFS= read -r line; do
  echo "+ $line"
  bash -c "$line" > "$dir/out" 2>&1 || { cat "$dir/out"; echo "README command failed: $line"; exit 1; }
  n=$((n + 1))
done < <(awk '/^```console/{on=1;next} /^```/{on=0} on && /^\$ /{print substr($0,3)}' README.md)
[ "$n" -gt 0 ] || { echo "no commands found in README.md"; exit 1; }
rm -rf "$dir"
echo "$n README commands ran"
