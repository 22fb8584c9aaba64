"""`row_statistics` in C++: one threaded read of the rows."""

import numpy as np

from ..native_runtime import native_module, runtime_arguments


def row_statistics(X: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    squares, logsums = np.empty(len(X)), np.empty(len(X))
    shift = np.ascontiguousarray(shift, dtype=np.float64)
    native_module().row_statistics(X, shift, squares, logsums, **runtime_arguments())
    return squares, logsums
