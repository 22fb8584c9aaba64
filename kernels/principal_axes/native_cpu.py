"""`principal_axes` in C++: LogME's reduction to a band, of which a few eigenpairs are sought.

Where many are wanted, and for small matrices, LAPACK is the quicker; it serves, too, where what was
found are not eigenpairs to rounding, which takes eigenvalues that agree in an unlucky way.
"""

from typing import Any

import numpy as np
from scipy.linalg import blas, eigh, qr

from ..native_runtime import native_module, runtime_arguments
from . import lapack_cpu, with_signs
from .lapack_cpu import principal_scores

__all__ = ["principal_axes", "principal_scores"]

#: Order below which LAPACK serves, and the share of the axes above which it does.
SMALL, MANY = 160, 0.25
#: Traces whose squares and the like stay normal numbers.
LEAST, MOST = 1e-100, 1e100


def principal_axes(
    gram: np.ndarray, n_axes: int | None = None, variance: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    size, gram = len(gram), np.ascontiguousarray(gram)
    trace = float(gram.diagonal().sum())
    many = n_axes is not None and n_axes > MANY * size
    if size < SMALL or many or not LEAST < trace < MOST:
        return lapack_cpu.principal_axes(gram, n_axes, variance)
    bisected, vectors = np.empty(size), np.empty((size, size))
    share, most = (0.0 if variance is None else variance * trace), int(MANY * size)
    k = native_module().principal_axes(
        gram, n_axes or 0, share, most, bisected, vectors, **runtime_arguments()
    )
    if k == 0:
        return lapack_cpu.principal_axes(gram, None, variance)
    values, axes, residual = _within_span(gram, vectors[:k].T)
    rounding = size * np.finfo(np.float64).eps * bisected[0]
    if not max(residual, np.abs(values - bisected[:k]).max()) <= rounding:
        return lapack_cpu.principal_axes(gram, k)
    return np.maximum(values, 0.0), with_signs(axes)


def _within_span(gram: np.ndarray, vectors: Any) -> Any:
    """Eigenpairs of the matrix within a span, descending, and the largest error of one."""
    basis, _ = qr(vectors, mode="economic", overwrite_a=True, check_finite=False)
    # The upper triangle of a C-ordered matrix is the lower one of what BLAS sees.
    images = blas.dsymm(1.0, gram.T, basis, lower=1)
    values, turns = eigh(basis.T @ images, check_finite=False)
    values, turns = values[::-1], np.ascontiguousarray(turns[:, ::-1])
    axes = basis @ turns
    errors = images @ turns - axes * values
    return values, np.ascontiguousarray(axes), np.sqrt((errors**2).sum(axis=0)).max()
