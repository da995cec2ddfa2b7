#!/usr/bin/env bash
# First measurements on a GPU: PyTorch at the Llama-3.1-8B shape with batch 1 and
# 8, and the embedded engine on the host's CPU. Prints a short table; raw results
# go to $OUT.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out bench/device/first_light.sh
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT"
B=/tmp/llem-bin
mkdir -p $B
for f in bench/device/bin/*.gz; do gunzip -c "$f" > "$B/$(basename "$f" .gz)"; done
chmod +x $B/*
date -u; uname -r; nvidia-smi --query-gpu=name,driver_version,power.limit,power.draw --format=csv,noheader
$B/llem config 2>&1 | tee "$OUT/config.txt"

run() { # name, then flags
  local name=$1; shift
  $B/llem run "$@" -q -o /tmp/results --json > "/tmp/$name.json" 2> "/tmp/$name.err"
  echo "$name: exit $?"; cat "/tmp/$name.err"
}
P=(--backend pytorch --model random:llama-3.1-8b --input-tokens 512 --output-tokens 128 -s workload.dataset=synthetic)
run batch1 "${P[@]}" --batch-size 1 -n 5 -s baseline.seconds=5
run batch8 "${P[@]}" --batch-size 8 -n 40 -s baseline.seconds=5
run embedded --backend embedded --model random:llama-3.2-1b -n 8 --batch-size 8 --input-tokens 256 --output-tokens 64 \
  -s workload.dataset=synthetic -s baseline.seconds=2 --estimate

python3 bench/device/table.py /tmp/batch1.json /tmp/batch8.json /tmp/embedded.json | tee "$OUT/table.md"
tar -C /tmp/results -czf "$OUT/results.tar.gz" .

# Throughput with and without sampling: bound by the GPU, by the launching host,
# and by the host's own cores (with two left free).
$B/overhead -backend embedded -model random:smollm2-135m -batch 8 -prompts 8 -input 64 -output 16 -pairs 10 -threads 14 \
  -out "$OUT/overhead-embedded.json"
$B/overhead -backend pytorch -model random:llama-3.1-8b -batch 8 -prompts 16 -input 2048 -output 4 -pairs 40 -out "$OUT/overhead-gpu-bound.json"
[ "${QUICK:-}" ] ||
$B/overhead -backend pytorch -model random:llama-3.1-8b -batch 1 -prompts 2 -input 64 -output 32 -pairs 50 -out "$OUT/overhead-host-bound.json"
