"""Definition of `randomized_pca` in NumPy float64, with a centred copy of X."""

import numpy as np
from scipy.linalg import qr, svd

from ..array_namespace import Array
from . import OVERSAMPLES, POWER_ITERATIONS, SEED


def component_signs(components: np.ndarray) -> np.ndarray:
    """Signs that make the largest loading of each component positive."""
    largest = np.abs(components).argmax(axis=1)
    return np.sign(components[np.arange(len(components)), largest])


def randomized_pca(X: Array, n_components: int) -> np.ndarray:
    """See the contract in the package's docstring."""
    X = np.asarray(X, dtype=np.float64)
    centred = X - X.mean(axis=0)
    # The range finder works on whichever of X and its transpose has more rows than columns.
    wide = X.shape[0] < X.shape[1]
    A = centred.T if wide else centred
    directions = np.random.RandomState(SEED).normal(size=(A.shape[1], n_components + OVERSAMPLES))
    for _ in range(POWER_ITERATIONS):
        directions = A.T @ (A @ directions)
    basis = qr(A @ directions, mode="economic")[0]
    left, singular, right = svd(basis.T @ A, full_matrices=False)
    left = basis @ left
    if wide:
        left, right = right.T, left.T
    signs = component_signs(right[:n_components])
    return left[:, :n_components] * (signs * singular[:n_components])
