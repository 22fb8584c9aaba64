"""`principal_axes` by LAPACK's `syevr`, for the wanted eigenpairs only."""

import numpy as np
from scipy.linalg import eigh

from ..array_namespace import Array
from . import number_of_axes, with_signs

BLOCK_ROWS = 256


def principal_axes(
    gram: np.ndarray, n_axes: int | None = None, variance: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    # The upper triangle of a C-ordered matrix is the lower one of what LAPACK sees.
    lower = np.ascontiguousarray(gram).T
    size = len(gram)
    if n_axes is None:
        all_values = eigh(lower, lower=True, eigvals_only=True, check_finite=False)
        all_values = np.maximum(all_values[::-1], 0.0)
        n_axes = min(size, number_of_axes(all_values, all_values.sum(), variance))
    wanted = [size - n_axes, size - 1]
    values, axes = eigh(lower, lower=True, subset_by_index=wanted, check_finite=False)
    axes = np.ascontiguousarray(axes[:, ::-1])
    return np.maximum(values[::-1], 0.0), with_signs(axes)


def principal_scores(X: np.ndarray, shift: np.ndarray, axes: Array) -> np.ndarray:
    """See the contract in the package's docstring."""
    scores = np.empty((len(X), axes.shape[1]))
    block = np.empty((min(BLOCK_ROWS, len(X)), X.shape[1]))
    for start in range(0, len(X), BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, len(X)))
        centred = block[: rows.stop - start]
        np.subtract(X[rows], shift, out=centred)
        np.matmul(centred, axes, out=scores[rows])
    return scores
