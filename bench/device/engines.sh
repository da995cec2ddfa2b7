#!/usr/bin/env bash
# The self-test of the sensors, and one study twice: with an engine for each run, and
# with one engine for runs in a row. Does the second take less time and say the same?
# Raw results go to $OUT.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out bench/device/engines.sh
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
mkdir -p "$OUT" /tmp/llem-bin
gunzip -c bench/device/bin/llem.gz > /tmp/llem-bin/llem
chmod +x /tmp/llem-bin/llem
llem=/tmp/llem-bin/llem
nvidia-smi --query-gpu=name,driver_version,power.limit --format=csv,noheader
$llem doctor -o "$OUT/doctor.json" 2> "$OUT/doctor.err" | tee "$OUT/doctor.txt"
echo "doctor: exit ${PIPESTATUS[0]}"
for restart in needed always; do
  began=$(date +%s)
  $llem run -b pytorch -m random:llama-3.1-8b -s workload.dataset=synthetic -n 32 --input-tokens 512 --output-tokens 48 \
    --batch-size 8,32 --cycles 2 --order interleave -s energy.min_window=5 -s "execution.restart=$restart" \
    -o "/tmp/study-$restart" > "$OUT/$restart.txt" 2> "$OUT/$restart.err"
  echo "restart=$restart: exit $?, $(($(date +%s) - began)) s"
  sed -n '/experiment  runs/,/^$/p' "$OUT/$restart.txt"
  $llem report --recompute /tmp/study-$restart/*
done
$llem compare /tmp/study-needed/* /tmp/study-always/* | tee "$OUT/compare.txt"
python3 - /tmp/study-needed/*/runs/*/result.json /tmp/study-always/*/runs/*/result.json <<'PY'
import json, sys
print("run  engine_run  load s  bare W (age s)  resident W  J/output token  peak GiB")
for path in sys.argv[1:]:
    r = json.load(open(path))
    d = next(d for d in r["energy"]["devices"] if d["counted"])
    bare, resident = d["bare_idle"], d["resident_idle"]
    print(r["id"][:4], f'c{r["cycle"]}', r["backend"].get("engine_run"), f'{r["timing"]["load_s"]:.2f}',
          f'{bare["w"]:.1f} ({bare.get("age_s", 0):.0f})', f'{resident["w"]:.1f}', f'{r["energy"]["per_output_token_j"]["value"]:.4f}',
          f'{r["memory"]["peak_bytes"] / 2**30:.2f}')
PY
tar -C /tmp -czf "$OUT/studies.tar.gz" study-needed study-always
ls -la "$OUT"
