"""The energy counter of GPU 0, for meter.py; as a program: notes its changes in a file until the parent ends.

    python3 bench/device/counter.py FILE
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Dict, List, Tuple


class Board:
    """The energy counter of GPU 0."""

    def __init__(self) -> None:
        self.lib = ctypes.CDLL(os.environ.get("LLEM_NVML_LIBRARY") or "libnvidia-ml.so.1")
        self.device = ctypes.c_void_p()
        if self.lib.nvmlInit_v2() or self.lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self.device)):
            raise SystemExit("NVML cannot be read")

    def millijoules(self) -> int:
        value = ctypes.c_ulonglong()
        if self.lib.nvmlDeviceGetTotalEnergyConsumption(self.device, ctypes.byref(value)):
            raise SystemExit("the energy counter cannot be read")
        return value.value

    def edge(self) -> Tuple[float, float]:
        """Wait for a change of the counter: its time in seconds, and joules."""
        old, before = self.millijoules(), time.monotonic()
        while True:
            value, now = self.millijoules(), time.monotonic()
            if value != old:
                return (before + now) / 2, value / 1e3
            before = now
            if now - before > 2:
                raise SystemExit("the energy counter does not change")


def watch(path: str) -> None:
    """Note the changes of the counter until the parent ends."""
    board, parent = Board(), os.getppid()
    value, before = board.millijoules(), time.monotonic()
    with open(path, "w", encoding="ascii", buffering=1) as file:
        while os.getppid() == parent:
            time.sleep(1e-3)
            found, now = board.millijoules(), time.monotonic()
            if found != value:
                value = found
                file.write(f"{(before + now) / 2:.6f} {value / 1e3:.3f}\n")
            before = now


def around(changes: List[Tuple[float, float]], began: float, ended: float) -> Dict[str, float]:
    """The joules of a window by changes of the counter outside of it."""
    def slope(low: float, high: float) -> float:
        (t0, e0), *_, (t1, e1) = [c for c in changes if low <= c[0] <= high]
        return (e1 - e0) / (t1 - t0)

    before, after = slope(began - 0.9, began), slope(ended + 0.15, ended + 0.9)
    t0, e0 = [c for c in changes if c[0] < began][-2]
    t1, e1 = [c for c in changes if c[0] > ended + 0.15][0]
    return {"counter_j": e1 - e0 - before * (began - t0) - after * (t1 - ended), "idle_before_w": before,
            "idle_after_w": after, "outside_s": t1 - t0 - (ended - began)}


if __name__ == "__main__":
    watch(sys.argv[1])
