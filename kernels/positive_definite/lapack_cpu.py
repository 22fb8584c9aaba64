"""`positive_definite` by LAPACK's Cholesky factors, pivoted where the rank is in doubt.

The upper triangle of a C-ordered matrix is the lower one of its Fortran-ordered transpose, so the
routines work on ``A.T`` with ``lower=1`` and copy nothing.
"""

import math
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from ..blas_blocks import cholesky, solve
from . import RANK_EPS, SAFE_PIVOT, unit_roots


def _scaled_factor(gram: np.ndarray) -> Any:
    """Factor L of the gram matrix of unit diagonal, and what scales it so; rows may be left out.

    Returns the scales, the positions of the rows that the factor is made of, and the factor,
    Fortran-ordered, whose upper triangle is undefined.
    """
    roots = unit_roots(np.diagonal(gram))
    rows = np.flatnonzero(roots)
    if len(rows) == 0:
        return roots, rows, np.zeros((0, 0))
    scaled = roots[:, None] * gram * roots
    if len(rows) < len(gram):
        scaled = scaled[np.ix_(rows, rows)]
    factor = cholesky(scaled.copy())
    if factor is None or factor.diagonal().min() ** 2 < SAFE_PIVOT:
        factor, pivots, rank, _ = lapack.dpstrf(
            scaled.T, tol=len(gram) * RANK_EPS, lower=1, overwrite_a=1
        )
        rows = rows[pivots[:rank] - 1]
        factor = np.asfortranarray(factor[:rank, :rank])
    return roots, rows, factor


def quadratic_forms(gram: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, int]:
    """See the contract in the package's docstring."""
    roots, rows, factor = _scaled_factor(gram)
    if len(rows) == 0:
        return np.zeros(columns.shape[1]), 0
    columns = np.asfortranarray((roots[:, None] * columns)[rows])
    solved = blas.dtrsm(1.0, factor, columns, lower=1, overwrite_b=1)
    return (solved * solved).sum(axis=0), len(rows)


def semidefinite_solve(gram: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, int]:
    """See the contract in the package's docstring."""
    roots, rows, factor = _scaled_factor(gram)
    solutions = np.zeros(columns.shape)
    if len(rows):
        found = solve(factor, np.asfortranarray((roots[:, None] * columns)[rows]))
        solutions[rows] = roots[rows, None] * found
    return solutions, len(rows)


def log_determinant(gram: np.ndarray, scale: float) -> float:
    """See the contract in the package's docstring."""
    shifted = np.multiply(scale, gram, order="C")
    shifted.reshape(-1)[:: len(gram) + 1] += 1.0
    diagonal = shifted.diagonal().copy()
    factor = cholesky(shifted)
    if factor is None or not (factor.diagonal() ** 2 > SAFE_PIVOT * diagonal).all():
        return math.nan
    return 2.0 * float(np.log(factor.diagonal()).sum())
