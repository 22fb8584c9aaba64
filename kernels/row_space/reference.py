"""Definition of `row_space` in NumPy float64, by a QR factorisation."""

import numpy as np


def row_space(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    X = np.asarray(X, dtype=np.float64)
    origin = X.mean(axis=0)
    basis, upper = np.linalg.qr((X - origin).T)
    return upper.T, basis.T, origin
