"""Checks a study's folder with Parquet readers and JSON parsers that are not llem's.

    python check_results.py results/STUDY

Every series must open in pyarrow, pandas and duckdb with the documented columns,
and the numbers of result.json must follow from the rows.
"""
import json
import math
import pathlib
import sys

import duckdb
import pandas
import pyarrow.parquet

COLUMNS = {
    "power": ["mono_ns", "unix_ns", "device", "source", "power_w", "window_ms", "since_ns"],
    "telemetry": ["mono_ns", "device", "temperature_c", "sm_clock_mhz", "mem_clock_mhz", "utilization_pct",
                  "memory_used_bytes", "throttle"],
    "counters": ["since_ns", "before_ns", "after_ns", "device", "source", "energy_uj", "refresh_ns", "snapped"],
    "requests": ["id", "task", "arrived_ns", "submitted_ns", "started_ns", "prefill_start_ns", "first_token_ns",
                 "end_ns", "token_ns", "prompt_tokens", "prompt_computed", "output_tokens", "finish_reason", "ok",
                 "failure", "prefill_j", "decode_j", "first_use", "point", "written_ns",
                 "first_byte_ns", "done_ns", "capped", "cut"],
    "steps": ["start_ns", "end_ns", "prefill_tokens", "decode_tokens", "sequences", "context_tokens"],
}


def frames(run):
    """The series of a run as pandas frames, after all three readers agreed."""
    out = {}
    for name, columns in COLUMNS.items():
        path = str(run / f"{name}.parquet")
        assert pyarrow.parquet.read_schema(path).names == columns, (path, pyarrow.parquet.read_schema(path).names)
        frame = pandas.read_parquet(path)
        count = duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall()[0][0]
        assert count == len(frame), (path, count, len(frame))
        out[name] = frame
    return out


def check_run(run):
    """Recomputes what follows directly from the rows."""
    record = json.loads((run / "result.json").read_text())
    assert record["status"] == "ok", record["failure"]
    series, tokens, window = frames(run), record["tokens"], record["window"]
    requests, steps = series["requests"], series["steps"]
    assert len(requests) == tokens["requests_ok"] and requests["ok"].all()
    assert requests["output_tokens"].sum() == tokens["output"] == requests["token_ns"].map(len).sum()
    assert requests["prompt_tokens"].sum() == tokens["prompt"] == steps["prefill_tokens"].sum()
    assert steps["decode_tokens"].sum() == tokens["output"] - len(requests)
    assert steps["start_ns"].min() >= window["start_mono_ns"] and steps["end_ns"].max() <= window["end_mono_ns"]
    assert math.isclose(window["duration_s"], (window["end_mono_ns"] - window["start_mono_ns"]) / 1e9)
    rate = record["throughput"]["output_tokens_per_s"]
    assert math.isclose(rate, tokens["output"] / window["duration_s"], rel_tol=1e-9)
    steady = requests[~requests["first_use"].fillna(False).astype(bool)]
    ttft = (steady["first_token_ns"] - steady["started_ns"]) / 1e6
    assert math.isclose(record["latency"]["ttft_ms"]["p50"], ttft.quantile(0.5), rel_tol=1e-9)
    energy = record["energy"]
    if energy["total_j"]:
        per_token = energy["total_j"]["value"] / tokens["output"]
        assert math.isclose(energy["per_output_token_j"]["value"], per_token, rel_tol=1e-9)
        assert len(series["power"]) > 0 and series["power"]["power_w"].min() >= 0
    if energy["phases"]:
        check_phases(energy, requests)
    else:
        assert requests["prefill_j"].isna().all() and requests["decode_j"].isna().all()
        assert energy["phases_reason"] or energy["reason"]
    return record["id"]


def check_phases(energy, requests):
    """What is printed adds up to the total; a refused phase is null with a reason."""
    parts = energy["unattributed_j"]["value"]
    for name in ("prefill", "decode", "other"):
        phase = energy["phases"][name]
        if phase["energy_j"] is None:
            assert phase["reason"] and phase["ci95"] is None and phase["j_per_token"] is None, phase
        else:
            parts += phase["energy_j"]
            low, high = phase["ci95"]
            assert low <= phase["energy_j"] <= high and phase["low_j"] <= phase["energy_j"] <= phase["high_j"], phase
        if name == "other":
            continue
        shares = requests[f"{name}_j"]
        if phase["energy_j"] is None:
            assert shares.isna().all(), name
        else:
            assert math.isclose(shares.sum(), phase["energy_j"], rel_tol=1e-9), name
    assert math.isclose(parts, energy["total_j"]["value"], rel_tol=1e-9)


def main(study):
    summary = json.loads((study / "summary.json").read_text())
    journal = [json.loads(line) for line in (study / "journal.jsonl").read_text().splitlines()]
    assert len(journal) == summary["planned"] == len(summary["runs"])
    json.loads((study / "env.json").read_text())
    checked = [check_run(study / entry["run"]) for entry in journal]
    print(
        f"{study.name}: {len(checked)} runs read by pyarrow {pyarrow.__version__}, "
        f"pandas {pandas.__version__}, duckdb {duckdb.__version__}"
    )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
