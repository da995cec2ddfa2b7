#!/usr/bin/env bash
# Builds docker/llem.Dockerfile from the archive in dist, on a fresh Debian of this machine's making instead of one from a
# registry, and runs the image: docker/image.sh. docker/check.sh calls it, with a docker service.
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
image=llem-image-$$ base=llem-base-$$
work=$(mktemp -d)
finish() {
  docker image rm --force "$image" "$base" > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
fail() { echo "FAILED: $*"; exit 1; }
case $(uname -m) in x86_64) arch=amd64 ;; *) arch=arm64 ;; esac
version=$(basename "$root"/dist/llem-*-linux-"$arch".tar.gz "-linux-$arch.tar.gz")
version=${version#llem-}

docker import "$("$root/packaging/fresh.sh")" "$base" > /dev/null
# Only what the image copies: the whole repository is not sent.
mkdir "$work/dist" "$work/results"
cp "$root"/dist/llem-*-linux-"$arch".tar.gz "$work/dist/"
DOCKER_BUILDKIT=0 docker build --quiet --network none --build-arg BASE_IMAGE="$base" --build-arg TARGETARCH="$arch" \
  --build-arg VERSION="$version" --tag "$image" --file "$root/docker/llem.Dockerfile" "$work" > "$work/log" 2>&1 ||
  fail "the image cannot be built: $(tail -3 "$work/log")"

run() { docker run --rm --network none "$@"; }
[ "$(docker image inspect --format '{{.Config.User}}' "$image")" = 65532:65532 ] || fail "the image runs as root"
[ "$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' "$image")" = "$version" ] ||
  fail "the image has another version than $version"
run "$image" --version | grep -qF "llem v$version " || fail "--version"
run "$image" > "$work/help"
grep -q 'in the order of work' "$work/help" || fail "the help: $(cat "$work/help")"
# Fit to measure or not: that depends on the machine.
run "$image" doctor --quick > "$work/doctor" 2>&1 || true
grep -q '^Verdict' "$work/doctor" || fail "doctor: $(cat "$work/doctor")"
run --user "$(id -u):$(id -g)" --volume "$work/results:/work" "$image" run -q -m random:tiny-llama -b embedded -n 2 \
  --input-tokens 16 --output-tokens 8 -s baseline.seconds=0 -s baseline.resident_seconds=0 > "$work/run" 2>&1 ||
  fail "run: $(cat "$work/run")"
ls "$work"/results/results/*/runs/*/result.json > /dev/null || fail "the results are not in the mounted folder"
size() { docker image inspect --format '{{.Size}}' "$1"; }
echo "the image of llem: doctor, and a run as another user; $((($(size "$image") - $(size "$base")) / 1000000)) MB on its base"
