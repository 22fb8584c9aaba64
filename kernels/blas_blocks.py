"""BLAS and LAPACK on blocks of C-ordered float64 arrays, in place and without copies.

BLAS counts columns first: it sees a C-ordered matrix as its transpose, and the upper triangle of
one as the lower triangle. SciPy's wrappers release the GIL; BLAS itself spreads large blocks over
threads. Python hears signals between two calls only, so that long ones are made of several.
"""

import numpy as np
from scipy.linalg import blas, lapack

#: Order of a matrix that LAPACK factors at once: 2e10 operations, some 0.4 s of one core.
WHOLE = 4096
#: Of larger ones, rows at a time.
BLOCK_ROWS = 1024
#: Operations of one solve.
SOLVE_FLOPS = 2e10


def add_gram(block: np.ndarray, gram: np.ndarray) -> None:
    """Add block^T block to the upper triangle of ``gram``."""
    blas.dsyrk(1.0, block.T, beta=1.0, c=gram.T, lower=1, overwrite_c=1)


def row_products(left: np.ndarray, right: np.ndarray, out: np.ndarray, scale: float = 1.0) -> None:
    """Write scale * left right^T to ``out``."""
    blas.dgemm(scale, right.T, left.T, c=out.T, trans_a=1, overwrite_c=1)


def cholesky(gram: np.ndarray) -> np.ndarray | None:
    """L of gram = L L^T, Fortran-ordered lower triangle over ``gram`` itself; None if it has none.

    Of ``gram``, C-ordered, only the upper triangle is read; what stands in the other triangle of
    either is undefined.
    """
    if len(gram) <= WHOLE:
        return _small_factor(gram)
    for start in range(0, len(gram), BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, len(gram))
        factor = _small_factor(np.array(gram[start:end, start:end], order="C"))
        if factor is None:
            return None
        gram[start:end, start:end] = factor.T
        panel = gram[start:end, end:]
        panel[:] = blas.dtrsm(1.0, factor, np.asfortranarray(panel), lower=1, overwrite_b=1)
        for row in range(end, len(gram), BLOCK_ROWS):
            rows = panel[:, row - end :]
            gram[row : row + BLOCK_ROWS, row:] -= rows[:, :BLOCK_ROWS].T @ rows
    return gram.T


def _small_factor(gram: np.ndarray) -> np.ndarray | None:
    factor, info = lapack.dpotrf(gram.T, lower=1, clean=0, overwrite_a=1)
    return None if info else factor


def solve(factor: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(L L^T)^-1 columns for a `cholesky` factor, Fortran-ordered."""
    step = max(1, int(SOLVE_FLOPS / (2.0 * len(factor) ** 2)))
    pieces = [
        lapack.dpotrs(factor, columns[:, start : start + step], lower=1)[0]
        for start in range(0, columns.shape[1], step)
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
