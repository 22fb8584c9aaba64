"""`row_space` by LAPACK, in place in the one float64 copy of the features."""

import numpy as np
from scipy.linalg import qr


def row_space(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    X = np.array(X, dtype=np.float64, order="C")
    origin = X.mean(axis=0)
    X -= origin
    basis, upper = qr(X.T, mode="economic", overwrite_a=True, check_finite=False)
    return np.ascontiguousarray(upper.T), basis.T, origin
