"""The version of the wheel, from the stamp that Go left in the program."""

import pathlib
import re
import subprocess


def version() -> str:
    """Return the version of .build/llem in the form of PEP 440."""
    program = pathlib.Path(__file__).parent / ".build" / "llem"
    text = subprocess.run(["go", "version", "-m", program], check=True, capture_output=True, text=True).stdout
    (module,) = (line.split()[2] for line in text.splitlines() if line.split()[:1] == ["mod"])
    return normal(module)


def normal(text: str) -> str:
    """Convert a version of Go's: v1.2.3, v1.2.4-0.20261129090000-0123456789ab or (devel)."""
    pseudo = re.search(r"v(\d+\.\d+\.\d+)-(?:0\.)?(\d{14})-([0-9a-f]{12})", text)
    if pseudo:
        return f"{pseudo[1]}.dev{pseudo[2]}+g{pseudo[3]}"
    release = re.search(r"v(\d+\.\d+\.\d+)(?:-rc\.?(\d+))?", text)
    if release:
        return release[1] + (f"rc{release[2]}" if release[2] else "")
    return "0.0.0.dev0"
