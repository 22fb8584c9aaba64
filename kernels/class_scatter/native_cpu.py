"""`class_scatter` in C++: its Gram matrices and variances."""

import numpy as np

from ..array_namespace import Array
from ..fisher_scatter.native_cpu import fisher_scatter
from ..native_runtime import as_codes, native_module, runtime_arguments
from . import lapack_by_class
from .lapack_by_class import class_covariances

__all__ = ["class_covariances", "class_logdets", "class_variances"]


def class_logdets(X: Array, codes: Array, n_classes: int, shift: Array, scales: Array) -> Array:
    """See the contract in the package's docstring."""
    return lapack_by_class.class_logdets(fisher_scatter, X, codes, n_classes, shift, scales)


def class_variances(X: np.ndarray, codes: np.ndarray, n_classes: int) -> np.ndarray:
    """See the contract in the package's docstring."""
    codes = as_codes(codes)
    order = as_codes(np.argsort(codes, kind="stable"))
    starts = np.zeros(n_classes + 1, dtype=np.int64)
    np.cumsum(np.bincount(codes, minlength=n_classes), out=starts[1:])
    variances = np.empty((n_classes, X.shape[1]))
    native_module().class_variances(X, order, starts, variances, **runtime_arguments())
    return variances
