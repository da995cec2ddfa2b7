#!/usr/bin/env bash
# Checks what `make dist` made: packaging/check.sh [DIST].
#
# One version everywhere; man pages without a warning; the deb and the wheel installed in a fresh Debian 11 that has
# neither Go nor a compiler, with the time until the first result; the rpm installed in an empty root; the archives unpacked
# and run, the static one in an empty root; pipx and uv. Installs what it needs from Debian and PyPI; needs root for the fresh Debian
# (packaging/fresh.sh).
set -euo pipefail
here=$(dirname "$(realpath "$0")")
dist=$(realpath "${1:-$here/../dist}")
machine=$(uname -m)
case $machine in x86_64) arch=amd64 ;; *) arch=arm64 ;; esac
work=$(mktemp -d)
fresh=$work/fresh
finish() {
  umount "$fresh/proc" "$fresh/dev" 2> /dev/null || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT
fail() { echo "FAILED: $*"; exit 1; }
step() { printf -- '-- %s (%ss)\n' "$*" "$SECONDS"; }

step "tools"
missing=
for need in lintian:lintian rpm:rpm mandoc:mandoc groff:groff file:file; do
  command -v "${need%%:*}" > /dev/null || missing+=" ${need##*:}"
done
# shellcheck disable=SC2086
[ -z "$missing" ] || { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } > "$work/apt.log" 2>&1 ||
  fail "apt-get install$missing: $(tail -2 "$work/apt.log")"

step "checksums, and one version everywhere"
cd "$dist"
sha256sum --check --quiet SHA256SUMS
deb=$(echo llem_*_"$arch".deb) rpm=$(echo llem-*."$machine".rpm) wheel=$(echo llem-*manylinux*_"$machine".whl)
dynamic=$(ls llem-*-linux-"$arch".tar.gz) static=$(ls llem-*-linux-"$arch"-static.tar.gz) sbom=$(echo llem-*.cdx.json)
mkdir "$work/deb" "$work/rpm" "$work/dynamic" "$work/static"
dpkg-deb -x "$deb" "$work/deb"
in_root() { rpm --root "$work/rpm" "$@" 2> "$work/log" || fail "rpm $*: $(cat "$work/log")"; }
in_root --initdb
in_root --install --nodeps "$rpm" # glibc is not in its database
tar -xzf "$dynamic" -C "$work/dynamic" --strip-components=1
tar -xzf "$static" -C "$work/static" --strip-components=1
version=$("$work/deb/usr/bin/llem" --version)
for program in rpm/usr/bin/llem dynamic/bin/llem static/bin/llem; do
  [ "$("$work/$program" --version)" = "$version" ] || fail "$program is $("$work/$program" --version), not $version"
done
python3 - "$here/../python" "$version" "$(dpkg-deb -f "$deb" Version)" "$(rpm -qp --qf '%{VERSION}' "$rpm")" "$wheel" "$sbom" \
  "$work/dynamic/share/man/man1/llem.1" << 'CHECK'
import json, re, sys, zipfile
path, shown, deb, rpm, wheel, sbom, man = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, path)
import version
stamp = shown.split()[1]
stamp = "v0.0.0-devel" if stamp == "(devel)" else stamp
with zipfile.ZipFile(wheel) as z:
    (metadata,) = (z.read(n).decode() for n in z.namelist() if n.endswith(".dist-info/METADATA"))
got = {
    "deb": deb, "rpm": rpm, "wheel": re.search(r"^Version: (.*)$", metadata, re.M)[1],
    "sbom": json.load(open(sbom))["metadata"]["component"]["version"],
    "man": re.search(r'"llem (v[^"]*)"', open(man).read())[1].replace(r"\-", "-"),
}
want = {"deb": version.debian(stamp), "rpm": version.debian(stamp), "wheel": version.normal(stamp), "sbom": stamp, "man": stamp}
assert got == want, f"{got}, want {want}"
print("  ", stamp, "is", got["deb"], "and", got["wheel"])
CHECK
ls -l "$deb" "$rpm" "$wheel" "$dynamic" "$static" | awk '{printf "   %.1f MB  %s\n", $5 / 1e6, $NF}'

step "workflows"
go build -C "$here/tools" -o "$work/actionlint" github.com/rhysd/actionlint/cmd/actionlint
(cd "$here/.." && "$work/actionlint")

step "man pages and completion"
for page in "$work"/dynamic/share/man/man1/*.1; do
  mandoc -Tlint -Wwarning "$page"
  ! groff -man -ww -z -Tutf8 "$page" 2>&1 | grep . || fail "$page"
  [ "$(gzip -dc "$work/deb/usr/share/man/man1/$(basename "$page").gz" | cksum)" = "$(cksum < "$page")" ] || fail "$page in the deb"
done
"$work/dynamic/bin/llem" --help | sed -n 's/^  \([a-z]\+\)  *[A-Z].*/\1/p' > "$work/commands"
grep -qx run "$work/commands" || fail "the help has no list of commands"
while read -r command; do
  [ -f "$work/dynamic/share/man/man1/llem-$command.1" ] || fail "no man page for $command"
done < "$work/commands"
completed=$(PATH="$work/deb/usr/bin:$PATH" bash -c "source '$work/deb/usr/share/bash-completion/completions/llem'
  _get_comp_words_by_ref() { cur=rep prev=llem words=(llem rep) cword=1; }
  COMP_WORDS=(llem rep) COMP_CWORD=1 COMP_LINE='llem rep' COMP_POINT=8 COMP_TYPE=9; __start_llem 2> /dev/null; echo \"\${COMPREPLY[*]}\"")
[[ $completed == report* ]] || fail "bash completes rep to $completed"

step "the rpm, and the deb by lintian"
in_root --verify --nodeps llem
rpm -qlp "$rpm" > "$work/files"
for want in /usr/bin/llem /usr/share/man/man1/llem-run.1.gz /usr/share/bash-completion/completions/llem \
  /usr/share/zsh/site-functions/_llem /usr/share/fish/vendor_completions.d/llem.fish /usr/share/licenses/llem/LICENSE \
  /usr/share/doc/llem/NOTICES /usr/share/doc/llem/docs/studies.md; do
  grep -qx "$want" "$work/files" || fail "the rpm lacks $want"
done
in_root --erase llem
[ ! -e "$work/rpm/usr/bin/llem" ] && [ ! -e "$work/rpm/usr/share/doc/llem" ] || fail "the rpm leaves files"
! grep -qx -e /usr/bin -e /usr/share -e /usr/share/man/man1 "$work/files" || fail "the rpm owns folders of the distribution"
lintian --fail-on error --suppress-tags hardening-no-pie,unknown-field "$deb" > "$work/log" 2>&1 || fail "$(cat "$work/log")"

step "the static program in an empty root"
file "$work/static/bin/llem" | grep -q 'statically linked' || fail "$(file "$work/static/bin/llem")"
if [ "$(id -u)" = 0 ]; then
  chroot "$work/static" /bin/llem --version > /dev/null
fi

step "pipx and uv"
python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check pipx==1.18.4 uv==0.13.9
export PIPX_HOME="$work/pipx" UV_CACHE_DIR="$work/uv" UV_TOOL_DIR="$work/uv-tools"
[ "$("$work/tools/bin/pipx" run --spec "./$wheel" llem --version 2> "$work/log")" = "$version" ] || fail "pipx: $(cat "$work/log")"
[ "$("$work/tools/bin/uv" tool run --offline --from "./$wheel" llem --version 2> "$work/log")" = "$version" ] || fail "uv: $(cat "$work/log")"

step "processors of each architecture that the compiler knows"
python3 "$here/../python/build_wheel.py" --compiles

[ "$(id -u)" = 0 ] || { echo "SKIPPED: the fresh Debian needs root"; exit 0; }
step "a fresh Debian 11"
mkdir -p "$fresh/proc"
mount -t proc proc "$fresh/proc" 2> "$work/log" || { echo "SKIPPED: the fresh Debian needs mounts: $(cat "$work/log")"; exit 0; }
umount "$fresh/proc"
tar -C "$fresh" -xzf "$("$here/fresh.sh")"
mount -t proc proc "$fresh/proc"
mount --bind /dev "$fresh/dev"
cp "$wheel" "$deb" "$dynamic" SHA256SUMS "$fresh/tmp/"
inside() { chroot "$fresh" env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LC_ALL=C.UTF-8 bash -ec "cd /tmp; $*"; }
for program in go gcc cc c++; do
  ! inside "command -v $program" > /dev/null || fail "the fresh Debian has $program"
done
inside "ldd --version | head -1"
first="llem run -m random:tiny-llama -b embedded -n 2 --input-tokens 16 --output-tokens 8 -s baseline.seconds=0.3 --estimate -q"
start=$(date +%s%N)
inside "pip3 install --quiet --no-index ./$wheel 2> pip.log || { cat pip.log; exit 1; }; $first -o wheel" | head -3
echo "   $((($(date +%s%N) - start) / 1000000)) ms from the wheel to the first result"
inside "python3 - << 'API'
import glob, subprocess, sys, time
start = time.monotonic()
subprocess.run([sys.executable, '-c', 'import llem'], check=True)
imported = time.monotonic() - start
import llem
start = time.monotonic()
study = llem.open(glob.glob('wheel/*')[0])
assert len(study.runs) == 1, study
print(f'   import llem: {imported * 1e3:.0f} ms with the interpreter; llem.open: {(time.monotonic() - start) * 1e3:.0f} ms')
API
pip3 uninstall --quiet --yes llem; [ ! -e /usr/local/bin/llem ]"
inside "dpkg -i ./$deb > dpkg.log || { cat dpkg.log; exit 1; }; $first -o deb > deb.txt; dpkg --purge llem > dpkg.log; [ ! -e /usr/bin/llem ]; [ ! -e /usr/share/doc/llem ]"
step "the commands of docs/install.md, in that Debian"
sed -n '/^```sh$/,/^```$/{/^```/!p}' "$here/../docs/install.md" | sed "s/amd64/$arch/g" > "$fresh/tmp/install.sh"
[ "$(wc -l < "$fresh/tmp/install.sh")" -ge 8 ] || fail "docs/install.md has no commands"
echo 'APT::Get::Assume-Yes "true";' > "$fresh/etc/apt/apt.conf.d/99yes" # who follows the document answers yes
inside "sudo() { \"\$@\"; }; export DEBIAN_FRONTEND=noninteractive; set -x; . ./install.sh" > "$work/log" 2>&1 || fail "$(tail -20 "$work/log")"
step "done"
