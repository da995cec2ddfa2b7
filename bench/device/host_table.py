"""Prints a Markdown table of the runs of host.sh: what each counted, and what it cost to measure."""
import glob
import json
import os
import sys

from table import number

HEAD = ("run", "counted", "seen", "J/output token", "tokens/s", "mean W", "counter/series, %", "sampler, % of a core",
        "gaps", "others' processor s", "doubts")


def row(name, run):
    """One table row of a run."""
    energy, harness = run.get("energy") or {}, run.get("harness") or {}
    devices = energy.get("devices") or []
    agreement = [d["agreement"]["difference_pct"] for d in devices if d.get("counted") and d.get("agreement")]
    quantity = lambda key: number((energy.get(key) or {}).get("value"))
    return [
        name,
        ", ".join(d["device"] for d in devices if d.get("counted")),
        str(len(devices)),
        quantity("per_output_token_j"),
        number((run.get("throughput") or {}).get("output_tokens_per_s")),
        quantity("mean_w"),
        ", ".join(number(a, 2) for a in agreement),
        number(harness.get("sampler_cpu_pct"), 3),
        str(len(harness.get("gaps") or [])),
        number(harness.get("other_cpu_s"), 3),
        ", ".join(sorted({w["code"] for w in run.get("warnings") or []} - {"synthetic", "virtual_machine"})),
    ]


def main(folder):
    """Prints the table of all runs below a folder."""
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for path in sorted(glob.glob(os.path.join(folder, "**", "result.json"), recursive=True)):
        with open(path) as file:
            run = json.load(file)
        name = os.path.relpath(path, folder).split(os.sep)[0]
        cells = row(name, run) if run["status"] == "ok" else [name, run["failure"]["message"][:100]]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(sys.argv[1])
