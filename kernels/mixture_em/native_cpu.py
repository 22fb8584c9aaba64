"""`mixture_em` by BLAS and LAPACK, and in C++ what tells which responsibilities count."""

import numpy as np

from ..native_runtime import native_module, runtime_arguments
from . import lapack_sparse_em as sparse_em
from .lapack_clusters import kmeans
from .lapack_sparse_em import TRUSTED

__all__ = ["gaussian_mixture", "kmeans"]


def survivors(leading, means, corners, constants, floors):
    """See `lapack_sparse_em.gaussian_mixture`."""
    found = np.empty((len(means), leading.shape[1]), dtype=np.bool_)
    corners = np.ascontiguousarray(corners)
    native_module().mixture_survivors(
        leading, means, corners, constants, floors, TRUSTED, found, **runtime_arguments()
    )
    return found


def gaussian_mixture(Z, labels, n_components, reg=1e-6, tol=1e-3, max_iter=100):
    """See the contract in the package's docstring."""
    return sparse_em.gaussian_mixture(survivors, Z, labels, n_components, reg, tol, max_iter)
