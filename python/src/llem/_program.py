"""The program: found, started, and its errors."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sysconfig
from typing import Any, Dict, List, Optional


class LlemError(Exception):
    """What `llem` refused to do: the message, the next step, and the class of the failure.

    `code` is the exit code of the program: 1 a run failed, 2 a mistake in the configuration, 130 interrupted.
    """

    def __init__(self, message: str, next: str = "", class_: str = "", code: int = 1) -> None:
        super().__init__(message + (f"\n  next: {next}" if next else ""))
        self.message = message
        self.next = next
        self.class_ = class_
        self.code = code
        #: The study, where the program ended with results.
        self.study: Any = None


def program() -> str:
    """Return the path of the program.

    It is `$LLEM_PROGRAM`, or `llem` in the scripts folder of this Python, or the one on PATH.
    """
    chosen = os.environ.get("LLEM_PROGRAM")
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise LlemError(
                f"LLEM_PROGRAM is {chosen}, which is not a program", "unset it, or give the path of llem", code=2
            )
        return chosen
    for folder in (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")):
        path = os.path.join(folder, "llem")
        if os.access(path, os.X_OK):
            return path
    found = shutil.which("llem")
    if found:
        return found
    raise LlemError(
        "the program llem is not installed beside this package",
        "pip install --force-reinstall llem, or set LLEM_PROGRAM to its path",
        code=2,
    )


#: The next step where the program does not fit the machine.
ANOTHER = (
    "the wheel is for another platform: pip install --force-reinstall llem; or install the static archive or build "
    "llem from source (docs/install.md), and set LLEM_PROGRAM to its path"
)


def start(arguments: List[str], **options: Any) -> "subprocess.Popen[str]":
    """Start the program."""
    path = program()
    try:
        return subprocess.Popen([path, *arguments], text=True, **options)
    except OSError as err:
        reason = err.strerror
        if err.errno == errno.ENOENT and os.path.exists(path):
            reason = "the loader of its glibc is missing"  # as on Alpine, which has musl
        raise LlemError(f"{path} does not run on this machine: {reason}", ANOTHER, code=2) from err


def ask(arguments: List[str]) -> str:
    """Run a command of the program and return its output."""
    with start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        out, err = child.communicate()
    check(child.returncode, out, err)
    return out


def ask_json(arguments: List[str]) -> Dict[str, Any]:
    """Run a command that prints one JSON document, and return that."""
    document: Dict[str, Any] = json.loads(ask([*arguments, "--json"]))
    return document


#: What the loader prints where a library is missing or too old.
UNLINKED = re.compile(r"error while loading shared libraries|version `\w+_[\d.]+' not found")


def check(code: Optional[int], out: str, err: str) -> None:
    """Raise the error that a command printed as JSON, or else as text."""
    if code == 0:
        return
    try:
        document = json.loads(out)
        error = document["error"]
    except (ValueError, KeyError, TypeError):
        lines = [line for line in err.splitlines() if line.strip()]
        if lines and UNLINKED.search(lines[0]):
            raise LlemError(f"the program does not run on this machine: {lines[0]}", ANOTHER, code=2) from None
        message = "\n".join(lines) if lines else f"llem ended with code {code}"
        raise LlemError(message.removeprefix("llem: "), code=code or 1) from None
    message, step = error["message"], error.get("next", "")
    mistakes = document.get("mistakes") or []
    if mistakes:
        message = "; ".join(f"{m['source']}: {m['message']}" if m.get("source") else m["message"] for m in mistakes)
        step = step or mistakes[0].get("hint") or mistakes[0].get("next") or ""
    raise LlemError(message, step, error.get("class", ""), code or 1)


def version() -> str:
    """Return the version of the program."""
    return ask(["--version"]).strip().split(" ", 1)[1]
