# Sourced by check.sh: docs/tutorial-cluster.md, executed as it is.

# page_commands prints the commands of the document.
page_commands() {
  awk '/^```$/{inside = 0} inside; /^```sh$/{inside = 1}' "$1"
}

# page_wheel PROGRAM FOLDER makes a wheel of the program, as `make wheel` does without the interface for Python.
page_wheel() {
  python3 - "$1" "$2" << 'END'
import base64, hashlib, sys, sysconfig, zipfile
program, folder = sys.argv[1:]
tag = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
files = {"llem-0.data/scripts/llem": open(program, "rb").read(),
         "llem-0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: llem\nVersion: 0\n",
         "llem-0.dist-info/WHEEL": f"Wheel-Version: 1.0\nGenerator: check\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()}
with zipfile.ZipFile(f"{folder}/llem-0-{tag}.whl", "w") as wheel:
    record = ""
    for name, data in files.items():
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o100755 << 16
        wheel.writestr(info, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    wheel.writestr("llem-0.dist-info/RECORD", record + "llem-0.dist-info/RECORD,,\n")
END
}

# page_check DOCUMENT PROGRAM FOLDER executes the page in an empty home, and checks what it leaves.
page_check() {
  local document=$1 program=$2 home=$3 commands
  mkdir -p "$home"
  page_wheel "$program" "$home"
  page_commands "$document" > "$home/page.sh"
  commands=$(grep -c -E 'llem (run|submit|report|config)' "$home/page.sh" || true)
  [ "$commands" -ge 10 ] || { echo "only $commands commands in $document"; return 1; }
  python3 -c 'import ensurepip' 2> /dev/null || apt-get install -qq -y --no-install-recommends python3-venv > /dev/null
  (cd "$home" && env -u XDG_CONFIG_HOME -u LLEM_CONFIG -u LLEM_RESULTS HOME="$home" LLEM_CACHE="$home/cache" \
    PIP_DISABLE_PIP_VERSION_CHECK=1 bash -euo pipefail -v page.sh > page.out 2>&1) || {
    tail -n 40 "$home/page.out"; tail -n 20 "$home"/results/*/jobs/*.out; echo "a command of $document failed"; return 1; }
  local want
  for want in '^8 runs; no estimate' 'workers? (running|waiting)' '^8 of 8 runs' 'batches: 8 of 8 runs ok' \
    '^2 workers · .* runs/h' '^  worker +runs +time' '^cancelled: slurm'; do
    grep -q -E "$want" "$home/page.out" || { cat "$home/page.out"; echo "the page does not print $want"; return 1; }
  done
  [ -s "$home/report.html" ] || { echo "no report.html"; return 1; }
}
