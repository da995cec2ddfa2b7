#!/usr/bin/env bash
# PyTorch on two GPUs at the Llama-3.1-8B shape, bfloat16, 512 tokens in and 64 out, batch
# 1, 8 and 32: on one of them, with every layer shared by both, and with the layers spread
# over both. First whether two ranks choose the tokens of one. Prints a Markdown table; raw
# results go to $OUT. Ends by itself within SECONDS_LEFT (530) seconds: what did not fit is
# said.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out bench/device/parallel.sh
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
end=$((SECONDS + ${SECONDS_LEFT:-530}))
model=${MODEL:-random:llama-3.1-8b} dtype=${DTYPE:-bfloat16} input=${INPUT:-512} output=${OUTPUT:-64}
python=${PYTHON:-python3} more=${MORE:-} batches=${BATCHES:-1, 8, 32} device=${DEVICE:-cuda}
results=$(mktemp -d /tmp/parallel-results.XXXX)
mkdir -p "$OUT" /tmp/llem-bin
llem=${LLEM:-/tmp/llem-bin/llem}
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
date -u
nvidia-smi --query-gpu=index,name,driver_version,power.limit,memory.used --format=csv,noheader 2>/dev/null
nvidia-smi topo -m 2>/dev/null | head -4
env | grep '^NCCL_\|^TORCH_\|^NVSHMEM_\|^CUDA_VISIBLE' | sort
"$python" -c 'import torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__, "GPUs", torch.cuda.device_count())' 2>&1 | tail -1

# The tokens of two ranks, a cancel and a rank that dies: skipped without two GPUs.
(cd engine/pytorch && timeout -k 5 170 "$python" -B -m unittest -v parallel_test.CudaParallelTest) > "$OUT/correct.txt" 2>&1
echo "correctness: exit $?, $(grep -c '\.\.\. ok$' "$OUT/correct.txt") ok, $(grep -c 'skipped' "$OUT/correct.txt") skipped"
grep -v 'Warning' "$OUT/correct.txt" | tail -25

# study NAME SECONDS KEYS: one engine serves the batches in the order given; what does not
# fit into the time is left out.
study() {
  local name=$1 limit=$2 keys=$3 left=$((end - SECONDS - 15))
  [ "$limit" -le "$left" ] || limit=$left
  if [ "$limit" -lt 40 ]; then echo "$name: skipped, $left s left"; return; fi
  cat > "/tmp/$name.yaml" <<Y
name: $name
model: $model
backend: pytorch
dtype: $dtype
workload: {dataset: synthetic, input_tokens: $input, output_tokens: $output}
warmup: {runs: 1}
baseline: {seconds: 3, resident_seconds: 1}
energy: {min_window: 4}
pytorch: {device: $device, $keys}
sweep:
  pytorch.batch_size: [$batches]
  link: {workload.prompts: pytorch.batch_size}
execution: {order: sequential, study_timeout: ${limit}s}
Y
  local began=$SECONDS
  timeout -k 10 $((limit + 30)) "$llem" run "/tmp/$name.yaml" -q --no-gaps --python "$python" $more -o "$results/$name" \
    > "/tmp/$name.out" 2> "/tmp/$name.err"
  echo "$name: exit $?, $((SECONDS - began)) s"
  grep -i "failed\|error\|refused" "/tmp/$name.err" | head -5
}

study one 110 "tensor_parallel_size: 1"
study shared 150 "tensor_parallel_size: 2"
[ "$device" = cpu ] || study spread 110 "device_map: auto"

"$python" bench/device/parallel_table.py "$results" | tee "$OUT/parallel.md"
cat /tmp/{one,shared,spread}.err 2>/dev/null | tail -c 1000000 > "$OUT/stderr.txt"
find "$results" -name '*.parquet' -delete
find "$results" -name 'engine.log' -size +200k -exec truncate -s 200k {} +
tar -C "$results" -czf "$OUT/parallel.tar.gz" .
ls -la "$OUT"; echo "$((end - SECONDS)) s left"
