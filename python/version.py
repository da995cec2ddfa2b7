"""The version of the wheel and of packages, from the stamp that Go left in the program."""

import pathlib
import re
import subprocess


def version() -> str:
    """Return the version of .build/llem in the form of PEP 440."""
    return normal(stamp(pathlib.Path(__file__).parent / ".build" / "llem"))


def stamp(program: pathlib.Path) -> str:
    """Return the version of a program in Go's form: v1.2.3, v1.2.4-0.20261129090000-0123456789ab or (devel)."""
    text = subprocess.run(["go", "version", "-m", program], check=True, capture_output=True, text=True).stdout
    (module,) = (line.split()[2] for line in text.splitlines() if line.split()[:1] == ["mod"])
    return module if module != "(devel)" else "v0.0.0-devel"


def normal(text: str) -> str:
    """Convert a version of Go's to the form of PEP 440."""
    number, before, commit = parts(text)
    return number + before.replace("dev.", ".dev") + (f"+{commit}" if commit else "")


def debian(text: str) -> str:
    """Convert a version of Go's to the form of debs and rpms, where what precedes a release follows a tilde."""
    number, before, commit = parts(text)
    return number + (f"~{before.replace('dev.', 'dev')}" if before else "") + (f"+{commit}" if commit else "")


def parts(text: str) -> "tuple[str, str, str]":
    """Divide a version of Go's into the number of the release, what precedes it (rc1, dev.TIME), and the commit."""
    dirty = ".dirty" if text.endswith("+dirty") else ""
    pseudo = re.search(r"v(\d+\.\d+\.\d+)-(?:(?:0|rc\.?\d+\.0)\.)?(\d{14})-([0-9a-f]{12})", text)
    if pseudo:
        return pseudo[1], f"dev.{pseudo[2]}", f"g{pseudo[3]}{dirty}"
    release = re.search(r"v(\d+\.\d+\.\d+)(?:-rc\.?(\d+))?(\+|$)", text)
    if release:
        return release[1], f"rc{release[2]}" if release[2] else "", dirty.lstrip(".")
    return "0.0.0", "dev.0", ""
