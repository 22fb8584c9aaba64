"""Non-negative matrix factorisation with gaps: cyclic coordinate descent on the known entries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

#: Penalty of `place_in_factors`, as a part of the vectors' mean square.
PENALTY = 1e-6

#: Gradients below this part of their terms are rounding: the start may be the solution.
ROUNDING = 1e-12


class Factors(NamedTuple):
    """P ~= rows columns^T.

    Attributes
    ----------
    rows : (M, k) array, not negative
    columns : (T, k) array, not negative
    error : float
        Root mean square of P - rows columns^T over the known entries.
    n_iter : int
        Sweeps that were made.
    converged : bool
        Whether the projected gradient fell to the tolerance.
    """

    rows: Matrix
    columns: Matrix
    error: float
    n_iter: int
    converged: bool


def nonnegative_factors(
    P: Matrix,
    n_factors: int,
    known: NDArray[np.bool_] | None = None,
    *,
    max_iter: int = 1000,
    tol: float = 1e-4,
    regularisation: float = 0.0,
) -> Factors:
    """Factorise a non-negative matrix (M, T) of which some entries may be unknown.

    Minimised is the sum over the known entries of (P - U V^T)^2 / 2, plus, for a regularisation r,
    r T |U|^2 / 2 + r M |V|^2 / 2. The start is NNDSVDa (Boutsidis and Gallopoulos 2008) of the
    matrix, gaps filled from the means of their rows and columns; a sweep updates one factor of all
    rows, then of all columns, at a time (Cichocki and Phan 2009). Without gaps these are the steps
    of scikit-learn's ``NMF(init="nndsvda", solver="cd")``. Nothing here is random.

    Parameters
    ----------
    P : (M, T) array
        Not negative where known.
    n_factors : int
        k, at most min(M, T).
    known : (M, T) bool array, optional
        Each row and each column holds at least one known entry; all are known by default.
    max_iter, tol : int, float
        Sweeps at most; and the part of its first value that the sum of the absolute projected
        gradient falls to.
    regularisation : float
    """
    n_rows, n_columns = P.shape
    if known is None or known.all():
        mask, observed, filled = None, P, P
    else:
        mask = known.astype(np.float64)
        observed, filled = np.where(known, P, 0.0), _fill_gaps(P, known)
    U, V = _nndsvda(filled, n_factors)
    row_penalty, column_penalty = regularisation * n_columns, regularisation * n_rows
    rounding = ROUNDING * float(np.abs(observed).sum()) * float(np.abs(V).max())
    first, converged, n_iter = 0.0, False, 0
    while n_iter < max_iter and not converged:
        n_iter += 1
        violation = _sweep(U, V, observed, mask, row_penalty)
        transposed = None if mask is None else mask.T
        violation += _sweep(V, U, observed.T, transposed, column_penalty)
        first = first or violation
        converged = violation <= max(tol * first, rounding)
    residual = observed - U @ V.T
    count = P.size
    if mask is not None:
        residual, count = residual * mask, int(mask.sum())
    error = float(np.sqrt(np.sum(residual**2) / count))
    return Factors(U, V, error, n_iter, converged)


def place_in_factors(vectors: Matrix, values: Matrix) -> Matrix:
    """Place one more row or column: u >= 0 with vectors u ~= values, in least squares.

    Where the values do not determine u, a slight penalty picks the one of least norm.
    """
    from scipy.optimize import nnls

    k = vectors.shape[1]
    penalty = np.sqrt(PENALTY * np.mean(vectors**2)) * np.eye(k)
    return nnls(np.vstack([vectors, penalty]), np.concatenate([values, np.zeros(k)]))[0]


def place_by_some(vectors: Matrix, values: Matrix, others: Matrix, error: float) -> Matrix:
    """Place a column of which only some values are known, where most likely: u >= 0.

    The other columns' places (T, k) tell, by mean and covariance, where one may be expected; the
    root mean square error of the factorisation tells how far the values may be off. With as many
    values as factors or fewer, least squares alone would follow their noise.
    """
    from scipy.optimize import nnls

    k = vectors.shape[1]
    center = others.mean(axis=0)
    spread = (others - center).T @ (others - center) / len(others)
    spread += PENALTY * np.mean(others**2) * np.eye(k)
    noise = max(error, 1e-3 * float(np.sqrt(np.mean(values**2))), np.finfo(float).tiny)
    whitening = np.linalg.inv(np.linalg.cholesky(spread))
    left = np.vstack([vectors / noise, whitening])
    return nnls(left, np.concatenate([values / noise, whitening @ center]))[0]


def _sweep(U: Matrix, V: Matrix, P: Matrix, mask: Matrix | None, penalty: float) -> float:
    """Update U in place, one factor after the other; returns the sum of |projected gradient|."""
    k = U.shape[1]
    target = P @ V
    if mask is None:
        gram = (V.T @ V)[None]
    else:
        pairs = (V[:, :, None] * V[:, None, :]).reshape(len(V), k * k)
        gram = (mask @ pairs).reshape(len(U), k, k)  # of the columns that the row knows
    violation = 0.0
    for factor in range(k):
        gradient = np.sum(U * gram[:, factor], axis=1)
        gradient += penalty * U[:, factor] - target[:, factor]
        curvature = gram[:, factor, factor] + penalty
        at_zero = U[:, factor] == 0.0
        violation += float(np.abs(np.where(at_zero, np.minimum(gradient, 0.0), gradient)).sum())
        step = np.divide(gradient, curvature, out=np.zeros_like(gradient), where=curvature > 0.0)
        U[:, factor] = np.maximum(U[:, factor] - step, 0.0)
    return violation


def _fill_gaps(P: Matrix, known: NDArray[np.bool_]) -> Matrix:
    """Column mean plus the row's mean distance from the column means, at least 0."""
    values = np.where(known, P, 0.0)
    column_means = values.sum(axis=0) / known.sum(axis=0)
    distances = np.where(known, P - column_means, 0.0).sum(axis=1) / known.sum(axis=1)
    guess = np.maximum(column_means + distances[:, None], 0.0)
    return np.where(known, P, guess)


def _nndsvda(P: Matrix, k: int) -> tuple[Matrix, Matrix]:
    """Start from the non-negative parts of the singular vectors, zeros set to the mean of P."""
    left, singular, right = np.linalg.svd(P, full_matrices=False)
    U, V = np.zeros((len(P), k)), np.zeros((P.shape[1], k))
    for factor in range(k):
        x, y, size = left[:, factor], right[factor], singular[factor]
        # The pair of parts, both positive or both negative, that keeps more of the product.
        parts = [(np.maximum(s * x, 0.0), np.maximum(s * y, 0.0)) for s in (1.0, -1.0)]
        if factor == 0:
            parts = [(np.abs(x), np.abs(y))]
        x, y = max(parts, key=lambda part: np.linalg.norm(part[0]) * np.linalg.norm(part[1]))
        norms = np.linalg.norm(x), np.linalg.norm(y)
        if min(norms) == 0.0:
            continue
        scale = np.sqrt(size * norms[0] * norms[1])
        U[:, factor], V[:, factor] = scale * x / norms[0], scale * y / norms[1]
    for matrix in (U, V):
        matrix[matrix < 1e-6] = 0.0
        matrix[matrix == 0.0] = P.mean()
    return U, V
