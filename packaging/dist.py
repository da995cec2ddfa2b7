#!/usr/bin/env python3
"""Builds everything that a release has, in dist/: `make dist`, or dist.py [--arch x86_64] [--arch aarch64].

For each architecture: the wheel, a tar archive, a deb and an rpm with the same program (with the embedded engine,
for glibc 2.17 and newer), and a tar archive with a static program for any Linux, without that engine and without NVML.
Beside them an SBOM (CycloneDX), and SHA256SUMS. The version is the one that Go left in the program, from the tag or
the commit; times are the commit's. Two builds of one commit have the same bytes (packaging/reproduce.sh).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "python"))
sys.dont_write_bytecode = True

import build_wheel  # noqa: E402
import version as versions  # noqa: E402

BUILD = HERE / ".build"
MACHINES = build_wheel.GO_ARCH  # x86_64: amd64
DOC = "usr/share/doc/llem"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", action="append", choices=sorted(MACHINES), help="default: all")
    parser.add_argument("--dist", type=pathlib.Path, default=ROOT / "dist")
    options = parser.parse_args()
    dist = options.dist.resolve()
    dist.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SOURCE_DATE_EPOCH", commit_time())
    os.umask(0o022)
    shutil.rmtree(BUILD / "stage", ignore_errors=True)
    python, tools = build_wheel.tools(), go_tools()
    made = []
    for arch in options.arch or sorted(MACHINES):
        program, static = build_wheel.compile_program(python, arch), static_program(arch)
        version = versions.stamp(program)
        generated = pages(version, program)
        made.append(build_wheel.pack(python, arch, dist))
        made += archives(arch, version, program, static, generated, dist)
        made += packages(tools, arch, version, program, generated, dist)
    made.append(sbom(tools, version, dist))
    text = "".join(f"{digest(f)}  {f.name}\n" for f in sorted(made))
    (dist / "SHA256SUMS").write_text(text)
    for file in sorted(made):
        print(f"{file.stat().st_size / 1e6:7.1f} MB  {os.path.relpath(file)}")


def commit_time() -> str:
    """Return the time of the commit, in seconds; of a source without one, the time of its change log."""
    got = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return got.stdout.strip() or str(int((ROOT / "CHANGELOG.md").stat().st_mtime))


def epoch() -> int:
    return int(os.environ["SOURCE_DATE_EPOCH"])


def go_tools() -> pathlib.Path:
    """Build the tools of packaging/tools/go.mod and return their folder."""
    folder = BUILD / "tools"
    go("build", "-o", f"{folder}/", "tool", folder=HERE / "tools")
    return folder


def go(*arguments: str, folder: pathlib.Path = ROOT, **environment: str) -> None:
    subprocess.run(["go", *arguments], cwd=folder, check=True,
                   env=dict(os.environ, CGO_ENABLED="0", GOFLAGS="-trimpath", **environment))


def static_program(arch: str) -> pathlib.Path:
    """Compile the program without C and return its path."""
    program = BUILD / arch / "llem"
    go("build", "-buildvcs=auto", "-ldflags=-s -w", "-o", str(program), "./cmd/llem", GOOS="linux",
       GOARCH=MACHINES[arch])
    return program


def pages(version: str, program: pathlib.Path) -> pathlib.Path:
    """Write the man pages, the completion scripts and the notices, and return their folder."""
    folder, command = BUILD / "generated", BUILD / "man"
    shutil.rmtree(folder, ignore_errors=True)
    go("build", "-o", str(command), "./cmd/llem/internal/man")
    day = time.strftime("%Y-%m-%d", time.gmtime(epoch()))
    subprocess.run([command, "-version", version, "-date", day, folder], check=True)
    (folder / "NOTICES").write_text(build_wheel.notices(program))
    return folder


def texts() -> dict[str, pathlib.Path]:
    """Return the documents that archives and packages have, by their name there."""
    files = [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    files += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "examples").rglob("*"))
    return {str(f.relative_to(ROOT)): f for f in files if f.is_file()}


def archives(arch: str, version: str, program: pathlib.Path, static: pathlib.Path, generated: pathlib.Path,
             dist: pathlib.Path) -> list[pathlib.Path]:
    """Make the tar archives: the program in bin, pages and completion scripts in share, documents beside them."""
    files = {"LICENSE": ROOT / "LICENSE", "NOTICES": generated / "NOTICES", **texts()}
    for page in generated.glob("man/*"):
        files[f"share/man/man1/{page.name}"] = page
    for place, script in completions(generated).items():
        files[elsewhere(place).removeprefix("usr/")] = script
    made = []
    for binary, kind in ((program, ""), (static, "-static")):
        name = f"llem-{version.removeprefix('v')}-linux-{MACHINES[arch]}{kind}"
        made.append(dist / f"{name}.tar.gz")
        for old in dist.glob(f"llem-*-linux-{MACHINES[arch]}{kind}.tar.gz"):
            old.unlink()
        made[-1].write_bytes(compressed(tar(name, {"bin/llem": binary, **files})))
    return made


def completions(generated: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return the completion scripts by the place where Debian has them."""
    return {
        "usr/share/bash-completion/completions/llem": generated / "bash" / "llem",
        "usr/share/zsh/vendor-completions/_llem": generated / "zsh" / "_llem",
        "usr/share/fish/vendor_completions.d/llem.fish": generated / "fish" / "llem.fish",
    }


def elsewhere(place: str) -> str:
    """Return the place of a completion script outside Debian."""
    return place.replace("vendor-completions", "site-functions")


def tar(name: str, files: dict[str, pathlib.Path]) -> bytes:
    """Return a tar archive of files in a folder; who built it, where and when leaves no trace."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for place, file in sorted(files.items()):
            entry = tarfile.TarInfo(f"{name}/{place}")
            entry.size, entry.mtime, entry.mode = file.stat().st_size, epoch(), mode(place)
            entry.uname = entry.gname = "root"
            with file.open("rb") as content:
                archive.addfile(entry, content)
    return out.getvalue()


def mode(place: str) -> int:
    return 0o755 if place.endswith("bin/llem") else 0o644


def compressed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


def packages(tools: pathlib.Path, arch: str, version: str, program: pathlib.Path, generated: pathlib.Path,
             dist: pathlib.Path) -> list[pathlib.Path]:
    """Make the deb and the rpm."""
    made = []
    for kind, machine in (("deb", MACHINES[arch]), ("rpm", arch)):
        stage = BUILD / "stage" / arch / kind
        number = versions.debian(version)
        lay(stage, kind, number, program, generated)
        words = dict(arch=MACHINES[arch], version=number, release="1" if kind == "rpm" else "", stage=stage,
                     time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch())))
        config = (HERE / "nfpm.yaml").read_text()
        for word, value in words.items():
            config = config.replace(f"<{word}>", str(value))
        (BUILD / "nfpm.yaml").write_text(config)
        separator = "_" if kind == "deb" else "-"
        for old in dist.glob(f"llem{separator}*{machine}.{kind}"):
            old.unlink()
        in_name = number.replace("~", "-")  # GitHub replaces tildes in the names of a release's files
        file = dist / (f"llem_{in_name}_{machine}.deb" if kind == "deb" else f"llem-{in_name}-1.{machine}.rpm")
        subprocess.run([tools / "nfpm", "package", "-f", BUILD / "nfpm.yaml", "-p", kind, "-t", file], check=True,
                       stdout=subprocess.DEVNULL)
        made.append(file)
    return made


def lay(stage: pathlib.Path, kind: str, version: str, program: pathlib.Path, generated: pathlib.Path) -> None:
    """Lay the files of a package into a folder as they will be installed."""
    files = {"usr/bin/llem": program.read_bytes(), f"{DOC}/NOTICES": (generated / "NOTICES").read_bytes()}
    for page in generated.glob("man/*"):
        files[f"usr/share/man/man1/{page.name}.gz"] = compressed(page.read_bytes())
    for place, script in completions(generated).items():
        files[place if kind == "deb" else elsewhere(place)] = script.read_bytes()
    for name, document in texts().items():
        files[f"{DOC}/{name}"] = document.read_bytes()
    if kind == "deb":
        files[f"{DOC}/changelog.gz"] = compressed(debian_changes(version))
        files[f"{DOC}/copyright"] = (HERE / "copyright").read_bytes()
    else:
        files["usr/share/licenses/llem/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    for place, content in files.items():
        file = stage / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode(place))
    for path in sorted(stage.rglob("*"), reverse=True):
        os.utime(path, (epoch(), epoch()))


def debian_changes(version: str) -> bytes:
    """Return the change log in Debian's form: what changed is in CHANGELOG.md beside it."""
    when = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch()))
    return f"""llem ({version}) unstable; urgency=medium

  * See CHANGELOG.md in this folder.

 -- {maintainer()}  {when}
""".encode()


def maintainer() -> str:
    (line,) = (w for w in (HERE / "nfpm.yaml").read_text().splitlines() if w.startswith("maintainer: "))
    return line.removeprefix("maintainer: ")


def sbom(tools: pathlib.Path, version: str, dist: pathlib.Path) -> pathlib.Path:
    """Write what the program consists of: its Go modules, and what Go does not know."""
    for old in dist.glob("llem-*.cdx.json"):
        old.unlink()
    file = dist / f"llem-{version.removeprefix('v')}.cdx.json"
    subprocess.run([tools / "cyclonedx-gomod", "app", "-json", "-licenses", "-assert-licenses", "-std", "-noserial",
                    "-notimestamp", "-main", "cmd/llem", "-output", file, ROOT], check=True, cwd=ROOT,
                   env=dict(os.environ, CGO_ENABLED="1", GOOS="linux", GOARCH="amd64", GOFLAGS=""),
                   stderr=subprocess.DEVNULL)
    document = json.loads(file.read_text())
    document["metadata"]["component"]["version"] = version
    document["metadata"]["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch()))
    document["components"] += json.loads((HERE / "components.json").read_text())
    file.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return file


def digest(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
