#!/usr/bin/env bash
# First uses of shapes, with the batch sizes alone as the warm-up (before) and with every shape of
# the window (after), in turn: `llem run -m random:qwen2.5-7b -b pytorch`. Prints p50, p90 and the
# largest TTFT, that over p50, the seconds of the warm-up, what it did, and how many requests were
# left out as first uses. Raw results go to $OUT.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out bench/device/warm.sh
#
# RUNS (2) is how many of each, within SECONDS_LEFT (220). TTFT is of all requests, also of those
# that result.json leaves out; the column "stated" has what it states.
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT" /tmp/llem-bin
python=${PYTHON:-python3} model=${MODEL:-random:qwen2.5-7b} runs=${RUNS:-2} prompts=${PROMPTS:-16} more=${MORE:-}
end=$((SECONDS + ${SECONDS_LEFT:-220}))
llem=${LLEM:-/tmp/llem-bin/llem}
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
date -u; nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2> /dev/null
"$llem" --version

longest=0
for i in $(seq "$runs"); do
  for cover in sizes all; do
    left=$((end - SECONDS)) began=$SECONDS
    [ "$left" -gt "$longest" ] || { echo "$i $cover: out of time"; continue; }
    timeout -k 5 "$left" "$llem" run -m "$model" -b pytorch -n "$prompts" --python "$python" --no-gaps -q $more \
      -s warmup.cover=$cover -s baseline.seconds=1 -s baseline.resident_seconds=1 -o "$OUT/$i-$cover" \
      > "$OUT/$i-$cover.txt" 2> "$OUT/$i-$cover.err" || { echo "$i $cover: exit $?"; head -5 "$OUT/$i-$cover.err"; }
    [ $((SECONDS - began)) -le "$longest" ] || longest=$((SECONDS - began))
  done
done
"$python" - "$OUT" <<'P'
"""The table."""
import json, pathlib, statistics, sys

try:
    import pyarrow.parquet as parquet
except ImportError:
    parquet = None

out = pathlib.Path(sys.argv[1])
print("| run | TTFT p50 | p90 | max | max/p50 | stated n, max | left out | warm-up | what it did |")
print("|---|---|---|---|---|---|---|---|---|")
for path in sorted(out.glob("*-*/*/runs/*/result.json")):
    record = json.loads(path.read_text())
    name = path.relative_to(out).parts[0]
    if record["status"] != "ok":
        print(f"| {name} | {record['failure']} |")
        continue
    latency, stated = record["latency"], record["latency"]["ttft_ms"]
    ttft = None
    if parquet:
        rows = parquet.read_table(path.parent / "requests.parquet").to_pylist()
        ttft = sorted((q["first_token_ns"] - q["started_ns"]) / 1e6 for q in rows if q["ok"] and q.get("started_ns"))
    if ttft:
        cut = statistics.quantiles(ttft, n=10, method="inclusive")
        p50, p90, top = statistics.median(ttft), cut[8], ttft[-1]
    else:  # without pyarrow: what is stated
        p50, p90, top = (stated[k] or float("nan") for k in ("p50", "p90", "max"))
    w = record.get("warmup") or {}
    print(f"| {name} | {p50:.1f} ms | {p90:.1f} | {top:.1f} | {top / p50:.1f} | {stated['n']}, {stated['max']:.1f} "
          f"| {latency.get('excluded', 0)} | {record['timing']['warmup_s']:.1f} s "
          f"| {w.get('warmed')} of {w.get('shapes')} shapes, {w.get('rounds')} rounds, {w.get('outcome', '-')} |")
P
find "$OUT" -name power.parquet -delete
tar -C "$OUT" -czf "$OUT/warm.tar.gz" --exclude=warm.tar.gz . && rm -rf "$OUT"/*-sizes "$OUT"/*-all
ls -la "$OUT"; echo "$((end - SECONDS)) s left"
