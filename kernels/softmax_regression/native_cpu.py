"""`softmax_regression` in C++: rows go through both products and the softmax in the cache."""

from __future__ import annotations

import numpy as np

from ..array_namespace import Array
from ..native_runtime import as_codes, native_module, runtime_arguments


def softmax_regression(
    X: Array, codes: Array, coef: Array, intercept: Array, shift: Array
) -> tuple[float, Array, float]:
    """See the contract in the package's docstring."""
    coef, intercept, shift = (
        np.ascontiguousarray(array, dtype=np.float64) for array in (coef, intercept, shift)
    )
    n, (n_classes, d) = len(X), coef.shape
    losses, curvatures = np.empty(n), np.empty(n)
    by_coef, by_intercept = np.empty((n_classes, d)), np.empty(n_classes)
    native_module().softmax_regression(
        X, as_codes(codes), coef, intercept, shift, losses, by_coef, by_intercept, curvatures,
        **runtime_arguments(),
    )  # fmt: skip
    gradient = np.empty((d + 1, n_classes))
    gradient[:d] = by_coef.T
    gradient[d] = by_intercept
    return float(losses.sum()), gradient, float(curvatures.sum())
