#!/usr/bin/env bash
# What llem says of a GPU that others use: alone, beside a process that computes without pause, beside
# one that only holds memory, and the first again with --allow-shared. Prints the exit code, the line to
# paste and the doubts about sharing of each run; raw results go to $OUT.
#
#   LLEM=/path/to/llem OUT=/tmp/out bench/device/shared.sh        (about three minutes)
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=${LLEM_CACHE:-/tmp/llem-cache}
mkdir -p "$OUT"
llem=${LLEM:-llem} python=${PYTHON:-python3} model=${MODEL:-random:qwen2.5-0.5b}
date -u; nvidia-smi --query-gpu=name,driver_version,power.draw,memory.used --format=csv,noheader 2> /dev/null
"$llem" --version

neighbour=
trap '[ -n "$neighbour" ] && kill "$neighbour" 2> /dev/null' EXIT
neighbour() { # busy or idle: a process of others, ready when this returns
  "$python" -c '
import sys, time, torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
b = a @ a
torch.cuda.synchronize()
print("ready", flush=True)
while True:
    if sys.argv[1] == "idle":
        time.sleep(1)
        continue
    for _ in range(50):
        b = a @ a
    torch.cuda.synchronize()
' "$1" > "$OUT/neighbour" 2> "$OUT/neighbour.err" &
  neighbour=$!
  for _ in $(seq 300); do grep -q ready "$OUT/neighbour" && break; sleep 0.1; done
  sleep 2
}
gone() { kill "$neighbour"; wait "$neighbour" 2> /dev/null; neighbour=; sleep 3; }

measure() { # name, further arguments
  local name=$1
  shift
  timeout 90 "$llem" run -b pytorch -m "$model" -n 16 --batch-size 8 --input-tokens 256 --output-tokens 64 \
    --python "$python" -s workload.dataset=synthetic -s baseline.seconds=4 -s baseline.max_age_seconds=0 \
    -s energy.min_window=5 --no-gaps -q -o "$OUT/$name" "$@" > "$OUT/$name.txt" 2> "$OUT/$name.err"
  echo "== $name: exit $?"
  grep -E "output token|^Energy|not attributable" "$OUT/$name.txt" | head -3
  tail -5 "$OUT/$name.txt" | grep "$model"
  cat "$OUT/$name.err"
  "$python" - "$OUT/$name" <<'P'
"""Scope, energies and doubts of the run."""
import glob, json, sys

for path in glob.glob(sys.argv[1] + "/*/runs/*/result.json"):
    run = json.load(open(path))
    e = run["energy"]
    value = lambda q: q and round(q["value"], 3)
    print({k: value(e[k]) for k in ("total_j", "mean_w", "per_output_token_j", "net_j", "baseline_w")}, "scope", e["scope"])
    for d in e["devices"]:
        print(d["device"], "counted", d["counted"], "idle limit", d.get("idle_limit_w"), "work hidden", d.get("work_hidden", False),
              "others", d.get("others", []))
    for w in run["warnings"]:
        if w["code"].startswith(("gpu_", "clocks", "temp", "power_l", "persist", "ecc")):
            print(w["code"] + ":", w["message"])
P
}

measure alone
neighbour busy
measure busy
measure allowed --allow-shared
gone
neighbour idle
measure idle
gone
tar -C "$OUT" -czf "$OUT/shared.tar.gz" alone busy allowed idle && rm -rf "$OUT"/{alone,busy,allowed,idle}
