"""`class_scatter` by Numba: its Gram matrices, and variances with classes over the threads."""

from typing import Any

import numpy as np

from ..array_namespace import Array
from ..fisher_scatter.numba_cpu import fisher_scatter
from ..numba_runtime import kernel, ranges, row_block
from ..threads import run_in_threads
from . import lapack_by_class
from .lapack_by_class import class_covariances

__all__ = ["class_covariances", "class_logdets", "class_variances"]

BLOCK_ELEMENTS = 1 << 16


def class_logdets(X: Array, codes: Array, n_classes: int, shift: Array, scales: Array) -> Array:
    """See the contract in the package's docstring."""
    return lapack_by_class.class_logdets(fisher_scatter, X, codes, n_classes, shift, scales)


@kernel
def _add_rows(block: np.ndarray, sums: np.ndarray) -> None:
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            sums[j] += block[i, j]


@kernel
def _add_squares(block: np.ndarray, mean: np.ndarray, sums: np.ndarray) -> None:
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            difference = block[i, j] - mean[j]
            sums[j] += difference * difference


def class_variances(X: np.ndarray, codes: np.ndarray, n_classes: int) -> np.ndarray:
    """See the contract in the package's docstring."""
    variances = np.zeros((n_classes, X.shape[1]))
    step = max(1, BLOCK_ELEMENTS // X.shape[1])

    def work(one_class: Any) -> None:
        c, members = one_class
        mean = np.zeros(X.shape[1])
        for rows in ranges(len(members), step):
            _add_rows(row_block(X, members[rows]), mean)
        mean /= len(members)
        for rows in ranges(len(members), step):
            _add_squares(row_block(X, members[rows]), mean, variances[c])
        variances[c] /= len(members)

    run_in_threads(work, lapack_by_class.samples_by_class(codes, n_classes))
    return variances
