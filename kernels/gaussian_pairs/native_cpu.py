"""`gaussian_pairs` in C++: a pair in every lane of the vectors, classes over the threads."""

from typing import Any

import numpy as np

from ..native_runtime import native_module, runtime_arguments
from . import PIVOT_EPS, SMALLEST_VARIANCE


def gaussian_pairs(means: np.ndarray, covariances: Any) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    n_classes, p = means.shape
    if covariances.ndim == 1:
        covariances = np.repeat(covariances[:, None], p, axis=1)
    distances, logdets = np.empty((n_classes, n_classes)), np.empty((n_classes, n_classes))
    native_module().gaussian_pairs(
        np.ascontiguousarray(means, dtype=np.float64),
        np.ascontiguousarray(covariances, dtype=np.float64),
        PIVOT_EPS,
        SMALLEST_VARIANCE,
        distances,
        logdets,
        **runtime_arguments(),
    )
    return distances, logdets
