"""For every version: the randomised range finder on blocks of rows, NumPy's or PyTorch's."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..array_namespace import Array, array_namespace, beside
from . import OVERSAMPLES, POWER_ITERATIONS, SEED


class CentredRows:
    """X without its column means; a version gives `blocks` and `times`.

    Attributes
    ----------
    shape : (int, int)
    """

    def blocks(self) -> Iterator[Any]:
        """Yield slices of rows and the centred rows, float64; a block may overwrite the last."""
        raise NotImplementedError

    def times(self, right: Array) -> Array:
        """centred X @ right"""
        raise NotImplementedError

    def transposed_times(self, left: Array) -> Array:
        """centred X.T @ left"""
        return sum(block.T @ left[rows] for rows, block in self.blocks())

    def gram_times(self, right: Array) -> Array:
        """centred X.T @ centred X @ right, in one reading"""
        return sum(block.T @ (block @ right) for _, block in self.blocks())


def _range_of_rows(A: Any, directions: Array) -> tuple[Array, Array]:
    """Principal scores and axes from directions in feature space (n >= d)."""
    linalg = array_namespace(directions).linalg
    for _ in range(POWER_ITERATIONS):
        directions = A.gram_times(directions)
    basis, _ = linalg.qr(A.times(directions))
    left, singular, axes = linalg.svd(A.transposed_times(basis).T, full_matrices=False)
    return basis @ (left * singular), axes


def _range_of_columns(A: Any, directions: Array) -> tuple[Array, Array]:
    """Principal scores and axes from directions in sample space (n < d)."""
    linalg = array_namespace(directions).linalg
    directions = A.transposed_times(directions)
    for _ in range(POWER_ITERATIONS):
        directions = A.gram_times(directions)
    basis, _ = linalg.qr(directions)
    left, singular, right = linalg.svd(A.times(basis).T, full_matrices=False)
    return right.T * singular, (basis @ left).T


def _signs(axes: Array) -> Array:
    """Signs that make the largest loading of each axis positive."""
    largest = abs(axes).argmax(axis=1)
    return array_namespace(axes).sign(axes[beside(axes, np.arange(len(axes))), largest])


def principal_scores(A: Any, n_components: int, like: Array) -> Array:
    """(n, n_components) scores of the centred rows; ``like`` names the kind of array."""
    n, d = A.shape
    size = (min(n, d), n_components + OVERSAMPLES)
    directions = beside(like, np.random.RandomState(SEED).normal(size=size))
    find_range = _range_of_columns if n < d else _range_of_rows
    scores, axes = find_range(A, directions)
    return scores[:, :n_components] * _signs(axes[:n_components])
