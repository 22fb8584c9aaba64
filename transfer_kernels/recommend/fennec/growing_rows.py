"""Rows added one at a time to a matrix, without copying what is there each time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]


class GrowingRows:
    """A matrix with room for more rows, whose capacity doubles when it is full.

    Columns lie in one piece, as products with few long columns are fastest. Views that were handed
    out keep their values: rows are only ever written behind the last one.

    Parameters
    ----------
    rows : (M, k) array
        Copied.
    """

    def __init__(self, rows: Matrix) -> None:
        self._columns = np.array(rows.T, order="C")
        self._used = len(rows)

    def holds(self, matrix: Any) -> bool:
        """Whether a matrix is the latest view, so that a row can be put behind it."""
        return (
            isinstance(matrix, np.ndarray)
            and len(matrix) == self._used
            and np.shares_memory(matrix[:1], self._columns[:, :1])
        )

    def append(self, row: Matrix) -> Matrix:
        """Add a row (k,) and return the view of all (M + 1, k)."""
        if self._used == self._columns.shape[1]:
            wider = np.empty((len(self._columns), 2 * self._used + 8), self._columns.dtype)
            wider[:, : self._used] = self._columns[:, : self._used]
            self._columns = wider
        self._columns[:, self._used] = row
        self._used += 1
        return self._columns[:, : self._used].T
