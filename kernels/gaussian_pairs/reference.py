"""Definition of `gaussian_pairs` in NumPy: pair after pair."""

from typing import Any

import numpy as np

from . import PIVOT_EPS, SMALLEST_VARIANCE


def gaussian_pairs(means: np.ndarray, covariances: Any) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    n_classes, p = means.shape
    distances = np.zeros((n_classes, n_classes))
    logdets = np.zeros((n_classes, n_classes))
    pair = _of_matrices if covariances.ndim == 3 else _of_variances
    for i in range(n_classes):
        for j in range(i, n_classes):
            S = 0.5 * (covariances[i] + covariances[j])
            found = pair(means[i] - means[j], S if S.ndim else np.full(p, S))
            distances[i, j], logdets[i, j] = found
            distances[j, i], logdets[j, i] = found
    return distances, logdets


def _of_matrices(difference: Any, S: Any) -> Any:
    S = np.triu(S) + np.triu(S, 1).T
    try:
        factor = np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        return np.nan, -np.inf
    if not (factor.diagonal() ** 2 > len(S) * PIVOT_EPS * S.diagonal().max()).all():
        return np.nan, -np.inf
    return difference @ np.linalg.solve(S, difference), np.linalg.slogdet(S)[1]


def _of_variances(difference: Any, variances: Any) -> Any:
    if not (variances >= SMALLEST_VARIANCE).all():
        return np.nan, -np.inf
    return (difference**2 / variances).sum(), np.log(variances).sum()
