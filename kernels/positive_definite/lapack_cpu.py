"""`positive_definite` by LAPACK's Cholesky factors, pivoted where the rank is in doubt.

The upper triangle of a C-ordered matrix is the lower one of its Fortran-ordered transpose, so the
routines work on ``A.T`` with ``lower=1`` and copy nothing.
"""

import math

import numpy as np
from scipy.linalg import blas, lapack

from ..blas_blocks import cholesky
from . import RANK_EPS, SAFE_PIVOT, unit_roots


def quadratic_forms(gram: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, int]:
    """See the contract in the package's docstring."""
    roots = unit_roots(np.diagonal(gram))
    present = np.flatnonzero(roots)
    order = len(present)
    if order == 0:
        return np.zeros(columns.shape[1]), 0
    scaled = roots[:, None] * gram * roots
    columns = roots[:, None] * columns
    if order < len(gram):
        scaled, columns = scaled[np.ix_(present, present)], columns[present]
    factor = cholesky(scaled.copy())
    if factor is None or factor.diagonal().min() ** 2 < SAFE_PIVOT:
        factor, pivots, order, _ = lapack.dpstrf(
            scaled.T, tol=len(gram) * RANK_EPS, lower=1, overwrite_a=1
        )
        columns = columns[pivots[:order] - 1]
        factor = np.asfortranarray(factor[:order, :order])
    solved = blas.dtrsm(1.0, factor, np.asfortranarray(columns), lower=1, overwrite_b=1)
    return (solved * solved).sum(axis=0), order


def log_determinant(gram: np.ndarray, scale: float) -> float:
    """See the contract in the package's docstring."""
    shifted = np.multiply(scale, gram, order="C")
    shifted.reshape(-1)[:: len(gram) + 1] += 1.0
    diagonal = shifted.diagonal().copy()
    factor = cholesky(shifted)
    if factor is None or not (factor.diagonal() ** 2 > SAFE_PIVOT * diagonal).all():
        return math.nan
    return 2.0 * float(np.log(factor.diagonal()).sum())
