"""Coordinates of a problem's features along the principal axes that hold a share of the variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import array_namespace, as_float64
from .problem import Problem

BLOCK_ELEMENTS = 1 << 22


def principal_scores(problem: Problem, variance: float) -> Any:
    """(n, p) float64 coordinates, beside the features; p = 0 where they do not vary.

    Parameters
    ----------
    problem : Problem
    variance : float
        The axes are the fewest whose share of the variance exceeds it.
    """
    gram, mean = problem.centred_gram, problem.mean
    values, axes = _leading_axes(gram, variance)
    if len(values) == 0:
        return as_float64(problem.features[:, :0])
    if problem.n_samples < problem.n_features:
        return axes * array_namespace(axes).sqrt(values)
    scores = (
        array_namespace(axes).empty_like(axes, shape=(problem.n_samples, len(values)))
        if (array_namespace(axes) is np)
        else axes.new_empty((problem.n_samples, len(values)))
    )
    step = max(1, BLOCK_ELEMENTS // problem.n_features)
    for start in range(0, problem.n_samples, step):
        rows = slice(start, min(start + step, problem.n_samples))
        scores[rows] = (as_float64(problem.features[rows]) - mean) @ axes
    return scores


def _leading_axes(gram: Any, variance: float) -> tuple[Any, Any]:
    """Eigenvalues, descending, and eigenvectors (m, p) of a matrix's upper triangle."""
    xp = array_namespace(gram)
    symmetric = xp.triu(gram) + xp.triu(gram, 1).T
    values, axes = xp.linalg.eigh(symmetric)
    values = xp.flip(values, (0,)).clip(min=0.0)
    total = float(values.sum())
    if not total > 0.0:
        return values[:0], axes[:, :0]
    shares = xp.cumsum(values / total, 0)
    count = min(int((shares <= variance).sum()) + 1, len(values))
    return values[:count], xp.flip(axes, (1,))[:, :count]
