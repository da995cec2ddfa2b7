#!/usr/bin/env bash
# llem.measure() beside Zeus and CodeCarbon on the same loads of one GPU, windows of 1, 5 and 30 s: errors against long
# windows of the board's counter, and what each tool costs. Takes 9 minutes; raw data go to $OUT. See meter.py.
#
#   bench/device/meter.sh get              # where Go and a network are: llem, and the wheels of the others
#   OUT=/tmp/out bench/device/meter.sh     # where the GPU is; both ways carry bench/device/bin
set -eu
cd "$(dirname "$0")/../.."
wheels=bench/device/bin/wheels
if [ "${1:-}" = get ]; then
  bench/device/build.sh
  mkdir -p "$wheels"
  get() {
    python3 -m pip download -q --only-binary=:all: --python-version "${PYTHON_VERSION:-3.12}" --no-deps -d "$wheels" \
      --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --platform any "$@"
  }
  get zeus codecarbon tyro docstring-parser typeguard pydantic==2.14.4 pydantic-core==2.50.5 \
    annotated-types annotated-doc \
    typing-inspection arrow tzdata authlib joserfc cryptography cffi pycparser pycountry questionary prompt-toolkit \
    wcwidth rapidfuzz
  du -sh "$wheels"
  exit
fi
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
python=${PYTHON:-python3}
mkdir -p "$OUT" /tmp/llem-bin /tmp/meter-tools
if [ -z "${LLEM_PROGRAM:-}" ]; then
  gunzip -c bench/device/bin/llem.gz > /tmp/llem-bin/llem && chmod +x /tmp/llem-bin/llem
  export LLEM_PROGRAM=/tmp/llem-bin/llem
fi
"$python" -m pip install -q --no-index --no-deps --target /tmp/meter-tools "$wheels"/*.whl 2>&1 | tail -3
# psutil, pandas, scikit-learn, httpx, rich and nvidia-ml-py are the machine's own.
export PYTHONPATH=${PYTHONPATH:-}:/tmp/meter-tools
date -u
nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2> /dev/null || true
timeout -k 10 "${SECONDS_LEFT:-575}" "$python" bench/device/meter.py "$@" 2> "$OUT/stderr.txt" | tee "$OUT/meter.md"
tail -30 "$OUT/stderr.txt"
if [ -d "$OUT/results" ]; then
  tar -C "$OUT" -czf "$OUT/results.tar.gz" results
  rm -rf "$OUT/results"
fi
ls -la "$OUT"
