#!/usr/bin/env bash
# Studies of PyTorch, vLLM and llama.cpp on one GPU, each resumed if it was cut short, with what failed: for a number of
# seconds each, and left out without one. MORE are options of llem run. Prints the reports; study folders go to $OUT.
#
#   SETTINGS   vllm-settings.yaml
#   ENGINES    engines-study.yaml
#   LINE       load-line.yaml: a server at rising rates
#   SEARCH     load-search.yaml: the highest rate within an objective
#   TRACE      load-trace.yaml: a replayed trace
#   STATIC     load-static.yaml: static batches of PyTorch at the shape of the line
#   LLAMACPP   load-llamacpp.yaml: the line of llama.cpp's server (LLEM_LLAMA_SERVER)
#
#   bench/device/build.sh; bench/device/vllm.sh pack DIR      # where Go and a network are
#   bench/device/vllm.sh unpack DIR/*.tar                      # there
#   SETTINGS=250 ENGINES=300 OUT=/tmp/out bench/device/engine-study.sh
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT" /tmp/llem-bin /tmp/studies
llem=${LLEM:-/tmp/llem-bin/llem}
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
[ ! -e /tmp/vllm/env ] || source /tmp/vllm/env
date -u; "$llem" --version
nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2> /dev/null

# study FILE SECONDS runs the study or what is left of it, for that long.
study() {
  local name limit=$2 work began=$SECONDS folder
  [ "$limit" -gt 0 ] || return
  name=$(basename "$1" .yaml) work=/tmp/studies/$(basename "$1" .yaml)
  folder=$(ls -d "$work"/*/ 2> /dev/null | head -1)
  if [ "$folder" ]; then
    timeout -s INT -k 60 "$limit" "$llem" run --resume="$folder" --retry-failed --quiet < /dev/null \
      > "$OUT/$name.txt" 2>&1
  else
    timeout -s INT -k 60 "$limit" "$llem" run "$1" --quiet ${MORE:-} -o "$work" < /dev/null > "$OUT/$name.txt" 2>&1
  fi
  echo "$name: exit $?, $((SECONDS - began)) s"
  tail -45 "$OUT/$name.txt"
  folder=$(ls -d "$work"/*/ | head -1)
  grep -h -i -m 3 "error" "$folder"/runs/*/engine.log 2> /dev/null | sort | uniq -c | sort -rn | head -5
  tar -C "$(dirname "$folder")" -czf "$OUT/$name.tar.gz" "$(basename "$folder")"
}

study bench/device/vllm-settings.yaml "${SETTINGS:-0}"
study bench/device/engines-study.yaml "${ENGINES:-0}"
study bench/device/load-line.yaml "${LINE:-0}"
study bench/device/load-search.yaml "${SEARCH:-0}"
[ "${TRACE:-0}" = 0 ] || python3 bench/device/trace.py > bench/device/trace.jsonl
study bench/device/load-trace.yaml "${TRACE:-0}"
study bench/device/load-static.yaml "${STATIC:-0}"
study bench/device/load-llamacpp.yaml "${LLAMACPP:-0}"
ls -l "$OUT"
