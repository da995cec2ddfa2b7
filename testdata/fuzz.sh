#!/usr/bin/env bash
# Each fuzz target for some time: testdata/fuzz.sh 30s
#
# Only packages with targets are built, once each, and without cgo: the compiler marks all code for fuzzing, so that
# the C++ of the embedded engine would be compiled once more.
#
# On a busy machine Go sometimes ends a target that has found nothing with "context
# deadline exceeded", when its time is up. Such a target runs once more; a finding, which
# names its input, never does.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go} work=$(mktemp -d)
log=$work/log found=$("${GO:-go}" env GOCACHE)/fuzz
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0

fuzz() { # package, target, time
  (cd "$1" && "$work/fuzz.test" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$3" -test.fuzzminimizetime 1x \
    -test.fuzzcachedir "$found/$(cd "$root" && "$go" list "$1")") > "$log" 2>&1
}

root=$PWD targets=0
for pkg in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do
  "$go" test -c -vet=off -fuzz . -o "$work/fuzz.test" "$pkg"
  for target in $(cd "$pkg" && "$work/fuzz.test" -test.list '^Fuzz' | grep '^Fuzz'); do
    echo "fuzz $pkg $target"
    if ! fuzz "$pkg" "$target" "$1"; then
      grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log" && fuzz "$pkg" "$target" "$1" ||
        { cat "$log"; exit 1; }
    fi
    tail -1 "$log"
    targets=$((targets + 1))
  done
done
written=$(grep -rh --include='*_test.go' '^func Fuzz' . | wc -l)
[ "$targets" = "$written" ] || { echo "$targets of $written targets were built without cgo"; exit 1; }
