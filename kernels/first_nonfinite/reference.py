"""Definition of `first_nonfinite` in NumPy, by blocks of rows."""

import numpy as np

BLOCK_ELEMENTS = 1 << 20


def first_nonfinite(X: np.ndarray) -> tuple[int, int] | None:
    """See the contract in the package's docstring."""
    block_rows = max(1, BLOCK_ELEMENTS // X.shape[1])
    for start in range(0, X.shape[0], block_rows):
        bad = ~np.isfinite(X[start : start + block_rows])
        if bad.any():
            row, column = np.unravel_index(np.argmax(bad), bad.shape)
            return start + int(row), int(column)
    return None
