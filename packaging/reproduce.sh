#!/usr/bin/env bash
# Builds the release twice, in clones of this commit at two paths, under different umasks, time zones and languages, and
# compares the bytes of every file: packaging/reproduce.sh [--all] [--fresh] [--against DIST].
#
# Without --all the architecture of this machine alone. With --fresh each build compiles everything, also C++, with a
# build cache of its own. With --against, DIST is the first build, if it is of this commit without changes. The same
# bytes need the same versions of Go and of the tools of python/build_wheel.py, and nothing else of the machine.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arch=(--arch "$(uname -m)") fresh='' against=''
while [ $# -gt 0 ]; do
  case $1 in
  --all) arch=() ;;
  --fresh) fresh=1 ;;
  --against) against=$2; shift ;;
  *) echo "usage: $0 [--all] [--fresh] [--against DIST]" >&2; exit 2 ;;
  esac
  shift
done
test -z "$(git -C "$root" status --porcelain)" || echo "note: changes that are not committed are not in the builds"

# build FOLDER: in a clone of the commit.
build() {
  git clone --quiet --no-hardlinks "$root" "$1"
  [ -z "$fresh" ] || export GOCACHE="$1.cache" ZIG_GLOBAL_CACHE_DIR="$1.zig"
  (cd "$1" && nice python3 packaging/dist.py "${arch[@]}" > "$work/log" 2>&1) || { tail -20 "$work/log"; exit 1; }
}
export LLEM_WHEEL_VENV="${LLEM_WHEEL_VENV:-$root/python/.build/venv}"
one=$work/one/dist another=$work/another/path/of/another/length
commit=$(git -C "$root" log -1 --format=%h --abbrev=12)
if [ -n "$against" ] && ls "$against"/llem-*-"$commit"-linux-*.tar.gz > /dev/null 2>&1; then
  one=$(realpath "$against")
else
  (umask 022; TZ=UTC LC_ALL=C build "$work/one")
fi
(umask 077; TZ=Asia/Tokyo LC_ALL=C.UTF-8 build "$another")

cd "$another/dist"
differs=
for file in *; do
  cmp "$file" "$one/$file" || differs=1
done
[ -z "$differs" ] || exit 1
sha256sum --check --quiet SHA256SUMS
echo "$(ls | wc -l) files of ${arch[*]:-all architectures} have the same bytes in two builds"
