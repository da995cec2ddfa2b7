"""The process of a worker: its descriptors, its signals and its memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

COMMANDS_FD = 3
REPLIES_FD = 4
PR_SET_PDEATHSIG = 1


def begin(*descriptors: int) -> None:
    """Keep the protocol's descriptors private and standard output harmless.

    This comes before any other import: libraries print to standard output while they
    are imported.
    """
    try:
        for fd in descriptors or (COMMANDS_FD, REPLIES_FD):
            os.set_inheritable(fd, False)
    except OSError:
        sys.exit("this program is a part of llem: it expects commands on descriptor 3")
    os.dup2(2, 1)
    # A terminal's Ctrl-C is the parent's to interpret.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def reset_peak_memory() -> None:
    """Start a new peak of this process: proc_pid_clear_refs(5)."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak_memory() -> tuple[int, str]:
    """The peak of this process since the reset in bytes, and its source."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024, "VmHWM"
    return 0, ""


def driver_version() -> str | None:
    """The version of the NVIDIA kernel driver, if one is loaded."""
    try:
        with open("/sys/module/nvidia/version", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None
