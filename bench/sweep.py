"""Times of the metrics against n, d and C, every backend beside the published style."""

from __future__ import annotations

from collections.abc import Iterator

import transfer_kernels as tk

from . import data, lines, machine, published, timing, work
from .data import Problem

#: The point that the axes cross, and the values along each of them.
CENTRE = {"n": 8_000, "d": 512, "n_classes": 50}
AXES = {
    "n": (1_000, 2_000, 4_000, 8_000, 16_000, 32_000),
    "d": (64, 128, 256, 512, 1024, 2048),
    "n_classes": (2, 5, 10, 50, 200, 1000),
}
QUICK_CENTRE = {"n": 600, "d": 64, "n_classes": 10}
QUICK_AXES = {"n": (300, 600, 1_200), "d": (32, 64, 128), "n_classes": (2, 10, 40)}
#: Samples above which the published PARC's matrices of all pairs are not attempted.
MOST_PAIRS = 8_000

METRICS = {
    "LogME": (tk.logme, lambda X, y: published.logme(X, y).score, work.logme),
    "SFDA": (tk.sfda, published.sfda, work.sfda),
    "PARC": (
        lambda X, y, backend: tk.parc(X, y, lines.PARC_COMPONENTS, backend=backend),
        lambda X, y: published.parc(X, y, lines.PARC_COMPONENTS),
        lambda n, d, n_classes: work.parc(n, d, lines.PARC_COMPONENTS),
    ),
}


def points(quick: bool = False) -> Iterator[dict]:
    """One row for each axis, value, metric and implementation, LogME and SFDA compared."""
    centre, axes = (QUICK_CENTRE, QUICK_AXES) if quick else (CENTRE, AXES)
    backends = [name for name in machine.available_backends() if name != "reference"]
    for axis, values in axes.items():
        for value in values:
            problem = Problem(**{**centre, axis: value})
            X, y = data.make(problem)
            for metric, (ours, theirs, flops) in METRICS.items():
                count = flops(problem.n, problem.d, problem.n_classes)
                expected = None
                if metric != "PARC" or problem.n <= MOST_PAIRS:
                    seconds, expected = timing.measure(lambda f=theirs, X=X, y=y: f(X, y), 2)
                    yield row(axis, metric, "published", problem, seconds, count)
                for backend in backends:
                    seconds, found = timing.measure(
                        lambda f=ours, X=X, y=y, b=backend: f(X, y, backend=b), 5
                    )
                    point = row(axis, metric, backend, problem, seconds, count)
                    point["percent_of_peak"] = machine.percent_of_peak(count, seconds["median"])
                    if expected is not None and metric != "PARC":
                        point["max_error"] = abs(found - expected) / max(1.0, abs(expected))
                        point["match"] = bool(point["max_error"] <= lines.METRIC_TOLERANCE)
                    yield point


def row(axis, metric, implementation, problem, seconds, flops) -> dict:
    return {
        "axis": axis,
        "metric": metric,
        "implementation": implementation,
        "problem": problem.facts(),
        "seconds": seconds,
        "flops": flops,
    }
