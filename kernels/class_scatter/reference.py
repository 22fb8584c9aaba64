"""Definition of `class_scatter` in NumPy: class after class."""

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


def class_covariances(
    X: np.ndarray, codes: np.ndarray, n_classes: int, unbiased: bool = False
) -> np.ndarray:
    """See the contract in the package's docstring."""
    covariances = np.zeros((n_classes, X.shape[1], X.shape[1]))
    for c in range(n_classes):
        Z = X[codes == c].astype(np.float64)
        if len(Z) > unbiased:
            Z = Z - Z.mean(axis=0)
            covariances[c] = Z.T @ Z / (len(Z) - unbiased)
    return covariances


def class_variances(X: np.ndarray, codes: np.ndarray, n_classes: int) -> np.ndarray:
    """See the contract in the package's docstring."""
    variances = np.zeros((n_classes, X.shape[1]))
    for c in range(n_classes):
        Z = X[codes == c].astype(np.float64)
        if len(Z):
            variances[c] = Z.var(axis=0)
    return variances
