#!/usr/bin/env bash
# Reads what llem writes for other benchmarks with their own packages from PyPI, and imports it again.
#
#   testdata/peers/check.sh bin/llem VENV     VENV has torch, transformers, numpy and pandas
set -euo pipefail
bin="$(realpath "$1")" base="$(realpath "$2")"
here="$(cd "$(dirname "$0")" && pwd)"
venv="${LLEM_PEERS_VENV:-$HOME/.cache/llem-peers-venv}"
unset LLEM_PEERS_VENV # llem takes it for a setting
packages="guidellm==0.8.1 aiperf==0.13.0 optimum-benchmark==0.6.0"
needs="loguru orjson flatten-dict pydantic-settings culsans cyclopts msgspec ftfy more-itertools websockets datasets
  faker hydra-core ruamel.yaml psutil rich pyzmq aiofiles"

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
site="$("$base/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
echo "$site" > "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$packages" ]; then
  # Without what they only need for running: their models and statistics are enough.
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps $packages
  "$venv/bin/pip" install --quiet --disable-pip-version-check $needs 2>&1 | grep -v -e requires -e resolver || true
  echo "$packages" > "$venv/installed"
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
"$bin" run -b fake -m random:smollm2-135m -n 12 --input-tokens 64 --output-tokens 16 --batch-size 4 --cycles 2 \
  -s baseline.seconds=0.5 --no-gaps -q -o results > /dev/null
for format in aiperf vllm-bench guidellm optimum-benchmark; do
  "$bin" report results/* --format "$format" -o "out/$format" > /dev/null
done
"$venv/bin/python" -W ignore "$here/check.py" out
"$venv/bin/python" -W ignore "$here/check_guidellm.py" out/guidellm/benchmarks.json
# llem refuses what it wrote itself: without its mark, they could be by others.
find out -name '*.json' -exec sed -i 's/"measured_by": "llem"/"measured_by": "someone"/' {} +
"$bin" import out/*/*.json out/*/*/*.json -o imported > imported.txt
grep -q 'NOT MEASURED BY LLEM: 8 results' imported.txt
