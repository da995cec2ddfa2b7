#!/usr/bin/env bash
# The self-test of the sensors and one run of each kind on a GPU, recomputed from the
# raw files. Raw results go to $OUT.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out bench/device/doctor.sh
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT"
B=/tmp/llem-bin
mkdir -p $B
for f in bench/device/bin/*.gz; do gunzip -c "$f" > "$B/$(basename "$f" .gz)"; done
chmod +x $B/*
$B/llem doctor -o "$OUT/doctor.json" 2>"$OUT/doctor.err" | tee "$OUT/doctor.txt"
echo "doctor: exit ${PIPESTATUS[0]}"; tail -3 "$OUT/doctor.err"

run() { # name, then flags
  local name=$1; shift
  $B/llem run -b pytorch -m random:llama-3.1-8b -s workload.dataset=synthetic "$@" -o /tmp/results > "$OUT/$name.txt" 2> "$OUT/$name.err"
  echo "$name: exit $?"; sed -n '/^Energy/,/^Work/p' "$OUT/$name.txt"; grep '^warning' "$OUT/$name.txt"
}
run batch8 --batch-size 8 -n 96 --input-tokens 512 --output-tokens 48
run batch8-again --batch-size 8 -n 16 --input-tokens 512 --output-tokens 48 -s energy.min_window=12
$B/llem report --recompute /tmp/results/* 2>&1 | head; for d in /tmp/results/*; do $B/llem report --recompute "$d"; done
ls /tmp/results/*
tar -C /tmp/results -czf "$OUT/results.tar.gz" .
