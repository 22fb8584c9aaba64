"""`target_moments` by BLAS, block of rows by block of rows."""

import numpy as np

BLOCK_ROWS = 1024


def target_moments(X: np.ndarray, Y: np.ndarray, origin: np.ndarray | None = None) -> np.ndarray:
    """See the contract in the package's docstring."""
    moments = np.zeros((X.shape[1], Y.shape[1]))
    for start in range(0, len(X), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = X[rows].astype(np.float64, copy=False)
        moments += (block if origin is None else block - origin).T @ Y[rows]
    return moments
