"""For the CPU versions: `class_scatter` class after class, by `fisher_scatter` and LAPACK."""

import numpy as np

from ..positive_definite import shared_from_rows
from ..positive_definite.lapack_cpu import log_determinant


def class_logdets(fisher_scatter, X, codes, n_classes, shift, scales):
    """See the contract in the package's docstring; by one CPU version of `fisher_scatter`."""
    codes = np.asarray(codes)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_classes))
    logdets = np.zeros(n_classes)
    for c, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if start == end:
            continue
        rows = X[order[start:end]]
        if len(rows) <= X.shape[1]:
            rows = (rows.astype(np.float64, copy=False) - shift).T
            around = np.zeros(end - start)
        else:
            around = shift
        one_class = np.zeros(len(rows), dtype=np.int64)
        gram = fisher_scatter(rows, one_class, 1, None, around).shifted_gram
        logdets[c] = log_determinant(gram, scales[c])
        if np.isnan(logdets[c]):
            samples = X[order[start:end]].astype(np.float64) - shift
            logdets[c] = shared_from_rows.log_determinant(samples, scales[c])
    return logdets
