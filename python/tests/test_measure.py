"""llem.measure() with the real program and the simulated GPU, which draws 78 W all the time: the truth is known."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import types
from typing import Any, Dict, Iterator

import pytest

import llem

WATTS = 78.0


def meter(path: pathlib.Path, **more: Any) -> llem.measure:
    return llem.measure(sources="simulated", output=path, **{"baseline": 0.5, **more})


@pytest.fixture
def m(tmp_path: pathlib.Path) -> Iterator[llem.measure]:
    own = meter(tmp_path)
    yield own
    own.close()


def test_truth(m: llem.measure) -> None:
    with m:
        time.sleep(1.5)
    assert m.duration_s >= 1.5 and m.energy_j is not None and m.interval is not None and m.net_j is not None
    low, high = m.interval
    assert low <= m.energy_j <= high and m.energy_j == pytest.approx(WATTS * m.duration_s, rel=0.05)
    assert abs(m.net_j) < 0.1 * m.energy_j and m.mean_w == pytest.approx(WATTS, rel=0.05)
    assert m.source == "simulated.energy" and m.provenance == "simulated" and m.reason == "" and m.gain_j
    assert not m.phases and "no steps were marked" in m.phases_reason
    assert "J" in m._repr_html_() and "simulated" in repr(m)


def test_no_number_is_computed_here(m: llem.measure) -> None:
    with m:
        time.sleep(0.5)
    folder = m.windows[0].folder
    study = llem.open(m.dir)
    assert study.complete and [r.folder for r in study.runs] == [os.path.abspath(folder)] or study.runs
    assert study.runs[0].value("energy.total_j") == m.energy_j
    assert llem._program.ask(["verify", m.dir]).startswith("VERIFIED")


def test_windows_and_steps(m: llem.measure) -> None:
    for turns in (30, 40):
        with m:
            for _ in range(turns):
                with m.step("prefill", tokens=8):
                    time.sleep(0.02)
                time.sleep(0.03)
                m.step("decode", tokens=2)
            m.step("other")
        assert m.result["tokens"]["prompt"] == 8 * turns and m.result["tokens"]["output"] == 2 * turns
        assert m.result["energy"]["per_output_token_j"] is not None
        for phase in ("prefill", "decode"):
            part = m.phases[phase]
            assert part.tokens == (8 if phase == "prefill" else 2) * turns
            if part.energy_j is not None:  # on a busy machine a phase may be refused, with the reason
                assert part.energy_j == pytest.approx(WATTS * part.duration_s, rel=0.15)
            else:
                assert part.reason
    assert len(m.windows) == 2 and len(llem.open(m.dir).runs) == 2


def test_decorator(m: llem.measure) -> None:
    @m
    def work(seconds: float) -> str:
        time.sleep(seconds)
        return "done"

    assert work(0.4) == "done" and work(seconds=0.4) == "done" and work.__name__ == "work"
    assert len(m.windows) == 2


def test_sync(tmp_path: pathlib.Path) -> None:
    calls = []
    own = meter(tmp_path, sync=lambda: calls.append(1), baseline=0)
    with own:
        own.step("decode", tokens=1)
    assert len(calls) == 3 and own.net_j is None
    own.close()


def test_too_short(m: llem.measure) -> None:
    with m:
        pass
    if m.energy_j is None:  # a slow machine may spend a window's time in nothing
        assert "too short" in m.reason and m.interval is None and m.source == "" and "–" in m._repr_html_()


@pytest.mark.parametrize("step, words", [
    ({"name": "train", "tokens": 1}, "named"),
    ({"name": "decode", "tokens": 0}, "0 tokens"),
    ({"name": "decode", "tokens": -1}, "-1 tokens"),
])
def test_wrong_steps(m: llem.measure, step: Dict[str, Any], words: str) -> None:
    with pytest.raises(llem.LlemError, match=words) as error:
        with m:
            m.step(**step)
    assert error.value.next
    with m:  # the next window is measured
        time.sleep(0.3)
    assert len(m.windows) == 1


def test_overlapping_steps(m: llem.measure) -> None:
    with pytest.raises(llem.LlemError, match="overlap"):
        with m:
            with m.step("prefill", tokens=1):
                time.sleep(0.01)
                m.step("decode", tokens=1)
                time.sleep(0.01)


def test_misuse(m: llem.measure) -> None:
    with pytest.raises(llem.LlemError, match="outside a window"):
        m.step("decode", tokens=1)
    with pytest.raises(llem.LlemError, match="no window was measured"):
        m.energy_j  # noqa: B018
    with m:
        with pytest.raises(llem.LlemError, match="open already"):
            m.__enter__()
        time.sleep(0.3)
    assert len(m.windows) == 1


def test_wrong_arguments(tmp_path: pathlib.Path) -> None:
    for wrong, words in (({"baseline": -3}, "baseline"), ({"gpus": ","}, "names no GPU")):
        with pytest.raises(llem.LlemError, match=words) as error:
            meter(tmp_path, **wrong).__enter__()
        assert error.value.code == 2
    assert not list(tmp_path.iterdir())


def test_exception_in_the_block(m: llem.measure) -> None:
    with pytest.raises(KeyError):
        with m:
            raise KeyError("work")
    assert not m.windows
    with m:
        time.sleep(0.3)
    assert len(m.windows) == 1


def test_killed_program(m: llem.measure) -> None:
    with pytest.raises(llem.LlemError, match="ended while it measured"):
        with m:
            assert m._child is not None
            os.kill(m._child._process.pid, signal.SIGKILL)


def test_no_sensor(tmp_path: pathlib.Path) -> None:
    with pytest.raises(llem.LlemError, match="no power sensor can be read") as error:
        llem.measure(sources="hwmon", output=tmp_path).__enter__()
    assert error.value.next
    with pytest.raises(llem.LlemError, match="no sensors called") as error:
        llem.measure(sources="wall", output=tmp_path).__enter__()
    assert error.value.code == 2


ORPHAN = """
import os, sys, time, llem
m = llem.measure(sources="simulated", baseline=0, output=sys.argv[1])
with m:
    if os.fork() == 0:  # holds the socket open
        time.sleep(20)
        os._exit(0)
    print(m._child._process.pid, flush=True)
    time.sleep(60)
"""


def test_killed_parent(tmp_path: pathlib.Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN, str(tmp_path)], stdout=subprocess.PIPE, text=True,
                              start_new_session=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        limit = time.monotonic() + 30
        while os.path.exists(f"/proc/{child}") and "Z" not in _state(child):
            assert time.monotonic() < limit, "the program outlived the process that measured"
            time.sleep(0.1)
    finally:
        os.killpg(parent.pid, signal.SIGKILL)


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_readme(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The code of README.md that marks steps, with the simulated GPU."""
    readme = pathlib.Path(__file__).parent.parent / "README.md"
    _, code = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    model = types.SimpleNamespace(prefill=lambda _: time.sleep(0.3), decode=lambda _: time.sleep(0.3))
    torch = types.SimpleNamespace(cuda=types.SimpleNamespace(synchronize=lambda: None))
    exec(code.replace("llem.measure(", 'llem.measure(sources="simulated", baseline=0.5, '), {
        "llem": llem, "torch": torch, "batches": range(4), "model": model})
    assert re.match(r"[\d.e-]+ [\d.e-]+ \([\d.e-]+, [\d.e-]+\) ([\d.e-]+|None)$", capsys.readouterr().out)


def test_document(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The code of docs/meter.md, with the simulated GPU; check.sh puts the document beside README.md."""
    here = pathlib.Path(__file__).parent.parent
    document = here / "meter.md" if (here / "meter.md").exists() else here.parent / "docs" / "meter.md"
    code = "".join(re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.S))
    assert code.count("llem.measure(") == 2
    simulated = 'llem.measure(sources="simulated", baseline=0.5, '
    monkeypatch.chdir(tmp_path)
    cuda = types.SimpleNamespace(synchronize=lambda: None)
    exec(code.replace("llem.measure(", simulated).replace("gpus=0", ""), {
        "torch": types.SimpleNamespace(cuda=cuda), "work": lambda: time.sleep(1),
        "prefill": lambda: time.sleep(0.3), "decode": lambda: time.sleep(0.03)})
    whole, phase = capsys.readouterr().out.splitlines()
    assert "simulated.energy" in whole
    assert re.match(r"([\d.e-]+|None) ", phase)
