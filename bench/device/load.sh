#!/usr/bin/env bash
# Energy at load on one GPU: a vLLM server at several rates (load-line.yaml), then a search for the highest rate within
# an objective and a replayed trace (load-search.yaml). Prints the reports; study folders go to $OUT.
#
#   bench/device/build.sh; bench/device/vllm.sh pack DIR      # where Go and a network are
#   bench/device/vllm.sh unpack DIR/*.tar                      # there
#   LINE=480 SEARCH=0 OUT=/tmp/out bench/device/load.sh        # seconds for each; 0 leaves it out
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT" /tmp/llem-bin /tmp/studies
llem=${LLEM:-/tmp/llem-bin/llem}
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
[ ! -e /tmp/vllm/env ] || source /tmp/vllm/env
date -u; "$llem" --version
nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2> /dev/null

study() {
  local name=$1 limit=$2 began=$SECONDS folder
  [ "$limit" -gt 0 ] || return 0
  timeout -s INT -k 20 "$limit" "$llem" run "bench/device/$name.yaml" --quiet --no-gaps -o "/tmp/studies/$name" \
    < /dev/null > "$OUT/$name.txt" 2>&1
  echo "$name: exit $?, $((SECONDS - began)) s"
  tail -${LINES_SHOWN:-40} "$OUT/$name.txt"
  folder=$(ls -d "/tmp/studies/$name"/*/ | head -1)
  grep -h -i -m 3 "error" "$folder"/runs/*/engine.log 2> /dev/null | sort | uniq -c | sort -rn | head -5
  tar -C "$(dirname "$folder")" -czf "$OUT/$name.tar.gz" "$(basename "$folder")"
}

study load-line "${LINE:-0}"
study load-search "${SEARCH:-0}"
ls -l "$OUT"
