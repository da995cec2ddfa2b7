"""Writes oracle.json: what other software says about the same numbers.

Needs numpy, scipy, statsmodels and pymannkendall; made with scipy 1.17.1,
statsmodels 0.15.0 and pymannkendall 1.4.3:

    python oracle.py > oracle.json
"""
import itertools
import json
import math
import sys
import warnings

import numpy as np
import pymannkendall
from scipy import stats
from statsmodels.stats.multitest import multipletests

warnings.simplefilter("ignore")
rng = np.random.default_rng(20240613)


def rounded(values, digits=4):
    return [round(float(v), digits) for v in values]


def student():
    dfs = [1, 2, 3, 4, 5, 7.5, 9, 19, 29.3, 60, 61, 100, 1000.5, 1e5]
    tails = [0.49, 0.4, 0.25, 0.1, 0.05, 0.025, 0.005, 1e-4, 1e-8]
    return [[df, q, stats.t.isf(q, df)] for df in dfs for q in tails]


def mean_interval(values):
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    return {"values": values, "low": low, "high": high}


def bca(values, name):
    statistic = {"mean": np.mean, "median": np.median}[name]
    r = stats.bootstrap((values,), statistic, method="BCa", n_resamples=200_000, batch=2000, rng=1)
    return {"values": values, "statistic": name, "low": r.confidence_interval.low, "high": r.confidence_interval.high}


def ratio(a, b, paired):
    """The t test of the logarithms: of pairs, or Welch's."""
    x, y = np.log(a), np.log(b)
    test = stats.ttest_rel(y, x) if paired else stats.ttest_ind(y, x, equal_var=False)
    ci, value = test.confidence_interval(0.95), math.exp(np.mean(y) - np.mean(x))
    return {"a": a, "b": b, "paired": paired, "value": value, "p": float(test.pvalue),
            "low": math.exp(ci.low), "high": math.exp(ci.high)}


def power(df, d, alpha):
    """Power of a two-sided t test with noncentrality d."""
    limit = stats.t.isf(alpha / 2, df)
    return [df, d, alpha, float(stats.nct.sf(limit, df, d) + stats.nct.cdf(-limit, df, d))]


def difference(x, y, axis):
    return np.mean(y, axis=axis) - np.mean(x, axis=axis)


def permutation(a, b, paired):
    """All arrangements, by scipy; n_resamples only has to be large enough."""
    kind = "samples" if paired else "independent"
    r = stats.permutation_test((a, b), difference, permutation_type=kind, n_resamples=10_000_000, batch=20_000)
    return {"a": a, "b": b, "paired": paired, "p": float(r.pvalue)}


def trend(values, times=None):
    """Mann-Kendall: exact by scipy's Kendall test, with ties by pymannkendall."""
    n = len(values)
    times = list(range(n)) if times is None else times
    tied = len(set(values)) < n
    exact = not tied and n <= 50
    tau = stats.kendalltau(times, values, method="exact" if exact else "asymptotic")
    mk = pymannkendall.original_test(values)
    out = {"times": times, "values": values, "s": int(mk.s), "tau": float(tau.statistic),
           "exact": exact, "p": float(tau.pvalue if exact else mk.p)}
    slope = stats.theilslopes(values, times, alpha=0.95)
    out["slope"] = float(slope.slope)
    if not exact:
        out["low"], out["high"] = float(slope.low_slope), float(slope.high_slope)
    elif n <= 9:
        out["low"], out["high"] = exact_slope(values, times)
    return out


def exact_slope(values, times):
    """Interval of the slope from all n! orders; None when there is none."""
    n = len(values)
    falls = np.zeros(n * (n - 1) // 2 + 1)
    for p in itertools.permutations(range(n)):
        falls[sum(p[i] > p[j] for i in range(n) for j in range(i + 1, n))] += 1
    below = np.cumsum(falls) / math.factorial(n)
    cut = int(np.sum(below <= 0.025)) - 1
    if cut < 0:
        return None, None
    slopes = sorted((values[j] - values[i]) / (times[j] - times[i]) for i in range(n) for j in range(i + 1, n))
    return slopes[cut], slopes[-1 - cut]


def holm(p):
    return {"p": p, "adjusted": [float(v) for v in multipletests(p, method="holm")[1]]}


skew = np.random.default_rng(5)
pairs = rounded(skew.lognormal(1, 0.2, 25)), rounded(skew.lognormal(1, 1, 25))
normal = rounded(rng.normal(10, 1, 25))
skewed = rounded(rng.lognormal(0, 1, 40))
base = rng.normal(100, 10, 24)
few = rounded(rng.normal(10, 1, 7))
json.dump({
    "student": student(),
    "mean_interval": [mean_interval(v) for v in (few, normal, [3.0, 4.5])],
    "bca": [bca(normal, "mean"), bca(skewed, "mean"), bca(rounded(rng.normal(0, 1, 101)), "median"),
            bca([float(v) for v in rng.poisson(3, 30)], "mean")],
    "ratio": [ratio(rounded(base), rounded(0.9 * base + rng.normal(0, 2, 24)), True),
              ratio(rounded(rng.lognormal(2, 0.4, 22)), rounded(rng.lognormal(2.2, 0.6, 31)), False),
              ratio(*pairs, True),
              ratio([212.1, 208.9, 210.4], [158.2, 155.0, 157.1], True),
              ratio([212.1, 208.9, 210.4, 209.0], [158.2, 171.0, 150.1, 149.9, 160.3], False),
              ratio([5.0, 5.0, 5.0], [4.0, 4.5, 4.2, 4.1], False)],
    "power": [power(df, d, alpha) for df in (1, 2, 4, 8, 50, 900) for d in (0.2, 2, 4, 6) for alpha in (0.05, 0.007)],
    "permutation": [
        permutation(rounded(rng.normal(10, 1, 8)), rounded(rng.normal(11, 1, 8)), True),
        permutation([1.0, 2, 3, 4, 5, 6], [1.0, 3, 4, 4, 6, 9], True),
        permutation(rounded(rng.normal(10, 1, 14)), rounded(rng.normal(10.5, 1, 14)), True),
        permutation(rounded(rng.normal(10, 1, 5)), rounded(rng.normal(11, 1, 5)), False),
        permutation(rounded(rng.normal(10, 1, 3)), rounded(rng.lognormal(2.4, 0.3, 7)), False),
        permutation([0.1, 0.2, 0.3, 0.3], [0.2, 0.3, 0.4, 0.4, 0.5], False),
    ],
    "permutation_large": [
        permutation(rounded(rng.normal(10, 1, 18)), rounded(rng.normal(10.4, 1, 18)), True),
        permutation(rounded(rng.normal(10, 1, 11)), rounded(rng.normal(10.7, 1, 10)), False),
    ],
    "trend": [
        trend([1.0, 2, 4, 3, 5]),
        trend([1.0, 3, 2]),
        trend(rounded(rng.normal(0, 1, 8))),
        trend(rounded(0.5 * np.arange(9) + rng.normal(0, 1, 9)), rounded(np.cumsum(rng.uniform(0.5, 2, 9)))),
        trend(rounded(0.05 * np.arange(40) + rng.normal(0, 1, 40))),
        trend([float(v) for v in rng.poisson(4, 20)]),
        trend([float(v) for v in rng.poisson(4 + 0.1 * np.arange(60))]),
        trend(rounded(0.01 * np.arange(80) + rng.normal(0, 1, 80))),
    ],
    "holm": [holm([0.01, 0.04, 0.03, 0.005]), holm([0.02, 0.02, 0.9, 1.0, 0.0001, 0.02]),
             holm(rounded(rng.uniform(0, 0.3, 12)))],
}, sys.stdout, indent=1)
print()
