#!/usr/bin/env python3
"""Builds the wheel: `make wheel`, or build_wheel.py [--arch x86_64|aarch64].

The C++ of the embedded engine is compiled by zig against glibc 2.17, so that the wheel runs on every Linux since 2014
(manylinux2014), whatever the machine on which it is built. The result is in dist/.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TOOLS = ["ziglang==0.17.1", "hatchling==1.33.0", "auditwheel==6.8.2"]
GLIBC = "2.17"
PLATFORM = "manylinux_2_17_{arch}.manylinux2014_{arch}"
GO_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
#: Processors of 2013 and newer; of 2018 and newer for ARM: Graviton2, Altra, Grace.
CPU = {"x86_64": "x86_64_v3", "aarch64": "generic+v8_2a+fullfp16+dotprod"}
LARGEST = 25 << 20  # bytes
LICENSE = re.compile(r"(?i)(un)?licen[cs]e|copying|notice|patents")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=sorted(GO_ARCH), default=os.uname().machine)
    parser.add_argument("--compiles", action="store_true",
                        help="only compile an empty program for each architecture, which shows that zig knows its name")
    parser.add_argument("--dist", type=pathlib.Path, default=ROOT / "dist")
    options = parser.parse_args()
    python = tools()
    if options.compiles:
        return compile_nothing(python)
    compile_program(python, options.arch)
    print(pack(python, options.arch, options.dist))


def tools() -> str:
    """Return an interpreter that has the tools."""
    venv = pathlib.Path(os.environ.get("LLEM_WHEEL_VENV") or HERE / ".build" / "venv")
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    have = subprocess.run([python, "-m", "pip", "freeze", "--disable-pip-version-check"], check=True,
                          capture_output=True, text=True).stdout.split()
    if not set(TOOLS) <= set(have):
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *TOOLS], check=True)
    return str(python)


def target_of(arch: str) -> str:
    """Return the arguments by which zig compiles for an architecture."""
    return f"-target {arch}-linux-gnu.{GLIBC} -mcpu={CPU[arch]}"


def compile_nothing(python: str) -> None:
    """Compile an empty program for each architecture."""
    with tempfile.TemporaryDirectory() as folder:
        for arch in GO_ARCH:
            subprocess.run([python, "-m", "ziglang", "c++", *target_of(arch).split(), "-c", "-x", "c++", "/dev/null",
                            "-o", f"{folder}/{arch}.o"], check=True)


def compile_program(python: str, arch: str) -> pathlib.Path:
    """Compile the program and return its path."""
    program = HERE / ".build" / arch / "llem"
    target = target_of(arch)
    optimise = "-O3 -Wno-deprecated-declarations -Wno-stringop-overflow -Wno-unknown-warning-option"
    # Compiler and linker have no folder: Go's identity of what it builds contains their names.
    zig = "python -m ziglang"
    environment = dict(
        os.environ, CGO_ENABLED="1", GOOS="linux", GOARCH=GO_ARCH[arch], GOFLAGS="-trimpath",
        CC=f"{zig} cc {target}", CXX=f"{zig} c++ {target}", CGO_CFLAGS=optimise, CGO_CXXFLAGS=optimise,
        LLEM_ZIG=zig, LLEM_ZIG_TARGET=target,
        PATH=os.pathsep.join([str(pathlib.Path(python).parent), str(HERE), os.environ["PATH"]]),
    )
    subprocess.run(
        ["go", "build", "-buildvcs=auto", "-ldflags=-s -w -extld zig_linker.py", "-o", program, "./cmd/llem"],
        cwd=ROOT, env=environment, check=True,
    )
    return program


def notices(program: pathlib.Path) -> str:
    """Return the licenses of everything that is linked into a program, as they ask for."""
    text = subprocess.run(["go", "version", "-m", program], check=True, capture_output=True, text=True).stdout
    modules = [f"{w[1]}@{w[2]}" for w in (line.split() for line in text.splitlines()) if w[:1] == ["dep"]]
    listed = subprocess.run(["go", "list", "-m", "-f", "{{.Path}} {{.Version}}\t{{.Dir}}",
                             *(m.split("@")[0] for m in modules)], cwd=ROOT, check=True, capture_output=True, text=True)
    folders = dict(line.split("\t") for line in listed.stdout.splitlines())
    root = subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True).stdout.strip()
    folders["Go's standard library"] = root
    out = ["The program contains what follows, with its licenses.\n"]
    for name, folder in sorted(folders.items()):
        files = sorted(f for f in pathlib.Path(folder).iterdir() if LICENSE.match(f.name) and f.is_file())
        if not files:
            sys.exit(f"{name} has no license in {folder}")
        for file in files:
            out.append(f"{'=' * 70}\n{name}: {file.name}\n\n{file.read_text(errors='replace').strip()}\n")
    out.append((HERE / "libcxx.txt").read_text())
    return "\n".join(out)


def pack(python: str, arch: str, dist: pathlib.Path) -> pathlib.Path:
    """Make the wheel of the program and check it."""
    program = shutil.copy2(HERE / ".build" / arch / "llem", HERE / ".build" / "llem")
    shutil.copy2(ROOT / "LICENSE", HERE / ".build" / "LICENSE")
    (HERE / ".build" / "NOTICES").write_text(notices(program))
    platform = PLATFORM.format(arch=arch)
    environment = dict(os.environ, LLEM_WHEEL_PLATFORM=platform)
    for old in dist.glob("*.whl"):
        if platform in old.name:
            old.unlink()
    subprocess.run([python, "-m", "hatchling", "build", "-t", "wheel", "-d", dist], cwd=HERE, env=environment,
                   check=True, stdout=subprocess.DEVNULL)
    (wheel,) = (w for w in dist.glob("*.whl") if platform in w.name)
    shown = subprocess.run([python, "-m", "auditwheel", "show", wheel], check=True, capture_output=True,
                           text=True).stdout
    if f"manylinux_2_17_{arch}" not in shown:
        sys.exit(f"{wheel} needs a newer system than manylinux2014:\n{shown}")
    if wheel.stat().st_size > LARGEST:
        sys.exit(f"{wheel} has {wheel.stat().st_size >> 20} MiB, more than {LARGEST >> 20}")
    return wheel


if __name__ == "__main__":
    main()
