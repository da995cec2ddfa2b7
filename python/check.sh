#!/usr/bin/env bash
# Installs the wheel in a fresh environment without an index, a compiler or this repository, and tests it there:
# `python/check.sh dist/llem-*.whl`. The types are checked, too.
set -euo pipefail
wheel=$(realpath "${1:?the wheel}")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/bare"
"$work/bare/bin/pip" install --quiet --disable-pip-version-check --no-index "$wheel"
(
  cd "$work"
  export PATH="$work/bare/bin:/usr/bin:/bin" HOME="$work"
  start=$SECONDS
  env -i PATH="$PATH" HOME="$HOME" llem run -m random:tiny-llama -b embedded -n 2 --input-tokens 16 --output-tokens 8 \
    -s baseline.seconds=0.3 --estimate -q > first.txt
  head -3 first.txt
  echo "the first result came after $((SECONDS - start)) s"
  "$work/bare/bin/python" -c 'import llem; print(llem.open(__import__("glob").glob("results/*")[0]))'
)

python3 -m venv "$work/test"
"$work/test/bin/pip" install --quiet --disable-pip-version-check "$wheel[pandas]" pytest==9.2.0 mypy==2.4.1
cp -r "$here/tests" "$here/pyproject.toml" "$here/README.md" "$here/../docs/meter.md" "$work/"
cd "$work"
"$work/test/bin/python" -m pytest -q -p no:cacheprovider tests
mypy="$work/test/bin/python -m mypy --strict --ignore-missing-imports --cache-dir $work/mypy"
$mypy "$here/src/llem"
cat > user.py << 'PY'
import llem

mean: "float | None" = llem.open("results/x").experiments[0].mean("energy.per_output_token_j")
PY
$mypy user.py
