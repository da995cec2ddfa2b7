"""The Python interface with the real program and the simulated GPU."""

import pathlib
import re
import subprocess
import sys
from typing import Any, Dict, List

import pytest

import llem

SMALL = {"baseline.seconds": 0.3, "baseline.resident_seconds": 0.3, "energy.max_window": 3}
MODEL = "random:llama-3.1-8b"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> llem.Study:
    states: List[llem.Progress] = []
    made = llem.run(
        model=MODEL, backend="fake", prompts=16, output_tokens=32, batch_size=[1, 8], cycles=2, settings=SMALL,
        output=tmp_path_factory.mktemp("results dir"), progress=states.append,
    )
    assert states and {s.planned for s in states} == {4}
    assert "measure" in {s.phase for s in states}
    assert [s.finished for s in states] == sorted(s.finished for s in states)
    return made


def test_study(study: llem.Study) -> None:
    assert study.complete and len(study.experiments) == 2 and len(study.runs) == 4
    again = llem.open(study.folder)
    for a, b in zip(study.experiments, again.experiments):
        assert a.id == b.id and a.mean() == b.mean() and a.provenance == "simulated"
        low, high = a.interval() or (0, 0)
        assert low < (a.mean() or 0) < high
    assert "latency.ttft_ms" in study.experiments[0].missing


def test_numbers_are_those_of_the_files(study: llem.Study) -> None:
    for e in study.experiments:
        values = [r.value("energy.per_output_token_j") for r in study.runs if r.name.startswith(e.id)]
        assert len(values) == 2 and None not in values
        assert sum(v or 0 for v in values) / 2 == pytest.approx(e.mean())
    run = study.runs[0]
    assert run.value("latency.ttft_ms.p50") == run.result["latency"]["ttft_ms"]["p50"]
    assert run.value("latency.ttft_ms.p99") is None and run.value("no.such.metric") is None


def test_choices(study: llem.Study) -> None:
    small, large = sorted(study.experiments, key=lambda e: e.config["fake"]["batch_size"])
    assert study.pareto() and large.id in {e.id for e in study.pareto()}
    best = study.best("J/out")
    assert best is not None and best.id == large.id
    assert study.best("J/out", where="TTFT<0.001") is None
    comparison = study.compare(small, large)
    assert comparison.ratio is not None and 0 < comparison.ratio < 0.5 and comparison.interval
    assert "J/out" in comparison.answer


def test_pictures(study: llem.Study) -> None:
    picture = study.plot("pareto", x="TTFT", y="J/out")
    assert picture.svg.startswith("<svg") or "<svg" in picture.svg[:200]
    assert "<!doctype html>" in study.html()[:50].lower()
    assert "batch_size" in study._repr_html_()


def test_frames(study: llem.Study) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert len(study.to_pandas()) == 2
    power, steps = study.power(study.runs[0]), study.steps(study.runs[0])
    assert len(power) > 10 and {"start_ns", "end_ns"} <= set(steps.columns)
    assert len(study.runs[0].requests()) >= 16


def test_mapping_as_a_study(tmp_path: pathlib.Path) -> None:
    config = {"model": MODEL, "backend": "fake", "workload": {"prompts": 4, "output_tokens": 8},
              "baseline": {"seconds": 0.3, "resident_seconds": 0.3}, "energy": {"max_window": 1}}
    assert len(llem.run(config, output=tmp_path).experiments) == 1


@pytest.mark.parametrize("arguments, words", [
    ({"model": "random:tiny-lama"}, "did you mean tiny-llama"),
    ({"settings": {"nope": 1}}, "nope"),
    ({"study": "no such file.yaml"}, "no such file.yaml"),
    ({"resume": "not here"}, "not here"),
])
def test_mistakes(
    arguments: Dict[str, Any], words: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(llem.LlemError, match=re.escape(words)) as error:
        llem.run(**arguments)
    assert error.value.code == 2
    assert not list(tmp_path.iterdir())


def test_no_study(tmp_path: pathlib.Path) -> None:
    with pytest.raises(llem.LlemError, match="no such folder") as error:
        llem.open(tmp_path / "nothing")
    assert error.value.next


def test_program_that_is_missing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLEM_PROGRAM", str(tmp_path / "llem"))
    with pytest.raises(llem.LlemError, match="LLEM_PROGRAM"):
        llem.version()
    monkeypatch.delenv("LLEM_PROGRAM")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    with pytest.raises(llem.LlemError, match="not installed beside this package"):
        llem.version()


def test_program_of_another_platform(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "llem"
    wrong.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    wrong.chmod(0o755)
    monkeypatch.setenv("LLEM_PROGRAM", str(wrong))
    with pytest.raises(llem.LlemError, match="does not run on this machine"):
        llem.version()


def test_program_without_its_libraries(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "llem"
    monkeypatch.setenv("LLEM_PROGRAM", str(program))
    for message, code in [
        ("$0: /lib64/libc.so.6: version \\`GLIBC_2.17' not found (required by $0)", 1),
        ("$0: error while loading shared libraries: libdl.so.2: cannot open shared object file", 127),
    ]:
        program.write_text(f'#!/bin/sh\necho "{message}" >&2\nexit {code}\n')
        program.chmod(0o755)
        with pytest.raises(llem.LlemError, match="does not run on this machine") as error:
            llem.version()
        assert "static archive" in error.value.next
    program.write_text("#!/lib/no-such-loader.so\n")
    with pytest.raises(llem.LlemError, match="loader of its glibc is missing"):
        llem.version()


def test_interrupt(tmp_path: pathlib.Path) -> None:
    code = (
        "import llem, os, signal, threading\n"
        "sent = []\n"
        "def stop(p):\n"
        "    if p.phase == 'measure' and not sent:\n"
        "        sent.append(p)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        f"try: llem.run(model={MODEL!r}, backend='fake', cycles=50, settings={SMALL!r}, output={str(tmp_path)!r},\n"
        "             progress=stop)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "interrupted" in done.stdout, done.stderr
    (folder,) = tmp_path.iterdir()
    kept = llem.open(folder)
    assert not kept.complete
    # The program has ended: nothing writes to the folder any more.
    assert not list(folder.glob("live-*"))


def test_readme(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The example of README.md, with a smaller model and two cycles."""
    pytest.importorskip("pandas")
    readme = pathlib.Path(__file__).parent.parent / "README.md"
    code = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.S)[0]
    assert "random:smollm2-135m" in code
    monkeypatch.chdir(tmp_path)
    exec(code.replace("random:smollm2-135m", "random:tiny-llama").replace("cycles=3", "cycles=2"), {})
    out = capsys.readouterr().out
    assert re.search(r"^1 [\d.]+ \([\d.e-]+, [\d.e-]+\) modelled$", out, re.M), out
    assert "J/out" in out


def test_version() -> None:
    assert re.search(r"\d|devel", llem.version())
