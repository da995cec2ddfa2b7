"""Results: studies, configurations and runs, read from their folder."""

from __future__ import annotations

import html
import io
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from . import _program

if TYPE_CHECKING:
    import pandas


class Run:
    """One run: a cycle of a configuration."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        with open(os.path.join(folder, "result.json"), encoding="utf-8") as file:
            #: The content of result.json; docs/metrics.md explains every key.
            self.result: Dict[str, Any] = json.load(file)

    @property
    def name(self) -> str:
        """The id of the configuration and the cycle, such as 3fa90c11d2e4-c1."""
        return os.path.basename(self.folder)

    @property
    def ok(self) -> bool:
        """Whether the run was measured."""
        return bool(self.result.get("status") == "ok")

    @property
    def error(self) -> str:
        """Why the run failed; empty for a run that was measured."""
        return str((self.result.get("failure") or {}).get("message", ""))

    def value(self, metric: str) -> Optional[float]:
        """Return a number of result.json by its dotted name, such as latency.ttft_ms.p50; None if it is unmeasured."""
        at: Any = self.result
        for part in metric.split("."):
            if not isinstance(at, Mapping) or part not in at:
                return None
            at = at[part]
        if isinstance(at, Mapping):
            at = at.get("value")
        if isinstance(at, bool) or not isinstance(at, (int, float)):
            return None
        return float(at)

    def power(self) -> "pandas.DataFrame":
        """Return the power series of the window. It needs pandas: pip install 'llem[pandas]'."""
        return self._series("power")

    def steps(self) -> "pandas.DataFrame":
        """Return the steps of the engine."""
        return self._series("steps")

    def requests(self) -> "pandas.DataFrame":
        """Return the requests with their stamps."""
        return self._series("requests")

    def _series(self, name: str) -> "pandas.DataFrame":
        path = os.path.join(self.folder, name + ".parquet")
        if not os.path.exists(path):
            raise _program.LlemError(f"run {self.name} has no {name}: {path} is not there")
        frame: "pandas.DataFrame" = _pandas().read_parquet(path)
        return frame

    def __repr__(self) -> str:
        return f"<llem.Run {self.name} {self.result.get('status')}>"


class Experiment:
    """One configuration of a study, over its cycles."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        #: The entry of `llem report --json`.
        self.document = document

    @property
    def id(self) -> str:
        """The id of the configuration."""
        return str(self.document["id"])

    @property
    def config(self) -> Mapping[str, Any]:
        """Everything that the study file says of the configuration, with defaults."""
        config: Mapping[str, Any] = self.document["config"]
        return config

    @property
    def flags(self) -> List[str]:
        """Doubts that belong beside every number of this configuration; docs/codes.md explains them."""
        return list(self.document["flags"])

    @property
    def provenance(self) -> str:
        """Where the energy comes from: measured, modelled, simulated or none."""
        return str(self.document["provenance"])

    def mean(self, metric: str = "energy.per_output_token_j") -> Optional[float]:
        """Return the mean of a metric over the cycles; None if it is unmeasured (see `missing`)."""
        spread = self.document["metrics"].get(metric)
        return None if spread is None else float(spread["mean"])

    def interval(self, metric: str = "energy.per_output_token_j") -> Optional[Tuple[float, float]]:
        """Return the 95 % interval of that mean; None with fewer than two cycles."""
        ci95 = (self.document["metrics"].get(metric) or {}).get("ci95")
        return None if not ci95 else (float(ci95[0]), float(ci95[1]))

    @property
    def missing(self) -> Dict[str, str]:
        """Metrics without a number, and why."""
        return {m["of"]: m["reason"] for m in self.document.get("missing") or []}

    def __repr__(self) -> str:
        return f"<llem.Experiment {self.id} {self.mean()} J per output token, {self.provenance}>"


class Comparison:
    """Two configurations compared."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        #: What `llem compare --json` printed.
        self.document = document

    @property
    def answer(self) -> str:
        """The answer in a sentence."""
        return str(self.document["answer"])

    @property
    def ratio(self) -> Optional[float]:
        """The ratio of B to A for the metric of the answer."""
        ratio = self._primary("ratio")
        return None if ratio is None else float(ratio)

    @property
    def interval(self) -> Optional[Tuple[float, float]]:
        """The 95 % interval of that ratio."""
        ci95 = self._primary("ratio_ci95")
        return None if not ci95 else (float(ci95[0]), float(ci95[1]))

    def _primary(self, key: str) -> Any:
        for metric in self.document["metrics"]:
            if metric["name"] == self.document["primary"]:
                return metric.get(key)
        return None

    def __repr__(self) -> str:
        return f"<llem.Comparison {self.answer}>"


class Study:
    """The results in the folder of a study."""

    def __init__(self, folder: Union[str, "os.PathLike[str]"], document: Optional[Mapping[str, Any]] = None) -> None:
        self.folder = os.fspath(folder)
        self._document = document
        self._runs: Optional[List[Run]] = None

    @property
    def document(self) -> Mapping[str, Any]:
        """What `llem report --json` prints of the folder."""
        if self._document is None:
            self._document = _program.ask_json(["report", self.folder])
        return self._document

    @property
    def complete(self) -> bool:
        """Whether no run is left."""
        return bool(self.document["complete"])

    @property
    def experiments(self) -> List[Experiment]:
        """The configurations, in the order of the report."""
        return [Experiment(e) for e in self.document["experiments"]]

    @property
    def runs(self) -> List[Run]:
        """The runs, by name."""
        if self._runs is None:
            folder = os.path.join(self.folder, "runs")
            names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            self._runs = [
                Run(os.path.join(folder, n)) for n in names
                if ".twice" not in n and os.path.exists(os.path.join(folder, n, "result.json"))
            ]
        return self._runs

    def run(self, name: str) -> Run:
        """Return a run by its name or the beginning of it."""
        found = [r for r in self.runs if r.name.startswith(name)]
        if not found:
            raise KeyError(name)
        return found[0]

    def power(self, run: Union[str, Run]) -> "pandas.DataFrame":
        """Return the power series of a run."""
        return (run if isinstance(run, Run) else self.run(run)).power()

    def steps(self, run: Union[str, Run]) -> "pandas.DataFrame":
        """Return the engine's steps of a run."""
        return (run if isinstance(run, Run) else self.run(run)).steps()

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a table with a row for each configuration, as `llem report --format csv` prints it."""
        table = io.StringIO(_program.ask(["report", self.folder, "--format", "csv"]))
        frame: "pandas.DataFrame" = _pandas().read_csv(table)
        return frame

    def pareto(
        self, x: str = "energy.per_output_token_j", y: str = "throughput.output_tokens_per_s"
    ) -> List[Experiment]:
        """Return the configurations that no other one beats in both metrics, beyond doubt."""
        document = _program.ask_json(["report", self.folder, f"--pareto={x},{y}"])
        return [Experiment(e) for e in document["experiments"] if (e.get("standing") or {}).get("status") == "front"]

    def best(
        self, metric: str = "energy.per_output_token_j", where: Union[str, Sequence[str]] = ()
    ) -> Optional[Experiment]:
        """Return the configuration with the best value of a metric, under limits such as 'TTFT p99<200'.

        None if no configuration is known to meet the limits.
        """
        limits = [where] if isinstance(where, str) else where
        document = _program.ask_json(["report", self.folder, f"--best={metric}", *(f"--where={w}" for w in limits)])
        return Experiment(document["best"]) if document["best"] else None

    def compare(self, a: Union[str, Experiment], b: Union[str, Experiment], metric: Optional[str] = None) -> Comparison:
        """Compare configuration b with a."""
        first, second = (e.id if isinstance(e, Experiment) else e for e in (a, b))
        arguments = ["compare", f"{self.folder}:{first}", f"{self.folder}:{second}"]
        if metric:
            arguments.append(f"--metric={metric}")
        return Comparison(_program.ask_json(arguments))

    def plot(self, chart: str = "pareto", **options: Union[str, int, float]) -> "Picture":
        """Draw a chart: pareto, phases, power, latency, scaling or cycles. The options are the flags of `llem plot`."""
        with tempfile.TemporaryDirectory(prefix="llem-") as scratch:
            path = os.path.join(scratch, "chart.svg")
            flags = [f"--{name}={value}" for name, value in options.items()]
            _program.ask(["plot", self.folder, chart, "-o", path, *flags])
            with open(path, encoding="utf-8") as file:
                return Picture(file.read())

    def html(self) -> str:
        """Return the report as one HTML page."""
        return _program.ask(["report", self.folder, "--html", "-"])

    def _repr_html_(self) -> str:
        """Return the table of a report, for notebooks."""
        lines = _program.ask(["report", self.folder, "--format", "md"])
        return "<pre>" + html.escape(lines) + "</pre>"

    def __repr__(self) -> str:
        return f"<llem.Study {self.folder} {self.document['ok']} of {self.document['planned']} runs ok>"


class Picture:
    """A chart as SVG."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Write the SVG file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg)


def open_study(folder: Union[str, "os.PathLike[str]"]) -> Study:
    """Open the folder of a study."""
    study = Study(folder)
    study.document  # noqa: B018  the folder may not be a study
    return study


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as err:
        raise _program.LlemError("pandas is not installed", "pip install 'llem[pandas]'", code=2) from err
    return pandas
