#!/usr/bin/env bash
# Two builds of llem measure the same workload in turn (A B B A A B …), so that a change of
# the program that should change no number can be shown to change none. Prints joules per
# output token and tokens/s of each run with the median ratio B/A; raw results go to $OUT.
#
#   A=/path/to/before B=/path/to/after OUT=/tmp/out bench/device/same.sh
#
# RUNS (6) is the number of pairs, BACKENDS (pytorch) the engines.
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT"
python=${PYTHON:-python3} model=${MODEL:-random:qwen2.5-0.5b} runs=${RUNS:-6}
end=$((SECONDS + ${SECONDS_LEFT:-480}))
date -u; nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2> /dev/null
"$A" --version; "$B" --version

measure() { # build (A or B), engine, number
  local name=$2-$3-$1
  timeout 120 "${!1}" run -b "$2" -m "$model" -n 32 --batch-size 8 --input-tokens 256 --output-tokens 64 --python "$python" \
    -s workload.dataset=synthetic -s baseline.seconds=3 -s baseline.resident_seconds=1 -s energy.min_window=6 \
    --no-gaps -q --json -o /tmp/same > "$OUT/$name.json" 2> "$OUT/$name.err" || { echo "$name: exit $?"; head -5 "$OUT/$name.err"; }
}
for engine in ${BACKENDS:-pytorch}; do
  for i in $(seq "$runs"); do
    [ $SECONDS -lt "$end" ] || { echo "$engine: out of time after $((i - 1)) pairs"; break; }
    if [ $((i % 2)) = 1 ]; then measure A "$engine" "$i"; measure B "$engine" "$i"; else measure B "$engine" "$i"; measure A "$engine" "$i"; fi
  done
done
"$python" - "$OUT" <<'P'
"""The table."""
import json, pathlib, statistics, sys

out = pathlib.Path(sys.argv[1])
runs = {}
for path in sorted(out.glob("*-[AB].json")):
    engine, number, build = path.stem.rsplit("-", 2)
    try:
        study = json.loads(path.read_text())
    except ValueError:
        continue
    run = study["experiments"][0]
    metric = lambda name: (run["metrics"].get(name) or {}).get("mean")
    runs[engine, int(number), build] = (run["id"], metric("energy.per_output_token_j"), metric("throughput.output_tokens_per_s"))
for engine in sorted({e for e, _, _ in runs}):
    ratios = {"J/output token": [], "tokens/s": []}
    for number in sorted({n for e, n, _ in runs if e == engine}):
        a, b = runs.get((engine, number, "A")), runs.get((engine, number, "B"))
        print(engine, number, "A", a, "B", b)
        if a and b and a[1] and b[1]:
            ratios["J/output token"].append(b[1] / a[1])
            ratios["tokens/s"].append(b[2] / a[2])
    for name, values in ratios.items():
        if values:
            print(f"{engine}: {name}, B/A: median {statistics.median(values):.4f}, from {min(values):.4f} to {max(values):.4f}, {len(values)} pairs")
    print(f"{engine}: ids", sorted({r[0] for (e, _, _), r in runs.items() if e == engine}))
P
ls "$OUT" | wc -l
tar -C "$OUT" -czf "$OUT/same.tar.gz" $(cd "$OUT" && ls *.json *.err) && rm -f "$OUT"/*-[AB].json "$OUT"/*-[AB].err
