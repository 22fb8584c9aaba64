"""Performances of a task as normal scores, as which a Gaussian sees every task's column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluation.measures import mean_ranks

Matrix = NDArray[Any]


def normal_scores(values: Matrix) -> Matrix:
    """Return the normal quantiles of the values' ranks, of mean 0 and variance 1; NaN stays.

    Parameters
    ----------
    values : (M,) array
        NaN where it is not known.

    Returns
    -------
    scores : (M,) float64 array
        All NaN where fewer than two different values are known: such a column orders nothing.
    """
    from scipy.special import ndtri

    scores = np.full(len(values), np.nan)
    known = np.isfinite(values)
    n = int(known.sum())
    if n < 2 or values[known].min() == values[known].max():
        return scores
    quantiles = ndtri((mean_ranks(values[known]) - 0.5) / n)
    quantiles -= quantiles.mean()
    scores[known] = quantiles / quantiles.std()
    return scores


def score_columns(performance: Matrix) -> Matrix:
    """Return the normal scores of every column (M, T) of a table with gaps (M, T)."""
    columns = np.empty(performance.shape, order="F")
    for t, column in enumerate(performance.T):
        columns[:, t] = normal_scores(column)
    return columns
