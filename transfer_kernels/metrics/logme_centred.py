"""LogME of badly conditioned features, from their centred Gram matrix and mean.

A few rows that are much louder than the others drown the digits of these in a Gram matrix. They are
then left out of it, which takes another pass over the features, and stand in the factorisation as
they are. For n <= d the rows are the features, else the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np

from ..kernels.array_namespace import Array, as_float64, beside, on_host
from ..kernels.logme_evidence import shared_centred as centred
from ..ops import Evidence, EvidenceRule, FisherScatter, LargestEvidence
from .problem import Problem

#: Rows of which the square of the distance from the others is so many times the median are loud.
LOUD = 1e4
#: Most rows that are left out.
MOST_LOUD = 64
#: Rows that are looked at for their mean, and that are measured at a time.
SHIFT_ROWS, BLOCK_ROWS = 256, 1024
NO_ROWS = np.arange(0)


def evidence(
    problem: Problem,
    regression: bool,
    rule: EvidenceRule | LargestEvidence,
    widened: Callable[[Any], Any],
) -> Evidence | None:
    """Evidence of every target, or None where it may lack digits.

    ``widened`` adds the columns of classes that do not occur to those (., K) of classes.
    """
    if problem.only_sums:
        rows = problem.scatter.shifted_sums[:0]
        return _without(problem, rows, NO_ROWS, regression, rule, widened)
    dual = problem.n_samples <= problem.n_features
    rows = problem.features.T if dual else problem.features
    found = _without(problem, rows, NO_ROWS, regression, rule, widened)
    if found is not None:
        return found
    shift, loud = _loud_rows(rows)
    if len(loud) == 0:
        return None
    return _without(problem, rows, loud, regression, rule, widened, shift)


def _without(
    problem: Problem,
    rows: Array,
    loud: np.ndarray,
    regression: bool,
    rule: EvidenceRule | LargestEvidence,
    widened: Callable[[Array], Array],
    shift: Array | None = None,
) -> Evidence | None:
    """The same with some rows left out of the Gram matrix."""
    n, d = problem.n_samples, problem.n_features
    dual = n <= d and not problem.only_sums
    quiet = np.ones(n if problem.only_sums else len(rows))
    quiet[loud] = 0.0
    if shift is not None:
        codes = np.zeros(len(rows), dtype=np.int64) if dual or regression else problem.host_codes
        scatter = _scatter(problem, rows, quiet, shift, codes)
    elif dual or regression:
        scatter = problem.gram_scatter
    else:
        scatter = problem.scatter
    mean = scatter.shifted_sums.sum(axis=0) / float(quiet.sum())
    moments = of_loud = None
    if dual:
        targets = problem.targets if regression else _indicators(problem, widened)
        squares = np.einsum("ik,ik->k", targets, targets)
    elif regression:
        values = problem.targets
        squares = np.einsum("ik,ik->k", values, values)
        of_loud, targets = values[loud], quiet @ values
        centred_values = (values - targets / quiet.sum()) * quiet[:, None]
        moments = problem.ops.target_moments(rows, centred_values, scatter.shift + mean)
    else:
        squares = widened(problem.class_counts[None, :])[0]
        targets = widened(on_host(scatter.counts)[None, :])[0]
        of_loud = _indicators(problem, widened, loud)
        moments = widened((scatter.shifted_sums - scatter.counts[:, None] * mean).T)
    found = centred.evidence(
        *(scatter, moments, targets, squares, n, d, rule, dual),
        *(as_float64(rows[loud]), of_loud, problem.ops.logme_evidence),
    )
    if found is None:
        return None
    return Evidence(*(beside(problem.anchor, values) for values in astuple(found)))


def _indicators(
    problem: Problem, widened: Callable[[Array], Array], rows: slice | np.ndarray = slice(None)
) -> Array:
    """(n, K) indicators of the classes of samples."""
    if rows is NO_ROWS:
        return widened(np.zeros((0, len(problem.classes))))
    return widened(np.eye(len(problem.classes))[problem.host_codes[rows]])


def _scatter(
    problem: Problem, rows: Array, weights: Array, shift: Array, codes: Array
) -> FisherScatter:
    codes, n_classes = beside(rows, codes), int(codes.max()) + 1
    return problem.ops.fisher_scatter(rows, codes, n_classes, beside(rows, weights), shift)


def _loud_rows(rows: Array) -> tuple[Array, np.ndarray]:
    """Mean of some quiet rows, and which rows are loud; none where they are too many."""
    n_rows = len(rows)
    chosen = np.unique(np.linspace(0, n_rows - 1, min(SHIFT_ROWS, n_rows)).astype(np.int64))
    some = as_float64(rows[chosen])
    # The rows nearest to their median, by column, are quiet where most are.
    centre = beside(rows, np.median(on_host(some), axis=0))
    distances = on_host(((some - centre) ** 2).sum(axis=1))
    shift = some[np.argsort(distances)[: (len(some) + 1) // 2]].mean(axis=0)
    squares = np.concatenate(
        [
            on_host(((as_float64(rows[start : start + BLOCK_ROWS]) - shift) ** 2).sum(axis=1))
            for start in range(0, n_rows, BLOCK_ROWS)
        ]
    )
    loud = np.flatnonzero(squares > LOUD * np.median(squares))
    return shift, loud if len(loud) <= min(MOST_LOUD, n_rows // 4) else NO_ROWS
