"""`randomized_pca` by cuBLAS and cuSOLVER through PyTorch; X is read by blocks of rows."""

import numpy as np
import torch

from ..torch_runtime import as_doubles, as_features
from . import OVERSAMPLES, POWER_ITERATIONS, SEED

BLOCK_ELEMENTS = 1 << 24


class _CentredRows:
    """X without its column means, a block of rows at a time."""

    def __init__(self, X):
        self.X = X
        self._block_rows = max(1, BLOCK_ELEMENTS // X.shape[1])
        self._mean = 0.0
        total = sum(block.sum(dim=0) for _, block in self.blocks())
        self._mean = total / len(X)

    def blocks(self):
        for start in range(0, len(self.X), self._block_rows):
            rows = slice(start, start + self._block_rows)
            yield rows, self.X[rows].double() - self._mean

    def times(self, right):
        """centred X @ right"""
        return torch.cat([block @ right for _, block in self.blocks()])

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
    basis, _ = torch.linalg.qr(A.times(directions))
    left, singular, axes = torch.linalg.svd(A.transposed_times(basis).T, full_matrices=False)
    return basis @ (left * singular), axes


def _range_of_columns(A, directions):
    """Principal scores and axes from directions in sample space (n < d)."""
    directions = A.transposed_times(directions)
    for _ in range(POWER_ITERATIONS):
        directions = A.gram_times(directions)
    basis, _ = torch.linalg.qr(directions)
    left, singular, right = torch.linalg.svd(A.times(basis).T, full_matrices=False)
    return right.T * singular, (basis @ left).T


def _signs(components):
    """Signs that make the largest loading of each component positive."""
    largest = components.abs().argmax(dim=1, keepdim=True)
    return components.gather(1, largest)[:, 0].sign()


def randomized_pca(X, n_components):
    """See the contract in the package's docstring."""
    X = as_features(X)
    n, d = X.shape
    size = (min(n, d), n_components + OVERSAMPLES)
    directions = as_doubles(np.random.RandomState(SEED).normal(size=size), X)
    find_range = _range_of_columns if n < d else _range_of_rows
    scores, axes = find_range(_CentredRows(X), directions)
    return scores[:, :n_components] * _signs(axes[:n_components])
