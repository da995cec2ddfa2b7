"""Prints a Markdown table of llem study results (JSON files of `llem run --json`)."""
import json
import sys

HEAD = ("configuration", "tok/s", "TTFT p50 ms", "ITL p50 ms", "counter J", "series J", "difference %",
        "J/output token", "prefill J/token", "decode J/token", "mean W", "idle W", "samples/s", "gaps",
        "largest gap ms", "sampler % of a core", "peak GiB")


def number(value, digits=4):
    """A number with a few significant digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}g}"


def row(run):
    """One table row of a run."""
    if run["status"] != "ok":
        return [run["config"]["model"], run["failure"]["class"], run["failure"]["message"][:80]] + ["–"] * (
            len(HEAD) - 3
        )
    energy, config = run["energy"], run["config"]
    agreement = energy["agreement"] or {}
    counted = next((d for d in energy["devices"] if d["counted"]), {})
    series = counted.get("series") or {}
    phases = energy["phases"] or {"prefill": {}, "decode": {}}
    value = lambda q: q["value"] if q else None
    section = config[config["backend"]]
    return [
        f"{run['backend']['name']} {config['model']} {run['backend']['dtype']} "
        f"batch {section['batch_size']}, {energy['provenance']}",
        number(run["throughput"]["output_tokens_per_s"]),
        number(run["latency"]["ttft_ms"]["p50"]),
        number(run["latency"]["itl_ms"]["p50"]),
        number(agreement.get("counter_j"), 5),
        number(agreement.get("integral_j"), 5),
        number(agreement.get("difference_pct"), 3),
        number(value(energy["per_output_token_j"])),
        number(phases["prefill"].get("j_per_token")),
        number(phases["decode"].get("j_per_token")),
        number(value(energy["mean_w"])),
        number(value(energy["baseline_w"])),
        number(series.get("samples_per_s")),
        str(series.get("gaps", "–")),
        number(series.get("largest_gap_ms"), 3),
        number(run["harness"]["sampler_cpu_pct"], 2),
        number((run["memory"]["peak_bytes"] or 0) / 2**30, 4),
    ]


def main(paths):
    print("| " + " | ".join(HEAD) + " |")
    print("|" + "---|" * len(HEAD))
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                study = json.load(file)
        except (OSError, ValueError) as error:
            print(f"{path}: {error}")
            continue
        for run in study["runs"]:
            print("| " + " | ".join(row(run)) + " |")
            for warning in run["warnings"]:
                print(f"<!-- {warning['code']}: {warning['message']} -->")
            if run["energy"].get("phases_reason"):
                print(f"<!-- phases: {run['energy']['phases_reason']} -->")


if __name__ == "__main__":
    main(sys.argv[1:])
