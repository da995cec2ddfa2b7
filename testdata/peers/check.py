"""Reads what llem wrote for other benchmarks with their own models, and computes its numbers again by their code, or,
for vllm bench serve, whose package is too large to install here, from the lists in its file.

    python check.py FOLDER      with the files that check.sh wrote
"""
import json
import math
import pathlib
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])


def near(a, b, *what):
    assert math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9), (*what, a, b)


def aiperf(path):
    from aiperf.common.models.export_models import JsonExportData
    from aiperf.metrics.metric_dicts import metric_result_from_array
    from aiperf.metrics.metric_registry import MetricRegistry

    text = path.read_text()
    data = JsonExportData.model_validate_json(text)
    document = json.loads(text)
    metrics = {k: v for k, v in document.items() if isinstance(v, dict) and "unit" in v}
    assert len(metrics) > 15
    for tag, values in metrics.items():
        theirs = MetricRegistry.get_class(tag)
        unit = theirs.display_unit or theirs.unit
        assert str(unit) == values["unit"] or tag.endswith("_timestamp"), (tag, str(unit), values["unit"])
    raw = json.loads((folder / "vllm-bench" / path.parent.name / "vllm-bench.json").read_text())
    want = {"time_to_first_token": np.array(raw["ttfts"]) * 1e3, "request_latency": np.array(raw["latencies"]) * 1e3,
            "inter_chunk_latency": np.array(sum(raw["itls"], [])) * 1e3,
            "output_sequence_length": np.array(raw["output_lens"], dtype=float),
            "inter_token_latency": (np.array(raw["latencies"]) - raw["ttfts"]) * 1e3 /
                                   (np.array(raw["output_lens"]) - 1)}
    for tag, values in want.items():
        theirs = metric_result_from_array(tag, tag, "", values.copy(), values.sum())
        ours = getattr(data, tag)
        for name in ("avg", "min", "max", "std", "sum", "count", "p1", "p25", "p50", "p90", "p99"):
            near(getattr(ours, name), getattr(theirs, name), tag, name)
    span = max(s + l for s, l in zip(raw["start_times"], raw["latencies"])) - min(raw["start_times"])
    near(data.benchmark_duration.avg, span, "benchmark_duration")
    near(data.output_token_throughput.avg, sum(raw["output_lens"]) / span, "output_token_throughput")


def vllm(path):
    d = json.loads(path.read_text())
    out, ttft, whole = np.array(d["output_lens"]), np.array(d["ttfts"]), np.array(d["latencies"])
    lists = {"ttft": ttft, "tpot": ((whole - ttft) / (out - 1))[out > 1], "itl": np.concatenate(d["itls"]),
             "e2el": whole}
    for name, values in lists.items():
        near(d[f"mean_{name}_ms"], np.mean(values) * 1e3, name, "mean")
        near(d[f"median_{name}_ms"], np.median(values) * 1e3, name, "median")
        near(d[f"std_{name}_ms"], np.std(values) * 1e3, name, "std")
        for p in (90, 95, 99):
            near(d[f"p{p}_{name}_ms"], np.percentile(values, p) * 1e3, name, p)
    near(d["request_throughput"], d["completed"] / d["duration"])
    near(d["output_throughput"], out.sum() / d["duration"])
    near(d["total_token_throughput"], (out.sum() + sum(d["input_lens"])) / d["duration"])


def optimum(path):
    from optimum_benchmark.benchmark.base import Benchmark
    from optimum_benchmark.trackers.latency import Latency, Throughput

    b = Benchmark.from_json(path)
    batch = b.config.scenario["input_shapes"]["batch_size"]
    tokens = b.config.scenario["generate_kwargs"]["max_new_tokens"]
    for name, volume in (("prefill", batch), ("generate", batch), ("decode", batch * (tokens - 1))):
        target = getattr(b.report, name)
        theirs = Latency.from_values(target.latency.values, "s")
        for key in ("count", "total", "mean", "p50", "p90", "p95", "p99", "stdev", "stdev_"):
            near(getattr(target.latency, key), getattr(theirs, key), name, key)
        near(target.throughput.value, Throughput.from_latency(theirs, volume, "").value, name, "throughput")
    b.to_dict(flat=True)
    assert "prefill" in b.report.to_plain_text()


for kind, check, name in ((aiperf, aiperf, "aiperf/*/profile_export_aiperf.json"),
                          (vllm, vllm, "vllm-bench/*/vllm-bench.json"),
                          (optimum, optimum, "optimum-benchmark/*/benchmark.json")):
    files = sorted(folder.glob(name))
    assert files, name
    for file in files:
        check(file)
    print(f"{kind.__name__}: {len(files)} files read, numbers match")
