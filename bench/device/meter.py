"""llem.measure() beside Zeus and CodeCarbon: the same loads, windows of 1, 5 and 30 s, and what each tool costs.

The truth about a window is computed without any of the tools: a load runs for a long time without a pause, and the
board's energy counter (NVML) is read at two of its changes far apart. Their difference, by the time that an iteration
takes, is the energy of an iteration; a window is a fixed number of iterations between idle times. Windows begin at any
phase of the counter. The tools take turns, each with the defaults of its makers.

After a pause the board may work at another clock and temperature than in the long run, so each window has a second
truth: a process of its own notes all changes of the counter, and the difference of one before and one after the window
is taken, less the idle power of the time between them and the window.

    OUT=/tmp/out python3 bench/device/meter.py [--windows 1,5,30] [--repeats 8,2,1] [--load sleep]

Raw numbers go to $OUT/meter.json, a table to standard output. LOAD sleep does nothing: a test of this program with an
imitated driver.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import random
import statistics
import subprocess
import sys
import time
import traceback
from typing import Any, Callable, Dict, List, Tuple

import counter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python", "src"))
os.environ.setdefault("CODECARBON_LOG_LEVEL", "error")


class Sleep:
    """A load that does nothing: an iteration is a millisecond."""

    name = "sleep"

    def __init__(self) -> None:
        self.free = 0.0

    def launch(self, n: int) -> None:
        self.free = max(self.free, time.monotonic()) + n * 1e-3

    def mark(self) -> Any:
        return self.free

    def wait(self, mark: Any) -> None:
        time.sleep(max(0, mark - time.monotonic()))

    def seconds(self, a: Any, b: Any) -> float:
        return float(b - a)

    def sync(self) -> None:
        self.wait(self.free)


class Torch:
    """A load on GPU 0: products of matrices, or the memory alone."""

    def __init__(self, name: str) -> None:
        import torch

        self.torch, self.name = torch, name
        torch.cuda.set_device(0)
        if name == "matmul":
            a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
            b = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
            out = torch.empty_like(a)
            self.work: Callable[[], object] = lambda: torch.matmul(a, b, out=out)
        else:
            x = torch.zeros(1 << 30, device="cuda", dtype=torch.float32)
            self.work = lambda: x.add_(1)

    def launch(self, n: int) -> None:
        for _ in range(n):
            self.work()

    def mark(self) -> Any:
        event = self.torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def wait(self, mark: Any) -> None:
        mark.synchronize()

    def seconds(self, a: Any, b: Any) -> float:
        return float(a.elapsed_time(b)) / 1e3

    def sync(self) -> None:
        self.torch.cuda.synchronize()


def iteration(load: Any, n: int = 100) -> float:
    """The seconds of an iteration, roughly."""
    load.launch(n)
    a = load.mark()
    load.launch(n)
    b = load.mark()
    load.wait(b)
    return float(load.seconds(a, b)) / n


def truth(board: counter.Board, load: Any, seconds: float) -> Dict[str, float]:
    """Joules and seconds of an iteration, from a long time without a pause."""
    block = max(1, round(0.05 / iteration(load)))
    queue: List[Any] = []

    def keep(ahead: int) -> Any:
        load.launch(block)
        queue.append(load.mark())
        if len(queue) > ahead:
            load.wait(queue[-ahead - 1])
        return queue[-1]

    def run(until: float, ahead: int) -> None:
        while time.monotonic() < until:
            keep(ahead)

    now = time.monotonic()
    run(now + 3, 4)
    for _ in range(8):  # enough for the time of an edge
        keep(40)
    (t0, e0), first = board.edge(), queue[-1]
    run(now + seconds, 4)
    for _ in range(8):
        last = keep(40)
    t1, e1 = board.edge()
    load.wait(last)
    blocks = len(queue) - 1 - queue.index(first)
    each = load.seconds(first, last) / blocks / block
    load.sync()
    return {"watts": (e1 - e0) / (t1 - t0), "iteration_s": each, "iteration_j": (e1 - e0) / (t1 - t0) * each,
            "over_s": t1 - t0}


# A tool measures a block and returns joules; and more that it knows.
Work = Callable[[], None]


class Llem:
    name = "llem"

    def __init__(self, torch: bool) -> None:
        import llem

        self.llem = llem
        self.meter = llem.measure(gpus="0", baseline=0, output=os.path.join(os.environ["OUT"], "results"),
                                  sources="nvml")
        self.version = llem.version()

    def measure(self, work: Work) -> Dict[str, Any]:
        with self.meter as m:
            work()
        low, high = m.interval or (0.0, 0.0)
        return {"joules": m.energy_j, "half95": (high - low) / 2, "reason": m.reason, "warnings": m.warnings,
                "own_cpu_s": m.result["harness"]["cpu_s"], "run": m.windows[-1].name}

    def pid(self) -> int:
        return int(self.meter._child._process.pid) if self.meter._child else 0

    def close(self) -> None:
        self.meter.close()


class Zeus:
    name = "Zeus"

    def __init__(self, torch: bool) -> None:
        from zeus.monitor import ZeusMonitor

        self.sync = torch
        self.monitor = ZeusMonitor(gpu_indices=[0], cpu_indices=[])
        self.version = importlib.metadata.version("zeus")

    def measure(self, work: Work) -> Dict[str, Any]:
        self.monitor.begin_window("w", sync_execution=self.sync)
        work()
        got = self.monitor.end_window("w", sync_execution=self.sync)
        return {"joules": got.gpu_energy[0]}

    def pid(self) -> int:
        return 0

    def close(self) -> None:
        pass


class CodeCarbon:
    name = "CodeCarbon"

    def __init__(self, torch: bool) -> None:
        import codecarbon

        self.codecarbon = codecarbon
        self.version = importlib.metadata.version("codecarbon")

    def measure(self, work: Work) -> Dict[str, Any]:
        tracker = self.codecarbon.OfflineEmissionsTracker(
            country_iso_code="USA", gpu_ids=[0], save_to_file=False, allow_multiple_runs=True, log_level="error")
        tracker.start()
        work()
        tracker.stop()
        return {"joules": tracker.final_emissions_data.gpu_energy * 3.6e6}

    def pid(self) -> int:
        return 0

    def close(self) -> None:
        pass


def cpu(pid: int) -> float:
    """The processor time of this process, and of another one."""
    own = time.process_time()
    if pid:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        own += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own


def attempt(what: str, f: Callable[[], Any]) -> Any:
    try:
        return f()
    except Exception:
        print(f"{what} failed:\n{traceback.format_exc()}", file=sys.stderr)
        return None


def windows(tools: List[Any], load: Any, seconds: float, each: Dict[str, float], repeats: int, end: float,
            rows: List[Dict[str, Any]]) -> None:
    n = max(1, round(seconds / each["iteration_s"]))
    for i in range(repeats):
        for tool in random.sample(tools, len(tools)):
            if time.monotonic() + seconds + 3 > end:
                print(f"{load.name}, {seconds} s, {tool.name}: left out, the time is over", file=sys.stderr)
                continue
            time.sleep(1 + random.random() * 0.2)
            span = [0.0, 0.0]

            def work() -> None:
                span[0] = time.monotonic()
                load.launch(n)
                load.sync()
                span[1] = time.monotonic()

            began = time.monotonic()
            got = attempt(f"{tool.name}, {seconds} s", lambda: tool.measure(work))
            if got is None:
                continue
            rows.append({"tool": tool.name, "load": load.name, "window_s": seconds, "iterations": n, "began": span[0],
                         "ended": span[1], "around_s": time.monotonic() - began - (span[1] - span[0]), **got})
    time.sleep(1)


def judge(rows: List[Dict[str, Any]], truths: Dict[str, List[Dict[str, float]]],
          changes: List[Tuple[float, float]]) -> None:
    """Set the true joules and the errors of each window."""
    for row in rows:
        each = statistics.mean(t["iteration_j"] for t in truths[row["load"]])
        row["true_j"] = each * row["iterations"]
        row["slower"] = (row["ended"] - row["began"]) / (row["iterations"] * statistics.mean(
            t["iteration_s"] for t in truths[row["load"]]))
        row.update(attempt("the counter around", lambda: counter.around(changes, row["began"], row["ended"])) or {})
        if row["joules"] is not None:
            row["error_pct"] = 100 * (row["joules"] / row["true_j"] - 1)
            if "counter_j" in row:
                row["counter_error_pct"] = 100 * (row["joules"] / row["counter_j"] - 1)


def signed(values: List[float]) -> List[str]:
    return [f"{statistics.mean(values):+.2f} %", f"{max(values, key=abs):+.2f} %"] if values else ["–"] * 2


def table(rows: List[Dict[str, Any]]) -> None:
    print("\n| load | window | tool | windows | refused | by the counter around: mean error | worst "
          "| by the long run: mean error | worst | stated ± | time around |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for key in sorted({(r["load"], r["window_s"], r["tool"]) for r in rows}):
        own = [r for r in rows if (r["load"], r["window_s"], r["tool"]) == key]
        stated = [100 * r["half95"] / r["joules"] for r in own if r.get("half95") and r["joules"]]
        cells = [key[0], f"{key[1]:g} s", key[2], str(len(own)), str(sum(r["joules"] is None for r in own))]
        cells += signed([r["counter_error_pct"] for r in own if "counter_error_pct" in r])
        cells += signed([r["error_pct"] for r in own if "error_pct" in r])
        cells += [f"{statistics.mean(stated):.2f} %" if stated else "–",
                  f"{statistics.mean(r['around_s'] for r in own):.2f} s"]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", default="1,5,30")
    parser.add_argument("--repeats", default="8,2,1")
    parser.add_argument("--truth", type=float, default=14)
    parser.add_argument("--cost", type=float, default=12)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--load", default="torch")
    o = parser.parse_args()
    end = time.monotonic() + o.seconds
    out = os.environ.setdefault("OUT", "bench/device/out")
    os.makedirs(out, exist_ok=True)
    board, gpu, noted = counter.Board(), o.load == "torch", os.path.join(out, "changes.txt")
    watcher = subprocess.Popen([sys.executable, counter.__file__, noted])
    loads = [Torch("matmul"), Torch("memory")] if gpu else [Sleep()]
    tools = [t for t in (attempt(kind.name, lambda: kind(gpu)) for kind in (Llem, Zeus, CodeCarbon)) if t]
    raw: Dict[str, Any] = {"tools": {t.name: t.version for t in tools}, "windows": [], "truth": {}, "cost": []}
    print("; ".join(f"{name} {version}" for name, version in raw["tools"].items()))
    rows: List[Dict[str, Any]] = raw["windows"]

    def save() -> None:
        with open(noted, encoding="ascii") as file:
            lines = [line.split() for line in file if line.endswith("\n")]
        changes = [(float(t), float(joules)) for t, joules in lines]
        judge([r for r in rows if raw["truth"].get(r["load"])], raw["truth"], changes)
        with open(os.path.join(out, "meter.json"), "w", encoding="utf-8") as file:
            json.dump(raw, file, indent=1)

    for tool in tools:  # an idle machine: what the tool itself takes
        attempt(f"{tool.name} warm", lambda: tool.measure(lambda: None))
        began, before = time.monotonic(), cpu(tool.pid())
        got = attempt(f"{tool.name} cost", lambda: tool.measure(lambda: time.sleep(o.cost)))
        raw["cost"].append({"tool": tool.name, "cpu_s": cpu(tool.pid()) - before, "wall_s": time.monotonic() - began,
                            "window_s": o.cost, **(got or {})})
    for index, load in enumerate(loads):
        share = time.monotonic() + (end - time.monotonic()) / (len(loads) - index)
        raw["truth"][load.name] = [truth(board, load, o.truth)]
        for seconds, repeats in zip(o.windows.split(","), o.repeats.split(",")):
            windows(tools, load, float(seconds), raw["truth"][load.name][0], int(repeats), share - o.truth, rows)
            save()
        raw["truth"][load.name].append(truth(board, load, o.truth))
        save()
    for tool in tools:
        tool.close()
    watcher.terminate()
    table(rows)
    print("\n| load | true power | over | again | an iteration |\n|---|---|---|---|---|")
    for name, found in raw["truth"].items():
        print(f"| {name} | {found[0]['watts']:.1f} W | {found[0]['over_s']:.1f} s | {found[1]['watts']:.1f} W "
              f"| {1e3 * found[0]['iteration_s']:.3f} ms, {found[0]['iteration_j']:.4f} J |")
    print("\n| tool | processor time of an idle window | of one core |\n|---|---|---|")
    for c in raw["cost"]:
        print(f"| {c['tool']} | {c['cpu_s']:.3f} s in {c['window_s']:g} s | {100 * c['cpu_s'] / c['window_s']:.2f} % |")


main()
