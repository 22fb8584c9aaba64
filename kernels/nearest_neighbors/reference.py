"""Definition of `nearest_neighbors` in NumPy float64: every row with every other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..array_namespace import Array
from . import RESOLUTION


def _directions(X: Array) -> Any:
    """Unit rows; a row of zeros has a coordinate of its own."""
    peaks = np.abs(X).max(axis=1, keepdims=True)
    X = X / np.where(peaks > 0.0, peaks, 1.0)
    norms = np.sqrt((X * X).sum(axis=1, keepdims=True))
    return np.hstack([X / np.where(norms > 0.0, norms, 1.0), peaks == 0.0])


def nearest_neighbors(
    X: Array, k: int, metric: str = "euclidean", others: Array | None = None
) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    X = np.asarray(X, dtype=np.float64)
    rows = X if others is None else np.asarray(others, dtype=np.float64)
    unit = 1.0
    if metric == "cosine":
        X, rows = _directions(X), _directions(rows)
    else:  # squares of very large or small numbers are none
        peak = max(np.abs(X).max(), np.abs(rows).max())
        unit = 2.0 ** math.frexp(peak)[1] if peak > 0.0 else 1.0
        X, rows = X / unit, rows / unit
    indices = np.empty((len(X), k), dtype=np.int64)
    squares = np.empty((len(X), k))
    for i, x in enumerate(X):
        found = ((rows - x) ** 2).sum(axis=1)
        if metric == "cosine":
            found = RESOLUTION * np.rint(found / RESOLUTION)
        if others is None:
            found[i] = np.inf
        indices[i] = np.argsort(found, kind="stable")[:k]
        squares[i] = found[indices[i]]
    return indices, 0.5 * squares if metric == "cosine" else unit * np.sqrt(squares)
