"""Prints a Markdown table of all runs below a folder that differ in how GPUs share the model."""

from __future__ import annotations

import sys

from torch_table import batch_size, number, print_table, value

HEAD = (
    "setting",
    "batch",
    "J/output token",
    "prefill J/token",
    "decode J/token",
    "prefill ms",
    "ms/decode step",
    "tokens/s",
    "mean W",
    "W of each GPU",
    "peak GiB",
    "share of a rank",
    "warnings",
)


def setting(run: dict) -> str:
    """How the GPUs share the model; of a run that failed, how they were to."""
    asked = run["config"]["pytorch"]
    if asked.get("device_map") == "auto":
        return "device_map auto"
    return f"tensor_parallel_size {asked.get('tensor_parallel_size', 1)}"


def each_gpu(run: dict) -> str:
    """The mean power of every GPU that was measured; one that is not counted is in brackets."""
    seconds, out = run["window"]["duration_s"], []
    for device in run["energy"]["devices"]:
        if device["kind"] == "gpu" and device.get("energy_j"):
            watts = number(device["energy_j"]["value"] / seconds)
            out.append(watts if device["counted"] else f"({watts})")
    return " ".join(out) or "–"


def row(run: dict) -> list[str]:
    """One row; of a run that failed, the reason."""
    batch = str(run["config"]["pytorch"]["batch_size"])
    if run["status"] != "ok":
        failure = run["failure"] or {}
        text = f"{run['status']}: {failure.get('class')}: {failure.get('message', '')[:300]}".replace("|", "/")
        return [setting(run), batch, text] + [""] * (len(HEAD) - 3)
    energy, latency, phases = run["energy"], run["latency"], run["energy"].get("phases") or {}
    peak = run["memory"].get("peak_bytes")
    used = run["backend"].get("settings") or {}
    return [
        setting(run), batch, number(value(energy.get("per_output_token_j"))),
        *(number((phases.get(name) or {}).get("j_per_token")) for name in ("prefill", "decode")),
        number(latency["ttft_ms"]["p50"]), number((latency.get("tpot_ms") or {}).get("p50")),
        number(run["throughput"]["output_tokens_per_s"], 4), number(value(energy.get("mean_w"))), each_gpu(run),
        number(peak / 2**30 if peak else None, 4), used.get("tensor_parallel_share", "1"),
        " ".join(sorted({w["code"] for w in run["warnings"]})) or "–",
    ]


if __name__ == "__main__":
    print_table(sys.argv[1], HEAD, batch_size, lambda _, run: row(run))
