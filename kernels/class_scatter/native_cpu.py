"""`class_scatter` in C++: its Gram matrices and variances."""

import numpy as np

from ..fisher_scatter.native_cpu import fisher_scatter
from ..native_runtime import as_codes, native_module, runtime_arguments
from . import lapack_by_class
from .lapack_by_class import class_covariances

__all__ = ["class_covariances", "class_logdets", "class_variances"]


def class_logdets(X, codes, n_classes, shift, scales):
    """See the contract in the package's docstring."""
    return lapack_by_class.class_logdets(fisher_scatter, X, codes, n_classes, shift, scales)


def class_variances(X, codes, n_classes):
    """See the contract in the package's docstring."""
    codes = as_codes(codes)
    order = as_codes(np.argsort(codes, kind="stable"))
    starts = np.zeros(n_classes + 1, dtype=np.int64)
    np.cumsum(np.bincount(codes, minlength=n_classes), out=starts[1:])
    variances = np.empty((n_classes, X.shape[1]))
    native_module().class_variances(X, order, starts, variances, **runtime_arguments())
    return variances
