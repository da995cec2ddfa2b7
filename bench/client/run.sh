#!/usr/bin/env bash
# Compares clients against one stub, and prints a table (docs/client.md):
#
#	bench/client/run.sh DIR [-streams 1,64,256,1000] [other options of bench/client run]
#
# DIR keeps the programs; others than llem come from PyPI, and clients that do not install here are left out. PYTHON is a
# Python of 3.12 or newer, which inference-perf needs. VLLM_BENCH is a built vllm-bench, the client in Rust.
set -eu
dir=$(mkdir -p "$1" && cd "$1" && pwd); shift
cd "$(dirname "$0")/../.."
export CGO_ENABLED=0
go build -o "$dir/llem" ./cmd/llem
go build -o "$dir/client" ./bench/client
tools=(-tool "llem=$dir/llem")
for p in guidellm==0.8.1 aiperf==0.13.0 inference-perf==0.7.0; do
	name=${p%%==*}
	if [ ! -x "$dir/$name/bin/$name" ]; then
		"${PYTHON:-python3}" -m venv "$dir/$name"
		"$dir/$name/bin/pip" install -q "$p" || { echo "$p does not install here" >&2; continue; }
	fi
	tools+=(-tool "$name=$dir/$name/bin/$name")
done
[ -z "${VLLM_BENCH:-}" ] || tools+=(-tool "vllm-bench=$VLLM_BENCH")
[ -d "$dir/tokenizer" ] || "$dir/guidellm/bin/python" bench/client/tokenizer.py "$dir/tokenizer"
uptime
"$dir/client" run "${tools[@]}" -tokenizer "$dir/tokenizer" "$@"
uptime
