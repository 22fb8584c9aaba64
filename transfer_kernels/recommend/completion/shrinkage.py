"""A covariance over models as low rank plus diagonal, shrunk as Ledoit and Wolf do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]


def ledoit_wolf_weight(residuals: Matrix) -> float:
    """Return the weight, in [0, 1], of the scaled identity in the shrunk covariance.

    Only the (T, T) products of the columns are formed, never (M, M) ones.

    Parameters
    ----------
    residuals : (M, T) array
        Columns with their means taken away.

    References
    ----------
    O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
    Journal of Multivariate Analysis 88, 2004.
    """
    M, T = residuals.shape
    products = residuals.T @ residuals
    squares = float(np.sum(products**2)) / T**2
    level = float(np.trace(products)) / (T * M)
    spread = squares / M - level**2
    if spread <= 0.0:
        return 1.0
    lengths = np.diagonal(products)
    between = float(np.mean(lengths**2)) - 2.0 * float(np.sum(products**2)) / T**2 + squares
    return min(1.0, max(0.0, between / (T * M) / spread))


def compressed(columns: Matrix, rank: int) -> tuple[Matrix, Matrix]:
    """Return the best factors of columns columns^T of a rank, and the diagonal that they lack.

    Parameters
    ----------
    columns : (M, J) array
    rank : int
        At most this many factors.

    Returns
    -------
    factors : (M, r) array
    lacking : (M,) array
        At least 0: factors factors^T + diag(lacking) has the diagonal of the product.
    """
    M, J = columns.shape
    if min(M, J) <= rank and J <= M:
        return columns, np.zeros(M)
    if J > M:
        return leading_factors(columns @ columns.T, rank)
    _, vectors = np.linalg.eigh(columns.T @ columns)
    factors = columns @ vectors[:, ::-1][:, :rank]
    full = np.einsum("mj,mj->m", columns, columns)
    kept = np.einsum("mr,mr->m", factors, factors)
    return factors, np.maximum(full - kept, 0.0)


def leading_factors(covariance: Matrix, rank: int) -> tuple[Matrix, Matrix]:
    """Return the same of a covariance (M, M)."""
    values, vectors = np.linalg.eigh(covariance)
    best = slice(None, None, -1)
    factors = vectors[:, best][:, :rank] * np.sqrt(np.maximum(values[best][:rank], 0.0))
    kept = np.einsum("mr,mr->m", factors, factors)
    return factors, np.maximum(np.diagonal(covariance) - kept, 0.0)
