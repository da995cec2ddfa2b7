#!/usr/bin/env bash
# PyTorch at the Llama-3.1-8B shape, bfloat16, 512 tokens in and 64 out, batch 1 to 64:
# as the library runs it, with a static cache and a compiled decode step, and with
# weights of 8 bits where a library for them is installed. Prints a Markdown table; raw
# results go to $OUT. Ends by itself within SECONDS_LEFT (530) seconds: what did not fit
# is said.
#
#   bench/device/build.sh            # where Go is
#   OUT=/tmp/out bench/device/torch.sh
#
# STUDIES names some of them. torchao and bitsandbytes are also found in PYTHONPATH. First on a new machine:
# (cd engine/pytorch && python3 -m unittest cuda_test), about two minutes.
set -u
cd "$(dirname "$0")/../.."
export OUT="${OUT:-bench/device/out}" LLEM_CACHE=/tmp/llem-cache
export TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor
end=$((SECONDS + ${SECONDS_LEFT:-530}))
model=${MODEL:-random:llama-3.1-8b} input=${INPUT:-512} output=${OUTPUT:-64}
python=${PYTHON:-python3} more=${MORE:-} studies=${STUDIES:-eager compiled bitsandbytes-8bit torchao-int8 static}
results=$(mktemp -d /tmp/torch-results.XXXX)
mkdir -p "$OUT" /tmp/llem-bin
llem=${LLEM:-/tmp/llem-bin/llem}
[ "${LLEM:-}" ] || { gunzip -c bench/device/bin/llem.gz > "$llem" && chmod +x "$llem"; }
date -u
nvidia-smi --query-gpu=name,driver_version,power.limit,memory.used --format=csv,noheader 2>/dev/null
"$python" - <<'P' 2>&1 | tail -2
import importlib.util as u, torch, transformers
print("torch", torch.__version__, "transformers", transformers.__version__,
      *(f"{m}: {'there' if u.find_spec(m) else 'missing'};" for m in ("torchao", "bitsandbytes", "flash_attn", "flash_attn_interface")))
P

command -v gcc > /dev/null || echo "no gcc: Triton, and so torch.compile, cannot build what it needs"

# study NAME SECONDS BATCHES KEYS: one engine serves the batches in the order given; what
# does not fit into the time is left out.
study() {
  local name=$1 limit=$2 batches=$3 keys=$4 left=$((end - SECONDS - 15))
  [ "$limit" -le "$left" ] || limit=$left
  if [ "$limit" -lt 40 ]; then echo "$name: skipped, $left s left"; return; fi
  cat > "/tmp/$name.yaml" <<Y
name: $name
model: $model
backend: pytorch
dtype: bfloat16
workload: {dataset: synthetic, input_tokens: $input, output_tokens: $output}
warmup: {runs: 1}
baseline: {seconds: 3, resident_seconds: 1}
energy: {min_window: 4}
pytorch: {$keys}
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

# has MODULE NAME: whether a library is there; says so if not.
has() {
  "$python" -c "import importlib.util as u, sys; sys.exit(u.find_spec('$1') is None)" && return
  echo "$2: skipped, $python has no module $1"
  return 1
}

for name in $studies; do
  case $name in
    eager) study eager 160 "1, 2, 4, 8, 16, 32, 64" "cache_implementation: dynamic" ;;
    compiled) study compiled 250 "1, 8, 64, 16, 4, 32, 2" "cache_implementation: static, compile: ${COMPILE:-reduce-overhead}" ;;
    bitsandbytes-8bit) has bitsandbytes "$name" && study "$name" 100 "1, 8, 64" "quantization: $name" ;;
    torchao-int8) has torchao "$name" && study "$name" 100 "1, 8, 64" "quantization: $name" ;;
    static) study static 80 "1, 64, 8" "cache_implementation: static" ;;
    *) echo "$name: unknown" ;;
  esac
done

# What is estimated before a run knows the dynamic cache in 16 bits only.
[ -f /tmp/eager.yaml ] && "$llem" run /tmp/eager.yaml --dry-run --json --python "$python" $more > "$results/plan.json" 2> /dev/null
"$python" bench/device/torch_table.py "$results" | tee "$OUT/torch.md"
for name in $studies; do cat "/tmp/$name.err" 2> /dev/null; done > "$OUT/stderr.txt"
tail -c 1000000 "$OUT/stderr.txt" > /tmp/stderr.txt && mv /tmp/stderr.txt "$OUT/stderr.txt"
find "$results" -name '*.parquet' -delete
find "$results" -name 'engine.log' -size +200k -exec truncate -s 200k {} +
tar -C "$results" -czf "$OUT/torch.tar.gz" .
ls -la "$OUT"; echo "$((end - SECONDS)) s left"
