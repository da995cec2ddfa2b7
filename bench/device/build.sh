#!/usr/bin/env bash
# Builds portable binaries for the device scripts into bench/device/bin (ignored
# by git), compressed for the way.
set -eu
cd "$(dirname "$0")/../.."
flags="-O3 -march=x86-64-v3 -Wno-deprecated-declarations -Wno-stringop-overflow"
export CGO_ENABLED=1 CGO_CFLAGS="$flags" CGO_CXXFLAGS="$flags"
for name in ./cmd/llem ./bench/overhead "$@"; do
  go build -buildvcs=auto -trimpath -ldflags '-s -w' -o "bench/device/bin/$(basename "$name")" "$name"
  gzip -f "bench/device/bin/$(basename "$name")"
done
ls -la bench/device/bin
