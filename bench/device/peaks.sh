#!/usr/bin/env bash
# Peaks of memory at six shapes (internal/estimate is tested against them), and what the
# dry run says of a study beside what the study takes.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out bench/device/peaks.sh
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT" /tmp/llem-bin
gunzip -c bench/device/bin/llem.gz > /tmp/llem-bin/llem
chmod +x /tmp/llem-bin/llem
python3 bench/device/peaks.py > "$OUT/peaks.json" 2> "$OUT/peaks.err"
echo "peaks: exit $?"; tail -3 "$OUT/peaks.err"
study="-b pytorch -m random:llama-3.1-8b -s workload.dataset=synthetic -n 32 --input-tokens 512 --output-tokens 48 --batch-size 1,8,32"
/tmp/llem-bin/llem run $study --dry-run | tee "$OUT/plan.txt"
/tmp/llem-bin/llem run $study --cycles 2 --order latin_square -s execution.gap_seconds=auto -o /tmp/study > "$OUT/study.txt" 2> "$OUT/study.err"
echo "study: exit $?"; cat "$OUT/study.txt"; grep -i "rest\|falling" "$OUT/study.err" | head -8
/tmp/llem-bin/llem report --recompute /tmp/study/* | tail -8
rm -f /tmp/study/*/runs/*/{power,telemetry,counters,steps,requests}.parquet
tar -C /tmp/study -czf "$OUT/study.tar.gz" .
