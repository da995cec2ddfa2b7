"""Measure the energy of LLM inference.

This package starts the program `llem`, which is in the same wheel, and reads the folders that it writes. It computes no
number itself: what it returns is what the program prints.

    study = llem.run(model="random:smollm2-135m", settings={"embedded.batch_size": [1, 4]}, cycles=3)
    study.to_pandas()
    study.compare(study.experiments[0], study.experiments[1]).answer

    with llem.measure() as m:
        work()
    m.energy_j, m.net_j, m.interval
"""

from ._measure import Phase, measure
from ._program import LlemError, program, version
from ._run import Progress, run
from ._study import Comparison, Experiment, Run, Study
from ._study import open_study as open

__all__ = [
    "Comparison",
    "Experiment",
    "LlemError",
    "Phase",
    "Progress",
    "Run",
    "Study",
    "measure",
    "open",
    "program",
    "run",
    "version",
]
