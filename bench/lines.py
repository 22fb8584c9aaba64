"""The lines of the speed table: ours beside the published style, values compared, then timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import transfer_kernels as tk

from . import data, machine, published, timing, work
from .bounds import parc_correlation_interval
from .data import Problem

#: Agreement that is asked for: relative for LogME, PARC and the scatter, absolute for SFDA.
METRIC_TOLERANCE, SCATTER_TOLERANCE = 1e-6, 1e-9
PARC_COMPONENTS = 32


@dataclass(frozen=True)
class Sizes:
    """Samples, features and classes of the lines, and how often each is run.

    Parameters
    ----------
    small, large : int
        Samples of the two lines of LogME and SFDA; ``large`` is also that of the scatter.
    pairs : int
        Samples for which PARC's published matrices of all pairs fit.
    d, n_classes, few_classes : int
    rounds : int
        Runs of the published style; the largest take one less.
    """

    small: int
    large: int
    pairs: int
    d: int
    n_classes: int
    few_classes: int
    rounds: int


FULL = Sizes(10_000, 50_000, 5_000, 2048, 100, 10, rounds=3)
QUICK = Sizes(1_000, 3_000, 500, 128, 20, 5, rounds=2)

#: (metric, size) -> ratio that must be reached, ratio to aim for.
RATIOS = {
    ("LogME", "small"): (10, 15),
    ("LogME", "large"): (13, 17),
    ("SFDA", "small"): (17, 24),
    ("SFDA", "large"): (14, 18),
    ("PARC", "pairs"): (30, 60),
}


@dataclass(frozen=True)
class Metric:
    """A metric with its published-style rival, its work and its agreement."""

    name: str
    ours: Callable
    theirs: Callable
    flops: Callable
    error: Callable


def relative_error(value, expected):
    return abs(value - expected) / abs(expected)


METRICS = {
    "LogME": Metric(
        "LogME",
        tk.logme,
        lambda X, y: published.logme(X, y).score,
        work.logme,
        relative_error,
    ),
    "SFDA": Metric("SFDA", tk.sfda, published.sfda, work.sfda, lambda a, b: abs(a - b)),
}


def line(metric: str, size: str, problem: Problem, ours: dict, flops: float, **more) -> dict:
    """One line of the table; what is common to all of them."""
    reach, aim = RATIOS.get((metric, size), (None, None))
    row = {
        "metric": metric,
        "size": size,
        "problem": problem.facts(),
        "ours": ours,
        "flops": flops,
        "floor_s": machine.floor_seconds(flops),
        "percent_of_peak": machine.percent_of_peak(flops, ours["median"]),
        "reach": reach,
        "aim": aim,
        "published": None,
        "ratio": None,
        **more,
    }
    if row["published"]:
        row["ratio"] = row["published"]["median"] / ours["median"]
    return row


def metric_lines(sizes: Sizes) -> Iterator[dict]:
    """LogME and SFDA at both sizes."""
    for size, n, rounds in (
        ("small", sizes.small, sizes.rounds),
        ("large", sizes.large, max(2, sizes.rounds - 1)),
    ):
        problem = Problem(n, sizes.d, sizes.n_classes)
        X, y = data.make(problem)
        for metric in METRICS.values():
            (ours, value), (theirs, expected) = timing.alternate(
                lambda metric=metric, X=X, y=y: metric.ours(X, y),
                lambda metric=metric, X=X, y=y: metric.theirs(X, y),
                rounds,
                ours_per_round=3,
            )
            error = metric.error(value, expected)
            yield line(
                metric.name,
                size,
                problem,
                ours,
                metric.flops(problem.n, problem.d, problem.n_classes),
                published=theirs,
                backends=other_backends(metric.ours, X, y, warm_up=size == "small"),
                value=value,
                max_error=error,
                tolerance=METRIC_TOLERANCE,
                match=bool(error <= METRIC_TOLERANCE),
            )


def other_backends(metric, X, y, warm_up=True) -> dict:
    """Summary of each backend that is available but not the default, the reference left out."""
    names = machine.available_backends()[1:]
    return {
        name: timing.measure(lambda name=name: metric(X, y, backend=name), 2, warm_up)[0]
        for name in names
        if name != "reference"
    }


def parc_small_line(sizes: Sizes) -> Iterator[dict]:
    """PARC where the published matrices of all pairs fit: times of the published code as it is.

    Its value is off where rounding breaks the ties of the label distances; the comparison is with
    the same code in float64 with its distances rounded.
    """
    problem = Problem(sizes.pairs, sizes.d, sizes.n_classes)
    X, y = data.make(problem)
    (ours, value), (theirs, inexact) = timing.alternate(
        lambda: tk.parc(X, y, PARC_COMPONENTS),
        lambda: published.parc(X, y, PARC_COMPONENTS),
        sizes.rounds,
        ours_per_round=5,
    )
    exact = published.parc(X.astype(np.float64), y, PARC_COMPONENTS, exact_ties=True)
    error = relative_error(value, exact)
    yield line(
        "PARC",
        "pairs",
        problem,
        ours,
        work.parc(problem.n, problem.d, PARC_COMPONENTS),
        published=theirs,
        n_components=PARC_COMPONENTS,
        backends=other_backends(
            lambda X, y, backend: tk.parc(X, y, PARC_COMPONENTS, backend=backend), X, y
        ),
        value=value,
        published_value=inexact,
        max_error=error,
        tolerance=METRIC_TOLERANCE,
        match=bool(error <= METRIC_TOLERANCE),
    )


def parc_large_lines(sizes: Sizes) -> Iterator[dict]:
    """PARC where nothing published fits: whole, and its rank sum alone on projected features.

    The values are compared with an interval that must hold them.
    """
    for n_classes in (sizes.n_classes, sizes.few_classes):
        problem = Problem(sizes.large, sizes.d, n_classes)
        X, y = data.make(problem)
        Z = tk.ops.randomized_pca(X, PARC_COMPONENTS)
        whole, value = timing.measure(
            lambda X=X, y=y: tk.parc(X, y, PARC_COMPONENTS), 3, warm_up=False
        )
        del X
        rank_sum, correlation = timing.measure(
            lambda Z=Z, y=y: tk.ops.parc_correlation(Z, y), 3, warm_up=False
        )
        low, high = parc_correlation_interval(Z, y)
        # Half the interval's width is the resolution of this check.
        middle, resolution = 50.0 * (low + high), 50.0 * (high - low)
        for size, ours, found, flops in (
            ("large", whole, value, work.parc(problem.n, problem.d, PARC_COMPONENTS)),
            (
                "large, rank sum alone",
                rank_sum,
                100.0 * correlation,
                work.parc_correlation(problem.n, PARC_COMPONENTS),
            ),
        ):
            error = abs(found - middle)
            yield line(
                "PARC",
                size,
                problem,
                ours,
                flops,
                n_components=PARC_COMPONENTS,
                value=found,
                max_error=error,
                tolerance=resolution + METRIC_TOLERANCE,
                match=bool(error <= resolution + METRIC_TOLERANCE),
            )


def scatter_lines(sizes: Sizes) -> Iterator[dict]:
    """fisher_scatter on every instruction set, float32 and float64 input, weighted and not.

    Beside it the products that a user of BLAS would write, on the same features.
    """
    weights = np.random.default_rng(3).random(sizes.large)
    for dtype in ("float32", "float64"):
        problem = Problem(sizes.large, sizes.d, sizes.n_classes, dtype)
        X, y = data.make(problem)
        for w in (None, weights):
            yield from _scatter_lines_of(problem, X, y, w, sizes.rounds)
        del X


def _scatter_lines_of(problem, X, y, w, rounds):
    flops = work.fisher_scatter(problem.n, problem.d)

    def row(implementation, isa, ours, error=None):
        """``error`` is absent for the product that the others are compared with."""
        return {
            "implementation": implementation,
            "instruction_set": isa,
            "problem": problem.facts(),
            "weighted": w is not None,
            "seconds": ours,
            "flops": flops,
            "gflops": flops / ours["median"] / 1e9,
            "percent_of_peak": machine.percent_of_peak(flops, ours["median"], isa),
            "max_error": error,
            "tolerance": SCATTER_TOLERANCE,
            "match": None if error is None else bool(error <= SCATTER_TOLERANCE),
        }

    # The widest instruction set takes turns with NumPy; the slower ones run less often.
    variants = [("native", isa) for isa in reversed(machine.instruction_sets())]
    if "numba" in machine.available_backends() and (w is None or not variants):
        variants.append(("numba", None))
    expected = sums = None
    for backend, isa in variants:

        def ours(backend=backend):
            return tk.ops.fisher_scatter(X, y, problem.n_classes, w, backend=backend)

        with machine.using_instruction_set(isa):
            if expected is None:
                (seconds, found), (theirs, expected) = timing.alternate(
                    ours, lambda: published.gram(X, w), max(2, rounds - 1), ours_per_round=3
                )
                sums = published.class_sums(X, y, problem.n_classes, w)
                yield row("numpy X.T @ X", None, theirs)
            else:
                seconds, found = timing.measure(ours, 2, warm_up=backend == "numba")
        error = max(_gap(found.gram, expected), _gap(found.sums, sums))
        yield row(backend, isa, seconds, error)
    if w is None:
        seconds, found = timing.measure(lambda: published.gram_dsyrk(X), 2, warm_up=False)
        yield row("scipy dsyrk", None, seconds, _gap(np.triu(found), np.triu(expected)))


def _gap(found, expected) -> float:
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))
