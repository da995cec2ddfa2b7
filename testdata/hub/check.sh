#!/usr/bin/env bash
# The clients of others and llem against one hub, both ways: `testdata/hub/check.sh bin/llem`. The huggingface_hub client
# downloads what llem pushed, the datasets library loads it, and llem pulls what that client uploaded. The hub is the one
# of the tests; nothing leaves the machine but the installation from PyPI.
set -euo pipefail
llem=$(realpath "${1:?the program}")
here=$(dirname "$(realpath "$0")")
cd "$here/../.."
work=$(mktemp -d)
hub=
trap '[ -z "$hub" ] || kill "$hub" 2> /dev/null || true; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check huggingface_hub==2.4.0 datasets==5.2.0

CGO_ENABLED=0 go build -o "$work/hub" ./testdata/hub
mkfifo "$work/open"
"$work/hub" < "$work/open" > "$work/address" &
hub=$!
exec 9> "$work/open" # the hub runs until this is closed
for _ in $(seq 100); do [ -s "$work/address" ] && break; sleep 0.1; done
read -r HF_ENDPOINT HF_TOKEN < "$work/address"
export HF_ENDPOINT HF_TOKEN HF_HOME="$work/home" HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_TELEMETRY=1
export HF_HUB_DISABLE_PROGRESS_BARS=1 NO_PROXY=127.0.0.1
unset HF_HUB_OFFLINE

cd "$work"
"$llem" run -m random:tiny-llama -b fake -n 8 --output-tokens 16 --batch-size 1,4 --cycles 2 --no-gaps \
  -s baseline.seconds=0.3 -s baseline.resident_seconds=0.3 -q -o results > run.txt
study=$(echo results/*)
"$llem" push "$study" hf:alice/batches --license cc-by-4.0
"$llem" verify hf:alice/batches
"$work/venv/bin/python" "$here/check.py" "$study" "$work/theirs"

# What their client uploaded.
"$llem" pull hf:alice/uploaded -o pulled
"$llem" verify pulled
for f in $(cd theirs && find . -type f -not -path './.cache/*' -not -name .gitattributes); do
  cmp "theirs/$f" "pulled/$f"
done
"$llem" push pulled hf:alice/uploaded 2> again.txt
grep 'already there: [0-9]* files' again.txt
"$llem" push pulled hf:alice/uploaded | grep 'it has all'

exec 9>&-
wait "$hub" # it fails if a client sent its token to the storage
hub=
echo "the clients agree"
