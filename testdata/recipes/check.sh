#!/usr/bin/env bash
# Executes every block of docs/recipes.md on a study of its own.
#
#   testdata/recipes/check.sh bin/llem PYTHON     PYTHON has duckdb, pandas and pyarrow
set -euo pipefail
bin="$(realpath "$1")" python="$2"
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir path
ln -s "$bin" path/llem
"$bin" run -b fake -m random:tiny-llama -n 4 --input-tokens 16 --output-tokens 32 --batch-size 1,4 --cycles 2 \
  -s baseline.seconds=0.5 --no-gaps -q -o made > /dev/null
mkdir results
mv made/* results/batches
PATH="$work/path:$PATH" "$python" "$here/check.py" "$here/../../docs/recipes.md"
