"""How one GPU's power sensors see a load whose edges are known.

A load of bf16 matrix products is switched on and off by a schedule. Meanwhile a
second process reads the driver's ring of power samples, POWER_INSTANT and the
energy counter through libnvidia-ml. Everything is stamped in nanoseconds of
CLOCK_MONOTONIC. Raw data go to $OUT/kernel.json.gz, a table to standard output:

    OUT=/tmp/out python3 bench/device/kernel.py [--seconds-scale 1.0]
"""

from __future__ import annotations

import argparse
import bisect
import ctypes
import gzip
import json
import multiprocessing
import os
import random
import statistics
import time

TOTAL_POWER_SAMPLES = 0
POWER_INSTANT = 186


class Sample(ctypes.Structure):
    """nvmlSample_t."""

    _fields_ = [("stamp", ctypes.c_ulonglong), ("value", ctypes.c_ulonglong)]


class Field(ctypes.Structure):
    """nvmlFieldValue_t."""

    _fields_ = [
        ("field", ctypes.c_uint),
        ("scope", ctypes.c_uint),
        ("stamp", ctypes.c_longlong),
        ("latency", ctypes.c_longlong),
        ("kind", ctypes.c_int),
        ("status", ctypes.c_int),
        ("value", ctypes.c_ulonglong),
    ]


class Nvml:
    """The few calls that are needed, for GPU 0."""

    def __init__(self) -> None:
        self.lib = ctypes.CDLL("libnvidia-ml.so.1")
        self.check(self.lib.nvmlInit_v2())
        self.device = ctypes.c_void_p()
        self.check(self.lib.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self.device)))

    @staticmethod
    def check(status: int) -> None:
        if status:
            raise OSError(f"nvml status {status}")

    def energy(self) -> int:
        """Millijoules since the driver was loaded."""
        value = ctypes.c_ulonglong()
        self.check(self.lib.nvmlDeviceGetTotalEnergyConsumption(self.device, ctypes.byref(value)))
        return value.value

    def instant(self) -> int:
        """Milliwatts."""
        field = Field(field=POWER_INSTANT)
        self.check(self.lib.nvmlDeviceGetFieldValues(self.device, 1, ctypes.byref(field)))
        return field.value & 0xFFFFFFFF

    def ring(self, after_us: int) -> list[tuple[int, int]]:
        """Entries of the ring with a later stamp: (µs of the wall clock, mW)."""
        kind, count = ctypes.c_int(), ctypes.c_uint(0)
        status = self.lib.nvmlDeviceGetSamples(
            self.device,
            TOTAL_POWER_SAMPLES,
            ctypes.c_ulonglong(after_us),
            ctypes.byref(kind),
            ctypes.byref(count),
            None,
        )
        if status in (6, 21) or count.value == 0:
            return []
        self.check(status)
        buffer = (Sample * count.value)()
        status = self.lib.nvmlDeviceGetSamples(
            self.device,
            TOTAL_POWER_SAMPLES,
            ctypes.c_ulonglong(after_us),
            ctypes.byref(kind),
            ctypes.byref(count),
            buffer,
        )
        if status in (6, 21):
            return []
        self.check(status)
        return [(s.stamp, s.value & 0xFFFFFFFF) for s in buffer[: count.value] if s.stamp > after_us]


def offset() -> tuple[int, int]:
    """Wall clock minus CLOCK_MONOTONIC in ns, and the width of the reading."""
    best = None
    for _ in range(5):
        a, wall, b = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if best is None or b - a < best[1]:
            best = (wall - (a + b) // 2, b - a)
    return best


def sample(pipe, counter_hz) -> None:
    """The second process: samples until told to stop. counter_hz is shared."""
    nvml = Nvml()
    ring, instant, counter, offsets = [], [], [], []
    last_ring, last_value, last_poll = int(time.time() * 1e6), None, time.monotonic_ns()
    next_ring = next_counter = next_instant = time.monotonic_ns()
    while not pipe.poll():
        now = time.monotonic_ns()
        if now >= next_instant:
            value = nvml.instant()
            seen = time.monotonic_ns()
            if value != last_value:
                instant.append((last_poll, seen, value))
                last_value = value
            last_poll = now
            next_instant = now + 4_000_000
        if now >= next_counter:
            a = time.monotonic_ns()
            value = nvml.energy()
            counter.append((a, time.monotonic_ns(), value))
            next_counter = now + int(1e9 / counter_hz.value)
        if now >= next_ring:
            o = offset()
            offsets.append((now, *o))
            for stamp, value in sorted(nvml.ring(last_ring)):
                last_ring = max(last_ring, stamp)
                ring.append((stamp * 1000 - o[0], value))
            next_ring = now + 1_000_000_000
        time.sleep(max(0, min(next_instant, next_counter, next_ring) - time.monotonic_ns()) / 1e9)
    time.sleep(0.2)
    o = offset()
    for stamp, value in sorted(nvml.ring(last_ring)):
        ring.append((stamp * 1000 - o[0], value))
    pipe.send({"ring": ring, "instant": instant, "counter": counter, "offsets": offsets})


class Load:
    """Matrix products, switched by the host's clock."""

    def __init__(self) -> None:
        import torch

        self.torch = torch
        self.a = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
        self.out = torch.empty_like(self.a)
        self.burn(0.5)

    def burn(self, seconds: float) -> tuple[int, int]:
        """Keep the GPU busy; returns the first and the last instant of it."""
        torch = self.torch
        torch.cuda.synchronize()
        start = time.monotonic_ns()
        end = start + int(seconds * 1e9)
        events = []
        while time.monotonic_ns() < end:
            for _ in range(2):
                torch.mm(self.a, self.a, out=self.out)
            event = torch.cuda.Event()
            event.record()
            events.append(event)
            if len(events) > 3:  # a short queue: the end stays near
                events.pop(0).synchronize()
        torch.cuda.synchronize()
        return start, time.monotonic_ns()

    def train(self, pulses) -> list[tuple[int, int]]:
        """Pulses of (on, off) seconds. The pause ends by the clock, not by sleep."""
        edges = []
        for on, off in pulses:
            edges.append(self.burn(on))
            until = edges[-1][1] + int(off * 1e9)
            if off > 0.002:
                time.sleep(off - 0.0015)
            while time.monotonic_ns() < until:
                pass
        return edges


def step_joules(series: list[tuple[int, int]], start: int, end: int) -> float:
    """Integral of a series whose values stand for the time before their stamps."""
    times = [t for t, _ in series]
    total, at = 0.0, start
    for i in range(bisect.bisect_right(times, start), len(series)):
        upto = min(times[i], end)
        total += (upto - at) / 1e9 * series[i][1] / 1e3
        at = upto
        if at >= end:
            break
    return total


def snapped(counter, start: int, end: int):
    """The counter's energy between its first changes after start and after end."""
    found = []
    for t in (start, end):
        for before, now in zip(counter, counter[1:]):
            if before[0] >= t and now[2] != before[2]:
                found.append(((before[0] + now[1]) // 2, now[2], now[1] - before[0]))
                break
    if len(found) < 2:
        return None
    (t0, e0, w0), (t1, e1, w1) = found
    return t0, t1, (e1 - e0) / 1e3, (w0 + w1) / 2e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds-scale", type=float, default=1.0)
    scale = parser.parse_args().seconds_scale
    here, there = multiprocessing.get_context("spawn").Pipe()
    counter_hz = multiprocessing.get_context("spawn").Value("d", 20.0)
    child = multiprocessing.get_context("spawn").Process(target=sample, args=(there, counter_hz), daemon=True)
    child.start()
    load, rng = Load(), random.Random(1)
    time.sleep(2)
    blocks = []

    def block(name, pulses, hz=20.0):
        counter_hz.value = hz
        time.sleep(1.2)
        start = time.monotonic_ns()
        edges = load.train(pulses)
        end = time.monotonic_ns()
        blocks.append({"name": name, "start": start, "end": end, "edges": edges, "counter_hz": hz})
        time.sleep(0.5)

    def idle(name, seconds):
        counter_hz.value = 20.0
        start = time.monotonic_ns()
        time.sleep(seconds)
        blocks.append({"name": name, "start": start, "end": time.monotonic_ns(), "edges": [], "counter_hz": 20})

    idle("idle", 8 * scale)
    block("steady", [(20 * scale, 0)])
    block("random 15-300 ms", [(rng.uniform(0.015, 0.3), rng.uniform(0.015, 0.3)) for _ in range(int(110 * scale))])
    block("30/30 ms", [(0.03, 0.03)] * int(330 * scale))
    block("50/50 ms", [(0.05, 0.05)] * int(200 * scale))
    block("random 5-40 ms", [(rng.uniform(0.005, 0.04), rng.uniform(0.01, 0.06)) for _ in range(int(300 * scale))])
    block("counter at 1 Hz", [(8 * scale, 0)], 1.0)
    block("counter at 100 Hz", [(8 * scale, 0)], 100.0)
    # A quarter of 100 ms on, its phase drifting slowly through the counter's period.
    block("25/75.5 ms", [(0.025, 0.0755)] * int(200 * scale))
    time.sleep(2.5)
    here.send("stop")
    data = here.recv()
    data["blocks"] = blocks
    out = os.environ.get("OUT", ".")
    os.makedirs(out, exist_ok=True)
    with gzip.open(os.path.join(out, "kernel.json.gz"), "wt") as f:
        json.dump(data, f, separators=(",", ":"))

    ring, counter = sorted(data["ring"]), data["counter"]
    gaps = [b[0] - a[0] for a, b in zip(ring, ring[1:])]
    print(
        f"ring: {len(ring)} entries, spacing median {statistics.median(gaps) / 1e6:.2f} ms, "
        f"longest {max(gaps) / 1e6:.1f} ms"
    )
    reads = [b - a for a, b, _ in counter]
    print(f"counter: {len(counter)} reads, median {statistics.median(reads) / 1e6:.2f} ms a read")
    print("| block | seconds | counter J | ring J | ring vs counter | edge ms |")
    for b in blocks:
        s = snapped(counter, b["start"], b["end"] - 300_000_000 if b["name"] in ("idle", "steady") else b["end"])
        if s is None:
            print(f"| {b['name']} | no counter edges |")
            continue
        t0, t1, joules, width = s
        series = step_joules(ring, t0, t1)
        print(
            f"| {b['name']} | {(t1 - t0) / 1e9:.2f} | {joules:.1f} | {series:.1f} | "
            f"{100 * (series / joules - 1):+.2f} % | {width:.0f} |"
        )
    for name in ("random 15-300 ms", "random 5-40 ms"):
        profile(name, next(b for b in blocks if b["name"] == name), ring)


def profile(name, b, ring) -> None:
    """Mean ring value by the time since the last edge."""
    for label, which in (("after on", 0), ("after off", 1)):
        marks = sorted((e[which], e[1 - which]) for e in b["edges"])
        bins: dict[int, list[float]] = {}
        starts = [m[0] for m in marks]
        others = sorted(e[1 - which] for e in b["edges"])
        for t, mw in ring:
            i = bisect.bisect_right(starts, t) - 1
            if i < 0:
                continue
            since = (t - starts[i]) / 1e6
            k = bisect.bisect_right(others, starts[i])
            # Only where the state has not changed again in between.
            if since < 60 and (k == len(others) or others[k] > t):
                bins.setdefault(int(since // 3), []).append(mw / 1e3)
        print(
            f"{name}, {label}: "
            + " ".join(f"{3 * k}:{statistics.mean(v):.0f}({len(v)})" for k, v in sorted(bins.items()))
        )


if __name__ == "__main__":
    main()
