#!/usr/bin/env bash
# Takes vLLM to a machine without a network, in pieces: its wheel without the code for other GPUs, the kernels of
# mixture-of-experts models and the Rust front end.
#
#   bench/device/vllm.sh pack DIR      # where there is a network: 1.tar, 2.tar, 3.tar, each below 46 MB; a call each
#   bench/device/vllm.sh unpack PIECE…  # there: into /tmp/vllm; the last one puts it together
#
# There, source /tmp/vllm/env: it needs Python 3.12 with torch 2.11, transformers and FastAPI's dependencies as the
# image of the notes in bench/results/README.md has them.
set -eu
version=0.26.0
platforms=(manylinux_2_34_x86_64 manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_24_x86_64
  manylinux_2_17_x86_64 manylinux2014_x86_64 manylinux1_x86_64)
# Newer openai and mcp need packages that this vLLM does not name.
wheels=(cachetools blake3 'fastapi<0.137' starlette 'openai<3' pydantic pydantic_core annotated-types typing_extensions
  typing-inspection prometheus-fastapi-instrumentator lm-format-enforcer==0.11.3 'llguidance<1.8' outlines_core==0.2.14
  lark==1.2.2 xgrammar==0.2.9 apache-tvm-ffi partial-json-parser jsonschema jsonschema-specifications referencing
  rpds-py pyzmq msgspec 'mistral_common<1.13' compressed-tensors==0.17.0 depyf==0.20.0 astor dill watchfiles
  python-json-logger pybase64 cbor2 ijson setproctitle openai-harmony 'anthropic<1' 'mcp<2'
  'model-hosting-container-standards<1' opentelemetry-sdk opentelemetry-api opentelemetry-semantic-conventions
  opentelemetry-semantic-conventions-ai nvtx jiter distro sniffio uvicorn httptools websockets python-dotenv
  python-multipart email-validator dnspython fastapi-cli interegular pydantic-extra-types jmespath supervisor httpx-sse
  sse-starlette pydantic-settings pyjwt loguru docstring-parser chardet pycountry)

pack() {
  local to=$1 work
  work=$(mktemp -d)
  mkdir -p "$to"
  to=$(cd "$to" && pwd)
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    "${platforms[@]/#/--platform=}" -d "$work/wheels" "${wheels[@]}"
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    "${platforms[@]/#/--platform=}" -d "$work" "vllm==$version"
  mkdir "$work/vllm"
  (cd "$work/vllm" && unzip -q ../vllm-*.whl -x '*_vllm_fa2_C*' '*_moe_C_stable*' vllm/vllm-rs '*.hpp' \
    '*/deep_gemm/_C.cpython-31[0134]*')
  (cd "$work" && mv vllm/vllm/_C_stable_libtorch.abi3.so C.so && xz -T0 -3 C.so && split -n 2 -d -a 1 C.so.xz C.part
    tar -cJf fa3.tar.xz -C vllm vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so
    rm vllm/vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so
    tar -cJf vllm.tar.xz -C vllm .
    tar -cf "$to/1.tar" C.part0 fa3.tar.xz
    tar -cf "$to/2.tar" C.part1 vllm.tar.xz
    tar -cf "$to/3.tar" wheels)
  rm -r "$work"
  ls -l "$to"
}

unpack() {
  local piece
  mkdir -p /tmp/vllm/pieces /tmp/vllm/site /tmp/vllm/bin
  for piece; do tar -xf "$piece" -C /tmp/vllm/pieces; done
  cd /tmp/vllm/pieces
  for piece in C.part0 C.part1 fa3.tar.xz vllm.tar.xz wheels; do
    [ -e "$piece" ] || { echo "waiting for $piece"; return; }
  done
  tar -xf vllm.tar.xz -C ../site
  tar -xf fa3.tar.xz -C ../site
  cat C.part0 C.part1 | xz -d > ../site/vllm/_C_stable_libtorch.abi3.so
  python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target /tmp/vllm/wheels wheels/*.whl
  # As pip writes it: names its interpreter, and may be imported by the processes that it spawns.
  cat > ../bin/vllm <<P
#!$(command -v python3)
import sys
from vllm.entrypoints.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
P
  chmod +x ../bin/vllm
  python3 -m compileall -q -j 0 ../site ../wheels > /dev/null 2>&1 || true
  cat > ../env <<'V'
export PYTHONPATH=/tmp/vllm/site:/tmp/vllm/wheels PATH=/tmp/vllm/bin:$PATH
export VLLM_USE_FLASHINFER_SAMPLER=0 VLLM_NO_USAGE_STATS=1 VLLM_CACHE_ROOT=/tmp/vllm/cache
export TORCHINDUCTOR_CACHE_DIR=/tmp/vllm/inductor TRITON_CACHE_DIR=/tmp/vllm/triton
V
  echo "vLLM is in /tmp/vllm: source /tmp/vllm/env"
}

"$@"
