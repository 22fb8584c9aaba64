"""Definition of `principal_axes` in NumPy: all eigenvectors."""

import numpy as np

from ..array_namespace import Array
from . import number_of_axes, with_signs


def principal_axes(
    gram: np.ndarray, n_axes: int | None = None, variance: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    values, vectors = np.linalg.eigh(np.triu(gram) + np.triu(gram, 1).T)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    if n_axes is None:
        n_axes = min(len(gram), number_of_axes(values, values.sum(), variance))
    return values[:n_axes].copy(), with_signs(vectors[:, :n_axes].copy())


def principal_scores(X: np.ndarray, shift: np.ndarray, axes: Array) -> np.ndarray:
    """See the contract in the package's docstring."""
    return (X.astype(np.float64) - shift) @ axes
