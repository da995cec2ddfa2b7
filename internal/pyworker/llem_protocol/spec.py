"""The parts of a Spec that all engines share."""

from __future__ import annotations


def options_of(spec: dict) -> dict:
    """The engine's section of the study; none is empty."""
    return spec.get("options") or {}


def common(spec: dict, dtype: str) -> dict:
    """The parts of a Spec that all engines have, by name; dtype stands for one that is absent."""
    return {
        "model": spec.get("model") or spec["path"],
        "path": spec["path"],
        "synthetic": bool(spec.get("synthetic")),
        "dtype": spec.get("dtype") or dtype,
        "seed": int(spec.get("seed") or 0),
        "batch_size": int(spec.get("batch_size") or options_of(spec).get("batch_size") or 1),
        "max_context": int(spec.get("max_context") or 0),
    }
