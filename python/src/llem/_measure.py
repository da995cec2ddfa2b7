"""Measuring your own code: `with llem.measure() as m: …`."""

from __future__ import annotations

import functools
import html
import json
import os
import socket
import subprocess
import tempfile
import time
import weakref
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

from . import _program
from ._study import Run

if TYPE_CHECKING:
    import pandas

Function = TypeVar("Function", bound=Callable[..., Any])

# How long the program may take to make its socket, in seconds.
_START = 60.0


@dataclass(frozen=True)
class Phase:
    """A part of a window: the steps of one name, or the time without steps."""

    #: Joules, their 95 % interval, and joules per token; None where they were refused, for the reason.
    energy_j: Optional[float]
    interval: Optional[Tuple[float, float]]
    j_per_token: Optional[float]
    duration_s: float
    tokens: int
    reason: str


class Step:
    """A step that was marked. As a context manager it is what the block does."""

    def __init__(self, owner: "measure", index: int) -> None:
        self._owner = owner
        self._index = index

    def __enter__(self) -> "Step":
        self._owner._step_begins(self._index)
        return self

    def __exit__(self, *_: object) -> None:
        self._owner._step_ends(self._index)


class measure:
    """Measure the energy of a block of code on this machine, with the sensors and windows of `llem run`.

        with llem.measure() as m:
            work()
        print(m.energy_j, m.net_j, m.interval, m.source)

    The idle power is measured for `baseline` seconds (default 5, 0 for none) before the first block; the object can
    be entered again for more windows, and it can decorate a function. `gpus` selects GPUs as CUDA_VISIBLE_DEVICES does,
    and `sources` sensors (nvml, hwmon, rapl, …). `sync` is called before every mark, so that work that the GPU still
    has in its queue counts where it belongs: `sync=torch.cuda.synchronize`.

    `m.step("decode", tokens=32)` marks that what ran since the mark before it was a step of this phase (prefill, decode
    or other), and `with m.step("decode", tokens=32): …` marks the block. Marks stay in memory until the window ends.

    The work is done by the program: it is started as a child, and ends when this object is closed, collected, or this
    process is gone. Nothing is measured after an exception in the block. Raises LlemError if there is no sensor, or if
    marks cannot be right; energy that the sensor cannot resolve is None, and `reason` has the reason.
    """

    def __init__(
        self,
        *,
        name: str = "",
        gpus: Optional[Union[str, int, Sequence[int]]] = None,
        sources: Optional[Union[str, Sequence[str]]] = None,
        baseline: Optional[float] = None,
        output: Optional[Union[str, "os.PathLike[str]"]] = None,
        estimate: bool = False,
        allow_shared: bool = False,
        sync: Optional[Callable[[], object]] = None,
    ) -> None:
        flags: Dict[str, Optional[str]] = {
            "name": name or None,
            "gpus": None if gpus is None else _joined(gpus),
            "sources": None if sources is None else _joined(sources),
            "baseline": None if baseline is None else str(baseline),
            "output": None if output is None else os.fspath(output),
        }
        self._arguments = [f"--{flag}={value}" for flag, value in flags.items() if value is not None]
        self._arguments += ["--estimate"] * estimate + ["--allow-shared"] * allow_shared
        self._sync = sync
        self._child: Optional[_Child] = None
        self._steps: List[Dict[str, Any]] = []
        self._opened = 0
        #: The windows that were measured, the newest last.
        self.windows: List[Run] = []
        #: The folder of the results, which `llem report`, `llem verify` and `llem.open` read.
        self.dir = ""

    # Measuring.

    def __enter__(self) -> "measure":
        if self._opened:
            raise _program.LlemError("a window of this object is open already", "give each of them an object", code=2)
        if self._child is None:
            self._child = _Child(self._arguments)
            self.dir = str(self._child.ready["dir"])
        self._child.ask({"op": "begin"})
        if self._sync is not None:
            self._sync()
        self._steps = []
        self._opened = time.monotonic_ns()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        began, self._opened = self._opened, 0
        child = self._child
        if child is None:
            raise _program.LlemError("the object was closed in its window", "close it after the block", code=2)
        if error is not None:
            try:
                child.ask({"op": "drop"})
            except _program.LlemError:
                self.close()
            return
        if self._sync is not None:
            self._sync()
        end = time.monotonic_ns()
        steps = [step for step in self._steps if step["end_ns"]]
        reply = child.ask({"op": "end", "start_ns": began, "end_ns": end, "steps": steps})
        self.windows.append(Run(str(reply["run"])))

    def step(self, name: str, tokens: int = 0) -> Step:
        """Mark a step: what ran since the mark before it, or, as a context manager, the block."""
        if not self._opened:
            raise _program.LlemError(f"the step {name} lies outside a window", "mark it inside the block", code=2)
        if self._sync is not None:
            self._sync()
        last = self._steps[-1]["end_ns"] if self._steps else self._opened
        self._steps.append({"name": name, "start_ns": last, "end_ns": time.monotonic_ns(), "tokens": int(tokens)})
        return Step(self, len(self._steps) - 1)

    def _step_begins(self, index: int) -> None:
        self._steps[index]["start_ns"] = self._steps[index]["end_ns"]

    def _step_ends(self, index: int) -> None:
        if self._sync is not None:
            self._sync()
        self._steps[index]["end_ns"] = time.monotonic_ns()

    def __call__(self, function: Function) -> Function:
        """Measure every call of a function as a window."""

        @functools.wraps(function)
        def measured(*arguments: Any, **named: Any) -> Any:
            with self:
                return function(*arguments, **named)

        return measured  # type: ignore[return-value]

    def close(self) -> None:
        """End the program. The results stay."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    # The newest window.

    @property
    def result(self) -> Mapping[str, Any]:
        """The content of result.json; docs/metrics.md explains every key."""
        if not self.windows:
            raise _program.LlemError("no window was measured", "its energy is known when the block has ended", code=2)
        return self.windows[-1].result

    @property
    def energy_j(self) -> Optional[float]:
        """Joules of the window; None if they were refused, for the reason."""
        return self._quantity("total_j", "value")

    @property
    def net_j(self) -> Optional[float]:
        """Joules above the idle power; None without a baseline."""
        return self._quantity("net_j", "value")

    @property
    def interval(self) -> Optional[Tuple[float, float]]:
        """The 95 % interval of energy_j by the sensor's timing."""
        return _pair((self.result["energy"]["total_j"] or {}).get("ci95"))

    @property
    def gain_j(self) -> Optional[float]:
        """The sensor's own proportional error of energy_j (95 %), which cancels in ratios on one device."""
        return self._quantity("total_j", "gain95")

    @property
    def mean_w(self) -> Optional[float]:
        """The mean power, in watts."""
        return self._quantity("mean_w", "value")

    @property
    def duration_s(self) -> float:
        """The length of the window, in seconds."""
        return float(self.result["window"]["duration_s"])

    @property
    def source(self) -> str:
        """The call that was read, such as nvml.energy; empty without energy."""
        return str((self.result["energy"]["total_j"] or {}).get("source", ""))

    @property
    def provenance(self) -> str:
        """Where the energy comes from: measured, modelled, simulated or none."""
        return str(self.result["energy"]["provenance"])

    @property
    def reason(self) -> str:
        """Why energy is None; empty if it is not."""
        return "" if self.energy_j is not None else str(self.result["energy"]["reason"])

    @property
    def phases(self) -> Dict[str, Phase]:
        """The energy of prefill, decode and the time between them, from the marked steps; empty without a split."""
        phases = self.result["energy"]["phases"] or {}
        out = {}
        for name in ("prefill", "decode", "other"):
            part = phases.get(name)
            if part is not None:
                out[name] = Phase(part["energy_j"], _pair(part.get("ci95")), part.get("j_per_token"),
                                  part["duration_s"], part["tokens"], part.get("reason", ""))
        return out

    @property
    def phases_reason(self) -> str:
        """Why there is no split."""
        return str(self.result["energy"].get("phases_reason", ""))

    @property
    def warnings(self) -> List[str]:
        """Doubts about the numbers."""
        return [str(w["message"]) for w in self.result["warnings"]]

    def power(self) -> "pandas.DataFrame":
        """Return the power series of the window. It needs pandas: pip install 'llem[pandas]'."""
        self.result  # noqa: B018  there may be none
        return self.windows[-1].power()

    def _quantity(self, name: str, key: str) -> Optional[float]:
        quantity = self.result["energy"][name]
        return None if quantity is None else float(quantity[key])

    def _repr_html_(self) -> str:
        if not self.windows:
            return "<pre>not measured yet</pre>"
        rows = [("energy", _joules(self.energy_j, self.interval)), ("net of idle", _joules(self.net_j, None)),
                ("mean power", "–" if self.mean_w is None else f"{self.mean_w:.4g} W"),
                ("time", f"{self.duration_s:.4g} s"), ("source", f"{self.source} ({self.provenance})")]
        rows += [(name, _joules(p.energy_j, p.interval)) for name, p in self.phases.items()]
        rows += [("reason", self.reason)] * bool(self.reason)
        cells = "".join(f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in rows)
        return f"<table>{cells}</table>"

    def __repr__(self) -> str:
        if not self.windows:
            return "<llem.measure, no window yet>"
        return f"<llem.measure {_joules(self.energy_j, self.interval)} in {self.duration_s:.4g} s, {self.provenance}>"


class _Child:
    """The program, which measures what this process marks."""

    def __init__(self, arguments: List[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="llem-")
        path = os.path.join(self._folder.name, "socket")
        log = os.path.join(self._folder.name, "log")
        with open(log, "wb") as errors:
            # In a session of its own: Ctrl-C is for this process, which then ends the window.
            self._process = _program.start(
                ["meter", "--quiet", "--serve", path, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=errors, start_new_session=True,
            )
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._end = weakref.finalize(self, _end, os.getpid(), self._socket, self._process, self._folder)
        limit = time.monotonic() + _START
        while True:
            try:
                self._socket.connect(path)
                break
            except OSError:
                if self._process.poll() is not None or time.monotonic() > limit:
                    with open(log, encoding="utf-8", errors="replace") as file:
                        said = file.read()
                    code = self._process.poll()
                    self._end()
                    _program.check(code or 1, "", said)
                time.sleep(0.005)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        try:
            self.ready = self._reply()
        except BaseException:
            self.close()
            raise

    def ask(self, message: Mapping[str, Any]) -> Dict[str, Any]:
        """Send a message and return the answer."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # it may have said why
        return self._reply()

    def _reply(self) -> Dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError:
            line = ""
        if not line:
            code = self._process.wait()
            raise _program.LlemError(f"llem ended while it measured, with code {code}",
                                     "measure again; it was killed, or the machine ran out of memory", code=1)
        reply: Dict[str, Any] = json.loads(line)
        error = reply.get("error")
        if error:
            raise _program.LlemError(error["message"], error.get("next", ""), error.get("class", ""))
        return reply

    def close(self) -> None:
        self._end()


def _end(
    pid: int, connection: socket.socket, process: "subprocess.Popen[str]", folder: "tempfile.TemporaryDirectory[str]"
) -> None:
    """End the program: it sees that the socket is closed. A process that was forked leaves it alone."""
    if os.getpid() != pid:
        connection.detach()
        return
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    folder.cleanup()


def _joined(value: Union[str, int, Sequence[Any]]) -> str:
    if isinstance(value, (str, int)):
        return str(value)
    return ",".join(str(v) for v in value)


def _pair(values: Optional[Sequence[float]]) -> Optional[Tuple[float, float]]:
    return None if not values else (float(values[0]), float(values[1]))


def _joules(value: Optional[float], interval: Optional[Tuple[float, float]]) -> str:
    if value is None:
        return "–"
    text = f"{value:.4g} J"
    return text if interval is None else f"{text} ± {(interval[1] - interval[0]) / 2:.2g} J"
