"""`gaussian_pairs` by Numba: one Cholesky factor a pair, classes over the threads."""

from typing import Any

import numpy as np

from ..numba_runtime import kernel, read_only
from ..threads import run_in_threads
from . import PIVOT_EPS, SMALLEST_VARIANCE


@kernel
def _of_matrices(
    i: int,
    means: np.ndarray,
    covariances: np.ndarray,
    distances: np.ndarray,
    logdets: np.ndarray,
) -> None:
    n_classes, p = means.shape
    lower, solved = np.empty((p, p)), np.empty(p)
    for j in range(i, n_classes):
        largest = 0.0
        for a in range(p):
            largest = max(largest, 0.5 * (covariances[i, a, a] + covariances[j, a, a]))
        least = p * PIVOT_EPS * largest
        distance, logdet, regular = 0.0, 0.0, True
        for a in range(p):
            for b in range(a):
                total = 0.5 * (covariances[i, b, a] + covariances[j, b, a])
                for k in range(b):
                    total -= lower[a, k] * lower[b, k]
                lower[a, b] = total * lower[b, b]
            pivot = 0.5 * (covariances[i, a, a] + covariances[j, a, a])
            value = means[i, a] - means[j, a]
            for k in range(a):
                pivot -= lower[a, k] * lower[a, k]
                value -= lower[a, k] * solved[k]
            if not pivot > least:
                regular = False
                break
            lower[a, a] = 1.0 / np.sqrt(pivot)
            solved[a] = value * lower[a, a]
            distance += solved[a] * solved[a]
            logdet += np.log(pivot)
        if not regular:
            distance, logdet = np.nan, -np.inf
        distances[i, j] = distances[j, i] = distance
        logdets[i, j] = logdets[j, i] = logdet


@kernel
def _of_variances(
    i: int,
    means: np.ndarray,
    variances: np.ndarray,
    distances: np.ndarray,
    logdets: np.ndarray,
) -> None:
    n_classes, p = means.shape
    for j in range(i, n_classes):
        distance, logdet = 0.0, 0.0
        for a in range(p):
            variance = 0.5 * (variances[i, a] + variances[j, a])
            if not variance >= SMALLEST_VARIANCE:
                distance, logdet = np.nan, -np.inf
                break
            difference = means[i, a] - means[j, a]
            distance += difference * difference / variance
            logdet += np.log(variance)
        distances[i, j] = distances[j, i] = distance
        logdets[i, j] = logdets[j, i] = logdet


def gaussian_pairs(means: np.ndarray, covariances: Any) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    n_classes, p = means.shape
    if covariances.ndim == 1:
        covariances = np.repeat(covariances[:, None], p, axis=1)
    kernel_of = _of_matrices if covariances.ndim == 3 else _of_variances
    means = read_only(np.ascontiguousarray(means, dtype=np.float64))
    covariances = read_only(np.ascontiguousarray(covariances, dtype=np.float64))
    distances, logdets = np.empty((n_classes, n_classes)), np.empty((n_classes, n_classes))
    run_in_threads(lambda i: kernel_of(i, means, covariances, distances, logdets), range(n_classes))
    return distances, logdets
