#!/usr/bin/env bash
# Runs the ARM program of `make dist` in emulation on an x86-64 machine: its version, the simulated engine and the
# embedded one: packaging/emulate.sh [DIST]. Installs qemu and ARM's C library from Debian; needs root.
set -euo pipefail
dist=$(realpath "${1:-$(dirname "$(realpath "$0")")/../dist}")
work=$(mktemp -d)
registered=
finish() {
  umount "$work/proc" "$work/dev" 2> /dev/null || true
  [ -z "$registered" ] || echo -1 > "$registered"
  rm -rf --one-file-system "$work"
}
trap finish EXIT
command -v qemu-aarch64-static > /dev/null && [ -d /usr/aarch64-linux-gnu/lib ] ||
  { apt-get update -qq && apt-get install -qq -y --no-install-recommends qemu-user-static libc6-arm64-cross > "$work/log"; }
formats=/proc/sys/fs/binfmt_misc
[ -f "$formats/status" ] || mount -t binfmt_misc binfmt_misc "$formats"
if [ ! -f "$formats/qemu-aarch64" ]; then
  registered=$formats/qemu-aarch64
  cat /usr/lib/binfmt.d/qemu-aarch64.conf > "$formats/register"
fi
mkdir "$work"/{bin,usr,proc,dev,tmp}
cp -a /usr/aarch64-linux-gnu/lib "$work/lib"
ln -s ../lib "$work/usr/lib"
python3 - "$dist"/llem-*manylinux*_aarch64.whl "$work/bin/llem" << 'UNPACK'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, open(sys.argv[2], "wb") as program:
    (name,) = (n for n in wheel.namelist() if n.endswith(".data/scripts/llem"))
    shutil.copyfileobj(wheel.open(name), program)
UNPACK
chmod +x "$work/bin/llem"
mount -t proc proc "$work/proc"
mount --bind /dev "$work/dev"
llem() { chroot "$work" /bin/llem "$@"; }
llem --version
for run in "fake -n 64 --output-tokens 64" "embedded -n 2 --output-tokens 8"; do
  # shellcheck disable=SC2086
  llem run -q -b $run -m random:tiny-llama --input-tokens 16 --estimate -s energy.max_window=5 -s baseline.seconds=0.3 \
    -s baseline.resident_seconds=0.3 -o /tmp/results > "$work/out" || { cat "$work/out"; exit 1; }
  head -3 "$work/out"
done
