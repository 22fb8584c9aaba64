"""Definition of `softmax_regression` in NumPy float64."""

from __future__ import annotations

import numpy as np

from ..array_namespace import Array


def softmax_regression(
    X: Array, codes: Array, coef: Array, intercept: Array, shift: Array
) -> tuple[float, Array, float]:
    """See the contract in the package's docstring."""
    Z = np.asarray(X, dtype=np.float64) - shift
    scores = Z @ coef.T + intercept
    scores -= scores.max(axis=1, keepdims=True)
    with np.errstate(under="ignore"):
        exponentials = np.exp(scores)
    sums = exponentials.sum(axis=1, keepdims=True)
    own = np.arange(len(Z)), codes
    loss = (np.log(sums[:, 0]) - scores[own]).sum()
    p = exponentials / sums
    curvature = (((Z * Z).sum(axis=1) + 1.0) * (p * (1.0 - p)).sum(axis=1)).sum()
    p[own] -= 1.0
    return float(loss), np.vstack([Z.T @ p, p.sum(axis=0)]), float(curvature)
