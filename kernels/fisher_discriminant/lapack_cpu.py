"""`fisher_discriminant` by BLAS and LAPACK on one triangle, in place.

The upper triangle of a C-ordered matrix is the lower one of its Fortran-ordered transpose, so the
routines work on ``A.T`` with ``lower=1`` and copy nothing.
"""

import math
from functools import partial

import numpy as np
from scipy.linalg import blas

from ..blas_blocks import cholesky, solve
from . import POWER_ROUNDS, SingularScatter


def within_scatter(
    gram: np.ndarray, left: np.ndarray, right: np.ndarray, n_samples: int
) -> np.ndarray:
    """See the contract in the package's docstring."""
    within = np.array(gram, dtype=np.float64, order="C", copy=True)
    # Row-major (m, d) is column-major (d, m): left.T enters without a copy.
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    blas.dsyr2k(
        0.5 / n_samples, left.T, right.T, beta=1.0 / n_samples, c=within.T, lower=1, overwrite_c=1
    )
    return within


def dominant_eigenvalue(within: np.ndarray, ones: np.ndarray) -> float:
    """See the contract in the package's docstring."""
    times = partial(blas.dsymv, 1.0, within.T, lower=1)
    x = times(np.asarray(ones, dtype=np.float64))
    if not x.any():
        return 0.0
    for _ in range(POWER_ROUNDS):
        y = times(x)
        y /= math.sqrt(y @ y)
        x = times(y)
        x /= math.sqrt(x @ x)
    return float(x @ times(y))


def fisher_discriminant(
    within: np.ndarray, means: np.ndarray, shrinkage: float, n_features: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """See the contract in the package's docstring."""
    ridge = shrinkage * within.trace() / n_features
    within *= 1.0 - shrinkage
    within.reshape(-1)[:: len(within) + 1] += ridge  # the diagonal; a view, as it is C-ordered
    factor = cholesky(within)
    if factor is None:
        raise SingularScatter("the shrunk within-class scatter is singular")
    coef = solve(factor, means.T).T
    return coef, 0.5 * (coef * means).sum(axis=1)
