#!/usr/bin/env bash
# A plain study of short workloads: how many of its runs have the energy of prefill and decode, and how
# many of the others have a reason. Batches of 1, 4 and 16, 32 and 128 output tokens, CYCLES (2) each, with the
# automatic window and, with OLD=1, once more with the window as the workload gives it. Raw results go to $OUT.
#
#   LLEM=/path/to/llem OUT=/tmp/out bench/device/phases.sh        (about four minutes)
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=${LLEM_CACHE:-/tmp/llem-cache}
mkdir -p "$OUT"
llem=${LLEM:-llem} python=${PYTHON:-python3} model=${MODEL:-random:qwen2.5-0.5b}
date -u; nvidia-smi --query-gpu=name,driver_version,memory.used --format=csv,noheader 2> /dev/null
"$llem" --version
study() { # name, further arguments
  local name=$1
  shift
  timeout "${LIMIT:-250}" "$llem" run -b pytorch -m "$model" -n 16 --batch-size 1,4,16 --output-tokens 32,128 \
    --cycles "${CYCLES:-2}" --python "$python" -s baseline.seconds=2 -s baseline.resident_seconds=1 --no-gaps -q -o "$OUT/$name" "$@" \
    > "$OUT/$name.txt" 2> "$OUT/$name.err" || echo "$name: exit $?"
  cat "$OUT/$name.txt" "$OUT/$name.err" | head -40
  "$python" - "$OUT/$name" "$name" <<'P'
"""Runs with phases, and with a reason."""
import glob, json, sys

runs = [json.load(open(f)) for f in sorted(glob.glob(sys.argv[1] + "/*/runs/*/result.json"))]
runs = [r for r in runs if r["status"] == "ok"]
have = why = 0
for r in runs:
    e, p = r["energy"], r["energy"]["phases"]
    if p and all(p[k] and p[k]["energy_j"] is not None for k in ("prefill", "decode")):
        have += 1
    else:
        parts = [p[k].get("reason") for k in ("prefill", "decode")] if p else []
        text = e.get("phases_reason") or e.get("reason") or next(filter(None, parts), "")
        why += bool(text)
        batch = (r["config"].get("pytorch") or {}).get("batch_size", 1)
        print(f'    batch {batch}, {r["window"]["duration_s"]:.2f} s: {text}')
w = sorted(r["window"]["duration_s"] for r in runs)
if runs:
    print(f"{sys.argv[2]}: {len(runs)} runs, {have} with phases, {why} with a reason; windows {w[0]:.2f} to {w[-1]:.2f} s")
else:
    print(f"{sys.argv[2]}: no run")
P
}
[ "${OLD:-}" ] && study plain -s energy.max_window=0
study automatic
find "$OUT" -name power.parquet -delete
tar -C "$OUT" -czf "$OUT/phases.tar.gz" --exclude=phases.tar.gz . && rm -rf "$OUT/plain" "$OUT/automatic"
