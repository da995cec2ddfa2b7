"""Running a study."""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from . import _program
from ._study import Study

Value = Union[None, str, float, Sequence[str], Sequence[float], Sequence[Union[str, float]]]


@dataclass(frozen=True)
class Progress:
    """What a study does now. Its numbers are provisional: results are in the study."""

    #: Runs of the study, finished ones, and failed ones among those.
    planned: int
    finished: int
    failed: int
    #: What the program does (load, warmup, measure, …), and a few words about it.
    phase: str
    detail: str
    #: The configuration of the current run; empty between two runs.
    label: str
    #: How long the study still takes, in seconds; None while that is unknown.
    left_s: Optional[float]
    #: The newest power of each metered device, in W.
    watts: Dict[str, float]


def run(
    study: Optional[Union[str, "os.PathLike[str]", Mapping[str, Any]]] = None,
    *,
    model: Optional[str] = None,
    backend: Optional[str] = None,
    dtype: Optional[Union[str, Sequence[str]]] = None,
    prompts: Optional[int] = None,
    input_tokens: Optional[Union[int, Sequence[int]]] = None,
    output_tokens: Optional[Union[int, Sequence[int]]] = None,
    batch_size: Optional[Union[int, Sequence[int]]] = None,
    cycles: Optional[int] = None,
    settings: Optional[Mapping[str, Value]] = None,
    estimate: bool = False,
    output: Optional[Union[str, "os.PathLike[str]"]] = None,
    resume: Optional[Union[str, "os.PathLike[str]"]] = None,
    progress: Optional[Callable[[Progress], None]] = None,
    check: bool = True,
) -> Study:
    """Measure one configuration or a study, and return its results.

    `study` is a study file, or its content as a mapping. The other arguments are the flags of `llem run` and override
    it; `settings` sets any key of a study (`llem schema` lists them). A sequence is an axis of a sweep.

    `progress` is called about twice a second, in another thread. On Ctrl-C the program drops the current run and
    keeps the finished ones, and KeyboardInterrupt is raised; `resume` continues the study.

    Raises LlemError if the configuration is wrong, and, unless `check` is false, if a run failed; the study is then in
    the error's `study`.
    """
    with tempfile.TemporaryDirectory(prefix="llem-") as scratch:
        arguments = ["run", "--json", "--quiet"]
        if isinstance(study, Mapping):
            path = os.path.join(scratch, "study.yaml")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(study, file)  # JSON is YAML
            arguments.append(path)
        elif study is not None:
            arguments.append(os.fspath(study))
        flags: Dict[str, Value] = {
            "model": model, "backend": backend, "dtype": dtype, "prompts": prompts, "input-tokens": input_tokens,
            "output-tokens": output_tokens, "batch-size": batch_size, "cycles": cycles,
            "output": None if output is None else os.fspath(output),
            "resume": None if resume is None else os.fspath(resume),
        }
        arguments += [f"--{name}={_text(value)}" for name, value in flags.items() if value is not None]
        arguments += [f"--set={key}={_text(value)}" for key, value in (settings or {}).items()]
        if estimate:
            arguments.append("--estimate")
        return _wait(arguments, progress, check)


def _text(value: Value) -> str:
    """Write a value as the command line takes it."""
    if isinstance(value, (list, tuple)):
        return ",".join(_text(v) for v in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _wait(arguments: List[str], progress: Optional[Callable[[Progress], None]], check: bool) -> Study:
    child = _program.start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ended = threading.Event()
    watcher = None
    if progress is not None:
        folder = _results(arguments)
        watcher = threading.Thread(target=_watch, args=(child.pid, folder, progress, ended), daemon=True)
        watcher.start()
    try:
        out, err = child.communicate()
    except KeyboardInterrupt:
        ended.set()  # no more progress: its function may be what interrupts
        child.send_signal(signal.SIGINT)
        try:
            child.communicate()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)  # the second one ends the program at once
        raise
    finally:
        ended.set()
        if watcher is not None:
            watcher.join()
    try:
        document = json.loads(out)
        folder = document["dir"]
    except (ValueError, KeyError, TypeError):
        _program.check(child.returncode, out, err)
        raise _program.LlemError(f"llem printed no result: {out[:200]!r}", code=child.returncode or 1) from None
    study = Study(folder, document)
    if check and child.returncode != 0:
        error = _program.LlemError(_failures(study), f"llem report -v {folder}", code=child.returncode)
        error.study = study
        raise error
    return study


def _failures(study: Study) -> str:
    bad = [r for r in study.runs if not r.ok]
    if not bad:
        return f"the study is not complete: {study.folder}"
    return f"{len(bad)} of {len(study.runs)} runs failed; the first one: {bad[0].error}"


def _results(arguments: List[str]) -> str:
    """Return the folder below which the study's folder will be."""
    for argument in arguments:
        if argument.startswith("--resume="):
            return os.path.dirname(os.path.abspath(argument[len("--resume="):]))
        if argument.startswith("--output="):
            return argument[len("--output="):]
    return os.environ.get("LLEM_RESULTS") or "results"


def _watch(pid: int, folder: str, progress: Callable[[Progress], None], ended: threading.Event) -> None:
    written = ""
    while not ended.wait(0.5):
        for path in glob.glob(os.path.join(glob.escape(folder), "*", f"live-*.{pid}.state")):
            try:
                with open(path, encoding="utf-8") as file:
                    state = json.load(file)
            except (OSError, ValueError):
                continue  # between two states, or at the end
            if state.get("written") == written:
                continue
            written = state.get("written")
            progress(Progress(
                planned=state["planned"], finished=state["finished"], failed=state["failed"], phase=state["phase"],
                detail=state.get("detail", ""), label=(state["run"] or {}).get("label", ""), left_s=state["left_s"],
                watts={d["id"]: d["watts"] for d in state["devices"] if d["watts"] is not None},
            ))
