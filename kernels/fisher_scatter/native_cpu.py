"""`fisher_scatter` in C++: packed, register-tiled, one triangle only."""

import numpy as np

from ..native_runtime import as_codes, native_module, runtime_arguments
from . import FisherScatter, default_shift


def fisher_scatter(
    X: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    weights: np.ndarray | None = None,
    shift: np.ndarray | None = None,
) -> FisherScatter:
    """See the contract in the package's docstring."""
    codes = as_codes(codes)
    shift = default_shift(X) if shift is None else np.array(shift, dtype=np.float64, order="C")
    d = X.shape[1]
    gram = np.zeros((d, d))
    sums = np.empty((n_classes, d))
    if weights is not None:
        weights = np.ascontiguousarray(weights, dtype=np.float64)
    root_sums = None if weights is None else np.empty((n_classes, d))
    native_module().fisher_scatter(
        X, codes, n_classes, weights, shift, gram, sums, root_sums, **runtime_arguments()
    )
    counts = np.bincount(codes, weights, minlength=n_classes).astype(np.float64)
    if weights is None or root_sums is None:
        return FisherScatter(shift, counts, sums, gram, counts, sums)
    root_counts = np.bincount(codes, np.sqrt(weights), minlength=n_classes)
    return FisherScatter(shift, counts, sums, gram, root_counts, root_sums)
