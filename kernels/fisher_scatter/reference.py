"""Definition of `fisher_scatter` in NumPy float64."""

import numpy as np

from . import FisherScatter, default_shift


def fisher_scatter(
    X: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    weights: np.ndarray | None = None,
    shift: np.ndarray | None = None,
) -> FisherScatter | None:
    """See the contract in the package's docstring."""
    X = np.asarray(X, dtype=np.float64)
    codes = np.asarray(codes)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=np.float64)
    shift = default_shift(X) if shift is None else shift
    Z = X - shift
    members = np.zeros((n_classes, len(X)))
    members[codes, np.arange(len(X))] = 1.0
    roots = np.sqrt(weights)
    return FisherScatter(
        shift=shift,
        counts=members @ weights,
        shifted_sums=members @ (weights[:, None] * Z),
        shifted_gram=(roots[:, None] * Z).T @ (roots[:, None] * Z),
        root_counts=members @ roots,
        shifted_root_sums=members @ (roots[:, None] * Z),
    )
