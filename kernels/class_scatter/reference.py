"""Definition of `class_scatter` in NumPy: by singular values."""

import numpy as np


def class_logdets(
    X: np.ndarray, codes: np.ndarray, n_classes: int, shift: np.ndarray, scales: np.ndarray
) -> np.ndarray:
    """See the contract in the package's docstring."""
    logdets = np.zeros(n_classes)
    for c in range(n_classes):
        Z = X[codes == c].astype(np.float64) - shift
        if len(Z):
            singular = np.linalg.svd(Z, compute_uv=False)
            logdets[c] = np.log1p(scales[c] * singular**2).sum()
    return logdets
