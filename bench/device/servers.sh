#!/usr/bin/env bash
# vLLM (its server, and its engine stepped in a worker), llama.cpp and PyTorch at one
# shape: random:llama-3.1-8b, 16 bits, 512 tokens in and 64 out, 1, 8 and 64 requests at
# once. Prints a Markdown table; raw results go to $OUT. Ends by itself within
# SECONDS_LEFT (530) seconds: what did not fit is said.
#
#   bench/device/build.sh            # where Go is
#   LLEM_PYTHON_VLLM=vllm/bin/python LLEM_LLAMA_SERVER=…/llama-server OUT=/tmp/out bench/device/servers.sh
#
# ENGINES names some of them. An engine that is not there is a failed row.
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache VLLM_CACHE_ROOT=/tmp/vllm-cache
export TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor
end=$((SECONDS + ${SECONDS_LEFT:-530}))
engines=${ENGINES:-vllm-serve vllm-offline llamacpp pytorch}
model=${MODEL:-random:llama-3.1-8b} input=${INPUT:-512} output=${OUTPUT:-64} counts=${COUNTS:-1, 8, 64}
python=${PYTHON:-python3}
results=$(mktemp -d /tmp/servers-results.XXXX)
mkdir -p "$OUT" /tmp/llem-bin
llem=${LLEM:-/tmp/llem-bin/llem}
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
date -u
nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2>/dev/null

# study NAME SECONDS BACKEND DTYPE KEYS [SWEEP]: one engine serves the counts in turn.
study() {
  local name=$1 limit=$2 left=$((end - SECONDS - 15))
  [ "$limit" -le "$left" ] || limit=$left
  if [ "$limit" -lt 40 ]; then echo "$name: skipped, $left s left"; return; fi
  cat > "/tmp/$name.yaml" <<Y
name: $name
model: $model
backend: $3
dtype: $4
workload: {dataset: synthetic, input_tokens: $input, output_tokens: $output}
warmup: {runs: 1}
baseline: {seconds: 3, resident_seconds: 1}
energy: {min_window: 4}
$5
sweep:
  workload.prompts: [$counts]
${6:-}
execution: {order: sequential, study_timeout: ${limit}s, run_timeout: ${limit}s}
Y
  local began=$SECONDS
  timeout -k 10 $((limit + 30)) "$llem" run "/tmp/$name.yaml" -q --no-gaps --python "$python" ${MORE:-} -o "$results/$name" \
    > "/tmp/$name.out" 2> "/tmp/$name.err"
  echo "$name: exit $?, $((SECONDS - began)) s"
  grep -i "failed\|error\|refused" "/tmp/$name.err" | head -5
}

for engine in $engines; do
  case $engine in
    vllm-serve) study vllm-serve 240 vllm bfloat16 "vllm: {max_num_seqs: 64, gpu_memory_utilization: 0.85}" ;;
    vllm-offline) study vllm-offline 180 vllm bfloat16 "vllm: {max_num_seqs: 64, gpu_memory_utilization: 0.85, mode: offline}" ;;
    vllm-eager) study vllm-eager 120 vllm bfloat16 "vllm: {max_num_seqs: 64, gpu_memory_utilization: 0.85, mode: offline, enforce_eager: true}" ;;
    llamacpp) study llamacpp 200 llamacpp float16 "llamacpp: {parallel: 64}" ;;
    pytorch) study pytorch 120 pytorch bfloat16 "" "  link: {pytorch.batch_size: workload.prompts}" ;;
    *) echo "$engine: unknown" ;;
  esac
done

"$python" bench/device/servers_table.py "$results" | tee "$OUT/servers.md"
for engine in $engines; do
  echo "== $engine"; cat "/tmp/$engine.err" 2>/dev/null
done | tail -c 1000000 > "$OUT/stderr.txt"
tar -C "$results" -czf "$OUT/series.tar.gz" .
find "$results" -name '*.parquet' -delete
find "$results" -name 'engine.log' -size +200k -exec truncate -s 200k {} +
tar -C "$results" -czf "$OUT/servers.tar.gz" .
ls -la "$OUT"; echo "$((end - SECONDS)) s left"
