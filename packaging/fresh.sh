#!/usr/bin/env bash
# Prints the path of an archive with a fresh Debian 11 that has Python and neither Go nor a compiler, which it makes
# unless it is in LLEM_FRESH_CACHE (default ~/.cache/llem-fresh). Needs root and Debian's packages.
set -euo pipefail
archive=${LLEM_FRESH_CACHE:-$HOME/.cache/llem-fresh}/bullseye-$(uname -m).tar.gz
if [ ! -f "$archive" ]; then
  work=$(mktemp -d)
  trap 'rm -rf --one-file-system "$work"' EXIT
  command -v debootstrap > /dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends debootstrap; } > "$work/log" 2>&1 ||
    { tail -3 "$work/log" >&2; exit 1; }
  debootstrap --variant=minbase --include=python3-minimal,python3-pip,ca-certificates bullseye "$work/root" > "$work/log" 2>&1 ||
    { tail -3 "$work/log" >&2; exit 1; }
  mkdir -p "$(dirname "$archive")"
  tar -C "$work/root" --exclude='./var/cache/apt/archives/*.deb' -czf "$archive.$$" .
  mv "$archive.$$" "$archive"
fi
echo "$archive"
