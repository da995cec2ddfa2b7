"""Reads what llem wrote for GuideLLM with GuideLLM's own models, and computes its statistics again with its code.

    python check_guidellm.py benchmarks.json
"""
import math
import random
import sys

from guidellm.benchmark.schemas.report import GenerativeBenchmarksReport
from guidellm.schemas import DistributionSummary

report = GenerativeBenchmarksReport.load_file(sys.argv[1])
assert report.config.metadata.labels["measured_by"] == "llem", report.config.metadata


def same(ours, theirs, what):
    # Seconds since 1970 in a float have steps of 0.2 µs; so have differences of two. Which of equally frequent values
    # is the mode, and which of two neighbours a percentile of rates, depends on that: theirs are several.
    def between(name, a, all):
        low, high = min(all), max(all)
        near = any(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-3) for b in all)
        assert low <= a <= high or near, (what, name, a, all)

    for name in ("mean", "median", "std_dev", "min", "max", "count", "total_sum"):
        between(name, getattr(ours, name), [getattr(t, name) for t in theirs])
    for name in type(theirs[0].percentiles).model_fields:
        between(name, getattr(ours.percentiles, name), [getattr(t.percentiles, name) for t in theirs])


def values(list):
    return [DistributionSummary.from_values(list)]


def shifted(of, list, start, end, moved):
    """The distribution as it is, and where the window, or each time, is a few steps of a float sooner or later."""
    shifts = ((0, 0), (2e-6, 0), (-2e-6, 0), (0, 2e-6), (0, -2e-6))
    out = [of(list, start + a, end + b) for a, b in shifts]
    draw = random.Random(7)
    for _ in range(20):
        out.append(of([moved(t, lambda: draw.uniform(-5e-7, 5e-7)) for t in list], start, end))
    return out


def rates(list, start, end):
    """Of times, or of pairs of a time and a weight."""
    def moved(t, by):
        return (t[0] + by(), *t[1:]) if isinstance(t, tuple) else t + by()

    return shifted(DistributionSummary.rate_distribution_from_timings, list, start, end, moved)


def concurrency(list, start, end):
    def moved(t, by):
        return t[0] + by(), t[1] + by()

    return shifted(DistributionSummary.concurrency_distribution_from_timings, list, start, end, moved)


for benchmark in report.benchmarks:
    done, m = benchmark.requests.successful, benchmark.metrics
    start, end = benchmark.start_time, benchmark.end_time
    assert m.request_totals.successful == len(done) > 0
    for ours, theirs, what in (
        (m.time_to_first_token_ms, values([r.time_to_first_token_ms for r in done]), "TTFT"),
        (m.time_per_output_token_ms, values([(r.time_per_output_token_ms, r.output_tokens) for r in done]), "TPOT"),
        (m.inter_token_latency_ms,
         values([(r.inter_token_latency_ms or 0.0, r.output_tokens - 1.0) for r in done]), "ITL"),
        (m.request_latency, values([r.request_latency for r in done]), "latency"),
        (m.prompt_token_count, values([r.prompt_tokens for r in done]), "prompt tokens"),
        (m.output_token_count, values([r.output_tokens for r in done]), "output tokens"),
        (m.requests_per_second, rates([r.request_end_time for r in done], start, end), "requests/s"),
        (m.output_tokens_per_second,
         rates([t for r in done for t in r.output_tokens_timings], start, end), "output tokens/s"),
        (m.prompt_tokens_per_second, rates([r.prompt_tokens_timing for r in done], start, end), "prompt tokens/s"),
        (m.tokens_per_second, rates([t for r in done for t in r.total_tokens_timings], start, end), "tokens/s"),
        (m.request_concurrency,
         concurrency([(r.request_start_time, r.request_end_time) for r in done], start, end), "concurrency"),
    ):
        same(ours.successful, theirs, what)
print(f"GuideLLM: {len(report.benchmarks)} benchmarks read, statistics match")
