#!/usr/bin/env bash
# One configuration again and again on one GPU, for `go run ./bench/pairs -study`: how often equal runs are called
# different. RUNS (100) short runs of random:qwen2.5-0.5b.
# The study folder without its series goes to $OUT/pairs.tar.gz.
#
#   OUT=/tmp/out LIMIT=500 bench/device/pairs.sh
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=${LLEM_CACHE:-/tmp/llem-cache}
mkdir -p "$OUT" /tmp/llem-bin
llem=${LLEM:-/tmp/llem-bin/llem} python=${PYTHON:-python3} work=/tmp/llem-pairs
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
date -u; nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2> /dev/null
rm -rf $work
timeout -s INT "${LIMIT:-500}" "$llem" run -b ${BACKEND:-pytorch} -m "${MODEL:-random:qwen2.5-0.5b}" -n 8 --batch-size 8 \
  --input-tokens 128 --output-tokens 64 --cycles "${RUNS:-100}" --python "$python" --no-gaps -q \
  -s baseline.seconds=0 -s baseline.resident_seconds=0 -s energy.max_window=0 -s energy.min_window=2.5 \
  -s warmup.runs=1 -s warmup.cover=sizes ${MORE:-} -o $work < /dev/null > "$OUT/pairs.txt" 2>&1 || echo "exit $?"
tail -5 "$OUT/pairs.txt"
ls -d $work/*/runs/* | wc -l
find $work -name '*.parquet' -delete
tar -C $work -czf "$OUT/pairs.tar.gz" . && ls -l "$OUT"
