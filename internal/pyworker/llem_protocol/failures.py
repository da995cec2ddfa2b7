"""Failures that a user can act on."""

from __future__ import annotations

import errno
import sys


class Failure(Exception):
    """An error with a class of the result format and the next step for the user."""

    def __init__(self, failure_class: str, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.failure_class = failure_class
        self.message = message
        self.next_step = next_step

    def as_reply(self) -> dict:
        """The failure in the form of the protocol."""
        return {"class": self.failure_class, "message": self.message, "next": self.next_step}


def needs_restart(message: str) -> Failure:
    """A running engine was given settings that it reads only at its start."""
    return Failure("config", message, "start the engine again")


class Cancelled(Exception):
    """The parent asked to stop."""


def from_exception(exc: BaseException) -> Failure:
    """Turn any exception into a failure, keeping its type and text."""
    if isinstance(exc, Failure):
        return exc
    if isinstance(exc, ModuleNotFoundError):
        return missing_module(exc)
    text = shorten(f"{type(exc).__name__}: {exc}".strip())
    if isinstance(exc, MemoryError):
        return Failure("oom_host", "out of memory: " + text, "use a smaller model, dtype or batch size")
    if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:
        return Failure("disk_full", text, "free some space and run again")
    return Failure("engine_error", text, "the full traceback is in the engine log")


def missing_module(exc: ModuleNotFoundError) -> Failure:
    """A Python module is not there."""
    name = (exc.name or "a module").split(".")[0]
    return Failure(
        "not_installed",
        f"{sys.executable} has no module {name}",
        f"{sys.executable} -m pip install {name}",
    )


def shorten(text: str, limit: int = 500) -> str:
    """One line of at most limit characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
