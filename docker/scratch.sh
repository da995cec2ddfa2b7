#!/bin/sh
# Builds an image of the embedded engine out of nothing but this machine's files: a llem
# binary, the libraries that it links, and a shell. No registry is asked.
#
#   docker/scratch.sh bin/llem llem-embedded
set -eu
binary=$1 image=$2 client=${CLIENT:-docker}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/files/bin" "$root/files/tmp"
chmod 1777 "$root/files/tmp"
cp "$binary" "$root/files/bin/llem"
cp -L "$(command -v sh)" "$root/files/bin/sh"
for program in "$root/files/bin/llem" "$root/files/bin/sh"; do
  # name => path (address), and the loader as a path alone
  ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'
done | sort -u | while read -r library; do
  mkdir -p "$root/files$(dirname "$library")"
  cp -L "$library" "$root/files$library"
done
printf 'FROM scratch\nCOPY files/ /\n' > "$root/Dockerfile"
"$client" build --quiet --tag "$image" "$root"
