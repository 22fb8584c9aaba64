"""`randomized_pca` by BLAS and LAPACK: X is read by blocks of rows, never copied.

All of it is NumPy's BLAS: SciPy carries another, and the idle threads of the one, which spin for a
while, would take the processors from those of the other.
"""

import numpy as np
from numpy.linalg import qr, svd

from . import OVERSAMPLES, POWER_ITERATIONS, SEED
from .reference import component_signs

#: A block of 2048 columns and its products stay in the outer caches.
BLOCK_ROWS = 256


class _CentredRows:
    """X without its column means, a block of rows at a time in one float64 buffer."""

    def __init__(self, X):
        self.X = X
        self.shape = X.shape
        self._buffer = np.empty((min(BLOCK_ROWS, len(X)), X.shape[1]))
        self._mean = np.zeros(X.shape[1])
        self._mean = sum(block.sum(axis=0) for _, block in self.blocks()) / len(X)

    def blocks(self):
        for start in range(0, len(self.X), BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, len(self.X)))
            block = self._buffer[: rows.stop - start]
            np.subtract(self.X[rows], self._mean, out=block)
            yield rows, block

    def times(self, right):
        """centred X @ right"""
        product = np.empty((len(self.X), right.shape[1]))
        for rows, block in self.blocks():
            np.matmul(block, right, out=product[rows])
        return product

    def transposed_times(self, left):
        """centred X.T @ left"""
        return sum(block.T @ left[rows] for rows, block in self.blocks())

    def gram_times(self, right):
        """centred X.T @ centred X @ right, in one reading"""
        return sum(block.T @ (block @ right) for _, block in self.blocks())


def _range_of_rows(A, directions):
    """Principal scores and axes from directions in feature space (n >= d)."""
    for _ in range(POWER_ITERATIONS):
        directions = A.gram_times(directions)
    basis, _ = qr(A.times(directions))
    left, singular, axes = svd(A.transposed_times(basis).T, full_matrices=False)
    return basis @ (left * singular), axes


def _range_of_columns(A, directions):
    """Principal scores and axes from directions in sample space (n < d)."""
    directions = A.transposed_times(directions)
    for _ in range(POWER_ITERATIONS):
        directions = A.gram_times(directions)
    basis, _ = qr(directions)
    left, singular, right = svd(A.times(basis).T, full_matrices=False)
    return right.T * singular, (basis @ left).T


def randomized_pca(X, n_components):
    """See the contract in the package's docstring."""
    n, d = X.shape
    size = (min(n, d), n_components + OVERSAMPLES)
    directions = np.random.RandomState(SEED).normal(size=size)
    find_range = _range_of_columns if n < d else _range_of_rows
    scores, axes = find_range(_CentredRows(X), directions)
    return scores[:, :n_components] * component_signs(axes[:n_components])
