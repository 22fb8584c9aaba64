"""`mixture_em` by BLAS and LAPACK, and by Numba what tells which responsibilities count."""

import numpy as np

from ..numba_runtime import kernel, read_only
from ..threads import run_in_threads
from . import lapack_sparse_em as sparse_em
from .lapack_clusters import kmeans
from .lapack_sparse_em import TRUSTED

__all__ = ["gaussian_mixture", "kmeans"]

#: Samples side by side, and axes between two looks at whether all of them are out.
LANES = 16
STEP = 4


@kernel
def _survivors_of(leading, mean, corner, constant, floors, found):
    """Forward substitution on blocks of samples, as long as one of them may survive."""
    width, n = leading.shape
    solved = np.empty((width, LANES))
    squares, values, limits = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    for first in range(0, n, LANES):
        count = min(LANES, n - first)
        for lane in range(LANES):
            squares[lane] = 0.0
            limits[lane] = 2.0 * (constant - floors[first + lane]) if lane < count else -1.0
        alive = True
        for j in range(width):
            for lane in range(LANES):
                values[lane] = leading[j, first + lane] - mean[j] if lane < count else 0.0
            for t in range(j):
                for lane in range(LANES):
                    values[lane] -= corner[j, t] * solved[t, lane]
            for lane in range(LANES):
                values[lane] /= corner[j, j]
                solved[j, lane] = values[lane]
                squares[lane] += values[lane] * values[lane]
            if j % STEP == STEP - 1:
                alive = False
                for lane in range(LANES):
                    alive = alive or squares[lane] * TRUSTED <= limits[lane]
                if not alive:
                    break
        for lane in range(count):
            found[first + lane] = alive and squares[lane] * TRUSTED <= limits[lane]


def survivors(leading, means, corners, constants, floors):
    """See `lapack_sparse_em.gaussian_mixture`."""
    found = np.empty((len(means), leading.shape[1]), dtype=np.bool_)
    leading, floors = read_only(leading), read_only(floors)
    means, corners = read_only(means), read_only(np.ascontiguousarray(corners))

    def work(k):
        _survivors_of(leading, means[k], corners[k], constants[k], floors, found[k])

    run_in_threads(work, range(len(means)))
    return found


def gaussian_mixture(Z, labels, n_components, reg=1e-6, tol=1e-3, max_iter=100):
    """See the contract in the package's docstring."""
    return sparse_em.gaussian_mixture(survivors, Z, labels, n_components, reg, tol, max_iter)
