"""`row_statistics` by Numba: blocks of rows over the threads."""

import numpy as np

from ..numba_runtime import as_vector, kernel, ranges, row_block
from ..threads import run_in_threads

BLOCK_ELEMENTS = 1 << 18


@kernel
def _of_block(X: np.ndarray, shift: np.ndarray, squares: np.ndarray, logsums: np.ndarray) -> None:
    for i in range(X.shape[0]):
        highest, square = np.float64(X[i, 0]), 0.0
        for j in range(X.shape[1]):
            value = np.float64(X[i, j])
            highest = max(highest, value)
            square += (value - shift[j]) * (value - shift[j])
        total = 0.0
        for j in range(X.shape[1]):
            total += np.exp(np.float64(X[i, j]) - highest)
        squares[i] = square
        logsums[i] = highest + np.log(total)


def row_statistics(X: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    n, d = X.shape
    squares, logsums, shift = np.empty(n), np.empty(n), as_vector(shift)

    def work(rows: slice) -> None:
        _of_block(row_block(X, rows), shift, squares[rows], logsums[rows])

    run_in_threads(work, ranges(n, max(1, BLOCK_ELEMENTS // d)))
    return squares, logsums
