"""Definition of `target_moments` in NumPy float64."""

from typing import Any

import numpy as np


def target_moments(X: np.ndarray, Y: np.ndarray, origin: Any = None) -> np.ndarray:
    """See the contract in the package's docstring."""
    X = np.asarray(X, dtype=np.float64)
    return (X if origin is None else X - origin).T @ Y
