"""For the CPU versions: rows of `nearest_neighbors` as they are compared, scaled, their origin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..array_namespace import Array

#: Rows of which the mean is taken as the origin: any origin serves, one amid the rows serves well.
ORIGIN_ROWS = 1024
BLOCK_ELEMENTS = 1 << 20
#: Exponents of entries and norms whose products, and whose inverse, are ordinary numbers.
ORDINARY_EXPONENT = 100


@dataclass(frozen=True)
class Rows:
    """Rows ``scales[i] * array[i]``, of entries up to one.

    Parameters
    ----------
    array : (n, d) array
        In the caller's type.
    scales : (n,) float64 array
    exponent : int
        They are in units of two to this power of the caller's.
    """

    array: np.ndarray
    scales: np.ndarray
    exponent: int = 0

    def __len__(self) -> int:
        return len(self.array)

    @property
    def n_features(self) -> int:
        return self.array.shape[1]

    def block(self, rows: Any) -> np.ndarray:
        """(m, d) some of them in float64."""
        return self.array[rows].astype(np.float64) * self.scales[rows, None]


def comparable(X: Array, others: Array | None, metric: str) -> tuple[Rows, Rows]:
    """The `Rows` of X and those of the others; the same object twice without others."""
    arrays = [X] if others is None else [X, others]
    if metric == "cosine":
        rows = _directions(arrays)
    else:
        exponent = math.frexp(max(_peak(array) for array in arrays))[1]
        if abs(exponent) > ORDINARY_EXPONENT:
            arrays = [np.ldexp(array.astype(np.float64), -exponent) for array in arrays]
            scale = 1.0
        else:
            scale = 2.0**-exponent
        rows = [Rows(array, np.full(len(array), scale), exponent) for array in arrays]
    return rows[0], rows[-1]


def origin_of(rows: Any) -> tuple[np.ndarray, float]:
    """(d,) a point amid the rows; and a bound of the error in a row less this point."""
    count = min(len(rows), ORIGIN_ROWS)
    sample = rows.block([i * len(rows) // count for i in range(count)])
    origin = sample.mean(axis=0)
    largest = math.sqrt(rows.n_features) + float(np.linalg.norm(origin))
    return origin, 2.0**-51 * largest


def row_blocks(n_rows: int, n_features: int) -> list[slice]:
    """Slices of rows that make a small array in float64."""
    step = max(1, BLOCK_ELEMENTS // n_features)
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def _peak(array: Array) -> float:
    return max(float(array.max()), -float(array.min()))


def _directions(arrays: list[Any]) -> Any:
    """Unit rows; those of zeros have a coordinate of their own."""
    low, high = 2.0**-ORDINARY_EXPONENT, 2.0**ORDINARY_EXPONENT
    peaks = [
        np.maximum(array.max(axis=1), -array.min(axis=1)).astype(np.float64) for array in arrays
    ]
    if all(((low < peak) & (peak < high)).all() for peak in peaks):
        return [Rows(array, 1.0 / _norms(array)) for array in arrays]
    found = []
    for array, peak in zip(arrays, peaks, strict=True):
        exponents = np.frexp(peak)[1]
        array = np.ldexp(array.astype(np.float64), -exponents[:, None])
        array = np.column_stack([array, peak == 0])
        found.append(Rows(array, 1.0 / _norms(array)))
    return found


def _norms(array: Array) -> np.ndarray:
    norms = np.empty(len(array))
    for rows in row_blocks(*array.shape):
        block = array[rows].astype(np.float64)
        norms[rows] = np.sqrt(np.einsum("ij,ij->i", block, block))
    return norms
