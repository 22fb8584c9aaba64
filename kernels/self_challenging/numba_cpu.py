"""`self_challenging` by Numba and BLAS: discriminants of a block of rows, then both softmaxes."""

import numpy as np

from ..blas_blocks import row_products
from ..numba_runtime import as_codes, as_vector, even_ranges, kernel, ranges
from ..threads import run_in_threads, thread_count

BLOCK_ELEMENTS = 1 << 22
MAX_BLOCK_ROWS = 2048


@kernel
def _mix(scores: np.ndarray, codes: np.ndarray, q: np.ndarray, anchor_scores: np.ndarray) -> None:
    for i in range(scores.shape[0]):
        c = codes[i]
        for k in range(scores.shape[1]):
            scores[i, k] = q[i] * scores[i, k] + (1.0 - q[i]) * anchor_scores[c, k]


@kernel
def _own_class(
    scores: np.ndarray,
    codes: np.ndarray,
    intercept: np.ndarray,
    posterior: np.ndarray,
    challenge: np.ndarray,
) -> None:
    for i in range(scores.shape[0]):
        z = scores[i]
        highest = -np.inf
        for k in range(len(z)):
            z[k] += intercept[k]
            highest = max(highest, z[k])
        total = 0.0
        for k in range(len(z)):
            z[k] = np.exp(z[k] - highest)
            total += z[k]
        posterior[i] = z[codes[i]] / total
        # Probabilities need no shift against overflow.
        second_total = 0.0
        for k in range(len(z)):
            second_total += np.exp(z[k] / total)
        challenge[i] = np.exp(posterior[i]) / second_total


def self_challenging(
    X: np.ndarray,
    codes: np.ndarray,
    coef: np.ndarray,
    intercept: np.ndarray,
    mixing: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    n, d = X.shape
    codes = as_codes(codes)
    coef = np.ascontiguousarray(coef, dtype=np.float64)
    intercept = as_vector(intercept)
    posterior, challenge = np.empty(n), np.empty(n)
    if mixing is not None:
        q = as_vector(mixing[0])
        anchors = np.ascontiguousarray(mixing[1], dtype=np.float64)
        anchor_scores = np.empty((len(anchors), len(coef)))
        row_products(anchors, coef, anchor_scores)

    block_rows = min(n, MAX_BLOCK_ROWS, max(1, BLOCK_ELEMENTS // max(d, len(coef))))
    features = np.empty((block_rows, d))
    scores = np.empty((block_rows, len(coef)))
    for rows in ranges(n, block_rows):
        start, length = rows.start, rows.stop - rows.start
        parts = even_ranges(length, thread_count())

        def convert(part: slice, start: int = start) -> None:
            features[part] = X[start + part.start : start + part.stop]

        def finish(part: slice, start: int = start) -> None:
            here = slice(start + part.start, start + part.stop)
            if mixing is not None:
                _mix(scores[part], codes[here], q[here], anchor_scores)
            _own_class(scores[part], codes[here], intercept, posterior[here], challenge[here])

        run_in_threads(convert, parts)
        row_products(features[:length], coef, scores[:length])
        run_in_threads(finish, parts)
    return posterior, challenge
