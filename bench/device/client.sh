#!/usr/bin/env bash
# llem's client beside vllm-bench (Rust) and vllm bench serve on a quiet machine (docs/client.md). Prints tables of
# closed and open loops; raw files are not kept.
#
#   bench/device/build.sh ./bench/client     # where Go is; VLLM_BENCH is a built vllm-bench, carried there
#   bench/device/vllm.sh unpack DIR/*.tar    # there, for vllm bench serve
#   OUT=/tmp/out VLLM_BENCH=/tmp/vllm-bench bench/device/client.sh
#
# LLEM and CLIENT are built programs, and taken from bench/device/bin without.
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}"
mkdir -p "$OUT" /tmp/llem-bin
llem=${LLEM:-/tmp/llem-bin/llem} client=${CLIENT:-/tmp/llem-bin/client}
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
[ "${CLIENT:-}" ] || { gunzip -c bench/device/bin/client.gz > "$client" && chmod +x "$client"; }
date -u; "$llem" --version; nproc; uptime
python3 bench/client/tokenizer.py /tmp/tokenizer > /dev/null 2>&1
ours=(-tool "llem=$llem") rust=() python=()
[ -z "${VLLM_BENCH:-}" ] || rust=(-tool "vllm-bench=$VLLM_BENCH")
if [ -e /tmp/vllm/env ]; then
  (source /tmp/vllm/env && vllm bench serve --help > /dev/null 2>&1) && python=(-tool vllm=/tmp/vllm/bin/vllm)
  source /tmp/vllm/env
fi
compare() { "$client" run "$@" -tokenizer /tmp/tokenizer 2>> "$OUT/client.err" | tee -a "$OUT/client.md"; }
compare "${ours[@]}" "${rust[@]}" "${python[@]}" -streams "${STREAMS:-100,500,1000}"
compare "${ours[@]}" "${rust[@]}" -streams "${MORE_STREAMS:-2048,4096}"
compare "${ours[@]}" "${rust[@]}" -rate "${RATES:-500,5000}" -arrivals constant,poisson -seconds 3 -output 5
uptime
