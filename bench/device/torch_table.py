"""Prints a Markdown table of all runs below a folder, from their result.json.

The share of the peak refers to DENSE: multiply-adds of 16-bit numbers without sparsity
on an H100 or H200.
"""

from __future__ import annotations

import json
import pathlib
import sys

DENSE = 990e12  # FLOP/s
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
    "peak GiB",
    "estimated GiB",
    "FLOPs utilisation %",
    "compile s",
    "warnings",
)


def number(value, digits=3) -> str:
    """A number with a few significant digits, or a dash."""
    return "–" if value is None else f"{value:#.{digits}g}".rstrip(".")


def value(quantity):
    """The value of an energy quantity, which may be unknown."""
    return quantity["value"] if quantity else None


def setting(run: dict) -> str:
    """What the engine used, in words."""
    used, asked = dict(run["backend"].get("settings") or {}), run["config"]["pytorch"]
    used |= {k.removeprefix("pytorch."): v for k, v in (run["backend"].get("effective") or {}).items()}
    words = [used.get("cache_implementation", asked.get("cache_implementation", "dynamic"))]
    words += [used.get("compile", "")] if used.get("compile", "off") != "off" else []
    words += [used["quantization"]] if used.get("quantization", "none") != "none" else []
    return " ".join(words)


def row(run: dict, estimated: dict) -> list[str]:
    """One row; of a run that failed, the reason."""
    batch = str(run["config"]["pytorch"]["batch_size"])
    if run["status"] != "ok":
        failure = run["failure"] or {}
        asked = {
            k: v
            for k, v in run["config"]["pytorch"].items()
            if k not in ("batch_size", "device", "attn_implementation")
        }
        text = f"{run['status']}: {failure.get('class')}: {failure.get('message', '')[:200]}".replace("|", "/")
        return [" ".join(map(str, asked.values())) or "dynamic", batch, text] + [""] * (len(HEAD) - 3)
    energy, latency, memory = run["energy"], run["latency"], run["memory"]
    phases = energy.get("phases") or {}
    gib = lambda n: None if not n else n / 2**30
    flops = (run.get("compute") or {}).get("flops_per_s")
    return [
        setting(run), batch, number(value(energy.get("per_output_token_j"))),
        *(number((phases.get(name) or {}).get("j_per_token")) for name in ("prefill", "decode")),
        number(latency["ttft_ms"]["p50"]), number((latency.get("tpot_ms") or {}).get("p50")),
        number(run["throughput"]["output_tokens_per_s"], 4), number(value(energy.get("mean_w"))),
        number(gib(memory.get("peak_bytes")), 4), number(gib(estimated.get(run["id"])), 4),
        number(None if not flops else 100 * flops / DENSE),
        (run["backend"].get("settings") or {}).get("compile_s", "–"),
        " ".join(sorted({w["code"] for w in run["warnings"]})) or "–",
    ]


def estimates(folder: str) -> dict:
    """The peaks that the dry run gave, by the id of the experiment."""
    try:
        plan = json.loads(pathlib.Path(folder, "plan.json").read_text(encoding="utf-8"))
        return {point["id"]: (point.get("need") or {}).get("bytes") for point in plan["shown"]}
    except (OSError, ValueError, KeyError):
        return {}


def print_table(folder: str, head: tuple, size, row) -> None:
    """All runs below a folder, by study and size; row takes the study's name and the run."""
    rows = []
    for path in pathlib.Path(folder).rglob("result.json"):
        try:
            run, study = json.loads(path.read_text(encoding="utf-8")), path.relative_to(folder).parts[0]
            rows.append((study, size(run), row(study, run)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"<!-- {path}: {error!r} -->")
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for _, _, cells in sorted(rows, key=lambda r: r[:2]):
        print("| " + " | ".join(cells) + " |")


def batch_size(run: dict) -> int:
    """What PyTorch's runs are sorted by."""
    return run["config"]["pytorch"]["batch_size"]


if __name__ == "__main__":
    known = estimates(sys.argv[1])
    print_table(sys.argv[1], HEAD, batch_size, lambda _, run: row(run, known))
