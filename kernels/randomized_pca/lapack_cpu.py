"""`randomized_pca` by BLAS and LAPACK: X is read by blocks of rows, never copied.

All of it is NumPy's BLAS: SciPy carries another, and the idle threads of the one, which spin for a
while, would take the processors from those of the other.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..array_namespace import Array
from .shared_range_finder import CentredRows, principal_scores

#: A block of 2048 columns and its products stay in the outer caches.
BLOCK_ROWS = 256


class _Rows(CentredRows):
    """All blocks in one float64 buffer."""

    def __init__(self, X: Array) -> None:
        self.X = X
        self.shape = X.shape
        self._buffer = np.empty((min(BLOCK_ROWS, len(X)), X.shape[1]))
        self._mean = np.zeros(X.shape[1])
        self._mean = sum(block.sum(axis=0) for _, block in self.blocks()) / len(X)

    def blocks(self) -> Iterator[Any]:
        for start in range(0, len(self.X), BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, len(self.X)))
            block = self._buffer[: rows.stop - start]
            np.subtract(self.X[rows], self._mean, out=block)
            yield rows, block

    def times(self, right: np.ndarray) -> np.ndarray:
        product = np.empty((len(self.X), right.shape[1]))
        for rows, block in self.blocks():
            np.matmul(block, right, out=product[rows])
        return product


def randomized_pca(X: Array, n_components: int) -> np.ndarray:
    """See the contract in the package's docstring."""
    return principal_scores(_Rows(X), n_components, like=X)
