"""`source_posteriors` in C++: threaded reads of the rows in the order of their classes."""

import numpy as np

from ..native_runtime import native_module, runtime_arguments
from . import is_sparse
from .lapack_pieces import class_pieces


def _rows(theta):
    """Theta as the compiled kernels read it: a matrix, or data, indices, pointers and width."""
    if not is_sparse(theta):
        return (theta,)
    indices, indptr = (
        np.ascontiguousarray(a, dtype=np.int64) for a in (theta.indices, theta.indptr)
    )
    return np.ascontiguousarray(theta.data), indices, indptr, theta.shape[1]


def _order(codes, n_classes):
    order, pieces = class_pieces(codes, n_classes)
    return order.astype(np.int64, copy=False), np.array(pieces, dtype=np.int64)


def class_sums(theta, codes, n_classes):
    """See the contract in the package's docstring."""
    n, width = theta.shape
    sums, totals, lowest = np.empty((n_classes, width)), np.empty(n), np.empty(n)
    order = _order(codes, n_classes)
    native_module().class_sums(_rows(theta), *order, sums, totals, lowest, **runtime_arguments())
    return sums, totals, lowest


def own_class(theta, codes, table):
    """See the contract in the package's docstring."""
    values, table = np.empty(theta.shape[0]), np.ascontiguousarray(table)
    order = _order(codes, len(table))
    native_module().own_class(_rows(theta), *order, table, values, **runtime_arguments())
    return values


def tilted_sums(theta, codes, table, floor):
    """See the contract in the package's docstring."""
    table = np.ascontiguousarray(table)
    sums = np.empty(table.shape)
    log_norm = native_module().tilted_sums(
        _rows(theta), *_order(codes, len(table)), table, floor, sums, **runtime_arguments()
    )
    return sums, log_norm
