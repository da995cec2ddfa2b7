#!/usr/bin/env bash
# What is left of an engine on a GPU when llem ends by a signal in the middle of a run: seconds until
# none of its processes lives and the GPU's memory is as it was before.
#
#   LLEM=bench/device/bin/llem bench/device/ends.sh
set -u
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3} model=${MODEL:-random:qwen2.5-0.5b} out=$(mktemp -d)
export LLEM_CACHE=/tmp/llem-cache
# engines are the processes of the worker and the guardian, by how their command lines begin.
engines() { pgrep -f '^[^ ]*python[^ ]* /tmp/llem-pytorch-|^[^ ]* worker guardian'; }
used() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits | head -1; }
for signal in INT HUP TERM KILL; do
  before=$(used)
  "$LLEM" run -b pytorch -m "$model" -n 64 --batch-size 8 --input-tokens 256 --output-tokens 256 --python "$python" \
    -s workload.dataset=synthetic -s baseline.seconds=1 -s energy.min_window=60 -o "$out" -q > /dev/null 2> "$out/err" &
  llem=$!
  for _ in $(seq 300); do # until the engine holds the GPU
    [ "$(used)" -gt $((before + 1000)) ] && break
    sleep 0.2
  done
  sleep 5
  held=$(used) children=$(engines | wc -l)
  kill -s "$signal" "$llem"
  start=$(date +%s.%N)
  for _ in $(seq 300); do
    [ "$(used)" -le $((before + 100)) ] && [ -z "$(engines)" ] && break
    sleep 0.1
  done
  took=$(echo "$(date +%s.%N) - $start" | bc 2> /dev/null || python3 -c "import time; print(time.time() - $start)")
  wait "$llem"
  echo "$signal: exit $?, $children engine processes and $held MiB before, $(used) MiB (at rest $before) and $(engines | wc -l) processes after $took s"
done
