"""Definition of `source_posteriors` in NumPy float64."""

import numpy as np

from . import is_sparse


def _dense(theta):
    return (theta.toarray() if is_sparse(theta) else theta).astype(np.float64)


def _by_class(rows, codes, n_classes):
    sums = np.zeros((n_classes, rows.shape[1]))
    np.add.at(sums, codes, rows)
    return sums


def class_sums(theta, codes, n_classes):
    """See the contract in the package's docstring."""
    rows = _dense(theta)
    return _by_class(rows, codes, n_classes), rows.sum(axis=1), rows.min(axis=1)


def own_class(theta, codes, table):
    """See the contract in the package's docstring."""
    return (_dense(theta) * table[codes]).sum(axis=1)


def tilted_sums(theta, codes, table, floor):
    """See the contract in the package's docstring."""
    tilted = (_dense(theta) + floor) * table[codes]
    norms = tilted.sum(axis=1)
    sums = _by_class(tilted / norms[:, None], codes, len(table))
    return sums, float(np.log(norms).sum())
