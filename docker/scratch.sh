#!/bin/sh
# Builds an image of the embedded engine out of nothing but this machine's files: a llem
# binary, the libraries that it links, and a shell. No registry is asked. Another program
# than llem needs its path inside.
#
#   docker/scratch.sh bin/llem llem-embedded
#   docker/scratch.sh llama.cpp/build/bin/llama-server llama-server:mine /app/llama-server
set -eu
binary=$1 image=$2 inside=${3:-/bin/llem} client=${CLIENT:-docker}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/files/bin" "$root/files/tmp" "$root/files$(dirname "$inside")"
chmod 1777 "$root/files/tmp"
cp "$binary" "$root/files$inside"
cp -L "$(command -v sh)" "$root/files/bin/sh"
for program in "$root/files$inside" "$root/files/bin/sh"; do
  # name => path (address), and the loader as a path alone
  ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'
done | sort -u | while read -r library; do
  mkdir -p "$root/files$(dirname "$library")"
  cp -L "$library" "$root/files$library"
done
printf 'FROM scratch\nCOPY files/ /\n' > "$root/Dockerfile"
"$client" build --quiet --tag "$image" "$root"
