"""`softmax_regression` by Numba and BLAS: blocks of rows, a product either side of the softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import blas

from ..array_namespace import Array
from ..blas_blocks import row_products
from ..numba_runtime import as_codes, as_vector, even_ranges, kernel, ranges
from ..threads import run_in_threads, thread_count

BLOCK_ELEMENTS = 1 << 22
MAX_BLOCK_ROWS = 2048
#: Products that outweigh a thread's start: a fit calls hundreds of times.
THREAD_PRODUCTS = 1 << 20


@kernel
def _residuals(
    scores: Any, rows: Any, codes: Any, intercept: Any, losses: Any, curvatures: Any
) -> None:
    """Scores become p - indicator; losses and curvatures of the samples."""
    for i in range(scores.shape[0]):
        z = scores[i]
        highest = -np.inf
        for k in range(len(z)):
            z[k] += intercept[k]
            highest = max(highest, z[k])
        own = z[codes[i]]
        total = 0.0
        for k in range(len(z)):
            z[k] = np.exp(z[k] - highest)
            total += z[k]
        spread = 0.0
        for k in range(len(z)):
            z[k] /= total
            spread += z[k] * (1.0 - z[k])
        z[codes[i]] -= 1.0
        square = 1.0
        for j in range(rows.shape[1]):
            square += rows[i, j] * rows[i, j]
        losses[i] = np.log(total) + highest - own
        curvatures[i] = square * spread


def softmax_regression(
    X: Array, codes: Array, coef: Array, intercept: Array, shift: Array
) -> tuple[float, Array, float]:
    """See the contract in the package's docstring."""
    n, d = X.shape
    codes, intercept = as_codes(codes), as_vector(intercept)
    coef = np.ascontiguousarray(coef, dtype=np.float64)
    n_classes = len(coef)
    gradient = np.zeros((n_classes, d))
    sums = np.zeros(n_classes)
    losses, curvatures = np.empty(n), np.empty(n)
    n_threads = min(thread_count(), 1 + n * d * n_classes // THREAD_PRODUCTS)
    block_rows = min(n, MAX_BLOCK_ROWS, max(1, BLOCK_ELEMENTS // max(d, n_classes)))
    features = np.empty((block_rows, d))
    scores = np.empty((block_rows, n_classes))
    for rows in ranges(n, block_rows):
        start, length = rows.start, rows.stop - rows.start
        parts = even_ranges(length, n_threads)

        def convert(part: slice, start: int = start) -> None:
            np.subtract(X[start + part.start : start + part.stop], shift, out=features[part])

        def finish(part: slice, start: int = start) -> None:
            here = slice(start + part.start, start + part.stop)
            _residuals(
                scores[part], features[part], codes[here], intercept, losses[here],
                curvatures[here],
            )  # fmt: skip

        run_in_threads(convert, parts)
        row_products(features[:length], coef, scores[:length])
        run_in_threads(finish, parts)
        blas.dgemm(
            1.0, features[:length].T, scores[:length].T, 1.0, gradient.T, trans_b=1, overwrite_c=1
        )
        sums += scores[:length].sum(axis=0)
    return float(losses.sum()), np.vstack([gradient.T, sums]), float(curvatures.sum())
