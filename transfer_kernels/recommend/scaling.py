"""A task's performances on a scale that tasks of any level share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.measures import mean_ranks

Matrix = NDArray[Any]

SCALINGS = ("none", "unit", "rank")


def scaled_matrix(performance: Matrix, scaling: str) -> Matrix:
    """Scale every column (M, T) by what is known of it; gaps stay NaN."""
    if scaling == "none":
        return performance
    scaled = np.full(performance.shape, np.nan)
    for t, column in enumerate(performance.T):
        known = np.isfinite(column)
        if scaling == "rank":
            scaled[known, t] = (mean_ranks(column[known]) - 0.5) / known.sum()
        else:
            scaled[known, t] = _to_unit(column[known], column[known])
    return scaled


def scaled_row(row: Matrix, performance: Matrix, scaling: str) -> Matrix:
    """Scale a further model's performances (T,) as those of the columns were."""
    if scaling == "none":
        return row
    scaled = np.full(len(row), np.nan)
    for t in np.flatnonzero(np.isfinite(row)):
        column = performance[np.isfinite(performance[:, t]), t]
        if scaling == "rank":
            below = (column < row[t]).sum() + 0.5 * (column == row[t]).sum()
            scaled[t] = below / len(column)
        else:
            scaled[t] = _to_unit(row[t : t + 1], column)[0]
    return scaled


def _to_unit(values: Matrix, column: Matrix) -> Matrix:
    """Values on the scale where the column reaches from 0 to 1; what lies below it is 0."""
    low, high = column.min(), column.max()
    if low == high:
        return np.full(len(values), 0.5)
    return np.maximum((values - low) / (high - low), 0.0)
