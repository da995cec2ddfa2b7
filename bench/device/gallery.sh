#!/usr/bin/env bash
# The study of gallery.yaml on one GPU: batch size, number format and way of batching of random:llama-3.1-8b.
# Prints the report. The whole study folder goes to $OUT/gallery.tar.gz.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out LIMIT=560 bench/device/gallery.sh
#
# A study that LIMIT seconds cut short is resumed by calling the script again: its folder stays in bench/device/out.
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=${LLEM_CACHE:-/tmp/llem-cache}
mkdir -p "$OUT" /tmp/llem-bin
llem=${LLEM:-/tmp/llem-bin/llem} python=${PYTHON:-python3} work=bench/device/out/gallery-study
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
date -u; nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2> /dev/null
"$llem" --version
study=$(ls -d $work/*/ 2> /dev/null | head -1)
if [ "$study" ]; then
  timeout -s INT "${LIMIT:-560}" "$llem" run --resume="$study" -q < /dev/null > "$OUT/run.txt" 2>&1 || echo "exit $?"
else
  timeout -s INT "${LIMIT:-560}" "$llem" run "${STUDY:-bench/device/gallery.yaml}" --python "$python" -q ${MORE:-} -o $work \
    < /dev/null > "$OUT/run.txt" 2>&1 || echo "exit $?"
fi
tail -15 "$OUT/run.txt"
study=$(ls -d $work/*/ | head -1)
"$llem" report "$study"
tar -C "$(dirname "$study")" -czf "$OUT/gallery.tar.gz" "$(basename "$study")"
ls -l "$OUT"
