"""For the CPU versions: `class_scatter` class after class, by `fisher_scatter` and LAPACK."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..positive_definite import shared_from_rows
from ..positive_definite.lapack_cpu import log_determinant


def samples_by_class(codes: np.ndarray, n_classes: int) -> Iterator[Any]:
    """Each class that has samples, and their positions in order."""
    codes = np.asarray(codes)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_classes))
    for c, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if start < end:
            yield c, order[start:end]


def class_logdets(
    fisher_scatter: Callable[..., Any],
    X: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    shift: np.ndarray,
    scales: np.ndarray,
) -> np.ndarray:
    """See the contract in the package's docstring; by one CPU version of `fisher_scatter`."""
    logdets = np.zeros(n_classes)
    for c, members in samples_by_class(codes, n_classes):
        rows = X[members]
        if len(rows) <= X.shape[1]:
            rows = (rows.astype(np.float64, copy=False) - shift).T
            around = np.zeros(len(members))
        else:
            around = shift
        one_class = np.zeros(len(rows), dtype=np.int64)
        gram = fisher_scatter(rows, one_class, 1, None, around).shifted_gram
        logdets[c] = log_determinant(gram, scales[c])
        if np.isnan(logdets[c]):
            samples = X[members].astype(np.float64) - shift
            logdets[c] = shared_from_rows.log_determinant(samples, scales[c])
    return logdets


def class_covariances(
    X: np.ndarray, codes: np.ndarray, n_classes: int, unbiased: bool = False
) -> Any:
    """See the contract in the package's docstring."""
    covariances = np.zeros((n_classes, X.shape[1], X.shape[1]))
    for c, members in samples_by_class(codes, n_classes):
        Z = X[members].astype(np.float64)
        Z -= Z.mean(axis=0)
        np.matmul(Z.T, Z, out=covariances[c])
        covariances[c] /= max(1, len(members) - unbiased)
    return covariances
