#!/usr/bin/env bash
# Checks the page of `llem report --html` and the pages of `llem serve`: their types by tsc, and what they do by
# Chromium. Needs chromium and npm; npm's packages are kept in a folder outside of the repository.
set -euo pipefail
cd "$(dirname "$0")/../.."
llem=$(realpath "$1")
cache="${LLEM_CI_NPM:-$HOME/.cache/llem-ci-npm}"
typescript=5.9.3 axe=4.14.1

installed() { # NAME VERSION
  grep -qs "\"version\": \"$2\"" "$cache/node_modules/$1/package.json"
}
mkdir -p "$cache"
installed typescript "$typescript" && installed axe-core "$axe" ||
  npm install --silent --no-audit --no-fund --prefix "$cache" "typescript@$typescript" "axe-core@$axe"

"$cache/node_modules/.bin/tsc" --noEmit --allowJs --checkJs --strict --target es2022 \
  --lib es2022,dom,dom.iterable --module esnext cmd/llem/internal/page/page.js cmd/llem/internal/web/live.js \
  cmd/llem/internal/site/site.js

pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
"$llem" run -b fake -m random:tiny-llama -n 8 --input-tokens 16,64 --output-tokens 16 --batch-size 1,4 --cycles 2 \
  --no-gaps -s energy.min_window=1 -s baseline.seconds=0.2 -q -o "$pages/results" > /dev/null
"$llem" report "$pages"/results/* --html "$pages/simulated.html"
tar -xzf bench/results/2026-11-29-h200/gallery.tar.gz -C "$pages"
"$llem" report "$pages/llama-batch-precision" --html "$pages/gallery.html"
hostile='<script>hacked=1</script>"><img src=x onerror=hacked=1>'
"$llem" run -b fake -m random:tiny-llama -n 4 --output-tokens 8 --no-gaps -s energy.min_window=1 \
  -s baseline.seconds=0.2 -q \
  -s "name='$hostile'" -o "$pages/results" > /dev/null
"$llem" site "$pages/results" "$pages/llama-batch-precision" --title "$hostile" -o "$pages/site"
LLEM_TEST_PAGES="$pages" CGO_ENABLED=0 go test -count=1 -run '^(TestHostileNames|TestLarge|TestReadings)$' ./cmd/llem/internal/page
cd testdata/browser
LLEM_TEST_LLEM="$llem" LLEM_TEST_PAGES="$pages" LLEM_TEST_AXE="$cache/node_modules/axe-core/axe.min.js" \
  go test -count=1 "${@:2}" .
