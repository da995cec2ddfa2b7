#!/usr/bin/env bash
# Times a frame of the report's canvas in Chromium while 100,000 readings are zoomed and moved, beside uPlot on the same
# readings in the same run; and how long the report of 100,000 runs takes to open. Needs chromium and npm. uPlot is
# installed into a folder outside of the repository.
#
#   bench/page/run.sh [GO TEST FLAGS]
set -euo pipefail
cd "$(dirname "$0")/../.."
cache="${LLEM_CI_NPM:-$HOME/.cache/llem-ci-npm}" uplot=1.6.32
mkdir -p "$cache"
grep -qs "\"version\": \"$uplot\"" "$cache/node_modules/uplot/package.json" ||
  npm install --silent --no-audit --no-fund --no-save --prefix "$cache" "uplot@$uplot"

pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
LLEM_TEST_PAGES="$pages" CGO_ENABLED=0 go test -count=1 -run '^(TestLarge|TestReadings)$' ./cmd/llem/internal/page
ls -l "$pages"
cd testdata/browser
LLEM_TEST_PAGES="$pages" LLEM_TEST_UPLOT="$cache/node_modules/uplot/dist/uPlot.iife.min.js" \
  go test -run '^$' -bench . "$@" .
