"""`class_scatter` by Numba: its Gram matrices."""

from ..fisher_scatter.numba_cpu import fisher_scatter
from . import lapack_by_class


def class_logdets(X, codes, n_classes, shift, scales):
    """See the contract in the package's docstring."""
    return lapack_by_class.class_logdets(fisher_scatter, X, codes, n_classes, shift, scales)
