"""Definition of `target_moments` in NumPy float64."""

import numpy as np


def target_moments(X, Y, origin=None):
    """See the contract in the package's docstring."""
    X = np.asarray(X, dtype=np.float64)
    return (X if origin is None else X - origin).T @ Y
