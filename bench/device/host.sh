#!/usr/bin/env bash
# A machine with several GPUs: the sampler on all of them, one run on one GPU, one run on each GPU at the same time
# (CUDA_VISIBLE_DEVICES), a second one on a GPU in use, and the self-test over all GPUs. Prints a table; raw results go
# to $OUT. METER, RUNS, AFTER (one run on one GPU again) and DOCTOR are 1 or 0.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out bench/device/host.sh
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT" /tmp/llem-bin
llem=${LLEM:-/tmp/llem-bin/llem} model=${MODEL:-random:qwen2.5-0.5b} python=${PYTHON:-python3}
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
date -u; "$llem" --version; nproc
nvidia-smi --query-gpu=index,name,driver_version,power.limit,memory.used --format=csv,noheader 2> /dev/null
count=$(nvidia-smi --query-gpu=index --format=csv,noheader 2> /dev/null | wc -l)
count=${COUNT:-$count}
work=$(mktemp -d /tmp/host-results.XXXX)

# measure NAME GPU: one run on one GPU.
measure() {
  CUDA_VISIBLE_DEVICES=$2 timeout -k 5 150 "$llem" run -b pytorch -m "$model" -n 32 --batch-size 8 --input-tokens 256 \
    --output-tokens 64 --python "$python" -s workload.dataset=synthetic -s baseline.seconds=4 \
    -s baseline.max_age_seconds=0 -s baseline.resident_seconds=2 -s energy.min_window=8 -q -o "$work/$1-gpu$2" \
    > "$work/$1-gpu$2.txt" 2> "$work/$1-gpu$2.err"
  echo "$1, GPU $2: exit $?"
}

if [ "${METER:-1}" = 1 ]; then
  echo "== the sampler on $count GPUs, for 20 s"
  "$llem" meter -o "$work/meter" -- sleep 20 > "$work/meter.txt" 2> "$work/meter.err"
  echo "exit $?"; cat "$work/meter.txt" "$work/meter.err" | head -20
fi
if [ "${RUNS:-1}" = 1 ]; then
  began=$SECONDS
  measure before 0
  pids=()
  for ((i = 0; i < count; i++)); do measure together "$i" & pids+=($!); done
  sleep 12
  measure again 0 # GPU 0 is in use
  grep -h -A2 -i "in use\|another llem" "$work/again-gpu0.err" | head -4
  wait "${pids[@]}"
  [ "${AFTER:-1}" = 0 ] || measure after 0
  echo "runs: $((SECONDS - began)) s"
fi
"$python" bench/device/host_table.py "$work" | tee "$OUT/host.md"
if [ "${DOCTOR:-1}" = 1 ]; then
  began=$SECONDS
  timeout -k 5 280 "$llem" doctor --python "$python" -o "$OUT/doctor.json" > "$OUT/doctor.txt" 2> "$OUT/doctor.err"
  echo "doctor over $count GPUs: exit $?, $((SECONDS - began)) s"
  sed -n '/^Verdict/,$p' "$OUT/doctor.txt"
fi
tar -C "$work" -czf "$OUT/host.tar.gz" .
