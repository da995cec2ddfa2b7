"""Prints a Markdown table of the runs of several engines below a folder.

A phase whose energy is refused shows its bounds, where there are any.
"""

from __future__ import annotations

import sys

from torch_table import number, print_table, value

HEAD = (
    "engine",
    "tier",
    "requests at once",
    "J/output token",
    "prefill J/token",
    "decode J/token",
    "TTFT p50 ms",
    "TPOT p50 ms",
    "tokens/s",
    "mean W",
    "peak GiB (method)",
    "warnings",
)


def phase(run: dict, name: str) -> str:
    """Joules per token of a phase; bounds, where it is only known between them."""
    found = (run["energy"].get("phases") or {}).get(name) or {}
    if found.get("j_per_token") is not None:
        return number(found["j_per_token"])
    low, high, tokens = found.get("low_j"), found.get("high_j"), found.get("tokens")
    if low is None or high is None or not tokens:
        return "–"
    return f"{number(low / tokens)} … {number(high / tokens)}"


def row(engine: str, run: dict) -> list[str]:
    """One row; of a run that failed, the reason."""
    prompts = str(run["config"]["workload"]["prompts"])
    if run["status"] != "ok":
        failure = run["failure"] or {}
        text = f"{run['status']}: {failure.get('class')}: {failure.get('message', '')[:200]}".replace("|", "/").replace(
            "\n", " "
        )
        return [engine, "–", prompts, text] + [""] * (len(HEAD) - 4)
    energy, latency, memory = run["energy"], run["latency"], run.get("memory") or {}
    peak = memory.get("peak_bytes")
    return [
        f"{engine} {run['backend']['version']}",
        str(run["backend"]["tier"]),
        prompts,
        number(value(energy.get("per_output_token_j"))),
        phase(run, "prefill"),
        phase(run, "decode"),
        number(latency["ttft_ms"]["p50"]),
        number((latency.get("tpot_ms") or {}).get("p50")),
        number(run["throughput"]["output_tokens_per_s"], 4),
        number(value(energy.get("mean_w"))),
        "–" if not peak else f"{peak / 2**30:.1f} ({memory.get('method') or memory.get('peak_source') or '?'})",
        " ".join(sorted({w["code"] for w in run["warnings"]})) or "–",
    ]


if __name__ == "__main__":
    print_table(sys.argv[1], HEAD, lambda run: run["config"]["workload"]["prompts"], row)
