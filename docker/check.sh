#!/usr/bin/env bash
# A run of the embedded engine in a real container, on an image made of this machine's
# files: what the result says, that the image is asked for by name, and that nothing is
# left, not even by an llem that was killed.
#
#   docker/check.sh bin/llem
#
# If `make dist` has made an archive, the image of llem itself is built from it and run, too.
#
# LLEM_TEST_LLAMA_SERVER names a llama-server, which is run in an image that is laid out as
# its makers' is.
#
# Takes the docker service that answers; where none does it installs Debian's and starts one
# of its own, with its files in a temporary folder.
set -euo pipefail
llem=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
image=llem-check-$$
export DOCKER_BUILDKIT=0 LLEM_CACHE="${LLEM_CACHE:-$work/cache}" TMPDIR="$work"  # a killed llem leaves a folder of pipes
daemon=

skip() { echo "SKIPPED: no real container run: $*"; exit 0; }
fail() { echo "FAILED: $*"; exit 1; }

finish() {
  docker image rm --force "$image" "$image-server" > /dev/null 2>&1 || true
  if [ -n "$daemon" ]; then
    kill "$daemon" 2> /dev/null || true
    wait "$daemon" 2> /dev/null || true
    umount "$work/exec/netns/default" 2> /dev/null || true # which it leaves mounted
  fi
  rm -rf "$work" 2> /dev/null || true
}
trap finish EXIT

if ! docker version > /dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || skip "no docker service answers, and only root can start one"
  command -v dockerd > /dev/null || {
    (apt-get update -qq && apt-get install -qq -y docker.io) > "$work/apt.log" 2>&1 || skip "docker.io does not install: $(tail -1 "$work/apt.log")"
  }
  export DOCKER_HOST="unix://$work/docker.sock"
  # No bridge: the engine uses the host's network.
  dockerd --host "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" \
    --bridge=none --iptables=false --ip6tables=false > "$work/dockerd.log" 2>&1 &
  daemon=$!
  for _ in $(seq 60); do
    docker version > /dev/null 2>&1 && break
    kill -0 "$daemon" 2> /dev/null || break
    sleep 0.5
  done
  docker version > /dev/null 2>&1 || skip "dockerd does not start here: $(tail -1 "$work/dockerd.log")"
fi

left() { docker ps --all --quiet --filter label=llem=1; }
before=$(left | wc -l)
none_left() {
  for _ in $(seq 50); do
    [ "$(left | wc -l)" -le "$before" ] && return
    sleep 0.2
  done
  fail "containers are left: $(left | tr '\n' ' ')"
}
common=(-n 2 --input-tokens 16 --batch-size 2 -s runner=container -s baseline.seconds=0 -s baseline.resident_seconds=0)
run=("$llem" run -q --model random:tiny-llama --backend embedded "${common[@]}")

# check RESULT BACKEND IMAGE TIER
check() {
  python3 - "$1" "$2" "$3" "$(docker image inspect --format '{{.Id}}' "$3")" "$4" << 'CHECK'
import json, sys
result = json.load(open(sys.argv[1]))
backend, tokens = result["backend"], result["tokens"]
want = {"runner": "container", "name": sys.argv[2], "image": sys.argv[3], "image_id": sys.argv[4], "tier": sys.argv[5], "device": "cpu"}
got = {key: backend.get(key) for key in want}
assert result["status"] == "ok", result["failure"]
assert got == want, f"backend is {got}, want {want}"
assert (tokens["prompt"], tokens["output"], tokens["requests_failed"]) == (32, 64, 0), tokens
assert result["config"]["runner"] == "container", result["config"]
CHECK
}

# killed COMMAND...: an llem that is killed leaves no container.
killed() {
  "$@" > /dev/null 2>&1 &
  local pid=$!
  for _ in $(seq 100); do
    [ "$(left | wc -l)" -gt "$before" ] && break
    sleep 0.2
  done
  [ "$(left | wc -l)" -gt "$before" ] || fail "no container was started"
  sleep 1
  kill -KILL "$pid"
  wait "$pid" 2> /dev/null || true
  none_left
}

"$here/scratch.sh" "$llem" "$image" > "$work/build.log" 2>&1 || fail "the image cannot be built: $(tail -3 "$work/build.log")"

"${run[@]}" --output-tokens 32 -s container.image="$image" --json -o "$work/results" > "$work/study.json" || fail "the run: $(cat "$work"/results/*/runs/*/result.json)"
check "$work"/results/*/runs/*/result.json embedded "$image" T1
none_left

if "${run[@]}" --output-tokens 1 -s container.image=llem-absent-$$ --json -o "$work/absent" > "$work/absent.json"; then
  fail "a run with an image that is not there succeeded"
fi
python3 - "$work/absent.json" "llem-absent-$$" << 'CHECK' || fail "an image that is not there: $(cat "$work/absent.json")"
import json, sys
document, image = json.load(open(sys.argv[1])), sys.argv[2]
(mistake,) = document["mistakes"]
assert document["exit_code"] == 2 and f"there is no image {image}" in mistake["message"] and f"docker pull {image}" in mistake["next"]
CHECK
[ ! -e "$work/absent" ] || fail "a run was started without its image"

killed "${run[@]}" --output-tokens 4000 -s container.image="$image" -o "$work/killed"

server=
if [ -n "${LLEM_TEST_LLAMA_SERVER:-}" ]; then
  server=", so is llama-server"
  # As the image of its makers: not in PATH, an entrypoint, a health check of another port.
  { "$here/scratch.sh" "$LLEM_TEST_LLAMA_SERVER" "$image-server" /app/llama-server
    printf 'FROM %s\nENV LLAMA_ARG_HOST=0.0.0.0\nHEALTHCHECK CMD ["curl", "-f", "http://localhost:8080/health"]\nENTRYPOINT ["/app/llama-server"]\n' "$image-server" |
      docker build --quiet --tag "$image-server" -; } > "$work/build.log" 2>&1 || fail "the server's image cannot be built: $(tail -3 "$work/build.log")"
  run=("$llem" run -q --model random:tiny-llama --backend llamacpp "${common[@]}" -s llamacpp.threads=1 -s container.image="$image-server")
  "${run[@]}" --output-tokens 32 --json -o "$work/server" > "$work/server.json" || fail "the server's run: $(cat "$work"/server/*/runs/*/result.json)"
  check "$work"/server/*/runs/*/result.json llamacpp "$image-server" T2
  none_left
  killed "${run[@]}" --output-tokens 4000 -o "$work/server-killed"
fi
if ls "$here"/../dist/llem-*-linux-*.tar.gz > /dev/null 2>&1; then
  "$here/image.sh"
fi
echo "an engine in a container ($(docker version --format '{{.Server.Version}}')): measured, refused without image, removed after a kill$server"
