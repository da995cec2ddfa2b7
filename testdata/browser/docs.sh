#!/usr/bin/env bash
# Opens each page of the documents' site in Chromium from its folder: `testdata/browser/docs.sh dist/docs`.
set -euo pipefail
LLEM_TEST_DOCS=$(realpath "${1:?the folder of the site}")
export LLEM_TEST_DOCS
cd "$(dirname "$0")"
go test -count=1 -run '^TestDocs' "${@:2}" .
